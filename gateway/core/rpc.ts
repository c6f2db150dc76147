import type { MessagePort, Worker } from 'node:worker_threads';
import { WaystoneError } from './errors.js';
import { TicketTable } from './ticket-table.js';

/**
 * Calls between threads: named functions with cloneable arguments and results. One side serves a table of
 * functions, the other gets the same table with promises.
 */
// biome-ignore lint/suspicious/noExplicitAny: a table of any functions; Remote<T> keeps their types.
export type Operations = Record<string, (...args: any[]) => unknown>;

export type Remote<T extends Operations> = {
  [K in keyof T]: (...args: Parameters<T[K]>) => Promise<Awaited<ReturnType<T[K]>>>;
};

export interface Call {
  readonly call: number;
  readonly name: string;
  readonly args: unknown[];
}

interface Answer {
  readonly answer: number;
  readonly value?: unknown;
  readonly error?: { readonly message: string; readonly code?: string };
}

type Port = Pick<MessagePort | Worker, 'on' | 'postMessage'>;

export function isCall(message: unknown): message is Call {
  return typeof message === 'object' && message !== null && 'call' in message;
}

/** Runs one call; the answer is to be posted back. Errors keep message and code. */
export async function answerCall(operations: Operations, call: Call): Promise<Answer> {
  try {
    const operation = Object.hasOwn(operations, call.name) ? operations[call.name] : undefined;
    if (operation === undefined) throw new TypeError(`no operation ${call.name}`);
    return { answer: call.call, value: await operation(...call.args) };
  } catch (error) {
    return { answer: call.call, error: describe(error) };
  }
}

/** Serves `operations` on a port until it closes. */
export function serveCalls(port: Port, operations: Operations): void {
  port.on('message', (message: unknown) => {
    if (!isCall(message)) return;
    void answerCall(operations, message).then((answer) => {
      try {
        port.postMessage(answer);
      } catch (error) {
        // What cannot be cloned is our mistake; the caller must not wait for ever for it.
        port.postMessage({ answer: message.call, error: describe(error) } satisfies Answer);
      }
    });
  });
}

/** The functions at the other end of a port. When the port's thread ends, what is under way is rejected. */
export function connectCalls<T extends Operations>(port: Port, what: string): Remote<T> {
  const waiting = new TicketTable<{
    resolve: (value: unknown) => void;
    reject: (error: unknown) => void;
  }>();
  let ended: Error | null = null;
  port.on('message', (message: unknown) => {
    if (typeof message !== 'object' || message === null || !('answer' in message)) return;
    const { answer, value, error } = message as Answer;
    const call = waiting.take(answer);
    if (call === undefined) return;
    if (error === undefined) call.resolve(value);
    else call.reject(revive(error));
  });
  const end = (): void => {
    ended ??= new WaystoneError('THREAD_ENDED', `the ${what} thread has ended`);
    for (const call of waiting.takeAll()) call.reject(ended);
  };
  port.on('exit', end);
  port.on('close', end);
  return new Proxy({} as Remote<T>, {
    get(_target, name) {
      if (typeof name !== 'string' || name === 'then') return undefined;
      return (...args: unknown[]) =>
        new Promise((resolve, reject) => {
          if (ended !== null) {
            reject(ended);
            return;
          }
          const call = waiting.add({ resolve, reject });
          try {
            port.postMessage({ call, name, args } satisfies Call);
          } catch (error) {
            waiting.take(call);
            reject(error);
          }
        });
    },
  });
}

function describe(error: unknown): { message: string; code?: string } {
  if (!(error instanceof Error)) return { message: String(error) };
  const code = (error as { code?: unknown }).code;
  return typeof code === 'string' ? { message: error.message, code } : { message: error.message };
}

function revive(error: { message: string; code?: string }): Error {
  return error.code === undefined
    ? new Error(error.message)
    : new WaystoneError(error.code, error.message);
}
