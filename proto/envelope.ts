import { concatBytes, readUint32, requireLength, viewOf } from './bytes.js';
import { SIGNATURE_BYTES } from './signature.js';
import {
  readStatement,
  STATEMENT_BYTES,
  type Statement,
  type StatementFault,
} from './statement.js';

/**
 * Envelope v1, the MQTT payload on ws/v1/<device>/up:
 *
 *   0   4   magic "WSEN"
 *   4   2   version u16 = 1
 *   6   2   reserved u16 = 0
 *   8   200 statement
 *   208 64  signature
 *   272     frames, `count` times: length u32 ‖ bytes
 *
 * There is one encoding of an envelope and nothing after its last frame.
 */
export const ENVELOPE_BYTES_MAX = 256 * 1024;
export const ENVELOPE_HEADER_BYTES = 272;

const MAGIC = 0x5753454e; // "WSEN"
const VERSION = 1;
const STATEMENT_AT = 8;
const SIGNATURE_AT = STATEMENT_AT + STATEMENT_BYTES;

export interface Envelope {
  /** The statement's 200 bytes as received: sign and hash these, never a re-encoding. */
  readonly statementBytes: Uint8Array;
  readonly statement: Statement;
  /** 64 bytes, as received (ECDSA may have high S). */
  readonly signature: Uint8Array;
  /** The frames' exact bytes, in order. */
  readonly frames: readonly Uint8Array[];
}

export type EnvelopeFault =
  | StatementFault
  | { code: 'ENVELOPE_TOO_LARGE'; sizeBytes: number; limitBytes: number }
  | { code: 'ENVELOPE_MALFORMED'; what: string };

/** @throws TypeError or RangeError when a part has the wrong size or the whole is larger than 256 KiB. */
export function encodeEnvelope(
  statementBytes: Uint8Array,
  signature: Uint8Array,
  frames: readonly Uint8Array[],
): Uint8Array {
  requireLength('statement', statementBytes, STATEMENT_BYTES);
  requireLength('signature', signature, SIGNATURE_BYTES);
  const header = new Uint8Array(STATEMENT_AT);
  const view = viewOf(header);
  view.setUint32(0, MAGIC);
  view.setUint16(4, VERSION);
  const envelope = concatBytes(header, statementBytes, signature, encodeFrames(frames));
  if (envelope.length > ENVELOPE_BYTES_MAX) {
    throw new RangeError(
      `envelope is ${envelope.length} bytes, limit is ${ENVELOPE_BYTES_MAX}; put fewer frames in it`,
    );
  }
  return envelope;
}

/** Frames as they stand in envelopes and datasets: length u32 ‖ bytes, one after the other. */
export function encodeFrames(frames: readonly Uint8Array[]): Uint8Array {
  return concatBytes(
    ...frames.flatMap((frame) => {
      const length = new Uint8Array(4);
      viewOf(length).setUint32(0, frame.length);
      return [length, frame];
    }),
  );
}

/** Splits `count` frames; null when they do not fill `bytes` exactly. The frames are views on `bytes`. */
export function splitFrames(bytes: Uint8Array, count: number): Uint8Array[] | null {
  const frames: Uint8Array[] = [];
  let at = 0;
  for (let k = 0; k < count; k++) {
    if (at + 4 > bytes.length) return null;
    const end = at + 4 + readUint32(bytes, at);
    if (end > bytes.length) return null;
    frames.push(bytes.subarray(at + 4, end));
    at = end;
  }
  return at === bytes.length ? frames : null;
}

/** Reads an envelope, or says why the bytes are none. All byte fields are views on `bytes`. */
export function readEnvelope(
  bytes: Uint8Array,
): { envelope: Envelope; fault?: never } | { fault: EnvelopeFault; envelope?: never } {
  if (bytes.length > ENVELOPE_BYTES_MAX) {
    return {
      fault: {
        code: 'ENVELOPE_TOO_LARGE',
        sizeBytes: bytes.length,
        limitBytes: ENVELOPE_BYTES_MAX,
      },
    };
  }
  if (bytes.length < STATEMENT_AT || readUint32(bytes, 0) !== MAGIC) {
    return malformed('it does not begin with "WSEN", a version and two zero bytes');
  }
  const version = ((bytes[4] as number) << 8) | (bytes[5] as number);
  if (version !== VERSION) {
    return { fault: { code: 'VERSION_UNSUPPORTED', got: `envelope version ${version}` } };
  }
  if (bytes[6] !== 0 || bytes[7] !== 0) return malformed('its reserved bytes are not zero');
  if (bytes.length < ENVELOPE_HEADER_BYTES) {
    return malformed(`it ends after ${bytes.length} bytes, inside statement or signature`);
  }
  const statementBytes = bytes.subarray(STATEMENT_AT, SIGNATURE_AT);
  const read = readStatement(statementBytes);
  if (read.fault !== undefined) return { fault: read.fault };
  const frames = splitFrames(bytes.subarray(ENVELOPE_HEADER_BYTES), read.statement.count);
  if (frames === null) {
    return malformed(
      `its ${bytes.length - ENVELOPE_HEADER_BYTES} bytes after the signature are not exactly ${read.statement.count} frames`,
    );
  }
  return {
    envelope: {
      statementBytes,
      statement: read.statement,
      signature: bytes.subarray(SIGNATURE_AT, ENVELOPE_HEADER_BYTES),
      frames,
    },
  };
}

/** The statement's place in an envelope of at least header size, for a receipt that names a refused one. */
export function statementBytesOf(envelope: Uint8Array): Uint8Array | null {
  return envelope.length < SIGNATURE_AT ? null : envelope.subarray(STATEMENT_AT, SIGNATURE_AT);
}

function malformed(what: string): { fault: EnvelopeFault; envelope?: never } {
  return { fault: { code: 'ENVELOPE_MALFORMED', what } };
}
