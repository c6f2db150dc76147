import {
  decodeReceipt,
  encodeReceipt,
  encodeReceiptBody,
  encodeReceiptHead,
  leafHash,
  MerkleTree,
  type Outcome,
  type ReceiptBody,
  receiptFault,
  sha256,
  toHex,
} from '@waystone/proto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { GatewayKey } from './gateway-key.js';
import { Answers, ReceiptMaker } from './receipt-maker.js';

const key = new GatewayKey(new Uint8Array(32).fill(7));
const logId = new Uint8Array(16).fill(9);
const receiptMaker = new ReceiptMaker(key, logId);

const numbered = (number: number): Uint8Array => sha256(Buffer.from(`number ${number}`));

function bodyOf(number: number, outcome?: Outcome): ReceiptBody {
  return {
    device: numbered(number % 5),
    statement: numbered(1000 + number),
    outcome: outcome ?? { kind: 'stored', entryLeaf: numbered(2000 + number) },
  };
}

/** The receipts of a tree of answers as the format describes them, with an object for each part. */
function receiptsByParts(
  bodies: readonly ReceiptBody[],
  entries: readonly ({ tree: MerkleTree; index: number } | undefined)[],
): string[] {
  const encoded = bodies.map(encodeReceiptBody);
  const tree = new MerkleTree(encoded.map(leafHash));
  const headBytes = encodeReceiptHead({ gateway: key.id, logId, size: tree.size, root: tree.root });
  const signature = key.sign(headBytes);
  return encoded.map((bodyBytes, index) => {
    const entry = entries[index];
    return toHex(
      encodeReceipt({
        headBytes,
        signature,
        bodyBytes,
        index,
        path: tree.inclusionProof(index),
        entryPath: entry?.tree.inclusionProof(entry.index) ?? [],
      }),
    );
  });
}

/** Receipts that stand one behind the other. */
function splitReceipts({ bytes, lengths }: { bytes: Uint8Array; lengths: number[] }): string[] {
  let at = 0;
  const receipts = lengths.map((length) => {
    at += length;
    return toHex(bytes.subarray(at - length, at));
  });
  expect(at).toBe(bytes.length);
  return receipts;
}

describe('answers', () => {
  it('keep every answer and leaf when there are more than there was room for', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 9 }), fc.integer({ min: 1, max: 80 }), (room, size) => {
        const answers = new Answers(room);
        const bodies = Array.from({ length: size }, (_, number) => bodyOf(number));
        for (const [index, body] of bodies.entries()) expect(answers.add(body)).toBe(index);
        expect(answers.size).toBe(size);
        const encoded = bodies.map(encodeReceiptBody);
        expect(bodies.map((_, index) => toHex(answers.body(index)))).toEqual(encoded.map(toHex));
        expect(toHex(answers.leaves)).toBe(toHex(Buffer.concat(encoded.map(leafHash))));
      }),
      { numRuns: 60 },
    );
  });

  it('have as many leaves as answers, not as much as there is room', () => {
    const answers = new Answers(100);
    expect(answers.leaves).toHaveLength(0);
    answers.add(bodyOf(1));
    answers.add(bodyOf(2));
    expect(answers.leaves).toHaveLength(64);
  });
});

describe('receipt maker', () => {
  const outcomes: readonly Outcome[] = [
    { kind: 'refused', code: 'RANGE_CONFLICT' },
    { kind: 'retry', code: 'OVERLOADED', afterSeconds: 7 },
    { kind: 'stored', entryLeaf: numbered(1) },
  ];

  it('makes of a tree of answers the receipts that the format describes, with entries or without', () => {
    const dataset = new MerkleTree(Array.from({ length: 77 }, (_, k) => numbered(k)));
    const isIncluded = fc.array(fc.boolean(), { minLength: 1, maxLength: 40 });
    fc.assert(
      fc.property(isIncluded, fc.nat(), (included, pick) => {
        const entries = included.map((is, k) =>
          is ? { tree: dataset, index: (pick + k) % dataset.size } : undefined,
        );
        const bodies = entries.map((entry, k) => {
          if (entry === undefined) return bodyOf(k, outcomes[k % outcomes.length]);
          const { tree, index } = entry;
          const { root, size: count } = tree;
          return bodyOf(k, { kind: 'included', entryLeaf: tree.leaf(index), root, index, count });
        });
        const answers = new Answers(1);
        for (const body of bodies) answers.add(body);
        // The type wants a place for each entry; a missing one is what an answer without an entry has.
        const places = entries as { tree: MerkleTree; index: number }[];
        const receipts = splitReceipts(receiptMaker.receipts(answers, places));
        expect(receipts).toEqual(receiptsByParts(bodies, entries));
        for (const [k, receipt] of receipts.entries()) {
          const read = decodeReceipt(new Uint8Array(Buffer.from(receipt, 'hex')));
          expect(read.body).toEqual(bodies[k]);
          expect(receiptFault(read, key.publicKey)).toBeNull();
        }
      }),
      { numRuns: 40 },
    );
  });

  it('makes each receipt of a signed tree as it makes all of them', () => {
    const bodies = Array.from({ length: 21 }, (_, number) => bodyOf(number));
    const answers = new Answers(21);
    for (const body of bodies) answers.add(body);
    const signed = receiptMaker.sign(answers.leaves);
    const each = bodies.map((body, k) =>
      toHex(receiptMaker.receipt(signed, k, encodeReceiptBody(body))),
    );
    expect(each).toEqual(receiptsByParts(bodies, []));
    expect(each).toEqual(splitReceipts(receiptMaker.receipts(answers, [])));
  });

  it('makes the same bytes for one answer however it is asked, and other bytes for another log', () => {
    const body = bodyOf(3);
    const alone = receiptMaker.forBody(body);
    expect([toHex(alone)]).toEqual(receiptsByParts([body], []));
    expect(receiptMaker.forBody(body)).toEqual(alone);
    const answers = new Answers(1);
    answers.add(body);
    const elsewhere = receiptMaker.sign(answers.leaves, new Uint8Array(16).fill(1));
    const other = receiptMaker.receipt(elsewhere, 0, answers.body(0));
    expect(other).not.toEqual(alone);
    expect(receiptFault(decodeReceipt(other), key.publicKey)).toBeNull();
    expect(decodeReceipt(other).head.logId).toEqual(new Uint8Array(16).fill(1));
  });
});
