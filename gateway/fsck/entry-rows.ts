import {
  decodeEntry,
  ENTRY_BYTES,
  leafHash,
  readStatement,
  type Statement,
  statementHash,
  toHex,
} from '@waystone/proto';
import type Database from 'better-sqlite3';
import type { BatchRecord, FsckContext } from './context.js';
import { isSealed } from './context.js';
import { PrunedSessions } from './pruned-sessions.js';
import type { PlacedStatement, StatementsByPlace } from './statements-by-place.js';
import { isSame } from './values.js';
import { Withdrawals } from './withdrawals.js';

/** Sessions that are kept in memory while entries are compared. */
const SESSIONS_KEPT = 20_000;

/** What the entries of a batch add up to. */
export interface EntryTotals {
  entries: number;
  frames: number;
  lastReceivedAtUs: number;
  /** Key ids in hex. */
  readonly devices: Set<string>;
}

/** Compares the entries of one batch after the other with the statement rows, in one walk over both. */
export class EntryRows {
  readonly #context: FsckContext;
  readonly #rows: StatementsByPlace;
  readonly #findSession: Database.Statement;
  readonly #pruned: PrunedSessions;
  readonly #sessions = new Map<number, { session: unknown; key_id: unknown } | undefined>();
  readonly #withdrawals: Withdrawals;

  constructor(context: FsckContext, rows: StatementsByPlace) {
    this.#context = context;
    this.#rows = rows;
    this.#findSession = context.db.prepare(
      `SELECT session, key_id FROM sessions JOIN devices ON devices.id = sessions.device
       WHERE sessions.id = ?`,
    );
    this.#pruned = new PrunedSessions(context.db);
    this.#withdrawals = new Withdrawals(context);
  }

  /** Passes over rows of batches before this one: those have no batch. */
  begin(batch: Pick<BatchRecord, 'id'>): EntryTotals {
    for (
      let row = this.#rows.peek();
      row !== null && !(row.batch >= batch.id);
      row = this.#rows.peek()
    ) {
      this.#withoutBatch(row);
    }
    return { entries: 0, frames: 0, lastReceivedAtUs: 0, devices: new Set() };
  }

  /** The next entry of the batch. */
  add(batch: BatchRecord, totals: EntryTotals, entry: Uint8Array): void {
    const index = totals.entries++;
    this.#withdrawals.add(batch, index, entry);
    for (
      let row = this.#rows.peek();
      isOf(row, batch) && !(row.batch_index >= index);
      row = this.#rows.peek()
    ) {
      this.#wrongPlace(row, 'which another statement has, or none can have');
    }
    const statement = readEntry(entry);
    if (statement !== null) {
      totals.frames += statement.count;
      totals.devices.add(toHex(statement.device));
      totals.lastReceivedAtUs = decodeEntry(entry).receivedAtUs;
    }
    const row = this.#rows.peek();
    if (isOf(row, batch) && row.batch_index === index) {
      this.#compare(row, entry, statement);
      this.#rows.take();
    } else if (statement !== null && !this.#withdrawals.isRest(batch)) {
      this.#missing(batch, index, statement);
    }
  }

  /** The batch has no more entries, or its entries cannot be read. @param isRead whether they were. */
  end(batch: BatchRecord, isRead: boolean): void {
    this.#withdrawals.end(batch, isRead);
    let last: number | null = null;
    for (let row = this.#rows.peek(); isOf(row, batch); row = this.#rows.peek()) {
      const { batch_index: index } = row;
      if (isRead || !(index < batch.entries) || index < 0) {
        this.#wrongPlace(row, `and the batch has ${batch.entries} entries`);
      } else if (index === last) {
        this.#wrongPlace(row, 'which another statement has');
      } else {
        this.#rows.take();
      }
      last = index;
    }
  }

  /** What is left after the last batch has none. */
  finish(): void {
    for (let row = this.#rows.peek(); row !== null; row = this.#rows.peek())
      this.#withoutBatch(row);
  }

  #withoutBatch(row: PlacedStatement): void {
    this.#context.report.find(
      'statements',
      'STATEMENT_BATCH_MISSING',
      `statement ${row.id} is in batch ${row.batch}, which is not there`,
      { statement: row.id, batch: row.batch },
    );
    this.#rows.take();
  }

  #wrongPlace(row: PlacedStatement, why: string): void {
    this.#context.report.find(
      'statements',
      'STATEMENT_PLACE_WRONG',
      `statement ${row.id} is at place ${row.batch_index} of batch ${row.batch}, ${why}`,
      { statement: row.id, batch: row.batch, place: row.batch_index },
    );
    this.#rows.take();
  }

  #missing(batch: BatchRecord, index: number, statement: Statement): void {
    // Before its batch is a dataset, every entry has its row.
    if (isSealed(batch) && this.#pruned.has(statement.device, toHex(statement.session))) {
      this.#context.report.count('statements', 'pruned');
      return;
    }
    this.#context.report.find(
      'statements',
      'STATEMENT_MISSING',
      `entry ${index} of batch ${batch.id} (session ${toHex(statement.session)}, sequence ${statement.firstSequence}) has no statement row`,
      { batch: batch.id, entry: index },
    );
  }

  #compare(row: PlacedStatement, entry: Uint8Array, statement: Statement | null): void {
    const session = this.#session(row.session);
    const wrong: string[] = [];
    if (!isSame(row.entry_leaf, leafHash(entry))) wrong.push('entry leaf');
    if (!isSame(row.hash, statementHash(entry.subarray(0, 200)))) wrong.push('statement hash');
    if (statement !== null) {
      if (row.stream !== statement.stream) wrong.push('stream');
      if (row.first !== statement.firstSequence) wrong.push('first sequence');
      if (row.last !== statement.firstSequence + statement.count - 1) wrong.push('last sequence');
      // A session that is not there is said once, by the statements' own check.
      if (session !== undefined && !isSame(session.session, statement.session))
        wrong.push('session');
      if (session !== undefined && !isSame(session.key_id, statement.device)) wrong.push('device');
    }
    if (wrong.length === 0) return;
    this.#context.report.find(
      'statements',
      'STATEMENT_DIFFERS',
      `statement ${row.id} and entry ${row.batch_index} of batch ${row.batch} differ in ${wrong.join(', ')}`,
      { statement: row.id, batch: row.batch, entry: row.batch_index },
    );
  }

  #session(id: number): { session: unknown; key_id: unknown } | undefined {
    if (this.#sessions.has(id)) return this.#sessions.get(id);
    if (this.#sessions.size >= SESSIONS_KEPT) this.#sessions.clear();
    const found = this.#findSession.get(id) as { session: unknown; key_id: unknown } | undefined;
    this.#sessions.set(id, found);
    return found;
  }
}

function isOf(
  row: PlacedStatement | null,
  { id }: Pick<BatchRecord, 'id'>,
): row is PlacedStatement {
  return row !== null && row.batch === id;
}

/** The statement of an entry, or null when it holds none: what is wrong with it is for the audits to say. */
function readEntry(entry: Uint8Array): Statement | null {
  if (entry.length !== ENTRY_BYTES) return null;
  try {
    return readStatement(decodeEntry(entry).statement).statement ?? null;
  } catch {
    return null;
  }
}
