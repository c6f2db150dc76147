import { equalBytes } from './bytes.js';
import { HASH_BYTES, hashInto, hashPartsInto, sha256 } from './hash.js';

/**
 * Merkle trees of RFC 9162 §2.1 over SHA-256: leaf = SHA-256(0x00 ‖ data), node = SHA-256(0x01 ‖ left ‖ right).
 *
 * A tree's kind, size and index must come from the record that commits to its root, never from whoever
 * presents a proof: the path of leaf 2 in a tree of 3 also verifies as (1, 2) and (4, 5).
 */

const LEAF_PREFIX = Uint8Array.of(0);
const NODE_PREFIX = Uint8Array.of(1);

/** Hash of a leaf's data; 32 bytes. */
export function leafHash(data: Uint8Array): Uint8Array {
  return sha256(LEAF_PREFIX, data);
}

/** Writes the hash of a leaf's data to `target` at `offset`. */
export function leafHashInto(data: Uint8Array, target: Uint8Array, offset: number): void {
  hashPartsInto([LEAF_PREFIX, data], target, offset);
}

/** Hash of an inner node; 32 bytes. */
export function nodeHash(left: Uint8Array, right: Uint8Array): Uint8Array {
  return sha256(NODE_PREFIX, left, right);
}

/** An inclusion proof as bytes: the leaf that it is of, and where its hashes begin and end. */
export interface WrittenProof {
  readonly index: number;
  readonly at: number;
  readonly end: number;
}

/**
 * A whole tree in memory, for many proofs: every level, leaves first. A node without a right neighbour moves
 * up unchanged, which gives the same root as RFC 9162's recursive definition.
 */
export class MerkleTree {
  /** Each level's hashes, one after the other: an object for each would cost more than the hashing. */
  readonly #levels: Uint8Array[];
  /** Number of leaves. */
  readonly size: number;
  /** 32 bytes. */
  readonly root: Uint8Array;

  /**
   * @param leaves leaf hashes: a list, or all in one piece, which must not change afterwards.
   * @throws RangeError for an empty list: Waystone has no empty trees.
   */
  constructor(leaves: readonly Uint8Array[] | Uint8Array) {
    let level = leaves instanceof Uint8Array ? leaves : inOnePiece(leaves);
    this.size = level.length / HASH_BYTES;
    if (this.size === 0 || !Number.isInteger(this.size)) {
      throw new RangeError(
        `a tree needs one or more leaf hashes of 32 bytes, got ${level.length} bytes`,
      );
    }
    this.#levels = [level];
    for (let size = this.size; size > 1; size = Math.ceil(size / 2)) {
      const above = new Uint8Array(Math.ceil(size / 2) * HASH_BYTES);
      const pairs = Math.floor(size / 2);
      for (let pair = 0; pair < pairs; pair++) {
        const from = pair * 2 * HASH_BYTES;
        for (let k = 0; k < 2 * HASH_BYTES; k++) PAIR[k + 1] = level[from + k] as number;
        hashInto(PAIR, above, pair * HASH_BYTES);
      }
      if (size % 2 === 1) above.set(level.subarray((size - 1) * HASH_BYTES), pairs * HASH_BYTES);
      this.#levels.push(above);
      level = above;
    }
    this.root = level;
  }

