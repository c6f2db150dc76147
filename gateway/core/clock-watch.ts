import type { Clock } from './clock.js';
import type { Logger } from './logger.js';

/** A difference to the monotonic clock by more, µs, means that the clock was set: one minute. */
export const STEP_MAX_US = 60_000_000;

/** How long after it was set a clock counts as steady again, ms: a day in which someone may notice. */
export const STEADY_AFTER_MS = 86_400_000;

/** A start this long after the newest data, µs, may as well be a clock that was set wrong: a week. */
const AWAY_MAX_US = 7 * 86_400_000_000;

/** The clock as those see it who delete or refuse by the age of something. */
export interface SteadyTime {
  readonly nowUs: number;
  /** Why ages cannot be told from the clock now, or "". */
  readonly doubt: string;
}

/**
 * Compares the clock with the time that passes, and says when ages cannot be told from it: while it is not trusted,
 * and for a day after it was set. Without that, a clock that is set to 2040 for a moment would make everything old.
 */
export class ClockWatch {
  readonly #clock: Clock;
  readonly #logger: Logger;
  #last: { nowUs: number; atMs: number; isTrusted: boolean } | null = null;
  #step: { atMs: number; what: string } | null = null;

  /** @param newestUs time of the newest data that is stored, µs, or null when there is none. */
  constructor(clock: Clock, logger: Logger, newestUs: number | null) {
    this.#clock = clock;
    this.#logger = logger;
    const nowUs = clock.nowUs();
    if (newestUs !== null && nowUs - newestUs > AWAY_MAX_US) {
      const days = Math.floor((nowUs - newestUs) / 86_400_000_000);
      const what = `the gateway started ${days} days after its newest data, by the clock`;
      this.#step = { atMs: clock.monotonicMs(), what };
    }
  }

  /** Looks at the clock; the more often, the better it can be said when it was set. */
  look(): SteadyTime {
    const nowUs = this.#clock.nowUs();
    const atMs = this.#clock.monotonicMs();
    const isTrusted = this.#clock.isTrusted(nowUs);
    const last = this.#last;
    this.#last = { nowUs, atMs, isTrusted };
    if (last !== null) {
      const stepUs = nowUs - last.nowUs - (atMs - last.atMs) * 1000;
      if (Math.abs(stepUs) > STEP_MAX_US) {
        const seconds = Math.round(stepUs / 1e6);
        this.#step = { atMs, what: `the system clock was set by ${seconds} s` };
        this.#logger.warn({ seconds, from: iso(last.nowUs), to: iso(nowUs) }, 'the clock was set');
      }
    }
    if (isTrusted !== (last?.isTrusted ?? true)) {
      const now = iso(nowUs);
      if (isTrusted) this.#logger.info({ now }, 'the clock is trusted again');
      else {
        this.#logger.warn(
          { now },
          'the clock is not trusted: entries are flagged and times of devices are not judged; check the date',
        );
      }
    }
    if (this.#step !== null && atMs - this.#step.atMs >= STEADY_AFTER_MS) this.#step = null;
    const doubt = isTrusted ? (this.#step?.what ?? '') : 'the clock is not trusted';
    return { nowUs, doubt };
  }
}

/** For people; a clock may be set beyond what a date can say. */
function iso(us: number): string {
  const date = new Date(us / 1000);
  return Number.isNaN(date.getTime()) ? `${us} µs` : date.toISOString();
}
