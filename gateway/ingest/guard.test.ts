import { once } from 'node:events';
import net from 'node:net';
import { setImmediate as turn } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { testKeyNamed } from '../../proto/test-data/test-signer.js';
import type { DeviceRecord } from '../core/ports.js';
import { GuardedSocket, type GuardHandler, type OtherPublish } from './guard.js';
import type { ConnectPacket, FiltersPacket, Violation } from './packet-rules.js';

const LIMITS = { controlBytesMax: 200, publishBytesMax: 100_000, unsentBytesMax: 1_000_000 };

const DEVICE: DeviceRecord = {
  id: 1,
  did: 'did:key:guard',
  keyId: new Uint8Array(32),
  publicKey: testKeyNamed('Ed25519', 'guard').publicKey,
  revokedAtUs: null,
};
const UP = 'own/up';

const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0)) close();
});

interface Envelope {
  readonly payload: Buffer;
  readonly packetId: number;
}

/** A real socket pair with the guard on one end, as the broker has it. */
async function guarded(options: { login?: boolean } = {}) {
  const server = net.createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const client = net.connect((server.address() as net.AddressInfo).port, '127.0.0.1');
  client.setNoDelay(true);
  client.on('error', () => undefined);
  const [socket] = (await once(server, 'connection')) as [net.Socket];
  const connects: ConnectPacket[] = [];
  const violations: Violation[] = [];
  const envelopes: Envelope[] = [];
  const publishes: OtherPublish[] = [];
  const subscriptions: FiltersPacket[] = [];
  const unsubscriptions: FiltersPacket[] = [];
  const handler: GuardHandler = {
    connect: (packet) => {
      connects.push(packet);
      if (options.login !== false) setImmediate(() => guard.hold('login', false));
    },
    upDevice: (bytes, start, end) => (bytes.toString('utf8', start, end) === UP ? DEVICE : null),
    envelope: (_device, payload, packetId) => {
      envelopes.push({ payload, packetId });
    },
    subscribe: (packet) => {
      subscriptions.push(packet);
    },
    unsubscribe: (packet) => {
      unsubscriptions.push(packet);
    },
    publish: (packet) => {
      publishes.push({ ...packet, payload: Buffer.from(packet.payload) });
    },
    violation: (violation) => {
      violations.push(violation);
      guard.destroy();
    },
  };
  const guard: GuardedSocket = new GuardedSocket(socket, LIMITS, handler);
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
  const payloads = () => envelopes.map(({ payload }) => payload.toString('latin1'));
  const passedOn = () => passed;
  return {
    client,
    guard,
    socket,
    connects,
    violations,
    envelopes,
    payloads,
    publishes,
    subscriptions,
    unsubscriptions,
    passedOn,
  };
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

/** Length u16 and bytes. */
function field(bytes: string | Uint8Array): Buffer {
  const body = Buffer.from(bytes as string);
  return Buffer.concat([Uint8Array.of(body.length >> 8, body.length & 255), body]);
}

function publish(topic: string | Uint8Array, payload: string | Uint8Array, first = 0x32, id = 7) {
  const idBytes = (first & 6) === 0 ? [] : [id >> 8, id & 255];
  return packet(
    first,
    Buffer.concat([field(topic), Uint8Array.from(idBytes), Buffer.from(payload as string)]),
  );
}

const connectBody = (level = 4, name = 'MQTT', flags = 2, ...fields: (string | Uint8Array)[]) =>
  Buffer.concat([
    field(name),
    Uint8Array.of(level, flags, 0, 9),
    ...(fields.length === 0 ? ['abc'] : fields).map(field),
  ]);
const CONNECT = packet(0x10, connectBody());
const PINGREQ = packet(0xc0, Buffer.alloc(0));
const SUBSCRIBE = packet(0x82, Buffer.concat([Uint8Array.of(0, 1), field('a/+/#'), Buffer.of(1)]));
const UNSUBSCRIBE = packet(0xa2, Buffer.concat([Uint8Array.of(1, 2), field('a'), field('b')]));

describe('packets', () => {
  const large = Buffer.alloc(70_000, 'x');
  const all = Buffer.concat([
    CONNECT,
    publish(UP, 'first'),
    SUBSCRIBE,
    UNSUBSCRIBE,
    publish(UP, large, 0x30),
    PINGREQ,
    publish('own/hello', 'hello', 0x3b, 9),
    publish(UP, '', 0x3a, 65_535),
  ]);

  function expectAll(set: Awaited<ReturnType<typeof guarded>>): void {
    expect(set.violations).toEqual([]);
    expect(set.connects).toEqual([
      { clientId: 'abc', userName: undefined, password: undefined, keepAliveSeconds: 9 },
    ]);
    expect(set.envelopes.map(({ packetId }) => packetId)).toEqual([7, 0, 65_535]);
    expect(set.payloads()).toEqual(['first', large.toString(), '']);
    expect(set.publishes).toEqual([
      { topic: 'own/hello', qos: 1, packetId: 9, payload: Buffer.from('hello') },
    ]);
    expect(set.subscriptions).toEqual([{ packetId: 1, filters: [{ filter: 'a/+/#', qos: 1 }] }]);
    const filters = ['a', 'b'].map((filter) => ({ filter, qos: 0 }));
    expect(set.unsubscriptions).toEqual([{ packetId: 258, filters }]);
    expect(set.passedOn()).toEqual(Buffer.concat([CONNECT, PINGREQ]));
  }

  it('go where they belong, in order, however they come', async () => {
    for (const size of [all.length, 1_000, 7]) {
      const set = await guarded();
      for (let at = 0; at < all.length; at += size) {
        set.client.write(all.subarray(at, at + size));
        if (at < 200 || at % 7_000 === 0) await turn();
      }
      await until(() => set.envelopes.length === 3);
      await until(() => set.passedOn().length >= CONNECT.length + 2);
      expectAll(set);
    }
  });

  it('are the same wherever the stream is split in their first bytes and at their end', async () => {
    const edges = [CONNECT.length, CONNECT.length + 16, CONNECT.length + 29, all.length - 20];
    const cuts = edges.flatMap((edge) => Array.from({ length: 13 }, (_, k) => edge + k - 6));
    for (const cut of cuts) {
      const set = await guarded();
      set.client.write(all.subarray(0, cut));
      await until(() => set.socket.bytesRead === cut);
      set.client.write(all.subarray(cut));
      await until(() => set.envelopes.length === 3);
      await until(() => set.passedOn().length >= CONNECT.length + 2);
      expectAll(set);
    }
  });

  it('are kept whole where they wait, though other clients are read meanwhile', async () => {
    const fields = ['abc', 'own/hello', 'my will', 'a name', 'a password'];
    const connect = packet(0x10, connectBody(4, 'MQTT', 0xce, ...fields));
    const waits = await guarded({ login: false });
    waits.client.write(
      Buffer.concat([connect, publish(UP, 'held'), publish(UP, 'cut off')]).subarray(0, -4),
    );
    await until(() => waits.connects.length === 1);
    const other = await guarded();
    other.client.write(
      Buffer.concat([CONNECT, ...Array.from({ length: 50 }, () => publish(UP, '#'.repeat(300)))]),
    );
    await until(() => other.envelopes.length === 50);
    expect(waits.connects).toMatchObject([
      {
        userName: 'a name',
        password: new Uint8Array(Buffer.from('a password')),
        will: { payload: new Uint8Array(Buffer.from('my will')) },
      },
    ]);
    waits.guard.hold('login', false);
    await until(() => waits.passedOn().length >= connect.length);
    expect(waits.passedOn()).toEqual(connect);
    other.client.write(publish(UP, '#'.repeat(300)));
    await until(() => other.envelopes.length === 51);
    waits.client.write(Buffer.from(' off'));
    await until(() => waits.envelopes.length === 2);
    other.client.write(publish(UP, '#'.repeat(300)));
    await until(() => other.envelopes.length === 52);
    expect(waits.payloads()).toEqual(['held', 'cut off']);
  });

  it('behind CONNECT wait until the login is over, and nothing overtakes', async () => {
    const set = await guarded({ login: false });
    set.client.write(all);
    await until(() => set.connects.length === 1);
    for (let k = 0; k < 20; k++) await turn();
    expect([set.envelopes.length, set.publishes.length]).toEqual([0, 0]);
    expect(set.passedOn()).toEqual(CONNECT);
    set.guard.hold('login', false);
    await until(() => set.envelopes.length === 3);
    await until(() => set.passedOn().length >= CONNECT.length + 2);
    expectAll(set);
  });

  it('carry user name, password and will', async () => {
    const set = await guarded();
    const body = connectBody(3, 'MQIsdp', 0xee, 'id', 'own/hello', 'will', 'me', 'pass');
    set.client.write(packet(0x10, body));
    await until(() => set.connects.length === 1);
    expect(set.connects[0]).toEqual({
      clientId: 'id',
      userName: 'me',
      password: new Uint8Array(Buffer.from('pass')),
      keepAliveSeconds: 9,
      will: { topic: 'own/hello', payload: new Uint8Array(Buffer.from('will')), qos: 1 },
    });
  });

  it('of an exchange that began elsewhere are answered or left alone', async () => {
    const set = await guarded();
    const received: Buffer[] = [];
    set.client.on('data', (chunk: Buffer) => received.push(chunk));
    const acks = [0x40, 0x50, 0x70, 0x62].map((first) => packet(first, Buffer.of(1, 2)));
    set.client.write(Buffer.concat([CONNECT, ...acks, PINGREQ]));
    await until(() => set.passedOn().length === CONNECT.length + PINGREQ.length);
    await until(() => received.length > 0);
    expect(Buffer.concat(received)).toEqual(Buffer.from('70020102', 'hex'));
    expect(set.violations).toEqual([]);
  });
});

describe('a connection is ended', () => {
  const first: [string, Violation['code'], Buffer][] = [
    ['a first packet that is not CONNECT', 'PROTOCOL_UNSUPPORTED', publish(UP, '')],
    ['a CONNECT with flags in its first byte', 'PROTOCOL_UNSUPPORTED', packet(0x16, connectBody())],
    ['MQTT 5', 'PROTOCOL_UNSUPPORTED', packet(0x10, connectBody(5))],
    ['level 6', 'PROTOCOL_UNSUPPORTED', packet(0x10, connectBody(6))],
    ['another protocol\u2019s name', 'PROTOCOL_UNSUPPORTED', packet(0x10, connectBody(4, 'AMQP'))],
    ['a long protocol name', 'PROTOCOL_UNSUPPORTED', packet(0x10, connectBody(4, 'MQTTTTTT'))],
    ['MQIsdp level 4', 'PROTOCOL_UNSUPPORTED', packet(0x10, connectBody(4, 'MQIsdp'))],
    ['a CONNECT over its limit', 'PACKET_TOO_LARGE', packet(0x10, Buffer.alloc(198))],
    ['a length of five bytes', 'PACKET_TOO_LARGE', Buffer.from('108080808001', 'hex')],
    ['an empty CONNECT', 'PACKET_MALFORMED', packet(0x10, Buffer.alloc(0))],
    ['a CONNECT cut in a field', 'PACKET_MALFORMED', packet(0x10, connectBody().subarray(0, -1))],
    [
      'a CONNECT with bytes left',
      'PACKET_MALFORMED',
      packet(0x10, Buffer.concat([connectBody(), Buffer.of(0)])),
    ],
    ['the reserved CONNECT flag', 'PACKET_MALFORMED', packet(0x10, connectBody(4, 'MQTT', 3))],
    [
      'a will of QoS 3',
      'PACKET_MALFORMED',
      packet(0x10, connectBody(4, 'MQTT', 0x1e, 'abc', 't', 'w')),
    ],
    ['will QoS without will', 'PACKET_MALFORMED', packet(0x10, connectBody(4, 'MQTT', 0x0a))],
    ['will retain without will', 'PACKET_MALFORMED', packet(0x10, connectBody(4, 'MQTT', 0x22))],
    [
      'a password without user name',
      'PACKET_MALFORMED',
      packet(0x10, connectBody(4, 'MQTT', 0x42, 'abc', 'secret')),
    ],
    [
      'an empty id that is to be kept',
      'CLIENT_ID_INVALID',
      packet(0x10, connectBody(4, 'MQTT', 0, '')),
    ],
    ['an id with NUL', 'PACKET_MALFORMED', packet(0x10, connectBody(4, 'MQTT', 2, 'a\0c'))],
    [
      'an id that is no UTF-8',
      'PACKET_MALFORMED',
      packet(0x10, connectBody(4, 'MQTT', 2, Buffer.from('61ff', 'hex'))),
    ],
    [
      'an id with a surrogate',
      'PACKET_MALFORMED',
      packet(0x10, connectBody(4, 'MQTT', 2, Buffer.from('eda080', 'hex'))),
    ],
    [
      'a user name with a surrogate',
      'PACKET_MALFORMED',
      packet(0x10, connectBody(4, 'MQTT', 0x82, 'abc', Buffer.from('edbfbf', 'hex'))),
    ],
    [
      'a will topic with a wildcard',
      'PACKET_MALFORMED',
      packet(0x10, connectBody(4, 'MQTT', 6, 'abc', 'a/+', 'w')),
    ],
    [
      'an empty will topic',
      'PACKET_MALFORMED',
      packet(0x10, connectBody(4, 'MQTT', 6, 'abc', '', 'w')),
    ],
    [
      'a will topic with NUL',
      'PACKET_MALFORMED',
      packet(0x10, connectBody(4, 'MQTT', 6, 'abc', 'a\0', 'w')),
    ],
  ];
  it.each(first)('by %s, first of all', async (_what, code, bytes) => {
    const { client, violations, connects, passedOn } = await guarded();
    client.resume();
    client.write(bytes);
    await once(client, 'close');
    expect(violations).toMatchObject([{ code, detail: expect.stringMatching(/\S/) }]);
    expect(connects).toEqual([]);
    expect(passedOn()).toHaveLength(0);
  });

  const id = Buffer.of(0, 1);
  const filter = (bytes: string | Uint8Array, qos = 0) =>
    packet(0x82, Buffer.concat([id, field(bytes), Buffer.of(qos)]));
  const later: [string, Buffer][] = [
    ['a second CONNECT', CONNECT],
    ['the reserved type 0', packet(0x00, Buffer.alloc(0))],
    ['the reserved type 15', packet(0xf0, Buffer.alloc(0))],
    ['a CONNACK', packet(0x20, Buffer.of(0, 0))],
    ['a SUBACK', packet(0x90, Buffer.of(0, 1, 0))],
    ['an UNSUBACK', packet(0xb0, Buffer.of(0, 1))],
    ['a PINGRESP', packet(0xd0, Buffer.alloc(0))],
    ['a PINGREQ with a body', packet(0xc0, Buffer.of(0))],
    ['a PINGREQ with flags', packet(0xc1, Buffer.alloc(0))],
    ['a DISCONNECT with a body', packet(0xe0, Buffer.of(0))],
    ['a DISCONNECT with flags', packet(0xe4, Buffer.alloc(0))],
    ['a PUBACK without packet id', packet(0x40, Buffer.alloc(0))],
    ['a PUBACK with flags', packet(0x42, id)],
    ['a PUBREL without its flag', packet(0x60, id)],
    ['a PUBLISH of QoS 3', publish(UP, '', 0x36)],
    ['a PUBLISH of QoS 0 with DUP', publish(UP, '', 0x38)],
    ['a PUBLISH with packet id 0', publish(UP, 'x', 0x32, 0)],
    ['an empty PUBLISH', packet(0x30, Buffer.alloc(0))],
    ['a PUBLISH of one byte', packet(0x32, Buffer.alloc(1))],
    ['a PUBLISH whose topic is longer than it', packet(0x32, Buffer.of(255, 255, 1, 1))],
    ['a PUBLISH without packet id', packet(0x32, field('topic'))],
    ['an empty topic', publish('', 'x')],
    ['a topic with +', publish('a/+/b', 'x')],
    ['a topic with #', publish('a/#', 'x')],
    ['a topic with NUL', publish('own/up\0', 'x')],
    ['a topic that is no UTF-8', publish(Buffer.from('6fc328', 'hex'), 'x')],
    ['a topic with a surrogate', publish(Buffer.from('6feda081', 'hex'), 'x')],
    ['a topic with an overlong encoding', publish(Buffer.from('c0af', 'hex'), 'x')],
    ['a topic of 101 levels', publish('/'.repeat(100), 'x')],
    ['a SUBSCRIBE without its flag', packet(0x80, SUBSCRIBE.subarray(2))],
    ['a SUBSCRIBE without packet id', packet(0x82, Buffer.alloc(0))],
    ['a SUBSCRIBE with packet id 0', packet(0x82, Buffer.of(0, 0, 0, 1, 97, 0))],
    ['a SUBSCRIBE without a filter', packet(0x82, id)],
    ['a SUBSCRIBE of QoS 3', filter('a', 3)],
    ['a SUBSCRIBE with reserved bits', filter('a', 4)],
    ['a SUBSCRIBE cut in a field', packet(0x82, Buffer.concat([id, field('abc')]))],
    ['a SUBSCRIBE over its limit', filter('a'.repeat(300))],
    ...['', 'a+', '+a', 'a/b+/c', '#/a', 'a#', 'a/#/b', 'a/b#', '##', '++'].map(
      (bad): [string, Buffer] => [`the filter "${bad}"`, filter(bad)],
    ),
    ['a filter with NUL', filter('a\0')],
    ['a filter that is no UTF-8', filter(Buffer.from('ff', 'hex'))],
    ['a filter of 101 levels', filter('/'.repeat(100))],
    [
      'a second filter that is bad',
      packet(0x82, Buffer.concat([id, field('a'), Buffer.of(0), field('b+'), Buffer.of(0)])),
    ],
    ['an UNSUBSCRIBE without a filter', packet(0xa2, id)],
    ['an UNSUBSCRIBE with packet id 0', packet(0xa2, Buffer.of(0, 0, 0, 1, 97))],
    ['an UNSUBSCRIBE with a bad filter', packet(0xa2, Buffer.concat([id, field('a+')]))],
    ['a PUBLISH over its limit', publish(UP, Buffer.alloc(100_000))],
    ['a later length of five bytes', Buffer.from('308080808001', 'hex')],
  ];
  const tooLarge = /over its limit|five bytes/;
  it.each(later)('by %s, later', async (what, bytes) => {
    const { client, violations, payloads, publishes, passedOn } = await guarded();
    client.resume();
    // What stands before it counts, what stands behind it does not.
    client.write(Buffer.concat([CONNECT, publish(UP, 'before'), bytes, publish(UP, 'after')]));
    await once(client, 'close');
    const code = tooLarge.test(what) ? 'PACKET_TOO_LARGE' : 'PACKET_MALFORMED';
    expect(violations).toMatchObject([{ code, detail: expect.stringMatching(/\S/) }]);
    expect(payloads()).toEqual(['before']);
    expect(publishes).toEqual([]);
    expect(passedOn()).toEqual(CONNECT);
  });

  it('by a header alone, wherever it is split, before anything of that packet is gathered', async () => {
    const { client, passedOn, violations } = await guarded();
    client.resume();
    for (const byte of [...CONNECT, 0x32, 0xff, 0xff, 0x7f]) {
      client.write(Uint8Array.of(byte));
      await turn();
    }
    await once(client, 'close');
    expect(violations).toMatchObject([{ code: 'PACKET_TOO_LARGE' }]);
    expect(passedOn()).toEqual(CONNECT);
  });

  const answers: [string, Buffer, string][] = [
    ['MQTT 5', packet(0x10, connectBody(5)), '2003008400'],
    ['MQTT 6', packet(0x10, connectBody(6)), '20020001'],
    ['MQIsdp 4', packet(0x10, connectBody(4, 'MQIsdp')), '20020001'],
    ['an empty id that is to be kept', packet(0x10, connectBody(4, 'MQTT', 0, '')), '20020002'],
    ['a malformed CONNECT', packet(0x10, connectBody(4, 'MQTT', 3)), ''],
  ];
  it.each(answers)(
    'with the CONNACK that is due to %s, also byte by byte',
    async (_, bytes, answer) => {
      for (const size of [bytes.length, 1]) {
        const { client } = await guarded();
        const closed = once(client, 'close');
        let received = '';
        client.on('data', (chunk: Buffer) => {
          received += chunk.toString('hex');
        });
        for (let at = 0; at < bytes.length; at += size) {
          client.write(bytes.subarray(at, at + size));
          await turn();
        }
        await closed;
        expect(received).toBe(answer);
      }
    },
  );

  it('and what was written before still goes out', async () => {
    const { client, guard } = await guarded();
    const answer = Buffer.alloc(100_000, 5);
    let received = 0;
    client.on('data', (chunk: Buffer) => {
      received += chunk.length;
    });
    client.write(CONNECT);
    guard.send(answer);
    guard.destroy();
    await once(client, 'close');
    expect(received).toBe(answer.length);
  });
});

describe('limits', () => {
  it('let packets of exactly that size pass', async () => {
    const { client, envelopes, connects, violations } = await guarded();
    const body = connectBody(4, 'MQTT', 2, 'a'.repeat(200 - 3 - 12));
    const connect = packet(0x10, body);
    const envelope = publish(UP, Buffer.alloc(100_000 - 4 - 8 - 2));
    expect([connect.length, envelope.length]).toEqual([200, 100_000]);
    client.write(Buffer.concat([connect, envelope]));
    await until(() => envelopes.length === 1);
    expect(connects).toHaveLength(1);
    expect(violations).toEqual([]);
  });

  it('count each packet for itself, not their sum', async () => {
    const { client, envelopes, violations } = await guarded();
    const one = publish(UP, Buffer.alloc(1_000));
    client.write(Buffer.concat([CONNECT, ...Array.from({ length: 300 }, () => one)]));
    await until(() => envelopes.length === 300);
    expect(violations).toEqual([]);
  });
});

describe('hold', () => {
  it('stops reading the socket, and everything comes once it is let go', async () => {
    const { client, guard, socket, envelopes, payloads } = await guarded();
    client.write(CONNECT);
    await until(() => guard.hasConnect && !guard.isHeld);
    guard.hold('envelopes', true);
    const wanted = Array.from({ length: 30_000 }, (_, k) => `${k}`.padStart(300));
    client.write(Buffer.concat(wanted.map((payload) => publish(UP, payload))));
    await until(() => client.writableLength > 0 && socket.isPaused());
    const readBefore = socket.bytesRead;
    for (let k = 0; k < 50; k++) await turn();
    expect(socket.bytesRead - readBefore).toBeLessThan(256 * 1024);
    expect(envelopes).toEqual([]);
    guard.hold('hello', true);
    guard.hold('envelopes', false);
    expect(socket.isPaused()).toBe(true);
    guard.hold('hello', false);
    await until(() => envelopes.length === wanted.length);
    expect(payloads()).toEqual(wanted);
  });

  it('stops at that very packet, in the middle of what was read', async () => {
    const set = await guarded();
    const { client, guard, payloads } = set;
    const wanted = Array.from({ length: 100 }, (_, k) => `${k}`);
    let seen = 0;
    const take = guard.handler.envelope;
    guard.handler.envelope = (device, payload, packetId) => {
      take(device, payload, packetId);
      seen += 1;
      if (seen % 7 === 0) guard.hold('envelopes', true);
    };
    client.write(Buffer.concat([CONNECT, ...wanted.map((one) => publish(UP, one))]));
    for (let held = 7; held < 100; held += 7) {
      await until(() => guard.isHeld && seen === held);
      await turn();
      expect(payloads()).toEqual(wanted.slice(0, held));
      guard.hold('envelopes', false);
    }
    await until(() => seen === 100);
    expect(payloads()).toEqual(wanted);
  });

  it('does not keep the end of a connection from being seen once it is let go', async () => {
    const { client, guard, socket, payloads } = await guarded();
    client.write(CONNECT);
    await until(() => guard.hasConnect && !guard.isHeld);
    guard.hold('rate', true);
    const ended = once(socket, 'end');
    client.end(Buffer.concat([publish(UP, 'one'), publish(UP, 'last')]));
    await ended;
    await turn();
    expect(guard.destroyed).toBe(false);
    // Held again in the middle of what is left.
    const take = guard.handler.envelope;
    guard.handler.envelope = (device, payload, packetId) => {
      take(device, payload, packetId);
      guard.hold('hello', true);
    };
    guard.hold('rate', false);
    await turn();
    expect([guard.destroyed, payloads()]).toEqual([false, ['one']]);
    const closed = once(guard, 'close');
    guard.hold('hello', false);
    await closed;
    expect(payloads()).toEqual(['one', 'last']);
  });

  it.each(['end', 'resetAndDestroy'] as const)(
    'does not hide that a client has left (%s)',
    async (leave) => {
      const { client, guard, socket, envelopes } = await guarded();
      client.write(CONNECT);
      await until(() => guard.hasConnect && !guard.isHeld);
      guard.hold('envelopes', true);
      client.write(publish(UP, Buffer.alloc(10_000)));
      await until(() => socket.bytesRead > 10_000);
      const closed = new Promise((resolve) => guard.once('close', resolve));
      client[leave]();
      await closed;
      expect(envelopes).toEqual([]);
    },
  );

  it('stops reading a client that does not take what it is sent, until it does', async () => {
    const { client, guard, socket, envelopes } = await guarded();
    client.pause();
    client.write(CONNECT);
    await until(() => guard.hasConnect && !guard.isHeld);
    while (guard.unsentBytes <= LIMITS.unsentBytesMax) guard.send(Buffer.alloc(100_000));
    expect(guard.isHeld).toBe(true);
    const count = 30_000;
    client.write(
      Buffer.concat(Array.from({ length: count }, () => publish(UP, Buffer.alloc(300)))),
    );
    await until(() => client.writableLength > 0 && socket.isPaused());
    for (let k = 0; k < 50; k++) await turn();
    expect(envelopes).toEqual([]);
    expect(socket.bytesRead).toBeLessThan(256 * 1024);
    client.resume();
    await until(() => envelopes.length === count);
    expect(guard.unsentBytes).toBe(0);
  });

  it('does not keep a client whose connection has ended and who takes nothing', async () => {
    const { client, guard, socket } = await guarded();
    client.pause();
    client.write(CONNECT);
    await until(() => guard.hasConnect && !guard.isHeld);
    while (socket.writableLength < 1_000_000) guard.send(Buffer.alloc(100_000));
    guard.destroy();
    await once(guard, 'close');
    expect(socket.destroyed).toBe(false); // What was written may still go out.
    await until(() => socket.destroyed);
    expect(client.readableEnded).toBe(false);
  });
});
