import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MessageChannel } from 'node:worker_threads';
import { didFromKey } from '@waystone/proto';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { packEnvelopes, transferOf } from '../core/packed.js';
import type { Decision } from '../core/ports.js';
import { Ledger } from './ledger.js';
import { ledgerQueries } from './queries.js';
import { RANGES_MARK, type RangeLimits, RangeTable } from './ranges.js';
import { prepareLedger, SCHEMA_VERSION } from './schema.js';
import {
  BATCH_LIMITS,
  GATEWAY,
  makeEnvelope,
  quickKey,
  SESSION_LIMITS,
  TestLedger,
  withoutRanges,
} from './testing.js';

const NOW_US = 1_800_000_000_000_000;
const SESSION = '11'.repeat(16);
const OTHER = '22'.repeat(16);
const KEY = quickKey('secp256k1', 'device of ranges');
const DID = didFromKey(KEY.publicKey);
/** Nothing is written before so many wait. */
const LATE: RangeLimits = { pendingMax: 1_000_000, stepRows: 1, stepStreams: 1 };
/** A row at a time, from the fourth on: nearly always a writing is under way. */
const SLOWLY: RangeLimits = { pendingMax: 4, stepRows: 1, stepStreams: 1 };

let folder: string;
let file: string;
const opened: TestLedger[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'waystone-ranges-'));
  file = join(folder, 'ledger.sqlite');
});
afterEach(() => {
  for (const ledger of opened.splice(0)) ledger.crash();
  rmSync(folder, { recursive: true, force: true });
});

function open(
  ranges: Partial<RangeLimits> = LATE,
  options: ConstructorParameters<typeof TestLedger>[3] = {},
): TestLedger {
  const ledger = new TestLedger(file, {}, undefined, { ...options, ranges });
  opened.push(ledger);
  return ledger;
}

function openWithDevice(...of: Parameters<typeof open>): TestLedger {
  const ledger = open(...of);
  ledger.calls.enrol(DID, 'rover', NOW_US);
  ledger.calls.enter(1, SESSION, 1, NOW_US);
  return ledger;
}

/** As when the process dies and starts again. */
function restart(ledger: TestLedger, ...of: Parameters<typeof open>): TestLedger {
  ledger.crash();
  return open(...of);
}

function envelope(first: number, count = 1, { stream = 1, session = SESSION, salt = 1 } = {}) {
  return { device: 1, payload: makeEnvelope(KEY, { session, first, count, stream, salt }) };
}

const kinds = (decisions: readonly Decision[]): string[] => decisions.map(({ kind }) => kind);
const inTable = (ledger: TestLedger): number[] =>
  ledger.db.prepare('SELECT statement FROM ranges ORDER BY 1').pluck().all() as number[];
const markOf = (db: Database.Database): unknown =>
  db.prepare('SELECT value FROM meta WHERE key = ?').pluck().get(RANGES_MARK);
const allOf = (db: Database.Database): unknown[] =>
  db
    .prepare('SELECT session, stream, first, id AS statement FROM statements ORDER BY 1, 2, 3')
    .all();
const rangesOf = (db: Database.Database): unknown[] =>
  db.prepare('SELECT session, stream, first, statement FROM ranges ORDER BY 1, 2, 3').all();
const writeAll = (ledger: TestLedger): void =>
  ledger.db.transaction(() => ledger.ranges.writeAll())();

