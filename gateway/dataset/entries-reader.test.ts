import { mkdtemp, rm, truncate } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { equalBytes } from '@waystone/proto';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { EntriesReader } from './entries-reader.js';
import { makeDataset, makeKey, makeRows, type TestDataset } from './testing.js';

const gateway = makeKey('secp256k1');
const keys = [makeKey('secp256k1'), makeKey('P-256')] as const;
/** More than one read of entries. */
const rows = makeRows(keys, 1100, 1);
let parent: string;
let dataset: TestDataset;
let reader: EntriesReader;

beforeAll(async () => {
  parent = await mkdtemp(join(tmpdir(), 'waystone-entries-'));
  dataset = await makeDataset({ parent, gateway, keys, rows });
  // The entries are enough.
  for (const name of ['manifest.json', 'frames', 'devices']) {
    await rm(join(dataset.directory, name));
  }
  reader = await EntriesReader.open(dataset.directory);
});
afterAll(async () => {
  await reader.close();
  await rm(parent, { recursive: true });
});

it('has all entries and their tree, without the rest of the folder', async () => {
  expect(reader.count).toBe(rows.length);
  expect(equalBytes((await reader.tree()).root, dataset.root)).toBe(true);
  let seen = 0;
  for await (const [index, entry] of reader.entries()) {
    expect(index).toBe(seen);
    expect(equalBytes(entry, rows[index]?.entry ?? new Uint8Array())).toBe(true);
    seen += 1;
  }
  expect(seen).toBe(rows.length);
});

it.each([1, 300, 1100, 5000])('walks them %d at a time', async (each) => {
  const sizes: number[] = [];
  for await (const { first, entries } of reader.runs(each)) {
    expect(first).toBe(sizes.length * each);
    sizes.push(entries.length);
  }
  expect(sizes.reduce((sum, size) => sum + size, 0)).toBe(rows.length);
  expect(sizes.slice(0, -1).every((size) => size === each)).toBe(true);
});

it.each([
  { name: 'none', indexes: [] },
  { name: 'the first and the last', indexes: [0, 1099] },
  { name: 'neighbours, in no order and twice', indexes: [7, 5, 6, 7] },
  { name: 'those just within one read and just beyond it', indexes: [10, 74, 139, 204] },
  { name: 'every third', indexes: rows.flatMap((_, k) => (k % 3 === 0 ? [k] : [])) },
  { name: 'all', indexes: rows.map((_, k) => k) },
  { name: 'some that are not there', indexes: [-1, 3, 0.5, 1100, 2 ** 40] },
])('gives chosen entries once each: $name', async ({ indexes }) => {
  const found = await reader.chosen(indexes);
  const wanted = [...new Set(indexes)].filter((k) => rows[k] !== undefined).sort((a, b) => a - b);
  expect([...found.keys()]).toEqual(wanted);
  const wrong = [...found].filter(
    ([index, entry]) => !equalBytes(entry, rows[index]?.entry ?? new Uint8Array()),
  );
  expect(wrong).toEqual([]);
});

it.each([0, 100, 281])('is a typed error with %d bytes of entries', async (bytes) => {
  const other = await mkdtemp(join(tmpdir(), 'waystone-entries-'));
  const { directory } = await makeDataset({ parent: other, gateway, keys, rows: rows.slice(0, 3) });
  await truncate(join(directory, 'entries'), bytes);
  await expect(EntriesReader.open(directory)).rejects.toMatchObject({ code: 'DATASET_DAMAGED' });
  await rm(join(directory, 'entries'));
  await expect(EntriesReader.open(directory)).rejects.toMatchObject({ code: 'DATASET_NOT_FOUND' });
  await rm(other, { recursive: true });
});
