import { readFileSync } from 'node:fs';
import { concatBytes, equalBytes, fromHex } from '../bytes.js';
import type { KeyType } from '../keys.js';
import { isLowS, normaliseSignature } from '../signature.js';
import { ed25519Cases } from './ed25519-cases.js';

/** One signature and the verdict of Waystone's rule, for every verifier that we use. */
export interface SignatureCase {
  /** Where it comes from, for example "ecdsa_secp256r1_sha256_test/12". */
  readonly id: string;
  readonly keyType: KeyType;
  /** Compressed point, or Ed25519 key. */
  readonly publicKey: Uint8Array;
  readonly message: Uint8Array;
  /** Raw, 64 bytes. */
  readonly signature: Uint8Array;
  readonly valid: boolean;
}

/** A vector whose signature has no raw 64-byte form, so it cannot reach a verifier at all. */
export interface UnencodableCase {
  readonly id: string;
  readonly keyType: KeyType;
  /** The vector's own verdict. */
  readonly valid: boolean;
}

interface WycheproofTest {
  tcId: number;
  msg: string;
  sig: string;
  result: 'valid' | 'invalid';
}

interface WycheproofFile {
  numberOfTests: number;
  testGroups: { publicKey: { pk?: string; uncompressed?: string }; tests: WycheproofTest[] }[];
}

/** The Wycheproof files by key type, without `.json`. */
export const WYCHEPROOF_FILES = {
  secp256k1: 'ecdsa_secp256k1_sha256_bitcoin_test',
  'P-256': 'ecdsa_secp256r1_sha256_test',
  Ed25519: 'ed25519_test',
} as const satisfies Record<KeyType, string>;

/**
 * Vectors of the "bitcoin" file whose only flaw is their high S; the second has s = (n + 1) / 2, whose twin
 * (n - 1) / 2 is the largest low S. The file has no flag that sets both apart.
 */
const INVALID_ONLY_FOR_HIGH_S: ReadonlySet<number> = new Set([1, 388]);

/**
 * Every vector of one Wycheproof file, as `cases` or as `unencodable`; `total` is the file's own count.
 *
 * DER signatures are read strictly. A valid signature with high S gives two cases: refused as it is (id with
 * "high S"), accepted with low S.
 */
export function wycheproofCases(type: KeyType): {
  cases: SignatureCase[];
  unencodable: UnencodableCase[];
  total: number;
} {
  const name = WYCHEPROOF_FILES[type];
  const file = JSON.parse(
    readFileSync(new URL(`./vectors/wycheproof/${name}.json`, import.meta.url), 'utf8'),
  ) as WycheproofFile;
  const cases: SignatureCase[] = [];
  const unencodable: UnencodableCase[] = [];
  for (const group of file.testGroups) {
    const publicKey =
      type === 'Ed25519'
        ? fromHex(group.publicKey.pk as string)
        : compress(fromHex(group.publicKey.uncompressed as string));
    for (const test of group.tests) {
      const id = `${name}/${test.tcId}`;
      const valid = test.result === 'valid';
      const given = fromHex(test.sig);
      const signature = type === 'Ed25519' ? given : rawFromDer(given);
      if (signature?.length !== 64) {
        unencodable.push({ id, keyType: type, valid });
        continue;
      }
      const common = { keyType: type, publicKey, message: fromHex(test.msg) };
      const low = normaliseSignature(type, signature);
      const isTwin = !isLowS(type, signature) && !equalBytes(low, signature);
      if (isTwin) cases.push({ ...common, id: `${id} high S`, signature, valid: false });
      const onlyHigh = type === 'secp256k1' && INVALID_ONLY_FOR_HIGH_S.has(test.tcId);
      cases.push({ ...common, id, signature: low, valid: valid || onlyHigh });
    }
  }
  return { cases, unencodable, total: file.numberOfTests };
}

/** All cases of all key types, our own Ed25519 edge cases included. */
export function signatureCases(): SignatureCase[] {
  const types = Object.keys(WYCHEPROOF_FILES) as KeyType[];
  return [...types.flatMap((type) => wycheproofCases(type).cases), ...ed25519Cases()];
}

/**
 * Raw r ‖ s of a DER ECDSA signature (X.690: definite lengths, shortest forms, nothing after the end),
 * or null for other bytes and for integers that are negative or longer than 32 bytes.
 */
export function rawFromDer(der: Uint8Array): Uint8Array | null {
  // Two integers of at most 33 bytes fit 70 bytes, so a length never needs a second byte.
  if (der[0] !== 0x30 || der[1] !== der.length - 2 || der.length > 72) return null;
  const r = derInteger(der, 2);
  if (r === null) return null;
  const s = derInteger(der, r.end);
  if (s === null || s.end !== der.length) return null;
  return concatBytes(r.value, s.value);
}

function derInteger(der: Uint8Array, at: number): { value: Uint8Array; end: number } | null {
  const length = der[at + 1] ?? 0;
  const end = at + 2 + length;
  if (der[at] !== 0x02 || length === 0 || length > 33 || end > der.length) return null;
  const first = der[at + 2] as number;
  if (first >= 0x80) return null;
  if (first === 0 && length > 1 && (der[at + 3] as number) < 0x80) return null;
  const digits = first === 0 ? der.subarray(at + 3, end) : der.subarray(at + 2, end);
  if (digits.length > 32) return null;
  const value = new Uint8Array(32);
  value.set(digits, 32 - digits.length);
  return { value, end };
}

function compress(uncompressed: Uint8Array): Uint8Array {
  const parity = (uncompressed[64] as number) % 2;
  return concatBytes(Uint8Array.of(2 + parity), uncompressed.subarray(1, 33));
}
