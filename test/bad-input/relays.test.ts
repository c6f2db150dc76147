import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  decodeConfig,
  decodeReceipt,
  equalBytes,
  openSignedMessage,
  topicOf,
} from '@waystone/proto';
import { generate, type IConnectPacket } from 'mqtt-packet';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { RelayStatus } from '../../gateway/core/view.js';
import { TestDevice } from '../harness/device.js';
import { makeHome, removeHome, startInProcess, type TestGateway } from '../harness/gateway.js';
import { DeviceClient, nameOf, RawClient } from '../harness/mqtt.js';

let home: string;
let gateway: TestGateway;
let healthy: DeviceClient;
/** On the list of the relay `depot`, and not. */
let listed: TestDevice;
let unlisted: TestDevice;
let secret: string;
let relay: RelayClient;

async function enrolled(): Promise<TestDevice> {
  const device = new TestDevice(gateway.did);
  await gateway.enrol(device.did);
  return device;
}

async function addRelay(name: string, devices: string[] | 'all', did?: string): Promise<string> {
  const body = { name, devices, ...(did !== undefined && { did }) };
  return (await gateway.ask<{ secret: string }>('POST', '/v1/relays', body)).secret;
}

beforeAll(async () => {
  home = await makeHome();
  gateway = await startInProcess(home, { set: ['mqtt.loginDelaySecondsMax=0'] });
  healthy = await DeviceClient.open(gateway, await enrolled());
  listed = await enrolled();
  unlisted = await enrolled();
  secret = await addRelay('depot', [listed.did]);
  relay = await RelayClient.open('depot', secret);
});
afterAll(async () => {
  await gateway?.stop();
  await removeHome(home);
});

/** With `bridgeMode` the highest bit of the level is set, as Mosquitto bridges do. */
type ConnectFields = Partial<IConnectPacket> & { bridgeMode?: boolean };

function relayPacket(
  username: string,
  password: string,
  fields: ConnectFields = {},
): IConnectPacket {
  return {
    cmd: 'connect',
    protocolId: 'MQTT',
    protocolVersion: 4,
    clean: false,
    keepalive: 60,
    clientId: 'host.bridge',
    username,
    password: Buffer.from(password),
    ...fields,
  };
}

/** A relay by hand, subscribed to everything that it may be. */
class RelayClient {
  readonly raw: RawClient;
  #messageId = 0;

  private constructor(raw: RawClient) {
    this.raw = raw;
  }

  static async open(
    name: string,
    password: string,
    fields: ConnectFields = {},
  ): Promise<RelayClient> {
    const raw = await RawClient.open(gateway.mqttPort);
    raw.send(relayPacket(name, password, fields));
    const { returnCode } = await raw.next('connack');
    if (returnCode !== 0) throw new Error(`the login was refused with ${returnCode}`);
    const client = new RelayClient(raw);
    expect(await client.subscribe('ws/v1/+/receipt', 'ws/v1/+/config')).toEqual([0, 0]);
    return client;
  }

