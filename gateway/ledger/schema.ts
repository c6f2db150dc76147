import type Database from 'better-sqlite3';
import { WaystoneError } from '../core/errors.js';
import { moveEnvelopesToFiles } from './batch-migration.js';
import { DEVICE_PROOFS_DDL } from './device-proofs.js';
import { FORGE_JOURNAL_DDL } from './forge-journal.js';
import { GROWTH_DDL } from './growth-migration.js';
import { LAZAI_JOURNAL_DDL } from './lazai-journal.js';
import { RANGES_DDL } from './ranges.js';
import { REDO_DDL } from './redo-file.js';
import { RELAYS_DDL } from './relays.js';
import { UNSYNCED_DDL } from './unsynced.js';
import { PAGE_BYTES, WAL_BYTES_MAX, WAL_CHECKPOINT_PAGES } from './wal-keeper.js';
import { WITHDRAWALS_DDL } from './withdrawals.js';

/**
 * The ledger's tables. Ids are small integers; hashes, keys and envelopes are blobs; times are µs UTC.
 *
 * `statements` keeps one small row for each stored envelope of the sessions that a device may still come back to: it
 * is what makes exactly-once hold after the frames have moved to their dataset folder. Until then entry and frames are
 * in the batch's file. `ranges` finds them by session and sequence, once they are in it (see `ranges.ts`). Of older
 * sessions a mark in `pruned_sessions` stays.
 */
const MIGRATIONS: readonly string[] = [
  `
CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;

CREATE TABLE devices (
  id INTEGER PRIMARY KEY,
  did TEXT NOT NULL UNIQUE,
  key_id BLOB NOT NULL UNIQUE,
  label TEXT NOT NULL,
  enrolled_at_us INTEGER NOT NULL,
  revoked_at_us INTEGER,
  revoke_reason TEXT,
  last_seen_us INTEGER,
  envelopes INTEGER NOT NULL DEFAULT 0,
  frames INTEGER NOT NULL DEFAULT 0,
  refused INTEGER NOT NULL DEFAULT 0
);

CREATE TABLE sessions (
  id INTEGER PRIMARY KEY,
  device INTEGER NOT NULL REFERENCES devices,
  session BLOB NOT NULL,
  opened_at_us INTEGER NOT NULL,
  closed_at_us INTEGER,
  counter INTEGER NOT NULL,
  UNIQUE (device, session)
);

-- A commit group's receipt tree: the log that its receipts name, and the leaf hashes, 32 bytes each.
CREATE TABLE groups (id INTEGER PRIMARY KEY, log_id BLOB NOT NULL, leaves BLOB NOT NULL);

CREATE TABLE batches (
  id INTEGER PRIMARY KEY,
  stream INTEGER NOT NULL,
  challengeable INTEGER NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('open', 'due', 'frozen', 'logged', 'sealed', 'committed', 'forged', 'withdrawn')),
  due_why TEXT,
  opened_at_us INTEGER NOT NULL,
  last_received_at_us INTEGER NOT NULL,
  entries INTEGER NOT NULL,
  frames INTEGER NOT NULL,
  bytes INTEGER NOT NULL,
  log_id BLOB,
  log_index INTEGER,
  sealed_at_us INTEGER,
  root BLOB,
  manifest_hash BLOB,
  min_time_us INTEGER,
  max_time_us INTEGER,
  token TEXT,
  UNIQUE (log_id, log_index)
);
CREATE INDEX batches_by_state ON batches (state);
CREATE INDEX batches_by_root ON batches (root);

-- Whose entries a batch holds.
CREATE TABLE batch_devices (
  batch INTEGER NOT NULL,
  device INTEGER NOT NULL,
  PRIMARY KEY (batch, device)
) WITHOUT ROWID;

CREATE TABLE statements (
  id INTEGER PRIMARY KEY,
  session INTEGER NOT NULL,
  stream INTEGER NOT NULL,
  first INTEGER NOT NULL,
  last INTEGER NOT NULL,
  hash BLOB NOT NULL,
  entry_leaf BLOB NOT NULL,
  grp INTEGER NOT NULL,
  grp_index INTEGER NOT NULL,
  batch INTEGER NOT NULL,
  batch_index INTEGER NOT NULL
);
CREATE UNIQUE INDEX statements_by_range ON statements (session, stream, first);

-- id = batch * 2^24 + index in the batch, so that a batch is one run of the table.
CREATE TABLE envelopes (id INTEGER PRIMARY KEY, entry BLOB NOT NULL, frames BLOB NOT NULL);

CREATE TABLE refusals (
  id INTEGER PRIMARY KEY,
  at_us INTEGER NOT NULL,
  device INTEGER NOT NULL,
  code TEXT NOT NULL,
  statement BLOB NOT NULL,
  detail TEXT NOT NULL
);
CREATE INDEX refusals_by_device ON refusals (device, at_us);

CREATE TABLE log (
  log_id BLOB NOT NULL,
  log_index INTEGER NOT NULL,
  record BLOB NOT NULL,
  checkpoint BLOB NOT NULL,
  peaks BLOB NOT NULL,
  PRIMARY KEY (log_id, log_index)
) WITHOUT ROWID;
${FORGE_JOURNAL_DDL}`,
  `
-- Entries and frames went to batch files.
DROP TABLE envelopes;

-- For retention: when a dataset got its token, and when its files were removed.
ALTER TABLE batches ADD COLUMN forged_at_us INTEGER;
ALTER TABLE batches ADD COLUMN removed_at_us INTEGER;
${RELAYS_DDL}`,
  GROWTH_DDL,
  `
-- When the device may open as many new sessions at once as ever; and how many of its sessions were pruned.
ALTER TABLE devices ADD COLUMN sessions_whole_at_us INTEGER NOT NULL DEFAULT 0;
ALTER TABLE devices ADD COLUMN pruned_sessions INTEGER NOT NULL DEFAULT 0;

-- Of a closed session that is no longer kept: it goes once this batch and all before it are settled.
ALTER TABLE sessions ADD COLUMN prune_after INTEGER;
-- Each session is in one of these.
CREATE INDEX sessions_open ON sessions (device) WHERE closed_at_us IS NULL;
CREATE INDEX sessions_kept ON sessions (device, closed_at_us)
  WHERE closed_at_us IS NOT NULL AND prune_after IS NULL;
CREATE INDEX sessions_prunable ON sessions (prune_after) WHERE prune_after IS NOT NULL;

-- Sessions that stay refused for ever.
CREATE TABLE pruned_sessions (
  device INTEGER NOT NULL,
  mark BLOB NOT NULL,
  PRIMARY KEY (device, mark)
) WITHOUT ROWID;
`,
  RANGES_DDL,
  UNSYNCED_DDL,
  LAZAI_JOURNAL_DDL,
  DEVICE_PROOFS_DDL,
  WITHDRAWALS_DDL,
  REDO_DDL,
];

