import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { decodeReceipt, didFromKey, equalBytes, leafHash, toHex } from '@waystone/proto';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Decision, VerifiedBatch } from '../core/ports.js';
import { REDO_LIMITS } from './group-writer.js';
import { pendingRecords, REDO_FILE, RedoFile } from './redo-file.js';
import { type RedoItem, RedoRecorder, readRedoRecord } from './redo-record.js';
import { makeEnvelope, quickKey, TestLedger } from './testing.js';

const NOW_US = 1_800_000_000_000_000;
const SESSION = '11'.repeat(16);
const KEY = quickKey('Ed25519', 'group writer');
const FULL = expect.objectContaining({ code: 'SQLITE_FULL' });

let folder: string;
const opened: TestLedger[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'waystone-group-writer-'));
});
afterEach(() => {
  for (const ledger of opened.splice(0)) ledger.crash();
  rmSync(folder, { recursive: true, force: true });
});

function open(): TestLedger {
  const ledger = new TestLedger(join(folder, 'ledger.sqlite'));
  opened.push(ledger);
  return ledger;
}

/** A ledger with one device, number 1, in one session. */
function openWithDevice(): TestLedger {
  const ledger = open();
  ledger.commit([], () => {
    ledger.calls.enrol(didFromKey(KEY.publicKey), '', NOW_US);
    ledger.calls.enter(1, SESSION, 1, NOW_US);
  });
  return ledger;
}

const envelope = (first: number, count = 1) =>
  makeEnvelope(KEY, { session: SESSION, first, count });
const item = (first: number, count = 1) => ({ device: 1, payload: envelope(first, count) });
const refused = (first: number) => ({
  ...item(first),
  refusal: { code: 'FRAMES_ROOT_MISMATCH' } as const,
});
const kinds = (decisions: readonly Decision[]) => decisions.map(({ kind }) => kind);
const receipts = (decisions: readonly Decision[]) => decisions.map(({ receipt }) => toHex(receipt));

/** One value, as every other connection sees it. */
function seen(sql = 'SELECT COUNT(*) FROM statements'): unknown {
  const db = new Database(join(folder, 'ledger.sqlite'), { readonly: true });
  try {
    return db.prepare(sql).pluck().get();
  } finally {
    db.close();
  }
}

const epoch = (): number => seen("SELECT value FROM meta WHERE key = 'redo_epoch'") as number;
const pending = ({ logId }: TestLedger): number =>
  pendingRecords(folder, { logId, committed: epoch() });

/** Groups of envelopes of these lengths. */
function groups(...lengths: number[][]): VerifiedBatch[] {
  return lengths.map((items) => ({
    buffer: new ArrayBuffer(0),
    items: items.map((length, ticket) => ({
      ...{ ticket, device: 1, offset: 0, length },
      ...{ receivedAtUs: NOW_US, clockTrusted: true, refusal: null },
    })),
  }));
}

/** From now on SQLite gets no more pages. */
function fill(ledger: TestLedger): void {
  const pages = ledger.db.pragma('page_count', { simple: true });
  ledger.db.pragma(`max_page_count = ${pages}`);
}

function free(ledger: TestLedger): void {
  ledger.db.pragma('max_page_count = 1000000');
}

/** Takes more than a full disk has. */
const tooMuch = (ledger: TestLedger) => (): void => {
  ledger.db.exec("INSERT INTO meta VALUES ('too much', zeroblob(10000000))");
};

const fail = (): void => {
  throw new Error('of another kind');
};

