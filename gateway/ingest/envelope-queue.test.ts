import { describe, expect, it } from 'vitest';
import { testKeyNamed } from '../../proto/test-data/test-signer.js';
import type { Decision, DeviceRecord } from '../core/ports.js';
import { EnvelopeQueue, EnvelopeSource, type QueueLimits } from './envelope-queue.js';

const ARRIVAL = { receivedAtUs: 5, clockTrusted: true };

function deviceOf(id: number): DeviceRecord {
  const { publicKey } = testKeyNamed('Ed25519', `queue ${id}`);
  return { id, did: `did:key:${id}`, keyId: new Uint8Array(32), publicKey, revokedAtUs: null };
}

/** A connection that must not be held twice, nor let go without being held. */
class FakeSource extends EnvelopeSource {
  isHeld = false;

  constructor() {
    super((isHeld) => {
      if (isHeld === this.isHeld) throw new Error(`held is ${isHeld} already`);
      this.isHeld = isHeld;
    });
  }
}

function decision(ticket: number, device: number): Decision {
  return {
    ticket,
    device,
    kind: 'stored',
    frames: 1,
    receipt: new Uint8Array(),
    refusal: null,
    retryCode: null,
  };
}

const MANY = 1_000_000;
const FIRST_PACKET_ID = 1001;
const NO_LIMITS: QueueLimits = {
  inFlightPerConnectionMax: MANY,
  inFlightPerConnectionBytesMax: MANY,
  inFlightPerDeviceMax: MANY,
  inFlightPerDeviceBytesMax: MANY,
  inFlightMax: MANY,
  inFlightBytesMax: MANY,
};

function setUp(limits: Partial<QueueLimits> = {}) {
  const submitted: { ticket: number; device: number; size: number }[] = [];
  const acknowledged: number[] = [];
  const queue = new EnvelopeQueue<FakeSource>(
    { ...NO_LIMITS, ...limits },
    ({ ticket, device, payload }) => submitted.push({ ticket, device, size: payload.length }),
    (_source, packetId, _device, { ticket }) => {
      if (submitted[packetId - FIRST_PACKET_ID]?.ticket !== ticket) {
        throw new Error(`${packetId} is not of ticket ${ticket}`);
      }
      acknowledged.push(ticket);
    },
  );
  const add = (device: DeviceRecord, source: FakeSource, size = 10): number => {
    queue.add(device, new Uint8Array(size), ARRIVAL, source, submitted.length + FIRST_PACKET_ID);
    return submitted.at(-1)?.ticket as number;
  };
  return { queue, submitted, acknowledged, add };
}

describe('settled', () => {
  it('waits for what a device had in flight, not for what comes later or is of others', async () => {
    const { queue, add } = setUp();
    const [one, other] = [deviceOf(1), deviceOf(2)];
    const source = new FakeSource();
    const before = [add(one, source), add(one, source)];
    add(other, source);
    const settled: string[] = [];
    const note = (name: string) => () => settled.push(name);
    void queue.settled(1).then(note('first'));
    void queue.settled(1).then(note('second'));
    const later = add(one, source);
    await queue.settled(3);
    queue.decide([decision(later, 1), decision(before[1] as number, 1)]);
    await queue.settled(3);
    expect(settled).toEqual([]);
    queue.decide([decision(before[0] as number, 1)]);
    await queue.settled(1);
    expect(settled).toEqual(['first', 'second']);
  });
});

describe('acknowledgements', () => {
  it('leave in order of arrival for a device, in whatever order decisions come', () => {
    const { queue, acknowledged, add } = setUp();
    const device = deviceOf(1);
    const source = new FakeSource();
    const [a, b, c, d] = [1, 2, 3, 4].map(() => add(device, source)) as [
      number,
      number,
      number,
      number,
    ];
    queue.decide([decision(c, 1)]);
    expect(acknowledged).toEqual([]);
    queue.decide([decision(d, 1), decision(a, 1)]);
    expect(acknowledged).toEqual([a]);
    queue.decide([decision(b, 1)]);
    expect(acknowledged).toEqual([a, b, c, d]);
    expect(queue.size).toBe(0);
  });

  it('keep that order across a device\u2019s connections', () => {
    const { queue, acknowledged, add } = setUp();
    const device = deviceOf(1);
    const first = add(device, new FakeSource());
    const second = add(device, new FakeSource());
    queue.decide([decision(second, 1)]);
    expect(acknowledged).toEqual([]);
    queue.decide([decision(first, 1)]);
    expect(acknowledged).toEqual([first, second]);
  });

  it('of one device never wait for another device', () => {
    const { queue, acknowledged, add } = setUp();
    add(deviceOf(1), new FakeSource());
    const other = add(deviceOf(2), new FakeSource());
    queue.decide([decision(other, 2)]);
    expect(acknowledged).toEqual([other]);
  });

  it('come once, however often a decision comes', () => {
    const { queue, acknowledged, add } = setUp();
    const ticket = add(deviceOf(1), new FakeSource());
    queue.decide([decision(ticket, 1), decision(ticket, 1)]);
    queue.decide([decision(ticket, 1), decision(999, 1)]);
    expect(acknowledged).toEqual([ticket]);
  });
});

