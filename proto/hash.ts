import { createHash, hash } from 'node:crypto';

/** Size of every hash in the wire format, in bytes. */
export const HASH_BYTES = 32;

/** Inputs up to this size are gathered and hashed in one call, which costs a third of a hash object. */
const GATHERED_BYTES_MAX = 4096;

const gathered = new Uint8Array(GATHERED_BYTES_MAX);

/** Views on the first bytes of `gathered`, by length: making one costs as much as hashing 32 bytes. */
const views: Uint8Array[] = [];

/** SHA-256 of the concatenation of `parts`; 32 bytes. */
export function sha256(...parts: readonly Uint8Array[]): Uint8Array {
  const digest = new Uint8Array(HASH_BYTES);
  if (parts.length === 1) hashInto(parts[0] as Uint8Array, digest, 0);
  else hashPartsInto(parts, digest, 0);
  return digest;
}

/** As {@link hashInto}, of the concatenation of `parts`. */
export function hashPartsInto(
  parts: readonly Uint8Array[],
  target: Uint8Array,
  offset: number,
): void {
  let length = 0;
  for (const part of parts) length += part.length;
  if (length > GATHERED_BYTES_MAX) {
    const state = createHash('sha256');
    for (const part of parts) state.update(part);
    target.set(state.digest(), offset);
    return;
  }
  let at = 0;
  for (const part of parts) {
    gathered.set(part, at);
    at += part.length;
  }
  views[length] ??= gathered.subarray(0, length);
  hashInto(views[length] as Uint8Array, target, offset);
}

/** Writes SHA-256 of `data` to `target` at `offset`. `target` may overlap `data`. */
export function hashInto(data: Uint8Array, target: Uint8Array, offset: number): void {
  // As a string of 32 one-byte characters: a Buffer for the digest would cost more than the hashing.
  const digest = hash('sha256', data, 'binary');
  for (let k = 0; k < HASH_BYTES; k++) target[offset + k] = digest.charCodeAt(k);
}