describe('a deferred group', () => {
  it('is seen by other connections once it is settled, with its epoch', () => {
    const ledger = openWithDevice();
    expect(kinds(ledger.defer([item(0), item(1)]))).toEqual(['stored', 'stored']);
    ledger.defer([item(2)]);
    expect([ledger.writer.isOpen, seen(), epoch(), pending(ledger)]).toEqual([true, 0, 0, 2]);
    ledger.writer.settle();
    expect([ledger.writer.isOpen, seen(), epoch(), pending(ledger)]).toEqual([false, 3, 1, 0]);
    ledger.writer.settle();
    expect([seen(), epoch()]).toEqual([3, 1]);
  });

  it('is committed with the next group that is, before which it was judged', () => {
    const ledger = openWithDevice();
    const first = ledger.defer([item(0)]);
    const again = ledger.commit([item(0), item(1)]);
    expect(kinds(again)).toEqual(['duplicate', 'stored']);
    expect(receipts(again)[0]).toBe(receipts(first)[0]);
    expect([seen(), epoch(), pending(ledger)]).toEqual([2, 1, 0]);
    expect(ledger.batchRows(1)).toHaveLength(2);
  });

  it('answers for itself within its group and to later ones, deferred or not', () => {
    const ledger = openWithDevice();
    const [first, same] = receipts(ledger.defer([item(0), item(0)]));
    expect(same).toBe(first);
    expect(receipts(ledger.defer([item(0)]))).toEqual([first]);
    expect(receipts(ledger.commit([item(0)]))).toEqual([first]);
  });

  it('is there after the process died, with the same receipts, in the order of storing', () => {
    const ledger = openWithDevice();
    ledger.commit([item(0)]);
    const answers = [
      ...ledger.defer([item(1), item(2)]),
      ...ledger.defer([item(1), item(3)]).slice(1),
    ];
    expect(seen()).toBe(1);
    ledger.crash();
    expect(pending(ledger)).toBe(2);
    const after = open();
    expect([seen(), epoch(), pending(after)]).toEqual([4, 1, 0]);
    const again = after.commit([item(1), item(2), item(3)]);
    expect(kinds(again)).toEqual(['duplicate', 'duplicate', 'duplicate']);
    expect(receipts(again)).toEqual(receipts(answers));
    const leaves = after.batchRows(1).map(({ entry }) => leafHash(entry));
    for (const [at, { receipt }] of answers.entries()) {
      const { outcome } = decodeReceipt(receipt).body;
      if (outcome.kind !== 'stored') throw new Error(outcome.kind);
      expect(equalBytes(outcome.entryLeaf, leaves[1 + at] as Uint8Array)).toBe(true);
    }
    expect(leaves).toHaveLength(4);
    after.calls.writeCounters();
    expect(after.rows('SELECT envelopes, frames FROM devices')).toEqual([
      { envelopes: 4, frames: 4 },
    ]);
  });

  it('is there after the process died twice, the second time before anything else was stored', () => {
    const ledger = openWithDevice();
    ledger.defer([item(0)]);
    ledger.crash();
    open().crash();
    const last = open();
    expect(kinds(last.commit([item(0)]))).toEqual(['duplicate']);
    expect([seen(), epoch()]).toEqual([1, 1]);
  });

  it('begins where the last one ended, in the same file, epoch after epoch', () => {
    let ledger = openWithDevice();
    for (let k = 0; k < 6; k++) {
      // Long and short ones, so that what an earlier epoch left lies behind a later one.
      for (let n = 0; n <= (5 - k) % 3; n++) ledger.defer([item(100 * k + 10 * n, 1 + (k % 4))]);
      if (k % 2 === 0) {
        ledger.writer.settle();
      } else {
        ledger.crash();
        ledger = open();
      }
      expect([epoch(), pending(ledger)]).toEqual([k + 1, 0]);
    }
    expect(ledger.batchRows(1)).toHaveLength(Number(seen()));
  });

  it('of refusals or duplicates alone takes no room in the file', () => {
    const ledger = openWithDevice();
    ledger.commit([item(0)]);
    expect(kinds(ledger.defer([refused(1), item(0)]))).toEqual(['refused', 'duplicate']);
    expect([ledger.writer.isOpen, pending(ledger)]).toEqual([true, 0]);
    ledger.writer.settle();
    expect([ledger.writer.isOpen, epoch()]).toEqual([false, 0]);
    expect(seen('SELECT COUNT(*) FROM refusals')).toBe(1);
  });

  it('keeps the answers of others in its group, as many as there may be', () => {
    const ledger = openWithDevice();
    const short = { ...refused(9), payload: new Uint8Array(20) };
    const group = [...Array(REDO_LIMITS.groupEnvelopesMax - 1).fill(short), item(0)];
    const receipt = receipts(ledger.defer(group)).at(-1);
    ledger.crash();
    expect(receipts(open().commit([item(0)]))).toEqual([receipt]);
  });
});