  /** Hash of leaf `index`, a view. @throws RangeError when `index` is not in the tree. */
  leaf(index: number): Uint8Array {
    this.#requireIndex(index);
    return hashAt(this.#levels[0] as Uint8Array, index);
  }

  /**
   * Inclusion proof of leaf `index` (RFC 9162 §2.1.3.1): sibling hashes from the leaf to the root, as views.
   *
   * @throws RangeError when `index` is not in the tree.
   */
  inclusionProof(index: number): Uint8Array[] {
    this.#requireIndex(index);
    const path: Uint8Array[] = [];
    let at = index;
    for (const level of this.#levels) {
      const sibling = at % 2 === 0 ? at + 1 : at - 1;
      if (sibling >= 0 && sibling * HASH_BYTES < level.length) path.push(hashAt(level, sibling));
      at = half(at);
    }
    return path;
  }

  /** Number of hashes in the inclusion proof of leaf `index`. @throws RangeError when it is not in the tree. */
  proofLength(index: number): number {
    this.#requireIndex(index);
    let length = 0;
    for (let at = index, size = this.size; size > 1; at = half(at), size = Math.ceil(size / 2)) {
      if (at % 2 === 1 || at + 1 < size) length += 1;
    }
    return length;
  }

  /**
   * Writes the hashes of {@link inclusionProof} one after the other: for many proofs, an object for each hash would
   * cost more than all the rest.
   *
   * @param known a proof of this tree that stands in `target` already: what both have in common, for neighbours all but
   * the lowest hashes, is copied in one go.
   * @returns where they end.
   */
  writeProof(
    index: number,
    target: Uint8Array,
    offset: number,
    known: WrittenProof | null = null,
  ): number {
    this.#requireIndex(index);
    let to = offset;
    let at = index;
    let knownIndex = known?.index ?? -1;
    let knownAt = known?.at ?? 0;
    for (const level of this.#levels) {
      if (known !== null) {
        if (at === knownIndex) {
          target.copyWithin(to, knownAt, known.end);
          return to + known.end - knownAt;
        }
        if (siblingAt(level, knownIndex) !== NONE) knownAt += HASH_BYTES;
        knownIndex = half(knownIndex);
      }
      const from = siblingAt(level, at);
      if (from !== NONE) {
        for (let k = 0; k < HASH_BYTES; k++) target[to + k] = level[from + k] as number;
        to += HASH_BYTES;
      }
      at = half(at);
    }
    return to;
  }

  #requireIndex(index: number): void {
    if (!Number.isSafeInteger(index) || index < 0 || index >= this.size) {
      throw new RangeError(`leaf index must be within 0..${this.size - 1}, got ${index}`);
    }
  }
}

const NONE = -1;

/** Where the hash beside the one at `index` stands in a level, or {@link NONE}. */
function siblingAt(level: Uint8Array, index: number): number {
  const at = (index % 2 === 0 ? index + 1 : index - 1) * HASH_BYTES;
  return at < level.length ? at : NONE;
}

function inOnePiece(hashes: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(hashes.length * HASH_BYTES);
  for (let at = 0; at < hashes.length; at++) bytes.set(hashes[at] as Uint8Array, at * HASH_BYTES);
  return bytes;
}

/** A node's two hashes behind their prefix, while they are hashed. */
const PAIR = new Uint8Array(1 + 2 * HASH_BYTES);
PAIR.set(NODE_PREFIX);

function hashAt(level: Uint8Array, index: number): Uint8Array {
  return level.subarray(index * HASH_BYTES, (index + 1) * HASH_BYTES);
}

/** Root of the tree over `leaves` (leaf hashes, in order). @throws RangeError for an empty list. */
export function treeRoot(leaves: readonly Uint8Array[]): Uint8Array {
  requireLeaves(leaves);
  const pairs = new PairLevel(leaves.length);
  for (const [index, leaf] of leaves.entries()) pairs.set(index, leaf);
  return pairs.root();
}

/** Root of the tree over the data of `leaves`, in order. @throws RangeError for an empty list. */
export function treeRootOfData(leaves: readonly Uint8Array[]): Uint8Array {
  requireLeaves(leaves);
  // Most envelopes of slow sensors hold one frame.
  if (leaves.length === 1) return leafHash(leaves[0] as Uint8Array);
  const pairs = new PairLevel(leaves.length);
  for (let index = 0; index < leaves.length; index++) {
    pairs.set(index, leafHash(leaves[index] as Uint8Array));
  }
  return pairs.root();
}

/**
 * One level of a tree that is folded up to its root in place: pairs of hashes, each behind the node prefix, so
 * that a pair is hashed where it lies.
 */
class PairLevel {
  readonly #bytes: Uint8Array;
  #size: number;

