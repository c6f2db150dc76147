import type Database from 'better-sqlite3';
import type { BatchRow } from '../core/ports.js';
import { BatchFiles } from './batch-files.js';

/** Ids in the table that schema version 1 had: batch * 2^24 + index in the batch. */
const ENVELOPES_PER_BATCH = 2 ** 24;

/** Rows written before the file is synced. */
const ROWS_EACH = 1000;

/**
 * From schema version 1 to 2: copies the envelopes of unsealed batches into batch files. Whatever a run that was
 * interrupted wrote is overwritten.
 */
export function moveEnvelopesToFiles(db: Database.Database, dataFolder: string): void {
  const batches = db
    .prepare("SELECT id FROM batches WHERE state IN ('open', 'due', 'frozen', 'logged')")
    .pluck()
    .all() as number[];
  const files = new BatchFiles(dataFolder, null);
  const rowsFrom = db.prepare(
    'SELECT entry, frames FROM envelopes WHERE id >= ? AND id < ? ORDER BY id LIMIT ?',
  );
  for (const id of batches) {
    const extent = { entries: 0, bytes: 0 };
    for (;;) {
      const from = id * ENVELOPES_PER_BATCH;
      const rows = rowsFrom.all(
        from + extent.entries,
        from + ENVELOPES_PER_BATCH,
        ROWS_EACH,
      ) as BatchRow[];
      if (rows.length === 0) break;
      for (const row of rows) {
        files.append(id, extent, row);
        extent.entries += 1;
        extent.bytes += row.frames.length;
      }
      files.flush();
      files.committed();
    }
  }
  files.close();
}
