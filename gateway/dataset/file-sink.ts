import { createHash } from 'node:crypto';
import { type FileHandle, open } from 'node:fs/promises';
import { toHex } from '@waystone/proto';

/** Bytes gathered before a write: one system call and one hash update for thousands of small appends. */
const BUFFER_BYTES = 1024 * 1024;

/** A new file that is written from front to back, hashed on the way and fsynced at the end. */
export class FileSink {
  readonly #handle: FileHandle;
  readonly #hash = createHash('sha256');
  readonly #buffer = new Uint8Array(BUFFER_BYTES);
  #used = 0;
  #bytes = 0;

  private constructor(handle: FileHandle) {
    this.#handle = handle;
  }

  /** @throws when the file exists already. */
  static async create(path: string): Promise<FileSink> {
    return new FileSink(await open(path, 'wx'));
  }

  /**
   * Appends a copy of `bytes`. Gives a promise only when the buffer had to be written, so that the many
   * small appends cost no turn of the event loop; wait for it before appending more.
   */
  append(bytes: Uint8Array): Promise<void> | undefined {
    if (this.#used + bytes.length > BUFFER_BYTES) return this.#overflow(bytes);
    this.#buffer.set(bytes, this.#used);
    this.#used += bytes.length;
    return undefined;
  }

  async #overflow(bytes: Uint8Array): Promise<void> {
    await this.#flush();
    if (bytes.length > BUFFER_BYTES) {
      await this.#write(bytes);
      return;
    }
    this.#buffer.set(bytes);
    this.#used = bytes.length;
  }

  async #flush(): Promise<void> {
    await this.#write(this.#buffer.subarray(0, this.#used));
    this.#used = 0;
  }

  async #write(bytes: Uint8Array): Promise<void> {
    this.#hash.update(bytes);
    this.#bytes += bytes.length;
    for (let at = 0; at < bytes.length; ) {
      at += (await this.#handle.write(bytes, at, bytes.length - at)).bytesWritten;
    }
  }

  /** Writes what is left and fsyncs. Resolves to the file's size and SHA-256 in hex. */
  async finish(): Promise<{ bytes: number; sha256: string }> {
    await this.#flush();
    await this.#handle.sync();
    await this.#handle.close();
    return { bytes: this.#bytes, sha256: toHex(this.#hash.digest()) };
  }

  /** Lets go of the file after a failure; harmless after {@link finish}. */
  async abandon(): Promise<void> {
    await this.#handle.close().catch(() => undefined);
  }
}
