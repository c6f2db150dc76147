import {
  didFromKey,
  ENTRY_BYTES,
  equalBytes,
  fromHex,
  HASH_BYTES,
  keyFromDid,
  keyId,
  leafHash,
  MerkleTree,
  parseDid,
  toHex,
} from '@waystone/proto';
import { WaystoneError } from '../core/errors.js';
import type { DatasetReader } from './folder-reader.js';

/**
 * Everything that ties one frame to the gateway's signed log, so that it can be checked by itself. Sizes of
 * trees are left out on purpose: they come from the statement, the manifest and the checkpoint, never from
 * whoever presents the proof.
 */
export interface Proof {
  /** did:key of the device. */
  readonly device: string;
  /** The frame's exact bytes. */
  readonly frame: Uint8Array;
  /** Place of the frame in its statement, from 0; its sequence is the statement's first plus this. */
  readonly frameIndex: number;
  readonly framePath: readonly Uint8Array[];
  /** Entry v1, 280 bytes. */
  readonly entry: Uint8Array;
  /** Place of the entry in the dataset, from 0. */
  readonly entryIndex: number;
  readonly entryPath: readonly Uint8Array[];
  /** The manifest's exact bytes. */
  readonly manifest: Uint8Array;
  /** The signed checkpoint, as in the dataset folder. */
  readonly checkpoint: Uint8Array;
}

/** Largest proof file that is read: the largest frame, and a manifest of many devices, in base64. */
export const PROOF_BYTES_MAX = 64 * 1024 * 1024;

/** A proof as JSON, for the HTTP API. Paths are hex, other bytes base64. */
export interface ProofJson {
  readonly type: 'waystone-proof';
  readonly version: 1;
  readonly device: string;
  readonly frame: { readonly bytes: string; readonly index: number; readonly path: string[] };
  readonly entry: { readonly bytes: string; readonly index: number; readonly path: string[] };
  readonly manifest: string;
  readonly checkpoint: string;
}

/**
 * The proof of one frame, or null when the dataset does not hold it.
 *
 * @param place `device` is a did:key, `session` 32 hex digits.
 * @throws WaystoneError DATASET_NOT_SEALED when the folder has no checkpoint yet.
 * @throws TypeError when `device` is no did:key.
 */
export async function makeProof(
  dataset: DatasetReader,
  place: { device: string; session: string; stream: number; sequence: number },
): Promise<Proof | null> {
  const key = keyFromDid(place.device);
  const session = fromHex(place.session);
  const found = await dataset.find({ ...place, device: keyId(key), session });
  if (found === null) return null;
  const checkpoint = await dataset.checkpointBytes();
  if (checkpoint === null) {
    throw new WaystoneError(
      'DATASET_NOT_SEALED',
      `dataset ${dataset.manifest.root} has no checkpoint yet; ask again in a moment`,
    );
  }
  const frames = await dataset.frames(found.index);
  const tree = await dataset.tree();
  return {
    device: didFromKey(key),
    frame: frames[found.frameIndex] as Uint8Array,
    frameIndex: found.frameIndex,
    framePath: new MerkleTree(frames.map(leafHash)).inclusionProof(found.frameIndex),
    entry: found.entry,
    entryIndex: found.index,
    entryPath: tree.inclusionProof(found.index),
    manifest: dataset.manifestBytes,
    checkpoint,
  };
}

/** The JSON value of a proof, fields in the order in which the file has them. */
export function proofToJson(proof: Proof): ProofJson {
  return {
    type: 'waystone-proof',
    version: 1,
    device: proof.device,
    frame: {
      bytes: toBase64(proof.frame),
      index: proof.frameIndex,
      path: proof.framePath.map(toHex),
    },
    entry: {
      bytes: toBase64(proof.entry),
      index: proof.entryIndex,
      path: proof.entryPath.map(toHex),
    },
    manifest: toBase64(proof.manifest),
    checkpoint: toBase64(proof.checkpoint),
  };
}

