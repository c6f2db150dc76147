import { concatBytes, requireInteger, requireLength, UINT53_MAX } from './bytes.js';
import { HASH_BYTES } from './hash.js';
import { keyId, type PublicKey } from './keys.js';
import { ByteReader, pathBytes, u64 } from './reader.js';
import { SIGNATURE_BYTES, verifySignature } from './signature.js';
import { TAGS } from './tags.js';

/** Random name of one life of a gateway's log; a ledger restored from a backup starts a new one. */
export const LOG_ID_BYTES = 16;

/** Size of a checkpoint without its signature. */
export const CHECKPOINT_BYTES = 112;

/** The head of a gateway's log at one time: tag 16 ‖ gateway id 32 ‖ logId 16 ‖ size u64 ‖ root 32 ‖ time u64. */
export interface Checkpoint {
  /** Key id of the gateway, 32 bytes. */
  readonly gateway: Uint8Array;
  /** 16 bytes. */
  readonly logId: Uint8Array;
  /** Log records under `root`, at least 1. */
  readonly size: number;
  /** Root of the tree over the log records, 32 bytes. */
  readonly root: Uint8Array;
  /** When the checkpoint was made, µs UTC by the gateway's clock. */
  readonly timeUs: number;
}

/** Size of a log record, the data of a leaf of the log. */
export const LOG_RECORD_BYTES = 112;

/** tag 16 ‖ logId 16 ‖ index u64 ‖ dataset root 32 ‖ number of entries u64 ‖ manifest hash 32. */
export interface LogRecord {
  readonly logId: Uint8Array;
  /** Place in the log, from 0. */
  readonly index: number;
  /** Root of the tree over the dataset's entries, 32 bytes. */
  readonly root: Uint8Array;
  /** Entries in the dataset, at least 1. */
  readonly count: number;
  /** SHA-256 of the manifest's bytes. */
  readonly manifestHash: Uint8Array;
}

/** @throws RangeError or TypeError naming the field, when a value does not fit. */
export function encodeCheckpoint(checkpoint: Checkpoint): Uint8Array {
  requireLength('gateway', checkpoint.gateway, HASH_BYTES);
  requireLength('logId', checkpoint.logId, LOG_ID_BYTES);
  requireLength('root', checkpoint.root, HASH_BYTES);
  requireInteger('size', checkpoint.size, 1, UINT53_MAX);
  requireInteger('timeUs', checkpoint.timeUs, 0, UINT53_MAX);
  return concatBytes(
    TAGS.checkpoint,
    checkpoint.gateway,
    checkpoint.logId,
    u64(checkpoint.size),
    checkpoint.root,
    u64(checkpoint.timeUs),
  );
}

/** @throws RangeError when `bytes` is no checkpoint. */
export function decodeCheckpoint(bytes: Uint8Array): Checkpoint {
  const reader = new ByteReader(bytes, 'checkpoint');
  reader.expect(TAGS.checkpoint, 'tag');
  const checkpoint = {
    gateway: reader.bytes(HASH_BYTES),
    logId: reader.bytes(LOG_ID_BYTES),
    size: reader.u53(),
    root: reader.bytes(HASH_BYTES),
    timeUs: reader.u53(),
  };
  reader.end();
  if (checkpoint.size < 1) throw new RangeError('checkpoint has size 0');
  return checkpoint;
}

/** @throws RangeError or TypeError naming the field, when a value does not fit. */
export function encodeLogRecord(record: LogRecord): Uint8Array {
  requireLength('logId', record.logId, LOG_ID_BYTES);
  requireLength('root', record.root, HASH_BYTES);
  requireLength('manifestHash', record.manifestHash, HASH_BYTES);
  requireInteger('index', record.index, 0, UINT53_MAX);
  requireInteger('count', record.count, 1, UINT53_MAX);
  return concatBytes(
    TAGS.logRecord,
    record.logId,
    u64(record.index),
    record.root,
    u64(record.count),
    record.manifestHash,
  );
}

/** @throws RangeError when `bytes` is no log record. */
export function decodeLogRecord(bytes: Uint8Array): LogRecord {
  const reader = new ByteReader(bytes, 'log record');
  reader.expect(TAGS.logRecord, 'tag');
  const record = {
    logId: reader.bytes(LOG_ID_BYTES),
    index: reader.u53(),
    root: reader.bytes(HASH_BYTES),
    count: reader.u53(),
    manifestHash: reader.bytes(HASH_BYTES),
  };
  reader.end();
  if (record.count < 1) throw new RangeError('log record has count 0');
  return record;
}

/**
 * A checkpoint that can be checked by itself, as it lies in a dataset folder (`checkpoint`):
 * checkpoint 112 ‖ signature 64 ‖ gateway key 33 (compressed secp256k1) ‖ path of the dataset's log record
 * (count u8, 32 bytes each). The record's index stands in the manifest.
 */
export interface SignedCheckpoint {
  readonly checkpointBytes: Uint8Array;
  readonly checkpoint: Checkpoint;
  readonly signature: Uint8Array;
  readonly gatewayKey: PublicKey;
  readonly path: readonly Uint8Array[];
}

export function encodeSignedCheckpoint(
  checkpointBytes: Uint8Array,
  signature: Uint8Array,
  gatewayKey: PublicKey,
  path: readonly Uint8Array[],
): Uint8Array {
  requireLength('checkpoint', checkpointBytes, CHECKPOINT_BYTES);
  requireLength('signature', signature, SIGNATURE_BYTES);
  requireLength('gateway key', gatewayKey.bytes, 33);
  return concatBytes(checkpointBytes, signature, gatewayKey.bytes, pathBytes(path));
}

/**
 * Reads a signed checkpoint; the signature is judged by {@link checkpointFault}.
 *
 * @throws RangeError when `bytes` has another shape.
 */
export function decodeSignedCheckpoint(bytes: Uint8Array): SignedCheckpoint {
  const reader = new ByteReader(bytes, 'signed checkpoint');
  const checkpointBytes = reader.bytes(CHECKPOINT_BYTES);
  const signed: SignedCheckpoint = {
    checkpointBytes,
    checkpoint: decodeCheckpoint(checkpointBytes),
    signature: reader.bytes(SIGNATURE_BYTES),
    gatewayKey: { type: 'secp256k1', bytes: reader.bytes(33) },
    path: reader.path(),
  };
  reader.end();
  return signed;
}

/** Why the checkpoint is not the word of the key that it carries, or null. */
export function checkpointFault(signed: SignedCheckpoint): string | null {
  if (Buffer.compare(keyId(signed.gatewayKey), signed.checkpoint.gateway) !== 0) {
    return 'its gateway id is not the hash of its gateway key';
  }
  if (!verifySignature(signed.gatewayKey, signed.checkpointBytes, signed.signature)) {
    return 'its signature does not match the gateway key';
  }
  return null;
}
