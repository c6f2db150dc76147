import { existsSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { pendingRecords } from '../../gateway/ledger/redo-file.js';

/**
 * Records of the redo file that the next start has to carry over. Of a gateway that runs it may be fewer; of one that
 * died while it made its ledger there are none.
 *
 * @param dataFolder is only read: SQLite's index of the WAL aside, nothing in it changes.
 */
export function pendingRedo(dataFolder: string): number {
  const file = join(dataFolder, 'ledger.sqlite');
  if (!existsSync(file)) return 0;
  const db = new Database(file, { readonly: true });
  try {
    const isMade = db.prepare("SELECT 1 FROM sqlite_master WHERE name = 'meta'").get();
    if (isMade === undefined) return 0;
    const find = db.prepare('SELECT value FROM meta WHERE key = ?').pluck();
    const [logId, committed] = [find.get('log_id'), find.get('redo_epoch')];
    if (logId === undefined || committed === undefined) return 0;
    return pendingRecords(dataFolder, {
      logId: Buffer.from(String(logId), 'hex'),
      committed: Number(committed),
    });
  } finally {
    db.close();
  }
}
