import { closeSync, openSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { ENTRY_BYTES } from '@waystone/proto';
import { WaystoneError } from './errors.js';
import type { BatchRow } from './ports.js';

/**
 * A batch file holds the entries and frames of one batch until its dataset folder does:
 *
 *     "WSBF" ‖ version u16 ‖ 0 u16, then for each entry: entry (280) ‖ length of its frames u32 ‖ frames
 *
 * with integers in big-endian order. The ledger's row of the batch says how much of the file counts: whatever lies
 * behind {@link batchFileBytes} belongs to a commit that never came to be.
 */
export const BATCH_FILES_FOLDER = 'batches';

/** Bytes before the first record. */
export const BATCH_FILE_HEADER = Uint8Array.of(0x57, 0x53, 0x42, 0x46, 0, 1, 0, 0);

/** Bytes of a record before its frames. */
export const BATCH_RECORD_HEAD_BYTES = ENTRY_BYTES + 4;

/** Records are read in runs of about so many bytes. */
const READ_BYTES = 4 * 1024 * 1024;

/** How much of a batch's file counts: its entries, and all their frames' bytes. */
export interface BatchFileExtent {
  readonly entries: number;
  /** Bytes of frames, as in the ledger's row of the batch. */
  readonly bytes: number;
}

/** @param dataFolder the gateway's data folder. */
export function batchFile(dataFolder: string, batch: number): string {
  return join(dataFolder, BATCH_FILES_FOLDER, `${batch}`);
}

/** Size in bytes of the part of a batch's file that counts. */
export function batchFileBytes({ entries, bytes }: BatchFileExtent): number {
  return BATCH_FILE_HEADER.length + entries * BATCH_RECORD_HEAD_BYTES + bytes;
}

/** Bytes that stand in a file at a place, whatever the file says. */
export interface FilePatch {
  readonly at: number;
  readonly bytes: Uint8Array;
}

/**
 * The rows of a batch in order. Memory: one run of 4 MiB; a row stays valid while it is held.
 *
 * @param patches what the ledger holds of the file because it was not synced yet, in order.
 * @throws WaystoneError LEDGER_BROKEN when the file does not hold what `extent` says.
 */
export function* readBatchFile(
  file: string,
  extent: BatchFileExtent,
  patches: readonly FilePatch[] = [],
): Generator<BatchRow> {
  if (extent.entries === 0) return;
  const broken = (what: string): WaystoneError =>
    new WaystoneError(
      'LEDGER_BROKEN',
      `${file} ${what}; the disk lost what it had confirmed. Restore a backup`,
    );
  const end = batchFileBytes(extent);
  const fd = openSync(file, 'r');
  try {
    let chunk: Buffer = Buffer.alloc(0);
    let chunkAt = 0;
    /** `length` bytes at `at`, from a run that begins there when the present one does not hold them. */
    const take = (at: number, length: number): Buffer => {
      if (at + length > end) throw broken(`has a record beyond its ${end} bytes at ${at}`);
      if (at + length > chunkAt + chunk.length) {
        chunk = readFully(fd, at, Math.min(Math.max(READ_BYTES, length), end - at), patches);
        chunkAt = at;
        if (chunk.length < length) {
          throw broken(`ends at byte ${at + chunk.length} and should have ${end}`);
        }
      }
      return chunk.subarray(at - chunkAt, at - chunkAt + length);
    };
    let at = BATCH_FILE_HEADER.length;
    if (!take(0, at).equals(BATCH_FILE_HEADER)) throw broken('does not begin as a batch file');
    for (let k = 0; k < extent.entries; k++) {
      const head = take(at, BATCH_RECORD_HEAD_BYTES);
      const length = head.readUInt32BE(ENTRY_BYTES);
      at += BATCH_RECORD_HEAD_BYTES;
      yield { entry: head.subarray(0, ENTRY_BYTES), frames: take(at, length) };
      at += length;
    }
    if (at !== end) {
      throw broken(`holds ${extent.entries} entries in ${at} bytes and should have ${end}`);
    }
  } finally {
    closeSync(fd);
  }
}

/** Fewer bytes than `length` only at the end of the file. */
function readFully(fd: number, at: number, length: number, patches: readonly FilePatch[]): Buffer {
  const bytes = Buffer.allocUnsafeSlow(length);
  let got = 0;
  while (got < length) {
    const read = readSync(fd, bytes, got, length - got, at + got);
    if (read === 0) break;
    got += read;
  }
  for (const patch of patches) {
    const from = Math.max(patch.at, at);
    const until = Math.min(patch.at + patch.bytes.length, at + length);
    // One that begins behind a hole in the file would not make it whole.
    if (from >= until || from > at + got) continue;
    bytes.set(patch.bytes.subarray(from - patch.at, until - patch.at), from - at);
    got = Math.max(got, until - at);
  }
  return bytes.subarray(0, got);
}
