import { once } from 'node:events';
import net from 'node:net';
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
import { generate } from 'mqtt-packet';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { testKeyNamed } from '../../proto/test-data/test-signer.js';
import type { Config } from '../core/config.js';
import { GatewayKey } from '../core/gateway-key.js';
import type { Decision, DeviceRecord, EnvelopeItem } from '../core/ports.js';
import { ReceiptMaker } from '../core/receipt-maker.js';
import { Broker } from './broker.js';
import type { LoginDeps } from './login.js';
import { loginChecks } from './login-checks.js';

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

/** The checks of the login thread, in this one. */
const checks = loginChecks({ did: GATEWAY_DID, publicKey: GATEWAY.publicKey });
const CHECKS: LoginDeps['checks'] = {
  isDid: async (did) => checks.isDid(did),
  token: async (token, key) => checks.token(token, key),
  hello: async (payload, key) => checks.hello(payload, key),
  secret: async (secret, kept) => checks.secret(secret, kept),
};

type Submitted = { item: Omit<EnvelopeItem, 'offset' | 'length'>; payload: Uint8Array };

/** A broker whose verifiers and ledger are the test itself. */
async function startBroker(
  options: {
    enter?: () => Promise<null>;
    find?: () => DeviceRecord;
    config?: Partial<Config['mqtt']>;
  } = {},
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
      connectionsMax: 50,
      connectionsPerAddressMax: 50,
      connectsPerSecondMax: 1000,
      connectBurstMax: 1000,
      loginsPerMinuteMax: 100,
      inFlightPerConnectionMax: 4,
      inFlightPerConnectionBytesMax: 1_000_000,
      inFlightPerDeviceMax: 8,
      inFlightPerDeviceBytesMax: 1_000_000,
      inFlightMax: 100,
      inFlightBytesMax: 1_000_000,
      messagesPerSecondMax: 0,
      bytesPerSecondMax: 0,
      burstSeconds: 1,
      unsentBytesMax: 1_000_000,
      slowReaderSeconds: 30,
      keepAliveSecondsMax: 60,
      connectTimeoutSeconds: 5,
      loginDelaySecondsMax: 10,
      ...options.config,
    },
    {
      logger: { trace: silent, debug: silent, info: silent, warn: silent, error: silent },
      clock: { nowUs: () => 1, isTrusted: () => true, monotonicMs: () => 1 },
      login: {
        checks: CHECKS,
        find: options.find ?? (() => DEVICE),
        findRelay: () => undefined,
        relayOf: () => undefined,
        enter: options.enter ?? (async () => null),
      },
      submit: (item, payload) => submitted.push({ item, payload: payload.slice() }),
      hello: async () => null,
      config: () => new Uint8Array(1),
      refusalReceipt: (_device, _payload, code, kind) =>
        receipts.forBodies([body(code, kind)])[0] as Uint8Array,
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

async function connect(broker: Broker, password = loginToken()): Promise<MqttClient> {
  return connectAsync(`mqtt://127.0.0.1:${broker.port}`, {
    clientId: TOPIC_ID,
    username: TOPIC_ID,
    password,
    reconnectPeriod: 0,
  });
}

function loginToken(): string {
  const input = loginTokenInput('secp256k1', {
    device: DID,
    gateway: GATEWAY_DID,
    session: new Uint8Array(16),
    counter: 1,
  });
  return encodeLoginToken(input, KEY.sign(input));
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

it('lets refused logins wait, ever longer, while right ones get in and a stop waits for none', async () => {
  const { broker, counted } = await startBroker({ config: { loginDelaySecondsMax: 300 } });
  const answers: string[] = [];
  const closed = Array.from({ length: 15 }, async () => {
    const socket = openSocket(broker, 'wrong');
    let answer = '';
    socket.on('data', (chunk) => {
      answer += chunk.toString('hex');
    });
    await once(socket, 'close');
    answers.push(answer);
  });
  await until(() => counted.length === 15);
  const right = await connect(broker);
  // The first three wait not at all, the last ones for minutes.
  await until(() => answers.length >= 3);
  expect(answers.length).toBeLessThan(12);
  expect(new Set(answers)).toEqual(new Set(['20020004']));
  expect(counted).toEqual(Array.from({ length: 15 }, () => 'LOGIN_INVALID'));
  await right.endAsync(true);
  await broker.stop(0);
  await Promise.all(closed);
});

it('looks at no login while too many refusals of its address wait, and says so', async () => {
  const { broker, counted } = await startBroker({ config: { loginDelaySecondsMax: 300 } });
  const overloaded = () => counted.filter((code) => code === 'OVERLOADED').length;
  /** Fails until it is not looked at any more; refusals wait though their clients have left. */
  const fill = async (): Promise<void> => {
    const before = overloaded();
    while (overloaded() === before) {
      const answered = counted.length;
      const socket = openSocket(broker, 'wrong');
      await until(() => counted.length > answered);
      socket.destroy();
    }
  };
  let refusal: unknown;
  while (refusal === undefined) {
    await fill();
    // One of the short waits may end just then, and leave room for this one.
    const right = await connect(broker).catch((error) => {
      refusal = error.code;
    });
    await right?.endAsync(true);
  }
  expect(refusal).toBe(3);
  expect(new Set(counted)).toEqual(new Set(['LOGIN_INVALID', 'OVERLOADED']));
  await broker.stop(0);
});

it('checks a bounded number of logins at once, and none of a client that has left', async () => {
  let entering = 0;
  let most = 0;
  let letIn = (): void => undefined;
  const gate = new Promise<void>((resolve) => {
    letIn = resolve;
  });
  const { broker } = await startBroker({
    enter: async () => {
      entering += 1;
      most = Math.max(most, entering);
      await gate;
      return null;
    },
  });
  const sockets = Array.from({ length: 45 }, () => {
    return openSocket(broker, loginToken());
  });
  await until(() => broker.connections === 45 && entering === 32);
  for (const socket of sockets) socket.destroy();
  await until(() => broker.connections === 0);
  letIn();
  const client = await connect(broker);
  expect(most).toBe(33);
  await client.endAsync(true);
  await broker.stop(0);
});

/** Sends a CONNECT and does nothing more. */
function openSocket(broker: Broker, password: string): net.Socket {
  const socket = net.connect(broker.port, '127.0.0.1');
  socket.on('error', () => undefined);
  socket.write(
    generate({
      cmd: 'connect',
      protocolId: 'MQTT',
      protocolVersion: 4,
      clean: true,
      keepalive: 0,
      clientId: TOPIC_ID,
      username: TOPIC_ID,
      password: Buffer.from(password),
    }),
  );
  return socket;
}
