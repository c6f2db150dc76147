import {
  concatBytes,
  equalBytes,
  requireInteger,
  requireLength,
  UINT53_MAX,
  writeUint32,
  writeUint53,
} from './bytes.js';
import { LOG_ID_BYTES } from './checkpoint.js';
import { CODES, type Code, codeFromNumber } from './codes.js';
import { HASH_BYTES } from './hash.js';
import { keyId, type PublicKey } from './keys.js';
import { ByteReader, requirePath, u8, u16, u64, writePath } from './reader.js';
import { SIGNATURE_BYTES, verifySignature } from './signature.js';
import { TAGS } from './tags.js';
import { leafHash, type MerkleTree, rootFromInclusionProof, type WrittenProof } from './tree.js';

/** What a gateway answers for one statement. */
export type Outcome =
  /** On disk under this entry leaf hash. The same bytes come for every resend. */
  | { readonly kind: 'stored'; readonly entryLeaf: Uint8Array }
  /** Refused for good; judged anew if it comes again. */
  | { readonly kind: 'refused'; readonly code: Code }
  /** Not now; come again after so many seconds. */
  | { readonly kind: 'retry'; readonly code: Code; readonly afterSeconds: number }
  /** Entry `index` of `count` in the dataset with this root; the message carries the path. */
  | {
      readonly kind: 'included';
      readonly entryLeaf: Uint8Array;
      readonly root: Uint8Array;
      readonly index: number;
      readonly count: number;
    }
  /** The dataset's DAT on chain `chainId`; with a code and token 0, why the statement's entry gets none. */
  | {
      readonly kind: 'final';
      readonly root: Uint8Array;
      readonly tokenId: bigint;
      readonly chainId: number;
      readonly code?: Code;
    };

/** Answer to one statement of one device; the data of a leaf of a receipt tree. */
export interface ReceiptBody {
  /** Key id of the device, 32 bytes. */
  readonly device: Uint8Array;
  /** SHA-256 of the statement, or of the whole payload where no statement can be read; 32 bytes. */
  readonly statement: Uint8Array;
  readonly outcome: Outcome;
}

const KINDS = ['stored', 'refused', 'retry', 'included', 'final'] as const;

/** Size of an encoded receipt body. */
export const RECEIPT_BODY_BYTES = 184;

/**
 * 0 kind u8 (1 stored … 5 final) ‖ 1 reserved u8 ‖ 2 code u16 ‖ 4 retry after seconds u32 ‖ 8 device 32 ‖
 * 40 statement 32 ‖ 72 entry leaf 32 ‖ 104 dataset root 32 ‖ 136 token id u256 ‖ 168 index or chain id u64 ‖
 * 176 count u64.
 * What a kind does not use is zero.
 *
 * @throws RangeError or TypeError naming the field, when a value does not fit.
 */
export function encodeReceiptBody(body: ReceiptBody): Uint8Array {
  const bytes = new Uint8Array(RECEIPT_BODY_BYTES);
  writeReceiptBody(bytes, 0, body);
  return bytes;
}

