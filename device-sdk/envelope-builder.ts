import { randomBytes } from 'node:crypto';
import {
  decodeFrame,
  ENVELOPE_BYTES_MAX,
  ENVELOPE_HEADER_BYTES,
  encodeEnvelope,
  encodeFrame,
  encodeStatement,
  FRAME_FORMAT,
  FRAMES_PER_STATEMENT_MAX,
  type Frame,
  frameFault,
  HASH_BYTES,
  keyId,
  leafHash,
  SALT_BYTES,
  statementHash,
  TIME_BASES,
  type TimeBase,
  treeRoot,
  UINT53_MAX,
} from '@waystone/proto';
import { FrameError } from './errors.js';
import type { Session } from './session.js';
import { type Signer, signMessage } from './signer.js';

/**
 * An observation as a device makes it: a frame without its salt, which is added when it is sealed.
 * Units and ranges of all fields stand in `waystone/v1/frame.proto`.
 */
export type Observation = Omit<Frame, 'salt' | 'timeUs'> & {
  /** When it was made, µs in the envelope's time base; an integer within 0..2^53 - 1. */
  readonly timeUs: number;
};

/** How an envelope is known to device and gateway. */
export interface EnvelopeName {
  /** SHA-256 of the statement, 32 bytes. */
  readonly statementHash: Uint8Array;
  /** 16 bytes. */
  readonly session: Uint8Array;
  readonly stream: number;
  /** Sequence of the first frame; frame k has firstSequence + k. Below 2^53. */
  readonly firstSequence: number;
  /** Number of frames, 1 to 1,024. */
  readonly count: number;
}

/** A signed envelope: `payload` is what goes over MQTT, and is never encoded again. */
export interface SignedEnvelope extends EnvelopeName {
  readonly payload: Uint8Array;
}

export interface SealOptions {
  /** What the statement is bound to, 32 bytes. */
  readonly realm: Uint8Array;
  readonly stream: number;
  /** What `timeUs` counts from. Default: UTC. */
  readonly timeBase?: TimeBase;
  /** Largest payload in bytes, at most the format's 256 KiB (the default). */
  readonly payloadBytesMax?: number;
}

interface Chain {
  nextSequence: number;
  previous: Uint8Array;
}

/**
 * Turns observations into signed envelopes. Within its session, each stream's sequences rise without gaps
 * and each statement names the one before it.
 */
export class EnvelopeBuilder {
  readonly #signer: Signer;
  readonly #session: Session;
  readonly #device: Uint8Array;
  readonly #chains = new Map<number, Chain>();
  #last: Promise<unknown> = Promise.resolve();

  constructor(signer: Signer, session: Session) {
    this.#signer = signer;
    this.#session = session;
    this.#device = keyId(signer.publicKey);
  }

  /**
   * Seals 1 to 1,024 observations, in the order given, into as few envelopes as the size limit allows.
   * All or nothing: on an error no sequence is used. Calls are carried out one after the other.
   *
   * @throws FrameError `FRAME_INVALID` or `FRAME_TOO_LARGE` (alone larger than an envelope).
   * @throws DeviceError `SIGNER_FAILED`.
   * @throws RangeError for no or too many observations; TypeError or RangeError for wrong options.
   */
  seal(observations: readonly Observation[], options: SealOptions): Promise<SignedEnvelope[]> {
    const sealed = this.#last.then(() => this.#seal(observations, options));
    this.#last = sealed.catch(() => undefined); // The next call must run whatever became of this one.
    return sealed;
  }

