import { fromHex, type MerkleTree, type Outcome, statementHash } from '@waystone/proto';
import { Answers, type EntryPlace, type ReceiptMaker } from '../core/receipt-maker.js';
import type { Offender } from '../core/withdrawal.js';
import { DatasetReader } from '../dataset/folder-reader.js';

/** Receipts under one signature; also how many go from thread to thread, and out, at a time: PUBACKs wait behind them. */
const RECEIPTS_EACH = 64;

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
  const wanted = indexes === null ? null : new Set(indexes);
  const dataset = await DatasetReader.open(folder);
  try {
    const tree = known ?? (await dataset.tree());
    const { root, size: count } = tree;
    yield* receiptsOf(dataset, receiptMaker, devices, (index) =>
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

/** Walks a withdrawn dataset and makes the receipts that say why devices' entries get no DAT. */
export async function* withdrawnReceipts(
  folder: string,
  receiptMaker: ReceiptMaker,
  devices: readonly string[],
  { offenders, chainId }: { readonly offenders: readonly Offender[]; readonly chainId: number },
): AsyncGenerator<IncludedChunk> {
  const codes = new Map(offenders.map(({ index, code }) => [index, code]));
  const dataset = await DatasetReader.open(folder);
  try {
    const root = fromHex(dataset.manifest.root);
    yield* receiptsOf(dataset, receiptMaker, devices, (index) => {
      const code = codes.get(index);
      if (code === undefined) return null;
      return { outcome: { kind: 'final', root, tokenId: 0n, chainId, code }, place: null };
    });
  } finally {
    await dataset.close();
  }
}

/**
 * Receipts for the entries of devices that `answer` has one for. What a device has in a run of entries comes together, and
 * so leaves in one write: devices that send in turn would get one for each receipt.
 */
async function* receiptsOf(
  dataset: DatasetReader,
  receiptMaker: ReceiptMaker,
  devices: readonly string[],
  answer: (index: number) => { outcome: Outcome; place: EntryPlace | null } | null,
): AsyncGenerator<IncludedChunk> {
  const placeOf = new Map(devices.map((device, place) => [device, place]));
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
  for await (const run of dataset.runs()) {
    const wanted: { place: number; index: number; entry: Buffer }[] = [];
    for (const [k, entry] of run.entries.entries()) {
      const place = placeOf.get(entry.toString('hex', DEVICE_AT, DEVICE_END));
      if (place !== undefined) wanted.push({ place, index: run.first + k, entry });
    }
    for (const { place, index, entry } of wanted.sort((a, b) => a.place - b.place)) {
      const made = answer(index);
      if (made === null) continue;
      places.push(place);
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
