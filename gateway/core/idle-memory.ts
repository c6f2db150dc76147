import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** The interval unless another is given. */
const LOOK_EVERY_MS = 10_000;

/** Part of that time that an idle thread may have been at work. */
const IDLE_UTILISATION_MAX = 0.05;

/** A collection is worth its pause when it may free this much, and this part of what is used. */
const FREED_BYTES_MIN = 4 * 2 ** 20;
const FREED_PART_MIN = 0.2;

/**
 * Gives this thread's memory back once it is idle. V8 collects long-lived garbage only while a thread goes on
 * allocating: what a burst of logins leaves would stay until the next burst. A collection takes some 100 ms for
 * 10,000 connections, so none happens while there is anything else to do.
 *
 * @param lookEveryMs how often the thread asks itself whether it is idle.
 */
export function giveMemoryBackWhenIdle(lookEveryMs = LOOK_EVERY_MS): void {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  let keptBytes = 0;
  let before = performance.eventLoopUtilization();
  setInterval(() => {
    const { utilization } = performance.eventLoopUtilization(before);
    before = performance.eventLoopUtilization();
    const { heapTotal, external } = process.memoryUsage();
    const freedMin = Math.max(FREED_BYTES_MIN, keptBytes * FREED_PART_MIN);
    if (utilization > IDLE_UTILISATION_MAX || heapTotal + external < keptBytes + freedMin) return;
    collect();
    const after = process.memoryUsage();
    keptBytes = after.heapTotal + after.external;
  }, lookEveryMs).unref();
}
