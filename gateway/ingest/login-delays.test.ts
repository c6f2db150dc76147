import { setImmediate as turn } from 'node:timers/promises';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { LoginDelays } from './login-delays.js';

const ADDRESS = '192.0.2.7';

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
});
afterEach(() => {
  vi.useRealTimers();
});

/** Fails so often in a row. @returns how long each refusal waits, ms; those that have not come are left. */
async function delaysOf(delays: LoginDelays, failures: number, address = ADDRESS) {
  const startMs = performance.now();
  const waits: number[] = [];
  const all = Array.from({ length: failures }, () =>
    delays.refusal(address).then(() => waits.push(performance.now() - startMs)),
  );
  await vi.advanceTimersToNextTimerAsync();
  while (vi.getTimerCount() > 0) await vi.advanceTimersToNextTimerAsync();
  await Promise.all(all);
  return waits;
}

it('lets the first three failures pass, then doubles the delay up to its longest', async () => {
  const delays = new LoginDelays(4_000);
  expect(await delaysOf(delays, 10)).toEqual([0, 0, 0, 250, 500, 1000, 2000, 4000, 4000, 4000]);
});

it('never exceeds a longest delay that is no power of two', async () => {
  const delays = new LoginDelays(3_000);
  expect((await delaysOf(delays, 9)).slice(3)).toEqual([250, 500, 1000, 2000, 3000, 3000]);
});

it('counts each network for itself, and a /64 as one', async () => {
  const delays = new LoginDelays(4_000);
  await delaysOf(delays, 5);
  expect(await delaysOf(delays, 1, '192.0.2.8')).toEqual([0]);
  await delaysOf(delays, 3, '2001:db8::1');
  expect(await delaysOf(delays, 1, '2001:db8::ffff')).toEqual([250]);
});

it('forgives with time, however many failures there were', async () => {
  const delays = new LoginDelays(4_000);
  for (let k = 0; k < 40; k++) void delays.refusal(ADDRESS);
  await vi.advanceTimersByTimeAsync(20_000);
  expect(await delaysOf(delays, 1)).toEqual([2000]);
  await vi.advanceTimersByTimeAsync(120_000);
  expect(await delaysOf(delays, 1)).toEqual([0]);
});

it('looks at no further login of a network while 64 refusals of it wait, and at all others', async () => {
  const delays = new LoginDelays(4_000);
  for (let k = 0; k < 66; k++) void delays.refusal(ADDRESS);
  expect(delays.isOpen(ADDRESS)).toBe(true);
  void delays.refusal(ADDRESS);
  expect(delays.isOpen(ADDRESS)).toBe(false);
  expect(delays.isOpen('::ffff:192.0.2.7')).toBe(false);
  expect(delays.isOpen('192.0.2.8')).toBe(true);
  await vi.advanceTimersByTimeAsync(250);
  expect(delays.isOpen(ADDRESS)).toBe(true);
});

it('delays nothing when its longest delay is 0', async () => {
  expect(await delaysOf(new LoginDelays(0), 100)).toEqual(Array.from({ length: 100 }, () => 0));
});

it('lets nobody wait once it is stopped', async () => {
  const delays = new LoginDelays(300_000);
  let told = 0;
  for (let k = 0; k < 20; k++) void delays.refusal(ADDRESS).then(() => told++);
  await turn();
  expect(told).toBe(3);
  delays.stop();
  void delays.refusal(ADDRESS).then(() => told++);
  await turn();
  expect(told).toBe(21);
  expect(vi.getTimerCount()).toBe(0);
});

it('remembers a bounded number of networks, and forgets the quietest first', async () => {
  const delays = new LoginDelays(4_000);
  for (let k = 0; k < 50_000; k++) {
    void delays.refusal(`10.${k >> 16}.${(k >> 8) & 255}.${k & 255}`);
    if (k % 5_000 === 0) void delays.refusal('loud');
  }
  expect(delays.size).toBe(10_000);
  await vi.advanceTimersByTimeAsync(4_000);
  expect(await delaysOf(delays, 1, 'loud')).toEqual([4_000]);
  expect(await delaysOf(delays, 1, '10.0.0.0')).toEqual([0]);
});
