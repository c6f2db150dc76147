import { createHash } from 'node:crypto';
import { concatBytes } from '../bytes.js';
import type { SignatureCase } from './signature-cases.js';

/**
 * Ed25519 signatures on which libraries disagree, built so that a lax verifier accepts each refused one.
 * Affine arithmetic on edwards25519 (RFC 8032 §5.1) in BigInt: slow, and independent of every library.
 */
const P = 2n ** 255n - 19n;
const L = 2n ** 252n + 27742317777372353535851937790883648493n;
const D = mod(-121665n * inverse(121666n));
const SQRT_MINUS_1 = power(2n, (P - 1n) / 4n);

interface Point {
  readonly x: bigint;
  readonly y: bigint;
}

const IDENTITY: Point = { x: 0n, y: 1n };
const BASE: Point = withEvenX(mod(4n * inverse(5n)));

/** A point of order 8; its multiples are all points of small order. */
const TORSION: Point = torsionPoint();

/** Each case says in its id what is special about it. */
export function ed25519Cases(): SignatureCase[] {
  const cases: SignatureCase[] = [];
  const add = (
    id: string,
    valid: boolean,
    publicKey: Uint8Array,
    message: Uint8Array,
    signature: Uint8Array,
  ): void => {
    cases.push({
      id: `ed25519-edge/${id}`,
      keyType: 'Ed25519',
      publicKey,
      message,
      signature,
      valid,
    });
  };
  const secret = 0x5eedn * 8n + 1n;
  const nonce = 0xabcdefn;
  const publicPoint = multiply(BASE, secret);
  const publicKey = encode(publicPoint);

  // A plain signature, so that the arithmetic here is known to be right.
  const r = encode(multiply(BASE, nonce));
  const plain = text('plain');
  const s = modL(nonce + challenge(r, publicKey, plain) * secret);
  add('plain', true, publicKey, plain, concatBytes(r, little(s)));
  add('S is S + L', false, publicKey, plain, concatBytes(r, little(s + L)));
  add('S is S + 8L', false, publicKey, plain, concatBytes(r, little(s + 8n * L)));

  // A of small order: S·B = R + h·A holds for R = S·B wherever h is a multiple of A's order.
  for (let k = 0n; k < 8n; k++) {
    const weak = encode(multiply(TORSION, k));
    addWeak(`A is of small order, ${k} times a point of order 8`, weak);
  }
  // The same points in encodings that a lax decoder reduces: y + p, and x = 0 with its sign bit set.
  addWeak('A is the identity, encoded as y = p + 1', little(P + 1n));
  addWeak('A is of order 4, encoded as y = p', little(P));
  addWeak('A is of order 4, encoded as y = p with the sign bit', little(P | (1n << 255n)));
  addWeak('A is the identity with the sign bit set', little(1n | (1n << 255n)));
  addWeak('A is of order 2 with the sign bit set', little((P - 1n) | (1n << 255n)));

  // A of mixed order: A = a·B + T. With h·T ≠ 0 only a verifier that multiplies by the cofactor accepts.
  const mixed = encode(sum(publicPoint, TORSION));
  for (const [id, cofactorless] of [
    ['A is of mixed order, valid only with the cofactor', false],
    ['A is of mixed order, valid without the cofactor', true],
  ] as const) {
    const message = search((bytes) => (challenge(r, mixed, bytes) % 8n === 0n) === cofactorless);
    const answer = modL(nonce + challenge(r, mixed, message) * secret);
    add(id, cofactorless, mixed, message, concatBytes(r, little(answer)));
  }
  // R of mixed order: R = r·B + T is never what S·B - h·A gives.
  const mixedR = encode(sum(multiply(BASE, nonce), TORSION));
  const shifted = modL(nonce + challenge(mixedR, publicKey, plain) * secret);
  add(
    'R is of mixed order, valid only with the cofactor',
    false,
    publicKey,
    plain,
    concatBytes(mixedR, little(shifted)),
  );

  // No honest signer makes an R of small order; libsodium refuses it too, canonical or not.
  for (const [id, valid, identity] of [
    ['R is the identity', false, little(1n)],
    ['R is the identity, encoded as y = p + 1', false, little(P + 1n)],
    ['R is the identity with the sign bit set', false, little(1n | (1n << 255n))],
  ] as const) {
    const answer = modL(challenge(identity, publicKey, plain) * secret);
    add(id, valid, publicKey, plain, concatBytes(identity, little(answer)));
  }
  return cases;

  function addWeak(id: string, weak: Uint8Array): void {
    const message = search((bytes) => challenge(r, weak, bytes) % 8n === 0n);
    add(id, false, weak, message, concatBytes(r, little(nonce)));
  }
}

