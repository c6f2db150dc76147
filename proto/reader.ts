import {
  readUint53,
  requireInteger,
  requireLength,
  viewOf,
  writeUint32,
  writeUint53,
} from './bytes.js';

/** Reads big-endian fields in order; each method throws RangeError when the bytes end early. */
export class ByteReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #what: string;
  #at = 0;

  /** @param what names the format in errors, for example "receipt". */
  constructor(bytes: Uint8Array, what: string) {
    this.#bytes = bytes;
    this.#view = viewOf(bytes);
    this.#what = what;
  }

  #take(size: number): number {
    const at = this.#at;
    if (at + size > this.#bytes.length) {
      throw new RangeError(`${this.#what} ends after ${this.#bytes.length} bytes, expected more`);
    }
    this.#at += size;
    return at;
  }

  u8(): number {
    return this.#view.getUint8(this.#take(1));
  }
  u16(): number {
    return this.#view.getUint16(this.#take(2));
  }
  u32(): number {
    return this.#view.getUint32(this.#take(4));
  }
  /** A u64 below 2^53. */
  u53(): number {
    const value = readUint53(this.#bytes, this.#take(8));
    if (value === null) throw new RangeError(`${this.#what} has an integer of 2^53 or more`);
    return value;
  }
  /** The next `size` bytes, as a view. */
  bytes(size: number): Uint8Array {
    const at = this.#take(size);
    return this.#bytes.subarray(at, at + size);
  }
  /** `count` hashes, count in one byte before them. */
  path(): Uint8Array[] {
    return Array.from({ length: this.u8() }, () => this.bytes(32));
  }
  /** @throws RangeError when the next bytes are not `expected`. */
  expect(expected: Uint8Array, name: string): void {
    if (Buffer.compare(this.bytes(expected.length), expected) !== 0) {
      throw new RangeError(`${this.#what} has no valid ${name}`);
    }
  }
  /** @throws RangeError when bytes are left. */
  end(): void {
    const left = this.#bytes.length - this.#at;
    if (left !== 0) throw new RangeError(`${this.#what} has ${left} bytes after its end`);
  }
}

export const u8 = (value: number): Uint8Array => Uint8Array.of(value);

export function u16(value: number): Uint8Array {
  const bytes = new Uint8Array(2);
  viewOf(bytes).setUint16(0, value);
  return bytes;
}

export function u32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  writeUint32(bytes, 0, value);
  return bytes;
}

/** A non-negative integer below 2^53 as u64. */
export function u64(value: number): Uint8Array {
  const bytes = new Uint8Array(8);
  writeUint53(bytes, 0, value);
  return bytes;
}

/** @throws RangeError or TypeError when a path has more than 255 hashes or one is not 32 bytes long. */
export function requirePath(path: readonly Uint8Array[]): void {
  requireInteger('path length', path.length, 0, 0xff);
  for (const hash of path) requireLength('path hash', hash, 32);
}

/** Writes a Merkle path: count in one byte, then the hashes. @returns where it ends. */
export function writePath(bytes: Uint8Array, offset: number, path: readonly Uint8Array[]): number {
  bytes[offset] = path.length;
  let at = offset + 1;
  for (const hash of path) {
    bytes.set(hash, at);
    at += 32;
  }
  return at;
}

/** As {@link writePath}, by itself. @throws as {@link requirePath}. */
export function pathBytes(path: readonly Uint8Array[]): Uint8Array {
  requirePath(path);
  const bytes = new Uint8Array(1 + 32 * path.length);
  writePath(bytes, 0, path);
  return bytes;
}
