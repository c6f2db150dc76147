import { type MerkleTree, statementHash } from '@waystone/proto';
import { Answers, type EntryPlace, type ReceiptMaker } from '../core/receipt-maker.js';
import { DatasetReader } from '../dataset/folder-reader.js';

/** Receipts under one signature; also how many go from thread to thread, and out, at a time. */
const RECEIPTS_EACH = 256;

/** Some `included` receipts of a dataset, in its order. */
export interface IncludedChunk {
  /** For each receipt its device's place in the list that was asked for, and its length in bytes. */
  readonly places: readonly number[];
  readonly lengths: readonly number[];
  /** The receipts, one after the other. */
  readonly receipts: Uint8Array<ArrayBuffer>;
}

/** Where device and statement lie in an entry (statement v1). */
const DEVICE_AT = 48;
const DEVICE_END = 80;
const STATEMENT_BYTES = 200;

/**
 * Walks a sealed dataset once and makes the receipts that say where devices' entries are.
 *
 * @param known the tree over the dataset's entries, or null to make it from them.
 * @param devices key ids in hex.
 * @param indexes only the entries at these places, or null for all.
 */
export async function* includedReceipts(
  folder: string,
  receiptMaker: ReceiptMaker,
  known: MerkleTree | null,
  devices: readonly string[],
  indexes: readonly number[] | null,
): AsyncGenerator<IncludedChunk> {
  const placeOf = new Map(devices.map((device, place) => [device, place]));
  const wanted = indexes === null ? null : new Set(indexes);
  const dataset = await DatasetReader.open(folder);
  try {
    const tree = known ?? (await dataset.tree());
    const { root, size: count } = tree;
    let places: number[] = [];
    let entries: EntryPlace[] = [];
    let answers = new Answers(RECEIPTS_EACH);
    const chunk = (): IncludedChunk => {
      const { bytes: receipts, lengths } = receiptMaker.receipts(answers, entries);
      const made = { places, lengths, receipts };
      places = [];
      entries = [];
      answers = new Answers(RECEIPTS_EACH);
      return made;
    };
    for await (const run of dataset.runs()) {
      for (const [k, entry] of run.entries.entries()) {
        const index = run.first + k;
        if (wanted !== null && !wanted.has(index)) continue;
        const place = placeOf.get(entry.toString('hex', DEVICE_AT, DEVICE_END));
        if (place === undefined) continue;
        places.push(place);
        entries.push({ tree, index });
        answers.add({
          device: entry.subarray(DEVICE_AT, DEVICE_END),
          statement: statementHash(entry.subarray(0, STATEMENT_BYTES)),
          outcome: { kind: 'included', entryLeaf: tree.leaf(index), root, index, count },
        });
        if (answers.size === RECEIPTS_EACH) yield chunk();
      }
    }
    if (answers.size > 0) yield chunk();
  } finally {
    await dataset.close();
  }
}
