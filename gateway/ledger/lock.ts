import { join } from 'node:path';
import Database from 'better-sqlite3';
import { makeFolder } from '../core/durable.js';
import { WaystoneError } from '../core/errors.js';

/**
 * Holds the data folder for one process. The lock is SQLite's own POSIX lock on a file of its own, which the
 * kernel frees when the process dies, however it dies.
 *
 * @throws WaystoneError DATA_FOLDER_LOCKED when another process holds it.
 */
export function lockDataFolder(dataFolder: string): { release(): void } {
  makeFolder(dataFolder);
  const db = new Database(join(dataFolder, 'lock'), { timeout: 0 });
  try {
    db.pragma('journal_mode = DELETE');
    db.pragma('locking_mode = EXCLUSIVE');
    db.exec('BEGIN EXCLUSIVE');
  } catch (cause) {
    db.close();
    throw new WaystoneError(
      'DATA_FOLDER_LOCKED',
      `${dataFolder} is in use by another waystone process; stop it, or set another data folder`,
      { cause },
    );
  }
  return { release: () => db.close() };
}
