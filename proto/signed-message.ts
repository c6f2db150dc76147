import type { waystone } from '#wire';
import { concatBytes, requireLength } from './bytes.js';
import { sha256 } from './hash.js';
import { keyId, type PublicKey } from './keys.js';
import { ByteReader, u32 } from './reader.js';
import { SIGNATURE_BYTES, type VerifySignature, verifySignature } from './signature.js';
import { TAGS } from './tags.js';

/**
 * `hello` and `config` messages: "WSMS" ‖ version u16 = 1 ‖ kind u16 (1 hello, 2 config) ‖ body length u32 ‖
 * body (protobuf) ‖ signature 64. Signed is: tag ‖ sender's key id ‖ receiver's key id ‖ SHA-256(body).
 */
export type SignedMessageKind = 'hello' | 'config';

export type Hello = waystone.v1.Hello.$Properties;
export type Config = waystone.v1.Config.$Properties;

/** Largest body of a signed message in bytes: a hello with 1,024 wanted receipts takes 35 kB. */
export const SIGNED_MESSAGE_BODY_BYTES_MAX = 48 * 1024;

const KIND_NUMBERS: Record<SignedMessageKind, number> = { hello: 1, config: 2 };

/** What the sender signs: 112 bytes. */
export function signedMessageInput(
  kind: SignedMessageKind,
  sender: Uint8Array,
  receiver: Uint8Array,
  body: Uint8Array,
): Uint8Array {
  requireLength('sender', sender, 32);
  requireLength('receiver', receiver, 32);
  return concatBytes(TAGS[kind], sender, receiver, sha256(body));
}

export function encodeSignedMessage(
  kind: SignedMessageKind,
  body: Uint8Array,
  signature: Uint8Array,
): Uint8Array {
  requireLength('signature', signature, SIGNATURE_BYTES);
  return concatBytes(preamble(kind), u32(body.length), body, signature);
}

/**
 * The body of a signed message of `kind` from `sender` to `receiver`.
 *
 * @param verify a faster library for the same signature rule.
 * @throws RangeError when the bytes have another shape or the signature does not match.
 */
export function openSignedMessage(
  kind: SignedMessageKind,
  bytes: Uint8Array,
  sender: PublicKey,
  receiver: PublicKey,
  verify: VerifySignature = verifySignature,
): Uint8Array {
  const reader = new ByteReader(bytes, kind);
  reader.expect(preamble(kind), 'magic, version and kind');
  const length = reader.u32();
  if (length > SIGNED_MESSAGE_BODY_BYTES_MAX) {
    throw new RangeError(
      `${kind} body is ${length} bytes, limit is ${SIGNED_MESSAGE_BODY_BYTES_MAX}`,
    );
  }
  const body = reader.bytes(length);
  const signature = reader.bytes(SIGNATURE_BYTES);
  reader.end();
  const input = signedMessageInput(kind, keyId(sender), keyId(receiver), body);
  if (!verify(sender, input, signature)) {
    throw new RangeError(`${kind} has a signature that does not match its sender's key`);
  }
  return body;
}

function preamble(kind: SignedMessageKind): Uint8Array {
  return Uint8Array.of(0x57, 0x53, 0x4d, 0x53, 0, 1, 0, KIND_NUMBERS[kind]);
}
