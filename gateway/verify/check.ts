import {
  decodeFrame,
  didFromKey,
  type Envelope,
  equalBytes,
  FRAME_FORMAT,
  frameFault,
  normaliseSignature,
  type PublicKey,
  readEnvelope,
  scanFrame,
  TIME_BASES,
  toHex,
  treeRootOfData,
} from '@waystone/proto';
import { messageOf } from '../core/errors.js';
import type { Refusal } from '../core/refusal.js';

/** What an envelope is judged against. */
export interface CheckContext {
  readonly device: {
    readonly keyId: Uint8Array;
    readonly publicKey: PublicKey;
    readonly revokedAtUs: number | null;
  };
  /** Realm that the gateway's statements must carry, 32 bytes. */
  readonly realm: Uint8Array;
  readonly streams: readonly number[];
  readonly receivedAtUs: number;
  /** While the gateway does not trust its own clock, no time is judged. */
  readonly clockTrusted: boolean;
  readonly verifySignature: (key: PublicKey, message: Uint8Array, signature: Uint8Array) => boolean;
}

/** How far a frame's time may lie after its receive time, µs. */
export const TIME_AHEAD_MAX_US = 60_000_000;

/** 2015-01-01 UTC in µs: no device of this kind is older. */
export const TIME_MIN_US = 1_420_070_400_000_000;

/**
 * Whether an envelope may be stored, as far as that can be told without the ledger. Cheap checks come first,
 * the frames' tree and the signature last.
 *
 * @param payload the MQTT payload as received.
 * @returns the envelope and its signature with low S, or the refusal.
 */
export function checkEnvelope(
  payload: Uint8Array,
  context: CheckContext,
): { envelope: Envelope; signature: Uint8Array; refusal: null } | { refusal: Refusal } {
  const read = readEnvelope(payload);
  if (read.fault !== undefined) return { refusal: read.fault };
  const { envelope } = read;
  const refusal = checkStatement(envelope, context) ?? checkFrames(envelope);
  if (refusal !== null) return { refusal };
  const { publicKey } = context.device;
  const signature = normaliseSignature(publicKey.type, envelope.signature);
  if (!context.verifySignature(publicKey, envelope.statementBytes, signature)) {
    return { refusal: { code: 'SIGNATURE_INVALID', did: didFromKey(publicKey) } };
  }
  return { envelope, signature, refusal: null };
}

function checkStatement({ statement }: Envelope, context: CheckContext): Refusal | null {
  const { device } = context;
  if (!equalBytes(statement.device, device.keyId)) {
    return {
      code: 'DEVICE_MISMATCH',
      named: toHex(statement.device),
      topic: toHex(device.keyId),
    };
  }
  if (device.revokedAtUs !== null) {
    return { code: 'DEVICE_REVOKED', did: didFromKey(device.publicKey) };
  }
  if (!equalBytes(statement.realm, context.realm)) {
    return {
      code: 'REALM_FOREIGN',
      got: toHex(statement.realm),
      expected: toHex(context.realm),
    };
  }
  if (!context.streams.includes(statement.stream)) {
    return { code: 'STREAM_UNKNOWN', stream: statement.stream, known: context.streams };
  }
  if (statement.format !== FRAME_FORMAT) {
    return { code: 'FORMAT_UNSUPPORTED', format: statement.format };
  }
  if (!context.clockTrusted || statement.timeBase !== TIME_BASES.utc) return null;
  if (statement.maxTimeUs > context.receivedAtUs + TIME_AHEAD_MAX_US) {
    return {
      code: 'TIME_IN_FUTURE',
      maxTimeUs: statement.maxTimeUs,
      receivedAtUs: context.receivedAtUs,
    };
  }
  if (statement.minTimeUs < TIME_MIN_US) {
    return { code: 'TIME_TOO_OLD', minTimeUs: statement.minTimeUs };
  }
  return null;
}

function checkFrames({ statement, frames }: Envelope): Refusal | null {
  let minTimeUs = Number.POSITIVE_INFINITY;
  let maxTimeUs = 0;
  for (const [index, bytes] of frames.entries()) {
    let timeUs = scanFrame(bytes);
    if (timeUs < 0) {
      const read = readFrameTime(bytes);
      if (typeof read === 'string') return { code: 'FRAME_MALFORMED', index, what: read };
      timeUs = read;
    }
    minTimeUs = Math.min(minTimeUs, timeUs);
    maxTimeUs = Math.max(maxTimeUs, timeUs);
  }
  if (!equalBytes(treeRootOfData(frames), statement.framesRoot)) {
    return { code: 'FRAMES_ROOT_MISMATCH' };
  }
  if (minTimeUs !== statement.minTimeUs) {
    return {
      code: 'STATEMENT_CONTRADICTED',
      field: 'minTimeUs',
      stated: statement.minTimeUs,
      found: minTimeUs,
    };
  }
  if (maxTimeUs !== statement.maxTimeUs) {
    return {
      code: 'STATEMENT_CONTRADICTED',
      field: 'maxTimeUs',
      stated: statement.maxTimeUs,
      found: maxTimeUs,
    };
  }
  return null;
}

/** Time of a frame that needs decoding to be judged, µs, or what is wrong with it. */
function readFrameTime(bytes: Uint8Array): number | string {
  try {
    const frame = decodeFrame(bytes);
    return frameFault(frame) ?? frame.timeUs ?? 0;
  } catch (error) {
    return messageOf(error);
  }
}
