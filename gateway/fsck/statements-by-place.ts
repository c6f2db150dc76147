import type Database from 'better-sqlite3';

/** What a statement row says of the entry at its place. */
export interface PlacedStatement {
  readonly id: number;
  readonly session: number;
  readonly stream: number;
  readonly first: number;
  readonly last: number;
  readonly hash: Buffer;
  readonly entry_leaf: Buffer;
  readonly batch: number;
  readonly batch_index: number;
}

/**
 * Statement rows in the order of the entries. The table has no such index, so SQLite sorts ids, in temporary files
 * when they are many, and each row is read when its turn comes.
 */
export class StatementsByPlace {
  readonly #ids: IterableIterator<unknown>;
  readonly #get: Database.Statement;
  #next: PlacedStatement | null = null;
  #isAtEnd = false;

  constructor(db: Database.Database) {
    this.#ids = db
      .prepare('SELECT id FROM statements ORDER BY batch, batch_index, id')
      .pluck()
      .iterate();
    this.#get = db.prepare(
      'SELECT id, session, stream, first, last, hash, entry_leaf, batch, batch_index FROM statements WHERE id = ?',
    );
  }

  /** The next row, which stays; null after the last one. */
  peek(): PlacedStatement | null {
    if (this.#next === null && !this.#isAtEnd) {
      const { done, value } = this.#ids.next();
      if (done === true) this.#isAtEnd = true;
      else this.#next = this.#get.get(value) as PlacedStatement;
    }
    return this.#next;
  }

  /** Passes over the next row. */
  take(): void {
    this.#next = null;
  }

  close(): void {
    this.#isAtEnd = true;
    this.#ids.return?.();
  }
}
