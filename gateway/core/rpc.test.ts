import { MessageChannel, type MessagePort, Worker } from 'node:worker_threads';
import { afterEach, describe, expect, it } from 'vitest';
import { WaystoneError } from './errors.js';
import { answerCall, connectCalls, isCall, type Operations, serveCalls } from './rpc.js';

const open: MessagePort[] = [];
afterEach(() => {
  for (const port of open.splice(0)) port.close();
});

function connected<T extends Operations>(operations: T) {
  const { port1, port2 } = new MessageChannel();
  open.push(port1, port2);
  serveCalls(port2, operations);
  return { calls: connectCalls<T>(port1, 'test'), here: port1, there: port2 };
}

describe('calls between threads', () => {
  it('bring arguments there and results back', async () => {
    const { calls } = connected({
      add: (a: number, b: number) => a + b,
      later: async (bytes: Uint8Array) => bytes.length,
      nothing: () => undefined,
    });
    expect(await calls.add(2, 3)).toBe(5);
    expect(await calls.later(new Uint8Array(7))).toBe(7);
    expect(await calls.nothing()).toBeUndefined();
  });

  it('give each caller its own answer, in whatever order they come', async () => {
    const waiting: (() => void)[] = [];
    const { calls } = connected({
      echo: (value: number) =>
        new Promise<number>((resolve) => {
          waiting.push(() => resolve(value));
          if (waiting.length === 5) for (const answer of waiting.reverse()) answer();
        }),
    });
    const answers = await Promise.all([1, 2, 3, 4, 5].map((value) => calls.echo(value)));
    expect(answers).toEqual([1, 2, 3, 4, 5]);
  });

  it('keep code and message of an error', async () => {
    const { calls } = connected({
      enrol: () => {
        throw new WaystoneError('DEVICE_EXISTS', 'it is already enrolled');
      },
      read: async () => {
        throw Object.assign(new Error('no such file'), { code: 'ENOENT' });
      },
    });
    for (const [call, code, message] of [
      [calls.enrol(), 'DEVICE_EXISTS', 'it is already enrolled'],
      [calls.read(), 'ENOENT', 'no such file'],
    ] as const) {
      const error = await call.catch((thrown) => thrown);
      expect(error).toBeInstanceOf(WaystoneError);
      expect(error).toMatchObject({ code, message });
    }
  });

  it('keep an error without a code as a plain one', async () => {
    const { calls } = connected({
      fail: () => {
        throw new RangeError('out of range');
      },
      failOddly: () => {
        throw 'a string';
      },
    });
    const error = await calls.fail().catch((thrown) => thrown);
    expect(error).not.toBeInstanceOf(WaystoneError);
    expect(error).toMatchObject({ message: 'out of range' });
    await expect(calls.failOddly()).rejects.toThrow('a string');
  });

  it('answer a result that cannot be sent with an error, and go on', async () => {
    const { calls } = connected({ bad: () => () => 1, good: () => 1 });
    await expect(calls.bad()).rejects.toThrow(/could not be cloned/);
    expect(await calls.good()).toBe(1);
  });

  it('reject an argument that cannot be sent, and go on', async () => {
    const { calls } = connected({ take: (value: unknown) => typeof value });
    await expect(calls.take(() => 1)).rejects.toThrow(/could not be cloned/);
    expect(await calls.take(1)).toBe('number');
  });

  it.each(['constructor', 'toString', '__proto__', 'missing'])(
    'know no operation "%s"',
    async (name) => {
      const answer = await answerCall({ known: () => 1 }, { call: 4, name, args: [] });
      expect(answer).toEqual({ answer: 4, error: { message: `no operation ${name}` } });
    },
  );

  it('pass over messages that are no calls', async () => {
    const { calls, here } = connected({ one: () => 1 });
    for (const odd of [null, 5, 'call', {}, { answer: 77 }, []]) here.postMessage(odd);
    expect(await calls.one()).toBe(1);
    expect([null, 5, 'call', {}, { answer: 1 }].some(isCall)).toBe(false);
  });

  it('are rejected, those under way and later ones, when the port closes', async () => {
    const { calls, there } = connected({ never: () => new Promise(() => {}) });
    const underWay = calls.never();
    there.close();
    await expect(underWay).rejects.toMatchObject({ code: 'THREAD_ENDED' });
    await expect(calls.never()).rejects.toMatchObject({ code: 'THREAD_ENDED' });
  });

  it('are rejected when the thread dies', async () => {
    const worker = new Worker(
      'require("node:worker_threads").parentPort.on("message", () => process.exit(1))',
      {
        eval: true,
        execArgv: [],
      },
    );
    const calls = connectCalls<{ work(): void }>(worker, 'test');
    await expect(calls.work()).rejects.toMatchObject({
      code: 'THREAD_ENDED',
      message: 'the test thread has ended',
    });
  });
});
