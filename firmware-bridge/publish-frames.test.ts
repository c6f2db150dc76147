import {
  Device,
  DeviceClosedError,
  DeviceKey,
  type EnvelopeRefusedError,
  type Observation,
} from '@waystone/device-sdk';
import { decodeFrame } from '@waystone/proto';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { FakeGateway, type FakeGatewayOptions } from '../device-sdk/testing/fake-gateway.js';
import { batches, publishFrames } from './publish-frames.js';
import { replayDrive } from './replay.js';

const afterTest: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const undo of afterTest.splice(0).reverse()) await undo();
});

async function connect(options: FakeGatewayOptions = {}) {
  const gateway = await FakeGateway.start(options);
  const device = new Device({
    url: gateway.url,
    signer: DeviceKey.generate(),
    gateway: gateway.did,
    reconnectMinMs: 5,
    reconnectMaxMs: 40,
  });
  afterTest.push(async () => {
    await device.close({ deadlineMs: 0 });
    await gateway.stop();
    expect(gateway.violations).toEqual([]);
  });
  await device.connect();
  return { gateway, device };
}

async function* from<Item>(items: Iterable<Item>): AsyncGenerator<Item> {
  yield* items;
}

const numbered = (count: number): Observation[] =>
  Array.from({ length: count }, (_, timeUs) => ({ timeUs }));

it('brings the whole drive to the gateway exactly once, over a connection that keeps breaking', async () => {
  const { gateway, device } = await connect({
    fate: ({ firstSequence, attempt }) => {
      if (attempt > 1) return 'store';
      return firstSequence % 96 === 0 ? 'drop-after-storing' : 'store';
    },
  });
  const result = await publishFrames(device, 'drive', replayDrive({ speed: 1_000 }), {
    framesPerEnvelope: 32,
    maxDelayMs: 60_000,
  });
  expect(result).toEqual({
    storedEnvelopes: 9,
    storedFrames: 286,
    refusedEnvelopes: 0,
    refusedFrames: 0,
  });
  const frames = [...gateway.stored]
    .sort((a, b) => a.firstSequence - b.firstSequence)
    .flatMap((envelope) => envelope.frames.map((frame) => decodeFrame(frame).timeUs));
  const times: number[] = [];
  for await (const { timeUs } of replayDrive({ speed: Number.POSITIVE_INFINITY }))
    times.push(timeUs);
  expect(frames).toEqual(times);
});

it('goes on after a refusal, and counts and reports it', async () => {
  const { device } = await connect({
    fate: ({ firstSequence }) => (firstSequence === 4 ? { refuse: 'RANGE_CONFLICT' } : 'store'),
  });
  const refusals: EnvelopeRefusedError[] = [];
  const stored: number[] = [];
  const result = await publishFrames(device, 1, from(numbered(10)), {
    framesPerEnvelope: 4,
    onStored: ({ firstSequence }) => stored.push(firstSequence),
    onRefused: (refusal) => refusals.push(refusal),
  });
  expect(result).toEqual({
    storedEnvelopes: 2,
    storedFrames: 6,
    refusedEnvelopes: 1,
    refusedFrames: 4,
  });
  expect(stored).toEqual([0, 8]);
  expect(refusals.map(({ refusal }) => refusal)).toEqual(['RANGE_CONFLICT']);
});

it('hands over what came before the source failed, then fails with its error', async () => {
  const { gateway, device } = await connect();
  const broken = new Error('cable unplugged');
  async function* source() {
    yield* numbered(5);
    throw broken;
  }
  await expect(publishFrames(device, 1, source(), { framesPerEnvelope: 3 })).rejects.toBe(broken);
  await device.close();
  expect(gateway.stored.map(({ frames }) => frames.length)).toEqual([3, 2]);
});

it('fails when the device is closed under it', async () => {
  const { device } = await connect({ fate: () => 'lose-puback-and-receipt' });
  const published = publishFrames(device, 1, from(numbered(3)));
  const rejected = expect(published).rejects.toBeInstanceOf(DeviceClosedError);
  await vi.waitUntil(() => device.unreceipted === 1);
  await device.close({ deadlineMs: 0 });
  await rejected;
});

it.each([{ framesPerEnvelope: 0 }, { framesPerEnvelope: 1_025 }, { maxDelayMs: -1 }])(
  'refuses %o',
  async (options) => {
    const device = { enqueue: () => Promise.reject(new Error('not reached')) };
    await expect(publishFrames(device, 1, from([]), options)).rejects.toThrow(RangeError);
  },
);

describe('batches', () => {
  const collect = async <Item>(source: AsyncIterable<Item>) => {
    const all: Item[] = [];
    for await (const item of source) all.push(item);
    return all;
  };

  it('hold as many as asked, and the last one the rest', async () => {
    expect(await collect(batches(from([1, 2, 3, 4, 5]), 2, 60_000))).toEqual([[1, 2], [3, 4], [5]]);
    expect(await collect(batches(from([]), 2, 60_000))).toEqual([]);
  });

  it('go out unfilled when their first item has waited long enough', async () => {
    let release = () => {};
    const released = new Promise<void>((resolve) => {
      release = resolve;
    });
    async function* source() {
      yield 1;
      yield 2;
      await released; // Only the delay can end the batch before this.
      yield 3;
    }
    const seen: number[][] = [];
    for await (const batch of batches(source(), 100, 1)) {
      seen.push(batch);
      release();
    }
    expect(seen.flat()).toEqual([1, 2, 3]);
    expect(seen.length).toBeGreaterThan(1);
  });

  it('let go of a source that is not wanted any more', async () => {
    let isClosed = false;
    async function* source() {
      try {
        for (let k = 0; ; k++) yield k;
      } finally {
        isClosed = true;
      }
    }
    for await (const batch of batches(source(), 3, 60_000)) {
      expect(batch).toEqual([0, 1, 2]);
      break;
    }
    await vi.waitUntil(() => isClosed);
  });
});
