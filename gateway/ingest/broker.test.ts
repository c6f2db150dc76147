import { once } from 'node:events';
import { decodeReceipt, topicOf } from '@waystone/proto';
import { connectAsync, type MqttClient } from 'mqtt';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Broker } from './broker.js';
import { DEVICE, loginToken, openSocket, startBroker, TOPIC_ID, until } from './testing.js';

async function connect(broker: Broker, password = loginToken()): Promise<MqttClient> {
  return connectAsync(`mqtt://127.0.0.1:${broker.port}`, {
    clientId: TOPIC_ID,
    username: TOPIC_ID,
    password,
    reconnectPeriod: 0,
  });
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
      set.decide(set.submitted[0]?.ticket ?? 0, 'retry', code);
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
      set.decide(set.submitted[at]?.ticket ?? 0, 'stored');
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
    set.decide(set.submitted[0]?.ticket ?? 0, 'stored');
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