  constructor(size: number) {
    const pairs = Math.ceil(size / 2);
    this.#bytes = new Uint8Array(pairs * PAIR_BYTES);
    this.#size = size;
    for (let pair = 0; pair < pairs; pair++)
      this.#bytes[pair * PAIR_BYTES] = NODE_PREFIX[0] as number;
  }

  set(index: number, hash: Uint8Array): void {
    this.#bytes.set(hash, placeOf(index));
  }

  root(): Uint8Array {
    const bytes = this.#bytes;
    for (let size = this.#size; size > 1; size = Math.ceil(size / 2)) {
      const pairs = Math.floor(size / 2);
      for (let pair = 0; pair < pairs; pair++) {
        const at = pair * PAIR_BYTES;
        hashInto(bytes.subarray(at, at + PAIR_BYTES), bytes, placeOf(pair));
      }
      if (size % 2 === 1) {
        const last = placeOf(size - 1);
        bytes.copyWithin(placeOf(pairs), last, last + HASH_BYTES);
      }
    }
    return bytes.slice(1, 1 + HASH_BYTES);
  }
}

const PAIR_BYTES = 1 + 2 * HASH_BYTES;

/** Where hash `index` of a level stands: left or right in its pair. */
const placeOf = (index: number): number => (index >> 1) * PAIR_BYTES + 1 + (index & 1) * HASH_BYTES;

/**
 * The right edge of a growing tree: enough to append leaves and to tell the root, in O(log n) memory.
 * `hashes` go from the largest perfect subtree to the smallest, one for each bit that is set in `size`.
 */
export class TreePeaks {
  #size: number;
  readonly #hashes: Uint8Array[];

  /** @throws RangeError when the number of hashes is not the number of bits set in `size`. */
  constructor(size = 0, hashes: readonly Uint8Array[] = []) {
    if (!Number.isSafeInteger(size) || size < 0 || countBits(size) !== hashes.length) {
      throw new RangeError(`a tree of ${size} leaves cannot have ${hashes.length} peaks`);
    }
    this.#size = size;
    this.#hashes = [...hashes];
  }

  get size(): number {
    return this.#size;
  }

  get hashes(): readonly Uint8Array[] {
    return this.#hashes;
  }

