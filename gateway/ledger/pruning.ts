import type Database from 'better-sqlite3';
import type { Counters } from './counters.js';
import type { DeviceTable } from './devices.js';
import { missingStatement, type RangeTable } from './ranges.js';
import { sessionMark } from './session-mark.js';

/**
 * Rows that a step takes away at least, when there are so many; and at most. Statements of one session lie as far apart
 * as those of all devices came in between, so each may cost a page: 32 take 0.4 ms and some 256 KiB of the WAL.
 */
const STEP_ROWS = 32;
const STEP_ROWS_MAX = 1024;

/** Sessions that a step looks at. */
const STEP_SESSIONS_MAX = 64;

/** Days that refusal rows are kept: what went wrong in a quarter can be looked up. */
export const REFUSAL_DAYS_KEPT = 90;

/** Refusal rows kept at most, about 100 MB of them: a hostile fleet fills its caps every day. */
const REFUSAL_ROWS_MAX = 500_000;

const DAY_US = 86_400_000_000;

/**
 * The last state of a batch in which its entries may still be put elsewhere: with a chain, a dataset may be withdrawn
 * until it is forged, and what is left of it is sealed anew.
 */
export type SettledBy = 'sealed' | 'forged';

const UNSETTLED: Readonly<Record<SettledBy, readonly string[]>> = {
  sealed: ['open', 'due', 'frozen', 'logged'],
  forged: ['open', 'due', 'frozen', 'logged', 'sealed', 'committed'],
};

/**
 * Takes away what the ledger no longer needs, so that its size follows from the devices and what they store, not from
 * how often they start. A closed session that its device has closed others after (see {@link DeviceTable}) loses its
 * statements once every batch of its time is settled; of the session itself a mark of a few bytes stays, which
 * refuses it for ever: were it admitted again, its ranges could be stored a second time. Receipt trees that no
 * statement refers to go, and old refusals.
 *
 * It runs in the ledger's transactions, a few rows at a time, and can be interrupted anywhere: a session that has lost
 * some of its statements is closed, so what comes of it is refused, stored before or not.
 */
export class Pruner {
  readonly #devices: DeviceTable;
  readonly #counters: Counters;
  readonly #ranges: RangeTable;
  readonly #unsettled: readonly string[];
  readonly #findOldestOfState: Database.Statement;
  readonly #findNewest: Record<'batches' | 'sessions' | 'statements' | 'refusals', () => number>;
  readonly #findSessions: Database.Statement;
  readonly #findGroup: Database.Statement;
  readonly #deleteStatement: Database.Statement;
  readonly #hasGaps: Database.Statement;
  readonly #deleteGaps: Database.Statement;
  readonly #findBefore: Database.Statement;
  readonly #findAfter: Database.Statement;
  readonly #deleteGroup: Database.Statement;
  readonly #insertMark: Database.Statement;
  readonly #deleteSession: Database.Statement;
  readonly #countPruned: Database.Statement;
  readonly #findOldestRefusal: Database.Statement;
  readonly #deleteRefusals: Database.Statement;