/** As {@link encodeReceiptBody}, to `bytes` at `at`, where there are zeros. */
export function writeReceiptBody(bytes: Uint8Array, at: number, body: ReceiptBody): void {
  requireLength('device', body.device, HASH_BYTES);
  requireLength('statement', body.statement, HASH_BYTES);
  const { outcome } = body;
  bytes[at] = KINDS.indexOf(outcome.kind) + 1;
  bytes.set(body.device, at + 8);
  bytes.set(body.statement, at + 40);
  if (outcome.kind === 'refused' || outcome.kind === 'retry') {
    bytes.set(u16(CODES[outcome.code]), at + 2);
  }
  if (outcome.kind === 'retry') {
    requireInteger('afterSeconds', outcome.afterSeconds, 0, 0xffffffff);
    writeUint32(bytes, at + 4, outcome.afterSeconds);
  }
  if (outcome.kind === 'stored' || outcome.kind === 'included') {
    requireLength('entryLeaf', outcome.entryLeaf, HASH_BYTES);
    bytes.set(outcome.entryLeaf, at + 72);
  }
  if (outcome.kind === 'included' || outcome.kind === 'final') {
    requireLength('root', outcome.root, HASH_BYTES);
    bytes.set(outcome.root, at + 104);
  }
  if (outcome.kind === 'included') {
    requireInteger('index', outcome.index, 0, UINT53_MAX);
    requireInteger('count', outcome.count, 0, UINT53_MAX);
    writeUint53(bytes, at + 168, outcome.index);
    writeUint53(bytes, at + 176, outcome.count);
  }
  if (outcome.kind === 'final') {
    requireInteger('chainId', outcome.chainId, 0, UINT53_MAX);
    bytes.set(u256(outcome.tokenId), at + 136);
    writeUint53(bytes, at + 168, outcome.chainId);
    if (outcome.code !== undefined) {
      if (outcome.tokenId !== 0n) throw new RangeError('an entry with a token has no code');
      bytes.set(u16(CODES[outcome.code]), at + 2);
    }
  }
}

/** @throws RangeError when `bytes` is no receipt body. */
export function decodeReceiptBody(bytes: Uint8Array): ReceiptBody {
  const reader = new ByteReader(bytes, 'receipt body');
  const kind = KINDS[reader.u8() - 1];
  reader.expect(u8(0), 'reserved byte');
  const number = reader.u16();
  const afterSeconds = reader.u32();
  const device = reader.bytes(HASH_BYTES);
  const statement = reader.bytes(HASH_BYTES);
  const entryLeaf = reader.bytes(HASH_BYTES);
  const root = reader.bytes(HASH_BYTES);
  const tokenId = BigInt(`0x${Buffer.from(reader.bytes(HASH_BYTES)).toString('hex')}`);
  const place = reader.u53();
  const count = reader.u53();
  reader.end();
  const code = codeFromNumber(number);
  const outcome = ((): Outcome => {
    switch (kind) {
      case 'stored':
        return { kind, entryLeaf };
      case 'included':
        return { kind, entryLeaf, root, index: place, count };
      case 'final':
        if (number === 0) return { kind, root, tokenId, chainId: place };
        if (code === null) throw new RangeError(`receipt has the unknown code ${number}`);
        return { kind, root, tokenId, chainId: place, code };
      case 'refused':
      case 'retry':
        if (code === null) throw new RangeError(`receipt has the unknown code ${number}`);
        return kind === 'refused' ? { kind, code } : { kind, code, afterSeconds };
      default:
        throw new RangeError('receipt has an unknown kind');
    }
  })();
  const body = { device, statement, outcome };
  // One encoding per body: a field that the kind does not use is zero, so later versions may give it a meaning.
  if (!equalBytes(encodeReceiptBody(body), bytes)) {
    throw new RangeError(`receipt of kind ${outcome.kind} has a field set that it does not use`);
  }
  return body;
}

/** Size of what a gateway signs for a receipt tree. */
export const RECEIPT_HEAD_BYTES = 104;

/** Head of a receipt tree: tag 16 ‖ gateway id 32 ‖ logId 16 ‖ leaves u64 ‖ root 32. */
export interface ReceiptHead {
  readonly gateway: Uint8Array;
  readonly logId: Uint8Array;
  readonly size: number;
  readonly root: Uint8Array;
}

/** @throws RangeError or TypeError naming the field, when a value does not fit. */
export function encodeReceiptHead(head: ReceiptHead): Uint8Array {
  requireInteger('size', head.size, 1, UINT53_MAX);
  requireLength('gateway', head.gateway, HASH_BYTES);
  requireLength('logId', head.logId, LOG_ID_BYTES);
  requireLength('root', head.root, HASH_BYTES);
  return concatBytes(TAGS.receipt, head.gateway, head.logId, u64(head.size), head.root);
}

