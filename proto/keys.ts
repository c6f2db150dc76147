import { createPublicKey, type KeyObject } from 'node:crypto';
import { base58 } from '@scure/base';
import { concatBytes, requireLength } from './bytes.js';
import { sha256 } from './hash.js';

/**
 * Keys that Waystone accepts, with their numbers on chain and in the ledger.
 * secp256k1 is the default for software keys, since every EVM chain can check it; P-256 lives in secure
 * elements, TPMs and phones; Ed25519 is accepted, but a contract cannot check it at a bearable price.
 */
export const KEY_TYPES = { secp256k1: 1, 'P-256': 2, Ed25519: 3 } as const;
export type KeyType = keyof typeof KEY_TYPES;

/** A public key in its one accepted form: compressed SEC 1 point (33 bytes) or Ed25519 key (32 bytes). */
export interface PublicKey {
  readonly type: KeyType;
  readonly bytes: Uint8Array;
}

/** Multicodec prefixes (unsigned varints) of the did:key method. */
const MULTICODEC: Record<KeyType, Uint8Array> = {
  secp256k1: Uint8Array.of(0xe7, 0x01),
  'P-256': Uint8Array.of(0x80, 0x24),
  Ed25519: Uint8Array.of(0xed, 0x01),
};

const KEY_BYTES: Record<KeyType, number> = { secp256k1: 33, 'P-256': 33, Ed25519: 32 };

const DID_PREFIX = 'did:key:';

/** The longest did:key of the three types has 57 characters; anything longer is not decoded at all. */
const DID_CHARS_MAX = 64;

/** Type of a key by its number, or null. */
export function keyTypeFromNumber(value: number): KeyType | null {
  for (const type of Object.keys(KEY_TYPES) as KeyType[])
    if (KEY_TYPES[type] === value) return type;
  return null;
}

/** Multicodec form: prefix and key; 35 bytes, for Ed25519 34. */
export function multicodecKey(key: PublicKey): Uint8Array {
  requireLength(`${key.type} public key`, key.bytes, KEY_BYTES[key.type]);
  return concatBytes(MULTICODEC[key.type], key.bytes);
}

/** SHA-256 of the multicodec form: how statements, checkpoints and contracts name a key; 32 bytes. */
export function keyId(key: PublicKey): Uint8Array {
  return sha256(multicodecKey(key));
}

/** `did:key:z…`, base58btc of the multicodec form. */
export function didFromKey(key: PublicKey): string {
  return `${DID_PREFIX}z${base58.encode(multicodecKey(key))}`;
}

/** The device's name in topics and as MQTT client id: its did:key without `did:key:`. */
export function topicIdFromDid(did: string): string {
  return did.slice(DID_PREFIX.length);
}

/** The did:key of a topic id or client id. */
export function didFromTopicId(topicId: string): string {
  return DID_PREFIX + topicId;
}

/**
 * The public key that a did:key names.
 *
 * @throws TypeError when `did` is not the did:key of a valid secp256k1, P-256 or Ed25519 key.
 */
export function keyFromDid(did: string): PublicKey {
  const key = parseDid(did);
  if (key === null) throw noDid(did);
  return key;
}

/** As {@link keyFromDid}, with null for anything else. */
export function parseDid(did: string): PublicKey | null {
  const key = decodeDid(did);
  return key !== null && isValidPublicKey(key) ? key : null;
}

/**
 * Type of the key of a did:key that was judged before: whether it is a point of its curve is not asked again, which
 * costs as much as a verification.
 *
 * @throws TypeError when `did` cannot be a did:key.
 */
export function keyTypeOfDid(did: string): KeyType {
  const key = decodeDid(did);
  if (key === null) throw noDid(did);
  return key.type;
}

/** The key that a did:key names, which may be no point of its curve. */
function decodeDid(did: string): PublicKey | null {
  if (!did.startsWith(`${DID_PREFIX}z`) || did.length > DID_CHARS_MAX) return null;
  let decoded: Uint8Array;
  try {
    decoded = base58.decode(did.slice(DID_PREFIX.length + 1));
  } catch {
    return null;
  }
  for (const type of Object.keys(MULTICODEC) as KeyType[]) {
    const prefix = MULTICODEC[type];
    if (decoded.length !== prefix.length + KEY_BYTES[type]) continue;
    if (decoded[0] !== prefix[0] || decoded[1] !== prefix[1]) continue;
    return { type, bytes: decoded.slice(prefix.length) };
  }
  return null;
}

function noDid(did: string): TypeError {
  return new TypeError(
    `expected the did:key of a secp256k1, P-256 or Ed25519 key, got ${JSON.stringify(did.slice(0, 80))}`,
  );
}

/** Whether the key is well formed: a compressed point of its curve, or a canonical Ed25519 point of large order. */
export function isValidPublicKey(key: PublicKey): boolean {
  if (key.bytes.length !== KEY_BYTES[key.type]) return false;
  if (key.type === 'Ed25519') return isAcceptedEd25519Point(key.bytes);
  try {
    keyObject(key);
    return true;
  } catch {
    return false;
  }
}

const SPKI_PREFIX: Record<KeyType, Uint8Array> = {
  // SubjectPublicKeyInfo headers (RFC 5480, RFC 8410) for a compressed point and for an Ed25519 key.
  secp256k1: new Uint8Array(Buffer.from('3036301006072a8648ce3d020106052b8104000a032200', 'hex')),
  'P-256': new Uint8Array(
    Buffer.from('3039301306072a8648ce3d020106082a8648ce3d030107032200', 'hex'),
  ),
  Ed25519: new Uint8Array(Buffer.from('302a300506032b6570032100', 'hex')),
};

/**
 * Node's KeyObject for a public key. OpenSSL checks that the point is on the curve.
 *
 * @throws Error when it is not.
 */
export function keyObject(key: PublicKey): KeyObject {
  const der = Buffer.concat([SPKI_PREFIX[key.type], key.bytes]);
  return createPublicKey({ key: der, format: 'der', type: 'spki' });
}

/** p = 2^255 - 19, the field of Curve25519. */
const ED25519_P = 2n ** 255n - 19n;

/** y coordinates of the eight points of small order, with those that are only reachable non-canonically left out. */
const ED25519_SMALL_ORDER_Y = new Set([
  0n,
  1n,
  ED25519_P - 1n,
  2707385501144840649318225287225658788936804267575313519463743609750303402022n,
  55188659117513257062467267217118295137698188065244968500265048394206261417927n,
]);

/** Whether a 32-byte Ed25519 encoding is canonical and not of small order. Says nothing about being on the curve. */
export function isAcceptedEd25519Point(encoded: Uint8Array): boolean {
  if (encoded.length !== 32) return false;
  const y = BigInt(`0x${Buffer.from(encoded).reverse().toString('hex')}`) & (2n ** 255n - 1n);
  return y < ED25519_P && !ED25519_SMALL_ORDER_Y.has(y);
}
