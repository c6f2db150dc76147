import { constants } from 'node:fs';
import { type FileHandle, open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  DATASET_FILES,
  decodeFramesHeader,
  decodeManifest,
  ENTRY_BYTES,
  framesHeaderBytes,
  HASH_BYTES,
  leafHashInto,
  type Manifest,
  MerkleTree,
  readStatement,
  type Statement,
  splitFrames,
  viewOf,
} from '@waystone/proto';
import { messageOf, WaystoneError } from '../core/errors.js';
import type { WrittenDataset } from './folder-writer.js';

/** Entries read at once when all are walked: 280 KiB. */
const ENTRIES_PER_READ = 1024;

/** Which frame: its device's key id (32 bytes), session (16 bytes), stream and sequence. */
export interface FramePlace {
  readonly device: Uint8Array;
  readonly session: Uint8Array;
  readonly stream: number;
  readonly sequence: number;
}

/**
 * Random access to a dataset folder, for proofs and answers. It trusts the folder as far as its shape goes;
 * `audit/` is what checks one.
 */
export class DatasetReader {
  readonly directory: string;
  readonly manifest: Manifest;
  /** The manifest's exact bytes. */
  readonly manifestBytes: Uint8Array;
  readonly #entries: FileHandle;
  readonly #frames: FileHandle;
  readonly #frameOffsets: readonly number[];
  #tree: Promise<MerkleTree> | undefined;

  private constructor(
    directory: string,
    manifestBytes: Uint8Array,
    manifest: Manifest,
    files: { entries: FileHandle; frames: FileHandle; frameOffsets: readonly number[] },
  ) {
    this.directory = directory;
    this.manifestBytes = manifestBytes;
    this.manifest = manifest;
    this.#entries = files.entries;
    this.#frames = files.frames;
    this.#frameOffsets = files.frameOffsets;
  }

  /**
   * Opens a folder; call {@link close} when done.
   *
   * @param known its manifest, for whoever has just written it: with thousands of devices, reading it takes longer than
   *   walking the entries.
   * @throws WaystoneError DATASET_NOT_FOUND when there is none, DATASET_DAMAGED when it cannot be read.
   */
  static async open(
    directory: string,
    known: Pick<WrittenDataset, 'manifest' | 'manifestBytes'> | null = null,
  ): Promise<DatasetReader> {
    const opened: FileHandle[] = [];
    try {
      const { manifest, manifestBytes } = known ?? (await readManifest(directory));
      const entries = await openFile(directory, DATASET_FILES.entries);
      opened.push(entries);
      const entriesBytes = (await entries.stat()).size;
      if (entriesBytes !== manifest.entries * ENTRY_BYTES) {
        throw new RangeError(
          `entries has ${entriesBytes} bytes, expected ${manifest.entries} of ${ENTRY_BYTES}`,
        );
      }
      const frames = await openFile(directory, DATASET_FILES.frames);
      opened.push(frames);
      const framesBytes = (await frames.stat()).size;
      const header = await readAt(frames, 0, framesHeaderBytes(manifest.entries));
      const frameOffsets = decodeFramesHeader(header, manifest.entries, framesBytes);
      const files = { entries, frames, frameOffsets };
      return new DatasetReader(directory, manifestBytes, manifest, files);
    } catch (cause) {
      for (const handle of opened) await handle.close();
      if ((cause as NodeJS.ErrnoException).code === 'ENOENT') {
        throw new WaystoneError('DATASET_NOT_FOUND', `${directory} holds no dataset`, { cause });
      }
      throw damaged(directory, cause);
    }
  }

  async close(): Promise<void> {
    await this.#entries.close();
    await this.#frames.close();
  }

  /** Number of entries. */
  get count(): number {
    return this.manifest.entries;
  }

  /** The 280 bytes of entry `index`, from 0. @throws RangeError when there is no such entry. */
  async entry(index: number): Promise<Uint8Array> {
    this.#requireIndex(index);
    return this.#read(this.#entries, index * ENTRY_BYTES, ENTRY_BYTES);
  }

  /** The frames of entry `index`, length u32 ‖ bytes each. @throws RangeError when there is no such entry. */
  async frameBytes(index: number): Promise<Uint8Array> {
    this.#requireIndex(index);
    const start = this.#frameOffsets[index] as number;
    const end = this.#frameOffsets[index + 1] as number;
    return this.#read(this.#frames, start, end - start);
  }

