import { appendFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { LOCAL_REALM, realmOf, type Statement, toHex } from '@waystone/proto';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { readBatchFile } from '../core/batch-file.js';
import { verifyNative } from '../core/native-signature.js';
import { EntryRules, REVOCATION_GRACE_US } from '../dataset/entry-rules.js';
import {
  makeDataset,
  makeFrame,
  makeKey,
  makeRow,
  makeRows,
  TEST_CHAIN_ID,
  TEST_IDAO,
  type TestDataset,
  type TestRow,
} from '../dataset/testing.js';
import { type InspectionFacts, inspectDataset } from './inspect-dataset.js';
import { writeRest } from './rest-file.js';

const gateway = makeKey('secp256k1');
const keys = [makeKey('secp256k1'), makeKey('P-256')];
const [first, second] = keys as [(typeof keys)[0], (typeof keys)[0]];
let home: string;

beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'waystone-inspect-'));
});
afterAll(() => rm(home, { recursive: true }));

async function datasetOf(rows: readonly TestRow[], used = keys): Promise<TestDataset> {
  const parent = await mkdtemp(join(home, 'datasets-'));
  return makeDataset({ parent, gateway, keys: used, rows });
}

const factsOf = (
  { manifest, manifestHash }: TestDataset,
  changes: Partial<InspectionFacts> = {},
): InspectionFacts => ({
  manifestHash: toHex(manifestHash),
  count: manifest.entries,
  minTimeUs: manifest.time.minUs,
  maxTimeUs: manifest.time.maxUs,
  revoked: [],
  ...changes,
});

const inspect = (dataset: TestDataset, changes: Partial<InspectionFacts> = {}) =>
  inspectDataset(dataset.directory, dataset.manifest.root, factsOf(dataset, changes));

it('finds no offender in what honest devices sent, for each type of key', async () => {
  for (const used of [keys, [makeKey('Ed25519')]]) {
    const dataset = await datasetOf(makeRows(used, 6, 2), used);
    const { offenders, realm, entries } = await inspect(dataset);
    expect(offenders).toEqual([]);
    expect(realm).toBe(dataset.manifest.realm);
    expect(dataset.manifest.files).toContainEqual({ name: 'entries', ...entries });
  }
});

it.each(['secp256k1', 'P-256', 'Ed25519'] as const)(
  'names a %s signature that is invalid',
  async (type) => {
    const key = makeKey(type);
    const rows = makeRows([key], 4, 2);
    const bad = rows[2] as TestRow;
    const entry = bad.entry.slice();
    entry[210] = (entry[210] as number) ^ 1;
    const dataset = await datasetOf(rows.with(2, { ...bad, entry }), [key]);
    expect((await inspect(dataset)).offenders).toEqual([{ index: 2, code: 'SIGNATURE_INVALID' }]);
  },
);

it('names an entry of another realm, which no folder can hold, and a device that is not listed', () => {
  const rules = new EntryRules({
    realm: toHex(realmOf(TEST_CHAIN_ID, TEST_IDAO)),
    ...{ minTimeUs: 0, maxTimeUs: Number.MAX_SAFE_INTEGER },
    keys: new Map([[toHex(first.id), first.publicKey]]),
    revokedAtUs: new Map<string, number>(),
    verifySignature: verifyNative,
  });
  const change = (statement: Statement): Statement => ({ ...statement, realm: LOCAL_REALM });
  rules.add(makeRow(first, { frames: [makeFrame(0)] }).entry);
  rules.add(makeRow(first, { frames: [makeFrame(1)], firstSequence: 1, change }).entry);
  rules.add(makeRow(second, { frames: [makeFrame(2)] }).entry);
  rules.add(new Uint8Array(280));
  expect(rules.offenders).toEqual([
    { index: 1, code: 'REALM_FOREIGN' },
    { index: 2, code: 'DEVICE_UNKNOWN' },
    { index: 3, code: 'STATEMENT_INVALID' },
  ]);
});

