import { appendFileSync, cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  decodeEntry,
  decodeReceipt,
  didFromKey,
  ENVELOPE_HEADER_BYTES,
  keyId,
  leafHash,
  readStatement,
  toHex,
} from '@waystone/proto';
import Database from 'better-sqlite3';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { batchFile, readBatchFile } from '../core/batch-file.js';
import type { BatchRow, Decision } from '../core/ports.js';
import type { Refusal } from '../core/refusal.js';
import { isDiskFull } from './disk-errors.js';
import { pendingRecords, REDO_FILE } from './redo-file.js';
import { makeEnvelope, quickKey, randomFrom, type TestItem, TestLedger } from './testing.js';

/**
 * Courses of commit groups, deferred or not, with crashes and full disks at any moment.
 * `WAYSTONE_MODEL_ROUNDS=500 npx vitest run gateway/ledger/group-writer-model.test.ts`
 */
const ROUNDS = Number(process.env.WAYSTONE_MODEL_ROUNDS ?? 24);
const STEPS = 140;
const SEED = Number(process.env.WAYSTONE_MODEL_SEED ?? Date.now() % 1_000_000);

const NOW_US = 1_800_000_000_000_000;
const MINUTE_US = 60_000_000;
const BATCH_LIMITS = { entriesMax: 9, ageSecondsMax: 600 };
const SESSION_LIMITS = { newPerDayMax: 288, newBurstMax: 70, closedKept: 1 };
/** Of two kinds of batches. */
const KEYS = (['secp256k1', 'Ed25519', 'Ed25519'] as const).map((type, k) =>
  quickKey(type, `group writer model ${k}`),
);
const STREAMS = [1, 2];
/** Few, so that devices use the same, and old ones come again. */
const NAMES = Array.from({ length: 6 }, (_, k) => k.toString(16).padStart(32, '0'));
const UNVERIFIED: Refusal = { code: 'FRAMES_ROOT_MISMATCH' };

/** What the rows of a deferred group are, but for how far the ranges are written and what is only counted. */
const STORED_IN = ['statements', 'groups', 'batches', 'batch_devices', 'gaps'];

interface ModelSession {
  readonly device: number;
  readonly name: string;
  counter: number;
  isOpen: boolean;
  /** Sessions of its device that were closed after it. */
  closedAfter: number;
}

interface Sent {
  readonly device: number;
  readonly name: string;
  readonly stream: number;
  readonly first: number;
  readonly last: number;
  readonly payload: Uint8Array;
  /** Once it is acknowledged. */
  receipt: Uint8Array | null;
  entryLeaf: string;
  isSealed: boolean;
}

interface Delivered {
  readonly envelope: Sent;
  readonly refusal: Refusal | null;
}

const counts = {
  groupsDeferred: 0,
  groupsCommitted: 0,
  stored: 0,
  again: 0,
  conflicts: 0,
  refused: 0,
  prunedAsked: 0,
  settled: 0,
  sealed: 0,
  batchesClosed: 0,
  crashes: 0,
  crashesWithOpenRows: 0,
  crashesWithinGroups: 0,
  crashesWithinRecords: 0,
  failures: 0,
  failuresWithOpenRows: 0,
  failuresWhileUndone: 0,
  sentAgainAfterFailure: 0,
  replayedEnvelopes: 0,
};
let lost = 0;
let storedTwice = 0;

let scratch: string;
beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), 'waystone-group-writer-'));
});
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

it('loses nothing that was acknowledged and stores nothing twice, wherever the process ends or the disk is full', () => {
  console.log(`seed ${SEED}: WAYSTONE_MODEL_SEED=${SEED} repeats it`);
  // On until each of the things that the courses are about has come about; some are rare.
  const isMissing = () => Object.values(counts).includes(0);
  for (let round = 0; round < ROUNDS || (isMissing() && round < 20 * ROUNDS); round++) {
    new Course(SEED + round).run();
  }
  console.log(`${JSON.stringify(counts)}\nacked but lost: ${lost}, stored twice: ${storedTwice}`);
  expect({ lost, storedTwice }).toEqual({ lost: 0, storedTwice: 0 });
  for (const [what, times] of Object.entries(counts)) expect(times, what).toBeGreaterThan(0);
});

