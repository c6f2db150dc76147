import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  decodeManifest,
  equalBytes,
  keyFromDid,
  leafHash,
  sha256,
  toHex,
  treeRoot,
} from '@waystone/proto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  addCheckpoint,
  type DatasetFolderOptions,
  prepareDatasetFolder,
  publishDatasetFolder,
  writeDatasetFolder,
} from './folder-writer.js';
import { didOfKeys, makeFrame, makeIdentity, makeKey, makeRow, makeRows } from './testing.js';

const gateway = makeKey('secp256k1');
const keys = [makeKey('secp256k1'), makeKey('P-256')];
const rows = makeRows(keys, 6, 3);
let parent: string;
let options: DatasetFolderOptions;

beforeEach(async () => {
  parent = await mkdtemp(join(tmpdir(), 'waystone-writer-'));
  options = { identity: makeIdentity(gateway), parent, didOf: didOfKeys(keys) };
});
afterEach(() => rm(parent, { recursive: true }));

async function contents(directory: string): Promise<Record<string, string>> {
  const names = (await readdir(directory)).sort();
  const files = await Promise.all(
    names.map(async (name) => [name, (await readFile(join(directory, name))).toString('base64')]),
  );
  return Object.fromEntries(files);
}

describe('writing a dataset folder', () => {
  it('names it by the root of its entries and lists size and hash of every file', async () => {
    const written = await writeDatasetFolder(options, rows);
    expect(await readdir(parent)).toEqual([toHex(written.root)]);
    expect((await readdir(written.directory)).sort()).toEqual(
      ['devices', 'entries', 'frames', 'manifest.json'], // no checkpoint before the log has the dataset
    );
    expect(equalBytes(written.root, treeRoot([...rows].map(({ entry }) => leafHash(entry))))).toBe(
      true,
    );
    const manifestBytes = await readFile(join(written.directory, 'manifest.json'));
    expect(equalBytes(manifestBytes, written.manifestBytes)).toBe(true);
    const manifest = decodeManifest(manifestBytes);
    expect(manifest).toMatchObject({ entries: 6, frames: 18, root: toHex(written.root) });
    expect(manifest.signatures).toBe('challengeable on chain');
    for (const { name, bytes, sha256: hash } of manifest.files) {
      const file = await readFile(join(written.directory, name));
      expect([name, file.length, toHex(sha256(file))]).toEqual([name, bytes, hash]);
    }
    const dids = (await readFile(join(written.directory, 'devices'), 'utf8')).trimEnd().split('\n');
    expect(dids).toEqual(keys.map(({ did }) => did).sort());
  });

  it('writes the same bytes from the same rows, whatever kind of iterable gives them', async () => {
    const first = await contents((await writeDatasetFolder(options, rows)).directory);
    const other = await mkdtemp(join(tmpdir(), 'waystone-writer-'));
    function* walk() {
      yield* rows;
    }
    const second = await writeDatasetFolder(
      { ...options, parent: other, didOf: async (id) => didOfKeys(keys)(id) },
      { [Symbol.iterator]: walk },
    );
    expect(await contents(second.directory)).toEqual(first);
    await rm(other, { recursive: true });
  });

  it('writes frames that are larger than its buffer in all', async () => {
    const large = Array.from({ length: 12 }, (_, at) =>
      makeRow(keys[0] as (typeof keys)[0], {
        frames: [{ ...makeFrame(at), rawGnss: new Uint8Array(200_000).fill(at) }],
        firstSequence: at,
      }),
    );
    const written = await writeDatasetFolder(options, large);
    const file = await readFile(join(written.directory, 'frames'));
    expect(file.length).toBe(written.sizes.frames);
    const body = Buffer.concat(large.map(({ frames }) => frames));
    expect(equalBytes(file.subarray(file.length - body.length), body)).toBe(true);
  });

  it('is harmless to repeat at every point where the first run may have died', async () => {
    const prepared = await prepareDatasetFolder(options, rows);
    const first = await contents(prepared.temporary);
    // Died before the rename: files of the temporary folder may be there in part.
    await writeFile(join(prepared.temporary, 'left over'), 'x');
    const again = await writeDatasetFolder(options, rows);
    expect(await contents(again.directory)).toEqual(first);
    // Died after the rename.
    const third = await writeDatasetFolder(options, rows);
    expect(await contents(third.directory)).toEqual(first);
    // Died with the checkpoint in place.
    await addCheckpoint(third.directory, new Uint8Array(10));
    await writeDatasetFolder(options, rows);
    expect(await readdir(parent)).toEqual([toHex(again.root)]);
    expect((await readFile(join(third.directory, 'checkpoint'))).length).toBe(10);
  });

  it('never replaces another dataset of the same root', async () => {
    await writeDatasetFolder(options, rows);
    const identity = { ...options.identity, logIndex: 9 };
    const prepared = await prepareDatasetFolder({ ...options, identity }, rows);
    await expect(publishDatasetFolder(prepared)).rejects.toMatchObject({ code: 'DATASET_EXISTS' });
  });

  it('replaces a checkpoint as a whole and leaves nothing beside it', async () => {
    const { directory } = await writeDatasetFolder(options, rows);
    await addCheckpoint(directory, new Uint8Array(10).fill(1));
    await writeFile(`${directory}.checkpoint.tmp`, 'left over by a run that died');
    await addCheckpoint(directory, new Uint8Array(5).fill(2));
    expect([...(await readFile(join(directory, 'checkpoint')))]).toEqual([2, 2, 2, 2, 2]);
    expect(await readdir(parent)).toHaveLength(1);
  });
});

