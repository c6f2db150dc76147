import { LOG_ID_BYTES } from '@waystone/proto';
import { messageOf } from '../core/errors.js';
import { unpackOffenders } from '../ledger/withdrawals.js';
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
  checkWithdrawals(context);
  report.done(CHECK);
}

/** Each withdrawn dataset says why, and what holds the rest of it; that these are its entries is found by reading them. */
function checkWithdrawals(context: FsckContext): void {
  const { db, report } = context;
  const wrong = (batch: number, what: string): void =>
    report.find(CHECK, 'WITHDRAWAL_WRONG', `batch ${batch} ${what}`, { batch });
  const without = db
    .prepare(
      `SELECT id FROM batches WHERE state = 'withdrawn'
       AND NOT EXISTS (SELECT 1 FROM withdrawals WHERE batch = batches.id)`,
    )
    .pluck()
    .all() as number[];
  for (const id of without) wrong(id, 'is withdrawn, and nothing says why');
  const rows = db
    .prepare(
      `SELECT withdrawals.*, one.state, one.entries, rest.entries AS rest, rest.stream <> one.stream AS isOther
       FROM withdrawals LEFT JOIN batches AS one ON one.id = batch
       LEFT JOIN batches AS rest ON rest.id = successor ORDER BY batch`,
    )
    .all() as {
    batch: number;
    offenders: Buffer;
    successor: number | null;
    state: string | null;
    entries: number | null;
    rest: number | null;
    isOther: number | null;
  }[];
  for (const row of rows) {
    report.count(CHECK, 'withdrawals');
    if (row.state !== 'withdrawn') wrong(row.batch, `was withdrawn, and yet is ${row.state}`);
    let offenders = 0;
    try {
      offenders = unpackOffenders(row.offenders).length;
    } catch (error) {
      wrong(row.batch, `was withdrawn for entries that cannot be read: ${messageOf(error)}`);
      continue;
    }
    const left = (row.entries ?? 0) - offenders;
    if ((row.rest ?? 0) !== left || row.isOther === 1 || (row.successor !== null && left === 0)) {
      wrong(
        row.batch,
        `has ${left} entries left without its offenders, batch ${row.successor ?? 'none'} holds ${row.rest ?? 0}`,
      );
    }
  }
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
