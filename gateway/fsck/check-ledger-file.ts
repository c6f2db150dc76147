import { join } from 'node:path';
import { fromHex, LOG_ID_BYTES } from '@waystone/proto';
import Database from 'better-sqlite3';
import { syncFolderNow } from '../core/durable.js';
import { messageOf } from '../core/errors.js';
import { pendingRecords } from '../ledger/redo-file.js';
import { createTables, SCHEMA_VERSION } from '../ledger/schema.js';
import { PAGE_BYTES } from '../ledger/wal-keeper.js';
import type { FsckContext } from './context.js';
import { isCount, isHex, shown } from './values.js';
import { scanWal } from './wal-scan.js';

const CHECK = 'ledger file';

/** Name of the ledger in the data folder. */
export const LEDGER_FILE = 'ledger.sqlite';

/** Messages of SQLite that are asked for. */
const MESSAGES_MAX = 100;

/** What SQLite itself can say of its file, and whether its tables are those of this release. */
export function checkLedgerFile(context: FsckContext): void {
  const { db, report, dataFolder, progress } = context;
  progress(CHECK, 0, null);
  checkWal(context, join(dataFolder, LEDGER_FILE));
  const messages = db.pragma(`integrity_check(${MESSAGES_MAX})`) as { integrity_check: string }[];
  for (const { integrity_check: message } of messages) {
    if (message !== 'ok') report.find(CHECK, 'LEDGER_DAMAGED', `SQLite says: ${message}`);
  }
  const broken = db.pragma('foreign_key_check') as {
    table: string;
    rowid: number | null;
    parent: string;
  }[];
  for (const { table, rowid, parent } of broken) {
    report.find(
      CHECK,
      'LEDGER_REFERENCE_BROKEN',
      `a row of ${table} refers to a row of ${parent} that is not there`,
      { table, row: rowid ?? -1, parent },
    );
  }
  checkSchema(context);
  const pageBytes = db.pragma('page_size', { simple: true }) as number;
  const journal = db.pragma('journal_mode', { simple: true }) as string;
  if (pageBytes !== PAGE_BYTES || journal !== 'wal') {
    report.find(
      CHECK,
      'LEDGER_SETTINGS',
      `the ledger has pages of ${pageBytes} bytes and journal mode ${journal}; a new one has ${PAGE_BYTES} and wal`,
    );
  }
  checkRedo(context);
  report.count(CHECK, 'schema version', SCHEMA_VERSION);
  report.count(CHECK, 'pages', db.pragma('page_count', { simple: true }) as number);
  report.done(CHECK);
}

function checkWal({ report }: FsckContext, file: string): void {
  const wal = scanWal(`${file}-wal`);
  if (wal === null) return;
  report.count(CHECK, 'WAL frames', wal.frames);
  const cut = { commits: wal.commitsCutOff, frames: wal.frames };
  if (wal.commitsCutOff > 1) {
    report.find(
      CHECK,
      'LEDGER_WAL_DAMAGED',
      `the WAL is damaged behind frame ${wal.frames}: ${wal.commitsCutOff} commits that were written after it are not read`,
      cut,
    );
  } else if (wal.commitsCutOff === 1) {
    report.find(
      CHECK,
      'LEDGER_WAL_TORN',
      `the last commit in the WAL, behind frame ${wal.frames}, is not whole and not read`,
      cut,
    );
  }
  report.find(
    CHECK,
    'LEDGER_WAL_PENDING',
    `${wal.frames} pages are in the WAL and not in the ledger file yet`,
    { pages: wal.frames },
    { needs: ['ledger file'], run: () => emptyWal(file) },
  );
}

function emptyWal(file: string): string {
  const db = new Database(file, { fileMustExist: true });
  try {
    db.pragma('synchronous = FULL');
    const [done] = db.pragma('wal_checkpoint(TRUNCATE)') as { busy: number }[];
    if (done?.busy !== 0) throw new Error('another program holds the ledger open');
  } finally {
    db.close();
  }
  syncFolderNow(join(file, '..'));
  return 'wrote the WAL into the ledger file and emptied it';
}

/** What was acknowledged and is in no table yet. The next start stores it; here it is only seen that it can be read. */
function checkRedo({ db, report, dataFolder }: FsckContext): void {
  const meta = (name: string): unknown =>
    db.prepare('SELECT value FROM meta WHERE key = ?').pluck().get(name);
  const committed = meta('redo_epoch');
  if (!isCount(committed)) {
    report.find(
      CHECK,
      'LEDGER_REDO_DAMAGED',
      `the ledger names ${shown(committed)} as the epoch of its redo file that it holds`,
    );
    return;
  }
  const logId = meta('log_id');
  // Then whose the file is cannot be told; that the ledger names no log is said elsewhere.
  if (!isHex(logId, LOG_ID_BYTES)) return;
  let records: number;
  try {
    records = pendingRecords(dataFolder, { logId: fromHex(logId), committed });
  } catch (error) {
    report.find(CHECK, 'LEDGER_REDO_DAMAGED', messageOf(error));
    return;
  }
  report.count(CHECK, 'redo records', records);
  if (records === 0) return;
  report.find(
    CHECK,
    'LEDGER_REDO_PENDING',
    `${records} commit groups are in the redo file and not in the ledger's tables yet`,
    { records },
  );
}

interface SchemaObject {
  readonly name: string;
  readonly type: string;
}

/** Tables with their columns, and indexes with theirs, as one line each. */
function describeSchema(db: Database.Database): Map<string, string> {
  const objects = db
    .prepare("SELECT name, type FROM sqlite_master WHERE name NOT LIKE 'sqlite_stat%'")
    .all() as SchemaObject[];
  return new Map(
    objects.map(({ name, type }) => {
      const details =
        type === 'table'
          ? [db.pragma(`table_info('${name}')`), indexesOf(db, name)]
          : type === 'index'
            ? db.pragma(`index_xinfo('${name}')`)
            : type;
      return [`${type} ${name}`, JSON.stringify(details)];
    }),
  );
}

/** Whether an index is unique and partial is known to its table only. */
function indexesOf(db: Database.Database, table: string): string[] {
  const list = db.pragma(`index_list('${table}')`) as {
    name: string;
    unique: number;
    partial: number;
  }[];
  return list.map(({ name, unique, partial }) => `${name} ${unique} ${partial}`).sort();
}

function checkSchema({ db, report }: FsckContext): void {
  const expected = new Database(':memory:');
  try {
    createTables(expected);
    const wanted = describeSchema(expected);
    const found = describeSchema(db);
    for (const [name, description] of wanted) {
      if (!found.has(name)) {
        report.find(CHECK, 'LEDGER_SCHEMA_WRONG', `${name} is missing`, { object: name });
      } else if (found.get(name) !== description) {
        report.find(CHECK, 'LEDGER_SCHEMA_WRONG', `${name} is not as this release made it`, {
          object: name,
        });
      }
    }
    for (const name of found.keys()) {
      if (!wanted.has(name)) {
        report.find(CHECK, 'LEDGER_SCHEMA_WRONG', `${name} is not of this release`, {
          object: name,
        });
      }
    }
  } finally {
    expected.close();
  }
}