  async subscribe(...topics: string[]): Promise<number[]> {
    this.#messageId += 1;
    const subscriptions = topics.map((topic) => ({ topic, qos: 0 as const }));
    this.raw.send({ cmd: 'subscribe', messageId: this.#messageId, subscriptions });
    return (await this.raw.next('suback')).granted as number[];
  }

  /** Publishes at QoS 1 and waits for the PUBACK. */
  async publish(topic: string, payload: Uint8Array, retain = false): Promise<void> {
    this.#messageId += 1;
    const messageId = this.#messageId;
    const message = { topic, payload: Buffer.from(payload), retain, dup: false };
    this.raw.send({ cmd: 'publish', qos: 1, messageId, ...message });
    await this.raw.next('puback', (packet) => packet.messageId === messageId);
  }

  /** Says hello for a device, which opens its session. */
  async hello(device: TestDevice): Promise<void> {
    await this.publish(topicOf(device.topicId, 'hello'), await device.hello());
  }

  up(device: TestDevice, payload: Uint8Array): Promise<void> {
    return this.publish(topicOf(device.topicId, 'up'), payload);
  }

  /** Waits for the receipt of a payload on the device's own topic. */
  async outcome(device: TestDevice, payload: Uint8Array): Promise<object> {
    let outcome: object = {};
    await this.raw.next('publish', (packet) => {
      if (packet.topic !== topicOf(device.topicId, 'receipt')) return false;
      const { body } = decodeReceipt(new Uint8Array(packet.payload as Buffer));
      outcome = body.outcome;
      return equalBytes(body.statement, nameOf(payload));
    });
    return outcome;
  }

  /** Takes an envelope of the listed device: the relay is well. */
  async expectWell(): Promise<void> {
    await this.hello(listed);
    const payload = await listed.envelope();
    await this.up(listed, payload);
    expect(await this.outcome(listed, payload)).toMatchObject({ kind: 'stored' });
  }
}

describe('a login of a relay', () => {
  const answerTo = async (packet: IConnectPacket): Promise<number> => {
    const raw = await RawClient.open(gateway.mqttPort);
    raw.send(packet);
    const { returnCode } = await raw.next('connack');
    await raw.closed();
    return returnCode as number;
  };

  it.each([
    ['another secret', () => 'x'.repeat(43), 4],
    ['a short one', () => 'hunter2', 4],
    ['none', () => '', 4],
    ['its secret and a byte more', () => `${secret}x`, 4],
    ['eight kilobytes', () => 'x'.repeat(7_000), 4],
  ])('with %s is refused', async (_what, password, returnCode) => {
    const counted = await gateway.refused('LOGIN_INVALID');
    expect(await answerTo(relayPacket('depot', password()))).toBe(returnCode);
    expect(await gateway.refused('LOGIN_INVALID')).toBe(counted + 1);
    await relay.expectWell();
  });

  it('without a password is refused', async () => {
    const { password: _, ...packet } = relayPacket('depot', '');
    expect(await answerTo(packet)).toBe(4);
  });

  it.each(['nobody', 'DEPOT', '__proto__', 'depot/../depot', ''])(
    'by the name %j, which no relay has, is refused',
    async (name) => {
      expect(await answerTo(relayPacket(name, secret))).toBe(2);
    },
  );

  it('with a will that is no notice of a bridge is refused', async () => {
    for (const topic of [topicOf(listed.topicId, 'hello'), 'depot/gone', '$SYS/broker/uptime']) {
      const will = { topic, payload: Buffer.from('x'), qos: 1 as const, retain: false };
      expect(await answerTo(relayPacket('depot', secret, { will }))).toBe(5);
    }
  });

  it('under a device\u2019s client id does not push that device off', async () => {
    const clientId = healthy.device.topicId;
    const other = await RelayClient.open('depot', secret, { clientId });
    const { receipt } = await healthy.deliver(await healthy.device.envelope());
    expect(receipt.body.outcome.kind).toBe('stored');
    // The relay has one connection, and this is it now.
    await relay.raw.closed();
    relay = other;
    await relay.expectWell();
  });

  it('does not push off another relay whose bridge made up the same client id', async () => {
    const other = await RelayClient.open('harbour', await addRelay('harbour', 'all'));
    await relay.expectWell();
    await other.hello(unlisted);
    const payload = await unlisted.envelope();
    await other.up(unlisted, payload);
    expect(await other.outcome(unlisted, payload)).toMatchObject({ kind: 'stored' });
    // Each got what its own devices are owed, and nothing else.
    expect(topicsOf(relay)).not.toContain(topicOf(unlisted.topicId, 'receipt'));
    expect(topicsOf(other)).not.toContain(topicOf(listed.topicId, 'receipt'));
    other.raw.cut();
  });
});

/** Topics of the messages that came and were not taken yet. */
function topicsOf({ raw }: RelayClient): string[] {
  return raw.packets.flatMap((packet) => (packet.cmd === 'publish' ? [packet.topic] : []));
}

describe('a Mosquitto bridge', () => {
  const state = '$SYS/broker/connection/host.bridge/state';

  it('with its private level, will and retained notice is let in and stays', async () => {
    const will = { topic: state, payload: Buffer.from('0'), qos: 1 as const, retain: true };
    relay = await RelayClient.open('depot', secret, { will, bridgeMode: true });
    const counted = await gateway.refused('TOPIC_FORBIDDEN');
    await relay.publish(state, Buffer.from('1'), true);
    await relay.expectWell();
    expect(await gateway.refused('TOPIC_FORBIDDEN')).toBe(counted);
  });

  it('that dies leaves no trace of its will', async () => {
    const will = { topic: state, payload: Buffer.from('0'), qos: 1 as const, retain: true };
    const dying = await RelayClient.open('depot', secret, { will, bridgeMode: true });
    dying.raw.cut();
    relay = await RelayClient.open('depot', secret);
    expect(await relay.subscribe(state)).toEqual([128]);
    await relay.expectWell();
  });

  it('of an unknown level is told so', async () => {
    const raw = await RawClient.open(gateway.mqttPort);
    // CONNECT of level 5 with the bridge's bit.
    raw.send(Buffer.from('100d00044d51545485020000000161', 'hex'));
    await raw.closed();
    expect(raw.received.toString('hex')).toBe('20020001');
    await relay.expectWell();
  });
});

describe('a relay may not subscribe to', () => {
  it.each(['#', 'ws/v1/#', '+/+/+/receipt', 'ws/v1/+/up', '$SYS/#'])('%s', async (filter) => {
    expect(await relay.subscribe(filter)).toEqual([128]);
  });

  it('the receipts of a device that it does not carry', async () => {
    expect(await relay.subscribe(topicOf(unlisted.topicId, 'receipt'))).toEqual([128]);
    expect(await relay.subscribe(topicOf(listed.topicId, 'receipt'))).toEqual([0]);
  });
});

describe('what a relay publishes', () => {
  it('for its device is taken, answered on that device’s topics, and its hello with settings', async () => {
    const device = await enrolled();
    const own = await RelayClient.open('own', await addRelay('own', [device.did]));
    await own.hello(device);
    const config = await own.raw.next(
      'publish',
      ({ topic }) => topic === topicOf(device.topicId, 'config'),
    );
    const message = new Uint8Array(config.payload as Buffer);
    const body = openSignedMessage('config', message, gateway.publicKey, device.key.publicKey);
    expect(decodeConfig(body)).toMatchObject({ gateway: gateway.did });
    const payload = await device.envelope();
    await own.up(device, payload);
    expect(await own.outcome(device, payload)).toMatchObject({ kind: 'stored' });
    await own.up(device, payload);
    expect(await own.outcome(device, payload)).toMatchObject({ kind: 'stored' });
    expect(await gateway.device(device.did)).toMatchObject({ envelopes: 1, refused: 0 });
    await gateway.seal();
    expect(await own.outcome(device, payload)).toMatchObject({ kind: 'included' });

    // Once the device is there itself, its receipts are its own.
    const client = await DeviceClient.open(gateway, device);
    const next = await device.envelope();
    await own.up(device, next);
    expect((await client.receipt(next)).receipt.body.outcome.kind).toBe('stored');
    await client.end();
    const last = await device.envelope();
    await own.up(device, last);
    expect(await own.outcome(device, last)).toMatchObject({ kind: 'stored' });
    own.raw.cut();
  });

  it('behind a hello, in one write with it, finds its session open', async () => {
    const own = await RelayClient.open('burst', await addRelay('burst', 'all'));
    const devices = await Promise.all(Array.from({ length: 5 }, enrolled));
    const packets: Buffer[] = [];
    const payloads: Uint8Array[] = [];
    for (const [k, device] of devices.entries()) {
      const payload = await device.envelope();
      payloads.push(payload);
      for (const [channel, body] of [
        ['hello', await device.hello()],
        ['up', payload],
      ] as const) {
        const topic = topicOf(device.topicId, channel);
        const messageId = 100 + 2 * k + (channel === 'up' ? 1 : 0);
        const message = { topic, payload: Buffer.from(body), messageId, retain: false, dup: false };
        packets.push(generate({ cmd: 'publish', qos: 1, ...message }));
      }
    }
    own.raw.send(Buffer.concat(packets));
    for (const [k, device] of devices.entries()) {
      const outcome = await own.outcome(device, payloads[k] as Uint8Array);
      expect(outcome).toMatchObject({ kind: 'stored' });
    }
    own.raw.cut();
  });

  it('before the hello of a new session, in one write with it, is still of an open one', async () => {
    const device = await enrolled();
    const own = await RelayClient.open('anew', await addRelay('anew', [device.did]));
    await own.hello(device);
    const packets: Buffer[] = [];
    const payloads: Uint8Array[] = [];
    const add = (channel: 'up' | 'hello', body: Uint8Array): void => {
      const topic = topicOf(device.topicId, channel);
      const messageId = 100 + packets.length;
      const message = { topic, payload: Buffer.from(body), messageId, retain: false, dup: false };
      packets.push(generate({ cmd: 'publish', qos: 1, ...message }));
    };
    // As a bridge sends it that was offline while the device lost its power and what it had queued.
    for (let k = 0; k < 20; k++) payloads.push(await device.envelope());
    for (const payload of payloads) add('up', payload);
    device.session = randomBytes(16);
    add('hello', await device.hello());
    payloads.push(await device.envelope());
    add('up', payloads.at(-1) as Uint8Array);
    own.raw.send(Buffer.concat(packets));
    for (const payload of payloads) {
      expect(await own.outcome(device, payload)).toMatchObject({ kind: 'stored' });
    }
    expect(await gateway.device(device.did)).toMatchObject({ envelopes: 21, refused: 0 });
    own.raw.cut();
  });

  it('under another device’s topic is refused by its signature', async () => {
    await relay.hello(listed);
    const payload = await unlisted.envelope();
    await relay.up(listed, payload);
    expect(await relay.outcome(listed, payload)).toEqual({
      kind: 'refused',
      code: 'DEVICE_MISMATCH',
    });
    await relay.expectWell();
  });

  it('for a device that is not on its list is not taken, and the device told to come again', async () => {
    const counted = await gateway.refused('TOPIC_FORBIDDEN');
    const before = await gateway.device(unlisted.did);
    const payload = await unlisted.envelope();
    await relay.up(unlisted, payload);
    expect(await relay.outcome(unlisted, payload)).toMatchObject({
      kind: 'retry',
      code: 'TOPIC_FORBIDDEN',
    });
    await relay.publish(topicOf(unlisted.topicId, 'hello'), await unlisted.hello());
    expect(await gateway.refused('TOPIC_FORBIDDEN')).toBe(counted + 2);
    expect(await gateway.device(unlisted.did)).toEqual(before);
    await relay.expectWell();
  });

  it('for a device that is not enrolled is not taken, counted and logged', async () => {
    const stranger = new TestDevice(gateway.did);
    await relay.up(stranger, await stranger.envelope());
    expect(gateway.logged('DEVICE_UNKNOWN')).toEqual([
      expect.objectContaining({
        relay: 'depot',
        detail: expect.stringContaining(stranger.did),
      }),
    ]);
    await relay.expectWell();
  });

  it('for a revoked device is refused for good', async () => {
    const device = await enrolled();
    const all = await RelayClient.open('all', await addRelay('all', 'all'));
    await all.hello(device);
    await gateway.revoke(device.did);
    const payload = await device.envelope();
    await all.up(device, payload);
    expect(await all.outcome(device, payload)).toEqual({ kind: 'refused', code: 'DEVICE_REVOKED' });
    const counted = await gateway.refused('DEVICE_REVOKED');
    await all.hello(device);
    expect(await gateway.refused('DEVICE_REVOKED')).toBe(counted + 1);
    all.raw.cut();
  });

  it('as a wrong hello is refused, and the others of the connection go on', async () => {
    const hello = await listed.hello();
    hello[hello.length - 1] = (hello[hello.length - 1] as number) ^ 1;
    await relay.publish(topicOf(listed.topicId, 'hello'), hello);
    expect(await relay.outcome(listed, hello)).toEqual({ kind: 'refused', code: 'HELLO_INVALID' });
    await relay.expectWell();
  });

  it('elsewhere reaches nobody, not even on topics that devices are subscribed to', async () => {
    const topics = [
      topicOf(healthy.device.topicId, 'receipt'),
      topicOf(listed.topicId, 'receipt'),
      topicOf(listed.topicId, 'config'),
      'ws/v1/receipt',
      'depot/door',
    ];
    const counted = await gateway.refused('TOPIC_FORBIDDEN');
    for (const topic of topics) await relay.publish(topic, Buffer.from('forged'), true);
    expect(await gateway.refused('TOPIC_FORBIDDEN')).toBe(counted + topics.length);
    const { receipt } = await healthy.deliver(await healthy.device.envelope());
    expect(receipt.body.outcome.kind).toBe('stored');
    await relay.expectWell();
    for (const { packets } of [healthy.raw, relay.raw]) {
      const payloads = packets.flatMap((one) => (one.cmd === 'publish' ? [one.payload] : []));
      expect(payloads.map(String)).not.toContain('forged');
    }
  });

  it('at QoS 2 ends its connection', async () => {
    const own = await RelayClient.open('qos', await addRelay('qos', 'all'));
    const topic = topicOf(listed.topicId, 'up');
    const payload = Buffer.from(await listed.envelope());
    own.raw.send({
      cmd: 'publish',
      topic,
      payload,
      qos: 2,
      messageId: 9,
      retain: false,
      dup: false,
    });
    await own.raw.closed();
    await relay.expectWell();
  });

  it('in a session that no hello has named is refused', async () => {
    const device = await enrolled();
    const own = await RelayClient.open('early', await addRelay('early', [device.did]));
    const payload = await device.envelope();
    await own.up(device, payload);
    expect(await own.outcome(device, payload)).toEqual({
      kind: 'refused',
      code: 'SESSION_UNKNOWN',
    });
    own.raw.cut();
  });
});

it('tells a device that opens sessions too fast to wait, envelopes included, and carries the others on', async () => {
  const restless = await enrolled();
  const own = await RelayClient.open('fast', await addRelay('fast', [restless.did, listed.did]));
  const topic = topicOf(restless.topicId, 'hello');
  // Sixty-five new sessions each: the default burst is 1,000.
  const helloOf = (): Promise<Uint8Array> => {
    restless.session = randomBytes(16);
    const queuedSessions = Array.from({ length: 64 }, () => randomBytes(16));
    return restless.hello({ queuedSessions });
  };
  for (let k = 0; k < 15; k++) await own.publish(topic, await helloOf());
  const counted = await gateway.refused('SESSIONS_TOO_MANY');
  const hello = await helloOf();
  await own.publish(topic, hello);
  const later = { kind: 'retry', code: 'SESSIONS_TOO_MANY' };
  expect(await own.outcome(restless, hello)).toMatchObject(later);
  const payload = await restless.envelope();
  await own.up(restless, payload);
  expect(await own.outcome(restless, payload)).toMatchObject(later);
  expect(await gateway.refused('SESSIONS_TOO_MANY')).toBe(counted + 2);
  expect(await gateway.refusals(restless.did)).toEqual([]);
  // The relay stays, and so does its other device.
  await own.hello(listed);
  const others = await listed.envelope();
  await own.up(listed, others);
  expect(await own.outcome(listed, others)).toMatchObject({ kind: 'stored' });
  // A hello that asks for less is taken, and then what it names.
  await own.publish(topic, await restless.hello());
  await own.up(restless, payload);
  expect(await own.outcome(restless, payload)).toMatchObject({ kind: 'stored' });
  own.raw.cut();
});

it('lets a relay that is connected carry other devices at once, when its list is changed', async () => {
  const own = await RelayClient.open('change', await addRelay('change', [listed.did]));
  await own.hello(listed);
  const set = (devices: string[] | 'all') =>
    gateway.ask('PUT', '/v1/relays/change/devices', { devices });
  await set([unlisted.did]);
  const [mine, not] = [await unlisted.envelope(), await listed.envelope()];
  await own.hello(unlisted);
  await own.up(unlisted, mine);
  expect(await own.outcome(unlisted, mine)).toMatchObject({ kind: 'stored' });
  await own.up(listed, not);
  expect(await own.outcome(listed, not)).toMatchObject({ kind: 'retry' });
  await set('all');
  await own.up(listed, not);
  expect(await own.outcome(listed, not)).toMatchObject({ kind: 'stored' });
  own.raw.cut();
});

it('ends the connection of a relay that is removed, and lets it in no more', async () => {
  const password = await addRelay('gone', 'all');
  const own = await RelayClient.open('gone', password);
  const listOf = async () =>
    (await gateway.ask<{ relays: RelayStatus[] }>('GET', '/v1/relays')).relays.find(
      ({ name }) => name === 'gone',
    );
  expect(await listOf()).toMatchObject({ connected: true, devices: null, did: null });
  await gateway.ask('DELETE', '/v1/relays/gone');
  await own.raw.closed();
  expect(await listOf()).toBeUndefined();
  await expect(RelayClient.open('gone', password)).rejects.toThrow('refused with 2');
  // The same name anew has another secret.
  await addRelay('gone', 'all');
  await expect(RelayClient.open('gone', password)).rejects.toThrow('refused with 4');
});

it('lets an enrolled device be a relay, with its own key and beside its own data', async () => {
  const device = await enrolled();
  const carried = await enrolled();
  await addRelay('box', [carried.did], device.did);
  const client = await DeviceClient.open(gateway, device);
  expect(await client.subscribe('ws/v1/+/receipt')).toEqual([0]);
  const hello = await carried.hello();
  await client.acknowledged(client.publish(hello, { topic: topicOf(carried.topicId, 'hello') }));
  const payload = await carried.envelope();
  const messageId = client.publish(payload, { topic: topicOf(carried.topicId, 'up') });
  await client.acknowledged(messageId);
  await client.raw.next(
    'publish',
    (packet) => packet.topic === topicOf(carried.topicId, 'receipt'),
  );
  const { receipt } = await client.deliver(await device.envelope());
  expect(receipt.body.outcome.kind).toBe('stored');
  expect(await gateway.device(carried.did)).toMatchObject({ envelopes: 1 });
  expect(await gateway.device(device.did)).toMatchObject({ envelopes: 1 });
  await client.end();
});

it('keeps relays across a restart, and shows no secret in files or logs', async () => {
  relay.raw.cut();
  await gateway.stop();
  expect(JSON.stringify(gateway.logs)).not.toContain(secret);
  const ledger = readFileSync(join(home, 'data', 'ledger.sqlite'));
  expect(ledger.includes('depot')).toBe(true);
  expect(ledger.includes(secret)).toBe(false);
  gateway = await startInProcess(home, { set: ['mqtt.loginDelaySecondsMax=0'] });
  relay = await RelayClient.open('depot', secret);
  await relay.expectWell();
});
