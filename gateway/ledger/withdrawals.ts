import { renameSync } from 'node:fs';
import { join } from 'node:path';
import { CODES, codeFromNumber, fromHex, toHex } from '@waystone/proto';
import type Database from 'better-sqlite3';
import { BATCH_FILES_FOLDER, batchFile } from '../core/batch-file.js';
import { crashPoint } from '../core/crash-point.js';
import { syncFolderNow } from '../core/durable.js';
import { WaystoneError } from '../core/errors.js';
import type { ForgeDatasetId } from '../core/forge-ports.js';
import type { DatasetToInspect, RestOfBatch, WithdrawRequest } from '../core/ports.js';
import type { OffenceCode, Offender } from '../core/withdrawal.js';

/** Part of a schema version: sealed datasets that are not committed, and which ones were looked into. */
export const WITHDRAWALS_DDL = `
-- When the entries were judged, before the dataset was committed.
ALTER TABLE batches ADD COLUMN inspected_at_us INTEGER;

-- Sealed datasets that are never committed. Of each offender: index u32, code u16, big-endian, indexes rising. The
-- other entries are in the successor, in the same order; their statements keep the place that they had.
CREATE TABLE withdrawals (
  batch INTEGER PRIMARY KEY REFERENCES batches,
  at_us INTEGER NOT NULL,
  offenders BLOB NOT NULL,
  successor INTEGER UNIQUE REFERENCES batches
);
`;

const OFFENDER_BYTES = 6;

/** Row before the newest 256 transactions. */
const NEWEST = '(SELECT MAX(rowid) - 256 FROM chain_tx)';

export function packOffenders(offenders: readonly Offender[]): Buffer {
  const bytes = Buffer.alloc(offenders.length * OFFENDER_BYTES);
  for (const [k, { index, code }] of offenders.entries()) {
    bytes.writeUInt32BE(index, k * OFFENDER_BYTES);
    bytes.writeUInt16BE(CODES[code], k * OFFENDER_BYTES + 4);
  }
  return bytes;
}

/** @throws RangeError when the bytes are none that {@link packOffenders} made. */
export function unpackOffenders(bytes: Uint8Array): Offender[] {
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  if (view.length === 0 || view.length % OFFENDER_BYTES !== 0) {
    throw new RangeError(`${view.length} bytes are no list of offenders`);
  }
  let before = -1;
  return Array.from({ length: view.length / OFFENDER_BYTES }, (_, k) => {
    const index = view.readUInt32BE(k * OFFENDER_BYTES);
    const code = codeFromNumber(view.readUInt16BE(k * OFFENDER_BYTES + 4));
    if (code === null || index <= before) throw new RangeError(`offender ${k} is none`);
    before = index;
    return { index, code: code as OffenceCode };
  });
}

/** Where an entry is now. */
export interface EntryPlaceNow {
  readonly batch: number;
  readonly batchIndex: number;
  /** Why it gets no DAT; it stays in the withdrawn dataset. */
  readonly offence: OffenceCode | null;
}

/** Follows an entry from the batch that its statement names through datasets that were withdrawn. */
export function entryPlaces(
  db: Database.Database,
): (batch: number, batchIndex: number) => EntryPlaceNow {
  const find = db.prepare('SELECT offenders, successor FROM withdrawals WHERE batch = ?');
  return (batch, batchIndex) => {
    for (;;) {
      const row = find.get(batch) as { offenders: Buffer; successor: number | null } | undefined;
      if (row === undefined) return { batch, batchIndex, offence: null };
      const { before, code } = lookUp(row.offenders, batchIndex);
      if (code !== null || row.successor === null) return { batch, batchIndex, offence: code };
      batch = row.successor;
      batchIndex -= before;
    }
  };
}

/** How many offenders come before an entry, and the entry's own code if it is one. */
function lookUp(offenders: Buffer, index: number): { before: number; code: OffenceCode | null } {
  let [low, high] = [0, offenders.length / OFFENDER_BYTES];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (offenders.readUInt32BE(middle * OFFENDER_BYTES) < index) low = middle + 1;
    else high = middle;
  }
  const at = low * OFFENDER_BYTES;
  const isOne = at < offenders.length && offenders.readUInt32BE(at) === index;
  const code = isOne ? codeFromNumber(offenders.readUInt16BE(at + 4)) : null;
  return { before: low, code: code as OffenceCode | null };
}

