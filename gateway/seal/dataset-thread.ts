import type { Worker } from 'node:worker_threads';
import { connectCalls, type Remote } from '../core/rpc.js';
import { startThread } from '../core/thread-file.js';
import type { DatasetOperations } from './worker.js';

/** The thread that writes and reads dataset folders. */
export class DatasetThread {
  readonly #worker: Worker;
  readonly calls: Remote<DatasetOperations>;

  /** @param dataFolder the gateway's data folder, with batch files and dataset folders. */
  constructor(dataFolder: string, onFatal: (error: Error) => void) {
    this.#worker = startThread(import.meta.url, 'worker.js', { workerData: { dataFolder } });
    this.#worker.on('error', (error) => onFatal(error as Error));
    this.calls = connectCalls<DatasetOperations>(this.#worker, 'dataset');
  }

  async stop(): Promise<void> {
    await this.#worker.terminate();
  }
}