/**
 * A receipt as it goes to a device: "WSRC" ‖ version u16 = 1 ‖ reserved u16 = 0 ‖ head 104 ‖ signature 64 ‖
 * body 184 ‖ index of the body in the receipt tree u32 ‖ path ‖ path of the entry in its dataset
 * (empty unless `included`); a path is a count u8 and 32 bytes each.
 */
export interface Receipt {
  readonly headBytes: Uint8Array;
  readonly head: ReceiptHead;
  readonly signature: Uint8Array;
  readonly bodyBytes: Uint8Array;
  readonly body: ReceiptBody;
  readonly index: number;
  readonly path: readonly Uint8Array[];
  readonly entryPath: readonly Uint8Array[];
}

const PREAMBLE = Uint8Array.of(0x57, 0x53, 0x52, 0x43, 0, 1, 0, 0); // "WSRC", version 1
const BODY_AT = PREAMBLE.length + RECEIPT_HEAD_BYTES + SIGNATURE_BYTES;
/** Behind the index, u32. */
const PATHS_AT = BODY_AT + RECEIPT_BODY_BYTES + 4;

export function encodeReceipt(receipt: {
  readonly headBytes: Uint8Array;
  readonly signature: Uint8Array;
  readonly bodyBytes: Uint8Array;
  readonly index: number;
  readonly path: readonly Uint8Array[];
  readonly entryPath?: readonly Uint8Array[];
}): Uint8Array {
  const { bodyBytes, index, path, entryPath = [] } = receipt;
  requireLength('body', bodyBytes, RECEIPT_BODY_BYTES);
  requireInteger('index', index, 0, 0xffffffff);
  requirePath(path);
  requirePath(entryPath);
  const bytes = new Uint8Array(PATHS_AT + 2 + HASH_BYTES * (path.length + entryPath.length));
  bytes.set(receiptFront(receipt));
  bytes.set(bodyBytes, BODY_AT);
  writeUint32(bytes, PATHS_AT - 4, index);
  writePath(bytes, writePath(bytes, PATHS_AT, path), entryPath);
  return bytes;
}

/** What all receipts of a tree begin with: everything before the body. */
export function receiptFront(tree: {
  readonly headBytes: Uint8Array;
  readonly signature: Uint8Array;
}): Uint8Array {
  requireLength('head', tree.headBytes, RECEIPT_HEAD_BYTES);
  requireLength('signature', tree.signature, SIGNATURE_BYTES);
  return concatBytes(PREAMBLE, tree.headBytes, tree.signature);
}

/** A receipt as a leaf of a tree, and the entry as a leaf of its dataset's where it is `included`. */
export interface ReceiptPlace {
  readonly tree: MerkleTree;
  readonly index: number;
  readonly entry: { readonly tree: MerkleTree; readonly index: number } | null;
}

/** Size of the receipt at a place. */
export function receiptBytes({ tree, index, entry }: ReceiptPlace): number {
  const hashes =
    tree.proofLength(index) + (entry === null ? 0 : entry.tree.proofLength(entry.index));
  return PATHS_AT + 2 + HASH_BYTES * hashes;
}

/**
 * As {@link encodeReceipt}, to `bytes` at `at`: a gateway makes one of these for each envelope, and again when it is
 * sealed. @returns where it ends.
 *
 * @param front as {@link receiptFront} gives it.
 * @param bodyBytes as {@link encodeReceiptBody} gives them.
 * @param before a receipt that stands in `bytes` already; of one that is near it most of both paths is copied.
 */