it('names what came more than the grace after a revocation, and not what came at its end', async () => {
  const rows = [10, 20, 30].map((seconds, at) =>
    makeRow(first, {
      frames: [makeFrame(at)],
      firstSequence: at,
      receivedAtUs: REVOCATION_GRACE_US * 20_000 + seconds * 1_000_000,
    }),
  );
  const dataset = await datasetOf(rows);
  const atUs = REVOCATION_GRACE_US * 19_999 + 20_000_000;
  const { offenders } = await inspect(dataset, { revoked: [[toHex(first.id), atUs]] });
  expect(offenders).toEqual([{ index: 2, code: 'DEVICE_REVOKED' }]);
  expect((await inspect(dataset, { revoked: [[toHex(second.id), 0]] })).offenders).toEqual([]);
});

it('names the later ones of entries that overlap, and none that only lie beside them', async () => {
  const range = (firstSequence: number, count: number, at: number): TestRow =>
    makeRow(first, {
      frames: Array.from({ length: count }, (_, k) => makeFrame(at * 10 + k)),
      firstSequence,
    });
  const rows = [range(20, 5, 0), range(0, 10, 1), range(3, 2, 2), range(5, 2, 3), range(10, 10, 4)];
  const dataset = await datasetOf([...rows, range(24, 2, 5), range(25, 3, 6)]);
  expect((await inspect(dataset)).offenders).toEqual([
    { index: 2, code: 'RANGE_CONFLICT' },
    { index: 3, code: 'RANGE_CONFLICT' },
    { index: 5, code: 'RANGE_CONFLICT' },
  ]);
});

it('blames no entry for files that are not what was sealed', async () => {
  const rows = makeRows(keys, 4, 2);
  const spoil = async (name: string, change: (bytes: Buffer) => void): Promise<TestDataset> => {
    const dataset = await datasetOf(rows);
    const bytes = await readFile(join(dataset.directory, name));
    change(bytes);
    await writeFile(join(dataset.directory, name), bytes);
    return dataset;
  };
  const damaged = expect.objectContaining({ code: 'DATASET_DAMAGED' });
  const flipped = await spoil('entries', (bytes) =>
    bytes.writeUInt8(bytes.readUInt8(210) ^ 1, 210),
  );
  await expect(inspect(flipped)).rejects.toEqual(damaged);
  const renamed = await spoil('manifest.json', (bytes) => {
    bytes.write('parks', bytes.indexOf('drive'));
  });
  await expect(inspect(renamed)).rejects.toEqual(damaged);
  const longer = await datasetOf(rows);
  await appendFile(join(longer.directory, 'entries'), Buffer.alloc(280));
  await expect(inspect(longer)).rejects.toEqual(damaged);
  const whole = await datasetOf(rows);
  await expect(inspect(whole, { maxTimeUs: whole.manifest.time.maxUs - 1 })).rejects.toEqual(
    damaged,
  );
});

it('writes what is left as a batch file, the same however often', async () => {
  const rows = makeRows(keys, 5, 3);
  const { directory, manifest } = await datasetOf(rows);
  const folder = join(directory, '..');
  const left = [rows[0], rows[2], rows[4]] as TestRow[];
  for (let again = 0; again < 2; again++) {
    const rest = await writeRest(folder, manifest.root, 9, [1, 3]);
    expect(rest).toMatchObject({ entries: 3, frames: 9, devices: [toHex(first.id)] });
    if (rest === null) return;
    const read = [...readBatchFile(rest.file, rest)];
    expect(read.map(({ entry }) => toHex(entry))).toEqual(left.map(({ entry }) => toHex(entry)));
    expect(read.map(({ frames }) => toHex(frames))).toEqual(
      left.map(({ frames }) => toHex(frames)),
    );
  }
  expect(await writeRest(folder, manifest.root, 9, [0, 1, 2, 3, 4])).toBeNull();
});
