import { type ReceiptBody, statementHash, toHex } from '@waystone/proto';
import type { ReceiptMaker } from '../core/receipt-maker.js';
import { DatasetReader } from '../dataset/folder-reader.js';

/** Receipts under one signature; also how many go from thread to thread, and out, at a time. */
const RECEIPTS_EACH = 256;

/** Some `included` receipts of a dataset, in its order. */
export interface IncludedChunk {
  /** For each receipt its device's place in the list that was asked for, and its length in bytes. */
  readonly places: readonly number[];
  readonly lengths: readonly number[];
  /** The receipts, one after the other. */
  readonly receipts: Uint8Array;
}

/** Where device and statement lie in an entry (statement v1). */
const DEVICE_AT = 48;
const STATEMENT_BYTES = 200;

/**
 * Walks a sealed dataset once and makes the receipts that say where devices' entries are.
 *
 * @param devices key ids in hex.
 * @param indexes only the entries at these places, or null for all.
 */
export async function* includedReceipts(
  folder: string,
  receiptMaker: ReceiptMaker,
  devices: readonly string[],
  indexes: readonly number[] | null,
): AsyncGenerator<IncludedChunk> {
  const places = new Map(devices.map((device, place) => [device, place]));
  const wanted = indexes === null ? null : new Set(indexes);
  const dataset = await DatasetReader.open(folder);
  try {
    const tree = await dataset.tree();
    let found: { place: number; body: ReceiptBody; path: Uint8Array[] }[] = [];
    for await (const [index, entry] of dataset.entries()) {
      if (wanted !== null && !wanted.has(index)) continue;
      const device = entry.slice(DEVICE_AT, DEVICE_AT + 32);
      const place = places.get(toHex(device));
      if (place === undefined) continue;
      const body: ReceiptBody = {
        device,
        statement: statementHash(entry.subarray(0, STATEMENT_BYTES)),
        outcome: {
          kind: 'included',
          entryLeaf: tree.leaf(index),
          root: tree.root,
          index,
          count: tree.size,
        },
      };
      found.push({ place, body, path: tree.inclusionProof(index) });
      if (found.length < RECEIPTS_EACH) continue;
      yield chunkOf(receiptMaker, found);
      found = [];
    }
    if (found.length > 0) yield chunkOf(receiptMaker, found);
  } finally {
    await dataset.close();
  }
}

function chunkOf(
  receiptMaker: ReceiptMaker,
  found: readonly { place: number; body: ReceiptBody; path: Uint8Array[] }[],
): IncludedChunk {
  const receipts = receiptMaker.forBodies(
    found.map(({ body }) => body),
    found.map(({ path }) => path),
  );
  return {
    places: found.map(({ place }) => place),
    lengths: receipts.map(({ length }) => length),
    receipts: Buffer.concat(receipts),
  };
}
