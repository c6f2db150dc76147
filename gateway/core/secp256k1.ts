import { createRequire } from 'node:module';
import type { PublicKey } from '@waystone/proto';
import type Koffi from 'koffi';
import type Secp256k1 from 'secp256k1/bindings.js';

/**
 * Whether a signature (raw r ‖ s, 64 bytes, low S) of a 32-byte digest is of a valid secp256k1 key. False for r or s out
 * of range.
 */
export type VerifyDigest = (key: PublicKey, digest: Uint8Array, signature: Uint8Array) => boolean;

const load = createRequire(import.meta.url);

/** Names under which libsecp256k1 has been installed over time, the newest first; Debian 12 has `libsecp256k1-1`. */
const SYSTEM_LIBRARIES = ['6', '5', '2', '1', '0'].map((version) => `libsecp256k1.so.${version}`);

/** SECP256K1_CONTEXT_VERIFY; newer ones do without, and take it. */
const CONTEXT_VERIFY = 0x101;

/** Bytes of the library's own form of a key and of a signature (`secp256k1.h`). */
const OPAQUE_BYTES = 64;

let chosen: VerifyDigest | null = null;

/** With the system's library where there is one, which is the faster one; else with that of the npm package. */
export function verifySecp256k1(
  key: PublicKey,
  digest: Uint8Array,
  signature: Uint8Array,
): boolean {
  chosen ??= systemVerifier() ?? packagedVerifier();
  return chosen(key, digest, signature);
}

/**
 * Verifies with the libsecp256k1 that the system has: Bitcoin Core's own releases, of which the npm package holds one of
 * 2019. @returns null where there is none, or none that says what it should.
 */
export function systemVerifier(names: readonly string[] = SYSTEM_LIBRARIES): VerifyDigest | null {
  for (const name of names) {
    try {
      const verify = bind(name);
      if (isSound(verify)) return verify;
    } catch {
      // Not there, or another library of this name.
    }
  }
  return null;
}

/** Verifies with the library that the npm package holds. */
export function packagedVerifier(): VerifyDigest {
  const secp256k1 = load('secp256k1/bindings.js') as typeof Secp256k1;
  const parsed = new WeakMap<PublicKey, Uint8Array>();
  return (key, digest, signature) => {
    // It parses the key each time; a compressed one costs a square root, a tenth of the verification.
    let bytes = parsed.get(key);
    if (bytes === undefined) {
      bytes = secp256k1.publicKeyConvert(key.bytes, false);
      parsed.set(key, bytes);
    }
    try {
      return secp256k1.ecdsaVerify(signature, digest, bytes);
    } catch {
      return false; // It throws for r and s out of range.
    }
  };
}

function bind(name: string): VerifyDigest {
  const library = (load('koffi') as typeof Koffi).load(name);
  const createContext = library.func('void *secp256k1_context_create(unsigned int flags)');
  const parseKey = library.func(
    'int secp256k1_ec_pubkey_parse(void *ctx, _Out_ uint8_t *pubkey, const uint8_t *input, size_t inputlen)',
  );
  const parseSignature = library.func(
    'int secp256k1_ecdsa_signature_parse_compact(void *ctx, _Out_ uint8_t *sig, const uint8_t *input64)',
  );
  const verify = library.func(
    'int secp256k1_ecdsa_verify(void *ctx, const uint8_t *sig, const uint8_t *msghash32, const uint8_t *pubkey)',
  );
  const context: unknown = createContext(CONTEXT_VERIFY);
  const parsed = new WeakMap<PublicKey, Uint8Array>();
  const own = new Uint8Array(OPAQUE_BYTES);
  return (key, digest, signature) => {
    // The library reads as many bytes as it says, whatever it is given.
    if (digest.length !== 32 || signature.length !== 64) return false;
    let pubkey = parsed.get(key);
    if (pubkey === undefined) {
      pubkey = new Uint8Array(OPAQUE_BYTES);
      if (parseKey(context, pubkey, key.bytes, key.bytes.length) !== 1) return false;
      parsed.set(key, pubkey);
    }
    return (
      parseSignature(context, own, signature) === 1 && verify(context, own, digest, pubkey) === 1
    );
  };
}

/** A signature of SHA-256("sample") by the key of private key 1. */
const SAMPLE = {
  key: '0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798',
  digest: 'af2bdbe1aa9b6ec1e2ade1d694f41fc71a831d0268e9891562113d8a62add1bf',
  signature:
    '58db657bcd631038bea07b4941172f0167aca98f12b55e3176bd1c35435d6501' +
    '3a78e73d8ff8ab554e13c10f6390d81a882f91945d6275493882676170b53a57',
};

/** A library is asked before it is trusted. */
function isSound(verify: VerifyDigest): boolean {
  const key: PublicKey = { type: 'secp256k1', bytes: Buffer.from(SAMPLE.key, 'hex') };
  const digest = Buffer.from(SAMPLE.digest, 'hex');
  const signature = Buffer.from(SAMPLE.signature, 'hex');
  const other = digest.map((byte, at) => (at === 0 ? byte ^ 1 : byte));
  return verify(key, digest, signature) && !verify(key, other, signature);
}
