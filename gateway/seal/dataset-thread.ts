import type { Worker } from 'node:worker_threads';
import { connectCalls, type Remote } from '../core/rpc.js';
import { startThread } from '../core/thread-file.js';
import type { DatasetOperations } from './worker.js';

export interface DatasetThreadData {
  /** With batch files and dataset folders. */
  readonly dataFolder: string;
  /** 32 bytes; the thread signs receipts. */
  readonly privateKey: Uint8Array;
  /** The log that receipts name, 16 bytes. */
  readonly logId: Uint8Array;
}

/** The thread that writes and reads dataset folders. */
export class DatasetThread {
  readonly #worker: Worker;
  readonly calls: Remote<DatasetOperations>;

  constructor(data: DatasetThreadData, onFatal: (error: Error) => void) {
    this.#worker = startThread(import.meta.url, 'worker.js', { workerData: data });
    this.#worker.on('error', (error) => onFatal(error as Error));
    this.calls = connectCalls<DatasetOperations>(this.#worker, 'dataset');
  }

  async stop(): Promise<void> {
    await this.#worker.terminate();
  }
}
