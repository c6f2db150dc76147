import { type Code, equalBytes, sha256, topicOf } from '@waystone/proto';
import { connect } from 'mqtt';
import { generate, type Packet } from 'mqtt-packet';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TestDevice } from '../harness/device.js';
import { makeHome, removeHome, startInProcess, type TestGateway } from '../harness/gateway.js';
import { connectPacket, DeviceClient, RawClient } from '../harness/mqtt.js';
import { waitFor } from '../harness/wait.js';

let home: string;
let gateway: TestGateway;
let healthy: DeviceClient;
let other: TestDevice;

beforeAll(async () => {
  home = await makeHome();
  gateway = await startInProcess(home, { set: ['mqtt.connectTimeoutSeconds=1'] });
  healthy = await login();
  other = new TestDevice(gateway.did);
  await gateway.enrol(other.did);
});
afterAll(async () => {
  await gateway?.stop();
  await removeHome(home);
});

async function login(): Promise<DeviceClient> {
  const device = new TestDevice(gateway.did);
  await gateway.enrol(device.did);
  return DeviceClient.open(gateway, device);
}

/** Runs `attack`, which must be counted and logged once, while the healthy device goes on. */
async function expectCounted(
  code: Code,
  did: string | undefined,
  attack: () => Promise<void>,
): Promise<void> {
  const counted = await gateway.refused(code);
  const logged = gateway.logged(code, did).length;
  await attack();
  await waitFor(`${code} to be counted`, async () => (await gateway.refused(code)) > counted);
  expect(await gateway.refused(code)).toBe(counted + 1);
  expect(gateway.logged(code, did)).toHaveLength(logged + 1);
  const { receipt } = await healthy.deliver(await healthy.device.envelope());
  expect(receipt.body.outcome.kind).toBe('stored');
  expect(healthy.raw.isClosed).toBe(false);
}

describe('a device that publishes where it may not is told why and cut off', () => {
  const topics: [string, (own: string) => string][] = [
    ['to another device\u2019s up', () => topicOf(other.topicId, 'up')],
    ['to another device\u2019s hello', () => topicOf(other.topicId, 'hello')],
    ['to another device\u2019s receipt', () => topicOf(other.topicId, 'receipt')],
    ['to its own receipt', (own) => topicOf(own, 'receipt')],
    ['to its own config', (own) => topicOf(own, 'config')],
    ['below its own up', (own) => `${topicOf(own, 'up')}/more`],
    ['to a channel that does not exist', (own) => `ws/v1/${own}/constructor`],
    ['to a version that does not exist', (own) => `ws/v2/${own}/up`],
    ['to $SYS', () => '$SYS/broker/clients/total'],
    ['to anything else', () => 'telemetry'],
    ['to a topic of 4 kB', () => 'x'.repeat(4096)],
  ];
  it.each(topics)('%s', async (_where, topicFor) => {
    const client = await login();
    const payload = await client.device.envelope();
    await expectCounted('TOPIC_FORBIDDEN', client.device.did, async () => {
      client.publish(payload, { topic: topicFor(client.device.topicId) });
      const { receipt } = await client.receipt(payload);
      expect(receipt.body.outcome).toEqual({ kind: 'refused', code: 'TOPIC_FORBIDDEN' });
      await client.raw.closed();
      expect(client.raw.packets.filter(({ cmd }) => cmd === 'puback')).toEqual([]);
    });
    expect((await gateway.device(client.device.did)).envelopes).toBe(0);
  });
});

it('refuses QoS 2 with a receipt and closes', async () => {
  const client = await login();
  const payload = await client.device.envelope();
  await expectCounted('QOS_UNSUPPORTED', client.device.did, async () => {
    client.publish(payload, { qos: 2 });
    const { receipt } = await client.receipt(payload);
    expect(receipt.body.outcome).toEqual({ kind: 'refused', code: 'QOS_UNSUPPORTED' });
    await client.raw.closed();
  });
  expect((await gateway.device(client.device.did)).envelopes).toBe(0);
});

