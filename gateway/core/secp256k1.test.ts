import { isLowS, isValidPublicKey, sha256 } from '@waystone/proto';
import { describe, expect, it } from 'vitest';
import { signatureCases } from '../../proto/test-data/signature-cases.js';
import { testKeyNamed } from '../../proto/test-data/test-signer.js';
import { packagedVerifier, systemVerifier } from './secp256k1.js';

const cases = signatureCases().filter(({ keyType }) => keyType === 'secp256k1');

describe.each([
  { name: 'of the npm package', verify: packagedVerifier() },
  { name: 'of the system', verify: systemVerifier() },
])('the library $name', ({ verify }) => {
  it.skipIf(verify === null)('gives every published vector of its domain its verdict', () => {
    let seen = 0;
    for (const { publicKey, message, signature, valid, id } of cases) {
      const key = { type: 'secp256k1', bytes: publicKey } as const;
      if (!isValidPublicKey(key)) continue;
      if (signature.length !== 64 || !isLowS('secp256k1', signature)) continue;
      seen += 1;
      expect(verify?.(key, sha256(message), signature), id).toBe(valid);
    }
    expect(seen).toBeGreaterThan(100);
  });

  it.skipIf(verify === null)('refuses r and s out of range, and takes a good one after it', () => {
    const signer = testKeyNamed('secp256k1', 'libsecp256k1');
    const message = Buffer.from('a message');
    const signature = signer.sign(message);
    const digest = sha256(message);
    for (const byte of [0, 0xff]) {
      const outside = [
        Buffer.concat([Buffer.alloc(32, byte), signature.subarray(32)]),
        Buffer.concat([signature.subarray(0, 32), Buffer.alloc(32, byte)]),
      ];
      for (const one of outside) expect(verify?.(signer.publicKey, digest, one)).toBe(false);
    }
    expect(verify?.(signer.publicKey, digest, signature)).toBe(true);
    const other = testKeyNamed('secp256k1', 'another');
    expect(verify?.(other.publicKey, digest, signature)).toBe(false);
  });
});

describe('a library of the system', () => {
  it('is not taken when it is not there, or is another one', () => {
    expect(systemVerifier(['libsecp256k1.so.999'])).toBeNull();
    expect(systemVerifier(['libc.so.6'])).toBeNull();
    expect(systemVerifier([])).toBeNull();
  });
});