  /** The exact bytes of each frame of entry `index`. @throws RangeError when there is no such entry. */
  async frames(index: number): Promise<Uint8Array[]> {
    const { count } = this.#statement(index, await this.entry(index));
    const frames = splitFrames(await this.frameBytes(index), count);
    if (frames === null) {
      throw damaged(this.directory, new RangeError(`entry ${index} has not ${count} frames`));
    }
    return frames;
  }

  /** The tree over the entries, made once. */
  tree(): Promise<MerkleTree> {
    this.#tree ??= this.#makeTree();
    return this.#tree;
  }

  async #makeTree(): Promise<MerkleTree> {
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
      const count = Math.min(entriesEach, this.count - first);
      const bytes = await this.#read(this.#entries, first * ENTRY_BYTES, count * ENTRY_BYTES);
      const chunk = Buffer.from(bytes.buffer);
      const entries = Array.from({ length: count }, (_, k) =>
        chunk.subarray(k * ENTRY_BYTES, (k + 1) * ENTRY_BYTES),
      );
      yield { first, entries };
    }
  }

  /** The entry that holds a frame, with the frame's index in it, or null. */
  async find(
    place: FramePlace,
  ): Promise<{ index: number; entry: Uint8Array; frameIndex: number } | null> {
    const { device, session, stream, sequence } = place;
    for await (const [index, entry] of this.entries()) {
      // Offsets of statement v1: device 48, session 80, stream 96. Comparing before reading is what keeps
      // the walk over a large dataset short.
      if (Buffer.compare(entry.subarray(48, 80), device) !== 0) continue;
      if (Buffer.compare(entry.subarray(80, 96), session) !== 0) continue;
      if (viewOf(entry).getUint32(96) !== stream) continue;
      const statement = this.#statement(index, entry);
      const frameIndex = sequence - statement.firstSequence;
      if (frameIndex < 0 || frameIndex >= statement.count) continue;
      return { index, entry: entry.slice(), frameIndex };
    }
    return null;
  }

  /** did:key of each device, as the folder lists them. */
  async devices(): Promise<string[]> {
    const text = await readFile(join(this.directory, DATASET_FILES.devices), 'utf8');
    return text.split('\n').slice(0, -1);
  }

  /** The signed checkpoint's file, or null while the dataset is being sealed. */
  async checkpointBytes(): Promise<Uint8Array | null> {
    try {
      return new Uint8Array(await readFile(join(this.directory, DATASET_FILES.checkpoint)));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
      throw error;
    }
  }

  #statement(index: number, entry: Uint8Array): Statement {
    const { statement, fault } = readStatement(entry.subarray(0, 200));
    if (statement === undefined) {
      throw damaged(
        this.directory,
        new RangeError(`entry ${index} has no statement: ${fault.code}`),
      );
    }
    return statement;
  }

  #requireIndex(index: number): void {
    if (!Number.isSafeInteger(index) || index < 0 || index >= this.count) {
      throw new RangeError(`entry must be within 0..${this.count - 1}, got ${index}`);
    }
  }

  async #read(handle: FileHandle, at: number, size: number): Promise<Uint8Array<ArrayBuffer>> {
    try {
      return await readAt(handle, at, size);
    } catch (cause) {
      throw damaged(this.directory, cause);
    }
  }
}

async function readManifest(
  directory: string,
): Promise<Pick<WrittenDataset, 'manifest' | 'manifestBytes'>> {
  const manifestBytes = new Uint8Array(await readFile(join(directory, DATASET_FILES.manifest)));
  return { manifest: decodeManifest(manifestBytes), manifestBytes };
}

async function openFile(directory: string, name: string): Promise<FileHandle> {
  return open(join(directory, name), constants.O_RDONLY | constants.O_NOFOLLOW);
}

/** @throws RangeError when the file ends early. */
async function readAt(
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

function damaged(directory: string, cause: unknown): WaystoneError {
  return new WaystoneError(
    'DATASET_DAMAGED',
    `dataset ${directory} cannot be read: ${messageOf(cause)}; run \`waystone verify\` on it`,
    { cause },
  );
}
