import type Database from 'better-sqlite3';

interface Gap {
  first: number;
  last: number;
}

/**
 * Sequences that are missing before the highest stored one, per session and stream. Kept as statements come, so that
 * telling them never walks the statements; what comes in order costs nothing.
 */
export class GapTable {
  readonly #find: Database.Statement;
  readonly #insert: Database.Statement;
  readonly #delete: Database.Statement;

  constructor(db: Database.Database) {
    this.#find = db.prepare(
      `SELECT first, last FROM gaps WHERE session = ? AND stream = ? AND first <= ?
       ORDER BY first DESC LIMIT 1`,
    );
    this.#insert = db.prepare(
      'INSERT INTO gaps (session, stream, first, last) VALUES (?, ?, ?, ?)',
    );
    this.#delete = db.prepare('DELETE FROM gaps WHERE session = ? AND stream = ? AND first = ?');
  }

  /**
   * Sequences `first` to `last` were stored; nothing of them was stored before.
   *
   * @param highest the highest sequence that was stored before, -1 when there was none.
   */
  stored(session: number, stream: number, first: number, last: number, highest: number): void {
    if (first === highest + 1) return;
    if (first > highest) {
      this.#insert.run(session, stream, highest + 1, first - 1);
      return;
    }
    const gap = this.#find.get(session, stream, first) as Gap | undefined;
    if (gap === undefined || gap.last < last) return;
    this.#delete.run(session, stream, gap.first);
    if (gap.first < first) this.#insert.run(session, stream, gap.first, first - 1);
    if (last < gap.last) this.#insert.run(session, stream, last + 1, gap.last);
  }
}
