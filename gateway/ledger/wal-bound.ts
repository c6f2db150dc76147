import { statSync } from 'node:fs';
import type Database from 'better-sqlite3';

/** The WAL is 4 MiB while its WAL checkpoints succeed; beyond this it is looked into why they do not. */
export const WAL_BYTES_MAX = 8 * 1024 * 1024;

const LOOK_EVERY_MS = 1_000;

/**
 * SQLite says nothing when a WAL checkpoint that it makes by itself fails: what was committed stays in the WAL, which
 * grows. This one says it.
 */
export class WalBound {
  readonly #db: Database.Database;
  #lookedAtMs = performance.now();

  constructor(db: Database.Database) {
    this.#db = db;
  }

  /** To be called between transactions. @throws SqliteError when the database cannot be written. */
  keepBounded(): void {
    const now = performance.now();
    if (now - this.#lookedAtMs < LOOK_EVERY_MS) return;
    this.#lookedAtMs = now;
    const wal = statSync(`${this.#db.name}-wal`, { throwIfNoEntry: false });
    if (wal !== undefined && wal.size > WAL_BYTES_MAX) this.#db.pragma('wal_checkpoint(PASSIVE)');
  }
}
