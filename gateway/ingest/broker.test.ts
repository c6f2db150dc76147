import { once } from 'node:events';
import {
  type Code,
  decodeReceipt,
  didFromKey,
  encodeLoginToken,
  loginTokenInput,
  topicIdFromDid,
  topicOf,
} from '@waystone/proto';
import { connectAsync, type MqttClient } from 'mqtt';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { testKeyNamed } from '../../proto/test-data/test-signer.js';
import { GatewayKey } from '../core/gateway-key.js';
import type { Decision, DeviceRecord, EnvelopeItem } from '../core/ports.js';
import { ReceiptMaker } from '../core/receipt-maker.js';
import { Broker } from './broker.js';

const GATEWAY = new GatewayKey(testKeyNamed('secp256k1', 'broker gateway').privateKey);
const GATEWAY_DID = didFromKey(GATEWAY.publicKey);
const KEY = testKeyNamed('secp256k1', 'broker device');
const DID = didFromKey(KEY.publicKey);
const TOPIC_ID = topicIdFromDid(DID);
const DEVICE: DeviceRecord = {
  id: 1,
  did: DID,
  keyId: new Uint8Array(32).fill(1),
  publicKey: KEY.publicKey,
  revokedAtUs: null,
};

type Submitted = { item: Omit<EnvelopeItem, 'offset' | 'length'>; payload: Uint8Array };

/** A broker whose verifiers and ledger are the test itself. */
async function startBroker(
  options: { enter?: () => Promise<null>; find?: () => DeviceRecord } = {},
) {
  const submitted: Submitted[] = [];
  const counted: Code[] = [];
  const receipts = new ReceiptMaker(GATEWAY, new Uint8Array(16));
  const body = (code: Code, kind: 'refused' | 'retry') => ({
    device: DEVICE.keyId,
    statement: new Uint8Array(32),
    outcome: kind === 'retry' ? { kind, code, afterSeconds: 30 } : { kind, code },
  });
  const silent = () => undefined;
  const broker = await Broker.start(
    {
      host: '127.0.0.1',
      port: 0,
      connectionsMax: 10,
      connectTimeoutSeconds: 5,
      limits: { inFlightPerConnectionMax: 4, inFlightBytesMax: 1_000_000 },
    },
    {
      logger: { trace: silent, debug: silent, info: silent, warn: silent, error: silent },
      clock: { nowUs: () => 1, isTrusted: () => true },
      gatewayKey: GATEWAY.publicKey,
      login: {
        gatewayDid: GATEWAY_DID,
        find: options.find ?? (() => DEVICE),
        enter: options.enter ?? (async () => null),
      },
      submit: (item, payload) => submitted.push({ item, payload: payload.slice() }),
      hello: async () => null,
      config: () => new Uint8Array(1),
      refusalReceipt: (_device, _payload, code) =>
        receipts.forBodies([body(code, 'refused')])[0] as Uint8Array,
      count: (code) => counted.push(code),
    },
  );
  const decide = (ticket: number, kind: Decision['kind'], code: Code | null = null): void => {
    const [receipt] = receipts.forBodies([body(code ?? 'OVERLOADED', 'retry')]);
    broker.decide([
      {
        ticket,
        device: DEVICE.id,
        kind,
        frames: 1,
        receipt: receipt as Uint8Array,
        refusal: null,
        retryCode: code,
      },
    ]);
  };
  return { broker, submitted, counted, decide };
}

async function connect(broker: Broker): Promise<MqttClient> {
  const input = loginTokenInput('secp256k1', {
    device: DID,
    gateway: GATEWAY_DID,
    session: new Uint8Array(16),
    counter: 1,
  });
  return connectAsync(`mqtt://127.0.0.1:${broker.port}`, {
    clientId: TOPIC_ID,
    username: TOPIC_ID,
    password: encodeLoginToken(input, KEY.sign(input)),
    reconnectPeriod: 0,
  });
}

