import { setImmediate as turn } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { ConcurrencyLimit } from './concurrency-limit.js';

/** Work that ends when it is told to. */
function piece(started: number[], name: number) {
  let end: (error?: Error) => void = () => undefined;
  const done = new Promise<void>((resolve, reject) => {
    end = (error) => (error === undefined ? resolve() : reject(error));
  });
  const work = async (): Promise<number> => {
    started.push(name);
    await done;
    return name;
  };
  return { work, end };
}

it('runs so many at once, the others in the order they came, and gives each its result', async () => {
  const limit = new ConcurrencyLimit(2);
  const started: number[] = [];
  const pieces = [0, 1, 2, 3].map((name) => piece(started, name));
  const results = pieces.map(({ work }) => limit.run(work));
  await turn();
  expect(started).toEqual([0, 1]);
  expect(limit.waiting).toBe(2);
  pieces[1]?.end();
  await turn();
  expect(started).toEqual([0, 1, 2]);
  for (const { end } of pieces) end();
  expect(await Promise.all(results)).toEqual([0, 1, 2, 3]);
  expect(limit.waiting).toBe(0);
});

it('goes on after work that failed', async () => {
  const limit = new ConcurrencyLimit(1);
  const started: number[] = [];
  const [first, second] = [piece(started, 0), piece(started, 1)];
  const failed = limit.run(first.work);
  const next = limit.run(second.work);
  first.end(new Error('no'));
  await expect(failed).rejects.toThrow('no');
  second.end();
  expect(await next).toBe(1);
});

it('never runs more than its limit when work comes while a place is handed on', async () => {
  const limit = new ConcurrencyLimit(3);
  let running = 0;
  let most = 0;
  const work = async (): Promise<void> => {
    running += 1;
    most = Math.max(most, running);
    await turn();
    running -= 1;
  };
  const nested = async (): Promise<void> => {
    await work();
    await Promise.resolve();
  };
  await Promise.all(
    Array.from({ length: 50 }, () => limit.run(nested).then(() => limit.run(nested))),
  );
  expect(most).toBe(3);
});
