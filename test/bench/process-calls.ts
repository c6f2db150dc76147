import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** The functions of a child process as its parent calls them. */
export type Calls<T> = {
  readonly [K in keyof T]: T[K] extends (argument: infer A) => infer R
    ? unknown extends A
      ? () => Promise<Awaited<R>>
      : (argument: A) => Promise<Awaited<R>>
    : never;
};

/** A child process that answers calls: `{id, name, argument}` one way, `{id, value}` or `{id, error}` back. */
export class CallableProcess<T> {
  readonly process: ChildProcess;
  readonly calls: Calls<T>;
  readonly #open = new Map<
    number,
    { resolve: (value: unknown) => void; reject: (e: Error) => void }
  >();
  #lastId = 0;

  /** @param file the program, relative to this folder. */
  constructor(file: string) {
    this.process = fork(fileURLToPath(new URL(file, import.meta.url)), [], {
      serialization: 'advanced',
      execArgv: [],
    });
    this.process.on('message', (message: { id: number; value?: unknown; error?: string }) => {
      const call = this.#open.get(message.id);
      this.#open.delete(message.id);
      if (message.error === undefined) call?.resolve(message.value);
      else call?.reject(new Error(`${file}: ${message.error}`));
    });
    this.process.once('exit', (code, signal) => {
      for (const { reject } of this.#open.values()) {
        reject(new Error(`${file} ended with ${code ?? signal}`));
      }
      this.#open.clear();
    });
    this.calls = new Proxy({} as Calls<T>, {
      get: (_target, name) => (argument?: unknown) => this.#call(String(name), argument),
    });
  }

  get pid(): number {
    return this.process.pid as number;
  }

  kill(): void {
    this.process.kill('SIGKILL');
  }

  #call(name: string, argument: unknown): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const id = ++this.#lastId;
      this.#open.set(id, { resolve, reject });
      this.process.send({ id, name, argument });
    });
  }
}