/** Version of the tables that this release reads and writes. */
export const SCHEMA_VERSION = MIGRATIONS.length;

/**
 * Settings of the writing connection, then the tables of this release.
 *
 * @param dataFolder where batch files are, or will be once this is the ledger of that folder.
 */
export function prepareLedger(db: Database.Database, dataFolder: string): void {
  db.pragma(`page_size = ${PAGE_BYTES}`);
  db.pragma('journal_mode = WAL');
  db.pragma('synchronous = FULL');
  db.pragma(`wal_autocheckpoint = ${WAL_CHECKPOINT_PAGES}`);
  // A WAL that had to grow, under a reader for instance, gives its space back.
  db.pragma(`journal_size_limit = ${WAL_BYTES_MAX}`);
  db.pragma('foreign_keys = ON');
  const version = db.pragma('user_version', { simple: true }) as number;
  if (version > MIGRATIONS.length) {
    throw new WaystoneError(
      'LEDGER_TOO_NEW',
      `the ledger has schema version ${version}, this release knows ${MIGRATIONS.length}; run the newer release again`,
    );
  }
  for (let step = version; step < MIGRATIONS.length; step++) {
    db.transaction(() => {
      if (step === 1) moveEnvelopesToFiles(db, dataFolder);
      db.exec(MIGRATIONS[step] as string);
      db.pragma(`user_version = ${step + 1}`);
    })();
  }
}

/** Tables and indexes of this release in an empty database, for whoever compares another one with them. */
export function createTables(db: Database.Database): void {
  for (const step of MIGRATIONS) db.exec(step);
}