describe('a group may not be deferred', () => {
  const { groupBytesMax, groupEnvelopesMax } = REDO_LIMITS;

  it('when it is large', () => {
    const { writer } = openWithDevice();
    const small = Array<number>(groupEnvelopesMax).fill(1);
    expect(writer.mayDefer([])).toBe(true);
    expect(writer.mayDefer(groups([groupBytesMax]))).toBe(true);
    expect(writer.mayDefer(groups([groupBytesMax + 1]))).toBe(false);
    expect(writer.mayDefer(groups([groupBytesMax - 10], [10]))).toBe(true);
    expect(writer.mayDefer(groups([groupBytesMax - 10], [11]))).toBe(false);
    expect(writer.mayDefer(groups(small))).toBe(true);
    expect(writer.mayDefer(groups(small, [1]))).toBe(false);
  });

  it('while batch files are held', () => {
    const { writer, files } = openWithDevice();
    files.hold();
    expect(writer.mayDefer(groups([10]))).toBe(false);
    files.release();
    expect(writer.mayDefer(groups([10]))).toBe(true);
  });

  it('when the file has no room for it, until what is in it is committed', () => {
    const ledger = openWithDevice();
    const large = (k: number) => item(10_000 * k, 1000);
    let deferred = 0;
    while (ledger.mayDefer([large(deferred)])) ledger.defer([large(deferred++)]);
    expect(deferred).toBeGreaterThan(10);
    expect(readFileSync(join(folder, REDO_FILE))).toHaveLength(1024 * 1024);
    expect(() => ledger.defer([large(deferred)])).toThrow('may not be deferred');
    ledger.crash();
    const after = open();
    expect([seen(), epoch()]).toEqual([deferred, 1]);
    expect(kinds(after.defer([large(deferred - 1), large(deferred)]))).toEqual([
      'duplicate',
      'stored',
    ]);
  });
});

