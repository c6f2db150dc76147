import { mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MerkleTree, toHex } from '@waystone/proto';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { EntriesReader } from '../dataset/entries-reader.js';
import { makeDataset, makeKey, makeRows } from '../dataset/testing.js';
import { DatasetTrees } from './dataset-trees.js';

/** A tree of so many leaves that all begin with a number. */
const treeOf = (number: number, size: number): MerkleTree =>
  new MerkleTree(Array.from({ length: size }, () => new Uint8Array(32).fill(number)));

const gateway = makeKey('secp256k1');
const keys = [makeKey('secp256k1')] as const;
let parent: string;
let folder: string;
let root: string;
let entries: EntriesReader;

beforeAll(async () => {
  parent = await mkdtemp(join(tmpdir(), 'waystone-trees-'));
  const dataset = await makeDataset({ parent, gateway, keys, rows: makeRows(keys, 9, 1) });
  folder = dataset.directory;
  root = toHex(dataset.root);
  entries = await EntriesReader.open(folder);
});
afterAll(async () => {
  await entries.close();
  await rm(parent, { recursive: true });
});

it('makes the tree of a dataset once', async () => {
  const trees = new DatasetTrees();
  const [one, other] = await Promise.all([trees.of(root, entries), trees.of(root, entries)]);
  expect(toHex(one.root)).toBe(root);
  expect(other).toBe(one);
  expect(await trees.of(root, entries)).toBe(one);
});

it('forgets those that were not asked for longest, and never the last', async () => {
  const trees = new DatasetTrees(20);
  const kept = [1, 2, 3].map((number) => treeOf(number, 5));
  for (const tree of kept) trees.keep(tree);
  const [first, second, third] = kept.map((tree) => toHex(tree.root));
  expect(trees.roots).toEqual([first, second, third]);
  trees.keep(kept[0] as MerkleTree);
  expect(trees.roots).toEqual([second, third, first]);
  // Nine entries and fifteen are more than twenty.
  await trees.of(root, entries);
  expect(trees.roots).toEqual([third, first, root]);
  const large = treeOf(9, 21);
  trees.keep(large);
  expect(trees.roots).toEqual([toHex(large.root)]);
  trees.keep(kept[1] as MerkleTree);
  expect(trees.roots).toEqual([second]);
});

it('speaks for no dataset whose entries have another root, and looks again the next time', async () => {
  const trees = new DatasetTrees();
  const file = await open(join(folder, 'entries'), 'r+');
  const byte = Buffer.alloc(1);
  await file.read(byte, 0, 1, 300);
  await file.write(Uint8Array.of((byte[0] ?? 0) ^ 1), 0, 1, 300);
  const damaged = await EntriesReader.open(folder);
  const code = 'DATASET_DAMAGED';
  await expect(trees.of(root, damaged)).rejects.toMatchObject({ code });
  expect(trees.roots).toEqual([]);
  await file.write(byte, 0, 1, 300);
  await file.close();
  await damaged.close();
  const whole = await EntriesReader.open(folder);
  expect(toHex((await trees.of(root, whole)).root)).toBe(root);
  await whole.close();
});
