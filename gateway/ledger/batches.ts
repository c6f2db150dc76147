import {
  type Checkpoint,
  encodeCheckpoint,
  encodeLogRecord,
  leafHash,
  TreePeaks,
} from '@waystone/proto';
import type Database from 'better-sqlite3';
import { STEP_BACK_MAX_US } from '../core/clock.js';
import { WaystoneError } from '../core/errors.js';
import type { BatchRow, LogHead, SealedDataset, SealingBatch } from '../core/ports.js';
import type { BatchFiles } from './batch-files.js';

export interface BatchLimits {
  readonly entriesMax: number;
  readonly bytesMax: number;
  readonly ageSecondsMax: number;
  /** A batch of fewer entries and bytes is not worth a dataset at that age; it may grow older. */
  readonly entriesMin: number;
  readonly bytesMin: number;
  readonly quietAgeSecondsMax: number;
}

/** An open batch; the committer keeps it in memory while it grows. */
export interface OpenBatch {
  readonly id: number;
  readonly stream: number;
  readonly challengeable: boolean;
  /** Whether its receive times are of a clock that was trusted. */
  readonly clockTrusted: boolean;
  readonly openedAtUs: number;
  lastReceivedAtUs: number;
  entries: number;
  frames: number;
  bytes: number;
  /** Ids of the devices whose entries it holds. */
  readonly devices: Set<number>;
}

/** The newest batches, among which one of a trusted clock is looked for at start. */
const CLOCK_MEMORY_BATCHES = 1_000;

interface BatchRowRecord {
  id: number;
  state: SealingBatch['state'];
  stream: number;
  challengeable: number;
  entries: number;
  bytes: number;
  log_id: Buffer | null;
  log_index: number | null;
  sealed_at_us: number | null;
  root: Buffer | null;
}

/** Batches from open to sealed, and the log that they go into. */
export class BatchTable {
  readonly #db: Database.Database;
  readonly #limits: BatchLimits;
  readonly #gatewayId: Uint8Array;
  readonly #logId: Uint8Array;
  readonly #open = new Map<string, OpenBatch>();
  readonly #files: BatchFiles;
  readonly #insertDevice: Database.Statement;
  readonly #updateBatch: Database.Statement;

