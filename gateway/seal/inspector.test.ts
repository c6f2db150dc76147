import { mkdtemp, rename, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { didFromKey, keyId, LOCAL_REALM, toHex } from '@waystone/proto';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { testKeyNamed } from '../../proto/test-data/test-signer.js';
import { batchFile, readBatchFile } from '../core/batch-file.js';
import type { Clock } from '../core/clock.js';
import type { DevicesOnChain } from '../core/forge-ports.js';
import type { InspectLedger, SealLedger } from '../core/ports.js';
import type { Offender } from '../core/withdrawal.js';
import { DatasetReader } from '../dataset/folder-reader.js';
import { addCheckpoint, writeDatasetFolder } from '../dataset/folder-writer.js';
import { MemoryLog } from '../forge/testing.js';
import { ledgerQueries } from '../ledger/queries.js';
import { GATEWAY, makeEnvelope, TestLedger } from '../ledger/testing.js';
import { inspectDataset } from './inspect-dataset.js';
import { DatasetInspector, type InspectorOptions } from './inspector.js';
import { checkServed, lookAtPublic } from './published-entries.js';
import { writeRest } from './rest-file.js';
import { Sealer } from './sealer.js';

/** The parts of the gateway that judge a dataset, in this thread. */

const NOW_US = 1_800_000_000_000_000;
const DAY_US = 86_400_000_000;
const SESSION = '0a'.repeat(16);
const key = testKeyNamed('secp256k1', 'inspected');
const DEVICE = toHex(keyId(key.publicKey));
const IN_ORDER: DevicesOnChain = { revoked: [] };

let folder: string;
let ledger: TestLedger;
let log: MemoryLog;
let server: Server;
let isServing: boolean;
let withdrawn: { root: string; offenders: readonly Offender[] }[];

const clock: Clock = { nowUs: () => NOW_US, isTrusted: () => true, monotonicMs: () => 1_000 };

/** The ledger's calls as its thread answers them, each in a commit group of its own. */
function calls(): SealLedger & InspectLedger {
  return new Proxy({} as SealLedger & InspectLedger, {
    get: (_target, name) => {
      const call = ledger.calls[name as keyof typeof ledger.calls] as (...a: unknown[]) => unknown;
      return async (...args: unknown[]) => {
        let answer: unknown;
        ledger.commit([], () => {
          answer = call(...args);
        });
        return answer;
      };
    },
  });
}

const datasets = (): string => join(folder, 'datasets');

async function seal(): Promise<void> {
  const sealer = new Sealer(
    { streams: [{ id: 1, name: 'drive' }], chainId: 0, idao: '', everyMs: 1_000 },
    {
      ledger: calls(),
      ...{ clock, logger: log, key: GATEWAY },
      write: async (batch, identity, dids) => {
        const rows = [...readBatchFile(batchFile(folder, batch.id), batch)];
        const didOf = (id: string): string => dids[id] ?? '';
        const made = await writeDatasetFolder({ identity, parent: datasets(), didOf }, rows);
        const { minUs, maxUs } = made.manifest.time;
        return { ...made, minTimeUs: minUs, maxTimeUs: maxUs };
      },
      addCheckpoint: (root, bytes) => addCheckpoint(join(datasets(), root), bytes),
      ...{ keepLogHead: () => undefined, onSealed: () => undefined },
    },
  );
  ledger.commit([], () => ledger.calls.closeDue(NOW_US, true));
  await sealer.nudge();
  expect(sealer.lastError).toBeNull();
}

function inspector(options: Partial<InspectorOptions> = {}): DatasetInspector {
  const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return new DatasetInspector(
    {
      realm: toHex(LOCAL_REALM),
      chainId: 31_337,
      datasetsFolder: datasets(),
      servedAt: (root) => `${base}/${root}`,
      publicAt: () => '',
      ...options,
    },
    {
      ledger: calls(),
      datasets: {
        inspect: (root, facts) => inspectDataset(join(datasets(), root), root, facts),
        writeRest: (root, batch, without) => writeRest(datasets(), root, batch, without),
        ...{ checkServed, lookAtPublic },
      },
      unlikeReceipt: async (entries) => ledgerQueries(ledger.db).unlikeReceipt(entries),
      ...{ clock, logger: log },
      onWithdrawn: (root, offenders) => withdrawn.push({ root, offenders }),
    },
  );
}

const id = () => {
  const [ready] = ledger.calls.forgeReady(1);
  if (ready === undefined) throw new Error('nothing is ready');
  return ready;
};

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'waystone-inspector-'));
  ledger = new TestLedger(join(folder, 'ledger.sqlite'));
  log = new MemoryLog();
  withdrawn = [];
  isServing = true;
  server = createServer(async (request, response) => {
    const root = (request.url ?? '').slice(1);
    if (!isServing) {
      response.writeHead(503).end();
      return;
    }
    const dataset = await DatasetReader.open(join(datasets(), root));
    for await (const [, entry] of dataset.entries()) response.write(entry);
    await dataset.close();
    response.end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const device = ledger.calls.enrol(didFromKey(key.publicKey), '', NOW_US).id;
  ledger.commit([], () => ledger.calls.enter(device, SESSION, 1, NOW_US));
  ledger.commit(
    [0, 1, 2, 3].map((first) => ({
      device,
      payload: makeEnvelope(key, { session: SESSION, first }),
      receivedAtUs: NOW_US + first,
    })),
  );
  await seal();
});

