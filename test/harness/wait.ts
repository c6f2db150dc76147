import { setTimeout as delay } from 'node:timers/promises';

/** Longest that a test waits for anything; generous, since the machine may be busy. */
export const DEADLINE_MS = 20_000;

/** Between two looks: a tenth of the time waited so far, within these bounds. */
const POLL_MIN_MS = 5;
/** Most looks ask a gateway, which would rather do what is waited for. */
const POLL_MAX_MS = 100;

/**
 * Asks again and again until `condition` gives something other than false, null or undefined.
 *
 * @param pollMaxMs longest time between two looks.
 * @throws Error that says what was waited for, when it does not come in time.
 */
export async function waitFor<T>(
  what: string,
  condition: () => T | Promise<T>,
  deadlineMs = DEADLINE_MS,
  pollMaxMs = POLL_MAX_MS,
): Promise<Exclude<T, false | null | undefined>> {
  const startMs = performance.now();
  for (;;) {
    const value = await condition();
    if (value !== false && value !== null && value !== undefined) {
      return value as Exclude<T, false | null | undefined>;
    }
    const waitedMs = performance.now() - startMs;
    if (waitedMs > deadlineMs) throw new Error(`waited ${deadlineMs} ms in vain for ${what}`);
    await delay(Math.max(POLL_MIN_MS, Math.min(pollMaxMs, waitedMs / 10)));
  }
}
