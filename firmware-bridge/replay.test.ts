import { expect, it } from 'vitest';
import { type Clock, pace } from './pace.js';
import { replayDrive } from './replay.js';

/** A clock that jumps to where a sleeper wants it, and always wakes it late. */
class LateClock implements Clock {
  ms = 5_000;
  readonly #lateMs: number;

  constructor(lateMs = 0) {
    this.#lateMs = lateMs;
  }

  nowMs(): number {
    return this.ms;
  }

  async sleep(ms: number, signal: AbortSignal | undefined): Promise<void> {
    signal?.throwIfAborted();
    this.ms += ms + this.#lateMs;
  }
}

it.each([1, 20, 0.5])('paces the drive at %d times its speed, without drift', async (speed) => {
  const clock = new LateClock(3);
  const startMs = clock.ms;
  let firstUs: number | undefined;
  let frames = 0;
  for await (const { timeUs } of replayDrive({ speed }, clock)) {
    firstUs ??= timeUs;
    const dueMs = startMs + (timeUs - firstUs) / 1_000 / speed;
    // Every timer is 3 ms late, and so is each frame; not the 286th by 858 ms.
    expect(clock.ms).toBeGreaterThanOrEqual(dueMs - 1e-6);
    expect(clock.ms).toBeLessThanOrEqual(dueMs + 3 + 1e-6);
    frames += 1;
  }
  expect(frames).toBe(286);
});

it('does not wait at speed Infinity, and keeps the recorded times', async () => {
  const clock = new LateClock(1);
  const times: number[] = [];
  for await (const { timeUs } of replayDrive({ speed: Number.POSITIVE_INFINITY }, clock)) {
    times.push(timeUs);
  }
  expect(clock.ms).toBe(5_000);
  expect(new Date((times[0] as number) / 1_000).toISOString()).toBe('2018-08-02T16:14:48.299Z');
  expect(times).toEqual([...times].sort((a, b) => a - b));
});

it('hands over at once what came due while the consumer was busy', async () => {
  const clock = new LateClock();
  const seenMs: number[] = [];
  const items = [0, 100, 200, 300, 400].map((ms) => ({ timeUs: ms * 1_000 }));
  for await (const _item of pace(items, { speed: 1 }, clock)) {
    seenMs.push(clock.ms - 5_000);
    if (seenMs.length === 1) clock.ms += 250;
  }
  expect(seenMs).toEqual([0, 250, 250, 300, 400]);
});

it('can be replayed again from the start', async () => {
  const replay = replayDrive({ speed: Number.POSITIVE_INFINITY });
  for (let round = 0; round < 2; round++) {
    let frames = 0;
    for await (const _frame of replay) frames += 1;
    expect(frames).toBe(286);
  }
});

it('stops with the reason of its signal, also in the middle of a wait', async () => {
  const stop = new AbortController();
  const reason = new Error('the operator said so');
  const seen: number[] = [];
  const read = async () => {
    for await (const { timeUs } of replayDrive({ speed: 1e-6, signal: stop.signal })) {
      seen.push(timeUs);
      setImmediate(() => stop.abort(reason)); // The next frame is 28 hours away.
    }
  };
  await expect(read()).rejects.toBe(reason);
  expect(seen).toHaveLength(1);
  await expect(read()).rejects.toBe(reason);
});

it.each([0, -1, Number.NaN])('refuses the speed %d at once', (speed) => {
  expect(() => replayDrive({ speed })).toThrow('speed must be a number above 0');
});

it('says which folder has no recording', async () => {
  const frames = replayDrive({ folder: '/nonexistent/drive' })[Symbol.asyncIterator]();
  await expect(frames.next()).rejects.toThrow('/nonexistent/drive');
});