  constructor(
    db: Database.Database,
    options: { limits: BatchLimits; gatewayId: Uint8Array; logId: Uint8Array; files: BatchFiles },
  ) {
    this.#db = db;
    this.#limits = options.limits;
    this.#gatewayId = options.gatewayId;
    this.#logId = options.logId;
    this.#files = options.files;
    this.#insertDevice = db.prepare('INSERT INTO batch_devices (batch, device) VALUES (?, ?)');
    this.#updateBatch = db.prepare(
      'UPDATE batches SET last_received_at_us = ?, entries = ?, frames = ?, bytes = ? WHERE id = ?',
    );
    this.reload();
  }

  /** Takes the open batches from the table again: at start, and after a transaction was undone. */
  reload(): void {
    this.#open.clear();
    const rows = this.#db.prepare("SELECT * FROM batches WHERE state = 'open'").all() as {
      id: number;
      stream: number;
      challengeable: number;
      clock_trusted: number;
      opened_at_us: number;
      last_received_at_us: number;
      entries: number;
      frames: number;
      bytes: number;
    }[];
    for (const row of rows) {
      const batch: OpenBatch = {
        id: row.id,
        stream: row.stream,
        challengeable: row.challengeable === 1,
        clockTrusted: row.clock_trusted === 1,
        openedAtUs: row.opened_at_us,
        lastReceivedAtUs: row.last_received_at_us,
        entries: row.entries,
        frames: row.frames,
        bytes: row.bytes,
        devices: new Set(this.devicesOf(row.id)),
      };
      this.#open.set(nameOf(batch), batch);
    }
  }

  /**
   * The batch that an entry of this stream goes into, and its receive time there: never before the last one.
   * A batch that is full, or that a backward step of the clock would disorder, is closed and a new one opened.
   *
   * So is one when the clock becomes trusted, or is no longer: while it is not, no time of a device is judged, and a
   * dataset with a time from the future cannot be forged before that time comes. Closed, and not left open beside the
   * new one, so that datasets lie in the log as their entries came.
   */
  place(
    kind: Pick<OpenBatch, 'stream' | 'challengeable' | 'clockTrusted'>,
    receivedAtUs: number,
  ): { batch: OpenBatch; receivedAtUs: number } {
    const name = nameOf(kind);
    let batch = this.#open.get(name);
    if (batch !== undefined && receivedAtUs < batch.lastReceivedAtUs - STEP_BACK_MAX_US) {
      this.#close(batch, 'the clock stepped back');
      batch = undefined;
    }
    if (batch !== undefined && batch.clockTrusted !== kind.clockTrusted) {
      this.#close(
        batch,
        kind.clockTrusted ? 'the clock is trusted now' : 'the clock is not trusted',
      );
      batch = undefined;
    }
    if (batch !== undefined && this.#isFull(batch)) {
      this.#close(batch, 'it is full');
      batch = undefined;
    }
    if (batch === undefined) {
      batch = this.#openBatch(kind, receivedAtUs);
      this.#open.set(name, batch);
    }
    return { batch, receivedAtUs: Math.max(receivedAtUs, batch.lastReceivedAtUs) };
  }

  /** Adds an entry to a batch; call {@link writeCounts} before the transaction ends. @returns its index. */
  append(
    batch: OpenBatch,
    row: BatchRow,
    added: { device: number; frames: number; receivedAtUs: number },
  ): number {
    const index = batch.entries;
    if (!batch.devices.has(added.device)) {
      this.#insertDevice.run(batch.id, added.device);
      batch.devices.add(added.device);
    }
    this.#files.append(batch.id, batch, row);
    batch.entries += 1;
    batch.frames += added.frames;
    batch.bytes += row.frames.length;
    batch.lastReceivedAtUs = added.receivedAtUs;
    return index;
  }

  /** Writes the counts of batches that grew. */
  writeCounts(batches: Iterable<OpenBatch>): void {
    for (const batch of batches) {
      this.#updateBatch.run(
        batch.lastReceivedAtUs,
        batch.entries,
        batch.frames,
        batch.bytes,
        batch.id,
      );
    }
  }

  /**
   * Closes open batches that are full or old, or all of them; and those that a backward step of the clock left behind,
   * whose age would not be seen before it had caught up.
   *
   * @returns ids of those closed.
   */
  closeDue(nowUs: number, all: boolean): number[] {
    const closed: number[] = [];
    for (const batch of [...this.#open.values()]) {
      const age = (nowUs - batch.openedAtUs) / 1e6;
      const why = all
        ? 'the operator asked'
        : this.#isFull(batch)
          ? 'it is full'
          : age >= this.#ageMax(batch)
            ? 'it is old enough'
            : nowUs < batch.lastReceivedAtUs - STEP_BACK_MAX_US
              ? 'the clock stepped back'
              : null;
      if (why === null) continue;
      this.#close(batch, why);
      closed.push(batch.id);
    }
    return closed;
  }

  /** Batches between open and sealed: those that have a place in the log first, in its order. */
  sealing(): SealingBatch[] {
    const rows = this.#db
      .prepare(
        `SELECT id, state, stream, challengeable, entries, bytes, log_id, log_index, sealed_at_us, root FROM batches
         WHERE state IN ('due', 'frozen', 'logged') ORDER BY log_index IS NULL, log_index, id`,
      )
      .all() as BatchRowRecord[];
    return rows.map(toSealingBatch);
  }

  /** Batches whose frames are in their files. */
  unsealed(): { id: number; entries: number; bytes: number }[] {
    return this.#db
      .prepare(
        `SELECT id, entries, bytes FROM batches WHERE state IN ('open', 'due', 'frozen', 'logged')`,
      )
      .all() as { id: number; entries: number; bytes: number }[];
  }

  /** Step 1 of sealing: from here on the dataset's bytes are determined. */
  freeze(id: number, nowUs: number): SealingBatch {
    const batch = this.#require(id, 'due');
    const next = this.#db
      .prepare('SELECT COALESCE(MAX(log_index) + 1, 0) AS next FROM batches WHERE log_id = ?')
      .get(this.#logId) as { next: number };
    // A clock that went back must not seal a batch before its last entry came.
    const last = this.#db
      .prepare('SELECT last_received_at_us AS at FROM batches WHERE id = ?')
      .get(id) as { at: number };
    this.#db
      .prepare(
        "UPDATE batches SET state = 'frozen', log_id = ?, log_index = ?, sealed_at_us = ? WHERE id = ?",
      )
      .run(this.#logId, next.next, Math.max(nowUs, last.at), batch.id);
    return this.#require(id, 'frozen');
  }

  /** Step 3 of sealing. Done again, it gives the same head. */
  appendLog(id: number, sealed: SealedDataset): LogHead {
    const batch = this.#require(id, 'frozen', 'logged');
    const { logId, logIndex, sealedAtUs } = batch;
    if (logId === null || logIndex === null || sealedAtUs === null) {
      throw new WaystoneError('LEDGER_BROKEN', `batch ${id} is ${batch.state} without a log index`);
    }
    if (batch.state === 'logged') return this.logHead(id);
    const peaks = this.#peaksBefore(logIndex);
    const record = encodeLogRecord({ logId, index: logIndex, ...sealed });
    peaks.append(leafHash(record));
    const checkpoint = encodeCheckpoint({
      gateway: this.#gatewayId,
      logId,
      size: peaks.size,
      root: peaks.root(),
      timeUs: sealedAtUs,
    } satisfies Checkpoint);
    this.#db
      .prepare(
        'INSERT INTO log (log_id, log_index, record, checkpoint, peaks) VALUES (?, ?, ?, ?, ?)',
      )
      .run(logId, logIndex, record, checkpoint, Buffer.concat(peaks.hashes));
    this.#db
      .prepare(
        `UPDATE batches SET state = 'logged', root = ?, manifest_hash = ?, min_time_us = ?, max_time_us = ?
         WHERE id = ?`,
      )
      .run(sealed.root, sealed.manifestHash, sealed.minTimeUs, sealed.maxTimeUs, id);
    return this.logHead(id);
  }

  /** The head that was stored with the batch's log record. */
  logHead(id: number): LogHead {
    const { log_id: logId, log_index: logIndex } = this.#db
      .prepare('SELECT log_id, log_index FROM batches WHERE id = ?')
      .get(id) as { log_id: Buffer; log_index: number };
    const row = this.#db
      .prepare('SELECT checkpoint FROM log WHERE log_id = ? AND log_index = ?')
      .get(logId, logIndex) as { checkpoint: Buffer };
    // The new record is the last leaf, so its siblings are the peaks of the tree before it, smallest first.
    const path = [...this.#peaksBefore(logIndex, logId).hashes].reverse();
    return { logIndex, checkpoint: new Uint8Array(row.checkpoint), path };
  }

  /** Step 5 of sealing: from here on the dataset folder is the only copy of the frames. */
  markSealed(id: number): void {
    const batch = this.#require(id, 'logged');
    this.#db.prepare("UPDATE batches SET state = 'sealed' WHERE id = ?").run(batch.id);
    this.#files.remove(id);
  }

  /** Retention removes the files of a forged dataset; its record, root and token stay. */
  markRemoved(id: number, nowUs: number): void {
    const { changes } = this.#db
      .prepare(
        `UPDATE batches SET removed_at_us = COALESCE(removed_at_us, ?) WHERE id = ? AND state = 'forged'`,
      )
      .run(nowUs, id);
    if (changes === 0) {
      throw new WaystoneError('LEDGER_BROKEN', `batch ${id} is not forged, so its files stay`);
    }
  }

  /** Dates forged datasets that have no date, or one that is still to come: retention counts from then on. */
  dateForged(nowUs: number): void {
    this.#db
      .prepare(
        `UPDATE batches SET forged_at_us = @nowUs WHERE state = 'forged' AND removed_at_us IS NULL
         AND (forged_at_us IS NULL OR forged_at_us > @nowUs)`,
      )
      .run({ nowUs });
  }

  /**
   * What an earlier run left to judge the clock by: receive time of the newest entry of a trusted clock, µs or null,
   * and for how long the clock had been behind that when it ended, ms.
   */
  clockMemory(): { believedUs: number | null; doubtedMs: number } {
    const newest = this.#db
      .prepare(
        `SELECT last_received_at_us FROM batches
         WHERE id > (SELECT MAX(id) FROM batches) - ${CLOCK_MEMORY_BATCHES} AND clock_trusted = 1
           AND NOT EXISTS (SELECT 1 FROM withdrawals WHERE successor = batches.id)
         ORDER BY id DESC LIMIT 1`,
      )
      .pluck()
      .get() as number | undefined;
    const kept = this.#db.prepare("SELECT value FROM meta WHERE key = 'clock_doubt'").pluck().get();
    const doubt = kept === undefined ? null : JSON.parse(String(kept));
    const doubtedMs = doubt !== null && doubt.believedUs === newest ? Number(doubt.doubtedMs) : 0;
    return { believedUs: newest ?? null, doubtedMs };
  }

  /** Keeps for how long the clock has been behind the newest trusted entry, so that a restart does not forget. */
  keepClockDoubt(doubtedMs: number): void {
    const { believedUs } = this.clockMemory();
    this.#db
      .prepare("INSERT OR REPLACE INTO meta (key, value) VALUES ('clock_doubt', ?)")
      .run(JSON.stringify({ believedUs, doubtedMs }));
  }

  /** Size of the log now. Its records have no gaps, so that the last one tells. */
  logSize(): number {
    const row = this.#db
      .prepare('SELECT COALESCE(MAX(log_index) + 1, 0) AS size FROM log WHERE log_id = ?')
      .get(this.#logId) as { size: number };
    return row.size;
  }

  #peaksBefore(logIndex: number, logId: Uint8Array = this.#logId): TreePeaks {
    if (logIndex === 0) return new TreePeaks();
    const row = this.#db
      .prepare('SELECT peaks FROM log WHERE log_id = ? AND log_index = ?')
      .get(logId, logIndex - 1) as { peaks: Buffer } | undefined;
    if (row === undefined) {
      throw new WaystoneError('LEDGER_BROKEN', `the log has no record ${logIndex - 1}`);
    }
    const hashes: Uint8Array[] = [];
    for (let at = 0; at < row.peaks.length; at += 32) {
      hashes.push(new Uint8Array(row.peaks.subarray(at, at + 32)));
    }
    return new TreePeaks(logIndex, hashes);
  }

  /** Ledger ids of the devices whose entries a batch holds. */
  devicesOf(batch: number): number[] {
    return this.#db
      .prepare('SELECT device FROM batch_devices WHERE batch = ?')
      .pluck()
      .all(batch) as number[];
  }

  #ageMax(batch: OpenBatch): number {
    const { ageSecondsMax, entriesMin, bytesMin, quietAgeSecondsMax } = this.#limits;
    const isQuiet = batch.entries < entriesMin && batch.bytes < bytesMin;
    return isQuiet ? Math.max(ageSecondsMax, quietAgeSecondsMax) : ageSecondsMax;
  }

  #isFull(batch: OpenBatch): boolean {
    return batch.entries >= this.#limits.entriesMax || batch.bytes >= this.#limits.bytesMax;
  }

  #openBatch(
    kind: Pick<OpenBatch, 'stream' | 'challengeable' | 'clockTrusted'>,
    receivedAtUs: number,
  ): OpenBatch {
    const { stream, challengeable, clockTrusted } = kind;
    const { lastInsertRowid } = this.#db
      .prepare(
        `INSERT INTO batches (stream, challengeable, clock_trusted, state, opened_at_us, last_received_at_us,
           entries, frames, bytes)
         VALUES (?, ?, ?, 'open', ?, ?, 0, 0, 0)`,
      )
      .run(stream, challengeable ? 1 : 0, clockTrusted ? 1 : 0, receivedAtUs, receivedAtUs);
    return {
      id: Number(lastInsertRowid),
      stream,
      challengeable,
      clockTrusted,
      openedAtUs: receivedAtUs,
      lastReceivedAtUs: receivedAtUs,
      entries: 0,
      frames: 0,
      bytes: 0,
      devices: new Set(),
    };
  }

  #close(batch: OpenBatch, why: string): void {
    this.writeCounts([batch]);
    this.#db
      .prepare("UPDATE batches SET state = 'due', due_why = ? WHERE id = ?")
      .run(why, batch.id);
    this.#files.finish(batch.id);
    this.#open.delete(nameOf(batch));
  }

  #require(id: number, ...states: SealingBatch['state'][]): SealingBatch {
    const row = this.#db
      .prepare(
        `SELECT id, state, stream, challengeable, entries, bytes, log_id, log_index, sealed_at_us, root
         FROM batches WHERE id = ?`,
      )
      .get(id) as BatchRowRecord | undefined;
    if (row === undefined || !states.includes(row.state)) {
      throw new WaystoneError(
        'LEDGER_BROKEN',
        `batch ${id} is ${row?.state ?? 'absent'}, expected ${states.join(' or ')}`,
      );
    }
    return toSealingBatch(row);
  }
}

function nameOf(kind: Pick<OpenBatch, 'stream' | 'challengeable'>): string {
  return `${kind.stream}:${kind.challengeable}`;
}

function toSealingBatch(row: BatchRowRecord): SealingBatch {
  return {
    id: row.id,
    state: row.state,
    stream: row.stream,
    challengeable: row.challengeable === 1,
    entries: row.entries,
    bytes: row.bytes,
    logId: row.log_id === null ? null : new Uint8Array(row.log_id),
    logIndex: row.log_index,
    sealedAtUs: row.sealed_at_us,
    root: row.root === null ? null : new Uint8Array(row.root),
  };
}
