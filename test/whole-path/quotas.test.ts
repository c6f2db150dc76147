import { existsSync } from 'node:fs';
import { realmOf } from '@waystone/proto';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { DatasetStatus, GatewayStatus } from '../../gateway/core/view.js';
import { sealAndForge } from '../faults/at-rest.js';
import { expectKept } from '../faults/kept.js';
import { listDatasets } from '../faults/stored-datasets.js';
import { BULK_BYTES, BulkPublisher } from '../harness/bulk-publisher.js';
import {
  makeHome,
  removeHome,
  startInProcess,
  TestClock,
  type TestGateway,
} from '../harness/gateway.js';
import { waitFor } from '../harness/wait.js';

/** Quotas of one gateway, each reached and left again without a restart. */

const MIB = 2 ** 20;
const HOUR_US = 3_600_000_000;
const UNFORGED_BYTES_MAX = 2 * MIB;
const UNFORGED_HOURS_MAX = 3;
/** Less than all datasets here together. */
const FORGED_BYTES_MAX = 2.5 * MIB;

let home: string;
let gateway: TestGateway;
let publisher: BulkPublisher;
const clock = new TestClock();

beforeAll(async () => {
  home = await makeHome();
  gateway = await startInProcess(home, {
    network: 'local',
    clock,
    set: [
      `disk.unforgedBytesMax=${UNFORGED_BYTES_MAX}`,
      `disk.unforgedHoursMax=${UNFORGED_HOURS_MAX}`,
      `disk.forgedBytesMax=${FORGED_BYTES_MAX}`,
      'batch.ageSecondsMax=86400',
    ],
  });
  const { chain } = await gateway.ask<GatewayStatus>('GET', '/v1/status');
  publisher = await BulkPublisher.of(gateway, { realm: realmOf(chain.chainId, chain.idao) });
});
afterAll(async () => {
  await gateway.stop();
  await removeHome(home);
});

async function box(): Promise<GatewayStatus['box']> {
  return (await gateway.ask<GatewayStatus>('GET', '/v1/status')).box;
}

/** What a device, the status, the metrics and the log say at a quota; and that it is left again. */
async function expectQuota(why: RegExp): Promise<void> {
  const refused = await publisher.sendUntilRefused();
  expect(refused.code).toBe('DISK_FULL');
  await waitFor('the alarm', async () => (await box()).state === 'degraded');
  const { why: told, disk } = await box();
  expect(told).toMatch(why);
  expect(disk?.refusal).toMatch(why);
  expect(await gateway.metric('waystone_disk_refusing')).toBe(1);
  const alarms = gateway.logged('DISK_FULL').filter(({ level }) => level === 'error');
  expect(alarms.at(-1)?.msg).toMatch(why);

  await sealAndForge(gateway);
  await waitFor('the quota to be left', async () => (await box()).state === 'ok');
  expect(await gateway.metric('waystone_disk_refusing')).toBe(0);
  await publisher.sendUntilTaken(gateway, refused.number);
}

it('takes data up to disk.unforgedBytesMax, and again once it is forged', async () => {
  await expectQuota(/not forged yet and disk\.unforgedBytesMax is 2\.0 MiB/);
  // All but what came after the forging, and not one more than fits.
  const bytes = (publisher.acknowledged - 1) * BULK_BYTES;
  expect(bytes).toBeLessThan(UNFORGED_BYTES_MAX);
  expect(bytes).toBeGreaterThan(UNFORGED_BYTES_MAX - 4 * BULK_BYTES);
});

it('tells for how many hours data of the present rate fits', async () => {
  const disk = await waitFor('a rate', async () => {
    const { disk } = await box();
    return disk !== null && disk.hoursLeft !== null && disk.unsealedBytes > 0 ? disk : null;
  });
  const { hoursLeft, bytesPerSecond, unsealedBytes, unforgedBytes } = disk;
  const room = UNFORGED_BYTES_MAX - unsealedBytes - unforgedBytes;
  // The rate is told in whole bytes.
  const [least, most] = [room / (bytesPerSecond + 1), room / (bytesPerSecond - 1)];
  expect(hoursLeft).toBeGreaterThanOrEqual(Math.min(UNFORGED_HOURS_MAX - 1, least / 3600));
  expect(hoursLeft).toBeLessThanOrEqual(Math.min(UNFORGED_HOURS_MAX, most / 3600));
});

it('takes no data while older data than disk.unforgedHoursMax waits for its DAT, and again once it has it', async () => {
  clock.offsetUs += (UNFORGED_HOURS_MAX + 1) * HOUR_US;
  await waitFor('the alarm', async () => (await box()).state === 'degraded');
  expect((await box()).disk?.hoursLeft).toBe(0);
  await expectQuota(/data of 4 hours ago is not forged yet and disk\.unforgedHoursMax is 3/);
});

it('keeps forged data up to disk.forgedBytesMax, the newest, and removes nothing that is not forged', async () => {
  await publisher.connect(gateway);
  for (let k = 0; k < 12; k++) expect(await publisher.send(await publisher.make())).toBe('taken');
  await sealAndForge(gateway);
  await expectKept(gateway, publisher.record);
  for (let k = 0; k < 5; k++) expect(await publisher.send(await publisher.make())).toBe('taken');
  await gateway.seal();
  const before = await listDatasets(gateway);
  expect(before.length).toBeGreaterThanOrEqual(3);

  clock.offsetUs += HOUR_US / 30;
  const isKept = ({ folder }: DatasetStatus) => existsSync(folder);
  await waitFor('the oldest to be gone', () => !isKept(before[0] as DatasetStatus));
  await sealAndForge(gateway);
  const after = await listDatasets(gateway);
  const kept = after.filter(isKept);
  expect(kept.at(-1)?.root).toBe(after.at(-1)?.root);
  expect(after.reduce((sum, { entries }) => sum + entries, 0)).toBe(publisher.acknowledged);
  for (const { removedAtUs, dat, folder } of after) {
    expect(dat).not.toBeNull();
    expect(removedAtUs !== null).toBe(!existsSync(folder));
  }
  console.log(`forged ${after.length} datasets, kept the files of the newest ${kept.length}`);
});
