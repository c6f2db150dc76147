/** Helpers on plain byte arrays. All integers on Waystone's wire are big-endian. */

/** A Uint8Array over its own or a shared buffer; every byte string in this package. */
export type Bytes = Uint8Array;

/** Sequence numbers, times in µs and sizes are kept below this, so a `number` holds them exactly. */
export const UINT53_MAX = Number.MAX_SAFE_INTEGER;

/** Lower-case hex of `bytes`, without prefix. */
export function toHex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex');
}

/**
 * Bytes of a hex string without prefix, of either case.
 *
 * @throws TypeError when `hex` is not an even number of hex digits.
 */
export function fromHex(hex: string): Uint8Array {
  if (hex.length % 2 !== 0 || !/^[0-9a-fA-F]*$/.test(hex)) {
    throw new TypeError(`expected an even number of hex digits, got ${JSON.stringify(hex)}`);
  }
  return new Uint8Array(Buffer.from(hex, 'hex'));
}

/** Whether two byte strings are equal. Not constant time: use it on public values only. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  if (a.length > SHORT_BYTES_MAX) return Buffer.compare(a, b) === 0;
  for (let k = 0; k < a.length; k++) if (a[k] !== b[k]) return false;
  return true;
}

/** Up to here a loop takes less than a call of the runtime: ids, hashes and tags. */
const SHORT_BYTES_MAX = 64;

/** Whether the first bytes of `bytes` are `prefix`. */
export function startsWith(bytes: Uint8Array, prefix: Uint8Array): boolean {
  for (let k = 0; k < prefix.length; k++) if (bytes[k] !== prefix[k]) return false;
  return true;
}

export function concatBytes(...parts: readonly Uint8Array[]): Uint8Array {
  let size = 0;
  for (const part of parts) size += part.length;
  const joined = new Uint8Array(size);
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}

/** A DataView over exactly the bytes of `bytes`. */
export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Writes an integer as u32. Byte by byte: on small records making a DataView would cost more than all it writes. */
export function writeUint32(bytes: Uint8Array, offset: number, value: number): void {
  bytes[offset] = value >>> 24;
  bytes[offset + 1] = value >>> 16;
  bytes[offset + 2] = value >>> 8;
  bytes[offset + 3] = value;
}

/** Writes a non-negative integer below 2^53 as u64. */
export function writeUint53(bytes: Uint8Array, offset: number, value: number): void {
  writeUint32(bytes, offset, Math.floor(value / 2 ** 32));
  writeUint32(bytes, offset + 4, value >>> 0);
}

/** Reads a u32 that lies within `bytes`. */
export function readUint32(bytes: Uint8Array, offset: number): number {
  return (
    (bytes[offset] as number) * 2 ** 24 +
    (((bytes[offset + 1] as number) << 16) |
      ((bytes[offset + 2] as number) << 8) |
      (bytes[offset + 3] as number))
  );
}

/** Reads a u64 as a number, or null when it is 2^53 or more. */
export function readUint53(bytes: Uint8Array, offset: number): number | null {
  const high = readUint32(bytes, offset);
  if (high >= 2 ** 21) return null;
  return high * 2 ** 32 + readUint32(bytes, offset + 4);
}

/** @throws RangeError when `value` is not an integer within `min..max`. */
export function requireInteger(field: string, value: number, min: number, max: number): void {
  if (!Number.isSafeInteger(value) || value < min || value > max) {
    throw new RangeError(`${field} must be an integer within ${min}..${max}, got ${value}`);
  }
}

/** @throws TypeError when `bytes` is not exactly `length` bytes long. */
export function requireLength(field: string, bytes: Uint8Array, length: number): void {
  if (!(bytes instanceof Uint8Array) || bytes.length !== length) {
    throw new TypeError(`${field} must be ${length} bytes, got ${bytes?.length ?? typeof bytes}`);
  }
}
