import { topicOf } from '@waystone/proto';
import { afterEach, expect, it } from 'vitest';
import { TestDevice } from '../harness/device.js';
import { makeHome, removeHome, startInProcess, type TestGateway } from '../harness/gateway.js';
import { connectPacket, DeviceClient, RawClient } from '../harness/mqtt.js';
import { waitFor } from '../harness/wait.js';

let gateway: TestGateway;
let home: string;

afterEach(async () => {
  await gateway?.stop();
  await removeHome(home);
});

async function start(...set: string[]): Promise<void> {
  home = await makeHome();
  gateway = await startInProcess(home, { set });
}

async function enrolled(): Promise<TestDevice> {
  const device = new TestDevice(gateway.did);
  await gateway.enrol(device.did);
  return device;
}

const connections = (): Promise<number> => gateway.metric('waystone_mqtt_connections');

it.each([
  ['messages', ['mqtt.messagesPerSecondMax=50', 'mqtt.bytesPerSecondMax=0'], 150],
  ['bytes', ['mqtt.messagesPerSecondMax=0', 'mqtt.bytesPerSecondMax=20000'], 180],
] as const)(
  'reads a device no faster than its rate of %s, drops nothing, and lets others go on',
  async (_what, set, count) => {
    await start(...set, 'mqtt.burstSeconds=1');
    const client = await DeviceClient.open(gateway, await enrolled());
    const other = await DeviceClient.open(gateway, await enrolled());
    const payloads: Uint8Array[] = [];
    for (let k = 0; k < count; k++) payloads.push(await client.device.envelope());
    const bytes = payloads.reduce((sum, { length }) => sum + length, 0);
    const startMs = performance.now();
    const ids = payloads.map((payload) => client.publish(payload));
    // Another device is not slowed by it.
    await other.deliver(await other.device.envelope());
    for (const id of ids) await client.acknowledged(id);
    const seconds = (performance.now() - startMs) / 1000;
    console.log(`${count} envelopes of ${bytes} bytes in ${seconds.toFixed(1)} s`);
    // Its burst at once, the rest at its rate: no machine can be faster.
    const rest = set[0].endsWith('=50') ? (count - 50) / 50 : (bytes - 20_000) / 20_000;
    expect(seconds).toBeGreaterThan(rest * 0.9);
    for (const payload of payloads) await client.receipt(payload, 'stored');
    expect((await gateway.device(client.device.did)).envelopes).toBe(count);
    expect(await gateway.refused('OVERLOADED')).toBe(0);
  },
);

it('reads a device that says hello again and again no faster than its rate, and lets others go on', async () => {
  // Sixty hellos at once, and one a second after that.
  await start('mqtt.loginsPerMinuteMax=20');
  const client = await DeviceClient.open(gateway, await enrolled());
  const other = await DeviceClient.open(gateway, await enrolled());
  const count = 63;
  const hellos: Uint8Array[] = [];
  for (let k = 0; k < count; k++) hellos.push(await client.device.hello());
  const startMs = performance.now();
  const topic = topicOf(client.device.topicId, 'hello');
  const ids = hellos.map((hello) => client.publish(hello, { topic }));
  const envelope = client.publish(await client.device.envelope());
  await other.deliver(await other.device.envelope());
  for (const id of [...ids, envelope]) await client.acknowledged(id);
  const seconds = (performance.now() - startMs) / 1000;
  console.log(`${count} hellos in ${seconds.toFixed(1)} s`);
  expect(seconds).toBeGreaterThan((count - 60) * 0.9);
  expect(await gateway.refused('OVERLOADED')).toBe(0);
});

it('takes so many connections of one address at once, and others once there is room', async () => {
  await start('mqtt.connectionsPerAddressMax=3');
  const idle = [];
  for (let k = 0; k < 3; k++) idle.push(await RawClient.open(gateway.mqttPort));
  await waitFor('three connections', async () => (await connections()) === 3);
  const fourth = await RawClient.open(gateway.mqttPort);
  await fourth.closed();
  expect(await gateway.refused('OVERLOADED')).toBe(1);
  expect(gateway.logged('OVERLOADED')).toHaveLength(1);
  idle[0]?.cut();
  await waitFor('room', async () => (await connections()) === 2);
  const device = await enrolled();
  const client = await DeviceClient.open(gateway, device);
  await client.deliver(await device.envelope());
});

it('lets connections of one address wait for their turn, and refuses those that would wait too long', async () => {
  await start(
    'mqtt.connectBurstMax=2',
    'mqtt.connectsPerSecondMax=4',
    'mqtt.connectTimeoutSeconds=1',
  );
  const devices = [];
  for (let k = 0; k < 12; k++) devices.push(await enrolled());
  const logins = await Promise.all(devices.map((device) => connectPacket(device)));
  const startMs = performance.now();
  const outcomes = await Promise.all(
    logins.map(async (login) => {
      const raw = await RawClient.open(gateway.mqttPort);
      raw.send(login);
      return waitFor('an answer', () => {
        if (raw.packets.some((packet) => packet.cmd === 'connack')) return 'let in';
        return raw.isClosed ? 'refused' : null;
      });
    }),
  );
  const letIn = outcomes.filter((outcome) => outcome === 'let in').length;
  const seconds = (performance.now() - startMs) / 1000;
  console.log(`${letIn} of ${outcomes.length} logins in ${seconds.toFixed(1)} s`);
  // Two at once, and one each quarter of a second after that, for as long as a CONNECT may take.
  expect(letIn).toBeGreaterThanOrEqual(6);
  expect(seconds).toBeGreaterThan((letIn - 2) / 4 - 0.1);
  expect(await gateway.refused('OVERLOADED')).toBe(outcomes.length - letIn);
});

it('refuses a device that logs in too often, and no other', async () => {
  await start('mqtt.loginsPerMinuteMax=3');
  const device = await enrolled();
  for (let k = 0; k < 3; k++) await (await DeviceClient.open(gateway, device)).end();
  await expect(DeviceClient.open(gateway, device)).rejects.toThrow('refused with 3');
  expect(await gateway.refused('OVERLOADED')).toBe(1);
  await (await DeviceClient.open(gateway, await enrolled())).end();
});

it('cuts off who is silent for longer than its keep-alive allows, or longer than ours', async () => {
  await start('mqtt.keepAliveSecondsMax=1', 'mqtt.connectTimeoutSeconds=300');
  const talking = await DeviceClient.open(gateway, await enrolled(), { keepalive: 1 });
  const clients = [];
  for (const keepalive of [0, 1, 60_000]) {
    clients.push(await DeviceClient.open(gateway, await enrolled(), { keepalive }));
  }
  const stranger = await RawClient.open(gateway.mqttPort); // Has five minutes for its CONNECT.
  const pinging = setInterval(() => talking.raw.send({ cmd: 'pingreq' }), 100);
  try {
    for (const client of clients) await client.raw.closed();
  } finally {
    clearInterval(pinging);
  }
  expect([talking.raw.isClosed, stranger.isClosed]).toEqual([false, false]);
  expect(await connections()).toBe(2);
});
