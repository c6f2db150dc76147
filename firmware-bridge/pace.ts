import { setTimeout as delay } from 'node:timers/promises';

/** The passing of time, so that tests need not wait for it. */
export interface Clock {
  /** Milliseconds that only rise. */
  nowMs(): number;
  /** @throws the signal's reason when it aborts. */
  sleep(ms: number, signal: AbortSignal | undefined): Promise<void>;
}

export const SYSTEM_CLOCK: Clock = {
  nowMs: () => performance.now(),
  sleep: async (ms, signal) => {
    try {
      await delay(ms, undefined, signal === undefined ? {} : { signal });
    } catch (error) {
      signal?.throwIfAborted(); // With the caller's reason instead of a general AbortError.
      throw error;
    }
  },
};

export interface PaceOptions {
  /** 1 is the recording's own pace, 10 ten times faster, Infinity as fast as the consumer takes them. */
  readonly speed: number;
  readonly signal?: AbortSignal;
}

/**
 * Gives recorded items at the pace of their times. Each is due at a time counted from the first, so late
 * timers and a slow consumer do not add up; a consumer that was late gets the items that are due at once.
 *
 * @throws RangeError when `speed` is not above 0; the signal's reason when it aborts.
 */
export async function* pace<Item extends { readonly timeUs: number }>(
  items: Iterable<Item>,
  { speed, signal }: PaceOptions,
  clock: Clock = SYSTEM_CLOCK,
): AsyncGenerator<Item, void, undefined> {
  requireSpeed(speed);
  const startMs = clock.nowMs();
  let firstUs: number | undefined;
  for (const item of items) {
    signal?.throwIfAborted();
    firstUs ??= item.timeUs;
    const dueMs = startMs + (item.timeUs - firstUs) / 1_000 / speed;
    const waitMs = dueMs - clock.nowMs();
    if (waitMs > 0) await clock.sleep(waitMs, signal);
    signal?.throwIfAborted();
    yield item;
  }
}

export function requireSpeed(speed: number): void {
  if (!(speed > 0)) {
    throw new RangeError(`speed must be a number above 0 (Infinity: no waiting), got ${speed}`);
  }
}
