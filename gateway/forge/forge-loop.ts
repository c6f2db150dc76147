import { messageOf, WaystoneError } from '../core/errors.js';
import type { ForgeStatus } from '../core/forge-ports.js';
import type { Logger } from '../core/logger.js';
import { isUnreachable } from './unreachable.js';

/** What new datasets wait for while forging is paused. */
export const PAUSED = 'forging is paused; waystone forge resume ends that';

/** What a loop waits for: the first of its datasets that waits for something. */
export function waitsForOf(
  isPaused: boolean,
  datasets: Iterable<ForgeStatus['datasets'][number]>,
): string {
  if (isPaused) return PAUSED;
  // What was noted while it was paused holds until the next look only.
  return [...datasets].find(({ waitsFor }) => !['', PAUSED].includes(waitsFor))?.waitsFor ?? '';
}

/** Longest that a node's wish to be left alone is granted. */
const WISH_MAX_MS = 600_000;

/** Codes of a chain that takes its time: nothing is wrong with it, so the wait does not grow. */
const SLOW_CODES: readonly string[] = ['FORGE_NOT_MINED', 'LAZAI_NOT_MINED'];

export interface ForgeLoopOptions {
  /** First and longest wait after an error; default 500 ms and 60 s. */
  readonly retryMinMs?: number;
  readonly retryMaxMs?: number;
  /** How often an idle loop looks at the chain; default 15 s. */
  readonly idleMs?: number;
}

/** What one look at the work leaves behind. */
export interface PassResult {
  /** There is more to do at once. */
  readonly more: boolean;
  /** In how many ms, by the chain's time, something that waits becomes possible; null when nothing waits for a time. */
  readonly wakeInMs: number | null;
}

/** The work of a loop, and what it is told of it. */
export interface ForgeWork {
  /** One look at the work. Throws on the first thing that stands in the way of all of it. */
  pass(): Promise<PassResult>;
  /** Somebody wants it tried again: what is asked of others at times only is asked at the next pass. */
  askAgain?(): Promise<void>;
  /** A pass failed: the chain, or what is there, may be another by the next one. */
  failed(): void;
  /** What a loop waits for whose last pass did not fail, or ""; asked at any time. */
  waitsFor(): string;
  /** How long the nodes asked to be left alone, ms. */
  retryAfterMs(): number;
}

/**
 * Looks at the work of forging again and again: at once while there is more, when its time comes, when a dataset is sealed,
 * and ever later after failures. It never throws: an unreachable chain leaves the rest of the gateway untouched.
 */
export class ForgeLoop {
  readonly #options: ForgeLoopOptions;
  readonly #work: ForgeWork;
  readonly #log: Logger;
  readonly #stopping = new AbortController();
  #running: Promise<void> | null = null;
  #wake: (() => void) | null = null;
  #isNudged = false;
  #isRetried = false;
  #state: ForgeStatus['state'] = 'stopped';
  /** Why the last pass failed, or "". */
  #why = '';
  #isReachable = false;
  #lastError: ForgeStatus['lastError'] = null;

  constructor(options: ForgeLoopOptions, work: ForgeWork, log: Logger) {
    this.#options = options;
    this.#work = work;
    this.#log = log;
  }

  /** Aborted when the loop is to end. */
  get signal(): AbortSignal {
    return this.#stopping.signal;
  }

  start(): void {
    this.#running ??= this.#run();
  }

  /** A dataset was sealed. */
  nudge(): void {
    this.#isNudged = true;
    // An error's back-off is not cut short: a fleet that seals every second must not hammer a dead node.
    if (this.#state !== 'waiting') this.#wake?.();
  }

  /** Tries again now, whatever the wait was. */
  retry(): void {
    this.#isRetried = true;
    this.#wake?.();
  }

  /** Ends after the step under way. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#wake?.();
    await this.#running;
    this.#state = 'stopped';
  }

  status(): Pick<ForgeStatus, 'state' | 'why' | 'reachable' | 'lastError'> {
    return {
      state: this.#state,
      // A pause begins and ends between two passes.
      why: this.#why === '' ? this.#work.waitsFor() : this.#why,
      reachable: this.#isReachable,
      lastError: this.#lastError,
    };
  }

  async #run(): Promise<void> {
    const { retryMinMs = 500, retryMaxMs = 60_000, idleMs = 15_000 } = this.#options;
    let failures = 0;
    while (!this.#stopping.signal.aborted) {
      this.#isNudged = false;
      this.#state = 'working';
      let waitMs = idleMs;
      try {
        if (this.#isRetried) {
          failures = 0;
          this.#isRetried = false;
          await this.#work.askAgain?.();
        }
        const { more, wakeInMs } = await this.#work.pass();
        failures = 0;
        this.#lastError = null;
        this.#isReachable = true;
        if (more) waitMs = 0;
        // Not at once, even if the chain's time has passed it: that would ask the node without end.
        else if (wakeInMs !== null) waitMs = Math.min(idleMs, Math.max(retryMinMs, wakeInMs));
        this.#state = 'idle';
        this.#why = '';
      } catch (error) {
        if (this.#stopping.signal.aborted) return;
        const code = error instanceof WaystoneError ? error.code : 'FORGE_FAILED';
        this.#isReachable = !isUnreachable(error);
        this.#work.failed();
        this.#lastError = { code, message: messageOf(error) };
        this.#why = messageOf(error);
        this.#state = 'waiting';
        if (SLOW_CODES.includes(code)) failures = 0;
        waitMs = Math.min(retryMinMs * 2 ** failures++, retryMaxMs);
        // Jitter, so that many gateways do not come back in step.
        waitMs *= 0.5 + Math.random() / 2;
        if (!this.#isReachable) {
          waitMs = Math.max(waitMs, Math.min(this.#work.retryAfterMs(), WISH_MAX_MS));
        }
        this.#log.warn({ code, error: messageOf(error), waitMs }, 'forging waits');
      }
      if (this.#isRetried || (this.#isNudged && this.#state === 'idle')) continue;
      await this.#pause(waitMs);
    }
  }

  /** Waits, or less when there is something to do. */
  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
      if (this.#stopping.signal.aborted) this.#wake();
    });
  }
}