describe('a failure while rows wait', () => {
  /** Three envelopes wait. */
  function failing(): { ledger: TestLedger; answers: string[] } {
    const ledger = openWithDevice();
    const answers = [...ledger.defer([item(0), item(1)]), ...ledger.defer([item(2), refused(9)])];
    return { ledger, answers: receipts(answers.slice(0, 3)) };
  }

  function expectThere(ledger: TestLedger, answers: string[]): void {
    const again = ledger.commit([item(0), item(1), item(2)]);
    expect(kinds(again)).toEqual(['duplicate', 'duplicate', 'duplicate']);
    expect(receipts(again)).toEqual(answers);
    expect(ledger.batchRows(1)).toHaveLength(Number(seen()));
  }

  it('undoes them, and they are stored again before anything else', () => {
    const { ledger, answers } = failing();
    fill(ledger);
    expect(() => ledger.commit([item(3)], tooMuch(ledger))).toThrow(FULL);
    expect([ledger.writer.isOpen, seen(), ledger.rows('SELECT id FROM statements')]).toEqual([
      false,
      0,
      [],
    ]);
    expect([pending(ledger), ledger.mayDefer([])]).toEqual([2, false]);
    free(ledger);
    expect(kinds(ledger.commit([item(3)]))).toEqual(['stored']);
    expect([seen(), epoch(), pending(ledger), ledger.mayDefer([])]).toEqual([4, 1, 0, true]);
    expectThere(ledger, answers);
  });

  it('also when it comes again and again, and the process dies in between', () => {
    const ledger = openWithDevice();
    // Their answers take pages by themselves.
    const short = { ...refused(9), payload: new Uint8Array(20) };
    const answers = receipts(ledger.defer([item(0), item(1), item(2), ...Array(1000).fill(short)]));
    expect(() => ledger.commit([], fail)).toThrow('of another kind');
    // Now not even what waits has room.
    fill(ledger);
    for (let k = 0; k < 3; k++) {
      expect(() => ledger.commit([item(3)])).toThrow(FULL);
      expect(() => ledger.writer.settle()).toThrow(FULL);
      expect([seen(), pending(ledger), ledger.mayDefer([])]).toEqual([0, 1, false]);
    }
    ledger.crash();
    expect(pending(ledger)).toBe(1);
    const after = open();
    expect([seen(), epoch(), pending(after)]).toEqual([3, 1, 0]);
    expectThere(after, answers.slice(0, 3));
  });

  it('in a deferred group leaves nothing of that group', () => {
    const { ledger, answers } = failing();
    fill(ledger);
    let sent = 3;
    expect(() => {
      // Until a table needs a page.
      for (; ; sent++) answers.push(...receipts(ledger.defer([item(100 * sent, 40)])));
    }).toThrow(FULL);
    free(ledger);
    ledger.writer.settle();
    expect(seen()).toBe(sent);
    expect(kinds(ledger.commit([item(100 * sent, 40)]))).toEqual(['stored']);
    const later = Array.from({ length: sent - 3 }, (_, k) => item(100 * (3 + k), 40));
    expect(receipts(ledger.commit([item(0), item(1), item(2), ...later]))).toEqual(answers);
  });

  it.each([
    ['written before it', () => {}],
    ['written in it', (ledger: TestLedger) => ledger.counters.write()],
  ])('counts what was undone once, with counters %s', (_when, write) => {
    const { ledger } = failing();
    ledger.commit([], () => ledger.counters.write());
    ledger.defer([item(3, 5)]);
    fill(ledger);
    const inside = () => {
      write(ledger);
      tooMuch(ledger)();
    };
    expect(() => ledger.commit([item(20)], inside)).toThrow(FULL);
    free(ledger);
    ledger.commit([], () => ledger.counters.write());
    expect(ledger.rows('SELECT envelopes, frames, refused FROM devices')).toEqual([
      { envelopes: 4, frames: 8, refused: 1 },
    ]);
  });

  it('of what is no full disk is told as it is', () => {
    const { ledger, answers } = failing();
    expect(() => ledger.commit([item(3)], fail)).toThrow('of another kind');
    expect([seen(), pending(ledger), ledger.mayDefer([])]).toEqual([0, 2, false]);
    ledger.writer.settle();
    expectThere(ledger, answers);
  });
});