/** Resends, conflicts, what lies between, what comes next: each is judged as if all were in one sorted list. */
function expectExactlyOnce(ledger: TestLedger, receipts: readonly Decision[]): void {
  const again = ledger.commit([envelope(0), envelope(10, 5), envelope(3, 2), envelope(2)]);
  expect(kinds(again)).toEqual(['duplicate', 'duplicate', 'duplicate', 'duplicate']);
  expect(again.map(({ receipt }) => Buffer.from(receipt))).toEqual(
    receipts.map(({ receipt }) => Buffer.from(receipt)),
  );
  const conflicts = [envelope(4, 3), envelope(12), envelope(9, 2), envelope(0, 1, { salt: 2 })];
  const refused = ledger.commit(conflicts);
  expect(refused.map(({ refusal }) => refusal?.code)).toEqual(
    conflicts.map(() => 'RANGE_CONFLICT'),
  );
  const owed = ledger.calls.owedReceipts(1, [
    { session: SESSION, stream: 1, firstSequence: 10 },
    { session: SESSION, stream: 1, firstSequence: 11 },
    { session: SESSION, stream: 2, firstSequence: 10 },
  ]);
  expect(owed.map(({ stored }) => Buffer.from(stored))).toEqual([
    Buffer.from((receipts[1] as Decision).receipt),
  ]);
}
/** In this order. */
const STORED = [envelope(0), envelope(10, 5), envelope(3, 2), envelope(2)];

