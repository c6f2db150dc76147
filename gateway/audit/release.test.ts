import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { decodeManifest, sha256, toHex } from '@waystone/proto';
import { describe, expect, it } from 'vitest';
import { DatasetReader } from '../dataset/folder-reader.js';
import { encodeProof, makeProof } from '../dataset/proof.js';
import { failedChecks } from './testing.js';
import { verifyDataset } from './verify-dataset.js';
import { verifyProof } from './verify-proof.js';

/** Datasets and proofs written by each release: frozen, and to be verified by all later ones. */
const RELEASES = fileURLToPath(new URL('../../test/releases/', import.meta.url));

interface ExpectedDatasets {
  gateway: string;
  datasets: { root: string; manifestHash: string; entries: number; frames: number }[];
}
interface ExpectedProof {
  gateway: string;
  root: string;
  device: string;
  session: string;
  stream: number;
  sequence: number;
}

const readJson = async <T>(...path: string[]): Promise<T> =>
  JSON.parse(await readFile(join(RELEASES, ...path), 'utf8')) as T;

describe.each(['v0.1'])('release %s', (release) => {
  it('wrote datasets that verify', async () => {
    const expected = await readJson<ExpectedDatasets>(release, 'dataset', 'expected.json');
    expect(expected.datasets.length).toBeGreaterThan(0);
    for (const { root, manifestHash, entries, frames } of expected.datasets) {
      const directory = join(RELEASES, release, 'dataset', root);
      const verification = await verifyDataset(directory, { gatewayDid: expected.gateway });
      expect(failedChecks(verification)).toEqual([]);
      expect(verification).toMatchObject({ result: 'verified', root });
      const manifestBytes = await readFile(join(directory, 'manifest.json'));
      expect(toHex(sha256(manifestBytes))).toBe(manifestHash);
      expect(decodeManifest(manifestBytes)).toMatchObject({ root, entries, frames });
    }
  });

  it('wrote a proof that verifies, and that its dataset still gives byte for byte', async () => {
    const expected = await readJson<ExpectedProof>(release, 'proof', 'expected.json');
    const path = join(RELEASES, release, 'proof', 'proof.json');
    const verification = await verifyProof(path, { gatewayDid: expected.gateway });
    expect(failedChecks(verification)).toEqual([]);
    expect(verification).toMatchObject({ result: 'verified', root: expected.root });
    const reader = await DatasetReader.open(join(RELEASES, release, 'dataset', expected.root));
    try {
      const proof = await makeProof(reader, expected);
      expect(proof && Buffer.from(encodeProof(proof)).equals(await readFile(path))).toBe(true);
    } finally {
      await reader.close();
    }
  });
});
