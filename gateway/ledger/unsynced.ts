import type Database from 'better-sqlite3';

/** Part of a schema version. */
export const UNSYNCED_DDL = `
-- Bytes of batch files that are written but not synced: after a power cut they are written again from here.
CREATE TABLE unsynced (
  batch INTEGER NOT NULL,
  at INTEGER NOT NULL,
  bytes BLOB NOT NULL,
  PRIMARY KEY (batch, at)
) WITHOUT ROWID;
`;

/** Bytes at a place in a batch's file. */
export interface UnsyncedBytes {
  readonly batch: number;
  readonly at: number;
  readonly bytes: Uint8Array;
}

/**
 * Bytes that are in the files of open batches, and durable here. A small group then needs one sync, that of the WAL,
 * where the file's own would double the time that its devices wait: a memory card takes 5 to 50 ms for each.
 */
export class UnsyncedTable {
  readonly #insert: Database.Statement;
  readonly #deleteOf: Database.Statement;
  readonly #all: Database.Statement;

  constructor(db: Database.Database) {
    this.#insert = db.prepare('INSERT INTO unsynced (batch, at, bytes) VALUES (?, ?, ?)');
    this.#deleteOf = db.prepare('DELETE FROM unsynced WHERE batch = ?');
    this.#all = db.prepare('SELECT batch, at, bytes FROM unsynced ORDER BY batch, at');
  }

  /** In the transaction that makes them count. */
  add(batch: number, at: number, bytes: Uint8Array): void {
    this.#insert.run(batch, at, bytes);
  }

  /** The batch's file is synced, or no longer needed. */
  clear(batch: number): void {
    this.#deleteOf.run(batch);
  }

  /** In the order of batches and places. */
  all(): UnsyncedBytes[] {
    return this.#all.all() as UnsyncedBytes[];
  }
}