describe('a statement that waits', () => {
  it('is known in its own group, in later ones and after a restart', () => {
    const ledger = openWithDevice();
    const receipts = ledger.commit([...STORED, ...STORED]);
    expect(kinds(receipts)).toEqual([...Array(4).fill('stored'), ...Array(4).fill('duplicate')]);
    expect([ledger.ranges.pending, inTable(ledger)]).toEqual([4, []]);
    expectExactlyOnce(ledger, receipts.slice(0, 4));
    const after = restart(ledger);
    expect([after.ranges.pending, inTable(after)]).toEqual([4, []]);
    expectExactlyOnce(after, receipts.slice(0, 4));
    expect(kinds(after.commit([envelope(1), envelope(5, 5), envelope(15)]))).toEqual([
      'stored',
      'stored',
      'stored',
    ]);
  });

  it('is known while a part is written, and after a restart in the middle of it', () => {
    const first = openWithDevice();
    first.commit([envelope(40)]);
    writeAll(first);
    const receipts = first.commit(STORED);
    const more = Array.from({ length: 8 }, (_, k) => envelope(20 + k));
    first.commit(more);
    let ledger = restart(first, SLOWLY);
    for (let written = 0; written < 12; ) {
      // Two groups, a row in each; and every other time another start, which begins anew.
      expectExactlyOnce(ledger, receipts);
      written = inTable(ledger).length - 1;
      if (written < 12) expect([ledger.ranges.pending, markOf(ledger.db)]).toEqual([12, 1]);
      if (written % 4 !== 2 || written > 6) continue;
      ledger = restart(ledger, SLOWLY);
      expect([ledger.ranges.pending, inTable(ledger).length]).toEqual([12, written + 1]);
      for (let k = 0; k < written; k++) ledger.commit([]);
      expect(inTable(ledger).length).toBe(written + 1);
    }
    expect([ledger.ranges.pending, markOf(ledger.db)]).toEqual([0, 13]);
    expect(rangesOf(ledger.db)).toEqual(allOf(ledger.db));
    expectExactlyOnce(ledger, receipts);
    expect(kinds(ledger.commit(more))).toEqual(more.map(() => 'duplicate'));
  });

  it('is of its own stream and session only', () => {
    const ledger = openWithDevice();
    ledger.calls.hello(1, OTHER, 1, [SESSION], NOW_US);
    const group = () => [
      envelope(5, 2),
      envelope(5, 2, { stream: 2 }),
      envelope(6, 2, { stream: 3 }),
      envelope(4, 3, { session: OTHER }),
    ];
    expect(kinds(ledger.commit(group()))).toEqual(Array(4).fill('stored'));
    for (const write of [false, true]) {
      if (write) writeAll(ledger);
      expect(kinds(ledger.commit(group()))).toEqual(Array(4).fill('duplicate'));
      const [conflict] = ledger.commit([envelope(6, 2, { stream: 2 })]);
      expect(conflict?.refusal?.code).toBe('RANGE_CONFLICT');
    }
  });

  it('is forgotten with a transaction that is undone, written or not', () => {
    for (const limits of [LATE, SLOWLY]) {
      const ledger = openWithDevice(limits);
      const receipts = ledger.commit(STORED);
      expect(() =>
        ledger.commit([envelope(30), envelope(1), envelope(40)], () => {
          ledger.ranges.writeAll();
          throw new Error('undone');
        }),
      ).toThrow('undone');
      expectExactlyOnce(ledger, receipts);
      expect(kinds(ledger.commit([envelope(30), envelope(1), envelope(40)]))).toEqual(
        Array(3).fill('stored'),
      );
      const after = restart(ledger, limits);
      expect(kinds(after.commit([envelope(30), envelope(1), envelope(40)]))).toEqual(
        Array(3).fill('duplicate'),
      );
      writeAll(after);
      expect(rangesOf(after.db)).toEqual(allOf(after.db));
      after.crash();
      rmSync(folder, { recursive: true });
      folder = mkdtempSync(join(tmpdir(), 'waystone-ranges-'));
      file = join(folder, 'ledger.sqlite');
    }
  });

  it('is stored once on a disk that is full now and then', () => {
    const ledger = openWithDevice({ pendingMax: 64, stepRows: 16, stepStreams: 4 });
    const receipts = new Map<number, Buffer>();
    let full = 0;
    for (let first = 0, groups = 0, room = 0; groups < 60; groups++) {
      // Groups fit until the statements or the table need another page, and then again once there is room.
      const pages = ledger.db.pragma('page_count', { simple: true }) as number;
      ledger.db.pragma(`max_page_count = ${pages + room}`);
      room = 0;
      const group = Array.from({ length: 12 }, (_, k) => first + k);
      try {
        const decisions = ledger.commit(group.map((at) => envelope(at)));
        expect(new Set(kinds(decisions))).toEqual(new Set(['stored']));
        decisions.forEach(({ receipt }, k) => {
          receipts.set(first + k, Buffer.from(receipt));
        });
        first += 12;
      } catch (error) {
        expect(error).toMatchObject({ code: 'SQLITE_FULL' });
        full += 1;
        room = 4 * (full % 3);
      }
      const again = ledger.commit([...receipts.keys()].slice(-30).map((at) => envelope(at)));
      for (const { kind } of again) expect(kind).toBe('duplicate');
    }
    expect(full).toBeGreaterThan(3);
    expect(receipts.size).toBeGreaterThan(200);
    ledger.db.pragma('max_page_count = 1000000');
    const after = restart(ledger);
    const again = after.commit([...receipts.keys()].map((at) => envelope(at)));
    expect(again.map(({ receipt }) => Buffer.from(receipt))).toEqual([...receipts.values()]);
    expect(after.rows('SELECT COUNT(*) AS n FROM statements')).toEqual([{ n: receipts.size }]);
  });

  it('shows its frames to readers in other threads, as one that is written', () => {
    const ledger = openWithDevice();
    ledger.commit(STORED);
    const reader = new Database(file, { readonly: true });
    const { locate } = ledgerQueries(reader);
    const places = () =>
      [0, 1, 2, 3, 4, 5, 9, 10, 14, 15].map(
        (sequence) => locate(DID, SESSION, 1, sequence)?.batchIndex ?? null,
      );
    const expected = [0, null, 3, 2, 2, null, null, 1, 1, null];
    expect(places()).toEqual(expected);
    writeAll(ledger);
    expect(places()).toEqual(expected);
    ledger.commit([envelope(5, 5)]);
    expect(places()).toEqual([0, null, 3, 2, 2, 4, 4, 1, 1, null]);
    expect(locate(DID, SESSION, 2, 0)).toBeNull();
    expect(locate(DID, OTHER, 1, 0)).toBeNull();
    reader.close();
  });

  it('goes with its session, of which some are written and some are not', () => {
    const ledger = openWithDevice(SLOWLY, { sessions: { closedKept: 0 } });
    ledger.commit(STORED);
    writeAll(ledger);
    ledger.commit([20, 21, 22].map((first) => envelope(first)));
    ledger.commit([envelope(23)]);
    const isUnderWay = () => [ledger.ranges.pending, inTable(ledger).length];
    expect(isUnderWay()).toEqual([4, 6]);
    ledger.calls.hello(1, OTHER, 1, [], NOW_US);
    ledger.commit([envelope(0, 1, { session: OTHER })]);
    ledger.sealAll(NOW_US);
    ledger.pruneAll(NOW_US);
    expect(ledger.rows('SELECT DISTINCT session FROM statements')).toEqual([{ session: 2 }]);
    writeAll(ledger);
    expect(rangesOf(ledger.db)).toEqual(allOf(ledger.db));
    const after = restart(ledger, LATE, { sessions: { closedKept: 0 } });
    expect(after.ranges.pending).toBe(0);
    expect(after.commit([envelope(0), envelope(20)]).map(({ refusal }) => refusal?.code)).toEqual([
      'SESSION_CLOSED',
      'SESSION_CLOSED',
    ]);
    expect(kinds(after.commit([envelope(0, 1, { session: OTHER })]))).toEqual(['duplicate']);
  });

  it('keeps its closed session until its batch is sealed, as one that is written', () => {
    for (const isWritten of [false, true]) {
      const ledger = openWithDevice(LATE, { sessions: { closedKept: 0 } });
      ledger.commit([envelope(0)]);
      if (isWritten) writeAll(ledger);
      ledger.calls.hello(1, OTHER, 1, [], NOW_US);
      ledger.pruneAll(NOW_US);
      expect(kinds(ledger.commit([envelope(0)]))).toEqual(['duplicate']);
      ledger.crash();
      rmSync(folder, { recursive: true });
      folder = mkdtempSync(join(tmpdir(), 'waystone-ranges-'));
      file = join(folder, 'ledger.sqlite');
    }
  });
});

