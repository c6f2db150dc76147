import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

export type StormOrder =
  | { readonly kind: 'make'; readonly gateway: string; readonly count: number }
  | { readonly kind: 'connect'; readonly port: number }
  | { readonly kind: 'cut' };

/** How many attempts ended how. */
export type StormOutcomes = Readonly<Record<string, number>>;

export type StormAnswer =
  | { readonly kind: 'made'; readonly dids: readonly string[] }
  /** Every client is logged in or refused. */
  | { readonly kind: 'settled'; readonly outcomes: StormOutcomes }
  | { readonly kind: 'cut' };

/** A fleet in a process of its own, and half as many others with wrong logins; run `npx tsc -b` first. */
export class Storm {
  readonly #process: ChildProcess;

  constructor() {
    const file = fileURLToPath(new URL('../dist/faults/storm-process.js', import.meta.url));
    if (!existsSync(file)) throw new Error(`${file} is missing; run npx tsc -b`);
    this.#process = fork(file, { execArgv: [] });
  }

  /** Makes the fleet. @returns the did:keys to enrol. */
  async make(gateway: string, count: number): Promise<readonly string[]> {
    this.#tell({ kind: 'make', gateway, count });
    const [answer] = (await once(this.#process, 'message')) as [StormAnswer];
    if (answer.kind !== 'made') throw new Error(`expected the fleet, got ${answer.kind}`);
    return answer.dids;
  }

  /** Connects all clients at once. @returns how all attempts ended, once each client has its answer. */
  async connect(port: number): Promise<StormOutcomes> {
    this.#tell({ kind: 'connect', port });
    const [answer] = (await once(this.#process, 'message')) as [StormAnswer];
    if (answer.kind !== 'settled') throw new Error(`expected the outcomes, got ${answer.kind}`);
    return answer.outcomes;
  }

  /** Cuts all connections without a word. */
  async cut(): Promise<void> {
    const done = once(this.#process, 'message');
    this.#tell({ kind: 'cut' });
    await done;
  }

  async stop(): Promise<void> {
    const exited = once(this.#process, 'exit');
    this.#process.kill('SIGKILL');
    await exited;
  }

  #tell(order: StormOrder): void {
    this.#process.send(order);
  }
}
