import { statSync } from 'node:fs';
import type Database from 'better-sqlite3';

/** Pages of a ledger in bytes: fewer, larger pages suit rows of many kB. */
export const PAGE_BYTES = 8192;

/**
 * WAL checkpoint threshold in pages. Small, since one of 4,096 pages holds a commit for 60 ms and more, while
 * 512 pages stay near 15 ms at the 99th percentile.
 */
export const WAL_CHECKPOINT_PAGES = 512;

/** The WAL's size at that threshold, bytes: without readers in the way it is begun anew there. */
export const WAL_CHECKPOINT_BYTES = WAL_CHECKPOINT_PAGES * PAGE_BYTES;

/**
 * Size of the WAL, in bytes, from which the ledger waits for its readers. At each threshold SQLite copies what no
 * reader still needs, and begins the WAL anew only in a moment without any; readers that overlap leave it none. Four
 * thresholds: whoever reads now and then is never waited for.
 */
export const WAL_BYTES_MAX = 4 * WAL_CHECKPOINT_BYTES;

/** Longest wait for readers, ms: longer than any read of ours. */
const READERS_WAIT_MS = 1_000;

/**
 * Keeps readers from making the WAL grow without bound. While the ledger waits nothing is written, so whoever begins
 * to read then reads what is in the database already and is not waited for: the wait is that for the reads that are
 * under way. A foreign reader that does not end, someone's `sqlite3` in a transaction, costs one wait for each
 * further {@link WAL_BYTES_MAX}.
 */
export class WalKeeper {
  readonly #db: Database.Database;
  readonly #file: string;
  #nextBytes = WAL_BYTES_MAX;

  /** @param db the writing connection. */
  constructor(db: Database.Database) {
    this.#db = db;
    this.#file = `${db.name}-wal`;
  }

  /**
   * To be called between transactions. SQLite says nothing when a WAL checkpoint that it makes by itself fails; this
   * one says it.
   *
   * @returns whether it waited for readers.
   * @throws SqliteError when the database cannot be written.
   */
  check(): boolean {
    const bytes = statSync(this.#file, { throwIfNoEntry: false })?.size ?? 0;
    if (bytes < this.#nextBytes) return false;
    const before = this.#db.pragma('busy_timeout', { simple: true }) as number;
    this.#db.pragma(`busy_timeout = ${READERS_WAIT_MS}`);
    const [{ busy } = { busy: 1 }] = this.#db.pragma('wal_checkpoint(TRUNCATE)') as {
      busy: number;
    }[];
    this.#db.pragma(`busy_timeout = ${before}`);
    this.#nextBytes = busy === 0 ? WAL_BYTES_MAX : bytes + WAL_BYTES_MAX;
    return true;
  }
}
