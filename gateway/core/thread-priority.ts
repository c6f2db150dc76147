import { readlinkSync } from 'node:fs';
import { constants, getPriority, setPriority } from 'node:os';

/**
 * Lets threads that others wait for go first: this thread, which computes for long, gets a lower priority than the one
 * that reads sockets and the one that commits. Where the processors are busy, each step of an answer would otherwise
 * wait for a turn of some ms behind it.
 *
 * @param by steps of niceness below the process.
 */
export function yieldToOthers(by: number): void {
  try {
    // On Linux the priority is a thread's own, and a thread's number stands here.
    const thread = Number(readlinkSync('/proc/thread-self').split('/').at(-1));
    if (!Number.isSafeInteger(thread) || thread <= 0) return;
    setPriority(thread, Math.min(constants.priority.PRIORITY_LOW, getPriority(thread) + by));
  } catch {
    // No Linux, or not allowed: it works all the same, with longer waits.
  }
}
