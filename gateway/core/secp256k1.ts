import { randomBytes } from 'node:crypto';
import { createRequire } from 'node:module';
import { equalBytes, type PublicKey, requireLength } from '@waystone/proto';
import type Koffi from 'koffi';
import type Secp256k1 from 'secp256k1/bindings.js';

/** libsecp256k1, as far as it is used. Both of it are of a 32-byte digest, and a signature is raw r ‖ s, 64 bytes. */
export interface Secp256k1Library {
  /** Whether a signature with low S is of a valid secp256k1 key. False for r or s out of range. */
  readonly verify: (key: PublicKey, digest: Uint8Array, signature: Uint8Array) => boolean;
  /** ECDSA with low S; the same each time (RFC 6979). @param privateKey a valid one, 32 bytes. */
  readonly sign: (digest: Uint8Array, privateKey: Uint8Array) => Uint8Array;
}

const load = createRequire(import.meta.url);

/** Names under which libsecp256k1 has been installed over time, the newest first; Debian 12 has `libsecp256k1-1`. */
const SYSTEM_LIBRARIES = ['6', '5', '2', '1', '0'].map((version) => `libsecp256k1.so.${version}`);

/** SECP256K1_CONTEXT_SIGN | SECP256K1_CONTEXT_VERIFY; newer ones do without, and take it. */
const CONTEXT_BOTH = 0x301;

/** Bytes of the library's own form of a key and of a signature (`secp256k1.h`). */
const OPAQUE_BYTES = 64;

let chosen: Secp256k1Library | null = null;

/** The system's library where there is one, which is the faster one; else that of the npm package. */
export function secp256k1Library(): Secp256k1Library {
  chosen ??= systemLibrary() ?? packagedLibrary();
  return chosen;
}

/**
 * The libsecp256k1 that the system has: Bitcoin Core's own releases, of which the npm package holds one of 2019.
 * @returns null where there is none, or none that says what it should.
 */
export function systemLibrary(
  names: readonly string[] = SYSTEM_LIBRARIES,
): Secp256k1Library | null {
  for (const name of names) {
    try {
      const library = bind(name);
      if (isSound(library)) return library;
    } catch {
      // Not there, or another library of this name.
    }
  }
  return null;
}

/** The library that the npm package holds. */
export function packagedLibrary(): Secp256k1Library {
  const secp256k1 = load('secp256k1/bindings.js') as typeof Secp256k1;
  const parsed = new WeakMap<PublicKey, Uint8Array>();
  return {
    verify: (key, digest, signature) => {
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
    },
    sign: (digest, privateKey) => secp256k1.ecdsaSign(digest, privateKey).signature,
  };
}

function bind(name: string): Secp256k1Library {
  const library = (load('koffi') as typeof Koffi).load(name);
  const createContext = library.func('void *secp256k1_context_create(unsigned int flags)');
  const randomize = library.func(
    'int secp256k1_context_randomize(void *ctx, const uint8_t *seed32)',
  );
  const parseKey = library.func(
    'int secp256k1_ec_pubkey_parse(void *ctx, _Out_ uint8_t *pubkey, const uint8_t *input, size_t inputlen)',
  );
  const parseSignature = library.func(
    'int secp256k1_ecdsa_signature_parse_compact(void *ctx, _Out_ uint8_t *sig, const uint8_t *input64)',
  );
  const verify = library.func(
    'int secp256k1_ecdsa_verify(void *ctx, const uint8_t *sig, const uint8_t *msghash32, const uint8_t *pubkey)',
  );
  const sign = library.func(
    'int secp256k1_ecdsa_sign(void *ctx, _Out_ uint8_t *sig, const uint8_t *msghash32, const uint8_t *seckey, void *noncefp, void *ndata)',
  );
  const writeSignature = library.func(
    'int secp256k1_ecdsa_signature_serialize_compact(void *ctx, _Out_ uint8_t *output64, const uint8_t *sig)',
  );
  const context: unknown = createContext(CONTEXT_BOTH);
  // Blinds what signing does from whoever watches it; the signatures stay the same.
  if (randomize(context, randomBytes(32)) !== 1) throw new Error(`${name} takes no seed`);
  const parsed = new WeakMap<PublicKey, Uint8Array>();
  const own = new Uint8Array(OPAQUE_BYTES);
  return {
    verify: (key, digest, signature) => {
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
    },
    sign: (digest, privateKey) => {
      requireLength('digest', digest, 32);
      requireLength('privateKey', privateKey, 32);
      const signature = new Uint8Array(64);
      if (
        sign(context, own, digest, privateKey, null, null) !== 1 ||
        writeSignature(context, signature, own) !== 1
      ) {
        throw new RangeError('not a secp256k1 private key');
      }
      return signature;
    },
  };
}

/** The signature of SHA-256("sample") by the private key 1. */
const SAMPLE = {
  key: '0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798',
  digest: 'af2bdbe1aa9b6ec1e2ade1d694f41fc71a831d0268e9891562113d8a62add1bf',
  signature:
    '58db657bcd631038bea07b4941172f0167aca98f12b55e3176bd1c35435d6501' +
    '3a78e73d8ff8ab554e13c10f6390d81a882f91945d6275493882676170b53a57',
};

/** A library is asked before it is trusted. */
function isSound({ verify, sign }: Secp256k1Library): boolean {
  const key: PublicKey = { type: 'secp256k1', bytes: Buffer.from(SAMPLE.key, 'hex') };
  const digest = Buffer.from(SAMPLE.digest, 'hex');
  const signature = Buffer.from(SAMPLE.signature, 'hex');
  const other = digest.map((byte, at) => (at === 0 ? byte ^ 1 : byte));
  return (
    verify(key, digest, signature) &&
    !verify(key, other, signature) &&
    equalBytes(sign(digest, Buffer.from('1'.padStart(64, '0'), 'hex')), signature)
  );
}
