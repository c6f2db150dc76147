import { execFile } from 'node:child_process';
import { cp, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { statementBytesOf, statementHash, toHex } from '@waystone/proto';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { verifyPath } from '../../gateway/audit/verify.js';
import { fsck } from '../../gateway/fsck/fsck.js';
import { writeBackup } from '../../gateway/ledger/backup.js';
import { logHeadFile, readLogHead } from '../../gateway/ledger/identity.js';
import { restoreBackup } from '../../gateway/ledger/restore.js';
import type { SEAL_CRASH_POINTS } from '../../gateway/seal/sealer.js';
import { TestDevice } from '../harness/device.js';
import {
  GatewayProcess,
  makeHome,
  removeHome,
  startInProcess,
  type TestGateway,
} from '../harness/gateway.js';
import { withLedger } from '../harness/ledger.js';
import { DeviceClient } from '../harness/mqtt.js';
import { waitFor } from '../harness/wait.js';
import { datasetsFolder, listDatasets, readEntries } from './stored-datasets.js';

const MAIN = fileURLToPath(new URL('../../gateway/dist/cli/main.js', import.meta.url));
/** Batches close only when the test asks. */
const OPTIONS = { set: ['batch.ageSecondsMax=3600'] };

/** Holds a sealed dataset, and an open batch of three envelopes. */
let prepared: string;
let oldLog: string;
let device: TestDevice;
/** Every envelope that was answered with `stored`, and that answer as it came. */
let acknowledged: { payload: Uint8Array; receipt: Uint8Array }[] = [];
let preparedAcknowledged: typeof acknowledged;

let home: string;
let dataFolder: string;
let backup: string;
let gateway: TestGateway | undefined;

beforeAll(async () => {
  prepared = await makeHome();
  const first = await startInProcess(prepared, OPTIONS);
  device = new TestDevice(first.did);
  await first.enrol(device.did);
  await deliver(first, 2);
  await first.seal();
  await deliver(first, 3);
  oldLog = (await first.ask<{ logId: string }>('GET', '/v1/status')).logId;
  await first.stop();
  preparedAcknowledged = acknowledged;
});
afterAll(() => removeHome(prepared));

beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'waystone-test-'));
  await cp(prepared, home, { recursive: true });
  dataFolder = join(home, 'data');
  backup = join(home, 'backup');
  acknowledged = [...preparedAcknowledged];
});
afterEach(async () => {
  await stop();
  await removeHome(home);
});

async function start(): Promise<TestGateway> {
  gateway = await startInProcess(home, OPTIONS);
  return gateway;
}

async function stop(): Promise<void> {
  await gateway?.stop();
  gateway = undefined;
}

/** Delivers new envelopes and keeps their receipts. */
async function deliver(to: TestGateway, count: number): Promise<void> {
  const client = await DeviceClient.open(to, device);
  for (let k = 0; k < count; k++) {
    const payload = await device.envelope();
    const { bytes, receipt } = await client.deliver(payload);
    expect(receipt.body.outcome.kind).toBe('stored');
    acknowledged.push({ payload, receipt: bytes });
  }
  await client.end();
}

/** Kills a gateway at a point of its second dataset's sealing. */
async function sealUntilKilled(point: (typeof SEAL_CRASH_POINTS)[number]): Promise<void> {
  const environment = { WAYSTONE_TEST_CRASH_AT: point };
  const killed = await GatewayProcess.start(home, { ...OPTIONS, environment });
  await killed.ask('POST', '/v1/batches/seal').catch(() => undefined);
  expect(await killed.exited).toEqual({ code: null, signal: 'SIGKILL' });
}

/**
 * What `POST /v1/backup` does, in the moment between two steps of sealing: the gateway's own ledger and backup, and
 * no sealer that would go on meanwhile.
 */
async function backUpBetweenSteps(state: string): Promise<void> {
  await withLedger(home, async (ledger) => {
    expect((await ledger.calls.sealing()).map((batch) => batch.state)).toEqual([state]);
    await writeBackup({ folder: backup, dataFolder, ledger, gateway: device.gateway });
  });
}

/** `waystone restore` as people run it. @returns id of the new log. */
async function restore(): Promise<string> {
  const args = [MAIN, '--home', home, '--json', 'restore', backup];
  const { stdout } = await promisify(execFile)(process.execPath, args);
  return (JSON.parse(stdout) as { logId: string }).logId;
}

const statementOf = (payload: Uint8Array): string =>
  toHex(statementHash(statementBytesOf(payload) as Uint8Array));