describe('a step', () => {
  it('writes a bounded number of rows and streams, in the order of the table, and keeps up', () => {
    const ledger = openWithDevice({ pendingMax: 100, stepRows: 20, stepStreams: 3 });
    let next = 0;
    const store = (envelopes: number) =>
      ledger.commit(
        Array.from({ length: envelopes }, () => envelope(next++, 1, { stream: 1 + (next % 10) })),
      );
    store(99);
    expect(inTable(ledger)).toEqual([]);
    store(1);
    // Ten rows of each stream, and three streams at most.
    expect(inTable(ledger)).toHaveLength(20);
    ledger.commit([]);
    expect(inTable(ledger)).toHaveLength(40);
    store(30);
    // Twice as many as the group stored.
    expect(inTable(ledger)).toHaveLength(100);
    expect([ledger.ranges.pending, markOf(ledger.db)]).toEqual([30, 100]);
    let most = 0;
    for (let k = 0; k < 200; k++) {
      store(1 + (k % 40));
      most = Math.max(most, ledger.ranges.pending);
    }
    expect(most).toBeLessThan(250);
  });

  it('writes what came from as many streams as there are statements a few streams at a time', () => {
    const ledger = openWithDevice({ pendingMax: 100, stepRows: 50, stepStreams: 7 });
    ledger.commit([]);
    ledger.db.transaction(() => {
      for (let k = 0; k < 100; k++) ledger.ranges.add(1, k, 0, k + 1);
    })();
    ledger.commit([]);
    expect(inTable(ledger)).toEqual([1, 2, 3, 4, 5, 6, 7]);
  });
});

