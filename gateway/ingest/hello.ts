import {
  concatBytes,
  decodeHello,
  type EnrolmentPlace,
  enrolmentMessage,
  type Hello,
  keyId,
  normaliseSignature,
  openSignedMessage,
  type PublicKey,
  SESSION_BYTES,
  SIGNATURE_BYTES,
  toHex,
  UINT53_MAX,
  wire,
} from '@waystone/proto';
import { messageOf } from '../core/errors.js';
import { verifyNative } from '../core/native-signature.js';

/** Limits of `waystone.v1.Hello`. */
const QUEUED_SESSIONS_MAX = 64;
const WANTED_RECEIPTS_MAX = 1024;

/** A hello whose signature and shape were checked. */
export interface CheckedHello {
  readonly isOnline: boolean;
  readonly session: string;
  readonly counter: number;
  readonly queuedSessions: readonly string[];
  readonly wantedReceipts: readonly {
    readonly session: string;
    readonly stream: number;
    readonly firstSequence: number;
  }[];
  readonly software: string;
  /** Proof that the device holds its key, for the place that the gateway named; null when there is none that counts. */
  readonly enrolment: { readonly expiry: number; readonly signature: Uint8Array } | null;
}

/** Checks a hello message. @returns it, or one sentence on why it is refused. */
export function readHello(
  payload: Uint8Array,
  device: PublicKey,
  gateway: PublicKey,
  place: EnrolmentPlace | null = null,
): CheckedHello | { readonly fault: string } {
  try {
    const hello = decodeHello(
      openSignedMessage('hello', withLowS(payload, device), device, gateway, verifyNative),
    );
    const queued = hello.queuedSessions ?? [];
    const wanted = hello.wantedReceipts ?? [];
    const counter = hello.counter ?? 0;
    if (hello.session?.length !== SESSION_BYTES) return { fault: 'session must be 16 bytes' };
    if (counter < 1 || counter > UINT53_MAX) return { fault: 'counter must be 1 to 2^53 - 1' };
    if (queued.length > QUEUED_SESSIONS_MAX || queued.some((one) => one.length !== SESSION_BYTES)) {
      return { fault: `queued_sessions must be at most ${QUEUED_SESSIONS_MAX} of 16 bytes` };
    }
    if (
      wanted.length > WANTED_RECEIPTS_MAX ||
      wanted.some(
        (one) => one.session?.length !== SESSION_BYTES || (one.firstSequence ?? 0) > UINT53_MAX,
      )
    ) {
      return { fault: `wanted_receipts must be at most ${WANTED_RECEIPTS_MAX} valid references` };
    }
    return {
      isOnline: hello.state !== wire.Hello.State.STATE_OFFLINE,
      session: toHex(hello.session),
      counter,
      queuedSessions: queued.map(toHex),
      wantedReceipts: wanted.map((one) => ({
        session: toHex(one.session ?? new Uint8Array()),
        stream: one.stream ?? 0,
        firstSequence: one.firstSequence ?? 0,
      })),
      software: (hello.software ?? '').slice(0, 128),
      enrolment: readEnrolment(hello.enrolment, device, place),
    };
  } catch (error) {
    return { fault: messageOf(error) };
  }
}

/** A proof that is wrong is no proof, and no reason to refuse the hello. */
function readEnrolment(
  given: Hello['enrolment'],
  device: PublicKey,
  place: EnrolmentPlace | null,
): CheckedHello['enrolment'] {
  const expiry = given?.expiry ?? 0;
  const signature = given?.signature;
  if (place === null || signature?.length !== SIGNATURE_BYTES || expiry > UINT53_MAX) return null;
  const message = enrolmentMessage(place, keyId(device), 'device', expiry);
  const low = normaliseSignature(device.type, new Uint8Array(signature));
  return verifyNative(device, message, low) ? { expiry, signature: low } : null;
}

/** As with envelopes and logins, a signer that gives high S is accepted. */
function withLowS(payload: Uint8Array, device: PublicKey): Uint8Array {
  if (payload.length < SIGNATURE_BYTES) return payload;
  const signatureAt = payload.length - SIGNATURE_BYTES;
  return concatBytes(
    payload.subarray(0, signatureAt),
    normaliseSignature(device.type, payload.subarray(signatureAt)),
  );
}
