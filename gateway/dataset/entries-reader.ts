import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import { DATASET_FILES, ENTRY_BYTES, HASH_BYTES, leafHashInto, MerkleTree } from '@waystone/proto';
import { messageOf, WaystoneError } from '../core/errors.js';

/** Entries read at once when all are walked: 280 KiB. */
const ENTRIES_PER_READ = 1024;

/** Entries between two that were chosen up to which both are read at once, 18 KB of them. */
const ENTRIES_BETWEEN_MAX = 64;

/**
 * The entries of a dataset folder, without its manifest: that of thousands of devices takes longer to read than all entries.
 * It trusts the folder as far as its shape goes; `audit/` is what checks one.
 */
export class EntriesReader {
  readonly directory: string;
  /** Number of entries. */
  readonly count: number;
  readonly #file: FileHandle;

  protected constructor(directory: string, { file, count }: EntriesFile) {
    this.directory = directory;
    this.count = count;
    this.#file = file;
  }

  /**
   * Opens the entries of a folder; call {@link close} when done.
   *
   * @throws WaystoneError DATASET_NOT_FOUND when there is none, DATASET_DAMAGED when they cannot be read.
   */
  static open(directory: string): Promise<EntriesReader> {
    return openingFolder(
      directory,
      async (opened) => new EntriesReader(directory, await openEntries(directory, opened)),
    );
  }

  close(): Promise<void> {
    return this.#file.close();
  }

  /** The 280 bytes of entry `index`, from 0. @throws RangeError when there is no such entry. */
  async entry(index: number): Promise<Uint8Array> {
    this.requireIndex(index);
    return this.read(this.#file, index * ENTRY_BYTES, ENTRY_BYTES);
  }

  /** Makes the tree over the entries. */
  async tree(): Promise<MerkleTree> {
    const leaves = new Uint8Array(this.count * HASH_BYTES);
    for await (const { first, entries } of this.runs()) {
      for (const [k, entry] of entries.entries()) {
        leafHashInto(entry, leaves, (first + k) * HASH_BYTES);
      }
    }
    return new MerkleTree(leaves);
  }

  /** All entries in order, as index and bytes. */
  async *entries(): AsyncGenerator<[index: number, entry: Buffer]> {
    for await (const { first, entries } of this.runs()) {
      for (const [k, entry] of entries.entries()) yield [first + k, entry];
    }
  }

  /** All entries in order, some at a time: a turn of the event loop for each would take as long as most work on one. */
  async *runs(
    entriesEach = ENTRIES_PER_READ,
  ): AsyncGenerator<{ readonly first: number; readonly entries: readonly Buffer[] }> {
    for (let first = 0; first < this.count; first += entriesEach) {
      yield {
        first,
        entries: await this.#entries(first, Math.min(first + entriesEach, this.count)),
      };
    }
  }

  /** The entries at these indexes, each once and in order; those that the dataset does not have are left out. */
  async chosen(indexes: Iterable<number>): Promise<Map<number, Buffer>> {
    const sorted = [...new Set(indexes)]
      .filter((index) => Number.isSafeInteger(index) && index >= 0 && index < this.count)
      .sort((a, b) => a - b);
    const found = new Map<number, Buffer>();
    for (let k = 0; k < sorted.length; ) {
      const first = sorted[k] as number;
      let last = first;
      let next = k + 1;
      for (; next < sorted.length; next++) {
        const index = sorted[next] as number;
        if (index - last > ENTRIES_BETWEEN_MAX || index - first >= ENTRIES_PER_READ) break;
        last = index;
      }
      const entries = await this.#entries(first, last + 1);
      // Copied: a view would keep those that lie between.
      for (const index of sorted.slice(k, next)) {
        found.set(index, Buffer.from(entries[index - first] as Buffer));
      }
      k = next;
    }
    return found;
  }

  async #entries(first: number, end: number): Promise<Buffer[]> {
    const bytes = await this.read(this.#file, first * ENTRY_BYTES, (end - first) * ENTRY_BYTES);
    const chunk = Buffer.from(bytes.buffer);
    return Array.from({ length: end - first }, (_, k) =>
      chunk.subarray(k * ENTRY_BYTES, (k + 1) * ENTRY_BYTES),
    );
  }

  protected requireIndex(index: number): void {
    if (!Number.isSafeInteger(index) || index < 0 || index >= this.count) {
      throw new RangeError(`entry must be within 0..${this.count - 1}, got ${index}`);
    }
  }

  /** @throws WaystoneError DATASET_DAMAGED when the file ends early, or cannot be read. */
  protected async read(
    handle: FileHandle,
    at: number,
    size: number,
  ): Promise<Uint8Array<ArrayBuffer>> {
    try {
      return await readAt(handle, at, size);
    } catch (cause) {
      throw damaged(this.directory, cause);
    }
  }
}

/** The file of a folder's entries, and how many it holds. */
export interface EntriesFile {
  readonly file: FileHandle;
  readonly count: number;
}

/** @throws RangeError when it does not hold whole entries, or none. */
export async function openEntries(directory: string, opened: FileHandle[]): Promise<EntriesFile> {
  const file = await openFile(directory, DATASET_FILES.entries, opened);
  const { size } = await file.stat();
  const count = size / ENTRY_BYTES;
  if (count === 0 || !Number.isInteger(count)) {
    throw new RangeError(`entries has ${size} bytes, expected one or more of ${ENTRY_BYTES}`);
  }
  return { file, count };
}

/** @param opened takes the file, so that whoever fails later can close it. */
export async function openFile(
  directory: string,
  name: string,
  opened: FileHandle[],
): Promise<FileHandle> {
  const file = await open(join(directory, name), constants.O_RDONLY | constants.O_NOFOLLOW);
  opened.push(file);
  return file;
}

/**
 * Opens what is needed of a folder; where that fails, closes what was opened.
 *
 * @throws WaystoneError DATASET_NOT_FOUND when something is not there, DATASET_DAMAGED for anything else.
 */
export async function openingFolder<Reader>(
  directory: string,
  work: (opened: FileHandle[]) => Promise<Reader>,
): Promise<Reader> {
  const opened: FileHandle[] = [];
  try {
    return await work(opened);
  } catch (cause) {
    for (const handle of opened) await handle.close();
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') {
      throw new WaystoneError('DATASET_NOT_FOUND', `${directory} holds no dataset`, { cause });
    }
    throw damaged(directory, cause);
  }
}

/** @throws RangeError when the file ends early. */
export async function readAt(
  handle: FileHandle,
  position: number,
  size: number,
): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = new Uint8Array(size);
  for (let at = 0; at < size; ) {
    const { bytesRead } = await handle.read(bytes, at, size - at, position + at);
    if (bytesRead === 0) {
      throw new RangeError(`file ends at ${position + at}, expected ${position + size} bytes`);
    }
    at += bytesRead;
  }
  return bytes;
}

export function damaged(directory: string, cause: unknown): WaystoneError {
  return new WaystoneError(
    'DATASET_DAMAGED',
    `dataset ${directory} cannot be read: ${messageOf(cause)}; run \`waystone verify\` on it`,
    { cause },
  );
}
