import {
  readUint32,
  readUint53,
  requireInteger,
  requireLength,
  startsWith,
  UINT53_MAX,
  viewOf,
  writeUint32,
  writeUint53,
} from './bytes.js';
import { HASH_BYTES, sha256 } from './hash.js';
import { TAG_BYTES, TAGS } from './tags.js';

/** Size of statement v1. Everything that a contract may judge is in these bytes. */
export const STATEMENT_BYTES = 200;

export const SESSION_BYTES = 16;

/** Frames that one statement may cover. Bounds the frames tree to depth 10. */
export const FRAMES_PER_STATEMENT_MAX = 1024;

/** What the times of a statement and its frames count from. */
export const TIME_BASES = { sessionStart: 0, utc: 1 } as const;
export type TimeBase = (typeof TIME_BASES)[keyof typeof TIME_BASES];

/** Format number of `waystone.v1.Frame`. */
export const FRAME_FORMAT = 1;

/** What a device signs for a run of frames. Big-endian; offsets beside the fields. */
export interface Statement {
  /** 16: realm, 32 bytes. */
  readonly realm: Uint8Array;
  /** 48: device id, SHA-256 of the multicodec form of its key, 32 bytes. */
  readonly device: Uint8Array;
  /** 80: session, 16 bytes. */
  readonly session: Uint8Array;
  /** 96: stream, u32. */
  readonly stream: number;
  /** 100: frame format, u16. */
  readonly format: number;
  /** 102: time base, u8. */
  readonly timeBase: TimeBase;
  /** 103: flags, u8; none is defined, so 0. */
  readonly flags: number;
  /** 104: sequence of the first frame, u64 below 2^53. */
  readonly firstSequence: number;
  /** 112: number of frames, u32, 1 to 1,024; reserved u32 = 0 follows. */
  readonly count: number;
  /** 120: earliest frame time in µs, u64 below 2^53. */
  readonly minTimeUs: number;
  /** 128: latest frame time in µs, u64 below 2^53. */
  readonly maxTimeUs: number;
  /** 136: root of the tree over the frames' bytes, 32 bytes. */
  readonly framesRoot: Uint8Array;
  /** 168: SHA-256 of the statement before in this (device, session, stream); zeros for the first. */
  readonly previous: Uint8Array;
}

/** Why 200 bytes are not a statement v1. */
export type StatementFault =
  | { code: 'VERSION_UNSUPPORTED'; got: string }
  | { code: 'STATEMENT_INVALID'; field: string; got: string; allowed: string };

/** @throws RangeError or TypeError naming the field, when a value does not fit. */
export function encodeStatement(statement: Statement): Uint8Array {
  requireLength('realm', statement.realm, HASH_BYTES);
  requireLength('device', statement.device, HASH_BYTES);
  requireLength('session', statement.session, SESSION_BYTES);
  requireLength('framesRoot', statement.framesRoot, HASH_BYTES);
  requireLength('previous', statement.previous, HASH_BYTES);
  requireInteger('stream', statement.stream, 0, 0xffffffff);
  requireInteger('format', statement.format, 0, 0xffff);
  requireInteger('timeBase', statement.timeBase, 0, 1);
  requireInteger('flags', statement.flags, 0, 0);
  requireInteger('count', statement.count, 1, FRAMES_PER_STATEMENT_MAX);
  requireInteger('firstSequence', statement.firstSequence, 0, UINT53_MAX - statement.count);
  requireInteger('maxTimeUs', statement.maxTimeUs, 0, UINT53_MAX);
  requireInteger('minTimeUs', statement.minTimeUs, 0, statement.maxTimeUs);
  const bytes = new Uint8Array(STATEMENT_BYTES);
  bytes.set(TAGS.statement, 0);
  bytes.set(statement.realm, 16);
  bytes.set(statement.device, 48);
  bytes.set(statement.session, 80);
  writeUint32(bytes, 96, statement.stream);
  bytes[100] = statement.format >>> 8;
  bytes[101] = statement.format;
  bytes[102] = statement.timeBase;
  bytes[103] = statement.flags;
  writeUint53(bytes, 104, statement.firstSequence);
  writeUint32(bytes, 112, statement.count);
  writeUint53(bytes, 120, statement.minTimeUs);
  writeUint53(bytes, 128, statement.maxTimeUs);
  bytes.set(statement.framesRoot, 136);
  bytes.set(statement.previous, 168);
  return bytes;
}

/** Reads statement v1, or says why the bytes are none. The byte fields are views on `bytes`. */
export function readStatement(
  bytes: Uint8Array,
): { statement: Statement; fault?: never } | { fault: StatementFault; statement?: never } {
  requireLength('statement', bytes, STATEMENT_BYTES);
  if (!startsWith(bytes, TAGS.statement)) {
    const tag = printable(bytes.subarray(0, TAG_BYTES));
    return { fault: { code: 'VERSION_UNSUPPORTED', got: JSON.stringify(tag) } };
  }
  const timeBase = bytes[102] as number;
  const flags = bytes[103] as number;
  const firstSequence = readUint53(bytes, 104);
  const count = readUint32(bytes, 112);
  const reserved = readUint32(bytes, 116);
  const minTimeUs = readUint53(bytes, 120);
  const maxTimeUs = readUint53(bytes, 128);
  if (timeBase > 1) return invalid('timeBase', timeBase, '0 or 1');
  if (flags !== 0) return invalid('flags', flags, '0');
  if (count < 1 || count > FRAMES_PER_STATEMENT_MAX) {
    return invalid('count', count, `1..${FRAMES_PER_STATEMENT_MAX}`);
  }
  if (reserved !== 0) return invalid('reserved', reserved, '0');
  if (firstSequence === null || firstSequence > UINT53_MAX - count) {
    return invalid('firstSequence', uint64(bytes, 104), `first + count below 2^53`);
  }
  if (maxTimeUs === null) return invalid('maxTimeUs', uint64(bytes, 128), 'below 2^53');
  if (minTimeUs === null || minTimeUs > maxTimeUs) {
    return invalid('minTimeUs', uint64(bytes, 120), `0..${maxTimeUs} (maxTimeUs)`);
  }
  return {
    statement: {
      realm: bytes.subarray(16, 48),
      device: bytes.subarray(48, 80),
      session: bytes.subarray(80, 96),
      stream: readUint32(bytes, 96),
      format: ((bytes[100] as number) << 8) | (bytes[101] as number),
      timeBase: timeBase as TimeBase,
      flags,
      firstSequence,
      count,
      minTimeUs,
      maxTimeUs,
      framesRoot: bytes.subarray(136, 168),
      previous: bytes.subarray(168, 200),
    },
  };
}

/** SHA-256 of the 200 bytes: the statement's name, and the digest that ECDSA signs. */
export function statementHash(statementBytes: Uint8Array): Uint8Array {
  return sha256(statementBytes);
}

/** A u64 for a message about it. */
function uint64(bytes: Uint8Array, offset: number): bigint {
  return viewOf(bytes).getBigUint64(offset);
}

function invalid(
  field: string,
  got: number | bigint,
  allowed: string,
): { fault: StatementFault; statement?: never } {
  return { fault: { code: 'STATEMENT_INVALID', field, got: String(got), allowed } };
}

function printable(bytes: Uint8Array): string {
  return Buffer.from(bytes)
    .toString('latin1')
    .replace(/\0+$/, '')
    .replace(/[^\x20-\x7e]/g, '?');
}
