import { createHash } from 'node:crypto';

/** Size of every hash in the wire format, in bytes. */
export const HASH_BYTES = 32;

/** SHA-256 of the concatenation of `parts`; 32 bytes. */
export function sha256(...parts: readonly Uint8Array[]): Uint8Array {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  // Not the Buffer itself: its slice() shares memory, which a Uint8Array's never does.
  const digest = hash.digest();
  return new Uint8Array(digest.buffer, digest.byteOffset, digest.byteLength);
}
