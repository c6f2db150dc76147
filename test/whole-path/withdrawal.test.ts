import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Device, DeviceKey, type ReceiptEvent } from '@waystone/device-sdk';
import { fromHex, keyId, toHex } from '@waystone/proto';
import Database from 'better-sqlite3';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { fsck } from '../../gateway/fsck/fsck.js';
import { restoreBackup } from '../../gateway/ledger/restore.js';
import { allForged, sealAndForge } from '../faults/at-rest.js';
import { revokeOnChain } from '../faults/revoked-on-chain.js';
import { datasetsFolder, listDatasets, proveDatasets } from '../faults/stored-datasets.js';
import {
  makeHome,
  removeHome,
  startInProcess,
  TestClock,
  type TestGateway,
} from '../harness/gateway.js';
import { waitFor } from '../harness/wait.js';

/** A device that its owner revokes on chain, which the gateway learns only when it is about to commit. */

const DAY_US = 86_400_000_000;
const ENVELOPES = 4;

let home: string;
let gateway: TestGateway;
const clock = new TestClock();
const [stays, goes] = [DeviceKey.generate('secp256k1'), DeviceKey.generate('P-256')];
const signers = [stays, goes];
const devices: Device[] = [];
const receipts = new Map<DeviceKey, ReceiptEvent[]>(signers.map((signer) => [signer, []]));

beforeAll(async () => {
  home = await makeHome();
  gateway = await startInProcess(home, {
    network: 'local',
    clock,
    set: ['batch.ageSecondsMax=2592000'],
  });
  for (const signer of signers) {
    await gateway.enrol(signer.did);
    const device = new Device({ url: gateway.mqttUrl, gateway: gateway.did, signer });
    device.on('receipt', (event) => receipts.get(signer)?.push(event));
    await device.connect();
    devices.push(device);
  }
});
afterAll(async () => {
  for (const device of devices) await device.close();
  await gateway.stop();
  await removeHome(home);
});

/** Each device publishes in turn; resolves once all is stored. @returns statement hashes in order, by device. */
async function publish(): Promise<Map<DeviceKey, string[]>> {
  const published = new Map<DeviceKey, string[]>(signers.map((signer) => [signer, []]));
  for (let k = 0; k < ENVELOPES; k++) {
    for (const [at, device] of devices.entries()) {
      const timeUs = (Date.now() - 10_000) * 1000;
      for (const { statementHash } of await device.publish('drive', [{ timeUs }])) {
        published.get(signers[at] as DeviceKey)?.push(toHex(statementHash));
      }
    }
  }
  await waitFor('all to be stored', () => devices.every(({ unreceipted }) => unreceipted === 0));
  return published;
}

/** What a device was told of its statements, but that they are stored. */
function told(signer: DeviceKey) {
  return (receipts.get(signer) ?? []).flatMap(({ receipt: { body } }) =>
    body.outcome.kind === 'stored' ? [] : [{ ...body, statement: toHex(body.statement) }],
  );
}

it('commits what is left without the entries that came too late, and tells everyone', async () => {
  await publish();
  expect(await sealAndForge(gateway)).toBe(1);
  await revokeOnChain(gateway, keyId(goes.publicKey));
  // Within the grace nothing changes.
  await publish();
  expect(await sealAndForge(gateway)).toBe(2);
  clock.offsetUs += 2 * DAY_US;
  // The chain's answers are kept for a minute, which is no time for a day's grace, but is over two days here.
  await gateway.ask('POST', '/v1/forge/retry');
  // What is said of the first two datasets must not be taken for what is said of the third.
  const of = (signer: DeviceKey, kind: string) =>
    told(signer).filter(({ outcome }) => outcome.kind === kind);
  await waitFor('both to know the first two tokens', () =>
    signers.every((signer) => of(signer, 'final').length === 2),
  );
  for (const events of receipts.values()) events.length = 0;
  const published = await publish();
  expect(await sealAndForge(gateway)).toBe(3);

  const [, , withdrawn, rest] = await listDatasets(gateway);
  expect(withdrawn).toMatchObject({
    state: 'withdrawn',
    entries: 2 * ENVELOPES,
    dat: null,
    waitsFor: '',
    withdrawal: {
      reasons: { DEVICE_REVOKED: ENVELOPES },
      successor: rest?.batch,
      successorRoot: rest?.root,
    },
  });
  expect(rest).toMatchObject({ state: 'forged', entries: ENVELOPES, logIndex: 3 });
  const { datasets, minted } = await proveDatasets(gateway);
  expect(datasets.map(({ verdict, chain }) => [verdict, chain])).toEqual([
    ['verified', 'forged'],
    ['verified', 'forged'],
    [expect.stringContaining('chain'), 'absent'],
    ['verified', 'forged'],
  ]);
  expect(minted).toHaveLength(3);
  const line = gateway.logs.find(({ msg }) => msg.startsWith('dataset withdrawn'));
  expect(line).toMatchObject({ DEVICE_REVOKED: ENVELOPES, successor: rest?.batch, level: 'warn' });

  // The device that stays has its entries twice in the log, and the token of the second time.
  await waitFor(
    'the last receipts',
    () =>
      of(stays, 'included').length >= 2 * ENVELOPES &&
      of(stays, 'final').length > 0 &&
      of(goes, 'final').length >= ENVELOPES,
  );
  const roots = told(stays).flatMap(({ outcome }) =>
    outcome.kind === 'included' ? [[toHex(outcome.root), outcome.index]] : [],
  );
  expect(roots).toEqual([
    ...[0, 2, 4, 6].map((index) => [withdrawn?.root, index]),
    ...[0, 1, 2, 3].map((index) => [rest?.root, index]),
  ]);
  expect(of(stays, 'final')[0]?.outcome).toMatchObject({
    tokenId: BigInt(rest?.dat?.tokenId ?? 0),
    root: fromHex(rest?.root ?? ''),
  });
  // The other one learns for each statement why not.
  const finals = of(goes, 'final');
  expect(finals.map(({ statement }) => statement)).toEqual(published.get(goes));
  for (const { outcome } of finals) {
    expect(outcome).toMatchObject({
      ...{ code: 'DEVICE_REVOKED', tokenId: 0n },
      root: fromHex(withdrawn?.root ?? ''),
    });
  }
});

