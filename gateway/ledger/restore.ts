import { randomBytes } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { LOG_ID_BYTES } from '@waystone/proto';
import Database from 'better-sqlite3';
import { BATCH_FILES_FOLDER } from '../core/batch-file.js';
import { syncFolderNow } from '../core/durable.js';
import { messageOf, WaystoneError } from '../core/errors.js';
import {
  BACKUP_DATASETS,
  BACKUP_FILE,
  BACKUP_LEDGER,
  type BackupDescription,
  copyFolder,
  copySynced,
  fileHash,
} from './backup.js';
import { logHeadFile, writeLogHead } from './identity.js';
import { lockDataFolder } from './lock.js';
import { prepareLedger } from './schema.js';

/**
 * Puts a backup into place and starts a new log: what the gateway signed after the backup was made is unknown
 * to it, and a log that went on from there could contradict that.
 *
 * A data folder that holds a ledger already (one that was rolled back, say) is moved aside, never deleted.
 *
 * @throws WaystoneError BACKUP_INVALID when the folder is no whole backup, DATA_FOLDER_LOCKED when a gateway runs.
 */
export async function restoreBackup(options: {
  readonly backup: string;
  readonly dataFolder: string;
  readonly home: string;
}): Promise<{ logId: string; datasets: number; movedAside: string | null }> {
  const { backup, dataFolder, home } = options;
  const description = await readDescription(backup);
  const lock = lockDataFolder(dataFolder);
  try {
    const movedAside = await moveAside(dataFolder);
    // The ledger gets its name last: a restore that is interrupted is simply run again.
    const ledgerFile = join(dataFolder, 'ledger.sqlite');
    const unfinished = `${ledgerFile}.restoring`;
    await copySynced(join(backup, BACKUP_LEDGER), unfinished);
    if (description.batches !== undefined) {
      await copyFolder(join(backup, BATCH_FILES_FOLDER), join(dataFolder, BATCH_FILES_FOLDER));
    }
    const { logId, roots } = startNewLog(unfinished, dataFolder);
    const datasets = description.datasets.filter((root) => roots.has(root));
    await mkdir(join(dataFolder, BACKUP_DATASETS), { recursive: true, mode: 0o700 });
    for (const root of datasets) {
      await copyFolder(
        join(backup, BACKUP_DATASETS, root),
        join(dataFolder, BACKUP_DATASETS, root),
      );
    }
    syncFolderNow(join(dataFolder, BACKUP_DATASETS));
    await rename(unfinished, ledgerFile);
    syncFolderNow(dataFolder);
    writeLogHead(logHeadFile(home), { logId, size: 0, root: '' });
    return { logId, datasets: datasets.length, movedAside };
  } finally {
    lock.release();
  }
}

/**
 * For a gateway whose data is lost and that has no backup: whatever is left is moved aside, and the next start begins
 * an empty ledger with a new log. Devices that still hold envelopes send them again.
 *
 * @throws WaystoneError DATA_FOLDER_LOCKED when a gateway runs.
 */
export async function startNewLedger(options: {
  readonly dataFolder: string;
  readonly home: string;
}): Promise<{ movedAside: string | null }> {
  const { dataFolder, home } = options;
  const lock = lockDataFolder(dataFolder);
  try {
    const movedAside = await moveAside(dataFolder);
    await rm(logHeadFile(home), { force: true });
    syncFolderNow(join(home, 'keys'));
    return { movedAside };
  } finally {
    lock.release();
  }
}

/**
 * @returns the new log's id in hex, and the roots of the datasets that the ledger names. A dataset that was sealed
 *   while the backup was made may lie in it without the ledger's copy knowing: its entries are sealed again, and
 *   that folder would be in their way.
 */
function startNewLog(
  ledgerFile: string,
  dataFolder: string,
): { logId: string; roots: ReadonlySet<string> } {
  const db = new Database(ledgerFile);
  try {
    prepareLedger(db, dataFolder);
    const logId = randomBytes(LOG_ID_BYTES);
    db.transaction(() => {
      db.prepare("UPDATE meta SET value = ? WHERE key = 'log_id'").run(logId.toString('hex'));
      // A batch that had a place in the old log, but no record there yet, takes one in the new log. One with a record
      // keeps it, since its head may have been signed: it is finished in the old log, with the same bytes.
      db.prepare(
        `UPDATE batches SET state = 'due', log_id = NULL, log_index = NULL, sealed_at_us = NULL
         WHERE state = 'frozen'`,
      ).run();
    })();
    const roots = db
      .prepare('SELECT lower(hex(root)) FROM batches WHERE root IS NOT NULL')
      .pluck()
      .all() as string[];
    db.pragma('wal_checkpoint(TRUNCATE)');
    return { logId: logId.toString('hex'), roots: new Set(roots) };
  } finally {
    db.close();
  }
}

async function readDescription(backup: string): Promise<BackupDescription> {
  const invalid = (why: string, cause?: unknown): WaystoneError =>
    new WaystoneError('BACKUP_INVALID', `${backup} is no whole backup: ${why}`, { cause });
  let description: BackupDescription;
  try {
    description = JSON.parse(await readFile(join(backup, BACKUP_FILE), 'utf8'));
  } catch (cause) {
    throw invalid(`${BACKUP_FILE} cannot be read (${messageOf(cause)})`, cause);
  }
  if (description.type !== 'waystone-backup' || ![1, 2].includes(description.version)) {
    throw invalid(`${BACKUP_FILE} is not of type waystone-backup version 1 or 2`);
  }
  const files = (description.batches ?? []).map(({ name, sha256 }) => ({
    name: join(BATCH_FILES_FOLDER, name),
    sha256,
  }));
  for (const { name, sha256 } of [{ name: BACKUP_LEDGER, ...description.ledger }, ...files]) {
    const hash = await fileHash(join(backup, name)).catch((cause) => {
      throw invalid(`${name} cannot be read (${messageOf(cause)})`, cause);
    });
    if (hash !== sha256) {
      throw invalid(`${name} has SHA-256 ${hash}, ${BACKUP_FILE} says ${sha256}`);
    }
  }
  const there = new Set(await readdir(join(backup, BACKUP_DATASETS)));
  const missing = description.datasets.find((root) => !there.has(root));
  if (missing !== undefined) throw invalid(`dataset ${missing} is missing`);
  return description;
}

/** Moves a ledger and its datasets out of the way. @returns where to, or null when there was none. */
async function moveAside(dataFolder: string): Promise<string | null> {
  const present = (await readdir(dataFolder)).filter(
    (name) => name.startsWith('ledger.') || name === BACKUP_DATASETS || name === BATCH_FILES_FOLDER,
  );
  if (present.length === 0) return null;
  const aside = join(
    dataFolder,
    `before-restore-${new Date().toISOString().replace(/[:.]/g, '-')}`,
  );
  await mkdir(aside, { mode: 0o700 });
  for (const name of present) await rename(join(dataFolder, name), join(aside, name));
  syncFolderNow(aside);
  syncFolderNow(dataFolder);
  return aside;
}
