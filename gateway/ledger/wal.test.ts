import { existsSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MessageChannel, Worker } from 'node:worker_threads';
import { didFromKey } from '@waystone/proto';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { packEnvelopes, transferOf } from '../core/packed.js';
import type { Decision } from '../core/ports.js';
import { Ledger } from './ledger.js';
import { LedgerReader } from './reader.js';
import { BATCH_LIMITS, GATEWAY, makeEnvelope, quickKey, SESSION_LIMITS } from './testing.js';
import { WAL_BYTES_MAX } from './wal-keeper.js';

/** Only so that a loaded machine gets through: 20 s on an idle one. */
vi.setConfig({ testTimeout: 600_000 });

/** `WAYSTONE_WAL_GROUPS=5000 npx vitest run gateway/ledger/wal.test.ts` is the long form. */
const GROUPS = Number(process.env.WAYSTONE_WAL_GROUPS ?? 800);
const GROUP = 64;
const DEVICES = 400;
const EACH_BEFORE = 100;
const NOW_US = 1_800_000_000_000_000;
const SESSION = '11'.repeat(16);

/** Pages of one commit group, generously. */
const GROUP_WAL_BYTES_MAX = 4 * 1024 * 1024;

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'waystone-wal-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/**
 * Two of these never leave a moment without a reader: each ends its transaction only once the other has begun a
 * newer one. That is what many short reads look like to SQLite.
 */
const OVERLAPPING_READER = `
  const { parentPort, workerData } = require('node:worker_threads');
  const Database = require(workerData.sqlite);
  const db = new Database(workerData.file, { readonly: true });
  const turns = new Int32Array(workerData.turns);
  const { own, other } = workerData;
  const begin = db.prepare('BEGIN');
  const read = db.prepare('SELECT COUNT(*) FROM devices');
  const end = db.prepare('COMMIT');
  while (Atomics.load(turns, 2) === 0) {
    begin.run();
    read.get();
    Atomics.wait(turns, 2, 0, 2);
    const seen = Atomics.load(turns, other);
    Atomics.add(turns, own, 1);
    Atomics.notify(turns, own);
    while (Atomics.load(turns, other) === seen && Atomics.load(turns, 2) === 0) {
      Atomics.wait(turns, other, seen, 20);
    }
    end.run();
  }
  db.close();
  parentPort.postMessage(Atomics.load(turns, own));
`;

it('the WAL stays within its bound while readers overlap, the API reads and backups are written', async () => {
  const { port1: verifier, port2 } = new MessageChannel();
  const file = join(folder, 'ledger.sqlite');
  const waiting = new Map<number, (decision: Decision) => void>();
  const fail = (error: Error): void => {
    throw error;
  };
  let walBytes = 0;
  const ledger = await Ledger.open(
    {
      dataFolder: folder,
      logHeadFile: join(folder, 'log-head.json'),
      privateKey: GATEWAY.exportPrivateKey(),
      limits: { ...BATCH_LIMITS, entriesMax: 1_000_000 },
      sessions: SESSION_LIMITS,
      settledBy: 'sealed',
      verifiers: [port2],
    },
    (decisions) => {
      // The file is never shorter than what it holds, so its size after each commit group is all there is to see.
      walBytes = Math.max(walBytes, statSync(`${file}-wal`, { throwIfNoEntry: false })?.size ?? 0);
      for (const decision of decisions) {
        waiting.get(decision.ticket)?.(decision);
        waiting.delete(decision.ticket);
      }
    },
    fail,
  );
  const keys = Array.from({ length: DEVICES }, (_, k) => quickKey('Ed25519', `wal ${k}`));
  await Promise.all(
    keys.map(async (key) => {
      const { id } = await ledger.calls.enrol(didFromKey(key.publicKey), '', NOW_US);
      await ledger.calls.enter(id, SESSION, 1, NOW_US);
    }),
  );
  const next = new Array<number>(DEVICES).fill(0);
  let tickets = 0;
  const commit = async (devices: readonly number[]): Promise<void> => {
    const payloads = devices.map((k) => {
      const first = next[k] as number;
      next[k] = first + 1;
      return makeEnvelope(keys[k] as (typeof keys)[number], { session: SESSION, first });
    });
    const envelopes = payloads.map((payload, at) => ({
      ticket: ++tickets,
      device: (devices[at] as number) + 1,
      receivedAtUs: NOW_US,
      clockTrusted: true,
      payload,
    }));
    const decided = envelopes.map(
      ({ ticket }) => new Promise<Decision>((resolve) => waiting.set(ticket, resolve)),
    );
    const packed = packEnvelopes(envelopes);
    verifier.postMessage(packed, transferOf(packed));
    for (const { kind } of await Promise.all(decided)) expect(kind).toBe('stored');
  };
  // So that a group touches many pages.
  for (let k = 0; k < EACH_BEFORE; k++) await commit(keys.map((_, device) => device));

  walBytes = 0;
  const turns = new SharedArrayBuffer(12);
  const sqlite = createRequire(import.meta.url).resolve('better-sqlite3');
  const overlapping = [0, 1].map((own) => {
    const workerData = { sqlite, file, turns, own, other: 1 - own };
    return new Worker(OVERLAPPING_READER, { eval: true, workerData, execArgv: [] });
  });
  const turnsTaken = overlapping.map(
    (worker) =>
      new Promise<number>((resolve, reject) => {
        worker.once('message', resolve);
        worker.once('error', reject);
      }),
  );
  let isDone = false;
  const reader = new LedgerReader(folder, async () => undefined, fail);
  let reads = 0;
  const read = async (): Promise<void> => {
    for (let k = 0; !isDone; k++) {
      const { devices, batches, refusals, totals, diskUse, locate } = reader.calls;
      const did = didFromKey((keys[k % DEVICES] as (typeof keys)[number]).publicKey);
      await [
        () => totals(),
        () => batches(100),
        () => refusals(500),
        () => diskUse(),
        () => locate(did, SESSION, 1, k % EACH_BEFORE),
        () => devices(100, 0),
      ][k % 6]?.();
      reads += 1;
    }
  };
  let backups = 0;
  const backUp = async (): Promise<void> => {
    while (!isDone) {
      await ledger.backup(join(folder, `backup-${backups}.sqlite`), async () => undefined);
      rmSync(join(folder, `backup-${backups}.sqlite`));
      backups += 1;
    }
  };
  const others = [read(), read(), read(), read(), backUp()];
  // A stride that is prime to the number of devices: each group another 64 of them, far apart.
  for (let group = 0; group < GROUPS; group++) {
    await commit(Array.from({ length: GROUP }, (_, k) => ((group * GROUP + k) * 97) % DEVICES));
  }
  isDone = true;
  new Int32Array(turns).fill(1, 2);
  await Promise.all(others);
  const taken = await Promise.all(turnsTaken);
  await reader.stop();
  await ledger.stop();
  verifier.close();
  console.log(
    `${GROUPS} commit groups, ${reads} reads, ${backups} backups, ${taken.join(' + ')} overlapping transactions: ` +
      `the WAL had at most ${walBytes} bytes, its bound is ${WAL_BYTES_MAX}`,
  );
  expect(reads).toBeGreaterThan(GROUPS / 10);
  expect(backups).toBeGreaterThan(0);
  expect(Math.min(...taken)).toBeGreaterThan(GROUPS / 10);
  // Once more its bound, should a loaded machine not let a reader end within the ledger's wait for it.
  expect(walBytes).toBeLessThan(2 * WAL_BYTES_MAX + GROUP_WAL_BYTES_MAX);
  expect(existsSync(`${file}-wal`)).toBe(false);
});
