import { mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { equalBytes, leafHash, splitFrames, toHex, verifyInclusion } from '@waystone/proto';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { DatasetReader } from './folder-reader.js';
import { decodeProof, encodeProof, makeProof, parseProof, proofToJson } from './proof.js';
import { makeDataset, makeKey, makeRows, TEST_STREAM, type TestDataset } from './testing.js';

const gateway = makeKey('secp256k1');
const keys = [makeKey('secp256k1'), makeKey('P-256')] as const;
const rows = makeRows(keys, 7, 3);
let parent: string;
let dataset: TestDataset;
let reader: DatasetReader;

beforeAll(async () => {
  parent = await mkdtemp(join(tmpdir(), 'waystone-reader-'));
  dataset = await makeDataset({ parent, gateway, keys, rows });
  reader = await DatasetReader.open(dataset.directory);
});
afterAll(async () => {
  await reader.close();
  await rm(parent, { recursive: true });
});

describe('reading a dataset folder', () => {
  it('gives back every entry and frame as it was written', async () => {
    for (const [index, row] of rows.entries()) {
      expect(equalBytes(await reader.entry(index), row.entry)).toBe(true);
      expect(equalBytes(await reader.frameBytes(index), row.frames)).toBe(true);
      expect(await reader.frames(index)).toEqual(splitFrames(row.frames, 3));
    }
    expect((await reader.tree()).root).toEqual(dataset.root);
    expect(await reader.devices()).toEqual(keys.map(({ did }) => did).sort());
    expect(await reader.checkpointBytes()).not.toBeNull();
  });

  it.each([-1, 7, 0.5])('refuses entry %d', async (index) => {
    await expect(reader.entry(index)).rejects.toThrow(RangeError);
    await expect(reader.frames(index)).rejects.toThrow(RangeError);
  });

  it('says when there is no dataset', async () => {
    await expect(DatasetReader.open(join(parent, 'none'))).rejects.toMatchObject({
      code: 'DATASET_NOT_FOUND',
    });
  });
});

describe('a damaged folder', () => {
  let copy: string;
  beforeEach(async () => {
    const other = await mkdtemp(join(tmpdir(), 'waystone-reader-'));
    copy = (await makeDataset({ parent: other, gateway, keys, rows })).directory;
  });
  afterEach(() => rm(join(copy, '..'), { recursive: true }));

  it.each(['entries', 'frames', 'manifest.json'])(
    'is a typed error when %s is cut',
    async (name) => {
      await truncate(join(copy, name), 100);
      await expect(DatasetReader.open(copy)).rejects.toMatchObject({ code: 'DATASET_DAMAGED' });
    },
  );

  it('is a typed error when frames do not fit their statement', async () => {
    const frames = await readFile(join(copy, 'frames'));
    const at = frames.length - (rows[6]?.frames.length ?? 0);
    frames.writeUInt32BE(1, at);
    await writeFile(join(copy, 'frames'), frames);
    const damaged = await DatasetReader.open(copy);
    await expect(damaged.frames(6)).rejects.toMatchObject({ code: 'DATASET_DAMAGED' });
    await damaged.close();
  });
});

describe('proofs', () => {
  const session = (at: number) => toHex(rows[at]?.entry.subarray(80, 96) ?? new Uint8Array());
  const place = (at: 0 | 1, sequence: number, stream = TEST_STREAM) => ({
    device: keys[at].did,
    session: session(at),
    stream,
    sequence,
  });

  it('leads from every frame to the root, and survives its file form', async () => {
    for (const at of [0, 1] as const) {
      for (let sequence = 0; sequence < (at === 0 ? 12 : 9); sequence++) {
        const proof = await makeProof(reader, place(at, sequence));
        if (proof === null) throw new Error(`no proof of sequence ${sequence}`);
        const { entry, entryIndex, entryPath } = proof;
        expect(verifyInclusion(leafHash(entry), entryIndex, 7, entryPath, dataset.root)).toBe(true);
        expect(proof.frameIndex).toBe(sequence % 3);
        const again = decodeProof(encodeProof(proof));
        expect(proofToJson(again)).toEqual(proofToJson(proof));
        expect(parseProof(JSON.parse(JSON.stringify(proofToJson(proof))))).toEqual(again);
      }
    }
  });

  it('is null for a frame that the dataset does not hold', async () => {
    expect(await makeProof(reader, place(0, 12))).toBeNull();
    expect(await makeProof(reader, place(0, 0, TEST_STREAM + 1))).toBeNull();
    expect(await makeProof(reader, { ...place(0, 0), session: '00'.repeat(16) })).toBeNull();
    expect(await makeProof(reader, { ...place(0, 0), device: makeKey('P-256').did })).toBeNull();
  });

  it('waits for the checkpoint', async () => {
    const other = await mkdtemp(join(tmpdir(), 'waystone-reader-'));
    const { directory } = await makeDataset({ parent: other, gateway, keys, rows });
    await rm(join(directory, 'checkpoint'));
    const unsealed = await DatasetReader.open(directory);
    await expect(makeProof(unsealed, place(0, 0))).rejects.toMatchObject({
      code: 'DATASET_NOT_SEALED',
    });
    await unsealed.close();
    await rm(other, { recursive: true });
  });

  it('has one form of the file', async () => {
    const proof = await makeProof(reader, place(0, 0));
    if (proof === null) throw new Error('no proof');
    const json = proofToJson(proof);
    const encode = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));
    expect(decodeProof(encode(json)).device).toBe(proof.device); // compact, as from the API
    const bad: [unknown, string][] = [
      [{ ...json, type: 'other' }, 'type'],
      [{ ...json, version: 2 }, 'version is 2'],
      [{ ...json, extra: 1 }, 'one form'],
      [{ ...json, device: 'did:key:z1' }, 'did:key'],
      [{ ...json, entry: { ...json.entry, bytes: 'AAAA' } }, '280 bytes'],
      [{ ...json, entry: { ...json.entry, index: -1 } }, 'entry.index'],
      [{ ...json, frame: { ...json.frame, path: ['ZZ'] } }, 'frame.path'],
      [{ ...json, frame: { ...json.frame, path: new Array(54).fill('00'.repeat(32)) } }, 'at most'],
      [{ ...json, frame: null }, 'frame must be an object'],
      [{ ...json, checkpoint: '!' }, 'base64'],
      [null, 'object'],
    ];
    for (const [value, message] of bad) {
      expect(() => decodeProof(encode(value))).toThrow(message);
    }
    expect(() => decodeProof(Uint8Array.of(0xff))).toThrow('not JSON');
  });
});
