import { once } from 'node:events';
import net from 'node:net';
import { setImmediate as turn } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { GuardedSocket, type Violation } from './guard.js';

const LIMITS = { connectBytesMax: 200, packetBytesMax: 1000 };

const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0)) close();
});

/** A real socket pair with the guard on one end, as the broker has it. */
async function guarded() {
  const server = net.createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const client = net.connect((server.address() as net.AddressInfo).port, '127.0.0.1');
  client.setNoDelay(true);
  client.on('error', () => undefined);
  const [socket] = (await once(server, 'connection')) as [net.Socket];
  const violations: Violation[] = [];
  const guard = new GuardedSocket(socket, LIMITS, (violation) => {
    violations.push(violation);
    guard.destroy();
  });
  guard.on('error', () => undefined);
  let passed = Buffer.alloc(0);
  guard.on('data', (chunk: Buffer) => {
    passed = Buffer.concat([passed, chunk]);
  });
  closers.push(() => {
    client.destroy();
    guard.destroy();
    server.close();
  });
  return { client, guard, socket, violations, passed: () => passed };
}

/** Turns the event loop until something holds. */
async function until(condition: () => boolean): Promise<void> {
  const end = Date.now() + 10_000;
  while (!condition()) {
    if (Date.now() > end) throw new Error('waited in vain');
    await turn();
  }
}

function packet(first: number, body: Uint8Array): Buffer {
  const length: number[] = [];
  let left = body.length;
  do {
    const more = left > 127;
    length.push((left % 128) | (more ? 128 : 0));
    left = Math.floor(left / 128);
  } while (left > 0);
  return Buffer.concat([Uint8Array.of(first, ...length), body]);
}

const connectBody = (level = 4, name = 'MQTT') =>
  Buffer.concat([
    Uint8Array.of(0, name.length),
    Buffer.from(name),
    Uint8Array.of(level, 2, 0, 0, 0, 3),
    Buffer.from('abc'),
  ]);
const CONNECT = packet(0x10, connectBody());
const PUBLISH = packet(0x30, Buffer.alloc(300, 7));

describe('bytes', () => {
  it('pass unchanged wherever they are split', async () => {
    const all = Buffer.concat([CONNECT, PUBLISH, packet(0xc0, Buffer.alloc(0)), PUBLISH]);
    const { client, passed, violations } = await guarded();
    // The header bytes of the first two packets one by one, then in threes.
    for (let at = 0; at < all.length; ) {
      const size = at < CONNECT.length + 8 ? 1 : 3;
      client.write(all.subarray(at, at + size));
      at += size;
      await turn();
    }
    await until(() => passed().length === all.length);
    expect(passed()).toEqual(all);
    expect(violations).toEqual([]);
  });

  it.each(Array.from({ length: CONNECT.length + 3 }, (_, at) => at + 1))(
    'pass when the stream is split after byte %i',
    async (at) => {
      const all = Buffer.concat([CONNECT, PUBLISH]);
      const { client, socket, passed } = await guarded();
      client.write(all.subarray(0, at));
      await until(() => socket.bytesRead >= at);
      client.write(all.subarray(at));
      await until(() => passed().length === all.length);
      expect(passed()).toEqual(all);
    },
  );

  it('are held back until the protocol level is known', async () => {
    const { client, socket, passed } = await guarded();
    client.write(CONNECT.subarray(0, 8));
    await until(() => socket.bytesRead === 8);
    expect(passed()).toHaveLength(0);
    client.write(CONNECT.subarray(8));
    await until(() => passed().length === CONNECT.length);
  });
});