class Course {
  readonly #random: () => number;
  readonly #ranges: { pendingMax: number; stepRows: number; stepStreams: number };
  #folder: string;
  #ledger: TestLedger;
  #nowUs = NOW_US;
  #isClockTrusted = true;
  #isFull = false;
  #counter = 0;
  readonly #sessions = new Map<string, ModelSession>();
  readonly #sent: Sent[] = [];
  /** In the order in which they were stored. */
  readonly #stored: Sent[] = [];
  /** Stored by groups that are in no transaction that was committed. */
  #waiting: Sent[] = [];
  /** Whether a failure has undone the rows of these. */
  #isUndone = false;
  /** Told to come again since the disk was full. */
  readonly #toldToWait = new Set<Sent>();
  /** Refusals that have rows, by device: of committed transactions, and of the one that is open. */
  #refused = KEYS.map(() => 0);
  #refusedWaiting = KEYS.map(() => 0);
  /** Rows of sealed batches. */
  readonly #sealed = new Map<number, BatchRow[]>();

  constructor(seed: number) {
    this.#random = randomFrom(seed);
    // So that at any time some statements wait, and often some of them are being written.
    this.#ranges = { pendingMax: 1 + (seed % 24), stepRows: 3, stepStreams: 2 };
    this.#folder = mkdtempSync(join(scratch, 'ledger-'));
    this.#ledger = this.#open();
    KEYS.forEach((key, k) => {
      this.#ledger.commit([], () => {
        this.#ledger.calls.enrol(didFromKey(key.publicKey), `${k}`, NOW_US);
      });
    });
  }

  run(): void {
    const actions: [number, () => void][] = [
      [2, () => this.#enter()],
      [2, () => this.#hello()],
      [24, () => this.#deliver('defer')],
      [3, () => this.#deliver('commit')],
      [1, () => this.#closeDue()],
      [1, () => this.#seal()],
      [1, () => this.#prune()],
      [1, () => this.#settle()],
      [3, () => this.#fillDisk()],
      [1, () => this.#freeDisk()],
      [3, () => this.#crash()],
      [1, () => this.#toggleClock()],
      [1, () => this.#toggleHold()],
    ];
    const bag = actions.flatMap(([weight, action]) => Array<() => void>(weight).fill(action));
    for (let step = 0; step < STEPS; step++) {
      this.#nowUs += Math.floor(this.#random() * MINUTE_US);
      if (this.#random() < 0.04) this.#nowUs -= 20 * MINUTE_US;
      this.#pick(bag)();
    }
    this.#freeDisk();
    this.#crash();
    this.#ledger.crash();
    rmSync(this.#folder, { recursive: true });
  }

  #below(end: number): number {
    return Math.floor(this.#random() * end);
  }

  #pick<T>(from: readonly T[]): T {
    return from[this.#below(from.length)] as T;
  }

  #open(): TestLedger {
    const ledger = new TestLedger(join(this.#folder, 'ledger.sqlite'), BATCH_LIMITS, undefined, {
      sessions: SESSION_LIMITS,
      ranges: this.#ranges,
    });
    // Power cuts are another test's subject.
    ledger.db.pragma('synchronous = OFF');
    return ledger;
  }

  // What the ledger is asked to do.

  #enter(): void {
    const device = 1 + this.#below(KEYS.length);
    const name = this.#pick(NAMES);
    const known = this.#sessionOf(device, name);
    const counter = ++this.#counter;
    const fault = known?.isOpen === false ? 'SESSION_CLOSED' : null;
    const isDone = this.#attempt(() => {
      this.#ledger.commit([], () => {
        expect(this.#ledger.calls.enter(device, name, counter, this.#nowUs)).toBe(fault);
      });
      this.#committed();
    });
    if (isDone && fault === null) this.#entered(device, name, counter);
  }

  #hello(): void {
    const device = 1 + this.#below(KEYS.length);
    const name = this.#pick(NAMES);
    const counter = ++this.#counter;
    const queued = NAMES.filter(() => this.#random() < 0.4);
    const fault = this.#sessionOf(device, name)?.isOpen === false ? 'SESSION_CLOSED' : null;
    const isDone = this.#attempt(() => {
      this.#ledger.commit([], () => {
        expect(this.#ledger.calls.hello(device, name, counter, queued, this.#nowUs)).toBe(fault);
      });
      this.#committed();
    });
    if (!isDone || fault !== null) return;
    this.#entered(device, name, counter);
    for (const session of [...this.#sessions.values()]) {
      const isKept = session.name === name || queued.includes(session.name);
      if (session.device === device && session.isOpen && !isKept) this.#closed(session);
    }
    for (const one of queued) {
      if (this.#sessionOf(device, one) === undefined) this.#entered(device, one, 0);
    }
  }

  #deliver(how: 'defer' | 'commit'): void {
    const group = this.#makeGroup();
    const writesCounters = this.#random() < 0.3;
    const prunes = this.#random() < 0.2;
    this.#send(how, group, {
      inside: () => {
        if (writesCounters) this.#ledger.counters.write();
      },
      before: () => {
        if (prunes) this.#ledger.pruner.step(this.#nowUs);
      },
    });
  }

  #closeDue(): void {
    const isAll = this.#random() < 0.3;
    this.#attempt(() => {
      let closed = 0;
      this.#ledger.commit([], () => {
        closed = this.#ledger.calls.closeDue(this.#nowUs, isAll).length;
      });
      this.#committed();
      counts.batchesClosed += closed;
    });
  }

  #seal(): void {
    const { files, batches } = this.#ledger;
    // So that what they held can be read once they are sealed.
    const wasHeld = files.isHeld;
    files.hold();
    this.#attempt(() => {
      this.#ledger.sealAll(this.#nowUs);
      this.#committed();
    });
    const unsealed = new Set(batches.unsealed().map(({ id }) => id));
    for (const row of this.#ledger.rows<{ id: number; entries: number; bytes: number }>(
      'SELECT id, entries, bytes FROM batches',
    )) {
      if (unsealed.has(row.id) || this.#sealed.has(row.id)) continue;
      const rows = [...readBatchFile(batchFile(this.#folder, row.id), row)];
      this.#sealed.set(row.id, rows);
      const names = new Set(rows.map(({ entry }) => nameOfEntry(entry)));
      for (const envelope of this.#stored) {
        if (names.has(nameOf(envelope))) envelope.isSealed = true;
      }
      counts.sealed += 1;
    }
    if (!wasHeld) files.release();
  }

  #prune(): void {
    this.#attempt(() => {
      this.#ledger.pruneAll(this.#nowUs);
      this.#committed();
    });
  }

  #settle(): void {
    this.#attempt(() => {
      this.#ledger.writer.settle();
      this.#committed();
      counts.settled += 1;
    });
  }

  #toggleClock(): void {
    this.#isClockTrusted = !this.#isClockTrusted;
  }

  /** As while a backup copies batch files. */
  #toggleHold(): void {
    const { files, writer } = this.#ledger;
    if (files.isHeld) files.release();
    else if (!writer.isOpen) files.hold();
  }

  /** From now on SQLite gets no more pages, or only a few. */
  #fillDisk(): void {
    const pages = this.#ledger.db.pragma('page_count', { simple: true }) as number;
    this.#ledger.db.pragma(`max_page_count = ${pages + this.#below(4)}`);
    this.#isFull = true;
  }

  #freeDisk(): void {
    if (!this.#isFull) return;
    this.#ledger.db.pragma('max_page_count = 1000000');
    this.#isFull = false;
    this.#check();
  }

  // Failures and ends of the process.

  /** @returns whether it was done; else the disk was full. */
  #attempt(work: () => void): boolean {
    const wasUndone = this.#isUndone;
    try {
      work();
      return true;
    } catch (error) {
      if (!isDiskFull(error)) throw error;
    }
    expect(this.#isFull).toBe(true);
    const { writer, files } = this.#ledger;
    expect(writer.isOpen).toBe(false);
    const [first] = this.#waiting;
    const isUndone = first !== undefined && !this.#hasRow(first);
    if (!files.isHeld) expect(writer.mayDefer([])).toBe(!isUndone);
    counts.failures += 1;
    if (isUndone) {
      // Now and then not even what waits has room any more.
      if (this.#random() < 0.5) this.#fillDisk();
      if (wasUndone) counts.failuresWhileUndone += 1;
      else counts.failuresWithOpenRows += 1;
    }
    // What waited is undone, or was committed before the failure came.
    const refused = this.#refusalRows();
    const both = this.#refused.map((rows, k) => rows + (this.#refusedWaiting[k] as number));
    expect([this.#refused, both]).toContainEqual(refused);
    this.#refused = refused;
    this.#refusedWaiting = KEYS.map(() => 0);
    if (!isUndone) this.#committed();
    this.#isUndone = isUndone;
    return false;
  }

  /** What waited is in a transaction that was committed. */
  #committed(): void {
    if (this.#isUndone) counts.replayedEnvelopes += this.#waiting.length;
    this.#isUndone = false;
    this.#waiting = [];
    this.#refused = this.#refused.map((rows, k) => rows + (this.#refusedWaiting[k] as number));
    this.#refusedWaiting = KEYS.map(() => 0);
  }

  #crash(): void {
    const { db } = this.#ledger;
    const before = this.#storedRows();
    const committed = this.#committedStatements();
    const wasUndone = this.#isUndone;
    const waiting = this.#waiting.length;
    if (!wasUndone) expect(this.#statements() - committed).toBe(waiting);
    this.#pick([
      () => this.#ledger.crash(),
      () => this.#moveTo(this.#image()),
      () => this.#crashWithinGroup(),
      () => this.#crashWithinRecord(),
    ])();
    expect(db.open).toBe(false);
    // They are in the file, and in no table.
    const records = this.#pendingRecords();
    if (records > 0) expect(waiting).toBeGreaterThan(0);
    else if (!wasUndone) expect(waiting).toBe(0);
    this.#ledger = this.#open();
    this.#isFull = false;
    expect(this.#pendingRecords()).toBe(0);
    expect(this.#committedStatements()).toBe(committed + waiting);
    if (!wasUndone) expect(this.#storedRows()).toEqual(before);
    counts.crashes += 1;
    counts.replayedEnvelopes += waiting;
    if (waiting > 0) counts.crashesWithOpenRows += 1;
    this.#isUndone = false;
    this.#waiting = [];
    this.#refusedWaiting = KEYS.map(() => 0);
    expect(this.#refusalRows()).toEqual(this.#refused);
    this.#check();
  }

  /** While the transaction of a group is under way: nobody is told anything of it. */
  #crashWithinGroup(): void {
    const items = itemsOf(this.#makeGroup(), () => this.#itemTime());
    let image: string | undefined;
    try {
      this.#ledger.commit(items, () => {
        image = this.#image();
      });
    } catch (error) {
      if (!isDiskFull(error)) throw error;
    }
    if (image === undefined) {
      this.#ledger.crash();
      return;
    }
    counts.crashesWithinGroups += 1;
    this.#moveTo(image);
  }

  /** While the record of a group is written: some of its bytes are those of before. */
  #crashWithinRecord(): void {
    const items = itemsOf(this.#makeGroup(), () => this.#itemTime());
    if (!this.#ledger.mayDefer(items)) {
      this.#ledger.crash();
      return;
    }
    const redo = join(this.#folder, REDO_FILE);
    const before = readFileSync(redo);
    try {
      this.#ledger.defer(items);
    } catch (error) {
      if (!isDiskFull(error)) throw error;
    }
    const after = readFileSync(redo);
    const image = this.#image();
    const changed = placesThatDiffer(before, after);
    if (changed.length > 0) {
      const [from, to] = [this.#pick(changed), this.#pick(changed)].sort((a, b) => a - b) as [
        number,
        number,
      ];
      before.copy(after, from, from, to + 1);
      writeFileSync(join(image, REDO_FILE), after);
      counts.crashesWithinRecords += 1;
    }
    this.#moveTo(image);
  }

  /** What the disk holds at this instant, and behind the ends of batch files what no commit confirmed. */
  #image(): string {
    const image = mkdtempSync(join(scratch, 'ledger-'));
    const filter = (path: string): boolean => !path.endsWith('-shm');
    cpSync(this.#folder, image, { recursive: true, filter });
    for (const { id, entries } of this.#ledger.batches.unsealed()) {
      if (entries > 0 && this.#random() < 0.5) appendFileSync(batchFile(image, id), 'torn');
    }
    appendFileSync(batchFile(image, 1_000_000), 'of a batch that never was');
    return image;
  }

  #moveTo(image: string): void {
    this.#ledger.crash();
    rmSync(this.#folder, { recursive: true });
    this.#folder = image;
  }

  // What the ledger answers.

  #send(
    wanted: 'defer' | 'commit',
    group: readonly Delivered[],
    around: { inside: () => void; before: () => void } = { inside: () => {}, before: () => {} },
  ): void {
    const items = itemsOf(group, () => this.#itemTime());
    const how = wanted === 'defer' && this.#ledger.mayDefer(items) ? 'defer' : 'commit';
    let decisions: Decision[] = [];
    const isDone = this.#attempt(() => {
      if (how === 'defer') {
        decisions = this.#ledger.defer(items);
        counts.groupsDeferred += 1;
      } else {
        decisions = this.#ledger.commit(items, around.inside, around.before);
        this.#committed();
        counts.groupsCommitted += 1;
      }
    });
    if (!isDone) {
      for (const { envelope, refusal } of group) {
        if (refusal === null && envelope.receipt === null) this.#toldToWait.add(envelope);
      }
      return;
    }
    group.forEach((one, at) => {
      this.#judge(one, decisions[at] as Decision, how);
    });
  }

  #judge({ envelope, refusal }: Delivered, decision: Decision, how: 'defer' | 'commit'): void {
    const code = decision.refusal?.code ?? null;
    const session = this.#sessionOf(envelope.device, envelope.name);
    const mayBePruned =
      session !== undefined &&
      !session.isOpen &&
      session.closedAfter >= SESSION_LIMITS.closedKept &&
      envelope.receipt !== null &&
      envelope.isSealed;
    if (decision.kind === 'stored') {
      expect(refusal).toBeNull();
      expect(session?.isOpen).toBe(true);
      if (this.#overlapped(envelope) !== undefined) storedTwice += 1;
      const { outcome } = decodeReceipt(decision.receipt).body;
      if (outcome.kind !== 'stored') throw new Error(`its receipt says ${outcome.kind}`);
      envelope.receipt = decision.receipt;
      envelope.entryLeaf = toHex(outcome.entryLeaf);
      this.#stored.push(envelope);
      if (how === 'defer') this.#waiting.push(envelope);
      counts.stored += 1;
      if (this.#toldToWait.delete(envelope)) counts.sentAgainAfterFailure += 1;
      return;
    }
    if (decision.kind === 'duplicate') {
      expect(refusal).toBeNull();
      expect(toHex(decision.receipt)).toBe(toHex(envelope.receipt ?? new Uint8Array()));
      counts.again += 1;
      return;
    }
    const rows = how === 'defer' ? this.#refusedWaiting : this.#refused;
    rows[envelope.device - 1] = (rows[envelope.device - 1] as number) + 1;
    counts.refused += 1;
    if (refusal !== null) {
      expect(code).toBe(refusal.code);
    } else if (mayBePruned) {
      expect(code).toBe('SESSION_CLOSED');
      counts.prunedAsked += 1;
    } else if (envelope.receipt !== null) {
      lost += 1;
    } else if (session === undefined) {
      expect(code).toBe('SESSION_UNKNOWN');
    } else if (this.#overlapped(envelope) === undefined) {
      expect([code, session.isOpen]).toEqual(['SESSION_CLOSED', false]);
    } else {
      expect(session.isOpen ? ['RANGE_CONFLICT'] : ['RANGE_CONFLICT', 'SESSION_CLOSED']).toContain(
        code,
      );
      counts.conflicts += 1;
    }
    this.#toldToWait.delete(envelope);
  }

  /** What was stored of the same session and stream, and shares sequences with it. */
  #overlapped(envelope: Sent): Sent | undefined {
    return this.#stored.find(
      (other) =>
        other.device === envelope.device &&
        other.name === envelope.name &&
        other.stream === envelope.stream &&
        other.first <= envelope.last &&
        envelope.first <= other.last,
    );
  }

  /** All that was acknowledged is there, once, in order, and counted. */
  #check(): void {
    expect(this.#isFull).toBe(false);
    const all = [...this.#stored];
    for (let at = 0; at < all.length; at += 12) {
      const group = all.slice(at, at + 12).map((envelope) => ({ envelope, refusal: null }));
      const stored = this.#stored.length;
      this.#send(this.#pick(['defer', 'commit']), group);
      storedTwice += this.#stored.length - stored;
    }
    this.#settle();
    expect(this.#isUndone).toBe(false);
    this.#checkBatches();
    this.#checkCounters();
    expect(this.#rangesThatOverlap()).toEqual([]);
    expect(this.#pendingRecords()).toBe(0);
  }

  /** One batch of a kind takes entries at a time, so that batch after batch holds them in the order of storing. */
  #checkBatches(): void {
    const found = new Map<string, string[]>();
    const batches = this.#ledger.rows<{
      id: number;
      stream: number;
      challengeable: number;
      entries: number;
    }>('SELECT id, stream, challengeable, entries FROM batches ORDER BY id');
    for (const { id, stream, challengeable, entries } of batches) {
      const rows = this.#sealed.get(id) ?? this.#ledger.batchRows(id);
      expect([id, rows.length]).toEqual([id, entries]);
      const kind = `${stream}:${challengeable}`;
      const list = found.get(kind) ?? [];
      list.push(...rows.map(({ entry, frames }) => `${toHex(leafHash(entry))}:${toHex(frames)}`));
      found.set(kind, list);
    }
    const wanted = new Map<string, string[]>();
    for (const { stream, device, entryLeaf, payload } of this.#stored) {
      const kind = `${stream}:${device === 1 ? 1 : 0}`;
      const list = wanted.get(kind) ?? [];
      list.push(`${entryLeaf}:${toHex(payload.subarray(ENVELOPE_HEADER_BYTES))}`);
      wanted.set(kind, list);
    }
    expect(Object.fromEntries(found)).toEqual(Object.fromEntries(wanted));
  }

  #checkCounters(): void {
    this.#ledger.commit([], () => this.#ledger.counters.write());
    const counted = this.#ledger.rows('SELECT envelopes, frames, refused FROM devices ORDER BY id');
    const wanted = KEYS.map((_, k) => {
      const stored = this.#stored.filter(({ device }) => device === k + 1);
      const frames = stored.reduce((sum, { first, last }) => sum + last - first + 1, 0);
      return { envelopes: stored.length, frames, refused: this.#refused[k] };
    });
    expect(counted).toEqual(wanted);
  }

  #rangesThatOverlap(): unknown[] {
    return this.#ledger.rows(
      `SELECT a.id, b.id FROM statements a JOIN statements b
       ON a.session = b.session AND a.stream = b.stream AND a.id < b.id
         AND a.first <= b.last AND b.first <= a.last`,
    );
  }

  // What is in the tables, and in the file.

  #storedRows(): Record<string, unknown[]> {
    return Object.fromEntries(
      STORED_IN.map((table) => [
        table,
        this.#ledger.rows<object>(`SELECT * FROM ${table}`).map((row) => JSON.stringify(row)),
      ]),
    );
  }

  #refusalRows(): number[] {
    const count = this.#ledger.db.prepare('SELECT COUNT(*) FROM refusals WHERE device = ?').pluck();
    return KEYS.map((_, k) => count.get(k + 1) as number);
  }

  #statements(): number {
    return this.#ledger.db.prepare('SELECT COUNT(*) FROM statements').pluck().get() as number;
  }

  #hasRow({ entryLeaf }: Sent): boolean {
    const find = this.#ledger.db.prepare('SELECT 1 FROM statements WHERE entry_leaf = ?');
    return find.get(Buffer.from(entryLeaf, 'hex')) !== undefined;
  }

  /** As another connection sees it. */
  #committedStatements(): number {
    return readOnly(this.#folder, 'SELECT COUNT(*) FROM statements');
  }

  #pendingRecords(): number {
    const committed = readOnly<number>(
      this.#folder,
      "SELECT value FROM meta WHERE key = 'redo_epoch'",
    );
    return pendingRecords(this.#folder, { logId: this.#ledger.logId, committed });
  }

  // What there is to send.

  #makeGroup(): Delivered[] {
    return Array.from({ length: 1 + this.#below(6) }, () => {
      const waiting = [...this.#toldToWait];
      const envelope =
        waiting.length > 0 && this.#random() < 0.4
          ? this.#pick(waiting)
          : this.#sent.length > 0 && this.#random() < 0.3
            ? this.#pick(this.#sent)
            : this.#fresh();
      return { envelope, refusal: this.#random() < 0.06 ? UNVERIFIED : null };
    });
  }

  #fresh(): Sent {
    const device = 1 + this.#below(KEYS.length);
    // Mostly of a session that is open; devices do not know better.
    const open = [...this.#sessions.values()].filter(
      (session) => session.device === device && session.isOpen,
    );
    const isKnown = open.length > 0 && this.#random() < 0.9;
    const name = isKnown ? this.#pick(open).name : this.#pick(NAMES);
    const stream = this.#pick(STREAMS);
    const first = this.#below(60);
    const count = 1 + this.#below(4);
    const key = KEYS[device - 1] as (typeof KEYS)[number];
    const salt = 1 + this.#below(200);
    const payload = makeEnvelope(key, { session: name, first, count, stream, salt });
    const same = this.#sent.find((one) => Buffer.compare(one.payload, payload) === 0);
    if (same !== undefined) return same;
    const place = { device, name, stream, first, last: first + count - 1, payload };
    const envelope: Sent = { ...place, receipt: null, entryLeaf: '', isSealed: false };
    this.#sent.push(envelope);
    return envelope;
  }

  /** Verifiers answer in no order, and now and then the clock has stepped back between them. */
  #itemTime(): { receivedAtUs: number; clockTrusted: boolean } {
    const jitterUs = this.#below(2_000_000);
    const backUs = this.#random() < 0.02 ? 10_000_000 : 0;
    const receivedAtUs = this.#nowUs - jitterUs - backUs;
    return { receivedAtUs, clockTrusted: this.#isClockTrusted };
  }

  // What the model knows of sessions.

  #sessionOf(device: number, name: string): ModelSession | undefined {
    return this.#sessions.get(`${device}:${name}`);
  }

  #entered(device: number, name: string, counter: number): void {
    const known = this.#sessionOf(device, name);
    if (known !== undefined) {
      known.counter = counter;
      return;
    }
    const session = { device, name, counter, isOpen: true, closedAfter: 0 };
    this.#sessions.set(`${device}:${name}`, session);
  }

  #closed(session: ModelSession): void {
    session.isOpen = false;
    for (const other of this.#sessions.values()) {
      if (other.device === session.device && !other.isOpen) other.closedAfter += 1;
    }
    session.closedAfter = 0;
  }
}