describe('a ledger of schema version 4', () => {
  it('comes with all its statements in the table, and without the index', () => {
    const ledger = openWithDevice();
    const receipts = ledger.commit(STORED);
    withoutRanges(ledger.db);
    const after = restart(ledger);
    expect(after.db.pragma('user_version', { simple: true })).toBe(SCHEMA_VERSION);
    expect(after.rows("SELECT 1 FROM sqlite_master WHERE name = 'statements_by_range'")).toEqual(
      [],
    );
    expect(rangesOf(after.db)).toEqual(allOf(after.db));
    expect([after.ranges.pending, markOf(after.db)]).toEqual([0, 4]);
    expectExactlyOnce(after, receipts);
    expect(kinds(after.commit([envelope(1)]))).toEqual(['stored']);
  });

  it('that stored nothing is one too', () => {
    const ledger = openWithDevice();
    withoutRanges(ledger.db);
    const after = restart(ledger);
    expect([rangesOf(after.db), markOf(after.db)]).toEqual([[], 0]);
    expect(kinds(after.commit(STORED))).toEqual(Array(4).fill('stored'));
  });
});

describe('a table that cannot be trusted stops the ledger', () => {
  const broken = expect.objectContaining({ code: 'LEDGER_BROKEN' });

  it.each([
    ['without its mark', 'DELETE FROM meta WHERE key = ?'],
    ['with a mark beyond the newest statement', 'UPDATE meta SET value = 5 WHERE key = ?'],
    ['with a mark that is none', "UPDATE meta SET value = 'x' WHERE key = ?"],
  ])('%s', (_what, sql) => {
    const ledger = openWithDevice();
    ledger.commit(STORED);
    ledger.db.prepare(sql).run(RANGES_MARK);
    ledger.crash();
    opened.splice(0);
    const db = new Database(file);
    prepareLedger(db, folder);
    expect(() => new RangeTable(db)).toThrow(broken);
    db.close();
  });

  it('when a row leads to a statement that is not there', () => {
    const ledger = openWithDevice();
    ledger.commit(STORED);
    writeAll(ledger);
    ledger.db.exec('DELETE FROM statements WHERE id = 2');
    expect(() => ledger.commit([envelope(10, 5)])).toThrow(broken);
    expect(() =>
      ledger.calls.owedReceipts(1, [{ session: SESSION, stream: 1, firstSequence: 10 }]),
    ).toThrow(broken);
  });

  it('before a range is stored a second time', () => {
    const ledger = openWithDevice();
    ledger.commit(STORED);
    const add = () => ledger.ranges.add(1, 1, 10, 99);
    expect(add).toThrow(broken);
    writeAll(ledger);
    add();
    expect(() => ledger.ranges.writeAll()).toThrow(broken);
    ledger.ranges.reload();
  });
});

it('the thread of the ledger writes all that waits when it stops', async () => {
  const { port1: verifier, port2 } = new MessageChannel();
  const decided = new Promise<Decision[]>((resolve, reject) => {
    Ledger.open(
      {
        dataFolder: folder,
        logHeadFile: join(folder, 'log-head.json'),
        privateKey: GATEWAY.exportPrivateKey(),
        limits: BATCH_LIMITS,
        sessions: SESSION_LIMITS,
        settledBy: 'sealed',
        verifiers: [port2],
      },
      (decisions) => void ledger.then((one) => one.stop()).then(() => resolve(decisions), reject),
      reject,
    ).then((one) => setLedger(one), reject);
  });
  let setLedger: (ledger: Ledger) => void = () => undefined;
  const ledger = new Promise<Ledger>((resolve) => {
    setLedger = resolve;
  });
  const { calls } = await ledger;
  await calls.enrol(DID, '', NOW_US);
  await calls.enter(1, SESSION, 1, NOW_US);
  const packed = packEnvelopes(
    STORED.map(({ payload }, k) => ({
      ticket: k + 1,
      device: 1,
      receivedAtUs: NOW_US,
      clockTrusted: true,
      payload,
    })),
  );
  verifier.postMessage(packed, transferOf(packed));
  expect(kinds(await decided)).toEqual(Array(4).fill('stored'));
  verifier.close();
  const db = new Database(file, { readonly: true });
  expect(rangesOf(db)).toEqual(allOf(db));
  expect(rangesOf(db)).toHaveLength(4);
  expect(markOf(db)).toBe(4);
  db.close();
});
