import type Database from 'better-sqlite3';
import { WaystoneError } from '../core/errors.js';

/** Name in `meta` of the last statement up to which every one is in `ranges`. */
export const RANGES_MARK = 'ranges_upto';

/** Fills an empty table with what the statements say; every statement is in it then. */
const FILL = `
INSERT INTO ranges (session, stream, first, statement)
  SELECT session, stream, first, id FROM statements ORDER BY session, stream, first;
INSERT OR REPLACE INTO meta (key, value) SELECT '${RANGES_MARK}', COALESCE(MAX(id), 0) FROM statements;
`;

/** Part of a schema version: the table in place of the index that every statement was written into at once. */
export const RANGES_DDL = `
-- The statement that begins at a sequence of a session's stream. Those behind the mark in meta may not be here yet.
CREATE TABLE ranges (
  session INTEGER NOT NULL,
  stream INTEGER NOT NULL,
  first INTEGER NOT NULL,
  statement INTEGER NOT NULL,
  PRIMARY KEY (session, stream, first)
) WITHOUT ROWID;
${FILL}
DROP INDEX statements_by_range;
`;

/**
 * For queries of other threads: number of the statement of session `sessions.id` and stream `@stream` that begins last
 * at or before `@sequence`. What may not be in the table yet are the few thousand rows behind the mark.
 */
export const STATEMENT_AT_OR_BEFORE = `(
  SELECT statement FROM (
    SELECT * FROM (
      SELECT first, statement FROM ranges
      WHERE session = sessions.id AND stream = @stream AND first <= @sequence
      ORDER BY first DESC LIMIT 1)
    UNION ALL
    SELECT * FROM (
      SELECT first, id FROM statements
      WHERE id > (SELECT value FROM meta WHERE key = '${RANGES_MARK}')
        AND session = sessions.id AND stream = @stream AND first <= @sequence
      ORDER BY first DESC LIMIT 1)
  ) ORDER BY first DESC LIMIT 1)`;

/** How much waits in memory, and how much of it one transaction writes. */
export interface RangeLimits {
  /** Statements from which on they are written. */
  readonly pendingMax: number;
  /** Rows that a step writes, or twice as many as were stored in its group if that is more, so that it keeps up. */
  readonly stepRows: number;
  /** Likewise the streams of sessions that a step writes rows of: each may be a page of its own. */
  readonly stepStreams: number;
}

/**
 * Rows of one session lie side by side, so of 4,096 statements of 50 sessions about 80 go onto each page that is
 * written, and of 500 about 8. More would save little, since a row of `statements` itself takes 130 bytes, and what is
 * not written yet is read at each start and walked by readers. 512 rows take 0.7 ms, 64 pages as long again.
 */
export const RANGE_LIMITS: RangeLimits = { pendingMax: 4096, stepRows: 512, stepStreams: 64 };

/** Where a statement begins. */
export interface Range {
  readonly id: number;
  readonly stream: number;
  readonly first: number;
}

/** Statements of one session and stream that wait: where they begin, rising, and their numbers. */
interface PendingStream {
  readonly session: number;
  readonly stream: number;
  firsts: number[];
  ids: number[];
}

/** Writing of everything up to a statement that is under way. */
interface Writing {
  readonly uptoId: number;
  readonly streams: readonly PendingStream[];
  /** The stream that is next, and where in it the last row was that is written. */
  at: number;
  after: number;
}

/**
 * Finds statements by session, stream and sequence. A commit group's statements are of many sessions, and to write each
 * into its place of a sorted table at once costs a page for each: more than all else that a small group writes. So they
 * wait in memory, and thousands go into the table together, in its order, a bounded step in each transaction.
 *
 * `statements` holds them all along; what waits is read from it again at start and after a transaction was undone. A
 * durable mark says up to which statement all are in the table. It moves once a writing is done, so of what lies behind
 * it some may be there already: a stop in the middle means that those are written again, to the same effect.
 */
export class RangeTable {
  readonly #limits: RangeLimits;
  readonly #pending = new Map<number, Map<number, PendingStream>>();
  #pendingCount = 0;
  #mark = 0;
  #newest = 0;
  #writing: Writing | null = null;
  readonly #findAtOrBefore: Database.Statement;
  readonly #findAt: Database.Statement;
  readonly #hasSession: Database.Statement;
  readonly #findOfSession: Database.Statement;
  readonly #insert: Database.Statement;
  readonly #delete: Database.Statement;
  readonly #getMark: Database.Statement;
  readonly #setMark: Database.Statement;
  readonly #findNewest: Database.Statement;
  readonly #findBehindMark: Database.Statement;

