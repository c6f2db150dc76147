import { readdirSync, readlinkSync } from 'node:fs';
import { topicOf } from '@waystone/proto';
import { afterEach, expect, it } from 'vitest';
import { residentBytesOf } from '../bench/machine.js';
import { TestDevice } from '../harness/device.js';
import { GatewayProcess, makeHome, removeHome } from '../harness/gateway.js';
import { DeviceClient } from '../harness/mqtt.js';
import { HealthyDevices, UNHURT } from './healthy-device.js';

/** Devices that come back together and ask for what became of their envelopes. */
const DEVICES = Number(process.env.WAYSTONE_OWED_DEVICES ?? 150);

/** Envelopes of each in each dataset. */
const ENVELOPES = 2;
const DATASETS = 2;

/** Files of datasets that may be open at once: those of two devices' receipts, and of two other readers. */
const OPEN_MAX = 4;

let gateway: GatewayProcess | undefined;
let home: string | undefined;

afterEach(async () => {
  await gateway?.kill();
  if (home !== undefined) await removeHome(home);
});

const mib = (bytes: number): number => Math.round(bytes / 2 ** 20);

/** Files of datasets that a process has open. */
function openDatasetFiles(pid: number): number {
  const folder = `/proc/${pid}/fd`;
  return readdirSync(folder).filter((fd) => {
    try {
      return readlinkSync(`${folder}/${fd}`).includes('/datasets/');
    } catch {
      return false; // Closed meanwhile.
    }
  }).length;
}

it.runIf(process.platform === 'linux')(
  'answers a fleet that asks for its receipts of sealed datasets one after the other, and others all the while',
  async () => {
    home = await makeHome();
    gateway = await GatewayProcess.start(home, {
      set: [
        `mqtt.connectionsMax=${DEVICES + 100}`,
        `mqtt.connectionsPerAddressMax=${DEVICES + 100}`,
        'mqtt.connectsPerSecondMax=10000',
        `mqtt.connectBurstMax=${DEVICES + 100}`,
      ],
    });
    const pid = gateway.process.pid as number;
    const fleet: { device: TestDevice; payloads: Uint8Array[] }[] = [];
    for (let k = 0; k < DEVICES; k++) {
      const device = new TestDevice(gateway.did);
      await gateway.enrol(device.did);
      fleet.push({ device, payloads: [] });
    }
    for (let dataset = 0; dataset < DATASETS; dataset++) {
      for (const { device, payloads } of fleet) {
        const client = await DeviceClient.open(gateway, device);
        for (let k = 0; k < ENVELOPES; k++) {
          const payload = await device.envelope();
          await client.deliver(payload);
          payloads.push(payload);
        }
        await client.end();
      }
      await gateway.seal();
    }

    const healthy = await HealthyDevices.start(gateway, 2);
    const clients: DeviceClient[] = [];
    for (const { device } of fleet) clients.push(await DeviceClient.open(gateway, device));
    const hellos = await Promise.all(
      fleet.map(({ device, payloads }) => {
        const { session } = device;
        const wantedReceipts = payloads.map((_, k) => ({ session, stream: 1, firstSequence: k }));
        return device.hello({ wantedReceipts });
      }),
    );
    const before = residentBytesOf(pid);
    let mostOpen = 0;
    let mostBytes = before;
    const looking = setInterval(() => {
      mostOpen = Math.max(mostOpen, openDatasetFiles(pid));
      mostBytes = Math.max(mostBytes, residentBytesOf(pid));
    }, 5);
    try {
      for (const [k, client] of clients.entries()) {
        const topic = topicOf(client.device.topicId, 'hello');
        client.publish(hellos[k] as Uint8Array, { topic });
      }
      for (const [k, client] of clients.entries()) {
        for (const payload of fleet[k]?.payloads ?? []) await client.receipt(payload, 'included');
      }
    } finally {
      clearInterval(looking);
    }
    console.log(
      `owed storm: ${DEVICES} devices got ${DEVICES * DATASETS * ENVELOPES} receipts of ${DATASETS} datasets; ` +
        `at most ${mostOpen} of their files open, resident ${mib(before)} MiB before, at most ${mib(mostBytes)}`,
    );
    expect(mostOpen).toBeLessThanOrEqual(OPEN_MAX);
    expect(await healthy.finish()).toMatchObject(UNHURT);
    gateway.check();
  },
  120_000 + DEVICES * 100,
);
