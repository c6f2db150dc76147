import { existsSync, rmSync, statSync } from 'node:fs';
import Database from 'better-sqlite3';
import { messageOf, WaystoneError } from '../core/errors.js';
import { lockDataFolder } from '../ledger/lock.js';
import { SCHEMA_VERSION } from '../ledger/schema.js';
import { scanWal } from './wal-scan.js';

/** A ledger that cannot be changed through this connection. */
export interface OpenLedger {
  readonly db: Database.Database;
  close(): void;
}

/**
 * Opens the ledger for reading. SQLite makes an empty WAL and its index where there are none; they go again.
 *
 * @throws WaystoneError LEDGER_MISSING, LEDGER_UNREADABLE, LEDGER_WAL_DAMAGED, LEDGER_TOO_NEW or LEDGER_TOO_OLD.
 */
export function openLedger(file: string): OpenLedger {
  if (!existsSync(file)) {
    throw new WaystoneError(
      'LEDGER_MISSING',
      `there is no ledger at ${file}; has this gateway ever run, and is the right disk mounted?`,
    );
  }
  const companions = [`${file}-wal`, `${file}-shm`];
  const made = companions.filter((path) => !existsSync(path));
  const tidy = (): void => {
    const wal = statSync(`${file}-wal`, { throwIfNoEntry: false });
    if (made.length === companions.length && (wal?.size ?? 0) === 0) {
      for (const path of made) rmSync(path, { force: true });
    }
  };
  let db: Database.Database | null = null;
  try {
    db = new Database(file, { readonly: true, fileMustExist: true });
    const version = db.pragma('user_version', { simple: true }) as number;
    if (version > SCHEMA_VERSION) {
      throw new WaystoneError(
        'LEDGER_TOO_NEW',
        `the ledger has schema version ${version}, this release knows ${SCHEMA_VERSION}; run fsck of the newer release`,
      );
    }
    if (version < SCHEMA_VERSION && (scanWal(`${file}-wal`)?.commitsCutOff ?? 0) > 0) {
      throw new WaystoneError(
        'LEDGER_WAL_DAMAGED',
        `the WAL of ${file} is damaged, and without it the ledger has no tables of this release; do not start the gateway before the data folder is copied away: its start drops what the WAL holds`,
      );
    }
    if (version < SCHEMA_VERSION) {
      throw new WaystoneError(
        'LEDGER_TOO_OLD',
        `the ledger has schema version ${version}, this release checks ${SCHEMA_VERSION}; copy the data folder away, and let the gateway start once: it brings the ledger up`,
      );
    }
    const open = db;
    return {
      db,
      close: () => {
        open.close();
        tidy();
      },
    };
  } catch (cause) {
    db?.close();
    tidy();
    if (cause instanceof WaystoneError) throw cause;
    throw new WaystoneError(
      'LEDGER_UNREADABLE',
      `${file} cannot be read as a ledger (${messageOf(cause)}); copy the data folder away, check the disk, and run waystone restore with a backup. The folders in datasets/ can still be checked one by one with waystone verify`,
      { cause },
    );
  }
}

/**
 * Keeps gateways out while the folder is read. Where nothing can be written no gateway runs, and no lock is needed.
 *
 * @throws WaystoneError DATA_FOLDER_LOCKED, LEDGER_MISSING when there is no such folder.
 */
export function keepGatewaysOut(dataFolder: string): { release(): void } {
  if (!existsSync(dataFolder)) {
    throw new WaystoneError('LEDGER_MISSING', `there is no data folder at ${dataFolder}`);
  }
  try {
    return lockDataFolder(dataFolder);
  } catch (error) {
    const cause = (error as Error).cause ?? error;
    const { code } = cause as { code?: string };
    if (code?.startsWith('SQLITE_READONLY') === true || code === 'SQLITE_CANTOPEN') {
      return { release: () => undefined };
    }
    throw error;
  }
}
