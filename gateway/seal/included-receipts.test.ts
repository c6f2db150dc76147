import { mkdtemp, readdir, readlink, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  decodeReceipt,
  encodeReceipt,
  encodeReceiptBody,
  encodeReceiptHead,
  fromHex,
  leafHash,
  MerkleTree,
  receiptFault,
  statementHash,
  toHex,
} from '@waystone/proto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { GatewayKey } from '../core/gateway-key.js';
import { ReceiptMaker } from '../core/receipt-maker.js';
import { makeDataset, makeKey, makeRows, type TestRow } from '../dataset/testing.js';
import { DatasetTrees } from './dataset-trees.js';
import { type DatasetPlace, type IncludedChunk, includedReceipts } from './included-receipts.js';

const logId = new Uint8Array(16).fill(4);
const key = new GatewayKey(new Uint8Array(32).fill(5));
const receiptMaker = new ReceiptMaker(key, logId);
const devices = [makeKey('secp256k1'), makeKey('P-256'), makeKey('secp256k1')];
const ids = devices.map(({ id }) => toHex(id));

/** More than two trees of receipts, and more than one read of entries. */
const ENTRIES = 1100;
const SORTED = 500;
let parent: string;
let dataset: DatasetPlace;
let rows: TestRow[];
let tree: MerkleTree;

beforeAll(async () => {
  parent = await mkdtemp(join(tmpdir(), 'waystone-included-'));
  rows = makeRows(devices, ENTRIES, 1);
  const gateway = makeKey('secp256k1');
  const { directory: folder, root } = await makeDataset({ parent, gateway, keys: devices, rows });
  dataset = { folder, root: toHex(root) };
  tree = new MerkleTree(rows.map(({ entry }) => leafHash(entry)));
});
afterAll(() => rm(parent, { recursive: true }));

type ChunkInHex = Omit<IncludedChunk, 'receipts'> & { readonly receipts: string };

/** Comparing strings is a thousand times cheaper than comparing bytes as `toEqual` does. */
const inHex = (chunks: readonly IncludedChunk[]): ChunkInHex[] =>
  chunks.map((chunk) => ({ ...chunk, receipts: toHex(chunk.receipts) }));

async function chunksOf(
  known: MerkleTree | null,
  asked: readonly string[],
  indexes: readonly number[] | null,
): Promise<IncludedChunk[]> {
  const trees = new DatasetTrees();
  if (known !== null) trees.keep(known);
  const what = { devices: fromHex(asked.join('')), indexes };
  const chunks: IncludedChunk[] = [];
  for await (const chunk of includedReceipts(dataset, { receiptMaker, trees }, what, SORTED)) {
    chunks.push(chunk);
  }
  return chunks;
}

async function hexOf(...what: Parameters<typeof chunksOf>): Promise<ChunkInHex[]> {
  return inHex(await chunksOf(...what));
}

const deviceOf = (index: number): string => ids[index % ids.length] as string;

/** Entries in the order of their receipts: of each `run` all of a device together, devices as they were asked for. */
function byDevice(indexes: readonly number[], asked: readonly string[], run: number): number[] {
  const order = (index: number): number[] => [
    Math.floor(index / run),
    asked.indexOf(deviceOf(index)),
    index,
  ];
  return [...indexes].sort((a, b) => {
    const [left, right] = [order(a), order(b)];
    const differs = left.findIndex((value, k) => value !== right[k]);
    return (left[differs] ?? 0) - (right[differs] ?? 0);
  });
}

/** What the receipts of the entries at `indexes` are by the format: trees of 64 answers, each signed once. */
function chunksByParts(
  indexes: readonly number[],
  asked: readonly string[],
  run: number,
): ChunkInHex[] {
  const chunks: IncludedChunk[] = [];
  const ordered = byDevice(indexes, asked, run);
  for (let first = 0; first < ordered.length; first += 64) {
    const own = ordered.slice(first, first + 64);
    const bodies = own.map((index) => {
      const { statementBytes, entry } = rows[index] as TestRow;
      return encodeReceiptBody({
        device: (devices[index % devices.length] as (typeof devices)[0]).id,
        statement: statementHash(statementBytes),
        outcome: {
          kind: 'included',
          entryLeaf: leafHash(entry),
          root: tree.root,
          index,
          count: ENTRIES,
        },
      });
    });
    const answers = new MerkleTree(bodies.map(leafHash));
    const { root, size } = answers;
    const headBytes = encodeReceiptHead({ gateway: key.id, logId, size, root });
    const signature = key.sign(headBytes);
    const receipts = bodies.map((bodyBytes, k) =>
      encodeReceipt({
        headBytes,
        signature,
        bodyBytes,
        index: k,
        path: answers.inclusionProof(k),
        entryPath: tree.inclusionProof(own[k] as number),
      }),
    );
    chunks.push({
      places: own.map((index) => asked.indexOf(deviceOf(index))),
      lengths: receipts.map(({ length }) => length),
      receipts: new Uint8Array(Buffer.concat(receipts)),
    });
  }
  return inHex(chunks);
}