/** Encodings of 32 bytes whose y is p or more: none may be taken for a key. */
export function nonCanonicalEd25519Points(): Uint8Array[] {
  return Array.from({ length: 19 }, (_, y) => little(P + BigInt(y)));
}

function challenge(r: Uint8Array, a: Uint8Array, message: Uint8Array): bigint {
  const digest = createHash('sha512').update(r).update(a).update(message).digest();
  return modL(BigInt(`0x${Buffer.from(digest).reverse().toString('hex')}`));
}

/** The first of "0", "1", … that is wanted. */
function search(wanted: (message: Uint8Array) => boolean): Uint8Array {
  for (let k = 0; ; k++) if (wanted(text(String(k)))) return text(String(k));
}

/** A point times L is of small order; take the first whose order is the full 8. */
function torsionPoint(): Point {
  for (let y = 2n; ; y++) {
    const square = xSquared(y);
    if (squareRoot(square) === null) continue;
    const candidate = multiply(withEvenX(y), L);
    const fourfold = multiply(candidate, 4n);
    if (fourfold.x !== IDENTITY.x || fourfold.y !== IDENTITY.y) return candidate;
  }
}

function withEvenX(y: bigint): Point {
  const x = squareRoot(xSquared(y)) as bigint;
  return { x: x % 2n === 0n ? x : P - x, y };
}

/** x² of the curve -x² + y² = 1 + d x² y². */
function xSquared(y: bigint): bigint {
  return mod((y * y - 1n) * inverse(D * y * y + 1n));
}

function squareRoot(square: bigint): bigint | null {
  const root = power(square, (P + 3n) / 8n);
  for (const candidate of [root, mod(root * SQRT_MINUS_1)]) {
    if (mod(candidate * candidate) === square) return candidate;
  }
  return null;
}

function sum(a: Point, b: Point): Point {
  const product = mod(D * a.x * b.x * a.y * b.y);
  return {
    x: mod((a.x * b.y + a.y * b.x) * inverse(1n + product)),
    y: mod((a.y * b.y + a.x * b.x) * inverse(1n - product)),
  };
}

function multiply(point: Point, scalar: bigint): Point {
  let result = IDENTITY;
  let doubled = point;
  for (let rest = scalar; rest > 0n; rest >>= 1n) {
    if (rest & 1n) result = sum(result, doubled);
    doubled = sum(doubled, doubled);
  }
  return result;
}

function encode(point: Point): Uint8Array {
  return little(point.y | ((point.x & 1n) << 255n));
}

function little(value: bigint): Uint8Array {
  return new Uint8Array(Buffer.from(value.toString(16).padStart(64, '0'), 'hex').reverse());
}

function text(value: string): Uint8Array {
  return new Uint8Array(Buffer.from(value, 'ascii'));
}

function mod(value: bigint): bigint {
  const rest = value % P;
  return rest < 0n ? rest + P : rest;
}

function modL(value: bigint): bigint {
  return value % L;
}

function inverse(value: bigint): bigint {
  return power(mod(value), P - 2n);
}

function power(base: bigint, exponent: bigint): bigint {
  let result = 1n;
  let square = base % P;
  for (let rest = exponent; rest > 0n; rest >>= 1n) {
    if (rest & 1n) result = (result * square) % P;
    square = (square * square) % P;
  }
  return result;
}
