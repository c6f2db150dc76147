import { setTimeout as delay } from 'node:timers/promises';
import { topicOf } from '@waystone/proto';
import { generate } from 'mqtt-packet';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { residentBytesOf } from '../bench/machine.js';
import { TestDevice } from '../harness/device.js';
import { GatewayProcess, makeHome, removeHome } from '../harness/gateway.js';
import { DeviceClient } from '../harness/mqtt.js';
import { waitFor } from '../harness/wait.js';
import { HealthyDevices, UNHURT } from './healthy-device.js';

/** Envelopes of the frozen device whose receipts it misses. */
const MISSED = 10;

/** Packets that it sends in one go while the gateway still reads it. */
const BURST = 200;

const HEALTHY = 3;

const mib = (bytes: number): number => Math.round(bytes / 2 ** 20);

let gateway: GatewayProcess;
let home: string;

beforeEach(async () => {
  home = await makeHome();
  gateway = await GatewayProcess.start(home, {
    set: [
      'mqtt.slowReaderSeconds=2',
      'mqtt.unsentBytesMax=65536',
      'mqtt.messagesPerSecondMax=0',
      'mqtt.bytesPerSecondMax=0',
      'mqtt.keepAliveSecondsMax=2',
    ],
  });
});

afterEach(async () => {
  await gateway?.kill();
  await removeHome(home);
});

async function open(): Promise<DeviceClient> {
  const device = new TestDevice(gateway.did);
  await gateway.enrol(device.did);
  return DeviceClient.open(gateway, device);
}

const connections = (): Promise<number> => gateway.metric('waystone_mqtt_connections');

it('serves healthy devices beside one that takes nothing of what it is sent, and cuts that one off', async () => {
  const healthy = await HealthyDevices.start(gateway, HEALTHY);
  const frozen = await open();
  const { device, raw } = frozen;
  const payloads: Uint8Array[] = [];
  for (let k = 0; k < MISSED; k++) payloads.push(await device.envelope());
  const pid = gateway.process.pid as number;
  const before = residentBytesOf(pid);

  // From here on nobody reads its socket; its receive window and then the gateway's buffer fill up.
  raw.socket.pause();
  for (const payload of payloads) frozen.publish(payload);
  const last = payloads.at(-1) as Uint8Array;
  const topic = topicOf(device.topicId, 'up');
  const again = generate({
    cmd: 'publish',
    topic,
    payload: Buffer.from(last),
    qos: 1,
    messageId: 999,
    dup: false,
    retain: false,
  });
  const burst = Buffer.concat(Array.from({ length: BURST }, () => again));
  const healthyBefore = healthy.receipted;
  let sent = MISSED;
  let most = before;
  await waitFor(
    'the frozen device to be cut off',
    async () => {
      healthy.check();
      if (raw.socket.writableLength < burst.length && !raw.socket.destroyed) {
        raw.socket.write(burst);
        sent += BURST;
      }
      most = Math.max(most, residentBytesOf(pid));
      return gateway.logged('CLIENT_SLOW', device.did).length > 0;
    },
    60_000,
    // Each look sends more.
    5,
  );
  const leftOut = gateway.logs.filter(({ msg }) => msg.startsWith('receipts left out'));
  console.log(
    `frozen device: sent ${sent} envelopes and took no answer; meanwhile the healthy got ` +
      `${healthy.receipted - healthyBefore} receipts; resident ${mib(before)} MiB before, ` +
      `at most ${mib(most)}`,
  );
  expect(await gateway.refused('CLIENT_SLOW')).toBe(1);
  expect(leftOut.length).toBeLessThan(sent / BURST);
  expect(healthy.receipted).toBeGreaterThan(healthyBefore);
  expect(mib(most - before)).toBeLessThan(300);
  await waitFor('its connection to be gone', async () => (await connections()) === HEALTHY);

  // What it was not told it asks for when it is back.
  const back = await DeviceClient.open(gateway, device);
  const wantedReceipts = payloads.map((_, k) => ({
    session: device.session,
    stream: 1,
    firstSequence: k,
  }));
  const hello = await device.hello({ wantedReceipts });
  await back.acknowledged(back.publish(hello, { topic: topicOf(device.topicId, 'hello') }));
  for (const payload of payloads) await back.receipt(payload, 'stored');
  expect((await gateway.device(device.did)).envelopes).toBe(MISSED);
  await back.end();
  expect(await healthy.finish()).toMatchObject(UNHURT);
});

it('cuts nobody for what came while the gateway itself stood still', async () => {
  const client = await open();
  const pinging = setInterval(() => client.raw.send({ cmd: 'pingreq' }), 100);
  try {
    gateway.process.kill('SIGSTOP');
    // Longer than the silence that is allowed, 3 s.
    await delay(4_000);
    gateway.process.kill('SIGCONT');
    await client.deliver(await client.device.envelope());
    // Two sweeps later it is still there.
    await delay(2_000);
    expect(client.raw.isClosed).toBe(false);
    expect(await connections()).toBe(1);
  } finally {
    clearInterval(pinging);
  }
});
