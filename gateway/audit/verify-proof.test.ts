import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { toHex } from '@waystone/proto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DatasetReader } from '../dataset/folder-reader.js';
import { encodeProof, makeProof, type Proof } from '../dataset/proof.js';
import { makeDataset, makeKey, makeRows, TEST_STREAM } from '../dataset/testing.js';
import { checkOf, failedChecks } from './testing.js';
import { verifyPath } from './verify.js';
import { verifyProof, verifyProofBytes } from './verify-proof.js';

const gateway = makeKey('secp256k1');
const pinned = { gatewayDid: gateway.did };
let home: string;
let proofs: Proof[];

beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'waystone-proof-'));
  proofs = [];
  const keys = [makeKey('secp256k1'), makeKey('P-256'), makeKey('Ed25519')];
  for (const [at, key] of keys.entries()) {
    const rows = makeRows([key], 5, 3);
    const { directory } = await makeDataset({ parent: home, gateway, keys: [key], rows });
    const reader = await DatasetReader.open(directory);
    const session = toHex(rows[0]?.entry.subarray(80, 96) ?? new Uint8Array());
    const place = { device: key.did, session, stream: TEST_STREAM, sequence: 12 + at };
    proofs.push((await makeProof(reader, place)) as Proof);
    await reader.close();
  }
});
afterAll(() => rm(home, { recursive: true }));

const first = () => proofs[0] as Proof;
const verify = (proof: Proof) => verifyProofBytes(encodeProof(proof), pinned);

describe('a proof file', () => {
  it('verifies by itself, for each type of key', async () => {
    for (const [at, proof] of proofs.entries()) {
      const path = join(home, 'proof.json');
      await writeFile(path, encodeProof(proof));
      const verification = await verifyProof(path, pinned);
      expect(failedChecks(verification)).toEqual([]);
      expect(verification).toMatchObject({ subject: 'proof', result: 'verified', exitCode: 0 });
      expect(checkOf(verification, 'frames roots').detail).toBe(
        `frame ${at} of 3, sequence ${12 + at}`,
      );
      expect((await verifyPath(path)).result).toBe('consistent');
    }
  });

  it('fails with any byte changed, cut or added', async () => {
    const bytes = encodeProof(first());
    for (let at = 0; at < bytes.length; at += 1) {
      const changed = bytes.slice();
      // 0x20 turns the case of letters, which a lenient reader of hex would not see.
      changed[at] = (changed[at] as number) ^ (at % 2 === 0 ? 0x01 : 0x20);
      expect([at, (await verifyProofBytes(changed)).result]).toEqual([at, 'failed']);
    }
    for (const size of [0, 1, bytes.length - 1]) {
      expect((await verifyProofBytes(bytes.slice(0, size))).result).toBe('failed');
    }
    expect((await verifyProofBytes(Buffer.concat([bytes, Buffer.from('\n')]))).result).toBe(
      'failed',
    );
  }, 240_000);

  it('fails for another gateway, and for parts of another proof', async () => {
    const bytes = encodeProof(first());
    const options = { gatewayDid: makeKey('secp256k1').did };
    expect(failedChecks(await verifyProofBytes(bytes, options))).toEqual(['signer']);
    const other = proofs[1] as Proof;
    const swaps: [keyof Proof, string][] = [
      ['device', 'device keys'],
      ['frame', 'frames roots'],
      ['framePath', 'frames roots'],
      ['entryPath', 'entries tree'],
      ['entry', 'entries tree'],
      ['manifest', 'log record'],
      ['checkpoint', 'log record'],
    ];
    for (const [field, check] of swaps) {
      const verification = await verify({ ...first(), [field]: other[field] });
      expect([field, failedChecks(verification)]).toEqual([field, expect.arrayContaining([check])]);
    }
  });

  it('fails for another place of frame or entry', async () => {
    expect(failedChecks(await verify({ ...first(), frameIndex: 1 }))).toContain('frames roots');
    expect(failedChecks(await verify({ ...first(), entryIndex: 3 }))).toContain('entries tree');
  });

  it('is told apart from a path that cannot be read', async () => {
    await expect(verifyProof(join(home, 'none'))).rejects.toMatchObject({
      code: 'PATH_UNREADABLE',
    });
    await expect(verifyPath(join(home, 'none'))).rejects.toMatchObject({ code: 'PATH_UNREADABLE' });
  });
});