describe('a connection', () => {
  it('is held at its limit and let go at half of it', () => {
    const { queue, add } = setUp({ inFlightPerConnectionMax: 4 });
    const device = deviceOf(1);
    const source = new FakeSource();
    const tickets = [1, 2, 3].map(() => add(device, source));
    expect(source.isHeld).toBe(false);
    tickets.push(add(device, source));
    expect(source.isHeld).toBe(true);
    queue.decide([decision(tickets[0] as number, 1)]);
    expect(source.isHeld).toBe(true);
    queue.decide([decision(tickets[1] as number, 1)]);
    expect(source.isHeld).toBe(false);
  });

  it('is let go again with a limit of one', () => {
    const { queue, add } = setUp({ inFlightPerConnectionMax: 1 });
    const source = new FakeSource();
    for (let k = 0; k < 3; k++) {
      const ticket = add(deviceOf(1), source);
      expect(source.isHeld).toBe(true);
      queue.decide([decision(ticket, 1)]);
      expect(source.isHeld).toBe(false);
    }
  });

  it('is not held for what another one has in flight', () => {
    const { add } = setUp({ inFlightPerConnectionMax: 2 });
    const busy = new FakeSource();
    const calm = new FakeSource();
    for (let k = 0; k < 2; k++) add(deviceOf(1), busy);
    add(deviceOf(2), calm);
    expect([busy.isHeld, calm.isHeld]).toEqual([true, false]);
  });

  it('is held at its limit in bytes as well', () => {
    const { queue, add } = setUp({ inFlightPerConnectionBytesMax: 100 });
    const source = new FakeSource();
    const large = add(deviceOf(1), source, 90);
    expect(source.isHeld).toBe(false);
    const small = add(deviceOf(1), source, 10);
    expect(source.isHeld).toBe(true);
    queue.decide([decision(small, 1)]);
    expect(source.isHeld).toBe(true);
    queue.decide([decision(large, 1)]);
    expect(source.isHeld).toBe(false);
  });

  it('is held for what its device has in flight on connections that it left', () => {
    const { queue, acknowledged, add } = setUp({ inFlightPerDeviceMax: 4 });
    const device = deviceOf(1);
    const tickets: number[] = [];
    const sources = Array.from({ length: 6 }, () => new FakeSource());
    for (const source of sources.slice(0, 4)) tickets.push(add(device, source));
    // One that is read once more, before it can be stopped, and one of another device.
    tickets.push(add(device, sources[4] as FakeSource));
    add(deviceOf(2), sources[5] as FakeSource);
    expect(sources.map(({ isHeld }) => isHeld)).toEqual([false, false, false, true, true, false]);
    // Decided is not enough: the line is as long as what is not acknowledged.
    queue.decide(tickets.slice(1).map((ticket) => decision(ticket, 1)));
    expect(sources.map(({ isHeld }) => isHeld)).toEqual([false, false, false, true, true, false]);
    queue.decide([decision(tickets[0] as number, 1)]);
    expect(sources.some(({ isHeld }) => isHeld)).toBe(false);
    expect(acknowledged).toEqual(tickets);
  });

  it('is held while the gateway holds too many envelopes, first held first let go', () => {
    const { queue, add } = setUp({ inFlightMax: 4 });
    const order: number[] = [];
    const sources = [0, 1, 2].map((k) => {
      const source = new EnvelopeSource((isHeld) => {
        if (isHeld) return;
        order.push(k);
        // It goes on at once, as a client with more to say does.
        for (let n = 0; n < 4 && source.holds === 0; n++) add(deviceOf(k), source as FakeSource);
      });
      return source as FakeSource;
    });
    const tickets = [0, 1, 2, 0, 1, 2].map((k) => add(deviceOf(k), sources[k] as FakeSource));
    expect(sources.map(({ holds }) => holds > 0)).toEqual([true, true, true]);
    queue.decide(tickets.slice(0, 3).map((ticket, k) => decision(ticket, k)));
    expect(order).toEqual([0]);
    expect(queue.size).toBe(4);
  });

  it('is held while the gateway holds too many bytes, and all are let go afterwards', () => {
    const { queue, add } = setUp({ inFlightBytesMax: 100 });
    const first = new FakeSource();
    const second = new FakeSource();
    const large = add(deviceOf(1), first, 100);
    const small = add(deviceOf(2), second, 1);
    expect([first.isHeld, second.isHeld]).toEqual([true, true]);
    expect(queue.bytes).toBe(101);
    queue.decide([decision(small, 2)]);
    expect(second.isHeld).toBe(true);
    queue.decide([decision(large, 1)]);
    expect([first.isHeld, second.isHeld]).toEqual([false, false]);
    expect(queue.bytes).toBe(0);
  });
});

it('gives every envelope a ticket of its own and keeps none', () => {
  const { queue, submitted, add } = setUp();
  const devices = [1, 2, 3].map(deviceOf);
  for (let k = 0; k < 300; k++) add(devices[k % 3] as DeviceRecord, new FakeSource());
  const tickets = submitted.map(({ ticket }) => ticket);
  expect(new Set(tickets).size).toBe(300);
  expect(queue.size).toBe(300);
  queue.decide(submitted.map(({ ticket, device }) => decision(ticket, device)));
  expect([queue.size, queue.bytes]).toEqual([0, 0]);
});

it('remembers few devices that it has answered', () => {
  const { queue, add } = setUp();
  const first = deviceOf(1);
  const devices = Array.from({ length: 20_000 }, (_, k) => ({ ...first, id: k + 1 }));
  const decisions = devices.map((device) => decision(add(device, new FakeSource()), device.id));
  expect(queue.devices).toBe(20_000);
  queue.decide(decisions);
  expect(queue.devices).toBeLessThanOrEqual(1_024);
  expect([queue.size, queue.bytes]).toEqual([0, 0]);
});
