import { type FileHandle, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  DATASET_FILES,
  decodeFramesHeader,
  decodeManifest,
  ENTRY_BYTES,
  framesHeaderBytes,
  type Manifest,
  readStatement,
  type Statement,
  splitFrames,
  viewOf,
} from '@waystone/proto';
import {
  damaged,
  EntriesReader,
  openEntries,
  openFile,
  openingFolder,
  readAt,
} from './entries-reader.js';

/** Which frame: its device's key id (32 bytes), session (16 bytes), stream and sequence. */
export interface FramePlace {
  readonly device: Uint8Array;
  readonly session: Uint8Array;
  readonly stream: number;
  readonly sequence: number;
}

/** A whole dataset folder: random access for proofs and answers, with the trust of an {@link EntriesReader}. */
export class DatasetReader extends EntriesReader {
  readonly manifest: Manifest;
  /** The manifest's exact bytes. */
  readonly manifestBytes: Uint8Array;
  readonly #frames: FileHandle;
  readonly #frameOffsets: readonly number[];

  private constructor(
    directory: string,
    manifestBytes: Uint8Array,
    manifest: Manifest,
    files: { entries: FileHandle; frames: FileHandle; frameOffsets: readonly number[] },
  ) {
    super(directory, { file: files.entries, count: manifest.entries });
    this.manifestBytes = manifestBytes;
    this.manifest = manifest;
    this.#frames = files.frames;
    this.#frameOffsets = files.frameOffsets;
  }

  /**
   * Opens a folder; call {@link close} when done.
   *
   * @throws WaystoneError DATASET_NOT_FOUND when there is none, DATASET_DAMAGED when it cannot be read.
   */
  static override open(directory: string): Promise<DatasetReader> {
    return openingFolder(directory, async (opened) => {
      const manifestBytes = new Uint8Array(await readFile(join(directory, DATASET_FILES.manifest)));
      const manifest = decodeManifest(manifestBytes);
      const { file: entries, count } = await openEntries(directory, opened);
      if (count !== manifest.entries) {
        throw new RangeError(
          `entries has ${count * ENTRY_BYTES} bytes, expected ${manifest.entries} of ${ENTRY_BYTES}`,
        );
      }
      const frames = await openFile(directory, DATASET_FILES.frames, opened);
      const framesBytes = (await frames.stat()).size;
      const header = await readAt(frames, 0, framesHeaderBytes(manifest.entries));
      const frameOffsets = decodeFramesHeader(header, manifest.entries, framesBytes);
      const files = { entries, frames, frameOffsets };
      return new DatasetReader(directory, manifestBytes, manifest, files);
    });
  }

  override async close(): Promise<void> {
    await super.close();
    await this.#frames.close();
  }

  /** The frames of entry `index`, length u32 ‖ bytes each. @throws RangeError when there is no such entry. */
  async frameBytes(index: number): Promise<Uint8Array> {
    this.requireIndex(index);
    const start = this.#frameOffsets[index] as number;
    const end = this.#frameOffsets[index + 1] as number;
    return this.read(this.#frames, start, end - start);
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
}