describe('a subscription to what is not the device\u2019s own is answered 0x80', () => {
  const filters: [string, (own: string) => string][] = [
    ['another device\u2019s receipts', () => topicOf(other.topicId, 'receipt')],
    ['another device\u2019s envelopes', () => topicOf(other.topicId, 'up')],
    ['its own envelopes', (own) => topicOf(own, 'up')],
    ['everything', () => '#'],
    ['all devices', () => 'ws/v1/+/receipt'],
    ['all that is its own', (own) => `ws/v1/${own}/#`],
    ['$SYS', () => '$SYS/#'],
    ['a shared subscription', (own) => `$share/group/${topicOf(own, 'receipt')}`],
  ];
  it.each(filters)('%s', async (_what, filterFor) => {
    const client = await login();
    await expectCounted('TOPIC_FORBIDDEN', client.device.did, async () => {
      const granted = await client.subscribe(
        filterFor(client.device.topicId),
        topicOf(client.device.topicId, 'config'),
      );
      expect(granted).toEqual([128, 0]);
    });
    const { receipt } = await client.deliver(await client.device.envelope());
    expect(receipt.body.outcome.kind).toBe('stored');
    await client.end();
  });

  it('and it never sees another device\u2019s receipt', async () => {
    const client = await login();
    await client.subscribe(topicOf(healthy.device.topicId, 'receipt'));
    await healthy.deliver(await healthy.device.envelope());
    await client.deliver(await client.device.envelope());
    expect(client.raw.packets.filter(({ cmd }) => cmd === 'publish')).toEqual([]);
    await client.end();
  });
});

describe('a packet over the limit', () => {
  it('is refused by its header, with a receipt, before its body is read', async () => {
    const client = await login();
    await expectCounted('PACKET_TOO_LARGE', client.device.did, async () => {
      client.raw.send(Uint8Array.of(0x32, 0x80, 0x80, 0x80, 0x01)); // PUBLISH of 2 MiB
      const { receipt } = await client.receipt(new Uint8Array());
      expect(receipt.body.outcome).toEqual({ kind: 'refused', code: 'PACKET_TOO_LARGE' });
      expect(equalBytes(receipt.body.statement, sha256(new Uint8Array()))).toBe(true);
      await client.raw.closed();
    });
  });

  it('is answered also while its sender goes on sending', async () => {
    const client = await login();
    await expectCounted('PACKET_TOO_LARGE', client.device.did, async () => {
      client.publish(new Uint8Array(1024 * 1024));
      const { receipt } = await client.receipt(new Uint8Array());
      expect(receipt.body.outcome).toEqual({ kind: 'refused', code: 'PACKET_TOO_LARGE' });
      await client.raw.closed();
    });
  });

  it('is not gathered from a stranger', async () => {
    await expectCounted('PACKET_TOO_LARGE', undefined, async () => {
      const raw = await RawClient.open(gateway.mqttPort);
      raw.send(Uint8Array.of(0x10, 0xff, 0xff, 0xff, 0x7f, 0, 4)); // CONNECT of 256 MiB
      await raw.closed();
      expect(raw.received).toHaveLength(0);
    });
  });

  it('has a length of at most four bytes', async () => {
    await expectCounted('PACKET_TOO_LARGE', undefined, async () => {
      const raw = await RawClient.open(gateway.mqttPort);
      raw.send(Uint8Array.of(0x10, 0x80, 0x80, 0x80, 0x80, 0x01));
      await raw.closed();
    });
  });
});

