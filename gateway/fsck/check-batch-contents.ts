import { join } from 'node:path';
import { toHex } from '@waystone/proto';
import { checkDataset, datasetsFolder, isDatasetOf } from './check-dataset.js';
import { type BatchRecord, type FsckContext, isSealed, isUnsealed } from './context.js';
import { EntryRows, type EntryTotals } from './entry-rows.js';
import { LedgerDevices } from './ledger-devices.js';
import { checkBatchFile } from './read-batch-file.js';
import { StatementsByPlace } from './statements-by-place.js';
import { isBlob } from './values.js';

/**
 * Walks the entries of all batches in order, from their batch files and dataset folders, beside the statement rows.
 *
 * @returns ids of the sealed batches whose dataset is whole, or was removed by retention.
 */
export async function checkBatchContents(context: FsckContext): Promise<ReadonlySet<number>> {
  const { db, report } = context;
  const settled = new Set<number>();
  const devices = new LedgerDevices(db);
  const places = new StatementsByPlace(db);
  try {
    const rows = new EntryRows(context, places);
    // One at a time, since reading a dataset is asynchronous and a walk of SQLite would stay open meanwhile.
    const next = db.prepare('SELECT * FROM batches WHERE id > ? ORDER BY id LIMIT 1');
    let at = Number.MIN_SAFE_INTEGER;
    for (;;) {
      const batch = next.get(at) as BatchRecord | undefined;
      if (batch === undefined) break;
      at = batch.id;
      const totals = await readBatch(context, batch, { rows, devices, settled });
      if (totals !== null) checkTotals(context, batch, totals);
    }
    rows.finish();
  } finally {
    places.close();
  }
  for (const check of ['batches', 'statements', 'batch files', 'datasets'] as const)
    report.done(check);
  return settled;
}

async function readBatch(
  context: FsckContext,
  batch: BatchRecord,
  deps: { rows: EntryRows; devices: LedgerDevices; settled: Set<number> },
): Promise<EntryTotals | null> {
  const { rows, devices, settled } = deps;
  if (isUnsealed(batch)) {
    const totals = checkBatchFile(context, batch, rows, devices);
    if (batch.state === 'logged' && isBlob(batch.root, 32)) {
      await isDatasetOf(context, batch, join(datasetsFolder(context), toHex(batch.root)));
    }
    return totals;
  }
  if (batch.removed_at_us !== null) settled.add(batch.id);
  if (!isSealed(batch) || batch.removed_at_us !== null || !isBlob(batch.root, 32)) {
    rows.begin(batch);
    rows.end(batch, false);
    return null;
  }
  const totals = await checkDataset(context, batch, rows);
  if (totals !== null) settled.add(batch.id);
  return totals;
}

function checkTotals(context: FsckContext, batch: BatchRecord, totals: EntryTotals): void {
  const { db, report } = context;
  const pairs = [
    ['entries', batch.entries, totals.entries],
    ['frames', batch.frames, totals.frames],
    ['last receive time', batch.last_received_at_us, totals.lastReceivedAtUs],
  ] as const;
  for (const [name, stated, found] of pairs) {
    // An empty batch has no last entry.
    if (stated === found || totals.entries === 0) continue;
    report.find(
      'batches',
      'BATCH_DIFFERS',
      `batch ${batch.id} has ${name} ${stated}, its entries ${found}`,
      {
        batch: batch.id,
      },
    );
  }
  const listed = db
    .prepare(
      `SELECT lower(hex(key_id)) FROM batch_devices JOIN devices ON devices.id = batch_devices.device
       WHERE batch = ?`,
    )
    .pluck()
    .all(batch.id) as string[];
  const known = new Set(listed);
  const missing = [...totals.devices].filter((device) => !known.has(device)).length;
  const beyond = listed.filter((device) => !totals.devices.has(device)).length;
  if (missing + beyond > 0) {
    report.find(
      'batches',
      'BATCH_DEVICES_WRONG',
      `batch ${batch.id} lists ${listed.length} devices: ${missing} that have entries in it are not among them, ${beyond} have none`,
      { batch: batch.id, missing, beyond },
    );
  }
}
