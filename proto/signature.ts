import { verify } from 'node:crypto';
import { concatBytes } from './bytes.js';
import { isAcceptedEd25519Point, type KeyType, keyObject, type PublicKey } from './keys.js';

/**
 * The one rule for signatures, whichever library applies it.
 *
 * ECDSA (secp256k1, P-256): over SHA-256 of the message, raw r ‖ s, 1 ≤ r, s < n; a valid signature has
 * low S (s ≤ n/2). Signers that give high S are normalised before an entry is made.
 * Ed25519: over the message itself; S < L, A and R canonical and not of small order, cofactorless equation.
 */
export const SIGNATURE_BYTES = 64;

type EcdsaKeyType = Exclude<KeyType, 'Ed25519'>;

/** Group orders: SEC 2 §2.4.1 and §2.4.2. */
const ORDER: Record<EcdsaKeyType, bigint> = {
  secp256k1: 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n,
  'P-256': 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n,
};

const HALF_ORDER: Record<EcdsaKeyType, Uint8Array> = {
  secp256k1: toBytes32(ORDER.secp256k1 >> 1n),
  'P-256': toBytes32(ORDER['P-256'] >> 1n),
};

/** The signature rule, as any library may apply it. Never throws for bad bytes. */
export type VerifySignature = (
  key: PublicKey,
  message: Uint8Array,
  signature: Uint8Array,
) => boolean;

/** Whether `signature` is valid, low S included. Never throws for bad bytes. */
export function verifySignature(
  key: PublicKey,
  message: Uint8Array,
  signature: Uint8Array,
): boolean {
  if (signature.length !== SIGNATURE_BYTES) return false;
  try {
    if (key.type === 'Ed25519') {
      // OpenSSL checks S < L and compares R bytewise (so R is canonical), but takes any A, and R of small order.
      if (!isAcceptedEd25519Point(key.bytes)) return false;
      if (!isAcceptedEd25519Point(signature.subarray(0, 32))) return false;
      return verify(null, message, keyObject(key), signature);
    }
    if (!isLowS(key.type, signature)) return false;
    return verify('sha256', message, { key: keyObject(key), dsaEncoding: 'ieee-p1363' }, signature);
  } catch {
    return false; // OpenSSL throws for a point that is not on its curve.
  }
}

/** Whether the S half of a raw ECDSA signature is at most n/2. Ed25519 signatures have no high form. */
export function isLowS(type: KeyType, signature: Uint8Array): boolean {
  if (type === 'Ed25519') return true;
  // Half of either order begins with 0x7f: almost every low S is told by its first byte.
  if ((signature[32] as number) < 0x7f) return true;
  return Buffer.compare(signature.subarray(32), HALF_ORDER[type]) <= 0;
}

/**
 * The signature with low S: s becomes n - s where s > n/2 and s < n; anything else is returned as it is.
 * Both forms are valid for the same message and key, so a device that gives either is accepted.
 */
export function normaliseSignature(type: KeyType, signature: Uint8Array): Uint8Array {
  if (type === 'Ed25519' || signature.length !== SIGNATURE_BYTES || isLowS(type, signature)) {
    return signature;
  }
  const s = BigInt(`0x${Buffer.from(signature.subarray(32)).toString('hex')}`);
  if (s >= ORDER[type]) return signature;
  return concatBytes(signature.subarray(0, 32), toBytes32(ORDER[type] - s));
}

function toBytes32(value: bigint): Uint8Array {
  return new Uint8Array(Buffer.from(value.toString(16).padStart(64, '0'), 'hex'));
}
