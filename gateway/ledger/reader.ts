import type { Worker } from 'node:worker_threads';
import { connectCalls, type Operations, type Remote } from '../core/rpc.js';
import { SMALL_THREAD, startThread } from '../core/thread-file.js';
import type { LedgerQueries } from './queries.js';

/** Reads on the ledger from a thread with a read-only connection. */
export class LedgerReader {
  readonly #worker: Worker;
  readonly calls: Remote<LedgerQueries>;
  readonly #control: Remote<{ close(): void }>;

  /**
   * The ledger must be open: the reader does not create it.
   *
   * @param settled awaited before each read; resolves when what was decided until then can be read.
   */
  constructor(dataFolder: string, settled: () => Promise<void>, onFatal: (error: Error) => void) {
    this.#worker = startThread(import.meta.url, 'reader-worker.js', {
      workerData: { dataFolder },
      ...SMALL_THREAD,
    });
    this.#worker.on('error', (error) => onFatal(error as Error));
    const calls = connectCalls<LedgerQueries & { close(): void }>(this.#worker, 'ledger reader');
    this.calls = after(settled, calls);
    this.#control = calls;
  }

  async stop(): Promise<void> {
    await this.#control.close();
    await this.#worker.terminate();
  }
}

function after<T extends Operations>(ready: () => Promise<void>, calls: Remote<T>): Remote<T> {
  return new Proxy(calls, {
    get(target, name, receiver) {
      const call = Reflect.get(target, name, receiver);
      if (typeof call !== 'function') return call;
      return async (...args: unknown[]) => {
        await ready();
        return call(...args);
      };
    },
  });
}
