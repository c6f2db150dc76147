import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { ENTRY_BYTES, HASH_BYTES, leafHashInto, MerkleTree } from '@waystone/proto';
import { messageOf, WaystoneError } from '../core/errors.js';

/** Entries read at once: 280 KiB. */
const ENTRIES_PER_READ = 1_024;

/** Most entries of a file that is read; their hashes take 512 MB. */
const ENTRIES_MAX = 16 * 1_024 * 1_024;

/** An entry with its place in the tree, as a challenge shows it. */
export interface EntryProof {
  readonly entry: Uint8Array;
  readonly index: number;
  readonly path: readonly Uint8Array[];
}

/**
 * The published file of a dataset's entries, and nothing else of it: whoever challenges needs neither frames nor
 * manifest. Only hashes are held in memory.
 */
export class EntriesFile {
  readonly #handle: FileHandle;
  readonly path: string;
  readonly count: number;
  #tree: MerkleTree | null = null;

  private constructor(path: string, handle: FileHandle, count: number) {
    this.path = path;
    this.#handle = handle;
    this.count = count;
  }

  /** @throws WaystoneError PATH_UNREADABLE. */
  static async open(path: string): Promise<EntriesFile> {
    let handle: FileHandle;
    try {
      handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    } catch (cause) {
      throw unreadable(path, messageOf(cause), cause);
    }
    const stat = await handle.stat();
    const count = stat.size / ENTRY_BYTES;
    if (stat.isFile() && Number.isInteger(count) && count > 0 && count <= ENTRIES_MAX) {
      return new EntriesFile(path, handle, count);
    }
    await handle.close();
    throw unreadable(
      path,
      `it has ${stat.size} bytes, which are not 1 to ${ENTRIES_MAX} entries of ${ENTRY_BYTES}`,
    );
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }

  /** Calls `each` for all entries in order; the bytes are valid until it returns. The tree is known afterwards. */
  async read(each: (entry: Uint8Array, index: number) => void): Promise<void> {
    const leaves = new Uint8Array(this.count * HASH_BYTES);
    const buffer = new Uint8Array(ENTRIES_PER_READ * ENTRY_BYTES);
    for (let first = 0; first < this.count; first += ENTRIES_PER_READ) {
      const entries = Math.min(ENTRIES_PER_READ, this.count - first);
      await this.#fill(buffer.subarray(0, entries * ENTRY_BYTES), first * ENTRY_BYTES);
      for (let k = 0; k < entries; k++) {
        const entry = buffer.subarray(k * ENTRY_BYTES, (k + 1) * ENTRY_BYTES);
        leafHashInto(entry, leaves, (first + k) * HASH_BYTES);
        each(entry, first + k);
      }
    }
    this.#tree = new MerkleTree(leaves);
  }

  /** The tree over the entries. @throws TypeError before {@link read}. */
  get tree(): MerkleTree {
    if (this.#tree === null) throw new TypeError('the entries were not read yet');
    return this.#tree;
  }

  /** An entry and its way to the root. */
  async proof(index: number): Promise<EntryProof> {
    const entry = new Uint8Array(ENTRY_BYTES);
    await this.#fill(entry, index * ENTRY_BYTES);
    return { entry, index, path: this.tree.inclusionProof(index) };
  }

  async #fill(target: Uint8Array, position: number): Promise<void> {
    for (let at = 0; at < target.length; ) {
      const { bytesRead } = await this.#handle.read(target, at, target.length - at, position + at);
      if (bytesRead === 0) throw unreadable(this.path, `it ends at ${position + at}`);
      at += bytesRead;
    }
  }
}

function unreadable(path: string, why: string, cause?: unknown): WaystoneError {
  return new WaystoneError(
    'PATH_UNREADABLE',
    `the entries at ${path} cannot be read: ${why}`,
    cause === undefined ? {} : { cause },
  );
}