  /** @throws WaystoneError LEDGER_BROKEN when the mark is not there, or names a statement that never was. */
  constructor(db: Database.Database, limits: RangeLimits = RANGE_LIMITS) {
    this.#limits = limits;
    this.#findAtOrBefore = db.prepare(
      `SELECT first, statement FROM ranges WHERE session = ? AND stream = ? AND first <= ?
       ORDER BY first DESC LIMIT 1`,
    );
    this.#findAt = db
      .prepare('SELECT statement FROM ranges WHERE session = ? AND stream = ? AND first = ?')
      .pluck();
    this.#hasSession = db.prepare('SELECT 1 FROM ranges WHERE session = ? LIMIT 1');
    this.#findOfSession = db.prepare(
      `SELECT statement AS id, stream, first FROM ranges WHERE session = ? AND statement <= ? LIMIT ?`,
    );
    this.#insert = db.prepare(
      `INSERT INTO ranges (session, stream, first, statement) VALUES (?, ?, ?, ?)
       ON CONFLICT DO NOTHING`,
    );
    this.#delete = db.prepare('DELETE FROM ranges WHERE session = ? AND stream = ? AND first = ?');
    this.#getMark = db.prepare(`SELECT value FROM meta WHERE key = '${RANGES_MARK}'`).pluck();
    this.#setMark = db.prepare(`UPDATE meta SET value = ? WHERE key = '${RANGES_MARK}'`);
    this.#findNewest = db.prepare('SELECT COALESCE(MAX(id), 0) FROM statements').pluck();
    this.#findBehindMark = db.prepare(
      'SELECT id, session, stream, first FROM statements WHERE id > ? ORDER BY id',
    );
    this.reload();
  }

  /** Takes what waits from the statements again: at start, and after a transaction was undone. */
  reload(): void {
    this.#pending.clear();
    this.#pendingCount = 0;
    this.#writing = null;
    const mark = this.#getMark.get() as unknown;
    this.#newest = this.#findNewest.get() as number;
    // The newest statement is never pruned.
    if (!Number.isSafeInteger(mark) || (mark as number) < 0 || (mark as number) > this.#newest) {
      throw broken(`its mark is ${mark}, the newest statement ${this.#newest}`);
    }
    this.#mark = mark as number;
    for (const row of this.#findBehindMark.iterate(mark)) {
      const { id, session, stream, first } = row as Range & { session: number };
      this.add(session, stream, first, id);
    }
  }

  /** Statements that wait in memory. */
  get pending(): number {
    return this.#pendingCount;
  }

  /** A statement was stored, in the same transaction, after it was seen that it overlaps none. */
  add(session: number, stream: number, first: number, id: number): void {
    const { firsts, ids } = this.#pendingOf(session, stream);
    const at = firstAfter(firsts, first);
    if (firsts[at - 1] === first) throw twice(session, stream, first, ids[at - 1] as number, id);
    if (at === firsts.length) {
      firsts.push(first);
      ids.push(id);
    } else {
      firsts.splice(at, 0, first);
      ids.splice(at, 0, id);
    }
    this.#pendingCount += 1;
    this.#newest = id;
  }

  /** Number of the statement that begins last at or before the sequence, or null. */
  atOrBefore(session: number, stream: number, sequence: number): number | null {
    const row = this.#findAtOrBefore.get(session, stream, sequence) as
      | { first: number; statement: number }
      | undefined;
    const waiting = this.#pending.get(session)?.get(stream);
    const at = waiting === undefined ? 0 : firstAfter(waiting.firsts, sequence);
    if (waiting === undefined || at === 0) return row?.statement ?? null;
    const isLater = row === undefined || (waiting.firsts[at - 1] as number) >= row.first;
    return isLater ? (waiting.ids[at - 1] as number) : row.statement;
  }

  /** Number of the statement that begins there, or null. */
  at(session: number, stream: number, first: number): number | null {
    const waiting = this.#pending.get(session)?.get(stream);
    const at = waiting === undefined ? 0 : firstAfter(waiting.firsts, first);
    if (waiting !== undefined && waiting.firsts[at - 1] === first)
      return waiting.ids[at - 1] ?? null;
    return (this.#findAt.get(session, stream, first) as number | undefined) ?? null;
  }

  /** Whether the session has statements. */
  has(session: number): boolean {
    return this.#pending.has(session) || this.#hasSession.get(session) !== undefined;
  }

  /** Statements of the session with numbers up to this one, so many at most, in no order. */
  ofSession(session: number, uptoId: number, limit: number): Range[] {
    const found: Range[] = [];
    for (const { stream, firsts, ids } of this.#pending.get(session)?.values() ?? []) {
      for (let k = 0; k < ids.length && found.length < limit; k++) {
        const id = ids[k] as number;
        if (id <= uptoId) found.push({ id, stream, first: firsts[k] as number });
      }
    }
    if (found.length >= limit) return found;
    // What is behind the mark waits too, whether it is in the table or not.
    const written = Math.min(uptoId, this.#mark);
    const rows = this.#findOfSession.all(session, written, limit - found.length);
    return [...found, ...(rows as Range[])];
  }

  /** A statement was deleted, in the same transaction. */
  remove(session: number, { stream, first }: Range): void {
    const waiting = this.#pending.get(session)?.get(stream);
    if (waiting !== undefined) {
      const at = firstAfter(waiting.firsts, first) - 1;
      if (waiting.firsts[at] === first) {
        waiting.firsts.splice(at, 1);
        waiting.ids.splice(at, 1);
        this.#pendingCount -= 1;
        this.#forgetEmpty(waiting);
      }
    }
    this.#delete.run(session, stream, first);
  }

  /**
   * One step, in the transaction of a commit group.
   *
   * @param stored statements that the group stored.
   * @returns rows written; 0 when not enough wait.
   */
  step(stored: number): number {
    if (this.#writing === null && this.#pendingCount < this.#limits.pendingMax) return 0;
    const { stepRows, stepStreams } = this.#limits;
    return this.#write(Math.max(stepRows, 2 * stored), Math.max(stepStreams, 2 * stored));
  }

  /** Writes all that waits, in a transaction: at the end, so that the next start has nothing to read. */
  writeAll(): void {
    while (this.#pendingCount > 0) this.#write(Infinity, Infinity);
  }

  #write(rowsMax: number, streamsMax: number): number {
    this.#writing ??= {
      uptoId: this.#newest,
      streams: sortedByKey(this.#pending).flatMap(sortedByKey),
      at: 0,
      after: -1,
    };
    const writing = this.#writing;
    let rows = 0;
    for (let streams = 0; writing.at < writing.streams.length && streams < streamsMax; streams++) {
      const { session, stream, firsts, ids } = writing.streams[writing.at] as PendingStream;
      // What came meanwhile may lie anywhere in between. It has higher numbers, and waits for the next writing.
      for (let k = firstAfter(firsts, writing.after); k < firsts.length; k++) {
        const id = ids[k] as number;
        if (id > writing.uptoId) continue;
        if (rows >= rowsMax) return rows;
        writing.after = firsts[k] as number;
        this.#insertRow(session, stream, writing.after, id);
        rows += 1;
      }
      writing.at += 1;
      writing.after = -1;
    }
    if (writing.at === writing.streams.length) this.#finish(writing);
    return rows;
  }

  #insertRow(session: number, stream: number, first: number, id: number): void {
    if (this.#insert.run(session, stream, first, id).changes === 1) return;
    // Of a writing that was stopped; anything else would be a range that is stored twice.
    const there = this.#findAt.get(session, stream, first) as number;
    if (there !== id) throw twice(session, stream, first, there, id);
  }

  #finish({ uptoId, streams }: Writing): void {
    this.#setMark.run(uptoId);
    this.#mark = uptoId;
    this.#writing = null;
    for (const waiting of streams) {
      const { firsts, ids } = waiting;
      waiting.firsts = firsts.filter((_, k) => (ids[k] as number) > uptoId);
      waiting.ids = ids.filter((id) => id > uptoId);
      this.#pendingCount -= ids.length - waiting.ids.length;
      this.#forgetEmpty(waiting);
    }
  }

  #pendingOf(session: number, stream: number): PendingStream {
    let streams = this.#pending.get(session);
    if (streams === undefined) {
      streams = new Map();
      this.#pending.set(session, streams);
    }
    let waiting = streams.get(stream);
    if (waiting === undefined) {
      waiting = { session, stream, firsts: [], ids: [] };
      streams.set(stream, waiting);
    }
    return waiting;
  }

  #forgetEmpty(waiting: PendingStream): void {
    const { session, stream, ids } = waiting;
    if (ids.length > 0) return;
    const streams = this.#pending.get(session);
    if (streams?.get(stream) !== waiting) return;
    streams.delete(stream);
    if (streams.size === 0) this.#pending.delete(session);
  }
}

