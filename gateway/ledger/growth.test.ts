import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { didFromKey } from '@waystone/proto';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { testKeyNamed } from '../../proto/test-data/test-signer.js';
import type { NewTransaction } from '../core/forge-ports.js';
import { ledgerQueries } from './queries.js';
import { prepareLedger } from './schema.js';
import { makeEnvelope, TestLedger, withoutSessionPruning } from './testing.js';

const NOW_US = 1_800_000_000_000_000;
const SESSION = '11'.repeat(16);
const ROOT = '07'.repeat(32);
const KEY = testKeyNamed('secp256k1', 'ledger device');
const DID = didFromKey(KEY.publicKey);

/** What may be walked from end to end: it does not grow with what is stored. */
const SMALL = ['devices', 'relays', 'relay_devices', 'batch_totals', 'unsynced', 'CONSTANT ROW'];

/** Columns whose extreme is at an end of an index. */
const INDEXED = ['id', 'rowid', 'log_index'];

/** Queries that are asked rarely, or end soon, though their plan shows a walk; with the reason. */
const RARE: readonly RegExp[] = [
  // At start: when the proof of each device ends.
  /SELECT device, expiry FROM device_proofs/,
  // Once a chain has lost blocks: all blocks that held something of ours.
  /SELECT number, max\(hash\) AS hash/,
  // The last of the closed sessions that are kept of one device, by an index over these alone.
  /SELECT MAX\(closed_at_us\) \+ 1 FROM sessions\s+WHERE device = @device AND closed_at_us IS NOT NULL/,
  // The first row.
  /FROM refusals ORDER BY id LIMIT 1$/,
];

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'waystone-growth-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** Everything that is prepared on any database while `run` runs. */
function recorded(run: () => void): string[] {
  const { prepare } = Database.prototype;
  const statements = new Set<string>();
  Database.prototype.prepare = function (this: Database.Database, sql: string) {
    statements.add(sql);
    return prepare.call(this, sql);
  } as typeof prepare;
  try {
    run();
  } finally {
    Database.prototype.prepare = prepare;
  }
  return [...statements];
}

/** Names of what a statement walks from end to end. */
function walks(db: Database.Database, sql: string): string[] {
  const names = [...sql.matchAll(/@(\w+)/g)].map(([, name]) => [name as string, null] as const);
  const parameters =
    names.length > 0 ? [Object.fromEntries(names)] : Array(sql.split('?').length - 1).fill(null);
  const plan = db.prepare(`EXPLAIN QUERY PLAN ${sql}`).all(...parameters) as { detail: string }[];
  const all = (pattern: RegExp): string[] =>
    plan.flatMap(({ detail }) => pattern.exec(detail)?.[1] ?? []);
  // What a subquery walks is told by lines of its own.
  const subqueries = new Set(all(/^(?:CO-ROUTINE|MATERIALIZE) (\S+)/));
  const walked = all(/^SCAN (CONSTANT ROW|\S+)/).filter(
    (name) => !subqueries.has(name) && !name.startsWith('('),
  );
  // A plan shows the search for an extreme as the same, with an index and without.
  const extremes = [...sql.matchAll(/\b(?:MAX|MIN)\((\w+)\)/g)].map(([, column]) => String(column));
  return [...walked, ...extremes.filter((column) => !INDEXED.includes(column))];
}

/** Notes which functions are called. */
function noting<T extends object>(target: T, called: Set<string>): T {
  return new Proxy(target, {
    get: (from, name) => {
      called.add(String(name));
      return Reflect.get(from, name);
    },
  });
}

