import { cp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { equalBytes } from '@waystone/proto';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { REDO_FILE, RedoFile } from '../../gateway/ledger/redo-file.js';
import { restoreBackup, startNewLedger } from '../../gateway/ledger/restore.js';
import { pendingRedo } from '../faults/redo-pending.js';
import { TestDevice } from '../harness/device.js';
import {
  GatewayProcess,
  makeHome,
  removeHome,
  startInProcess,
  type TestGateway,
} from '../harness/gateway.js';
import { DeviceClient } from '../harness/mqtt.js';

let home: string;
let dataFolder: string;
let backup: string;
const running: TestGateway[] = [];

beforeEach(async () => {
  home = await makeHome();
  dataFolder = join(home, 'data');
  backup = join(home, 'backup');
});
afterEach(async () => {
  for (const gateway of running.splice(0)) await gateway.stop();
  await removeHome(home);
});

async function start(): Promise<TestGateway> {
  const gateway = await startInProcess(home);
  running.push(gateway);
  return gateway;
}

async function stop(gateway: TestGateway): Promise<void> {
  running.splice(running.indexOf(gateway), 1);
  await gateway.stop();
}

const logIdOf = async (gateway: TestGateway) =>
  (await gateway.ask<{ logId: string }>('GET', '/v1/status')).logId;

it('stops a ledger that was copied back, and lets a restored one go on in a new log', async () => {
  let gateway = await start();
  const device = new TestDevice(gateway.did);
  await gateway.enrol(device.did);
  let client = await DeviceClient.open(gateway, device);
  const before = await device.envelope();
  await client.deliver(before);
  await gateway.seal();
  await gateway.ask('POST', '/v1/backup', { folder: backup });
  const after = await device.envelope();
  const lost = await client.deliver(after);
  await gateway.seal();
  const oldLog = await logIdOf(gateway);
  await client.end();
  await stop(gateway);

  // What an operator must not do: put the old file back by hand.
  for (const name of await readdir(dataFolder)) {
    if (name.startsWith('ledger.sqlite')) await rm(join(dataFolder, name));
  }
  await cp(join(backup, 'ledger.sqlite'), join(dataFolder, 'ledger.sqlite'));
  await expect(start()).rejects.toMatchObject({ code: 'LEDGER_ROLLED_BACK' });

  const restored = await restoreBackup({ backup, dataFolder, home });
  expect(restored).toMatchObject({ datasets: 1, movedAside: expect.stringContaining(dataFolder) });
  gateway = await start();
  expect(await logIdOf(gateway)).toBe(restored.logId);
  expect(restored.logId).not.toBe(oldLog);

  // Known is what was in the backup; what came later is stored anew when the device sends it again.
  client = await DeviceClient.open(gateway, device);
  expect((await client.deliver(before)).receipt.body.outcome.kind).toBe('stored');
  const again = await client.deliver(after);
  expect(again.receipt.body.outcome.kind).toBe('stored');
  expect(equalBytes(again.receipt.head.logId, lost.receipt.head.logId)).toBe(false);
  expect(await gateway.device(device.did)).toMatchObject({ envelopes: 2 });
  await gateway.seal();
  const { datasets } = await gateway.ask<{ datasets: { logId: string; logIndex: number }[] }>(
    'GET',
    '/v1/datasets',
  );
  expect(datasets).toMatchObject([
    { logId: restored.logId, logIndex: 0 },
    { logId: oldLog, logIndex: 0 },
  ]);
  await client.end();
});

/** What the redo file says that the next start has to carry over, as a kill leaves it. */
async function leavePending(): Promise<Buffer> {
  const db = new Database(join(dataFolder, 'ledger.sqlite'), { readonly: true });
  const find = db.prepare('SELECT value FROM meta WHERE key = ?').pluck();
  const logId = Buffer.from(String(find.get('log_id')), 'hex');
  const committed = Number(find.get('redo_epoch'));
  db.close();
  const { file } = RedoFile.open(dataFolder, { logId, committed });
  file.append(Buffer.from('of the time before the restore'));
  file.close();
  expect(pendingRedo(dataFolder)).toBe(1);
  return readFile(join(dataFolder, REDO_FILE));
}

it('takes nothing over from the redo file of the time before a restore, and keeps it aside', async () => {
  let gateway = await start();
  const device = new TestDevice(gateway.did);
  await gateway.enrol(device.did);
  let client = await DeviceClient.open(gateway, device);
  const before = await device.envelope();
  const first = await client.deliver(before);
  await gateway.ask('POST', '/v1/backup', { folder: backup });
  expect(await readdir(backup)).not.toContain(REDO_FILE);
  await client.end();
  await stop(gateway);
  const redo = await leavePending();

  const { movedAside } = await restoreBackup({ backup, dataFolder, home });
  expect(movedAside).toMatch(/\/before-restore-[^/]+$/);
  expect((await readFile(join(movedAside ?? '', REDO_FILE))).equals(redo)).toBe(true);
  expect(await readdir(dataFolder)).not.toContain(REDO_FILE);

  gateway = await start();
  expect(pendingRedo(dataFolder)).toBe(0);
  expect((await readFile(join(dataFolder, REDO_FILE))).equals(redo)).toBe(false);
  client = await DeviceClient.open(gateway, device);
  expect(equalBytes((await client.deliver(before)).bytes, first.bytes)).toBe(true);
  expect((await client.deliver(await device.envelope())).receipt.body.outcome.kind).toBe('stored');
  expect(await gateway.device(device.did)).toMatchObject({ envelopes: 2 });
  await client.end();
  await stop(gateway);

  // The old one back in its place is told from the present one.
  await cp(join(movedAside ?? '', REDO_FILE), join(dataFolder, REDO_FILE));
  await expect(start()).rejects.toMatchObject({
    code: 'LEDGER_BROKEN',
    message: expect.stringContaining('ledger.redo is of log'),
  });

  // So it is when there is no backup.
  const { movedAside: anew } = await startNewLedger({ dataFolder, home });
  expect((await readFile(join(anew ?? '', REDO_FILE))).equals(redo)).toBe(true);
  await start();
  expect(pendingRedo(dataFolder)).toBe(0);
});

it('seals again what was sealed while the backup was made', async () => {
  const gateway = await start();
  const device = new TestDevice(gateway.did);
  await gateway.enrol(device.did);
  const client = await DeviceClient.open(gateway, device);
  await client.deliver(await device.envelope());
  await gateway.ask('POST', '/v1/backup', { folder: backup });
  await gateway.seal();
  await client.end();
  await stop(gateway);

  // The dataset's folder came into the backup, the ledger's copy does not know it.
  await cp(join(dataFolder, 'datasets'), join(backup, 'datasets'), { recursive: true });
  const file = join(backup, 'backup.json');
  const description = JSON.parse(await readFile(file, 'utf8')) as { datasets: string[] };
  description.datasets = await readdir(join(backup, 'datasets'));
  expect(description.datasets).toHaveLength(1);
  await writeFile(file, JSON.stringify(description));

  await restoreBackup({ backup, dataFolder, home });
  const restored = await start();
  await restored.seal();
  const { datasets } = await restored.ask<{ datasets: { root: string }[] }>('GET', '/v1/datasets');
  expect(datasets.map(({ root }) => root)).toEqual(description.datasets);
});

it('refuses a second gateway on the same data folder, and the first goes on', async () => {
  const gateway = await GatewayProcess.start(home);
  running.push(gateway);
  await expect(startInProcess(home)).rejects.toMatchObject({ code: 'DATA_FOLDER_LOCKED' });
  await expect(restoreBackup({ backup, dataFolder, home })).rejects.toMatchObject({
    code: 'BACKUP_INVALID',
  });
  await gateway.ask('POST', '/v1/backup', { folder: backup });
  await expect(restoreBackup({ backup, dataFolder, home })).rejects.toMatchObject({
    code: 'DATA_FOLDER_LOCKED',
  });
  const device = new TestDevice(gateway.did);
  await gateway.enrol(device.did);
  const client = await DeviceClient.open(gateway, device);
  const { receipt } = await client.deliver(await device.envelope());
  expect(receipt.body.outcome.kind).toBe('stored');
  await client.end();
});

it.each([
  ['a file is missing', async () => rm(join(backup, 'ledger.sqlite'))],
  [
    'the ledger was changed',
    async () => writeFile(join(backup, 'ledger.sqlite'), 'x', { flag: 'a' }),
  ],
  ['it was never finished', async () => rm(join(backup, 'backup.json'))],
])('restores nothing when %s', async (_what, harm) => {
  const gateway = await start();
  await gateway.ask('POST', '/v1/backup', { folder: backup });
  await stop(gateway);
  await harm();
  const ledger = await readFile(join(dataFolder, 'ledger.sqlite'));
  const restored = restoreBackup({ backup, dataFolder, home });
  await expect(restored).rejects.toMatchObject({ code: 'BACKUP_INVALID' });
  expect(await readFile(join(dataFolder, 'ledger.sqlite'))).toEqual(ledger);
});

it('stops when the data is gone, and begins a new log only when it is told to', async () => {
  const gateway = await start();
  const device = new TestDevice(gateway.did);
  await gateway.enrol(device.did);
  const client = await DeviceClient.open(gateway, device);
  await client.deliver(await device.envelope());
  await gateway.seal();
  const lostLog = await logIdOf(gateway);
  await client.end();
  await stop(gateway);

  // A disk that was not mounted looks like this.
  await rm(dataFolder, { recursive: true });
  await expect(start()).rejects.toMatchObject({ code: 'LEDGER_ROLLED_BACK' });
  const { movedAside } = await startNewLedger({ dataFolder, home });
  expect(movedAside).toContain(dataFolder);
  expect(await logIdOf(await start())).not.toBe(lostLog);
});

it('stops a ledger of the time before a restore', async () => {
  const gateway = await start();
  await gateway.ask('POST', '/v1/backup', { folder: backup });
  await stop(gateway);
  const { movedAside } = await restoreBackup({ backup, dataFolder, home });
  for (const name of await readdir(dataFolder)) {
    if (name.startsWith('ledger.sqlite')) await rm(join(dataFolder, name));
  }
  await cp(join(movedAside ?? '', 'ledger.sqlite'), join(dataFolder, 'ledger.sqlite'));
  await expect(start()).rejects.toMatchObject({ code: 'LEDGER_ROLLED_BACK' });
});