it('shows each frame where it is now', async () => {
  const [, , withdrawn, rest] = await listDatasets(gateway);
  for (const [at, root] of [rest?.root, withdrawn?.root].entries()) {
    const { manifest } = await gateway.ask<{
      manifest: {
        devices: { did: string; sessions: { session: string; sequences: number[][] }[] }[];
      };
    }>('GET', `/v1/datasets/${root}`);
    const listed = manifest.devices.find(({ did }) => did === signers[at]?.did);
    const { session, sequences } = listed?.sessions[0] ?? { session: '', sequences: [[0]] };
    const place = [signers[at]?.did, session, 1, sequences[0]?.[0]].join('/');
    const proof = await gateway.ask<{ manifest: string }>('GET', `/v1/proofs/${place}`);
    expect(JSON.parse(Buffer.from(proof.manifest, 'base64').toString()).root).toBe(root);
  }
});

it('is understood by fsck and survives a restart', async () => {
  for (const device of devices.splice(0)) await device.close();
  await gateway.stop();
  const { exitCode, findings } = await fsck({ home, dataFolder: join(home, 'data') });
  expect(findings.filter(({ severity }) => severity === 'fault')).toEqual([]);
  expect(exitCode).toBe(0);

  // A rest that is not what was left, and a withdrawal that nothing explains, are found.
  for (const sql of [
    "UPDATE withdrawals SET offenders = x'000000000007000000020007000000040007000000060007'",
    'DELETE FROM withdrawals',
  ]) {
    const copy = await mkdtemp(join(tmpdir(), 'waystone-test-'));
    await cp(home, copy, { recursive: true });
    const db = new Database(join(copy, 'data', 'ledger.sqlite'));
    db.exec(sql);
    db.close();
    const found = (await fsck({ home: copy, dataFolder: join(copy, 'data') })).findings;
    expect(found.map(({ code }) => code)).toContain('WITHDRAWAL_WRONG');
    await removeHome(copy);
  }
  gateway = await startInProcess(home, { network: 'local', clock });
  expect(await allForged(gateway)).toBe(3);
});

it('is in a backup, and in what is restored from it', async () => {
  const folder = join(home, 'backup');
  await gateway.ask('POST', '/v1/backup', { folder });
  const copy = await mkdtemp(join(tmpdir(), 'waystone-test-'));
  await cp(home, copy, { recursive: true });
  const dataFolder = join(copy, 'data');
  // The local chain is in no backup.
  for (const name of ['ledger.sqlite', 'datasets', 'batches']) {
    await rm(join(dataFolder, name), { recursive: true });
  }
  const { datasets } = await restoreBackup({ backup: folder, dataFolder, home: copy });
  expect(datasets).toBe(4);
  const { findings } = await fsck({ home: copy, dataFolder });
  expect(findings.filter(({ severity }) => severity === 'fault')).toEqual([]);
  await removeHome(copy);
});

it('commits nothing of a dataset whose file was changed, and says so', async () => {
  const { chain } = await gateway.ask<{ chain: { chainId: number } }>('GET', '/v1/status');
  expect(chain.chainId).toBe(31_337);
  await gateway.ask('POST', '/v1/forge/pause');
  const device = new Device({ url: gateway.mqttUrl, gateway: gateway.did, signer: stays });
  await device.connect();
  devices.push(device);
  await device.publish('drive', [{ timeUs: (Date.now() - 10_000) * 1000 }]);
  await waitFor('it to be stored', () => device.unreceipted === 0);
  await gateway.seal();
  const root = (await listDatasets(gateway)).at(-1)?.root ?? '';
  const file = join(datasetsFolder(home), root, 'entries');
  const bytes = readFileSync(file);
  const changed = Buffer.from(bytes);
  changed.writeUInt8(changed.readUInt8(210) ^ 1, 210);
  writeFileSync(file, changed);
  await gateway.ask('POST', '/v1/forge/resume');
  await waitFor('the alarm', async () => {
    const status = await gateway.ask<{ lastError: { code: string } | null }>('GET', '/v1/forge');
    return status.lastError?.code === 'DATASET_DAMAGED';
  });
  expect((await listDatasets(gateway)).at(-1)?.state).toBe('sealed');
  // Put back, it goes on by itself.
  writeFileSync(file, bytes);
  await gateway.ask('POST', '/v1/forge/retry');
  expect(await allForged(gateway)).toBe(4);
  expect(existsSync(file)).toBe(true);
});
