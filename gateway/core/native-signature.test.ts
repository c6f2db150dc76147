import {
  equalBytes,
  isValidPublicKey,
  type KeyType,
  normaliseSignature,
  type PublicKey,
  verifySignature,
} from '@waystone/proto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { signatureCases } from '../../proto/test-data/signature-cases.js';
import { flipS, testKeyNamed } from '../../proto/test-data/test-signer.js';
import { verifyNative } from './native-signature.js';

const TYPES: readonly KeyType[] = ['secp256k1', 'P-256', 'Ed25519'];
const cases = signatureCases();

describe.each(TYPES)('the native verifier of %s', (type) => {
  const own = cases.filter(({ keyType }) => keyType === type);

  it('gives every published vector its verdict, as the portable verifier does', () => {
    expect(own.length).toBeGreaterThan(100);
    const wrong = own.filter(({ publicKey, message, signature, valid }) => {
      const key = { type, bytes: publicKey };
      // Enrolment lets no other key in.
      if (!isValidPublicKey(key)) return valid;
      const native = verifyNative(key, message, signature);
      return native !== valid || native !== verifySignature(key, message, signature);
    });
    expect(wrong.map(({ id }) => id)).toEqual([]);
  });

  it('agrees with the portable one on whatever is done to key, message and signature', () => {
    const signer = testKeyNamed(type, 'native verifier');
    const flip = fc.record({
      part: fc.constantFrom('key', 'message', 'signature' as const),
      at: fc.nat({ max: 1000 }),
      bit: fc.nat({ max: 7 }),
    });
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 1, maxLength: 300 }),
        fc.array(flip, { maxLength: 3 }),
        fc.boolean(),
        (message, flips, isHigh) => {
          const signed = signer.sign(message);
          const parts = {
            key: signer.publicKey.bytes.slice(),
            message: message.slice(),
            signature: isHigh && type !== 'Ed25519' ? flipS(type, signed) : signed.slice(),
          };
          for (const { part, at, bit } of flips) {
            const bytes = parts[part];
            const index = at % bytes.length;
            bytes[index] = (bytes[index] as number) ^ (1 << bit);
          }
          const key: PublicKey = { type, bytes: parts.key };
          if (!isValidPublicKey(key)) return;
          const portable = verifySignature(key, parts.message, parts.signature);
          expect(verifyNative(key, parts.message, parts.signature)).toBe(portable);
          const isUntouched =
            equalBytes(parts.key, signer.publicKey.bytes) &&
            equalBytes(parts.message, message) &&
            equalBytes(parts.signature, signed);
          expect(portable).toBe(isUntouched);
        },
      ),
      { numRuns: 200 },
    );
  });

  it('agrees with the portable one on random signatures', () => {
    const { publicKey } = testKeyNamed(type, 'native verifier');
    const edge = fc.constantFrom(new Uint8Array(32), new Uint8Array(32).fill(255));
    const half = fc.oneof(fc.uint8Array({ minLength: 32, maxLength: 32 }), edge);
    fc.assert(
      fc.property(half, half, fc.uint8Array({ maxLength: 64 }), (left, right, message) => {
        const signature = normaliseSignature(type, Buffer.concat([left, right]));
        expect(verifyNative(publicKey, message, signature)).toBe(
          verifySignature(publicKey, message, signature),
        );
      }),
      { numRuns: 100 },
    );
  });

  it.each([0, 1, 63, 65, 72, 128])('refuses a signature of %i bytes', (length) => {
    const { publicKey } = testKeyNamed(type, 'native verifier');
    expect(verifyNative(publicKey, new Uint8Array(1), new Uint8Array(length))).toBe(false);
  });

  it('holds views on a larger buffer for what they are', () => {
    const signer = testKeyNamed(type, 'native verifier');
    const message = new Uint8Array(200).map((_, at) => at);
    const buffer = new Uint8Array(1000).fill(9);
    buffer.set(message, 100);
    buffer.set(signer.sign(message), 300);
    const view = [buffer.subarray(100, 300), buffer.subarray(300, 364)] as const;
    expect(verifyNative(signer.publicKey, ...view)).toBe(true);
  });
});
