import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { decodeEntry, ENTRY_BYTES, readStatement, toHex } from '@waystone/proto';
import { BATCH_FILE_HEADER, BATCH_RECORD_HEAD_BYTES } from '../core/batch-file.js';
import { syncFolder } from '../core/durable.js';
import type { RestOfBatch } from '../core/ports.js';
import { DatasetReader } from '../dataset/folder-reader.js';

/** Records are written in runs of about so many bytes. */
const WRITE_BYTES = 1024 * 1024;

/** Files of this name in the datasets' folder are batch files that no batch has yet. */
export const REST_PREFIX = '.tmp-rest-';

/**
 * Writes the entries and frames of a dataset, but those at `without`, as a batch file under a temporary name, durably.
 * Doing it again is harmless. @returns what the file holds; null when nothing is left.
 */
export async function writeRest(
  datasetsFolder: string,
  root: string,
  batch: number,
  without: readonly number[],
): Promise<RestOfBatch | null> {
  const out = new Set(without);
  const dataset = await DatasetReader.open(join(datasetsFolder, root));
  try {
    if (out.size >= dataset.count) return null;
    const file = join(datasetsFolder, `${REST_PREFIX}${batch}`);
    const devices = new Set<string>();
    const totals = { entries: 0, frames: 0, bytes: 0, lastReceivedAtUs: 0 };
    const handle = await open(file, 'w', 0o600);
    try {
      let parts: Uint8Array[] = [BATCH_FILE_HEADER];
      let waiting = BATCH_FILE_HEADER.length;
      const flush = async (): Promise<void> => {
        await handle.writeFile(Buffer.concat(parts));
        parts = [];
        waiting = 0;
      };
      for await (const [index, entry] of dataset.entries()) {
        if (out.has(index)) continue;
        const frames = await dataset.frameBytes(index);
        const head = Buffer.alloc(BATCH_RECORD_HEAD_BYTES);
        head.set(entry);
        head.writeUInt32BE(frames.length, ENTRY_BYTES);
        parts.push(head, frames);
        waiting += head.length + frames.length;
        const { statement, receivedAtUs } = decodeEntry(entry);
        const { statement: read } = readStatement(statement);
        if (read !== undefined) devices.add(toHex(read.device));
        totals.entries += 1;
        totals.frames += read?.count ?? 0;
        totals.bytes += frames.length;
        totals.lastReceivedAtUs = receivedAtUs;
        if (waiting >= WRITE_BYTES) await flush();
      }
      await flush();
      await handle.sync();
    } finally {
      await handle.close();
    }
    await syncFolder(datasetsFolder);
    return { ...totals, file, devices: [...devices] };
  } finally {
    await dataset.close();
  }
}