/** What becomes of sealed datasets before they are committed. */
export function withdrawalOperations(db: Database.Database, dataFolder: string) {
  const findToInspect = db.prepare(
    `SELECT id, state, root, manifest_hash, entries, min_time_us, max_time_us, last_received_at_us, inspected_at_us
     FROM batches WHERE log_id = ? AND log_index = ?`,
  );
  const setInspected = db.prepare('UPDATE batches SET inspected_at_us = ? WHERE id = ?');
  const findWithdrawal = db.prepare('SELECT successor FROM withdrawals WHERE batch = ?');
  const findBatch = db.prepare('SELECT state, log_id, log_index FROM batches WHERE id = ?');
  const findIntents = db.prepare(
    `SELECT key, state FROM chain_intent
     WHERE chain_id = ? AND kind = 'dataset' AND log_id = ? AND log_index = ? AND state <> 'confirmed'`,
  );
  // In a bundle that names it, among the newest transactions. One that can never come has a settled one with its nonce.
  const findBegun = db.prepare(
    `SELECT 1 FROM chain_tx AS one CROSS JOIN chain_intent ON chain_intent.key = one.intent_key
     WHERE one.rowid > ${NEWEST} AND one.purpose = 'commit' AND one.state <> 'failed'
       AND chain_intent.kind = 'setup' AND instr(payload, @key) > 0 AND NOT EXISTS (
         SELECT 1 FROM chain_tx AS other WHERE other.rowid > ${NEWEST} AND other.chain_id = one.chain_id
           AND other.account = one.account AND other.nonce = one.nonce AND other.hash <> one.hash
           AND other.state IN ('mined', 'confirmed', 'failed'))
     LIMIT 1`,
  );
  const hasTransactions = db.prepare('SELECT 1 FROM chain_tx WHERE intent_key = ? LIMIT 1');
  const deleteIntent = db.prepare('DELETE FROM chain_intent WHERE key = ?');
  // Open first: the sums over batches count one when it is no longer.
  const insertSuccessor = db.prepare(
    `INSERT INTO batches (stream, challengeable, clock_trusted, state, due_why, opened_at_us, last_received_at_us,
       entries, frames, bytes)
     SELECT stream, challengeable, clock_trusted, 'open', @why, opened_at_us, @lastReceivedAtUs,
       @entries, @frames, @bytes FROM batches WHERE id = @batch`,
  );
  const setState = db.prepare('UPDATE batches SET state = ? WHERE id = ?');
  const insertDevice = db.prepare(
    'INSERT INTO batch_devices (batch, device) SELECT ?, id FROM devices WHERE key_id = ?',
  );
  const insertWithdrawal = db.prepare(
    'INSERT INTO withdrawals (batch, at_us, offenders, successor) VALUES (?, ?, ?, ?)',
  );

  /** @throws WaystoneError FORGE_INTENT_BEGUN when it may be on chain. */
  const closeIntents = (chainId: number, logId: Buffer, logIndex: number): void => {
    const found = findIntents.all(chainId, toHex(logId), logIndex);
    for (const { key, state } of found as { key: string; state: string }[]) {
      const isBegun =
        state !== 'intent' ||
        hasTransactions.get(key) !== undefined ||
        findBegun.get({ key }) !== undefined;
      if (isBegun) throw begun(logId, logIndex);
      deleteIntent.run(key);
    }
  };

  const addSuccessor = (batch: number, rest: RestOfBatch): number => {
    const { lastReceivedAtUs, entries, frames, bytes } = rest;
    const why = `it is what was left of batch ${batch}, which was withdrawn`;
    const row = { why, lastReceivedAtUs, entries, frames, bytes, batch };
    const id = Number(insertSuccessor.run(row).lastInsertRowid);
    for (const device of rest.devices) insertDevice.run(id, fromHex(device));
    setState.run('due', id);
    // Before the commit: of a file without a batch the next start makes nothing, a batch without its file stops it.
    renameSync(rest.file, batchFile(dataFolder, id));
    syncFolderNow(join(dataFolder, BATCH_FILES_FOLDER));
    crashPoint('withdraw:rest-named');
    return id;
  };

  return {
    toInspect: (id: ForgeDatasetId): DatasetToInspect => {
      const row = findToInspect.get(fromHex(id.logId), id.index) as {
        id: number;
        state: string;
        root: Buffer;
        manifest_hash: Buffer;
        entries: number;
        min_time_us: number;
        max_time_us: number;
        last_received_at_us: number;
        inspected_at_us: number | null;
      };
      return {
        batch: row.id,
        root: toHex(row.root),
        manifestHash: toHex(row.manifest_hash),
        count: row.entries,
        minTimeUs: row.min_time_us,
        maxTimeUs: row.max_time_us,
        lastReceivedAtUs: row.last_received_at_us,
        inspectedAtUs: row.inspected_at_us,
        isWithdrawn: row.state === 'withdrawn',
        wasOnChain: row.state === 'committed' || row.state === 'forged',
      };
    },
    markInspected: (batch: number, nowUs: number): void => void setInspected.run(nowUs, batch),

    /**
     * Withdraws a sealed dataset; what is left of it becomes a batch that is due. Done again, it changes nothing.
     *
     * @returns the batch that holds the rest, or null when there is none.
     * @throws WaystoneError FORGE_INTENT_BEGUN when it may be on chain.
     */
    withdraw: ({ batch, chainId, offenders, rest, atUs }: WithdrawRequest): number | null => {
      const done = findWithdrawal.get(batch) as { successor: number | null } | undefined;
      if (done !== undefined) return done.successor;
      const row = findBatch.get(batch) as
        | { state: string; log_id: Buffer; log_index: number }
        | undefined;
      if (row?.state === 'committed' || row?.state === 'forged') {
        throw begun(row.log_id, row.log_index);
      }
      if (row?.state !== 'sealed') {
        throw new WaystoneError(
          'LEDGER_BROKEN',
          `batch ${batch} is ${row?.state ?? 'absent'}, expected sealed`,
        );
      }
      closeIntents(chainId, row.log_id, row.log_index);
      const successor = rest === null ? null : addSuccessor(batch, rest);
      insertWithdrawal.run(batch, atUs, packOffenders(offenders), successor);
      setState.run('withdrawn', batch);
      return successor;
    },
  };
}

function begun(logId: Buffer, logIndex: number): WaystoneError {
  return new WaystoneError(
    'FORGE_INTENT_BEGUN',
    `dataset ${logIndex} of log ${toHex(logId)} holds entries that may not be committed, but a transaction that commits it was signed before; it is held back until the chain shows what became of that`,
  );
}
