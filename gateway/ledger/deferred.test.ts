import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { MessageChannel } from 'node:worker_threads';
import { didFromKey, toHex } from '@waystone/proto';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { packEnvelopes, transferOf } from '../core/packed.js';
import type { Decision } from '../core/ports.js';
import { Ledger } from './ledger.js';
import { LedgerReader } from './reader.js';
import { pendingRecords } from './redo-file.js';
import {
  BATCH_LIMITS,
  GATEWAY,
  makeEnvelope,
  quickKey,
  SESSION_LIMITS,
  TestLedger,
} from './testing.js';

/** The ledger's own thread, which decides by itself what it defers. */

const NOW_US = 1_800_000_000_000_000;
const SESSION = '11'.repeat(16);
const KEY = quickKey('Ed25519', 'deferred');
const DID = didFromKey(KEY.publicKey);

let folder: string;
let file: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'waystone-deferred-'));
  file = join(folder, 'ledger.sqlite');
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** One value, through a connection of its own. */
function seen(sql: string, path = file): unknown {
  const db = new Database(path, { readonly: true });
  try {
    return db.prepare(sql).pluck().get();
  } finally {
    db.close();
  }
}

const statements = (path = file): unknown => seen('SELECT COUNT(*) FROM statements', path);

/** Records that wait; fewer where the thread has committed them meanwhile. */
function pending(): number {
  const logId = Buffer.from(String(seen("SELECT value FROM meta WHERE key = 'log_id'")), 'hex');
  const committed = Number(seen("SELECT value FROM meta WHERE key = 'redo_epoch'"));
  return pendingRecords(folder, { logId, committed });
}

/** A ledger in its thread, one device in one session, and what a verifier would send of it. */
async function open() {
  const { port1: verifier, port2 } = new MessageChannel();
  const waiting = new Map<number, (decision: Decision) => void>();
  const fail = (error: Error): void => {
    throw error;
  };
  const ledger = await Ledger.open(
    {
      dataFolder: folder,
      logHeadFile: join(folder, 'log-head.json'),
      privateKey: GATEWAY.exportPrivateKey(),
      limits: BATCH_LIMITS,
      sessions: SESSION_LIMITS,
      settledBy: 'sealed',
      verifiers: [port2],
    },
    (decisions) => {
      for (const decision of decisions) waiting.get(decision.ticket)?.(decision);
    },
    fail,
  );
  await ledger.calls.enrol(DID, '', NOW_US);
  await ledger.calls.enter(1, SESSION, 1, NOW_US);
  const reader = new LedgerReader(folder, () => ledger.settled(), fail);
  const receipts: string[] = [];
  /** Stores one more envelope, and waits until that is acknowledged. */
  const store = async (): Promise<void> => {
    const first = receipts.length;
    const payload = new Uint8Array(makeEnvelope(KEY, { session: SESSION, first }));
    const decided = new Promise<Decision>((resolve) => waiting.set(first, resolve));
    const arrived = { ticket: first, device: 1, receivedAtUs: NOW_US, clockTrusted: true };
    const packed = packEnvelopes([{ ...arrived, payload }]);
    verifier.postMessage(packed, transferOf(packed));
    const { kind, receipt } = await decided;
    expect(kind).toBe('stored');
    receipts.push(toHex(receipt));
  };
  const stop = async (): Promise<void> => {
    await reader.stop();
    await ledger.stop();
    verifier.close();
  };
  return { ledger, reader, receipts, store, stop };
}

/** Every envelope again, each with the receipt that was given for it. */
function expectThere(receipts: readonly string[]): void {
  const ledger = new TestLedger(file, {}, join(folder, 'log-head.json'));
  try {
    expect(ledger.batchRows(1)).toHaveLength(receipts.length);
    const items = receipts.map((_, first) => ({
      device: 1,
      payload: makeEnvelope(KEY, { session: SESSION, first }),
    }));
    const again = ledger.commit(items);
    expect(again.every(({ kind }) => kind === 'duplicate')).toBe(true);
    expect(again.map(({ receipt }) => toHex(receipt))).toEqual(receipts);
  } finally {
    ledger.crash();
  }
}

it('whoever reads sees what was acknowledged before, and so does a backup', async () => {
  const { ledger, reader, receipts, store, stop } = await open();
  let waited = 0;
  let backups = 0;
  for (let k = 0; k < 400; k++) {
    await store();
    waited += pending();
    if (k % 5 === 0) {
      const [found] = await Promise.all([
        reader.calls.locate(DID, SESSION, 1, k),
        reader.calls.diskUse(),
      ]);
      expect(found).toMatchObject({ batch: 1 });
      expect(statements()).toBe(receipts.length);
    }
    if (k % 40 === 7) {
      const copy = join(folder, `copy-${k}.sqlite`);
      await ledger.backup(copy, async () => expect(statements(copy)).toBe(receipts.length));
      backups += 1;
    }
  }
  await stop();
  console.log(`${waited} records waited when looked at, ${backups} backups`);
  expect(waited).toBeGreaterThan(0);
  expect([statements(), pending()]).toEqual([400, 0]);
  expectThere(receipts);
});

it('rows that wait are committed by themselves, and with the end of the thread', async () => {
  const { receipts, store, stop } = await open();
  let waited = 0;
  for (let round = 0; round < 6; round++) {
    for (let k = 0; k < 20; k++) await store();
    waited += pending();
    while (round < 5 && statements() !== receipts.length) await delay(5);
  }
  await stop();
  console.log(`${waited} records waited when looked at`);
  expect(waited).toBeGreaterThan(0);
  expect([statements(), pending()]).toEqual([120, 0]);
  expectThere(receipts);
});
