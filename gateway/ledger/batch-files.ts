import {
  closeSync,
  existsSync,
  fdatasyncSync,
  ftruncateSync,
  openSync,
  readdirSync,
  statSync,
  truncateSync,
  unlinkSync,
} from 'node:fs';
import { join } from 'node:path';
import { ENTRY_BYTES } from '@waystone/proto';
import {
  BATCH_FILE_HEADER,
  BATCH_FILES_FOLDER,
  BATCH_RECORD_HEAD_BYTES,
  type BatchFileExtent,
  batchFile,
  batchFileBytes,
} from '../core/batch-file.js';
import { makeFolder, syncFolderNow, writeFully } from '../core/durable.js';
import { WaystoneError } from '../core/errors.js';
import type { BatchRow } from '../core/ports.js';
import type { UnsyncedTable } from './unsynced.js';

/** First size of the buffer in which a group's records of one batch are put together. */
const STAGE_BYTES = 256 * 1024;

/**
 * A group of at most so many bytes is not worth a sync of its file: its bytes go into the WAL as well. More bytes would
 * cost more there, three writes each, than a sync takes.
 */
const SMALL_GROUP_BYTES = 16 * 1024;

/** A file is synced when so many of its bytes are not: they take room in the database. */
const UNSYNCED_BYTES_MAX = 256 * 1024;

/** A file that grows. */
interface GrowingFile {
  fd: number;
  /** Bytes that count, or will once the present group is committed. */
  committed: number;
  stage: Buffer;
  staged: number;
  /** Bytes that are durable in the database alone; and what that is once the present group is committed. */
  unsynced: number;
  unsyncedNext: number;
  /** The batch takes no more entries: the file is closed once it is on disk. */
  isLast: boolean;
}

/**
 * The files of the open batches, written by the ledger's thread alone. A group's records are written before its
 * transaction commits, and synced, or put into the transaction where they are few; what a commit did not confirm is cut
 * off. Each byte of a large group is written once, where the database would write it to its log first and to its table
 * again.
 */
export class BatchFiles {
  readonly #dataFolder: string;
  readonly #unsynced: UnsyncedTable | null;
  readonly #growing = new Map<number, GrowingFile>();
  /** Sealed in the present group; and in groups that are on disk. */
  #removing: number[] = [];
  #removed: number[] = [];
  /** A backup copies files: none may go. */
  #isHeld = false;

  /**
   * @param dataFolder the gateway's data folder; the folder of batch files is made when it is not there.
   * @param unsynced where the bytes of small groups are durable, or null to sync the files for each group.
   */
  constructor(dataFolder: string, unsynced: UnsyncedTable | null) {
    this.#dataFolder = dataFolder;
    this.#unsynced = unsynced;
    makeFolder(join(dataFolder, BATCH_FILES_FOLDER));
  }

  /**
   * At start: removes files that no unsealed batch names, writes what may not have been synced, and cuts off what no
   * commit confirmed.
   *
   * @throws WaystoneError LEDGER_BROKEN when a file is missing or shorter than what was committed.
   */
  reconcile(unsealed: readonly (BatchFileExtent & { readonly id: number })[]): void {
    const wanted = new Map(unsealed.map((batch) => [`${batch.id}`, batch]));
    const folder = join(this.#dataFolder, BATCH_FILES_FOLDER);
    for (const name of readdirSync(folder)) {
      if (!wanted.has(name)) unlinkSync(join(folder, name));
    }
    this.#writeUnsynced(wanted);
    for (const batch of unsealed) {
      if (batch.entries === 0) continue;
      const file = batchFile(this.#dataFolder, batch.id);
      const bytes = batchFileBytes(batch);
      const size = statSync(file, { throwIfNoEntry: false })?.size ?? 0;
      if (size < bytes) {
        throw new WaystoneError(
          'LEDGER_BROKEN',
          `${file} has ${size} bytes, the ledger says ${bytes}: the disk lost what it had confirmed, or the file was moved. Put it back, or restore a backup`,
        );
      }
      if (size > bytes) truncateSync(file, bytes);
    }
  }

  /** Adds a record behind those that `before` counts. Nothing is written before {@link flush}. */
  append(batch: number, before: BatchFileExtent, row: BatchRow): void {
    const file = this.#grow(batch, before);
    const length = BATCH_RECORD_HEAD_BYTES + row.frames.length;
    if (file.staged + length > file.stage.length) {
      const larger = Buffer.allocUnsafeSlow(
        Math.max(2 * file.stage.length, file.staged + length, STAGE_BYTES),
      );
      file.stage.copy(larger, 0, 0, file.staged);
      file.stage = larger;
    }
    file.stage.set(row.entry, file.staged);
    file.stage.writeUInt32BE(row.frames.length, file.staged + ENTRY_BYTES);
    file.stage.set(row.frames, file.staged + BATCH_RECORD_HEAD_BYTES);
    file.staged += length;
  }

  /** The batch takes no more entries. */
  finish(batch: number): void {
    const file = this.#growing.get(batch);
    if (file !== undefined) file.isLast = true;
  }

  /** Writes what was added and makes it durable with the transaction: the last thing before that commits. */
  flush(): void {
    for (const [batch, file] of this.#growing) {
      file.unsyncedNext = file.unsynced;
      if (file.staged > 0) {
        if (file.fd === -1) file.fd = this.#open(batch, file.committed);
        writeFully(file.fd, file.stage.subarray(0, file.staged), file.committed);
        if (this.#isSmall(file)) {
          this.#unsynced?.add(batch, file.committed, file.stage.subarray(0, file.staged));
          file.unsyncedNext += file.staged;
          continue;
        }
        this.#sync(batch, file);
      } else if (file.isLast && file.unsynced > 0) this.#sync(batch, file);
    }
  }

  /** Syncs all files, in a transaction: nothing is left to be written again at the next start. */
  sync(): void {
    for (const [batch, file] of this.#growing) {
      if (file.unsynced > 0) this.#sync(batch, file);
    }
  }

  #isSmall({ isLast, staged, unsynced }: GrowingFile): boolean {
    return (
      this.#unsynced !== null &&
      !isLast &&
      staged <= SMALL_GROUP_BYTES &&
      unsynced + staged <= UNSYNCED_BYTES_MAX
    );
  }

  #sync(batch: number, file: GrowingFile): void {
    fdatasyncSync(file.fd);
    // Also what the counting has forgotten, after an undone group.
    this.#unsynced?.clear(batch);
    file.unsyncedNext = 0;
  }