async function until(condition: () => boolean): Promise<void> {
  const end = Date.now() + 10_000;
  while (!condition()) {
    if (Date.now() > end) throw new Error('waited in vain');
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

describe('the broker', () => {
  let set: Awaited<ReturnType<typeof startBroker>>;
  const clients: MqttClient[] = [];
  beforeEach(async () => {
    set = await startBroker();
  });
  afterEach(async () => {
    for (const client of clients.splice(0)) await client.endAsync(true);
    await set.broker.stop(0);
  });
  const open = async () => {
    const client = await connect(set.broker);
    clients.push(client);
    await client.subscribeAsync(topicOf(TOPIC_ID, 'receipt'));
    return client;
  };

  it.each(['DISK_FULL', 'OVERLOADED'] as const)(
    'sends no PUBACK for what is not taken now (%s): a receipt "retry", then the end',
    async (code) => {
      const client = await open();
      const closed = once(client as unknown as NodeJS.EventEmitter, 'close');
      const receipt = once(client as unknown as NodeJS.EventEmitter, 'message');
      let acknowledged = false;
      client.publish(topicOf(TOPIC_ID, 'up'), 'x', { qos: 1 }, (error) => {
        acknowledged = !error;
      });
      await until(() => set.submitted.length === 1);
      set.decide(set.submitted[0]?.item.ticket ?? 0, 'retry', code);
      const [, payload] = (await receipt) as [string, Buffer];
      const { outcome } = decodeReceipt(new Uint8Array(payload)).body;
      expect(outcome).toEqual({ kind: 'retry', code, afterSeconds: 30 });
      expect(set.counted).toEqual([code]);
      await closed;
      expect(acknowledged).toBe(false);
    },
  );

  it('stops reading a device at its window, and goes on once it is answered', async () => {
    const client = await open();
    const payload = Buffer.alloc(60_000);
    for (let k = 0; k < 40; k++) client.publish(topicOf(TOPIC_ID, 'up'), payload, { qos: 1 });
    await until(() => set.submitted.length >= 4);
    for (let k = 0; k < 20; k++) await new Promise((resolve) => setImmediate(resolve));
    // What was read before the hold may follow, not the whole flood.
    expect(set.submitted.length).toBeLessThan(20);
    for (let at = 0; at < 40; at++) {
      await until(() => set.submitted.length > at);
      set.decide(set.submitted[at]?.item.ticket ?? 0, 'stored');
    }
    expect(set.broker.waiting).toBe(0);
  });

  it('acknowledges nothing of a connection that is gone, and keeps nothing of it', async () => {
    const client = await open();
    client.publish(topicOf(TOPIC_ID, 'up'), 'x', { qos: 1 });
    await until(() => set.submitted.length === 1);
    await client.endAsync(true);
    await until(() => set.broker.connections === 0);
    expect(set.broker.isConnected(DEVICE.id)).toBe(false);
    set.decide(set.submitted[0]?.item.ticket ?? 0, 'stored');
    expect(set.broker.waiting).toBe(0);
    expect(set.broker.sendReceipt(DEVICE.id, new Uint8Array(1))).toBe(false);
  });

  it('does not send receipts to a device that has not subscribed to them', async () => {
    const client = await connect(set.broker);
    clients.push(client);
    expect(set.broker.isConnected(DEVICE.id)).toBe(true);
    expect(set.broker.sendReceipt(DEVICE.id, new Uint8Array(1))).toBe(false);
  });
});

it('lets no device in that was revoked while its session was opened', async () => {
  let device = DEVICE;
  const { broker, counted } = await startBroker({
    find: () => device,
    enter: async () => {
      device = { ...DEVICE, revokedAtUs: 1 };
      return null;
    },
  });
  await expect(connect(broker)).rejects.toMatchObject({ code: 5 });
  expect(counted).toEqual(['DEVICE_REVOKED']);
  expect(broker.isConnected(DEVICE.id)).toBe(false);
  await broker.stop(0);
});
