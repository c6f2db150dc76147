import {
  decodeCheckpoint,
  decodeLogRecord,
  type LogRecord,
  leafHash,
  TreePeaks,
  toHex,
} from '@waystone/proto';
import { messageOf } from '../core/errors.js';
import { type BatchRecord, countRows, type FsckContext, isUnsealed, rowsOf } from './context.js';
import { isBlob, isSame, shown } from './values.js';

const CHECK = 'log';

interface LogRow {
  readonly log_id: Buffer;
  readonly log_index: number;
  readonly record: Buffer;
  readonly checkpoint: Buffer;
  readonly peaks: Buffer;
}

/**
 * Every log of the ledger, made again from its records: order, tree, checkpoints, and the batch of each record. The
 * signatures are in the dataset folders, where the datasets' check finds them.
 */
export function checkLog(context: FsckContext): void {
  const { db, report } = context;
  const batchAt = db.prepare('SELECT * FROM batches WHERE log_id = ? AND log_index = ?');
  const gatewayId = db.prepare("SELECT value FROM meta WHERE key = 'gateway_id'").pluck().get();
  let logId = '';
  let peaks = new TreePeaks();
  // A tree with a hole cannot be made again; what lies beyond it is only read.
  let isWhole = true;
  const total = countRows(context, 'log');
  const sql = 'SELECT * FROM log ORDER BY log_id, log_index';
  for (const row of rowsOf<LogRow>(context, CHECK, sql, total)) {
    if (toHex(row.log_id) !== logId) {
      logId = toHex(row.log_id);
      peaks = new TreePeaks();
      isWhole = true;
      report.count(CHECK, 'logs');
    }
    report.count(CHECK, 'records');
    const facts = { log: logId, index: row.log_index };
    if (isWhole && row.log_index !== peaks.size) {
      isWhole = false;
      report.find(
        CHECK,
        'LOG_HOLE',
        `log ${logId} has record ${row.log_index} where ${peaks.size} should stand`,
        facts,
      );
    }
    const record = readRecord(context, row, facts);
    if (isBlob(row.record)) peaks.append(leafHash(row.record));
    else isWhole = false;
    if (isWhole) checkTree(context, row, peaks, { facts, gatewayId });
    const batch = batchAt.get(row.log_id, row.log_index) as BatchRecord | undefined;
    checkBatch(context, record, batch, facts);
  }
  checkPlaces(context);
  report.done(CHECK);
}

function readRecord(
  { report }: FsckContext,
  row: LogRow,
  facts: { log: string; index: number },
): LogRecord | null {
  let record: LogRecord;
  try {
    record = decodeLogRecord(row.record);
  } catch (error) {
    const what = `record ${facts.index} of log ${facts.log} cannot be read: ${messageOf(error)}`;
    report.find(CHECK, 'LOG_RECORD_INVALID', what, facts);
    return null;
  }
  if (!isSame(row.log_id, record.logId) || record.index !== row.log_index) {
    report.find(
      CHECK,
      'LOG_RECORD_INVALID',
      `record ${facts.index} of log ${facts.log} says that it is record ${record.index} of ${toHex(record.logId)}`,
      facts,
    );
  }
  return record;
}

function checkTree(
  { report }: FsckContext,
  row: LogRow,
  peaks: TreePeaks,
  { facts, gatewayId }: { facts: { log: string; index: number }; gatewayId: unknown },
): void {
  if (!isSame(row.peaks, Buffer.concat(peaks.hashes))) {
    report.find(
      CHECK,
      'LOG_PEAKS_WRONG',
      `the peaks at record ${facts.index} of log ${facts.log} are not those of its records`,
      facts,
    );
  }
  const wrong = (what: string): void =>
    report.find(
      CHECK,
      'LOG_CHECKPOINT_WRONG',
      `the checkpoint at record ${facts.index} of log ${facts.log} ${what}`,
      facts,
    );
  try {
    const { gateway, logId, size, root } = decodeCheckpoint(row.checkpoint);
    if (toHex(gateway) !== gatewayId) wrong(`is of gateway ${toHex(gateway)}`);
    if (toHex(logId) !== facts.log) wrong(`is of log ${toHex(logId)}`);
    if (size !== peaks.size) wrong(`has size ${size}`);
    if (!isSame(Buffer.from(root), peaks.root())) {
      wrong(`has root ${toHex(root)}, the records give ${toHex(peaks.root())}`);
    }
  } catch (error) {
    wrong(`cannot be read: ${messageOf(error)}`);
  }
}

function checkBatch(
  { report }: FsckContext,
  record: LogRecord | null,
  batch: BatchRecord | undefined,
  facts: { log: string; index: number },
): void {
  const wrong = (what: string): void =>
    report.find(
      CHECK,
      'LOG_BATCH_MISMATCH',
      `record ${facts.index} of log ${facts.log} ${what}`,
      facts,
    );
  if (batch === undefined) {
    wrong('belongs to no batch');
    return;
  }
  if (record === null) return;
  if (!isSame(batch.root, record.root)) {
    wrong(`is of dataset ${toHex(record.root)}, batch ${batch.id} has root ${shown(batch.root)}`);
  }
  if (!isSame(batch.manifest_hash, record.manifestHash)) {
    wrong(
      `has manifest hash ${toHex(record.manifestHash)}, batch ${batch.id} ${shown(batch.manifest_hash)}`,
    );
  }
  if (batch.entries !== record.count) {
    wrong(`counts ${record.count} entries, batch ${batch.id} ${batch.entries}`);
  }
}

/** Batches with a place in a log: those that have come so far have their record, the others are next. */
function checkPlaces(context: FsckContext): void {
  const { db, report } = context;
  const hasRecord = db.prepare('SELECT 1 FROM log WHERE log_id = ? AND log_index = ?').pluck();
  const sizeOf = db.prepare('SELECT COUNT(*) FROM log WHERE log_id = ?').pluck();
  const sql = 'SELECT * FROM batches WHERE log_id IS NOT NULL ORDER BY log_id, log_index';
  for (const batch of rowsOf<BatchRecord>(context, CHECK, sql)) {
    const facts = { batch: batch.id, log: shown(batch.log_id), index: batch.log_index ?? -1 };
    const isThere = hasRecord.get(batch.log_id, batch.log_index) !== undefined;
    if (isUnsealed(batch) && batch.state !== 'logged') {
      const size = sizeOf.get(batch.log_id) as number;
      if (isThere || batch.log_index !== size) {
        report.find(
          CHECK,
          'LOG_BATCH_MISMATCH',
          `batch ${batch.id} is ${batch.state} with place ${batch.log_index} in a log of ${size}`,
          facts,
        );
      }
    } else if (!isThere) {
      report.find(
        CHECK,
        'LOG_RECORD_MISSING',
        `batch ${batch.id} is ${batch.state}, but log ${facts.log} has no record ${batch.log_index}`,
        facts,
      );
    }
  }
}

/** The stored checkpoint of a log at a size, or null. */
export function checkpointAt({ db }: FsckContext, logId: Uint8Array, size: number): Buffer | null {
  const row = db
    .prepare('SELECT checkpoint FROM log WHERE log_id = ? AND log_index = ?')
    .get(Buffer.from(logId), size - 1) as { checkpoint: Buffer } | undefined;
  return row?.checkpoint ?? null;
}
