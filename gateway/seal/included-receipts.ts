import { fromHex, HASH_BYTES, type Outcome, statementHash } from '@waystone/proto';
import { Answers, type EntryPlace, type ReceiptMaker } from '../core/receipt-maker.js';
import type { Offender } from '../core/withdrawal.js';
import { DatasetReader } from '../dataset/folder-reader.js';
import type { WrittenDataset } from '../dataset/folder-writer.js';

/** Receipts under one signature; also how many go from thread to thread, and out, at a time: PUBACKs wait behind them. */
const RECEIPTS_EACH = 64;

/** Entries that are sorted by device at a time, 4.6 MB of them: a dataset, unless the settings let it be larger. */
const SORTED_MAX = 16_384;

/** Some `included` receipts of a dataset, those of each device in its order. */
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
 * @param known the dataset as it was written, or null to read it from its folder.
 * @param devices key ids, one after the other.
 * @param indexes only the entries at these places, or null for all.
 * @param sortedMax entries whose receipts are in order of device, and of the dataset within each.
 */
export async function* includedReceipts(
  folder: string,
  receiptMaker: ReceiptMaker,
  known: Pick<WrittenDataset, 'tree' | 'manifest' | 'manifestBytes'> | null,
  devices: Uint8Array,
  indexes: readonly number[] | null,
  sortedMax = SORTED_MAX,
): AsyncGenerator<IncludedChunk> {
  const wanted = indexes === null ? null : new Set(indexes);
  const dataset = await DatasetReader.open(folder, known);
  try {
    const tree = known?.tree ?? (await dataset.tree());
    const { root, size: count } = tree;
    yield* receiptsOf(dataset, receiptMaker, { devices, sortedMax }, (index) =>
      wanted !== null && !wanted.has(index)
        ? null
        : {
            outcome: { kind: 'included', entryLeaf: tree.leaf(index), root, index, count },
            place: { tree, index },
          },
    );
  } finally {
    await dataset.close();
  }
}

/**
 * Walks a withdrawn dataset and makes the receipts that say why entries get no DAT.
 *
 * @param devices key ids, one after the other.
 */
export async function* withdrawnReceipts(
  folder: string,
  receiptMaker: ReceiptMaker,
  devices: Uint8Array,
  { offenders, chainId }: { readonly offenders: readonly Offender[]; readonly chainId: number },
): AsyncGenerator<IncludedChunk> {
  const codes = new Map(offenders.map(({ index, code }) => [index, code]));
  const dataset = await DatasetReader.open(folder);
  try {
    const root = fromHex(dataset.manifest.root);
    yield* receiptsOf(dataset, receiptMaker, { devices, sortedMax: SORTED_MAX }, (index) => {
      const code = codes.get(index);
      if (code === undefined) return null;
      return { outcome: { kind: 'final', root, tokenId: 0n, chainId, code }, place: null };
    });
  } finally {
    await dataset.close();
  }
}

/**
 * Receipts for the entries of devices that `answer` has one for. What a device has among the entries that are sorted
 * together comes together, and so leaves in one write: devices that send in turn would get one for each receipt.
 */
async function* receiptsOf(
  dataset: DatasetReader,
  receiptMaker: ReceiptMaker,
  { devices, sortedMax }: { readonly devices: Uint8Array; readonly sortedMax: number },
  answer: (index: number) => { outcome: Outcome; place: EntryPlace | null } | null,
): AsyncGenerator<IncludedChunk> {
  const ids = Buffer.from(devices.buffer, devices.byteOffset, devices.length);
  const placeOf = new Map<string, number>();
  for (let at = 0; at < ids.length; at += HASH_BYTES) placeOf.set(nameOf(ids, at), at / HASH_BYTES);
  let places: number[] = [];
  let entries: (EntryPlace | null)[] = [];
  let answers = new Answers(RECEIPTS_EACH);
  const chunk = (): IncludedChunk => {
    const { bytes: receipts, lengths } = receiptMaker.receipts(answers, entries);
    const made = { places, lengths, receipts };
    places = [];
    entries = [];
    answers = new Answers(RECEIPTS_EACH);
    return made;
  };
  for await (const { first, entries: run } of dataset.runs(sortedMax)) {
    const sorted = Float64Array.from(
      run.flatMap((entry, k) => {
        const place = placeOf.get(nameOf(entry, DEVICE_AT));
        return place === undefined ? [] : [place * run.length + k];
      }),
    ).sort();
    for (const one of sorted) {
      const k = one % run.length;
      const entry = run[k] as Buffer;
      const made = answer(first + k);
      if (made === null) continue;
      places.push((one - k) / run.length);
      entries.push(made.place);
      answers.add({
        device: entry.subarray(DEVICE_AT, DEVICE_END),
        statement: statementHash(entry.subarray(0, STATEMENT_BYTES)),
        outcome: made.outcome,
      });
      if (answers.size === RECEIPTS_EACH) yield chunk();
    }
  }
  if (answers.size > 0) yield chunk();
}

/** The key id that begins at `at`, as a key of a Map. */
function nameOf(bytes: Buffer, at: number): string {
  return bytes.toString('latin1', at, at + HASH_BYTES);
}