  constructor(
    db: Database.Database,
    options: { readonly settledBy: SettledBy },
    deps: {
      readonly devices: DeviceTable;
      readonly counters: Counters;
      readonly ranges: RangeTable;
    },
  ) {
    this.#devices = deps.devices;
    this.#counters = deps.counters;
    this.#ranges = deps.ranges;
    this.#unsettled = UNSETTLED[options.settledBy];
    this.#findOldestOfState = db
      .prepare('SELECT id FROM batches WHERE state = ? ORDER BY id LIMIT 1')
      .pluck();
    const newest = (table: string): (() => number) => {
      const find = db.prepare(`SELECT COALESCE(MAX(id), 0) FROM ${table}`).pluck();
      return () => find.get() as number;
    };
    this.#findNewest = {
      batches: newest('batches'),
      sessions: newest('sessions'),
      statements: newest('statements'),
      refusals: newest('refusals'),
    };
    this.#findSessions = db.prepare(
      `SELECT id, device, session FROM sessions
       WHERE prune_after IS NOT NULL AND prune_after < ? AND id < ? ORDER BY prune_after LIMIT ?`,
    );
    this.#findGroup = db.prepare('SELECT grp FROM statements WHERE id = ?').pluck();
    this.#deleteStatement = db.prepare('DELETE FROM statements WHERE id = ?');
    this.#hasGaps = db.prepare('SELECT 1 FROM gaps WHERE session = ? LIMIT 1');
    this.#deleteGaps = db.prepare(
      `DELETE FROM gaps WHERE (session, stream, first) IN (
         SELECT session, stream, first FROM gaps WHERE session = ? LIMIT ?)`,
    );
    this.#findBefore = db
      .prepare('SELECT grp FROM statements WHERE id < ? ORDER BY id DESC LIMIT 1')
      .pluck();
    this.#findAfter = db
      .prepare('SELECT grp FROM statements WHERE id > ? ORDER BY id LIMIT 1')
      .pluck();
    this.#deleteGroup = db.prepare('DELETE FROM groups WHERE id = ?');
    // A device that made two sessions collide has one mark for both.
    this.#insertMark = db.prepare(
      'INSERT OR IGNORE INTO pruned_sessions (device, mark) VALUES (?, ?)',
    );
    this.#deleteSession = db.prepare('DELETE FROM sessions WHERE id = ?');
    this.#countPruned = db.prepare(
      'UPDATE devices SET pruned_sessions = pruned_sessions + 1 WHERE id = ?',
    );
    this.#findOldestRefusal = db.prepare('SELECT id, at_us FROM refusals ORDER BY id LIMIT 1');
    this.#deleteRefusals = db.prepare(
      `DELETE FROM refusals WHERE id IN (SELECT id FROM (
         SELECT id, at_us FROM refusals WHERE id <= @uptoId ORDER BY id LIMIT @rows)
       WHERE at_us < @untilUs OR id <= @beyondId)`,
    );
  }

  /**
   * One step, in a transaction before anything is judged in it: a duplicate is answered from rows that must be there
   * after the transaction.
   *
   * @param stored statements stored since the last step: twice as many rows go, if need be, so that pruning keeps up.
   * @returns rows taken away; 0 when there is nothing to do.
   */
  step(nowUs: number, stored = 0): number {
    const rows = Math.min(STEP_ROWS_MAX, Math.max(STEP_ROWS, 2 * stored));
    const sessions = this.#pruneSessions(rows);
    return sessions + this.#pruneRefusals(rows - sessions, nowUs);
  }

  #pruneSessions(rowsMax: number): number {
    const sessions = this.#findSessions.all(
      this.#firstUnsettled(),
      // The newest row of a table stays, so that no number is ever given out twice.
      this.#findNewest.sessions(),
      STEP_SESSIONS_MAX,
    ) as { id: number; device: number; session: Buffer }[];
    if (sessions.length === 0) return 0;
    // What is not in the devices' counts yet is counted from its rows after a crash.
    const uptoId = Math.min(this.#counters.counted.statements, this.#findNewest.statements() - 1);
    /** A statement that went, for each group that lost some. */
    const touched = new Map<number, number>();
    let rows = 0;
    for (const { id, device, session } of sessions) {
      if (rows >= rowsMax) break;
      const statements = this.#ranges.ofSession(id, uptoId, rowsMax - rows);
      for (const statement of statements) {
        const group = this.#findGroup.get(statement.id) as number | undefined;
        if (group === undefined) throw missingStatement(statement.id);
        this.#deleteStatement.run(statement.id);
        this.#ranges.remove(id, statement);
        touched.set(group, statement.id);
      }
      rows += statements.length;
      if (this.#ranges.has(id)) continue;
      rows += this.#deleteGaps.run(id, rowsMax).changes;
      if (this.#hasGaps.get(id) !== undefined) continue;
      const name = session.toString('hex');
      this.#insertMark.run(device, sessionMark(name));
      this.#deleteSession.run(id);
      this.#countPruned.run(device);
      this.#devices.forget(device, name);
      rows += 1;
    }
    // Statements of a group have successive numbers: when neither neighbour is of the group, none is left.
    for (const [group, statement] of touched) {
      if (this.#findBefore.get(statement) === group) continue;
      if (this.#findAfter.get(statement) === group) continue;
      this.#deleteGroup.run(group);
    }
    return rows;
  }

  /** The first batch whose entries may still be put elsewhere; beyond all batches when there is none. */
  #firstUnsettled(): number {
    let first = this.#findNewest.batches() + 1;
    for (const state of this.#unsettled) {
      first = Math.min(first, (this.#findOldestOfState.get(state) as number | undefined) ?? first);
    }
    return first;
  }

  #pruneRefusals(rowsMax: number, nowUs: number): number {
    const oldest = this.#findOldestRefusal.get() as { id: number; at_us: number } | undefined;
    if (oldest === undefined || rowsMax <= 0) return 0;
    const newestId = this.#findNewest.refusals();
    const untilUs = nowUs - REFUSAL_DAYS_KEPT * DAY_US;
    const beyondId = newestId - REFUSAL_ROWS_MAX;
    if (oldest.at_us >= untilUs && oldest.id > beyondId) return 0;
    const uptoId = Math.min(this.#counters.counted.refusals, newestId - 1);
    return this.#deleteRefusals.run({ uptoId, rows: rowsMax, untilUs, beyondId }).changes;
  }
}