describe('a connection is ended', () => {
  const cases: [string, Violation['code'], Buffer][] = [
    ['a first packet that is not CONNECT', 'PROTOCOL_UNSUPPORTED', PUBLISH],
    ['a CONNECT with flags in its first byte', 'PROTOCOL_UNSUPPORTED', packet(0x16, connectBody())],
    ['MQTT 5', 'PROTOCOL_UNSUPPORTED', packet(0x10, connectBody(5))],
    ['level 6', 'PROTOCOL_UNSUPPORTED', packet(0x10, connectBody(6))],
    ['another protocol\u2019s name', 'PROTOCOL_UNSUPPORTED', packet(0x10, connectBody(4, 'AMQP'))],
    ['a CONNECT over its limit', 'PACKET_TOO_LARGE', packet(0x10, Buffer.alloc(198))],
    [
      'a packet over its limit',
      'PACKET_TOO_LARGE',
      Buffer.concat([CONNECT, packet(0x30, Buffer.alloc(998))]),
    ],
    [
      'a length of five bytes',
      'PACKET_TOO_LARGE',
      Buffer.from('308080808001', 'hex').fill(0x10, 0, 1),
    ],
  ];
  it.each(cases)('by %s', async (_what, code, bytes) => {
    const { client, violations } = await guarded();
    client.resume();
    client.write(bytes);
    await once(client, 'close');
    expect(violations).toMatchObject([{ code, detail: expect.stringMatching(/\S/) }]);
  });

  it('by a header alone, wherever it is split, and passes nothing of that packet', async () => {
    const { client, passed, violations } = await guarded();
    client.resume();
    for (const byte of [...CONNECT, 0x32, 0xff, 0xff, 0x7f]) {
      client.write(Uint8Array.of(byte));
      await turn();
    }
    await once(client, 'close');
    expect(violations).toMatchObject([{ code: 'PACKET_TOO_LARGE' }]);
    expect(passed().length).toBeLessThanOrEqual(CONNECT.length + 3);
  });

  it('with the CONNACK that its protocol version understands', async () => {
    for (const [level, answer] of [
      [5, '2003008400'],
      [6, '20020001'],
    ] as const) {
      const { client } = await guarded();
      let received = '';
      client.on('data', (chunk: Buffer) => {
        received += chunk.toString('hex');
      });
      client.write(packet(0x10, connectBody(level)));
      await once(client, 'close');
      expect(received).toBe(answer);
    }
  });

  it('and what was written before still goes out', async () => {
    const { client, guard } = await guarded();
    const answer = Buffer.alloc(100_000, 5);
    let received = 0;
    client.on('data', (chunk: Buffer) => {
      received += chunk.length;
    });
    client.write(CONNECT);
    guard.write(answer);
    await turn();
    guard.destroy();
    await once(client, 'close');
    expect(received).toBe(answer.length);
  });
});

describe('limits', () => {
  it('let packets of exactly that size pass', async () => {
    const { client, passed, violations } = await guarded();
    const first = Buffer.concat([CONNECT.subarray(2), Buffer.alloc(197 - CONNECT.length + 2)]);
    const all = Buffer.concat([packet(0x10, first), packet(0x30, Buffer.alloc(997))]);
    client.write(all);
    await until(() => passed().length === all.length);
    expect(violations).toEqual([]);
  });

  it('count each packet for itself, not their sum', async () => {
    const { client, passed, violations } = await guarded();
    const all = Buffer.concat([CONNECT, ...Array.from({ length: 200 }, () => PUBLISH)]);
    client.write(all);
    await until(() => passed().length === all.length);
    expect(violations).toEqual([]);
  });
});

describe('hold', () => {
  it('stops reading the socket, and everything comes once it is let go', async () => {
    const { client, guard, socket, passed } = await guarded();
    client.write(CONNECT);
    await until(() => passed().length === CONNECT.length);
    guard.hold('envelopes', true);
    const flood = Buffer.concat(Array.from({ length: 30_000 }, () => PUBLISH));
    client.write(flood);
    await until(() => client.writableLength > 0 && socket.isPaused());
    const readBefore = socket.bytesRead;
    for (let k = 0; k < 50; k++) await turn();
    expect(socket.bytesRead - readBefore).toBeLessThan(256 * 1024);
    expect(socket.bytesRead).toBeLessThan(flood.length / 2);
    guard.hold('hello', true);
    guard.hold('envelopes', false);
    expect(socket.isPaused()).toBe(true);
    guard.hold('hello', false);
    await until(() => passed().length === CONNECT.length + flood.length);
  });

  it('does not keep the end of a connection from being seen once it is let go', async () => {
    const { client, guard, passed } = await guarded();
    client.write(CONNECT);
    await until(() => passed().length === CONNECT.length);
    guard.hold('envelopes', true);
    client.end(PUBLISH);
    const closed = once(guard, 'close');
    guard.hold('envelopes', false);
    await closed;
    expect(passed().length).toBe(CONNECT.length + PUBLISH.length);
  });
});
