import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';

/** Collections are the whole process's; a process of its own sees no others. It loads what is compiled. */
const MODULE = new URL('../dist/core/idle-memory.js', import.meta.url).href;

/**
 * Leaves garbage that V8 would keep, first while it is busy, then idle, then again. Time is counted in looks, each
 * as long as those of the code under test, so a slow machine changes nothing; what is waited for has a bound.
 */
const PROCESS = `
  import { constants, PerformanceObserver } from 'node:perf_hooks';
  const { giveMemoryBackWhenIdle } = await import(${JSON.stringify(MODULE)});

  const LOOK_EVERY_MS = 50;
  const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
  const heapMiB = () => process.memoryUsage().heapTotal / 2 ** 20;

  let asked = 0;
  new PerformanceObserver((list) => {
    for (const { detail } of list.getEntries()) {
      if (detail.flags & constants.NODE_PERFORMANCE_GC_FLAGS_FORCED) asked += 1;
    }
  }).observe({ entryTypes: ['gc'] });

  function leaveGarbage() {
    let kept = Array.from({ length: 600_000 }, (_, k) => ({ k, text: 'n' + k }));
    const mib = heapMiB();
    kept = null;
    return mib;
  }
  async function beBusy(looks) {
    const end = performance.now() + looks * LOOK_EVERY_MS;
    while (performance.now() < end) await new Promise((done) => setImmediate(done));
  }
  /** Sleeps most of the time: what waits is idle. */
  async function untilGivenBack(fullMiB, times) {
    const isFull = () => heapMiB() > fullMiB - 20;
    for (let turn = 0; (isFull() || asked < times) && turn < 400; turn++) await sleep(LOOK_EVERY_MS);
  }

  const seen = {};
  giveMemoryBackWhenIdle(LOOK_EVERY_MS);
  seen.fullMiB = leaveGarbage();
  await beBusy(20);
  seen.askedBusy = asked;
  seen.busyMiB = heapMiB();
  await untilGivenBack(seen.fullMiB, 1);
  seen.askedIdle = asked;
  seen.emptyMiB = heapMiB();
  await sleep(20 * LOOK_EVERY_MS);
  seen.askedStill = asked;
  seen.fullAgainMiB = leaveGarbage();
  await untilGivenBack(seen.fullAgainMiB, 2);
  seen.askedAgain = asked;
  seen.emptyAgainMiB = heapMiB();
  console.log(JSON.stringify(seen));
  // No exit: a process that has nothing else to do ends by itself.
`;

describe('a thread that gives its memory back', () => {
  it('does so once it is idle, not while it is busy, and only when there is something to give', async () => {
    // V8 then collects on its own only when an allocation needs room, so whatever is freed in between was asked for.
    const flags = ['--single-threaded-gc', '--no-incremental-marking'];
    const args = [...flags, '--input-type=module', '-e', PROCESS];
    const { stdout } = await promisify(execFile)(process.execPath, args, { timeout: 55_000 });
    const seen = JSON.parse(stdout) as Record<string, number>;
    expect(seen).toMatchObject({ askedBusy: 0, askedIdle: 1, askedStill: 1, askedAgain: 2 });
    expect(seen.busyMiB).toBeGreaterThan((seen.fullMiB as number) - 20);
    for (const [full, empty] of [
      [seen.fullMiB, seen.emptyMiB],
      [seen.fullAgainMiB, seen.emptyAgainMiB],
    ] as [number, number][]) {
      expect(full - empty).toBeGreaterThan(20);
    }
  });
});
