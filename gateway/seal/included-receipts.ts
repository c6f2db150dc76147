import { fromHex, HASH_BYTES, type Outcome, statementHash } from '@waystone/proto';
import { Answers, type EntryPlace, type ReceiptMaker } from '../core/receipt-maker.js';
import type { Offender } from '../core/withdrawal.js';
import { EntriesReader } from '../dataset/entries-reader.js';
import type { DatasetTrees } from './dataset-trees.js';

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

/** A dataset by its folder and its root in hex. */
export interface DatasetPlace {
  readonly folder: string;
  readonly root: string;
}

/** Entries and where they are in their dataset, in its order. */
interface EntryRun {
  readonly indexes: readonly number[];
  readonly entries: readonly Buffer[];
}

/** Where device and statement lie in an entry (statement v1). */
const DEVICE_AT = 48;
const DEVICE_END = 80;
const STATEMENT_BYTES = 200;

/**
 * Makes the receipts that say where devices' entries are in a sealed dataset.
 *
 * @param asked.devices key ids, one after the other.
 * @param asked.indexes only the entries at these places, or null for all.
 * @param sortedMax entries whose receipts are in order of device, and of the dataset within each.
 * @throws WaystoneError DATASET_NOT_FOUND or DATASET_DAMAGED.
 */
export async function* includedReceipts(
  { folder, root }: DatasetPlace,
  { receiptMaker, trees }: { readonly receiptMaker: ReceiptMaker; readonly trees: DatasetTrees },
  asked: { readonly devices: Uint8Array; readonly indexes: readonly number[] | null },
  sortedMax = SORTED_MAX,
): AsyncGenerator<IncludedChunk> {
  const entries = await EntriesReader.open(folder);
  try {
    const tree = await trees.of(root, entries);
    const { devices, indexes } = asked;
    const runs = indexes === null ? allRuns(entries, sortedMax) : chosenRun(entries, indexes);
    yield* receiptsOf(runs, receiptMaker, devices, (index) => ({
      outcome: {
        kind: 'included',
        entryLeaf: tree.leaf(index),
        root: tree.root,
        index,
        count: tree.size,
      },
      place: { tree, index },
    }));
  } finally {
    await entries.close();
  }
}

/**
 * Makes the receipts that say why entries of a withdrawn dataset get no DAT.
 *
 * @param devices key ids, one after the other.
 * @throws WaystoneError as {@link includedReceipts}.
 */
export async function* withdrawnReceipts(
  { folder, root }: DatasetPlace,
  receiptMaker: ReceiptMaker,
  devices: Uint8Array,
  { offenders, chainId }: { readonly offenders: readonly Offender[]; readonly chainId: number },
): AsyncGenerator<IncludedChunk> {
  const rootBytes = fromHex(root);
  const codes = new Map(offenders.map(({ index, code }) => [index, code]));
  const entries = await EntriesReader.open(folder);
  try {
    yield* receiptsOf(chosenRun(entries, codes.keys()), receiptMaker, devices, (index) => ({
      outcome: {
        kind: 'final',
        root: rootBytes,
        tokenId: 0n,
        chainId,
        code: codes.get(index) as Offender['code'],
      },
      place: null,
    }));
  } finally {
    await entries.close();
  }
}

async function* allRuns(reader: EntriesReader, entriesEach: number): AsyncGenerator<EntryRun> {
  for await (const { first, entries } of reader.runs(entriesEach)) {
    yield { indexes: entries.map((_, k) => first + k), entries };
  }
}

async function* chosenRun(
  reader: EntriesReader,
  indexes: Iterable<number>,
): AsyncGenerator<EntryRun> {
  const chosen = await reader.chosen(indexes);
  yield { indexes: [...chosen.keys()], entries: [...chosen.values()] };
}

/**
 * Receipts for the entries of devices. What a device has in a run comes together, and so leaves in one write: devices that
 * send in turn would get one for each receipt.
 */
async function* receiptsOf(
  runs: AsyncIterable<EntryRun>,
  receiptMaker: ReceiptMaker,
  devices: Uint8Array,
  answer: (index: number) => { outcome: Outcome; place: EntryPlace | null },
): AsyncGenerator<IncludedChunk> {
  const ids = Buffer.from(devices.buffer, devices.byteOffset, devices.length);
  const placeOf = new Map<string, number>();
  for (let at = 0; at < ids.length; at += HASH_BYTES) placeOf.set(nameOf(ids, at), at / HASH_BYTES);
  let places: number[] = [];
  let entryPlaces: (EntryPlace | null)[] = [];
  let answers = new Answers(RECEIPTS_EACH);
  const chunk = (): IncludedChunk => {
    const { bytes: receipts, lengths } = receiptMaker.receipts(answers, entryPlaces);
    const made = { places, lengths, receipts };
    places = [];
    entryPlaces = [];
    answers = new Answers(RECEIPTS_EACH);
    return made;
  };
  for await (const { indexes, entries } of runs) {
    const wanted: number[] = [];
    for (const [k, entry] of entries.entries()) {
      const place = placeOf.get(nameOf(entry, DEVICE_AT));
      if (place !== undefined) wanted.push(place * entries.length + k);
    }
    for (const one of Float64Array.from(wanted).sort()) {
      const k = one % entries.length;
      const entry = entries[k] as Buffer;
      const { outcome, place } = answer(indexes[k] as number);
      places.push((one - k) / entries.length);
      entryPlaces.push(place);
      answers.add({
        device: entry.subarray(DEVICE_AT, DEVICE_END),
        statement: statementHash(entry.subarray(0, STATEMENT_BYTES)),
        outcome,
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