export function writeReceipt(
  bytes: Uint8Array,
  at: number,
  front: Uint8Array,
  bodyBytes: Uint8Array,
  { tree, index, entry }: ReceiptPlace,
  before: { readonly place: ReceiptPlace; readonly at: number } | null = null,
): number {
  bytes.set(front, at);
  bytes.set(bodyBytes, at + BODY_AT);
  writeUint32(bytes, at + PATHS_AT - 4, index);
  const near = before === null ? NO_PATHS : pathsOf(bytes, before.at, before.place);
  const pathAt = at + PATHS_AT;
  const known = before?.place.tree === tree ? near.path : null;
  const pathEnd = tree.writeProof(index, bytes, pathAt + 1, known);
  bytes[pathAt] = (pathEnd - pathAt - 1) / HASH_BYTES;
  let end = pathEnd + 1;
  if (entry !== null) {
    const knownEntry = before?.place.entry?.tree === entry.tree ? near.entryPath : null;
    end = entry.tree.writeProof(entry.index, bytes, end, knownEntry);
  }
  bytes[pathEnd] = (end - pathEnd - 1) / HASH_BYTES;
  return end;
}

const NO_PATHS = { path: null, entryPath: null };

/** Where the two paths of a receipt stand that begins at `at`. */
function pathsOf(
  bytes: Uint8Array,
  at: number,
  { index, entry }: ReceiptPlace,
): { path: WrittenProof; entryPath: WrittenProof | null } {
  const pathAt = at + PATHS_AT + 1;
  const pathEnd = pathAt + HASH_BYTES * (bytes[pathAt - 1] as number);
  const path = { index, at: pathAt, end: pathEnd };
  if (entry === null) return { path, entryPath: null };
  const entryEnd = pathEnd + 1 + HASH_BYTES * (bytes[pathEnd] as number);
  return { path, entryPath: { index: entry.index, at: pathEnd + 1, end: entryEnd } };
}

/**
 * Reads a receipt; who signed it is judged by {@link receiptFault}.
 *
 * @throws RangeError when `bytes` is no receipt v1.
 */
export function decodeReceipt(bytes: Uint8Array): Receipt {
  const reader = new ByteReader(bytes, 'receipt');
  reader.expect(PREAMBLE, 'magic and version');
  const headBytes = reader.bytes(RECEIPT_HEAD_BYTES);
  const headReader = new ByteReader(headBytes, 'receipt head');
  headReader.expect(TAGS.receipt, 'tag');
  const head = {
    gateway: headReader.bytes(HASH_BYTES),
    logId: headReader.bytes(LOG_ID_BYTES),
    size: headReader.u53(),
    root: headReader.bytes(HASH_BYTES),
  };
  const signature = reader.bytes(SIGNATURE_BYTES);
  const bodyBytes = reader.bytes(RECEIPT_BODY_BYTES);
  const receipt: Receipt = {
    headBytes,
    head,
    signature,
    bodyBytes,
    body: decodeReceiptBody(bodyBytes),
    index: reader.u32(),
    path: reader.path(),
    entryPath: reader.path(),
  };
  reader.end();
  return receipt;
}

/** Why `receipt` is not the word of `gateway`, or null. */
export function receiptFault(receipt: Receipt, gateway: PublicKey): string | null {
  const { head, body } = receipt;
  if (!equalBytes(head.gateway, keyId(gateway))) return 'it names another gateway';
  const root = rootFromInclusionProof(
    leafHash(receipt.bodyBytes),
    receipt.index,
    head.size,
    receipt.path,
  );
  if (root === null || !equalBytes(root, head.root)) return 'its path does not lead to its root';
  if (!verifySignature(gateway, receipt.headBytes, receipt.signature)) {
    return 'its signature does not match the gateway key';
  }
  if (body.outcome.kind === 'included') {
    const { entryLeaf, index, count, root: datasetRoot } = body.outcome;
    const found = rootFromInclusionProof(entryLeaf, index, count, receipt.entryPath);
    if (found === null || !equalBytes(found, datasetRoot)) {
      return 'its entry path does not lead to the dataset root';
    }
  }
  return null;
}

function u256(value: bigint): Uint8Array {
  if (value < 0n || value >= 2n ** 256n)
    throw new RangeError(`token id must fit u256, got ${value}`);
  return new Uint8Array(Buffer.from(value.toString(16).padStart(64, '0'), 'hex'));
}