describe('other protocols', () => {
  it('answers an MQTT 5 CONNECT in the form of MQTT 5', async () => {
    const device = new TestDevice(gateway.did);
    await gateway.enrol(device.did);
    await expectCounted('PROTOCOL_UNSUPPORTED', undefined, async () => {
      const raw = await RawClient.open(gateway.mqttPort);
      raw.send(generate(await connectPacket(device, { protocolVersion: 5 })));
      await raw.closed();
      expect([...raw.received]).toEqual([0x20, 0x03, 0x00, 0x84, 0x00]);
    });
  });

  it('tells an MQTT 5 library that its version is not supported', async () => {
    const device = new TestDevice(gateway.did);
    await gateway.enrol(device.did);
    const password = await device.loginToken();
    await expectCounted('PROTOCOL_UNSUPPORTED', undefined, async () => {
      const client = connect(gateway.mqttUrl, {
        protocolVersion: 5,
        clientId: device.topicId,
        username: device.topicId,
        password,
        reconnectPeriod: 0,
      });
      const error = await new Promise<Error & { code?: unknown }>((resolve) => {
        client.once('error', resolve);
      });
      expect(error.code).toBe(0x84);
      await client.endAsync(true);
    });
  });

  it.each([0, 3, 6, 7, 0x80, 0x85, 255])(
    'answers protocol level %i with return code 1',
    async (level) => {
      const device = new TestDevice(gateway.did);
      await expectCounted('PROTOCOL_UNSUPPORTED', undefined, async () => {
        const bytes = generate(await connectPacket(device));
        const levelAt = bytes.indexOf('MQTT') + 4;
        bytes[levelAt] = level;
        const raw = await RawClient.open(gateway.mqttPort);
        raw.send(bytes);
        await raw.closed();
        expect([...raw.received]).toEqual([0x20, 0x02, 0x00, 0x01]);
      });
    },
  );

  it('reads the level also when CONNECT comes byte by byte', async () => {
    const device = new TestDevice(gateway.did);
    const bytes = generate(await connectPacket(device, { protocolVersion: 5 }));
    await expectCounted('PROTOCOL_UNSUPPORTED', undefined, async () => {
      const raw = await RawClient.open(gateway.mqttPort);
      for (const byte of bytes.subarray(0, 20)) {
        raw.send(Uint8Array.of(byte));
        await new Promise((resolve) => setImmediate(resolve));
      }
      await raw.closed();
      expect([...raw.received]).toEqual([0x20, 0x03, 0x00, 0x84, 0x00]);
    });
  });

  const strangers: [string, Uint8Array | Packet][] = [
    ['an HTTP request', Buffer.from('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n')],
    ['a TLS hello', Buffer.from('16030100a5010000a10303', 'hex')],
    ['zeros', new Uint8Array(64)],
    ['a PUBLISH', { cmd: 'publish', topic: 'x', payload: 'x', qos: 0, dup: false, retain: false }],
    ['a SUBSCRIBE', { cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'x', qos: 0 }] }],
    ['a PINGREQ', { cmd: 'pingreq' }],
    [
      'a CONNECT without protocol',
      Buffer.from(`100e0004${Buffer.from('AMQP').toString('hex')}${'00'.repeat(8)}`, 'hex'),
    ],
  ];
  it.each(strangers)('closes at once on %s', async (_what, first) => {
    await expectCounted('PROTOCOL_UNSUPPORTED', undefined, async () => {
      const raw = await RawClient.open(gateway.mqttPort);
      raw.send(first);
      await raw.closed();
      expect(raw.received).toHaveLength(0);
    });
  });

  it('takes MQTT 3.1', async () => {
    const device = new TestDevice(gateway.did);
    await gateway.enrol(device.did);
    const fields = { protocolId: 'MQIsdp', protocolVersion: 3 } as const;
    const client = await DeviceClient.open(gateway, device, fields);
    const { receipt } = await client.deliver(await device.envelope());
    expect(receipt.body.outcome.kind).toBe('stored');
    await client.end();
  });

  describe.each([
    ['MQTT', 4, 0x84],
    ['MQIsdp', 3, 0x83],
  ] as const)(
    'a bridge that says so in the level of %s (%i)',
    (protocolId, protocolVersion, level) => {
      const fields = { protocolId, protocolVersion, bridgeMode: true };

      it('is let in with a right login and works as any other client', async () => {
        const device = new TestDevice(gateway.did);
        await gateway.enrol(device.did);
        const bytes = generate(await connectPacket(device, fields));
        expect(bytes[bytes.indexOf(protocolId) + protocolId.length]).toBe(level);
        const client = await DeviceClient.open(gateway, device, fields);
        const { receipt } = await client.deliver(await device.envelope());
        expect(receipt.body.outcome.kind).toBe('stored');
        await client.end();
      });

      it('is refused with a wrong one', async () => {
        const device = new TestDevice(gateway.did);
        await expectCounted('DEVICE_UNKNOWN', device.did, async () => {
          const raw = await RawClient.open(gateway.mqttPort);
          raw.send(await connectPacket(device, fields));
          expect((await raw.next('connack')).returnCode).toBe(5);
          await raw.closed();
        });
      });
    },
  );

  it('closes a connection that never sends CONNECT', async () => {
    const silent = await RawClient.open(gateway.mqttPort);
    const halting = await RawClient.open(gateway.mqttPort);
    halting.send(Uint8Array.of(0x10, 0x20, 0x00, 0x04));
    await silent.closed();
    await halting.closed();
  });
});