  append(leaf: Uint8Array): void {
    let hash = leaf;
    for (let size = this.#size; size % 2 === 1; size = Math.floor(size / 2)) {
      hash = nodeHash(this.#hashes.pop() as Uint8Array, hash);
    }
    this.#hashes.push(hash);
    this.#size += 1;
  }

  /** @throws RangeError when the tree is empty. */
  root(): Uint8Array {
    requireLeaves(this.#hashes);
    return this.#hashes.reduceRight((right, left) => nodeHash(left, right));
  }
}

/**
 * Root that `path` leads to for a leaf hash at `index` of a tree of `size` leaves (RFC 9162 §2.1.3.2),
 * or null when the path cannot belong to that place.
 */
export function rootFromInclusionProof(
  leaf: Uint8Array,
  index: number,
  size: number,
  path: readonly Uint8Array[],
): Uint8Array | null {
  if (!isTreePlace(index, size) || !path.every(isHash) || !isHash(leaf)) return null;
  let node = index;
  let last = size - 1;
  let hash = leaf;
  for (const sibling of path) {
    if (last === 0) return null;
    if (node % 2 === 1 || node === last) {
      hash = nodeHash(sibling, hash);
      while (node % 2 === 0 && node !== 0) {
        node = half(node);
        last = half(last);
      }
    } else {
      hash = nodeHash(hash, sibling);
    }
    node = half(node);
    last = half(last);
  }
  return last === 0 ? hash : null;
}

/** Whether `path` proves that `leaf` (a leaf hash) stands at `index` of the tree of `size` leaves under `root`. */
export function verifyInclusion(
  leaf: Uint8Array,
  index: number,
  size: number,
  path: readonly Uint8Array[],
  root: Uint8Array,
): boolean {
  const found = rootFromInclusionProof(leaf, index, size, path);
  return found !== null && equalBytes(found, root);
}

/**
 * Proof that the tree of the first `oldSize` leaves is a prefix of the tree of all `leaves` (RFC 9162 §2.1.4.1).
 * Empty when the sizes are equal.
 *
 * @throws RangeError when `oldSize` is not within 1..leaves.length.
 */
export function consistencyProof(leaves: readonly Uint8Array[], oldSize: number): Uint8Array[] {
  requireLeaves(leaves);
  if (!Number.isSafeInteger(oldSize) || oldSize < 1 || oldSize > leaves.length) {
    throw new RangeError(`old size must be within 1..${leaves.length}, got ${oldSize}`);
  }
  const stack: Uint8Array[] = [];
  let start = 0;
  let end = leaves.length;
  while (oldSize !== end) {
    const split = start + splitPoint(end - start);
    if (oldSize <= split) {
      stack.push(rangeRoot(leaves, split, end));
      end = split;
    } else {
      stack.push(rangeRoot(leaves, start, split));
      start = split;
    }
  }
  const proof = start === 0 ? [] : [rangeRoot(leaves, start, end)];
  while (stack.length > 0) proof.push(stack.pop() as Uint8Array);
  return proof;
}

/** Whether `proof` shows that the tree (oldSize, oldRoot) is a prefix of (newSize, newRoot), RFC 9162 §2.1.4.2. */
export function verifyConsistency(
  oldSize: number,
  newSize: number,
  proof: readonly Uint8Array[],
  oldRoot: Uint8Array,
  newRoot: Uint8Array,
): boolean {
  if (!Number.isSafeInteger(oldSize) || !Number.isSafeInteger(newSize)) return false;
  if (oldSize < 1 || newSize < oldSize || !isHash(oldRoot) || !isHash(newRoot)) return false;
  if (!proof.every(isHash)) return false;
  if (oldSize === newSize) return proof.length === 0 && equalBytes(oldRoot, newRoot);
  const path = isPowerOfTwo(oldSize) ? [oldRoot, ...proof] : proof;
  const first = path[0];
  if (first === undefined) return false;
  let node = oldSize - 1;
  let last = newSize - 1;
  while (node % 2 === 1) {
    node = half(node);
    last = half(last);
  }
  let oldHash = first;
  let newHash = first;
  for (const sibling of path.slice(1)) {
    if (last === 0) return false;
    if (node % 2 === 1 || node === last) {
      oldHash = nodeHash(sibling, oldHash);
      newHash = nodeHash(sibling, newHash);
      while (node % 2 === 0 && node !== 0) {
        node = half(node);
        last = half(last);
      }
    } else {
      newHash = nodeHash(newHash, sibling);
    }
    node = half(node);
    last = half(last);
  }
  return last === 0 && equalBytes(oldHash, oldRoot) && equalBytes(newHash, newRoot);
}

function rangeRoot(leaves: readonly Uint8Array[], start: number, end: number): Uint8Array {
  const peaks = new TreePeaks();
  for (let at = start; at < end; at++) peaks.append(leaves[at] as Uint8Array);
  return peaks.root();
}

/** The largest power of two below `size`. */
function splitPoint(size: number): number {
  let split = 1;
  while (split * 2 < size) split *= 2;
  return split;
}

const half = (value: number): number => Math.floor(value / 2);
const isHash = (value: Uint8Array): boolean =>
  value instanceof Uint8Array && value.length === HASH_BYTES;
const isPowerOfTwo = (value: number): boolean => countBits(value) === 1;

function countBits(value: number): number {
  let bits = 0;
  for (let rest = value; rest > 0; rest = half(rest)) bits += rest % 2;
  return bits;
}

function isTreePlace(index: number, size: number): boolean {
  return Number.isSafeInteger(index) && Number.isSafeInteger(size) && index >= 0 && index < size;
}

function requireLeaves(leaves: readonly Uint8Array[]): void {
  if (leaves.length === 0) throw new RangeError('a tree needs at least one leaf, got none');
}
