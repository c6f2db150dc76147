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

/** A receipt tree with what its receipts have in common. */
export interface SignedTree {
  readonly tree: MerkleTree;
  readonly headBytes: Uint8Array;
  readonly signature: Uint8Array;
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
    const signed = this.sign({ logId: this.logId, leaves: encoded.map(leafHash) });
    return encoded.map((bodyBytes, index) =>
      this.receipt(signed, index, bodyBytes, entryPaths?.[index]),
    );
  }

  /** Signs a tree of answers; the same bytes for the same leaves. */
  sign({ leaves, logId }: ReceiptTree): SignedTree {
    const tree = new MerkleTree(leaves);
    const headBytes = encodeReceiptHead({
      gateway: this.#key.id,
      logId,
      size: tree.size,
      root: tree.root,
    });
    return { tree, headBytes, signature: this.#key.sign(headBytes) };
  }

  /** The receipt of one leaf. */
  receipt(
    signed: SignedTree,
    index: number,
    bodyBytes: Uint8Array,
    entryPath: readonly Uint8Array[] = [],
  ): Uint8Array {
    const { headBytes, signature, tree } = signed;
    const path = tree.inclusionProof(index);
    return encodeReceipt({ headBytes, signature, bodyBytes, index, path, entryPath });
  }
}