describe('a packet that is not MQTT, from a device that is logged in, ends its connection and is counted:', () => {
  const packets: [string, (client: DeviceClient) => Uint8Array | Packet][] = [
    [
      'a second CONNECT',
      ({ device }) => ({
        cmd: 'connect',
        protocolId: 'MQTT',
        protocolVersion: 4,
        clean: true,
        keepalive: 0,
        clientId: device.topicId,
      }),
    ],
    ['the reserved type 0', () => Uint8Array.of(0x00, 0x00)],
    ['the reserved type 15', () => Uint8Array.of(0xf0, 0x00)],
    ['QoS 3', () => Uint8Array.of(0x36, 0x05, 0x00, 0x01, 0x78, 0x00, 0x01)],
    [
      'a topic that is longer than its packet',
      () => Uint8Array.of(0x32, 0x04, 0xff, 0xff, 0x78, 0x78),
    ],
    ['a topic with a wildcard', () => Uint8Array.of(0x32, 0x05, 0x00, 0x01, 0x2b, 0x00, 0x01)],
    ['an empty topic', () => Uint8Array.of(0x32, 0x04, 0x00, 0x00, 0x00, 0x01)],
    [
      'a topic of 1,000 levels',
      () =>
        Buffer.from(
          generate({
            cmd: 'publish',
            topic: '/'.repeat(1000),
            payload: '',
            qos: 1,
            messageId: 1,
            dup: false,
            retain: false,
          }),
        ),
    ],
    ['SUBSCRIBE without a filter', () => Uint8Array.of(0x82, 0x02, 0x00, 0x01)],
    ['SUBSCRIBE with packet id 0', () => Buffer.from('8206000000016100', 'hex')],
    ['a filter with a misplaced +', () => Buffer.from('820700010002612b00', 'hex')],
    ['a filter with a misplaced #', () => Buffer.from('820800010003232f6100', 'hex')],
    ['UNSUBSCRIBE without a filter', () => Uint8Array.of(0xa2, 0x02, 0x00, 0x01)],
    ['PINGREQ with a body', () => Uint8Array.of(0xc0, 0x01, 0x00)],
    ['PUBLISH with packet id 0', () => Uint8Array.of(0x32, 0x05, 0x00, 0x01, 0x78, 0x00, 0x00)],
    ['a topic with NUL', () => Uint8Array.of(0x30, 0x04, 0x00, 0x02, 0x78, 0x00)],
    ['a topic that is no UTF-8', () => Uint8Array.of(0x30, 0x04, 0x00, 0x02, 0xc3, 0x28)],
    ['a topic with a surrogate', () => Uint8Array.of(0x30, 0x05, 0x00, 0x03, 0xed, 0xa0, 0x80)],
  ];
  it.each(packets)('%s', async (_what, make) => {
    const client = await login();
    await expectCounted('PACKET_MALFORMED', client.device.did, async () => {
      client.raw.send(make(client));
      await client.raw.closed();
    });
  });
});

