import { readFileSync } from 'node:fs';
import { constants, getPriority } from 'node:os';
import { Worker } from 'node:worker_threads';
import { describe, expect, it } from 'vitest';

/** Threads load what is compiled. */
const MODULE = new URL('../dist/core/thread-priority.js', import.meta.url).href;

/** Lowers its priority, says its number and whether it may be read, and ends when it is told to. */
const WORKER = `
  const { readlinkSync } = require('node:fs');
  const { parentPort, workerData } = require('node:worker_threads');
  import(workerData.module).then(({ yieldToOthers }) => {
    yieldToOthers(workerData.by);
    parentPort.postMessage(Number(readlinkSync('/proc/thread-self').split('/').at(-1)));
  });
  parentPort.once('message', () => {});
`;

/** Niceness of a thread of this process: field 19 of its `stat` (proc_pid_stat(5)), behind the name in brackets. */
function nicenessOf(thread: number): number {
  const stat = readFileSync(`/proc/${process.pid}/task/${thread}/stat`, 'utf8');
  return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19 - 3]);
}

/** Where nothing is below this process, nothing can be told apart. */
const canYield = process.platform === 'linux' && getPriority() < constants.priority.PRIORITY_LOW;

describe('a thread that yields to others', () => {
  it.runIf(canYield).each([1, 5, 100])(
    'by %i steps has that much less priority, 19 at the lowest, and the process keeps its own',
    async (by) => {
      const before = nicenessOf(process.pid);
      const worker = new Worker(WORKER, { eval: true, workerData: { module: MODULE, by } });
      try {
        const thread = await new Promise<number>((done, fail) => {
          worker.once('message', done).once('error', fail);
        });
        expect(thread).not.toBe(process.pid);
        const wanted = Math.min(constants.priority.PRIORITY_LOW, before + by);
        expect(nicenessOf(thread)).toBe(wanted);
        expect(nicenessOf(thread)).toBeGreaterThan(before);
        expect(nicenessOf(process.pid)).toBe(before);
        expect(getPriority()).toBe(before);
      } finally {
        await worker.terminate();
      }
    },
  );
});
