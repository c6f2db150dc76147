import { isLowS, isValidPublicKey, sha256, toHex } from '@waystone/proto';
import { describe, expect, it } from 'vitest';
import { signatureCases } from '../../proto/test-data/signature-cases.js';
import { testKeyNamed } from '../../proto/test-data/test-signer.js';
import { packagedLibrary, systemLibrary } from './secp256k1.js';

const cases = signatureCases().filter(({ keyType }) => keyType === 'secp256k1');

describe.each([
  { name: 'of the npm package', library: packagedLibrary() },
  { name: 'of the system', library: systemLibrary() },
])('the library $name', ({ library }) => {
  it.skipIf(library === null)('gives every published vector of its domain its verdict', () => {
    let seen = 0;
    for (const { publicKey, message, signature, valid, id } of cases) {
      const key = { type: 'secp256k1', bytes: publicKey } as const;
      if (!isValidPublicKey(key)) continue;
      if (signature.length !== 64 || !isLowS('secp256k1', signature)) continue;
      seen += 1;
      expect(library?.verify(key, sha256(message), signature), id).toBe(valid);
    }
    expect(seen).toBeGreaterThan(100);
  });

  it.skipIf(library === null)('refuses r and s out of range, and takes a good one after it', () => {
    const signer = testKeyNamed('secp256k1', 'libsecp256k1');
    const message = Buffer.from('a message');
    const signature = signer.sign(message);
    const digest = sha256(message);
    for (const byte of [0, 0xff]) {
      const outside = [
        Buffer.concat([Buffer.alloc(32, byte), signature.subarray(32)]),
        Buffer.concat([signature.subarray(0, 32), Buffer.alloc(32, byte)]),
      ];
      for (const one of outside) expect(library?.verify(signer.publicKey, digest, one)).toBe(false);
    }
    expect(library?.verify(signer.publicKey, digest, signature)).toBe(true);
    const other = testKeyNamed('secp256k1', 'another');
    expect(library?.verify(other.publicKey, digest, signature)).toBe(false);
  });

  it.skipIf(library === null)(
    'signs as RFC 6979 says, with low S, whatever it signed before',
    () => {
      for (let k = 0; k < 50; k++) {
        const signer = testKeyNamed('secp256k1', `signer ${k}`);
        const message = Buffer.from(`message ${k}`);
        const signature = library?.sign(sha256(message), signer.privateKey) as Uint8Array;
        // Another library's: that of the tests is no libsecp256k1.
        expect(toHex(signature)).toBe(toHex(signer.sign(message)));
        expect(isLowS('secp256k1', signature)).toBe(true);
        expect(library?.verify(signer.publicKey, sha256(message), signature)).toBe(true);
      }
    },
  );

  it.skipIf(library === null)(
    'signs nothing of another length, and with no number that is no key',
    () => {
      const digest = sha256(Buffer.from('a message'));
      const { privateKey } = testKeyNamed('secp256k1', 'lengths');
      expect(() => library?.sign(digest.subarray(1), privateKey)).toThrow();
      expect(() => library?.sign(digest, privateKey.subarray(1))).toThrow();
      for (const byte of [0, 0xff]) {
        expect(() => library?.sign(digest, new Uint8Array(32).fill(byte))).toThrow();
      }
    },
  );
});

describe('a library of the system', () => {
  it('is not taken when it is not there, or is another one', () => {
    expect(systemLibrary(['libsecp256k1.so.999'])).toBeNull();
    expect(systemLibrary(['libc.so.6'])).toBeNull();
    expect(systemLibrary([])).toBeNull();
  });
});
