import { statSync, truncateSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { toHex } from '@waystone/proto';
import { EntryAudit } from '../audit/entry-audit.js';
import { type CheckName as AuditCheck, Report } from '../audit/report.js';
import { batchFile, batchFileBytes, type FilePatch, readBatchFile } from '../core/batch-file.js';
import { messageOf } from '../core/errors.js';
import { verifyNative } from '../core/native-signature.js';
import type { BatchRecord, FsckContext } from './context.js';
import type { EntryRows, EntryTotals } from './entry-rows.js';
import type { LedgerDevices } from './ledger-devices.js';

const CHECK = 'batch files';

/** What the audit of a dataset's entries says of entries that are not in a dataset yet. */
const AUDITED: readonly AuditCheck[] = [
  'entries',
  'statements',
  'device keys',
  'signatures',
  'signature kind',
  'stream and realm',
  'receive times',
  'frames',
  'frames roots',
  'statements against frames',
];

/**
 * Reads the file of an unsealed batch from front to back: every entry, its signature, its frames, its statement row.
 *
 * @returns what the entries add up to, or null when they cannot all be read.
 */
export function checkBatchFile(
  context: FsckContext,
  batch: BatchRecord,
  rows: EntryRows,
  devices: LedgerDevices,
): EntryTotals | null {
  const { report, dataFolder, progress } = context;
  const totals = rows.begin(batch);
  if (batch.entries === 0) {
    rows.end(batch, true);
    return totals;
  }
  const file = batchFile(dataFolder, batch.id);
  const facts = { batch: batch.id, file };
  const written = statSync(file, { throwIfNoEntry: false })?.size ?? null;
  if (written === null) {
    report.find(
      CHECK,
      'BATCH_FILE_MISSING',
      `${file} is missing, batch ${batch.id} has ${batch.entries} entries in it`,
      facts,
    );
    rows.end(batch, false);
    return null;
  }
  const committed = batchFileBytes(batch);
  // The next start writes these again.
  const unsynced = context.db
    .prepare('SELECT at, bytes FROM unsynced WHERE batch = ? ORDER BY at')
    .all(batch.id) as FilePatch[];
  const size = unsynced.reduce(
    (end, { at, bytes }) => (at <= end ? Math.max(end, at + bytes.length) : end),
    written,
  );
  if (size < committed) {
    report.find(
      CHECK,
      'BATCH_FILE_SHORT',
      `${file} has ${size} bytes, the ledger says ${committed}`,
      { ...facts, bytes: size, committed },
    );
  }
  if (size > committed) {
    report.find(
      CHECK,
      'BATCH_FILE_TAIL',
      `${file} has ${size - committed} bytes behind the ${committed} that are committed`,
      { ...facts, bytes: size, committed },
      {
        needs: ['ledger file', 'identity', 'batches', 'statements', 'batch files'],
        run: () => cut(file, committed),
      },
    );
  }
  report.count(CHECK, 'files');
  const audit = new Report(AUDITED);
  let entries: EntryAudit | null = null;
  let offset = 0;
  let isRead = true;
  try {
    for (const { entry, frames } of readBatchFile(file, batch, unsynced)) {
      // The ledger does not say which realm a batch is for: that of its first entry, and no other.
      entries ??= new EntryAudit(
        audit,
        {
          stream: batch.stream,
          realm: toHex(entry.subarray(16, 48)),
          signatures:
            batch.challengeable === 1 ? 'challengeable on chain' : 'not challengeable on chain',
        },
        devices,
        verifyNative,
      );
      entries.add(entry, { bytes: frames, offset });
      rows.add(batch, totals, entry);
      offset += frames.length;
      report.count(CHECK, 'entries');
      progress(CHECK, offset, batch.bytes);
    }
  } catch (error) {
    isRead = false;
    if (size >= committed) {
      report.find(
        CHECK,
        'BATCH_FILE_DAMAGED',
        `batch ${batch.id} cannot be read: ${messageOf(error)}`,
        facts,
      );
    }
  }
  rows.end(batch, isRead);
  for (const name of AUDITED) {
    const { status, detail, where } = audit.check(name).result();
    if (status !== 'failed') continue;
    report.find(
      CHECK,
      'BATCH_ENTRY_WRONG',
      `entry ${where?.entry ?? '?'} in ${file}: ${name}: ${detail}`,
      {
        ...facts,
        check: name,
        entry: where?.entry ?? -1,
      },
    );
  }
  return isRead ? totals : null;
}

async function cut(file: string, bytes: number): Promise<string> {
  truncateSync(file, bytes);
  const handle = await open(file, 'r+');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
  return `cut ${file} to the ${bytes} bytes that are committed`;
}