/** A ledger's life, from start to a removed dataset, with every question that anyone asks it. */
function live(ledger: TestLedger, called: { operations: Set<string>; queries: Set<string> }): void {
  const calls = noting(ledger.calls, called.operations);
  const queries = noting(ledgerQueries(ledger.db), called.queries);
  const item = (first: number, count = 1, salt = 1) => ({
    device: 1,
    payload: makeEnvelope(KEY, { session: SESSION, first, count, salt }),
  });
  calls.identity();
  calls.clockMemory();
  calls.devices();
  calls.relays();
  calls.enrol(DID, 'car', NOW_US);
  calls.enter(1, SESSION, 1, NOW_US);
  calls.hello(1, SESSION, 2, ['22'.repeat(16)], NOW_US);
  // In order, behind a gap, into it, again, in conflict, refused.
  ledger.commit([item(0), item(5), item(7), item(3), item(0)], () => calls.seen(1, NOW_US));
  ledger.commit([item(5, 1, 2), { ...item(9), refusal: { code: 'FRAMES_ROOT_MISMATCH' } }]);
  ledger.commit([item(0)]);
  calls.owedReceipts(1, [{ session: SESSION, stream: 1, firstSequence: 3 }]);
  calls.writeCounters();
  calls.closeDue(NOW_US, true);
  calls.sealing();
  const frozen = calls.freeze(1, NOW_US);
  const root = Buffer.from(ROOT, 'hex');
  calls.appendLog(1, { root, count: 4, manifestHash: root, minTimeUs: 1, maxTimeUs: 2 });
  calls.logHead(1);
  calls.didsOf(1);
  calls.markSealed(1);

  const logId = Buffer.from(frozen.logId as Uint8Array).toString('hex');
  calls.forgeReady(16);
  const place = { chainId: 1, registry: '0x1', idao: '0x2' };
  calls.keepProof(1, place, 1, new Uint8Array(64));
  calls.provenDevices(place);
  calls.proofsOf(place, ['00'.repeat(32)]);
  const intent = { chainId: 1, kind: 'dataset' as const, logId, index: 0, payload: '{}' };
  calls.addIntent({ ...intent, key: 'a' });
  calls.addIntent({ ...intent, key: 's', kind: 'setup', logId: null, index: null });
  calls.intent('a');
  calls.openIntents(1, 'dataset');
  const transaction: NewTransaction = {
    hash: '0xa',
    intentKey: 'a',
    purpose: 'commit',
    chainId: 1,
    account: '0x1',
    nonce: 0,
    raw: '0x',
    gasLimit: 1,
    maxFeeWei: '1',
    tipWei: '1',
  };
  calls.nextNonce(1, '0x1');
  for (const nonce of [0, 1, 2]) {
    calls.addTransaction({ ...transaction, nonce, hash: `0x${nonce}`, purpose: `${nonce}` });
    calls.markSent(`0x${nonce}`);
  }
  calls.pendingTransactions(1);
  calls.liveTransaction('a', '0');
  calls.transactions('a');
  calls.transactionsAt(1, '0x1', 2);
  calls.replaceTransaction('0x2', { ...transaction, nonce: 2, hash: '0x2b', purpose: '2' });
  calls.unexplained(1);
  calls.unconfirmedBlocks(1);
  calls.markMined('0x0', { number: 1, hash: '0xb' });
  calls.markFailed('0x1', { number: 1, hash: '0xb' }, 'no');
  calls.markLost('0x2b');
  calls.progress('a', { state: 'confirmed', blockNumber: 1, blockHash: '0xb', tokenId: '1' });
  calls.noteError('a', null);
  calls.newestBlock(1);
  calls.seenBlocks(1);
  calls.rewind(1, 1);
  const key = 'lazai:1:0';
  calls.addLazaiFile({
    ...{ key, chainId: 1, idao: '0x1', contentKey: '', urlSecret: '', fromBlock: 0 },
    dataset: { logId, index: 1, root: ROOT, hash: ROOT, url: 'https://u' },
  });
  calls.updateLazaiFile(key, { state: 'registered', feeWei: '1' });
  calls.lazaiFile(key);
  calls.openLazaiFiles(1);
  calls.lazaiReservedWei(1);
  calls.pinLazai('key', 'value');
  calls.forgeCommitted({ logId, index: 0 });
  calls.forgeForged(
    {
      logId,
      index: 0,
      root: ROOT,
      manifestHash: '',
      chainId: 1,
      tokenId: '1',
      classId: '1',
      owner: '',
      datasetForge: '',
      dat: '',
      transaction: null,
      blockNumber: 1,
    },
    NOW_US,
  );

  const limits = { forgedBytesMax: 1, forgedDaysKept: 1 };
  queries.diskUse();
  queries.hasUndated(NOW_US);
  calls.dateForged(NOW_US);
  queries.removable(limits, NOW_US * 2);
  queries.removedAmong([ROOT]);
  queries.sealedWithin(0, NOW_US);
  queries.gasPerDataset();
  queries.totals();
  expect(queries.devices(10, 0)).toMatchObject([{ did: DID, frames: 4 }]);
  queries.device(DID);
  queries.deviceId(DID);
  expect(queries.batches(10)).toMatchObject([{ entries: 4 }]);
  queries.batch(1);
  expect(queries.datasets(10)).toHaveLength(1);
  queries.dataset(ROOT);
  expect(queries.locate(DID, SESSION, 1, 5)).toMatchObject({ batch: 1 });
  queries.prunedDatasets(DID, SESSION, 1, 10);
  expect(queries.refusals(10)).toHaveLength(2);
  calls.markRemoved(1, NOW_US);
  queries.unlikeReceipt(
    makeEnvelope(KEY, { session: SESSION, first: 9, count: 9 }).subarray(8, 288),
  );

  ledger.commit([item(20)], () => calls.closeDue(NOW_US, true));
  ledger.sealAll(NOW_US);
  const { batch } = calls.toInspect({ logId, index: 1 });
  calls.markInspected(batch, NOW_US);
  calls.addIntent({ ...intent, chainId: 2, index: 1, key: 'b' });
  const offenders = [{ index: 0, code: 'DEVICE_REVOKED' as const }];
  calls.withdraw({ batch, chainId: 2, offenders, rest: null, atUs: NOW_US });
  expect(calls.intent('b')).toBeNull();
  expect(queries.batch(batch)).toMatchObject({ state: 'withdrawn' });
  calls.keepClockDoubt(1);
  calls.addRelay(
    { name: 'r', login: { salt: new Uint8Array(1), hash: new Uint8Array(1) }, devices: [DID] },
    NOW_US,
  );
  calls.setRelayDevices('r', null);
  calls.removeRelay('r');
  calls.revoke(DID, '', NOW_US);
}