  async #seal(
    observations: readonly Observation[],
    { realm, stream, timeBase = TIME_BASES.utc, payloadBytesMax }: SealOptions,
  ): Promise<SignedEnvelope[]> {
    if (observations.length < 1 || observations.length > FRAMES_PER_STATEMENT_MAX) {
      throw new RangeError(
        `seal 1 to ${FRAMES_PER_STATEMENT_MAX} observations at a time, got ${observations.length}`,
      );
    }
    const limitBytes = Math.min(payloadBytesMax ?? ENVELOPE_BYTES_MAX, ENVELOPE_BYTES_MAX);
    const frames = observations.map((observation, index) =>
      encodeObservation(observation, index, limitBytes),
    );
    let { nextSequence, previous } = this.#chains.get(stream) ?? {
      nextSequence: 0,
      previous: new Uint8Array(HASH_BYTES),
    };
    const envelopes: SignedEnvelope[] = [];
    for (const [from, to] of runsWithin(frames, limitBytes)) {
      const run = frames.slice(from, to);
      let minTimeUs = UINT53_MAX;
      let maxTimeUs = 0;
      for (const { timeUs } of observations.slice(from, to)) {
        minTimeUs = Math.min(minTimeUs, timeUs);
        maxTimeUs = Math.max(maxTimeUs, timeUs);
      }
      const statement = encodeStatement({
        realm,
        device: this.#device,
        session: this.#session.id,
        stream,
        format: FRAME_FORMAT,
        timeBase,
        flags: 0,
        firstSequence: nextSequence,
        count: run.length,
        minTimeUs,
        maxTimeUs,
        framesRoot: treeRoot(run.map((frame) => leafHash(frame))),
        previous,
      });
      const signature = await signMessage(this.#signer, statement);
      previous = statementHash(statement);
      envelopes.push({
        payload: encodeEnvelope(statement, signature, run),
        statementHash: previous,
        session: this.#session.id,
        stream,
        firstSequence: nextSequence,
        count: run.length,
      });
      nextSequence += run.length;
    }
    this.#chains.set(stream, { nextSequence, previous });
    return envelopes;
  }
}

function encodeObservation(observation: Observation, index: number, limitBytes: number) {
  const { timeUs, position } = observation;
  if (!Number.isSafeInteger(timeUs) || timeUs < 0) {
    throw invalid(index, `timeUs must be an integer within 0..2^53 - 1, got ${timeUs}`);
  }
  for (const field of ['latitudeE9', 'longitudeE9'] as const) {
    const value = position?.[field] ?? 0;
    if (!Number.isSafeInteger(value)) {
      throw invalid(index, `position.${field} must be an integer of 1e-9 degree, got ${value}`);
    }
  }
  let bytes: Uint8Array;
  let fault: string | null;
  try {
    bytes = encodeFrame({ ...observation, salt: randomBytes(SALT_BYTES) });
    fault = frameFault(decodeFrame(bytes)); // Judged as the gateway will judge it.
  } catch (cause) {
    throw invalid(index, 'it cannot be encoded', cause);
  }
  if (fault !== null) throw invalid(index, fault);
  const sizeBytes = ENVELOPE_HEADER_BYTES + 4 + bytes.length;
  if (sizeBytes > limitBytes) {
    throw new FrameError(
      'FRAME_TOO_LARGE',
      index,
      `frame ${index} would make an envelope of ${sizeBytes} bytes, limit is ${limitBytes}; ` +
        'send large payloads as blobs',
    );
  }
  return bytes;
}

function invalid(index: number, what: string, cause?: unknown): FrameError {
  return new FrameError('FRAME_INVALID', index, `frame ${index} is not valid: ${what}`, { cause });
}

/** Cuts frames into runs `[from, to)` whose envelopes stay within the limit; each frame alone does. */
function runsWithin(frames: readonly Uint8Array[], limitBytes: number): [number, number][] {
  const runs: [number, number][] = [];
  let from = 0;
  let sizeBytes = ENVELOPE_HEADER_BYTES;
  frames.forEach((frame, index) => {
    const frameBytes = 4 + frame.length;
    if (sizeBytes + frameBytes > limitBytes) {
      runs.push([from, index]);
      from = index;
      sizeBytes = ENVELOPE_HEADER_BYTES;
    }
    sizeBytes += frameBytes;
  });
  runs.push([from, frames.length]);
  return runs;
}
