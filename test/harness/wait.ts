import { setTimeout as delay } from 'node:timers/promises';

/** Longest that a test waits for anything; generous, since the machine may be busy. */
export const DEADLINE_MS = 20_000;

const POLL_MS = 5;

/**
 * Asks again and again until `condition` gives something other than false, null or undefined.
 *
 * @throws Error that says what was waited for, when it does not come in time.
 */
export async function waitFor<T>(
  what: string,
  condition: () => T | Promise<T>,
  deadlineMs = DEADLINE_MS,
): Promise<Exclude<T, false | null | undefined>> {
  const end = Date.now() + deadlineMs;
  for (;;) {
    const value = await condition();
    if (value !== false && value !== null && value !== undefined) {
      return value as Exclude<T, false | null | undefined>;
    }
    if (Date.now() > end) throw new Error(`waited ${deadlineMs} ms in vain for ${what}`);
    await delay(POLL_MS);
  }
}
