import { verify } from 'node:crypto';
import { createRequire } from 'node:module';
import { isAcceptedEd25519Point, isLowS, keyObject, type PublicKey, sha256 } from '@waystone/proto';
import type Sodium from 'sodium-native';
import { secp256k1Library } from './secp256k1.js';

/**
 * The signature rule of `@waystone/proto`, with the fastest library for each key type: libsecp256k1, libsodium,
 * OpenSSL. The published vectors hold both to the same verdicts.
 *
 * @param key a valid public key, as enrolment checks it.
 */
export function verifyNative(key: PublicKey, message: Uint8Array, signature: Uint8Array): boolean {
  if (signature.length !== 64 || !isLowS(key.type, signature)) return false;
  try {
    switch (key.type) {
      case 'secp256k1':
        return secp256k1Library().verify(key, sha256(message), signature);
      case 'Ed25519':
        if (!isAcceptedEd25519Point(key.bytes)) return false;
        return sodium().crypto_sign_verify_detached(signature, message, key.bytes);
      case 'P-256':
        return verify(
          'sha256',
          message,
          { key: cachedKeyObject(key), dsaEncoding: 'ieee-p1363' },
          signature,
        );
    }
  } catch {
    return false; // The libraries throw for r, s or keys out of range.
  }
}

let loaded: typeof Sodium | null = null;

/** Loaded for the first Ed25519 key: many fleets have none, and it takes 2 MB in each thread. */
function sodium(): typeof Sodium {
  loaded ??= createRequire(import.meta.url)('sodium-native') as typeof Sodium;
  return loaded;
}

const KEY_OBJECTS_MAX = 20_000;
const keyObjects = new Map<string, ReturnType<typeof keyObject>>();

/** Parsing a key costs as much as a verification. */
function cachedKeyObject(key: PublicKey): ReturnType<typeof keyObject> {
  const name = Buffer.from(key.bytes).toString('latin1');
  let object = keyObjects.get(name);
  if (object === undefined) {
    if (keyObjects.size >= KEY_OBJECTS_MAX) keyObjects.clear();
    object = keyObject(key);
    keyObjects.set(name, object);
  }
  return object;
}
