import type Database from 'better-sqlite3';
import type { GatewayKey } from '../core/gateway-key.js';
import type { CheckName, FsckReport } from './report.js';

/** What every check gets. */
export interface FsckContext {
  readonly home: string;
  readonly dataFolder: string;
  /** Read-only. */
  readonly db: Database.Database;
  readonly report: FsckReport;
  /** The key of the home; null when it cannot be read. */
  readonly key: GatewayKey | null;
  /** Datasets are checked by the hashes that their manifests list, not by the devices' signatures. */
  readonly isQuick: boolean;
  /** Says how far a check is; called often. @param total null while it is not known. */
  readonly progress: (check: CheckName, done: number, total: number | null) => void;
}

/** States of a batch whose entries are in its file. */
export const UNSEALED_STATES = ['open', 'due', 'frozen', 'logged'] as const;

/** States of a batch whose entries are in its dataset folder. */
export const SEALED_STATES = ['sealed', 'committed', 'forged', 'withdrawn'] as const;

/** A row of `batches`; nothing in it is certain but that SQLite could read it. */
export interface BatchRecord {
  readonly id: number;
  readonly stream: number;
  readonly challengeable: number;
  readonly state: string;
  readonly opened_at_us: number;
  readonly last_received_at_us: number;
  readonly entries: number;
  readonly frames: number;
  readonly bytes: number;
  readonly log_id: Buffer | null;
  readonly log_index: number | null;
  readonly sealed_at_us: number | null;
  readonly root: Buffer | null;
  readonly manifest_hash: Buffer | null;
  readonly min_time_us: number | null;
  readonly max_time_us: number | null;
  readonly token: string | null;
  readonly forged_at_us: number | null;
  readonly removed_at_us: number | null;
}

export function isUnsealed({ state }: Pick<BatchRecord, 'state'>): boolean {
  return (UNSEALED_STATES as readonly string[]).includes(state);
}

export function isSealed({ state }: Pick<BatchRecord, 'state'>): boolean {
  return (SEALED_STATES as readonly string[]).includes(state);
}

/** Rows of a query one at a time, however many there are. */
export function* rowsOf<Row>(
  { db, progress }: Pick<FsckContext, 'db' | 'progress'>,
  check: CheckName,
  sql: string,
  total: number | null = null,
): Generator<Row> {
  let done = 0;
  for (const row of db.prepare(sql).iterate()) {
    progress(check, done++, total);
    yield row as Row;
  }
}

export function countRows({ db }: Pick<FsckContext, 'db'>, table: string): number {
  return db.prepare(`SELECT COUNT(*) FROM ${table}`).pluck().get() as number;
}
