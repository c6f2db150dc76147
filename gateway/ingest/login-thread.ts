import type { Worker } from 'node:worker_threads';
import { connectCalls, type Remote } from '../core/rpc.js';
import { SMALL_THREAD, startThread } from '../core/thread-file.js';
import type { Gateway, LoginChecks } from './login-checks.js';

/** The thread that checks the signatures of logins and hellos. */
export class LoginThread {
  readonly #worker: Worker;
  readonly calls: Remote<LoginChecks>;

  /** @param onFatal called when the thread dies; nobody can log in after that. */
  constructor(gateway: Gateway, onFatal: (error: Error) => void) {
    this.#worker = startThread(import.meta.url, 'login-worker.js', {
      workerData: gateway,
      ...SMALL_THREAD,
    });
    this.#worker.on('error', (error) => onFatal(error as Error));
    this.calls = connectCalls<LoginChecks>(this.#worker, 'login');
  }

  async stop(): Promise<void> {
    await this.#worker.terminate();
  }
}