function itemsOf(
  group: readonly Delivered[],
  time: () => { receivedAtUs: number; clockTrusted: boolean },
): TestItem[] {
  return group.map(({ envelope: { device, payload }, refusal }) => ({
    ...{ device, payload, refusal },
    ...time(),
  }));
}

function nameOf({ device, name, stream, first }: Sent): string {
  const { publicKey } = KEYS[device - 1] as (typeof KEYS)[number];
  return [toHex(keyId(publicKey)), name, stream, first].join(':');
}

function nameOfEntry(entry: Uint8Array): string {
  const { statement } = readStatement(decodeEntry(entry).statement);
  if (statement === undefined) throw new Error('an entry has no statement');
  const { device, session, stream, firstSequence } = statement;
  return [toHex(device), toHex(session), stream, firstSequence].join(':');
}

function placesThatDiffer(one: Buffer, other: Buffer): number[] {
  const places: number[] = [];
  for (let at = 0; at < one.length; at++) if (one[at] !== other[at]) places.push(at);
  return places;
}

/** One value, through a connection of its own. */
function readOnly<T>(folder: string, sql: string): T {
  const db = new Database(join(folder, 'ledger.sqlite'), { readonly: true });
  try {
    return db.prepare(sql).pluck().get() as T;
  } finally {
    db.close();
  }
}
