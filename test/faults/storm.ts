import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** One client of a storm, with everything signed beforehand. */
export interface StormClient {
  readonly clientId: string;
  readonly password: string;
  /** Base64; sent after the login. */
  readonly hello: string;
  /** Loopback address to come from. */
  readonly localAddress: string;
}

export type StormOrder =
  | { readonly kind: 'connect'; readonly port: number; readonly clients: readonly StormClient[] }
  | { readonly kind: 'cut' };

export type StormAnswer =
  | {
      /** One more client is logged in, refused or closed. */
      readonly kind: 'settled';
      readonly how: string;
      /** How many ended how, so far. */
      readonly codes: Readonly<Record<string, number>>;
      readonly isLast: boolean;
    }
  | { readonly kind: 'cut' };

/** A process that connects many clients at once; run `npx tsc -b` first. */
export class Storm {
  readonly #process: ChildProcess;

  constructor() {
    const file = fileURLToPath(
      new URL('../dist/faults/storm-process.js', import.meta.url).href.replace(
        '/dist/dist/',
        '/dist/',
      ),
    );
    if (!existsSync(file)) throw new Error(`${file} is missing; run npx tsc -b`);
    this.#process = fork(file, { execArgv: [] });
  }

  /**
   * Connects all clients at once.
   *
   * @param onSettled called for each client that is logged in, refused or closed.
   * @returns how many ended how, once all have.
   */
  async connect(
    port: number,
    clients: readonly StormClient[],
    onSettled: () => void,
  ): Promise<Readonly<Record<string, number>>> {
    return new Promise((resolve) => {
      const listen = (answer: StormAnswer): void => {
        if (answer.kind !== 'settled') return;
        onSettled();
        if (!answer.isLast) return;
        this.#process.off('message', listen);
        resolve(answer.codes);
      };
      this.#process.on('message', listen);
      this.#process.send({ kind: 'connect', port, clients } satisfies StormOrder);
    });
  }

  /** Cuts all connections without a word. */
  async cut(): Promise<void> {
    const done = once(this.#process, 'message');
    this.#process.send({ kind: 'cut' } satisfies StormOrder);
    await done;
  }

  async stop(): Promise<void> {
    const exited = once(this.#process, 'exit');
    this.#process.kill('SIGKILL');
    await exited;
  }
}