describe('a CONNECT that is not MQTT 3.1.1 is not looked at:', () => {
  /** Its flags, then its fields: client id, will topic and message, user name, password. */
  const connectWith = (flags: number, ...fields: Uint8Array[]): Buffer => {
    const body = Buffer.concat([
      Buffer.from('00044d51545404', 'hex'),
      Uint8Array.of(flags, 0, 0),
      ...fields.map((field) => Buffer.concat([Uint8Array.of(0, field.length), field])),
    ]);
    return Buffer.concat([Uint8Array.of(0x10, body.length), body]);
  };
  const id = Buffer.from('device');
  const cases: [string, Code, Buffer, string][] = [
    ['a will of QoS 3', 'PACKET_MALFORMED', connectWith(0x1e, id, id, id), ''],
    ['a password without user name', 'PACKET_MALFORMED', connectWith(0x42, id, id), ''],
    ['an id with NUL', 'PACKET_MALFORMED', connectWith(2, Buffer.of(97, 0)), ''],
    ['an id that is no UTF-8', 'PACKET_MALFORMED', connectWith(2, Buffer.of(0xff)), ''],
    ['an id with a surrogate', 'PACKET_MALFORMED', connectWith(2, Buffer.of(0xed, 0xa0, 0x80)), ''],
    ['the reserved flag', 'PACKET_MALFORMED', connectWith(3, id), ''],
    [
      'an empty id that is to be kept',
      'CLIENT_ID_INVALID',
      connectWith(0, Buffer.of()),
      '20020002',
    ],
    ['9 kB of it', 'PACKET_TOO_LARGE', Buffer.concat([Buffer.of(0x10, 0xa8, 0x46), id]), ''],
  ];
  it.each(cases)('%s', async (_what, code, bytes, answer) => {
    await expectCounted(code, undefined, async () => {
      const raw = await RawClient.open(gateway.mqttPort);
      raw.send(bytes);
      await raw.closed();
      expect(raw.received.toString('hex')).toBe(answer);
    });
  });
});

it('closes connections beyond the limit and lets them in once there is room', async () => {
  const smallHome = await makeHome();
  const small = await startInProcess(smallHome, { set: ['mqtt.connectionsMax=2'] });
  try {
    const device = new TestDevice(small.did);
    await small.enrol(device.did);
    const client = await DeviceClient.open(small, device);
    const idle = await RawClient.open(small.mqttPort);
    const third = await RawClient.open(small.mqttPort);
    await third.closed();
    expect(await small.refused('OVERLOADED')).toBe(1);
    expect(small.logged('OVERLOADED')).toHaveLength(1);
    const { receipt } = await client.deliver(await device.envelope());
    expect(receipt.body.outcome.kind).toBe('stored');
    idle.cut();
    const other = new TestDevice(small.did);
    await small.enrol(other.did);
    const late = await waitFor('room for another device', () =>
      DeviceClient.open(small, other).catch(() => null),
    );
    await late.end();
    await client.end();
  } finally {
    await small.stop();
    await removeHome(smallHome);
  }
});

it('stays up under random bytes from many connections', async () => {
  let seed = 7;
  const random = () => {
    seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0;
    return seed >>> 24;
  };
  const clients: RawClient[] = [];
  for (let k = 0; k < 40; k++) {
    const device = new TestDevice(gateway.did);
    const raw = await RawClient.open(gateway.mqttPort);
    const bytes = Buffer.from(generate(await connectPacket(device)));
    for (let n = 0; n < 4; n++) bytes[random() % bytes.length] = random();
    raw.send(bytes);
    raw.send(Uint8Array.from({ length: 512 }, random));
    clients.push(raw);
  }
  for (const raw of clients) await raw.closed();
  const { receipt } = await healthy.deliver(await healthy.device.envelope());
  expect(receipt.body.outcome.kind).toBe('stored');
});