it('walks no table that grows for ever, for anything that is asked while it starts and runs', () => {
  const file = join(folder, 'ledger.sqlite');
  new TestLedger(file).crash();
  const called = { operations: new Set<string>(), queries: new Set<string>() };
  let ledger: TestLedger | undefined;
  const statements = recorded(() => {
    ledger = new TestLedger(file);
    live(ledger, called);
  });
  const { db, calls } = ledger as TestLedger;
  // What is not asked here is not looked at.
  expect([...called.operations].sort()).toEqual(Object.keys(calls).sort());
  expect([...called.queries].sort()).toEqual(Object.keys(ledgerQueries(db)).sort());
  expect(statements.length).toBeGreaterThan(60);
  const bad = statements
    .filter((sql) => !RARE.some((rare) => rare.test(sql)))
    .map((sql) => ({ sql, walks: walks(db, sql).filter((name) => !SMALL.includes(name)) }))
    .filter((found) => found.walks.length > 0);
  expect(bad).toEqual([]);
  (ledger as TestLedger).crash();
});

it('sees a walk where there is one', () => {
  const ledger = new TestLedger(join(folder, 'ledger.sqlite'));
  for (const [sql, table] of [
    ['SELECT COUNT(*) FROM batches WHERE entries > ?', 'batches'],
    ['SELECT state, COUNT(*) FROM batches GROUP BY state', 'batches'],
    ['SELECT s.hash FROM statements s WHERE s.hash = @hash', 's'],
    ['SELECT MAX(at_us) FROM refusals', 'at_us'],
  ] as const) {
    expect(walks(ledger.db, sql)).toEqual([table]);
  }
  ledger.crash();
});

