import {
  chmodSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { metadataPath, publishEntries, publishMetadata } from './published.js';
import { makeDataset, makeKey, makeRows } from './testing.js';

const folder = mkdtempSync(join(tmpdir(), 'waystone-published-'));
const published = join(folder, 'www');
const key = makeKey('secp256k1');
let sealed = 0;

afterAll(() => rmSync(folder, { recursive: true, force: true }));

const seal = (entries: number) =>
  makeDataset({
    parent: folder,
    gateway: makeKey('secp256k1'),
    keys: [key],
    rows: makeRows([key], entries, 1),
    identity: { logIndex: sealed++, logId: '20'.repeat(16) },
    logIndex: 2,
  });

it('gives others exactly the entries, more than are read at once too', async () => {
  for (const entries of [1, 4_096, 4_100]) {
    const { directory, manifest } = await seal(entries);
    await publishEntries(published, directory, manifest.root);
    await publishEntries(published, directory, manifest.root);
    const file = join(published, 'entries', manifest.root);
    expect(readFileSync(file).equals(readFileSync(join(directory, 'entries')))).toBe(true);
    expect(statSync(file).mode & 0o777).toBe(0o644);
    expect(statSync(join(published, 'entries')).mode & 0o777).toBe(0o755);
  }
});

it('publishes nothing that has another root', async () => {
  const { directory, manifest } = await seal(3);
  const entries = readFileSync(join(directory, 'entries'));
  for (const damaged of [
    entries.subarray(0, 560),
    Buffer.concat([entries, Buffer.alloc(1)]),
    Buffer.from(entries).fill(7, 500, 501),
  ]) {
    writeFileSync(join(directory, 'entries'), damaged);
    const publishing = publishEntries(published, directory, manifest.root);
    await expect(publishing).rejects.toMatchObject({ code: 'DATASET_DAMAGED' });
  }
  rmSync(join(directory, 'entries'));
  await expect(publishEntries(published, directory, manifest.root)).rejects.toMatchObject({
    code: 'PUBLISH_FAILED',
  });
  const names = readdirSync(join(published, 'entries'));
  expect(names.every((name) => /^[0-9a-f]{64}$/.test(name))).toBe(true);
  expect(names).not.toContain(manifest.root);
});

it('says where it cannot write', async () => {
  const { directory, manifest } = await seal(2);
  const file = join(folder, 'a-file');
  writeFileSync(file, '');
  chmodSync(file, 0o600);
  await expect(publishEntries(file, directory, manifest.root)).rejects.toMatchObject({
    code: 'PUBLISH_FAILED',
    message: expect.stringContaining(file),
  });
});

it('replaces metadata as a whole', () => {
  publishMetadata(published, '12', '{"a":1}');
  publishMetadata(published, '12', '{"a":2}');
  expect(readFileSync(metadataPath(published, '12'), 'utf8')).toBe('{"a":2}');
  expect(readdirSync(join(published, 'metadata'))).toEqual(['12.json']);
});