describe('a redo file that does not fit the tables stops the ledger', () => {
  const broken = (what: RegExp) =>
    expect.objectContaining({ code: 'LEDGER_BROKEN', message: expect.stringMatching(what) });

  /** However often it is started; nothing is touched. */
  function expectBroken(what: RegExp): void {
    const redo = readFileSync(join(folder, REDO_FILE));
    const before = [seen(), epoch(), seen('SELECT COUNT(*) FROM refusals')];
    for (let k = 0; k < 2; k++) expect(() => open()).toThrow(broken(what));
    expect(readFileSync(join(folder, REDO_FILE)).equals(redo)).toBe(true);
    expect([seen(), epoch(), seen('SELECT COUNT(*) FROM refusals')]).toEqual(before);
  }

  function change(sql: string): void {
    const db = new Database(join(folder, 'ledger.sqlite'));
    db.pragma('foreign_keys = OFF');
    expect(db.prepare(sql).run().changes).toBe(1);
    db.close();
  }

  function crashed(): TestLedger {
    const ledger = openWithDevice();
    ledger.defer([item(0), item(1)]);
    ledger.crash();
    return ledger;
  }

  it('when its session is missing, until it is there again', () => {
    const ledger = crashed();
    change('UPDATE sessions SET device = 2');
    expectBroken(/of group 2 in the redo file .* another answer .*restore a backup/);
    change('UPDATE sessions SET device = 1');
    expect(kinds(open().commit([item(0), item(1)]))).toEqual(['duplicate', 'duplicate']);
    expect(pending(ledger)).toBe(0);
  });

  it('when its session takes nothing any more', () => {
    crashed();
    change('UPDATE sessions SET closed_at_us = 1');
    expectBroken(/another answer/);
  });

  it('when its device is another one', () => {
    crashed();
    change('UPDATE devices SET key_id = zeroblob(32)');
    expectBroken(/another answer/);
  });

  it('when the tables hold it already', () => {
    crashed();
    const redo = readFileSync(join(folder, REDO_FILE));
    open().crash();
    writeFileSync(join(folder, REDO_FILE), redo);
    change("UPDATE meta SET value = 0 WHERE key = 'redo_epoch'");
    expectBroken(/comes out duplicate, not stored/);
  });

  it('when the tables are an old copy', () => {
    const ledger = openWithDevice();
    ledger.defer([item(0)]);
    ledger.writer.settle();
    ledger.db.pragma('wal_checkpoint(TRUNCATE)');
    const old = readFileSync(join(folder, 'ledger.sqlite'));
    ledger.defer([item(1)]);
    ledger.writer.settle();
    ledger.defer([item(2)]);
    ledger.crash();
    writeFileSync(join(folder, 'ledger.sqlite'), old);
    expectBroken(/is of epoch 3, and the ledger holds 1 of them/);
  });

  it('when other data is in its place', () => {
    const ledger = crashed();
    const redo = readFileSync(join(folder, REDO_FILE));
    rmSync(join(folder, REDO_FILE));
    const other = open();
    other.commit([
      { device: 1, payload: makeEnvelope(KEY, { session: SESSION, first: 1, salt: 9 }) },
    ]);
    other.crash();
    writeFileSync(join(folder, REDO_FILE), redo);
    expect(pending(ledger)).toBe(1);
    expectBroken(/another answer/);
  });

  function beginAnew(): void {
    rmSync(folder, { recursive: true });
    mkdirSync(folder);
  }

  /** A file whose one record is what was recorded, but for what is changed. */
  function replaced(edit: (item: RedoItem) => RedoItem): void {
    const { logId } = crashed();
    const committed = epoch();
    const { file, pending } = RedoFile.open(folder, { logId, committed });
    const { group, items, leaves } = readRedoRecord(pending[0] as Buffer);
    const recorder = new RedoRecorder(10_000);
    recorder.begin();
    for (const one of items) recorder.add(edit(one));
    file.append(recorder.end(group, leaves));
    file.close();
  }

  it('when an answer is not what was recorded', () => {
    replaced((one) => ({ ...one, receivedAtUs: one.receivedAtUs + 1 }));
    expectBroken(/another answer than it was given/);
    beginAnew();
    replaced((one) => ({ ...one, clockTrusted: false }));
    expectBroken(/another answer than it was given/);
    beginAnew();
    replaced((one) => ({ ...one, answer: 1 - one.answer }));
    expectBroken(/another answer than it was given/);
    beginAnew();
    replaced((one) => one);
    expect(kinds(open().commit([item(0), item(1)]))).toEqual(['duplicate', 'duplicate']);
  });

  it('when it is of another ledger, or damaged', () => {
    const { logId } = crashed();
    const path = join(folder, REDO_FILE);
    const own = readFileSync(path);
    const elsewhere = mkdtempSync(join(tmpdir(), 'waystone-group-writer-'));
    const { file } = RedoFile.open(elsewhere, { logId: new Uint8Array(16), committed: 0 });
    file.close();
    writeFileSync(path, readFileSync(join(elsewhere, REDO_FILE)));
    rmSync(elsewhere, { recursive: true });
    expectBroken(/ledger\.redo is of log 0{32}/);
    own[20] = (own[20] as number) ^ 1;
    writeFileSync(path, own);
    expectBroken(/ledger\.redo is damaged/);
    own[20] = (own[20] as number) ^ 1;
    writeFileSync(path, own);
    expect(pendingRecords(folder, { logId, committed: 0 })).toBe(1);
    open();
    expect(seen()).toBe(2);
  });

  it('when the tables do not say what they hold of it', () => {
    crashed();
    change("UPDATE meta SET value = 'x' WHERE key = 'redo_epoch'");
    expect(() => open()).toThrow(broken(/which epoch .* \(x\); restore a backup/));
    change("DELETE FROM meta WHERE key = 'redo_epoch'");
    expect(() => open()).toThrow(broken(/which epoch .* \(undefined\); restore a backup/));
  });
});
