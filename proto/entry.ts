import {
  readUint32,
  readUint53,
  requireInteger,
  requireLength,
  UINT53_MAX,
  viewOf,
  writeUint32,
  writeUint53,
} from './bytes.js';
import { SIGNATURE_BYTES } from './signature.js';
import { STATEMENT_BYTES } from './statement.js';

/** Size of entry v1: what a gateway commits for an envelope, and the data of a dataset's Merkle leaf. */
export const ENTRY_BYTES = 280;

/** Ingest flags: only what the gateway knew before the entry was durable. */
export const INGEST_FLAGS = {
  /** The gateway did not trust its own clock, so `receivedAtUs` is a guess and no time check ran. */
  clockUntrusted: 1,
} as const;

/** Entry v1, big-endian; offsets beside the fields. */
export interface Entry {
  /** 0: statement, 200 bytes. */
  readonly statement: Uint8Array;
  /** 200: signature with low S, 64 bytes. */
  readonly signature: Uint8Array;
  /** 264: when the gateway received the envelope, µs UTC, u64 below 2^53; never falls within a dataset. */
  readonly receivedAtUs: number;
  /** 272: ingest flags, u32; reserved u32 = 0 follows. */
  readonly flags: number;
}

/** @throws RangeError or TypeError naming the field, when a value does not fit. */
export function encodeEntry(entry: Entry): Uint8Array {
  const bytes = new Uint8Array(ENTRY_BYTES);
  writeEntry(bytes, 0, entry);
  return bytes;
}

/** As {@link encodeEntry}, to `bytes` at `at`. */
export function writeEntry(bytes: Uint8Array, at: number, entry: Entry): void {
  requireLength('statement', entry.statement, STATEMENT_BYTES);
  requireLength('signature', entry.signature, SIGNATURE_BYTES);
  requireInteger('receivedAtUs', entry.receivedAtUs, 0, UINT53_MAX);
  requireInteger('flags', entry.flags, 0, 0xffffffff);
  bytes.set(entry.statement, at);
  bytes.set(entry.signature, at + 200);
  writeUint53(bytes, at + 264, entry.receivedAtUs);
  writeUint32(bytes, at + 272, entry.flags);
  writeUint32(bytes, at + 276, 0);
}

/**
 * Reads entry v1; the statement inside is not judged here. The byte fields are views on `bytes`.
 *
 * @throws TypeError when `bytes` is not 280 bytes long.
 * @throws RangeError when the receive time is 2^53 or more, a flag is unknown, or reserved bytes are set.
 */
export function decodeEntry(bytes: Uint8Array): Entry {
  requireLength('entry', bytes, ENTRY_BYTES);
  const receivedAtUs = readUint53(bytes, 264);
  if (receivedAtUs === null) {
    throw new RangeError(`receivedAtUs must be below 2^53, got ${viewOf(bytes).getBigUint64(264)}`);
  }
  const flags = readUint32(bytes, 272);
  requireInteger('flags', flags, 0, INGEST_FLAGS.clockUntrusted);
  requireInteger('reserved', readUint32(bytes, 276), 0, 0);
  return {
    statement: bytes.subarray(0, STATEMENT_BYTES),
    signature: bytes.subarray(STATEMENT_BYTES, STATEMENT_BYTES + SIGNATURE_BYTES),
    receivedAtUs,
    flags,
  };
}
