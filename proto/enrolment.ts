import { ECDH } from 'node:crypto';
import { concatBytes, fromHex, requireInteger, requireLength, UINT53_MAX } from './bytes.js';
import { HASH_BYTES } from './hash.js';
import type { PublicKey } from './keys.js';
import { u8, u64 } from './reader.js';
import { TAGS } from './tags.js';

/** What keys are for, by the registry's numbers. */
export const KEY_KINDS = { device: 1, gateway: 2 } as const;

/** Where keys are registered: a chain's DeviceRegistry, and an iDAO. Addresses are 0x and 40 hex digits. */
export interface EnrolmentPlace {
  readonly chainId: number;
  readonly registry: string;
  readonly idao: string;
}

/**
 * What a key signs so that it can be registered to an iDAO, 105 bytes: tag 16 ‖ chain id u64 ‖ registry 20 ‖ iDAO 20 ‖
 * key id 32 ‖ kind u8 ‖ expiry u64. `DeviceRegistry.possessionMessage` makes the same bytes.
 *
 * @param keyId 32 bytes.
 * @param expiry last second in which it counts, Unix seconds.
 */
export function enrolmentMessage(
  place: EnrolmentPlace,
  keyId: Uint8Array,
  kind: keyof typeof KEY_KINDS,
  expiry: number,
): Uint8Array {
  requireInteger('chainId', place.chainId, 1, UINT53_MAX);
  requireInteger('expiry', expiry, 0, UINT53_MAX);
  requireLength('keyId', keyId, HASH_BYTES);
  return concatBytes(
    TAGS.enrolment,
    u64(place.chainId),
    addressBytes('registry', place.registry),
    addressBytes('idao', place.idao),
    keyId,
    u8(KEY_KINDS[kind]),
    u64(expiry),
  );
}

/** Both keys of a rotation, and until when. */
export interface Rotation {
  /** Key ids, 32 bytes. */
  readonly oldKeyId: Uint8Array;
  readonly newKeyId: Uint8Array;
  /** Last second in which data of the old key may be received, Unix seconds. */
  readonly drainUntil: number;
  /** Last second in which the link counts, Unix seconds. */
  readonly expiry: number;
}

/**
 * What the old and the new key both sign so that the one takes the place of the other, 144 bytes: tag 16 ‖ chain id u64 ‖
 * registry 20 ‖ iDAO 20 ‖ old key id 32 ‖ new key id 32 ‖ drain until u64 ‖ expiry u64.
 */
export function rotationMessage(place: EnrolmentPlace, rotation: Rotation): Uint8Array {
  requireInteger('chainId', place.chainId, 1, UINT53_MAX);
  requireInteger('drainUntil', rotation.drainUntil, 0, UINT53_MAX);
  requireInteger('expiry', rotation.expiry, 0, UINT53_MAX);
  requireLength('oldKeyId', rotation.oldKeyId, HASH_BYTES);
  requireLength('newKeyId', rotation.newKeyId, HASH_BYTES);
  return concatBytes(
    TAGS.rotation,
    u64(place.chainId),
    addressBytes('registry', place.registry),
    addressBytes('idao', place.idao),
    rotation.oldKeyId,
    rotation.newKeyId,
    u64(rotation.drainUntil),
    u64(rotation.expiry),
  );
}

/**
 * The y of an ECDSA key, 32 bytes: compression leaves it out, and a contract would have to take a root to find it.
 *
 * @returns null for Ed25519, and for a point that is on no curve.
 */
export function affineY(key: PublicKey): Uint8Array | null {
  if (key.type === 'Ed25519') return null;
  const curve = key.type === 'secp256k1' ? 'secp256k1' : 'prime256v1';
  try {
    const point = ECDH.convertKey(key.bytes, curve, undefined, undefined, 'uncompressed') as Buffer;
    return new Uint8Array(point.subarray(33));
  } catch {
    return null;
  }
}

function addressBytes(field: string, address: string): Uint8Array {
  if (/^0x[0-9a-fA-F]{40}$/.test(address)) return fromHex(address.slice(2).toLowerCase());
  throw new TypeError(`${field} must be 0x and 40 hex digits, got ${JSON.stringify(address)}`);
}
