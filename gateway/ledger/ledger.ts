import type { MessagePort, Worker } from 'node:worker_threads';
import type { Code } from '@waystone/proto';
import type { SessionLimits } from '../core/config.js';
import { WaystoneError } from '../core/errors.js';
import { type PackedDecisions, unpackDecisions } from '../core/packed.js';
import type { Decision } from '../core/ports.js';
import { connectCalls, type Remote } from '../core/rpc.js';
import { startThread } from '../core/thread-file.js';
import type { BatchLimits } from './batches.js';
import type { LedgerOperations } from './operations.js';
import type { SettledBy } from './pruning.js';

export interface LedgerWorkerData {
  readonly dataFolder: string;
  readonly logHeadFile: string;
  /** 32 bytes; the thread signs receipts. */
  readonly privateKey: Uint8Array;
  readonly limits: BatchLimits;
  readonly sessions: SessionLimits;
  readonly settledBy: SettledBy;
  /** One port for each verifier thread. */
  readonly verifiers: readonly MessagePort[];
}

/** Why new data is told to come again later. */
export type RetryCode = Extract<Code, 'DISK_FULL' | 'OVERLOADED'>;

/** Calls that the thread answers outside any commit group. */
type Control = {
  stop(): void;
  settle(): void;
  backup(file: string): void;
  releaseFiles(): void;
  takeNew(bytes: number, code: RetryCode): void;
};

/** What the thread says by itself; answers to calls apart. */
interface LedgerMessage {
  readonly ready?: true;
  readonly failed?: { readonly code: string; readonly message: string };
  readonly decisions?: PackedDecisions;
  /** Whether rows of these decisions, or of some before, are in no committed transaction yet. */
  readonly isDeferred?: boolean;
}

/** The ledger as the main thread sees it. */
export class Ledger {
  readonly #worker: Worker;
  readonly calls: Remote<LedgerOperations>;
  readonly #control: Remote<Control>;
  #isDeferred = false;
  #settling: Promise<void> = Promise.resolve();

  private constructor(worker: Worker) {
    this.#worker = worker;
    const calls = connectCalls<LedgerOperations & Control>(worker, 'ledger');
    this.calls = calls;
    this.#control = calls;
  }

  /**
   * Opens the ledger in its thread.
   *
   * @param onDecisions called with what became of each envelope, once it is on disk.
   * @param onFatal called when the thread dies; nothing is acknowledged after that, and the process must end.
   * @throws WaystoneError DATA_FOLDER_LOCKED, LEDGER_ROLLED_BACK, LEDGER_FOREIGN or LEDGER_TOO_NEW.
   */
  static open(
    data: LedgerWorkerData,
    onDecisions: (decisions: Decision[]) => void,
    onFatal: (error: Error) => void,
  ): Promise<Ledger> {
    const worker = startThread(import.meta.url, 'worker.js', {
      workerData: data,
      transferList: [...data.verifiers],
    });
    return new Promise((resolve, reject) => {
      let isReady = false;
      worker.on('error', (error) => (isReady ? onFatal(error as Error) : reject(error)));
      const ledger = new Ledger(worker);
      worker.on('message', (message: LedgerMessage) => {
        if (message.decisions !== undefined) {
          ledger.#isDeferred = message.isDeferred === true;
          onDecisions(unpackDecisions(message.decisions));
        }
        if (message.failed !== undefined) {
          const { code, message: what } = message.failed;
          // The lock on the data folder goes with the thread.
          void worker.terminate().then(() => reject(new WaystoneError(code, what)));
        }
        if (message.ready !== undefined) {
          isReady = true;
          resolve(ledger);
        }
      });
    });
  }

  /**
   * Writes a consistent copy of the database while the ledger runs.
   *
   * @param copyFiles copies what the copy names; until it is done no batch file is removed.
   */
  async backup(file: string, copyFiles: () => Promise<void>): Promise<void> {
    try {
      await this.#control.backup(file);
      await copyFiles();
    } finally {
      await this.#control.releaseFiles();
    }
  }

  /**
   * From now on so many bytes of new data are taken, and what comes beyond them is told to come again later, with this
   * code. Before the first call all is taken.
   */
  takeNew(bytes: number, code: RetryCode): Promise<void> {
    return this.#control.takeNew(bytes, code);
  }

  /** Resolves when other connections see the rows of all decisions until now. */
  async settled(): Promise<void> {
    if (this.#isDeferred) {
      this.#isDeferred = false;
      this.#settling = this.#control.settle();
    }
    await this.#settling;
  }

  /** Commits what waits, closes the database and frees the data folder. */
  async stop(): Promise<void> {
    await this.#control.stop();
    await this.#worker.terminate();
  }
}