/** The proof file: JSON indented by two spaces, with a newline at the end. */
export function encodeProof(proof: Proof): Uint8Array {
  return new TextEncoder().encode(`${JSON.stringify(proofToJson(proof), null, 2)}\n`);
}

/**
 * Reads a proof file. There is one encoding of a proof, and only that is read; a proof that was taken from
 * the HTTP API and saved compactly is the same value and is read too.
 *
 * @throws RangeError saying which field is wrong.
 */
export function decodeProof(bytes: Uint8Array): Proof {
  if (bytes.length > PROOF_BYTES_MAX) {
    throw new RangeError(`proof is ${bytes.length} bytes, limit is ${PROOF_BYTES_MAX}`);
  }
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes));
  } catch (cause) {
    throw new RangeError('proof is not JSON in UTF-8', { cause });
  }
  const proof = parseProof(value);
  const compact = new TextEncoder().encode(JSON.stringify(proofToJson(proof)));
  if (!equalBytes(bytes, encodeProof(proof)) && !equalBytes(bytes, compact)) {
    throw new RangeError('proof is not in its one form: fields, order, spacing or base64 differ');
  }
  return proof;
}

/** Reads a proof from its JSON value. @throws RangeError saying which field is wrong. */
export function parseProof(value: unknown): Proof {
  const proof = object(value, 'proof');
  if (proof.type !== 'waystone-proof') throw new RangeError('proof has no type "waystone-proof"');
  if (proof.version !== 1) {
    throw new RangeError(`proof version is ${String(proof.version)}, this release reads 1`);
  }
  const device = proof.device;
  if (typeof device !== 'string' || parseDid(device) === null) {
    throw new RangeError('device must be a did:key');
  }
  const frame = object(proof.frame, 'frame');
  const entry = object(proof.entry, 'entry');
  const entryBytes = base64(entry.bytes, 'entry.bytes');
  if (entryBytes.length !== ENTRY_BYTES) {
    throw new RangeError(`entry.bytes must hold ${ENTRY_BYTES} bytes, got ${entryBytes.length}`);
  }
  return {
    device,
    frame: base64(frame.bytes, 'frame.bytes'),
    frameIndex: index(frame.index, 'frame.index'),
    framePath: path(frame.path, 'frame.path'),
    entry: entryBytes,
    entryIndex: index(entry.index, 'entry.index'),
    entryPath: path(entry.path, 'entry.path'),
    manifest: base64(proof.manifest, 'manifest'),
    checkpoint: base64(proof.checkpoint, 'checkpoint'),
  };
}

function object(value: unknown, field: string): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new RangeError(`${field} must be an object`);
  }
  return value as Record<string, unknown>;
}

function index(value: unknown, field: string): number {
  if (!Number.isSafeInteger(value) || (value as number) < 0) {
    throw new RangeError(`${field} must be a non-negative integer`);
  }
  return value as number;
}

function base64(value: unknown, field: string): Uint8Array {
  if (typeof value !== 'string' || !/^[A-Za-z0-9+/]*={0,2}$/.test(value)) {
    throw new RangeError(`${field} must be base64`);
  }
  return new Uint8Array(Buffer.from(value, 'base64'));
}

/** A tree of 2^53 leaves has 53 levels. */
const PATH_MAX = 53;

function path(value: unknown, field: string): Uint8Array[] {
  if (!Array.isArray(value) || value.length > PATH_MAX) {
    throw new RangeError(`${field} must be a list of at most ${PATH_MAX} hashes`);
  }
  return value.map((hash) => {
    if (typeof hash !== 'string' || !/^[0-9a-f]*$/.test(hash) || hash.length !== 2 * HASH_BYTES) {
      throw new RangeError(`${field} must hold hashes of ${2 * HASH_BYTES} lower-case hex digits`);
    }
    return fromHex(hash);
  });
}

function toBase64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64');
}
