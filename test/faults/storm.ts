import { setTimeout as delay } from 'node:timers/promises';
import { CallableProcess } from '../bench/process-calls.js';
import type { StormCalls, StormState } from './storm-process.js';

const LOOK_EVERY_MS = 50;

/** Longest that the process may take for one call, ms: a thousand logins are signed in a few seconds. */
const CALL_WITHIN_MS = 60_000;

/** A fleet in a process of its own, and half as many others with wrong logins; run `npx tsc -b` first. */
export class Storm {
  readonly #process = new CallableProcess<StormCalls>('../dist/faults/storm-process.js');

  /** Makes the fleet. @returns the did:keys to enrol. */
  make(gateway: string, count: number): Promise<readonly string[]> {
    return this.#process.calls.make({ gateway, count });
  }

  /**
   * Connects all clients at once.
   *
   * @param check called again and again; throws when there is no more sense in waiting.
   * @returns how all attempts ended, once each client has its answer.
   * @throws Error that says how far it came, when some client has no answer in time.
   */
  async connect(
    port: number,
    { check, deadlineMs }: { check: () => void; deadlineMs: number },
  ): Promise<StormState['outcomes']> {
    const { calls } = this.#process;
    await answered('sign', calls.sign());
    await answered('connect', calls.connect({ port }));
    const endMs = performance.now() + deadlineMs;
    for (;;) {
      const { outcomes, left } = await answered('state', calls.state());
      if (left === 0) return outcomes;
      const soFar = `${left} clients have no answer yet, of the others ${JSON.stringify(outcomes)}`;
      try {
        check();
      } catch (cause) {
        throw new Error(`storm broken off: ${soFar}`, { cause });
      }
      if (performance.now() > endMs) throw new Error(`waited ${deadlineMs} ms in vain: ${soFar}`);
      await delay(LOOK_EVERY_MS);
    }
  }

  /** Cuts all connections without a word. */
  cut(): Promise<void> {
    return answered('cut', this.#process.calls.cut());
  }

  stop(): void {
    this.#process.kill();
  }
}

/** @throws Error that names the call when the process does not answer it in time. */
async function answered<T>(name: string, call: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    const why = `the storm's process has not answered "${name}" in ${CALL_WITHIN_MS} ms`;
    timer = setTimeout(() => reject(new Error(why)), CALL_WITHIN_MS);
  });
  try {
    return await Promise.race([call, late]);
  } finally {
    clearTimeout(timer);
  }
}