describe('what is kept instead of being counted', () => {
  /** Sums and gaps as a walk finds them. */
  const walked = (db: Database.Database) => ({
    totals: db
      .prepare(
        `SELECT state, removed_at_us IS NOT NULL AS is_removed, COUNT(*) AS batches, SUM(entries) AS entries,
           SUM(bytes) AS bytes
         FROM batches WHERE state <> 'open' GROUP BY 1, 2 ORDER BY 1, 2`,
      )
      .all(),
    gaps: db
      .prepare(
        `SELECT session, stream, before + 1 AS first, first - 1 AS last FROM (
           SELECT session, stream, first,
             LAG(last, 1, -1) OVER (PARTITION BY session, stream ORDER BY first) AS before
           FROM statements
         ) WHERE first > before + 1 ORDER BY 1, 2, 3`,
      )
      .all(),
  });
  const kept = (db: Database.Database) => ({
    totals: db.prepare('SELECT * FROM batch_totals WHERE batches > 0 ORDER BY 1, 2').all(),
    gaps: db.prepare('SELECT * FROM gaps ORDER BY 1, 2, 3').all(),
  });

  /** Ranges in a disorder that is the same every time. */
  function disorder(ledger: TestLedger): void {
    ledger.calls.enrol(DID, '', NOW_US);
    ledger.calls.enter(1, SESSION, 1, NOW_US);
    const order = Array.from({ length: 120 }, (_, k) => (k * 37) % 120).filter((k) => k % 5 !== 3);
    for (const [at, k] of order.entries()) {
      const payload = makeEnvelope(KEY, {
        session: SESSION,
        first: k * 4,
        count: 1 + (k % 4),
        stream: 1 + (k % 2),
      });
      ledger.commit([{ device: 1, payload }]);
      if (at % 20 === 7) {
        const [id] = ledger.calls.closeDue(NOW_US, true);
        if (at % 40 === 7) ledger.calls.freeze(id as number, NOW_US);
      }
      if (at === 50) {
        const { id } = ledger.calls.sealing()[0] as { id: number };
        const root = Buffer.from(ROOT, 'hex');
        ledger.calls.appendLog(id, {
          root,
          count: 1,
          manifestHash: root,
          minTimeUs: 1,
          maxTimeUs: 2,
        });
        ledger.calls.markSealed(id);
      }
    }
  }

  it('is what a walk finds', () => {
    const ledger = new TestLedger(join(folder, 'ledger.sqlite'));
    disorder(ledger);
    const found = walked(ledger.db);
    expect(found.gaps.length).toBeGreaterThan(20);
    expect(found.totals.length).toBeGreaterThan(2);
    expect(kept(ledger.db)).toEqual(found);
    ledger.crash();
  });

  it('is found by a walk once, for a ledger of an earlier release', () => {
    const file = join(folder, 'ledger.sqlite');
    const ledger = new TestLedger(file);
    disorder(ledger);
    // As it was before: without what the migration and the later one add.
    withoutSessionPruning(ledger.db);
    const added = ledger.rows<{ type: string; name: string }>(
      `SELECT type, name FROM sqlite_master WHERE name IN ('gaps', 'batch_totals', 'batch_totals_change')
       OR name IN ('batches_unforged', 'batches_to_forge', 'batches_by_seal_time', 'batches_kept_by_age',
         'batches_kept', 'chain_intent_confirmed', 'chain_tx_pending') ORDER BY type`,
    );
    expect(added).toHaveLength(10);
    for (const { type, name } of added) {
      if (type !== 'table') ledger.db.exec(`DROP ${type} ${name}`);
    }
    ledger.db.exec('DROP TABLE gaps; DROP TABLE batch_totals');
    ledger.db.exec('ALTER TABLE batches DROP COLUMN clock_trusted');
    ledger.db.pragma('user_version = 2');
    ledger.crash();
    const db = new Database(file);
    prepareLedger(db, folder);
    expect(kept(db)).toEqual(walked(db));
    db.close();
  });
});
