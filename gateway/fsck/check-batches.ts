import { LOG_ID_BYTES } from '@waystone/proto';
import { type BatchRecord, countRows, type FsckContext, rowsOf, SEALED_STATES } from './context.js';
import { isBlob, isCount, shown } from './values.js';

const CHECK = 'batches';

type Field = keyof BatchRecord;

const PLACE: readonly Field[] = ['log_id', 'log_index', 'sealed_at_us'];
const DATASET: readonly Field[] = ['root', 'manifest_hash', 'min_time_us', 'max_time_us'];
const TOKEN: readonly Field[] = ['token'];

/** The fields that a batch has in each state; the others among them are empty. */
const FIELDS: Readonly<Record<string, readonly Field[]>> = {
  open: [],
  due: [],
  frozen: PLACE,
  logged: [...PLACE, ...DATASET],
  sealed: [...PLACE, ...DATASET],
  committed: [...PLACE, ...DATASET],
  forged: [...PLACE, ...DATASET, ...TOKEN],
  withdrawn: [...PLACE, ...DATASET],
};

/** The rows of the batches by themselves; what their entries say is for {@link checkBatchContents}. */
export function checkBatches(context: FsckContext): void {
  const { db, report } = context;
  const sql = 'SELECT * FROM batches ORDER BY id';
  for (const batch of rowsOf<BatchRecord>(context, CHECK, sql, countRows(context, 'batches'))) {
    report.count(CHECK, `${batch.state}`);
    const fault = faultOf(batch);
    if (fault !== null) {
      report.find(CHECK, 'BATCH_STATE_WRONG', `batch ${batch.id} ${fault}`, {
        batch: batch.id,
        state: batch.state,
      });
    }
  }
  const twice = db
    .prepare(
      `SELECT stream, challengeable, COUNT(*) AS batches FROM batches WHERE state = 'open'
       GROUP BY stream, challengeable HAVING COUNT(*) > 1`,
    )
    .all() as { stream: number; challengeable: number; batches: number }[];
  for (const { stream, batches } of twice) {
    report.find(
      CHECK,
      'BATCH_OPEN_TWICE',
      `stream ${stream} has ${batches} open batches of one kind`,
      {
        stream,
        batches,
      },
    );
  }
  report.done(CHECK);
}

function faultOf(batch: BatchRecord): string | null {
  const fields = FIELDS[batch.state];
  if (fields === undefined) return `has the unknown state ${shown(batch.state)}`;
  for (const field of [...PLACE, ...DATASET, ...TOKEN]) {
    if ((batch[field] !== null) !== fields.includes(field)) {
      return `is ${batch.state} and ${batch[field] === null ? 'has no' : 'has a'} ${field}`;
    }
  }
  for (const field of ['entries', 'frames', 'bytes', 'stream'] as const) {
    if (!isCount(batch[field])) return `has ${shown(batch[field])} as ${field}`;
  }
  if (batch.log_id !== null && !isBlob(batch.log_id, LOG_ID_BYTES)) return 'has a log id of no log';
  for (const field of ['root', 'manifest_hash'] as const) {
    if (batch[field] !== null && !isBlob(batch[field], 32)) return `has a ${field} that is no hash`;
  }
  if ((SEALED_STATES as readonly string[]).includes(batch.state) && batch.entries === 0) {
    return `is ${batch.state} without entries`;
  }
  if (batch.removed_at_us !== null && batch.state !== 'forged') {
    return `is ${batch.state}, and yet its files were removed`;
  }
  if (batch.sealed_at_us !== null && batch.sealed_at_us < batch.last_received_at_us) {
    return `was sealed at ${batch.sealed_at_us} µs, before its last entry came`;
  }
  return null;
}
