import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { toHex } from '@waystone/proto';

const BUFFER_BYTES = 1024 * 1024;

/**
 * Reads a file once from front to back and hashes what it reads, so that what was judged is what was hashed,
 * even when somebody writes to the file meanwhile.
 */
export class FileScan {
  /** Size when the file was opened. */
  readonly size: number;
  readonly #handle: FileHandle;
  readonly #hash = createHash('sha256');
  #buffer: Buffer;
  #start = 0;
  #end = 0;
  #read = 0;

  private constructor(handle: FileHandle, size: number) {
    this.#handle = handle;
    this.size = size;
    // Small files are most: they need no MiB. One byte more than the file shows its end in the same read.
    this.#buffer = Buffer.alloc(Math.min(BUFFER_BYTES, size + 1));
  }

  /**
   * Opens a regular file, never through a symlink. Without O_NONBLOCK, opening a named pipe would wait for ever.
   *
   * @throws RangeError when it is something else; the system's error when it cannot be opened.
   */
  static async open(path: string): Promise<FileScan> {
    const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = constants;
    const handle = await open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
    const stat = await handle.stat();
    if (!stat.isFile()) {
      await handle.close();
      throw new RangeError('not a regular file');
    }
    return new FileScan(handle, stat.size);
  }

  /**
   * The next `size` bytes, valid until the next call; null when fewer are left, and then none is taken.
   * The caller bounds `size`: the buffer grows to it.
   */
  async take(size: number): Promise<Uint8Array | null> {
    while (this.#end - this.#start < size) {
      if (!(await this.#fill(size))) return null;
    }
    const bytes = this.#buffer.subarray(this.#start, this.#start + size);
    this.#start += size;
    return bytes;
  }

  /** Passes over up to `size` bytes, hashing them. */
  async skip(size: number): Promise<void> {
    for (let left = size; left > 0; ) {
      if (this.#end === this.#start && !(await this.#fill(1))) return;
      const step = Math.min(left, this.#end - this.#start);
      this.#start += step;
      left -= step;
    }
  }

  /** Reads what is left and closes. Resolves to the number of bytes read in all and their SHA-256 in hex. */
  async finish(): Promise<{ bytes: number; sha256: string }> {
    await this.skip(Number.POSITIVE_INFINITY);
    await this.#handle.close();
    return { bytes: this.#read, sha256: toHex(this.#hash.digest()) };
  }

  /** Closes without reading on; harmless after {@link finish}. */
  async abandon(): Promise<void> {
    await this.#handle.close().catch(() => undefined);
  }

  /** Reads more behind what is unread, in a buffer that holds at least `size`. False at the file's end. */
  async #fill(size: number): Promise<boolean> {
    const unread = this.#buffer.subarray(this.#start, this.#end);
    if (size > this.#buffer.length) {
      const larger = Buffer.alloc(size);
      larger.set(unread);
      this.#buffer = larger;
    } else {
      this.#buffer.copyWithin(0, this.#start, this.#end);
    }
    this.#start = 0;
    this.#end = unread.length;
    const room = this.#buffer.length - this.#end;
    const { bytesRead } = await this.#handle.read(this.#buffer, this.#end, room, null);
    this.#hash.update(this.#buffer.subarray(this.#end, this.#end + bytesRead));
    this.#end += bytesRead;
    this.#read += bytesRead;
    return bytesRead > 0;
  }
}