  #writeUnsynced(wanted: ReadonlyMap<string, BatchFileExtent>): void {
    const rows = this.#unsynced?.all() ?? [];
    for (const batch of new Set(rows.map((row) => row.batch))) {
      const file = batchFile(this.#dataFolder, batch);
      // That a file is missing is said below.
      if (!wanted.has(`${batch}`) || !existsSync(file)) continue;
      const fd = openSync(file, 'r+');
      try {
        for (const row of rows) if (row.batch === batch) writeFully(fd, row.bytes, row.at);
        fdatasyncSync(fd);
      } finally {
        closeSync(fd);
      }
      this.#unsynced?.clear(batch);
    }
  }

  /** The transaction is on disk: what was flushed counts, and what was removed goes. */
  committed(): void {
    for (const [batch, file] of this.#growing) {
      file.committed += file.staged;
      file.staged = 0;
      file.unsynced = file.unsyncedNext;
      if (file.stage.length > STAGE_BYTES * 16) file.stage = Buffer.alloc(0);
      if (file.isLast) this.#close(batch, file);
    }
    if (this.#removing.length > 0) this.#removed.push(...this.#removing.splice(0));
    if (!this.#isHeld && this.#removed.length > 0) this.#unlinkRemoved();
  }

  /**
   * The transaction was undone.
   *
   * @param givesSpaceBack that its records took. Not after an error of the disk: a commit whose sync failed may count at
   *   the next start all the same.
   */
  undo(givesSpaceBack: boolean): void {
    this.#removing = [];
    for (const [batch, file] of this.#growing) {
      // Opened again at the place that the table says; a failure leaves bytes that do not count.
      try {
        if (givesSpaceBack && file.fd !== -1 && file.staged > 0) {
          ftruncateSync(file.fd, file.committed);
        }
      } catch {}
      this.#close(batch, file);
    }
  }

  /** The batch is sealed: its file goes once the transaction is on disk. */
  remove(batch: number): void {
    this.#unsynced?.clear(batch);
    this.#removing.push(batch);
  }

  /** Whether every file is kept. */
  get isHeld(): boolean {
    return this.#isHeld;
  }

  /** Keeps every file until {@link release}. */
  hold(): void {
    this.#isHeld = true;
  }

  release(): void {
    this.#isHeld = false;
    this.#unlinkRemoved();
  }

  close(): void {
    for (const [batch, file] of this.#growing) this.#close(batch, file);
  }

  #grow(batch: number, before: BatchFileExtent): GrowingFile {
    let file = this.#growing.get(batch);
    if (file === undefined) {
      const committed = before.entries === 0 ? 0 : batchFileBytes(before);
      file = {
        fd: -1,
        committed,
        stage: Buffer.alloc(0),
        staged: 0,
        unsynced: 0,
        unsyncedNext: 0,
        isLast: false,
      };
      this.#growing.set(batch, file);
      if (committed === 0) {
        file.stage = Buffer.allocUnsafeSlow(STAGE_BYTES);
        file.stage.set(BATCH_FILE_HEADER);
        file.staged = BATCH_FILE_HEADER.length;
      }
    }
    return file;
  }

  /** A new file's name is durable before it holds anything that counts. */
  #open(batch: number, committed: number): number {
    const path = batchFile(this.#dataFolder, batch);
    if (committed > 0) return openSync(path, 'r+');
    const fd = openSync(path, 'w', 0o600);
    syncFolderNow(join(this.#dataFolder, BATCH_FILES_FOLDER));
    return fd;
  }

  #close(batch: number, file: GrowingFile): void {
    this.#growing.delete(batch);
    if (file.fd !== -1) closeSync(file.fd);
  }

  /** A name that comes back after a power cut is a stray one, and {@link reconcile} removes it. */
  #unlinkRemoved(): void {
    for (const batch of this.#removed.splice(0)) {
      const file = this.#growing.get(batch);
      if (file !== undefined) this.#close(batch, file);
      try {
        unlinkSync(batchFile(this.#dataFolder, batch));
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      }
    }
  }
}
