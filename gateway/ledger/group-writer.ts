import type Database from 'better-sqlite3';
import { WaystoneError } from '../core/errors.js';
import type { VerifiedBatch } from '../core/ports.js';
import type { BatchFiles } from './batch-files.js';
import type { BatchTable } from './batches.js';
import type { Committer, JudgedGroup } from './committer.js';
import type { Counters } from './counters.js';
import type { DeviceTable } from './devices.js';
import { isDiskFull } from './disk-errors.js';
import type { RangeTable } from './ranges.js';
import { RedoFile } from './redo-file.js';
import { RedoRecorder, readRedoRecord, redoBytesMax } from './redo-record.js';

export const REDO_LIMITS = {
  /** Envelope bytes of a group from which on its own commit is the better way: it writes each of them once. */
  groupBytesMax: 64 * 1024,
  /** Envelopes of such a group. */
  groupEnvelopesMax: 1024,
  /** How long rows may wait for the commit of their transaction, ms. */
  openMsMax: 100,
  /** A group that begins so long after the last one had ended comes alone: few will share its commit, ms. */
  pauseMsMax: 20,
} as const;

/** The ledger's tables and files, as far as what is stored changes them. */
export interface WriterParts {
  readonly devices: DeviceTable;
  readonly batches: BatchTable;
  readonly ranges: RangeTable;
  readonly counters: Counters;
  readonly committer: Committer;
  readonly files: BatchFiles;
}

/**
 * Makes commit groups durable, in one of two ways: {@link commit} in a transaction, or {@link defer} in the redo file,
 * with the rows in a transaction that stays open and is committed with a later group, or by {@link settle}. Other
 * connections see deferred rows only after that.
 *
 * After a failure memory is as the disk is. What was deferred and undone with it is stored again before anything else.
 */
export class GroupWriter {
  readonly #db: Database.Database;
  readonly #parts: WriterParts;
  readonly #redo: RedoFile;
  readonly #recorder = new RedoRecorder(
    redoBytesMax(REDO_LIMITS.groupEnvelopesMax, REDO_LIMITS.groupBytesMax),
  );
  readonly #begin: Database.Statement;
  readonly #commit: Database.Statement;
  readonly #rollback: Database.Statement;
  readonly #setEpoch: Database.Statement;
  /** Records of the redo file whose rows were undone. */
  #undone: Buffer[];

  /** Stores what the redo file holds, so that the ledger is whole from here on. */
  constructor(
    db: Database.Database,
    place: { readonly dataFolder: string; readonly logId: Uint8Array },
    parts: WriterParts,
  ) {
    this.#db = db;
    this.#parts = parts;
    const committed = db.prepare("SELECT value FROM meta WHERE key = 'redo_epoch'").pluck().get();
    if (!Number.isSafeInteger(committed)) {
      throw new WaystoneError(
        'LEDGER_BROKEN',
        `the ledger does not say which epoch of its redo file it holds (${committed}); restore a backup`,
      );
    }
    const { dataFolder, logId } = place;
    const { file, pending } = RedoFile.open(dataFolder, { logId, committed: committed as number });
    this.#redo = file;
    this.#undone = pending;
    this.#begin = db.prepare('BEGIN IMMEDIATE');
    this.#commit = db.prepare('COMMIT');
    this.#rollback = db.prepare('ROLLBACK');
    this.#setEpoch = db.prepare("UPDATE meta SET value = ? WHERE key = 'redo_epoch'");
    this.settle();
  }

  /** Whether rows wait for the commit of their transaction. */
  get isOpen(): boolean {
    return this.#db.inTransaction;
  }

  /** Whether {@link defer} may take the group. */
  mayDefer(group: readonly VerifiedBatch[]): boolean {
    if (this.#undone.length > 0 || this.#parts.files.isHeld) return false;
    let envelopes = 0;
    let bytes = 0;
    for (const { items } of group) {
      envelopes += items.length;
      for (const { length } of items) bytes += length;
    }
    return (
      envelopes <= REDO_LIMITS.groupEnvelopesMax &&
      bytes <= REDO_LIMITS.groupBytesMax &&
      redoBytesMax(envelopes, bytes) <= this.#redo.room
    );
  }

  /** Stores a group that {@link mayDefer}. It is durable when this returns. */
  defer(group: readonly VerifiedBatch[]): JudgedGroup {
    return this.#orUndo(() => {
      if (!this.isOpen) this.#begin.run();
      this.#recorder.begin();
      const judged = this.#parts.committer.judge(group, this.#recorder);
      this.#parts.ranges.step(judged.stored);
      if (judged.stored > 0) {
        this.#redo.append(this.#recorder.end(judged.group, judged.answers.leaves));
      }
      return judged;
    });
  }

  /**
   * Stores a group, and with it all that waits. It is durable when this returns.
   *
   * @param inside run in the transaction, after the group.
   * @param before run in the transaction, before the group.
   */
  commit(
    group: readonly VerifiedBatch[],
    inside: () => void = () => {},
    before: () => void = () => {},
  ): JudgedGroup {
    this.#redoUndone();
    return this.#orUndo(() => {
      if (!this.isOpen) this.#begin.run();
      before();
      const judged = this.#parts.committer.judge(group);
      inside();
      this.#parts.ranges.step(judged.stored);
      this.#end();
      return judged;
    });
  }

  /** Commits what waits, if anything does. */
  settle(): void {
    this.#redoUndone();
    if (this.isOpen) this.#orUndo(() => this.#end());
  }

  close(): void {
    this.#redo.close();
  }

  /** Ends the transaction; on disk when this returns. */
  #end(): void {
    const { files } = this.#parts;
    if (!this.#redo.isEmpty) this.#setEpoch.run(this.#redo.epoch);
    // Last, so that whatever the group refers to is on disk when it is.
    files.flush();
    this.#commit.run();
    if (!this.#redo.isEmpty) this.#redo.committed();
    this.#undone = [];
    files.committed();
  }

  /** Stores what a failure undid, or an end of the process, before anything is built on it. */
  #redoUndone(): void {
    if (this.#undone.length === 0) return;
    const { committer, ranges } = this.#parts;
    this.#orUndo(() => {
      this.#begin.run();
      for (const record of this.#undone) ranges.step(committer.replay(readRedoRecord(record)));
      this.#end();
    });
  }

  #orUndo<T>(work: () => T): T {
    try {
      return work();
    } catch (error) {
      try {
        this.#undo(isDiskFull(error));
      } catch (failure) {
        // Only a full disk passes; after anything else the process ends, and its cause is what counts.
        throw isDiskFull(error) ? failure : error;
      }
      throw error;
    }
  }

  #undo(isFull: boolean): void {
    const { files, batches, ranges, devices, counters, committer } = this.#parts;
    // SQLite has ended it by itself when the disk is full.
    if (this.#db.inTransaction) this.#rollback.run();
    files.undo(isFull);
    batches.reload();
    ranges.reload();
    devices.reload();
    counters.reload();
    committer.reload();
    if (!this.#redo.isEmpty) {
      this.#undone = this.#redo.records();
    }
  }
}
