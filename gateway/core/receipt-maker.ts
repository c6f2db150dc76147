import {
  encodeReceiptHead,
  HASH_BYTES,
  leafHashInto,
  MerkleTree,
  RECEIPT_BODY_BYTES,
  type ReceiptBody,
  type ReceiptPlace,
  receiptBytes,
  receiptFront,
  writeReceipt,
  writeReceiptBody,
} from '@waystone/proto';
import type { GatewayKey } from './gateway-key.js';

/** A signed tree of answers: what its receipts begin with, and the tree. */
export interface SignedTree {
  readonly front: Uint8Array;
  readonly tree: MerkleTree;
}

/** An entry's place in its dataset, for receipts that say it. */
export interface EntryPlace {
  readonly tree: MerkleTree;
  readonly index: number;
}

/** Answers to be given under one signature, in one piece: an object for each would cost more than its hash. */
export class Answers {
  #bodies: Uint8Array;
  #leaves: Uint8Array;
  #size = 0;

  /** @param room answers for which there is room at once; it grows. */
  constructor(room: number) {
    this.#bodies = new Uint8Array(room * RECEIPT_BODY_BYTES);
    this.#leaves = new Uint8Array(room * HASH_BYTES);
  }

  get size(): number {
    return this.#size;
  }

  /** Leaf hashes of the answers, in one piece. */
  get leaves(): Uint8Array {
    return this.#leaves.subarray(0, this.#size * HASH_BYTES);
  }

  /** @returns the answer's index. */
  add(body: ReceiptBody): number {
    const index = this.#size;
    if (index * HASH_BYTES === this.#leaves.length) {
      this.#bodies = withMoreRoom(this.#bodies, RECEIPT_BODY_BYTES);
      this.#leaves = withMoreRoom(this.#leaves, HASH_BYTES);
    }
    writeReceiptBody(this.#bodies, index * RECEIPT_BODY_BYTES, body);
    this.#size += 1;
    leafHashInto(this.body(index), this.#leaves, index * HASH_BYTES);
    return index;
  }

  /** The encoded answer, a view. */
  body(index: number): Uint8Array {
    return this.#bodies.subarray(index * RECEIPT_BODY_BYTES, (index + 1) * RECEIPT_BODY_BYTES);
  }
}

/** Makes receipts: one signature for a whole tree of answers. Equal leaves give equal receipts, always. */
export class ReceiptMaker {
  readonly #key: GatewayKey;
  /** The log that new receipts name, 16 bytes. */
  readonly logId: Uint8Array;

  constructor(key: GatewayKey, logId: Uint8Array) {
    this.#key = key;
    this.logId = logId;
  }

  /** The receipt of one answer that is given by itself. */
  forBody(body: ReceiptBody): Uint8Array {
    const answers = new Answers(1);
    answers.add(body);
    return this.receipt(this.sign(answers.leaves), 0, answers.body(0));
  }

  /**
   * Signs a tree of answers; the same bytes for the same leaves.
   *
   * @param leaves their leaf hashes in one piece, which must not change afterwards.
   * @param logId the log that the receipts name.
   */
  sign(leaves: Uint8Array, logId: Uint8Array = this.logId): SignedTree {
    const tree = new MerkleTree(leaves);
    const { size, root } = tree;
    const headBytes = encodeReceiptHead({ gateway: this.#key.id, logId, size, root });
    return { tree, front: receiptFront({ headBytes, signature: this.#key.sign(headBytes) }) };
  }

  /** The receipt of the answer at `index`. @param bodyBytes the encoded answer. */
  receipt({ front, tree }: SignedTree, index: number, bodyBytes: Uint8Array): Uint8Array {
    const place = { tree, index, entry: null };
    const bytes = new Uint8Array(receiptBytes(place));
    writeReceipt(bytes, 0, front, bodyBytes, place);
    return bytes;
  }

  /**
   * The receipts of answers under one signature, one behind the other.
   *
   * @param entries for each answer its entry's place, where it says one.
   */
  receipts(
    answers: Answers,
    entries: readonly (EntryPlace | null)[],
  ): { bytes: Uint8Array<ArrayBuffer>; lengths: number[] } {
    const { tree, front } = this.sign(answers.leaves);
    const places = Array.from({ length: answers.size }, (_, index) => ({
      tree,
      index,
      entry: entries[index] ?? null,
    }));
    const lengths = places.map(receiptBytes);
    const bytes = new Uint8Array(lengths.reduce((sum, length) => sum + length, 0));
    let at = 0;
    let before: { place: ReceiptPlace; at: number } | null = null;
    for (const place of places) {
      const end: number = writeReceipt(bytes, at, front, answers.body(place.index), place, before);
      before = { place, at };
      at = end;
    }
    return { bytes, lengths };
  }
}

/** The same bytes with room for twice as many records. */
function withMoreRoom(bytes: Uint8Array, recordBytes: number): Uint8Array {
  const larger = new Uint8Array(Math.max(2 * bytes.length, recordBytes));
  larger.set(bytes);
  return larger;
}