/** Makes the table anew from the statements, in a transaction. @returns rows written. */
export function rebuildRanges(db: Database.Database): number {
  db.exec(`DELETE FROM ranges; ${FILL}`);
  return db.prepare('SELECT COUNT(*) FROM ranges').pluck().get() as number;
}

/** Index of the first element that is greater. @param rising numbers that rise. */
function firstAfter(rising: readonly number[], value: number): number {
  // Nearly always: devices send in order.
  if (rising.length === 0 || (rising[rising.length - 1] as number) <= value) return rising.length;
  let low = 0;
  let high = rising.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((rising[middle] as number) > value) high = middle;
    else low = middle + 1;
  }
  return low;
}

function sortedByKey<Value>(map: ReadonlyMap<number, Value>): Value[] {
  const keys = Float64Array.from(map.keys()).sort();
  return Array.from(keys, (key) => map.get(key) as Value);
}

function twice(session: number, stream: number, first: number, one: number, other: number): Error {
  return broken(
    `statements ${one} and ${other} both begin at sequence ${first} of session ${session}, stream ${stream}`,
  );
}

/** A range names a statement that is not there. */
export function missingStatement(id: number): WaystoneError {
  return broken(`statement ${id} is not there`);
}

function broken(what: string): WaystoneError {
  return new WaystoneError(
    'LEDGER_BROKEN',
    `the ledger's table of ranges cannot be trusted: ${what}; nothing more is stored, since it might be stored twice. Copy the data folder away and run waystone fsck`,
  );
}
