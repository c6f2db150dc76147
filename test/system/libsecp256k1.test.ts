import { isLowS, isValidPublicKey, sha256 } from '@waystone/proto';
import { expect, it } from 'vitest';
import { packagedVerifier, systemVerifier } from '../../gateway/core/secp256k1.js';
import { signatureCases } from '../../proto/test-data/signature-cases.js';

it("takes Debian's libsecp256k1, with the verdict of the npm package for every published vector", () => {
  const system = systemVerifier();
  expect(system).not.toBeNull();
  const packaged = packagedVerifier();
  let seen = 0;
  for (const { id, keyType, publicKey, message, signature, valid } of signatureCases()) {
    const key = { type: 'secp256k1', bytes: publicKey } as const;
    if (keyType !== 'secp256k1' || !isValidPublicKey(key)) continue;
    if (signature.length !== 64 || !isLowS('secp256k1', signature)) continue;
    seen += 1;
    const digest = sha256(message);
    expect([system?.(key, digest, signature), packaged(key, digest, signature)], id).toEqual([
      valid,
      valid,
    ]);
  }
  expect(seen).toBeGreaterThan(100);
  console.log(`${seen} published vectors, both libraries agree`);
});