/** Every acknowledged envelope lies in one dataset, each of which verifies, and fsck has nothing to say. */
async function expectAllStoredOnce(running: TestGateway): Promise<void> {
  const stored = (await readEntries(home)).map(({ statement }) => statement).sort();
  const wanted = acknowledged.map(({ payload }) => statementOf(payload)).sort();
  const lost = wanted.filter((one) => !stored.includes(one)).length;
  const twice = stored.length - new Set(stored).size;
  console.log(`acked but lost: ${lost}, stored twice: ${twice}`);
  expect(stored).toEqual(wanted);
  for (const { root } of await listDatasets(running)) {
    const verification = await verifyPath(join(datasetsFolder(home), root), {
      gatewayDid: running.did,
    });
    expect(verification.result).toBe('verified');
  }
}

/** Waits until nothing is left to seal. */
async function allSealed(running: TestGateway): Promise<void> {
  await waitFor('the batch to be sealed', async () => {
    const { batches } = await running.ask<{ batches: { state: string }[] }>('GET', '/v1/batches');
    return batches.length > 0 && batches.every(({ state }) => state === 'sealed');
  });
}

describe.each([
  // Without a record in the old log it takes a place in the new one; with one, it keeps it.
  { point: 'seal:published', state: 'frozen', keepsItsPlace: false },
  { point: 'seal:logged', state: 'logged', keepsItsPlace: true },
  { point: 'seal:signed', state: 'logged', keepsItsPlace: true },
] as const)('a backup between two steps of sealing ($point)', ({ point, state, keepsItsPlace }) => {
  it('is restored, and the batch is sealed once', async () => {
    await sealUntilKilled(point);
    await backUpBetweenSteps(state);
    const { logId: newLog } = await restoreBackup({ backup, dataFolder, home });
    expect(newLog).not.toBe(oldLog);

    let running = await start();
    await running.seal();
    await allSealed(running);
    await stop();
    // What is kept beside the key is the head of the log that goes on, whatever was finished of the old one.
    expect(readLogHead(logHeadFile(home))?.logId).toBe(newLog);

    running = await start();
    const client = await DeviceClient.open(running, device);
    for (const { payload, receipt } of acknowledged) {
      expect(toHex((await client.deliver(payload)).bytes)).toBe(toHex(receipt));
    }
    await client.end();
    await deliver(running, 2);
    await running.seal();
    const places = (await listDatasets(running)).map(({ logId, logIndex }) => [logId, logIndex]);
    expect(places.sort()).toEqual(
      (keepsItsPlace
        ? [
            [oldLog, 0],
            [oldLog, 1],
            [newLog, 0],
          ]
        : [
            [oldLog, 0],
            [newLog, 0],
            [newLog, 1],
          ]
      ).sort(),
    );
    await expectAllStoredOnce(running);
    await stop();
    expect((await fsck({ home, dataFolder })).findings).toEqual([]);
  });
});

describe('a backup between two steps of sealing, after which the gateway went on and lost its disk', () => {
  it('is restored: what was signed is finished with the same bytes, what came later is stored anew', async () => {
    await sealUntilKilled('seal:head-kept');
    await backUpBetweenSteps('logged');
    let running = await start();
    await allSealed(running);
    await deliver(running, 1);
    await running.seal();
    const later = acknowledged.pop() as (typeof acknowledged)[0];
    const before = (await listDatasets(running)).find(({ logIndex }) => logIndex === 1);
    const signed = join(datasetsFolder(home), before?.root ?? '', 'checkpoint');
    await cp(signed, join(home, 'checkpoint before'));
    await stop();
    await rm(dataFolder, { recursive: true });
    const newLog = await restore();

    for (let round = 0; round < 2; round++) {
      running = await start();
      await allSealed(running);
      if (round === 0) await stop();
    }
    const client = await DeviceClient.open(running, device);
    const { bytes } = await client.deliver(later.payload);
    acknowledged.push({ payload: later.payload, receipt: bytes });
    await client.end();
    await running.seal();
    const places = (await listDatasets(running)).map(({ logId, logIndex }) => [logId, logIndex]);
    expect(places.sort()).toEqual(
      [
        [oldLog, 0],
        [oldLog, 1],
        [newLog, 0],
      ].sort(),
    );
    await expectAllStoredOnce(running);
    // Two heads of one size and one log would be a fork; these are the bytes that were signed the first time.
    expect(await readFile(signed)).toEqual(await readFile(join(home, 'checkpoint before')));
    await stop();
    expect((await fsck({ home, dataFolder })).findings).toEqual([]);
  });
});