afterEach(async () => {
  server.close();
  ledger.crash();
  await rm(folder, { recursive: true });
});

it('reads a dataset once, and again only when a revocation bears on it', async () => {
  const { root } = id();
  expect(await inspector().inspect(id(), IN_ORDER)).toBe('in order');
  // Not even the folder is looked at, in this run or the next.
  await rename(join(datasets(), root), join(folder, 'away'));
  expect(await inspector().inspect(id(), IN_ORDER)).toBe('in order');
  const early: DevicesOnChain = { revoked: [[DEVICE, NOW_US - DAY_US + 3]] };
  expect(await inspector().inspect(id(), early)).toBe('in order');
  const late: DevicesOnChain = { revoked: [[DEVICE, NOW_US - DAY_US + 1]] };
  await expect(inspector().inspect(id(), late)).rejects.toMatchObject({
    code: 'DATASET_NOT_FOUND',
  });
  await rename(join(folder, 'away'), join(datasets(), root));
  expect(await inspector().inspect(id(), late)).toBe('withdrawn');
  expect(withdrawn).toEqual([
    {
      root,
      offenders: [2, 3].map((index) => ({ index, code: 'DEVICE_REVOKED' })),
    },
  ]);
  await seal();
  expect(id()).toMatchObject({ index: 1, count: 2 });
  expect(await inspector().inspect(id(), late)).toBe('in order');
});

it('withdraws what a receipt contradicts', async () => {
  const withdrawnId = id();
  ledger.db
    .prepare('UPDATE statements SET entry_leaf = ? WHERE batch_index = 1')
    .run(Buffer.alloc(32, 1));
  expect(await inspector().inspect(withdrawnId, IN_ORDER)).toBe('withdrawn');
  expect(withdrawn[0]?.offenders).toEqual([{ index: 1, code: 'ENTRY_DIFFERS' }]);
  // Asked again, it says the same.
  expect(await inspector().inspect(withdrawnId, IN_ORDER)).toBe('withdrawn');
  expect(withdrawn).toHaveLength(1);
});

it('holds back what was sealed for another chain, and what is not served', async () => {
  const code = (of: DatasetInspector) =>
    of.inspect(id(), IN_ORDER).then(
      (verdict) => verdict,
      (error) => error.code,
    );
  expect(await code(inspector({ chainId: 1_088, realm: '11'.repeat(32) }))).toBe(
    'DATASET_REALM_FOREIGN',
  );
  isServing = false;
  expect(await code(inspector())).toBe('ENTRIES_NOT_SERVED');
  isServing = true;
  // The zero realm is in order on local chains.
  expect(await code(inspector({ realm: '11'.repeat(32) }))).toBe('in order');
  expect(withdrawn).toEqual([]);
});

it('goes on when the public address does not answer, and says so', async () => {
  const made = inspector({ publicAt: () => 'http://127.0.0.1:1/entries' });
  expect(await made.inspect(id(), IN_ORDER)).toBe('in order');
  expect(log.lines.filter((line) => line.includes('PUBLISH_URL_UNREACHABLE'))).toHaveLength(1);
});
