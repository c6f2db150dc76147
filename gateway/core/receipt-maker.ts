import {
  encodeReceipt,
  encodeReceiptBody,
  encodeReceiptHead,
  leafHash,
  MerkleTree,
  type ReceiptBody,
} from '@waystone/proto';
import type { GatewayKey } from './gateway-key.js';

/** The leaf hashes that were answered together, and the log that their receipts name (16 bytes). */
export interface ReceiptTree {
  readonly logId: Uint8Array;
  readonly leaves: readonly Uint8Array[];
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

  /** One receipt for each body, under one signature. */
  forBodies(
    bodies: readonly ReceiptBody[],
    entryPaths?: readonly (readonly Uint8Array[])[],
  ): Uint8Array[] {
    if (bodies.length === 0) return [];
    const encoded = bodies.map(encodeReceiptBody);
    const signed = this.#sign(new MerkleTree(encoded.map(leafHash)), this.logId);
    return encoded.map((bodyBytes, index) =>
      encodeReceipt({
        ...signed.head,
        bodyBytes,
        index,
        path: signed.tree.inclusionProof(index),
        entryPath: entryPaths?.[index] ?? [],
      }),
    );
  }

  /** The receipt of one leaf of a tree that was answered before, as it was given then. */
  fromTree({ leaves, logId }: ReceiptTree, index: number, body: ReceiptBody): Uint8Array {
    const signed = this.#sign(new MerkleTree(leaves), logId);
    return encodeReceipt({
      ...signed.head,
      bodyBytes: encodeReceiptBody(body),
      index,
      path: signed.tree.inclusionProof(index),
    });
  }

  #sign(
    tree: MerkleTree,
    logId: Uint8Array,
  ): { tree: MerkleTree; head: { headBytes: Uint8Array; signature: Uint8Array } } {
    const headBytes = encodeReceiptHead({
      gateway: this.#key.id,
      logId,
      size: tree.size,
      root: tree.root,
    });
    return { tree, head: { headBytes, signature: this.#key.sign(headBytes) } };
  }
}
