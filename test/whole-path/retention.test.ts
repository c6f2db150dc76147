import { existsSync, mkdirSync } from 'node:fs';
import { realmOf } from '@waystone/proto';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { DatasetStatus, GatewayStatus } from '../../gateway/core/view.js';
import { TestDevice } from '../harness/device.js';
import {
  makeHome,
  removeHome,
  startInProcess,
  TestClock,
  type TestGateway,
} from '../harness/gateway.js';
import { connectPacket, RawClient } from '../harness/mqtt.js';
import { waitFor } from '../harness/wait.js';

const DAY_US = 86_400_000_000;

let home: string;
let gateway: TestGateway;
const clock = new TestClock();
const SET = ['disk.forgedDaysKept=3'];

beforeAll(async () => {
  home = await makeHome();
  gateway = await startInProcess(home, { network: 'local', clock, set: SET });
});
afterAll(async () => {
  await gateway.stop();
  await removeHome(home);
});

it('removes the files of a forged dataset after its days, keeps record and token, and says so', async () => {
  const status = await gateway.ask<{ chain: { chainId: number; idao: string } }>(
    'GET',
    '/v1/status',
  );
  const realm = realmOf(status.chain.chainId, status.chain.idao);
  const device = new TestDevice(gateway.did);
  await gateway.enrol(device.did);
  const client = await RawClient.open(gateway.mqttPort);
  client.send(await connectPacket(device));
  await client.next('connack', ({ returnCode }) => returnCode === 0);
  const topic = `ws/v1/${device.topicId}/up`;
  const timeUs = Date.now() * 1000 - 10_000_000;
  const payload = Buffer.from(await device.envelope({ timeUs, statement: { realm } }));
  client.send({ cmd: 'publish', topic, qos: 1, messageId: 1, retain: false, dup: false, payload });
  await client.next('puback');
  client.cut();
  await gateway.ask('POST', '/v1/batches/seal');
  const [dataset] = await waitFor(
    'the dataset to be forged',
    async () => {
      const { datasets } = await gateway.ask<{ datasets: DatasetStatus[] }>('GET', '/v1/datasets');
      return datasets[0]?.state === 'forged' && datasets;
    },
    60_000,
  );
  const { root = '', folder = '', dat = null } = dataset ?? {};
  expect(existsSync(folder)).toBe(true);

  clock.offsetUs += 2 * DAY_US;
  await new Promise((resolve) => setTimeout(resolve, 2_500));
  expect(existsSync(folder)).toBe(true);
  // Set to another year, and the days are not over for that; nor are they once it is set right.
  clock.stepUs = 5_000 * DAY_US;
  const diskOf = async () => (await gateway.ask<GatewayStatus>('GET', '/v1/status')).box.disk;
  await waitFor('retention to wait', async () => (await diskOf())?.retentionWaits);
  await new Promise((resolve) => setTimeout(resolve, 2_500));
  expect(existsSync(folder)).toBe(true);
  clock.stepUs = 0;
  await waitFor('that to be seen', async () =>
    (await diskOf())?.retentionWaits.startsWith('the system clock was set by -'),
  );
  clock.offsetUs += 2 * DAY_US;
  await waitFor('the files to be gone', () => !existsSync(folder));

  const after = async () =>
    gateway.ask<DatasetStatus & { manifest: null }>('GET', `/v1/datasets/${root}`);
  expect(await after()).toMatchObject({ root, state: 'forged', dat, manifest: null });
  expect((await after()).removedAtUs).toBeGreaterThan(0);
  const frame = `${device.did}/${Buffer.from(device.session).toString('hex')}/1/0`;
  for (const path of [`/v1/datasets/${root}/files/entries`, `/v1/proofs/${frame}`]) {
    await expect(gateway.ask('GET', path)).rejects.toThrow(/410.*DATASET_REMOVED.*retention/s);
  }

  // The mark is made first: files that a stop left behind go at the next start.
  await gateway.stop();
  mkdirSync(folder);
  gateway = await startInProcess(home, { network: 'local', clock, set: SET });
  expect(existsSync(folder)).toBe(false);
  expect((await after()).dat).toEqual(dat);
});