const all = Array.from({ length: ENTRIES }, (_, index) => index);
const entriesOf = (...places: number[]): number[] =>
  all.filter((index) => places.includes(index % devices.length));

describe('included receipts', () => {
  it.each([
    { name: 'all devices', places: [0, 1, 2] },
    { name: 'two devices in another order', places: [2, 0] },
    { name: 'one device', places: [1] },
  ])(
    'of $name say every entry of theirs once, those of a device in order, 64 under a signature',
    async ({ places }) => {
      const asked = places.map((place) => ids[place] as string);
      const wanted = chunksByParts(entriesOf(...places), asked, SORTED);
      expect(wanted.length).toBeGreaterThan(1);
      expect(await hexOf(null, asked, null)).toEqual(wanted);
      // The tree that sealing made gives the same bytes as the one that is made from the folder.
      expect(await hexOf(tree, asked, null)).toEqual(wanted);
    },
  );

  it.each([
    { name: 'a few', indexes: [1, 5, 255, 256, 1023, 1024, ENTRIES - 1] },
    { name: 'more than 64', indexes: all.filter((index) => index % 3 !== 1) },
    { name: 'exactly 64', indexes: all.slice(700, 764) },
    { name: 'those in no order and named twice', indexes: [900, 3, 900, 600] },
    { name: 'some that no dataset has', indexes: [2, ENTRIES, ENTRIES + 1, -1] },
  ])('of chosen entries are of these alone: $name', async ({ indexes }) => {
    const chosen = [...new Set(indexes)].sort((a, b) => a - b).filter((k) => k >= 0 && k < ENTRIES);
    const wanted = chunksByParts(chosen, ids, ENTRIES);
    expect(await hexOf(null, ids, indexes)).toEqual(wanted);
    expect(await hexOf(tree, ids, indexes)).toEqual(wanted);
  });

  it('are the word of the gateway, each for its device', async () => {
    const faults: (string | null)[] = [];
    const seen: number[] = [];
    for (const { lengths, places, receipts } of await chunksOf(null, ids, null)) {
      let at = 0;
      for (const [k, length] of lengths.entries()) {
        const receipt = decodeReceipt(receipts.subarray(at, at + length));
        at += length;
        faults.push(receiptFault(receipt, key.publicKey));
        if (toHex(receipt.body.device) !== ids[places[k] as number]) faults.push('another device');
        if (receipt.body.outcome.kind === 'included') seen.push(receipt.body.outcome.index);
      }
    }
    expect(faults).toEqual(all.map(() => null));
    expect(seen.sort((a, b) => a - b)).toEqual(all);
  });

  it('are none for devices without an entry, and for no entries', async () => {
    const stranger = toHex(makeKey('P-256').id);
    expect(await hexOf(null, [stranger], null)).toEqual([]);
    expect(await hexOf(tree, ids, [])).toEqual([]);
    // An entry of a device that was not asked for.
    expect(await hexOf(tree, [ids[0] as string], [1])).toEqual([]);
  });

  it.runIf(process.platform === 'linux')(
    'leave no file open when nobody listens to the end',
    async () => {
      const openInDataset = async (): Promise<number> => {
        const targets = await Promise.all(
          (await readdir('/proc/self/fd')).map((fd) =>
            readlink(`/proc/self/fd/${fd}`).catch(() => ''),
          ),
        );
        return targets.filter((target) => target.startsWith(dataset.folder)).length;
      };
      const makers = { receiptMaker, trees: new DatasetTrees() };
      const walk = includedReceipts(dataset, makers, {
        devices: fromHex(ids.join('')),
        indexes: null,
      });
      expect((await walk.next()).done).toBe(false);
      expect(await openInDataset()).toBe(1);
      await walk.return(undefined);
      expect(await openInDataset()).toBe(0);
    },
  );
});