describe('rows that no verifier would accept', () => {
  const key = keys[0] as (typeof keys)[0];
  const good = makeRow(key, { frames: [makeFrame(0)] });

  it('refuses an empty dataset', async () => {
    await expect(writeDatasetFolder(options, [])).rejects.toMatchObject({ code: 'DATASET_EMPTY' });
  });

  it.each([
    [
      'a foreign stream',
      makeRow(key, { frames: [makeFrame(0)], change: (s) => ({ ...s, stream: 8 }) }),
    ],
    [
      'a foreign realm',
      makeRow(key, {
        frames: [makeFrame(0)],
        change: (s) => ({ ...s, realm: new Uint8Array(32) }),
      }),
    ],
    ['too few frames', { ...good, frames: new Uint8Array(0) }],
    ['a frame that is no protobuf', { ...good, frames: Uint8Array.of(0, 0, 0, 1, 0xff) }],
    ['an unknown device', makeRow(makeKey('P-256'), { frames: [makeFrame(0)] })],
  ])('refuses %s and names the row', async (_, bad) => {
    await expect(writeDatasetFolder(options, [good, bad])).rejects.toMatchObject({
      code: 'DATASET_ROWS_INVALID',
      message: expect.stringContaining('row 1 '),
    });
  });

  it('refuses rows that are gone the second time', async () => {
    const once = rows.values();
    await expect(writeDatasetFolder(options, once)).rejects.toMatchObject({
      code: 'DATASET_ROWS_INVALID',
    });
  });

  it('keeps Ed25519 in datasets of its own and marks them', async () => {
    const edKey = makeKey('Ed25519');
    const all = [...keys, edKey];
    const didOf = didOfKeys(all);
    await expect(
      writeDatasetFolder({ ...options, didOf }, makeRows(all, 3, 1)),
    ).rejects.toMatchObject({ code: 'DATASET_ROWS_INVALID' });
    const { manifest } = await writeDatasetFolder({ ...options, didOf }, makeRows([edKey], 3, 1));
    expect(manifest.signatures).toBe('not challengeable on chain');
    expect(keyFromDid(manifest.devices[0]?.did ?? '').type).toBe('Ed25519');
  });

  it('starts again over a temporary folder that is in the way', async () => {
    await mkdir(join(parent, '.tmp-0', 'deep'), { recursive: true });
    await writeDatasetFolder(options, rows);
    expect(await readdir(parent)).toHaveLength(1);
  });
});
