import type { MessagePort, Worker } from 'node:worker_threads';
import { connectCalls, type Remote } from '../core/rpc.js';
import { startThread } from '../core/thread-file.js';
import type { DatasetOperations } from './worker.js';

/** The thread that writes and reads dataset folders. */
export class DatasetThread {
  readonly #worker: Worker;
  readonly calls: Remote<DatasetOperations>;

  /** @param reader a port on which the ledger's reader serves rows. */
  constructor(datasetsFolder: string, reader: MessagePort, onFatal: (error: Error) => void) {
    this.#worker = startThread(import.meta.url, 'worker.js', {
      workerData: { datasetsFolder, reader },
      transferList: [reader],
    });
    this.#worker.on('error', (error) => onFatal(error as Error));
    this.calls = connectCalls<DatasetOperations>(this.#worker, 'dataset');
  }

  async stop(): Promise<void> {
    await this.#worker.terminate();
  }
}
