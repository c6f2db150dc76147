import { verify } from 'node:crypto';
import { createRequire } from 'node:module';
import { isAcceptedEd25519Point, isLowS, keyObject, type PublicKey, sha256 } from '@waystone/proto';
import secp256k1 from 'secp256k1/bindings.js';
import type Sodium from 'sodium-native';

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
        return secp256k1.ecdsaVerify(signature, sha256(message), uncompressed(key));
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

/** Of keys that are still in use. */
const uncompressedKeys = new WeakMap<PublicKey, Uint8Array>();

/** libsecp256k1 parses the key for each signature; a compressed one costs a square root, a tenth of the verification. */
function uncompressed(key: PublicKey): Uint8Array {
  let bytes = uncompressedKeys.get(key);
  if (bytes === undefined) {
    bytes = secp256k1.publicKeyConvert(key.bytes, false);
    uncompressedKeys.set(key, bytes);
  }
  return bytes;
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
