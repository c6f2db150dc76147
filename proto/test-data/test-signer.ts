import { createECDH, createHmac, createPrivateKey, ECDH, sign } from 'node:crypto';
import { concatBytes } from '../bytes.js';
import { sha256 } from '../hash.js';
import type { KeyType, PublicKey } from '../keys.js';
import { normaliseSignature } from '../signature.js';

/**
 * Keys for test vectors. Their private halves are published, so nobody may ever use one for anything else.
 * Signatures are deterministic (RFC 6979, RFC 8032), so that vectors can be made again byte for byte.
 */
export interface TestKey {
  readonly publicKey: PublicKey;
  readonly privateKey: Uint8Array;
  /** Raw 64-byte signature of `message` with low S. */
  sign(message: Uint8Array): Uint8Array;
}

const CURVES = {
  secp256k1: {
    name: 'secp256k1',
    order: 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n,
  },
  'P-256': {
    name: 'prime256v1',
    order: 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n,
  },
} as const;

/** The key pair of `type` whose private key (ECDSA scalar or Ed25519 seed) is these 32 bytes. */
export function testKey(type: KeyType, privateKey: Uint8Array): TestKey {
  if (type === 'Ed25519') {
    const der = Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), privateKey]);
    const key = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
    const x = key.export({ format: 'jwk' }).x as string;
    return {
      publicKey: { type, bytes: new Uint8Array(Buffer.from(x, 'base64url')) },
      privateKey,
      sign: (message) => new Uint8Array(sign(null, message, key)),
    };
  }
  return {
    publicKey: { type, bytes: ecdsaPoint(type, privateKey, true) },
    privateKey,
    sign: (message) => normaliseSignature(type, ecdsaSign(type, privateKey, message)),
  };
}

/** The key pair whose private key is SHA-256 of a label. */
export function testKeyNamed(type: KeyType, label: string): TestKey {
  return testKey(type, sha256(Buffer.from(`waystone test key: ${label}`, 'ascii')));
}

/** x and y of a compressed point, 32 bytes each. */
export function ecdsaCoordinates(key: PublicKey): { x: Uint8Array; y: Uint8Array } {
  const { name } = CURVES[key.type as keyof typeof CURVES];
  const point = ECDH.convertKey(key.bytes, name, undefined, undefined, 'uncompressed') as Buffer;
  return { x: new Uint8Array(point.subarray(1, 33)), y: new Uint8Array(point.subarray(33)) };
}

/** The ECDSA twin of a signature: s becomes n - s. Valid in ECDSA, refused by Waystone in its high form. */
export function flipS(type: keyof typeof CURVES, signature: Uint8Array): Uint8Array {
  return concatBytes(
    signature.subarray(0, 32),
    bytes32(CURVES[type].order - integer(signature.subarray(32))),
  );
}

/** ECDSA over SHA-256 with the nonce of RFC 6979 §3.2; S as it falls, high or low. */
export function ecdsaSign(
  type: keyof typeof CURVES,
  privateKey: Uint8Array,
  message: Uint8Array,
): Uint8Array {
  const { order } = CURVES[type];
  const hash = integer(sha256(message)) % order;
  const nonces = rfc6979Nonces(order, privateKey, bytes32(hash));
  for (;;) {
    const k = nonces.next().value;
    // OpenSSL multiplies the base point for us: r is the x coordinate of k·G.
    const r = integer(ecdsaPoint(type, bytes32(k), false).subarray(1, 33)) % order;
    const s = (inverse(k, order) * (hash + r * integer(privateKey))) % order;
    if (r !== 0n && s !== 0n) return concatBytes(bytes32(r), bytes32(s));
  }
}

/** RFC 6979 §3.2 with HMAC-SHA256; both orders have 256 bits, so bits2int is the identity. */
function* rfc6979Nonces(
  order: bigint,
  privateKey: Uint8Array,
  hash: Uint8Array,
): Generator<bigint, never> {
  const hmac = (key: Uint8Array, ...parts: Uint8Array[]): Uint8Array =>
    createHmac('sha256', key)
      .update(concatBytes(...parts))
      .digest();
  let v: Uint8Array = new Uint8Array(32).fill(1);
  let key: Uint8Array = new Uint8Array(32);
  for (const separator of [0, 1]) {
    key = hmac(key, v, Uint8Array.of(separator), privateKey, hash);
    v = hmac(key, v);
  }
  for (;;) {
    v = hmac(key, v);
    const k = integer(v);
    if (k > 0n && k < order) yield k;
    key = hmac(key, v, Uint8Array.of(0));
    v = hmac(key, v);
  }
}

function ecdsaPoint(
  type: keyof typeof CURVES,
  scalar: Uint8Array,
  compressed: boolean,
): Uint8Array {
  const ecdh = createECDH(CURVES[type].name);
  ecdh.setPrivateKey(scalar);
  return new Uint8Array(ecdh.getPublicKey(null, compressed ? 'compressed' : 'uncompressed'));
}

/** Modular inverse by Fermat; `modulus` is prime. */
function inverse(value: bigint, modulus: bigint): bigint {
  let result = 1n;
  let base = value % modulus;
  for (let exponent = modulus - 2n; exponent > 0n; exponent >>= 1n) {
    if (exponent & 1n) result = (result * base) % modulus;
    base = (base * base) % modulus;
  }
  return result;
}

function integer(bytes: Uint8Array): bigint {
  return BigInt(`0x${Buffer.from(bytes).toString('hex')}`);
}

function bytes32(value: bigint): Uint8Array {
  return new Uint8Array(Buffer.from(value.toString(16).padStart(64, '0'), 'hex'));
}
