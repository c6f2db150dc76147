import { statfs } from 'node:fs/promises';
import type { SteadyTime } from '../core/clock-watch.js';
import { messageOf } from '../core/errors.js';
import type { Logger } from '../core/logger.js';
import type { DiskStatus } from '../core/view.js';
import { type DiskLimits, type DiskRefusal, type DiskUse, judgeDisk } from './disk-state.js';
import { StoredRate } from './stored-rate.js';

/** A forged dataset whose files may go. */
export interface RemovableDataset {
  readonly batch: number;
  readonly root: string;
}

/** How long a dataset that has just been forged is kept at least, ms: its devices are still being told. */
const FORGED_AT_LEAST_MS = 60_000;

export interface DiskKeeperDeps {
  /** The time, and whether ages can be told from it. */
  readonly time: () => SteadyTime;
  /** Milliseconds of a clock that never goes back. */
  readonly monotonicMs: () => number;
  readonly logger: Logger;
  readonly dataFolder: string;
  readonly use: () => Promise<DiskUse>;
  /** Tells the ledger to take so many bytes of new data, and to answer what comes beyond them with this code. */
  readonly takeNew: (bytes: number, code: DiskRefusal['code']) => Promise<void>;
  /** Whether forged datasets have no date, or one that is still to come. */
  readonly hasUndated: (nowUs: number) => Promise<boolean>;
  /** Dates those; they are kept as if they had been forged now. */
  readonly dateForged: (nowUs: number) => Promise<void>;
  /** Forged datasets that the limits no longer keep, oldest first; some of them at a time. */
  readonly removable: (limits: DiskLimits, nowUs: number) => Promise<readonly RemovableDataset[]>;
  /** Notes, durably, that a dataset's files go; then removes them. Done again, it is harmless. */
  readonly remove: (dataset: RemovableDataset, nowUs: number) => Promise<void>;
}

/**
 * Watches the space that data takes: refuses new data before the disk is full, and removes files of forged datasets
 * that are not to be kept. Data that is not forged is never removed, and nothing is removed for its age while ages
 * cannot be told from the clock.
 */
export class DiskKeeper {
  readonly #limits: DiskLimits;
  readonly #deps: DiskKeeperDeps;
  readonly #rate = new StoredRate();
  #refusal: DiskRefusal | null = null;
  #status: DiskStatus | null = null;
  /** When datasets were forged, ms of the monotonic clock, by root; the newest ones. */
  readonly #justForged = new Map<string, number>();
  #timer: NodeJS.Timeout | null = null;
  #running: Promise<void> = Promise.resolve();

  constructor(limits: DiskLimits, deps: DiskKeeperDeps) {
    this.#limits = limits;
    this.#deps = deps;
  }

  /** As of the last look; null before the first. */
  get status(): DiskStatus | null {
    return this.#status;
  }

  /** Looks once, then every so many ms. */
  async start(everyMs: number): Promise<void> {
    await this.check();
    this.#timer = setInterval(() => void this.check(), everyMs);
  }

  async stop(): Promise<void> {
    if (this.#timer !== null) clearInterval(this.#timer);
    await this.#running;
  }

  /** A dataset has just been forged. */
  forged(root: string): void {
    this.#justForged.set(root, this.#deps.monotonicMs());
  }

  check(): Promise<void> {
    this.#running = this.#running.then(() => this.#check());
    return this.#running;
  }

  async #check(): Promise<void> {
    const { logger } = this.#deps;
    try {
      const time = this.#deps.time();
      await this.#look(time);
      await this.#remove(time);
    } catch (error) {
      logger.error(
        { error: messageOf(error) },
        'the disk could not be looked at; it is tried again',
      );
    }
  }

  async #remove({ nowUs, doubt }: SteadyTime): Promise<void> {
    for (const [root, atMs] of this.#justForged) {
      if (this.#deps.monotonicMs() - atMs > FORGED_AT_LEAST_MS) this.#justForged.delete(root);
    }
    const { forgedBytesMax, forgedDaysKept } = this.#limits;
    if (forgedBytesMax === 0 && forgedDaysKept === 0) return;
    const agesCount = doubt === '' && forgedDaysKept > 0;
    if (agesCount && (await this.#deps.hasUndated(nowUs))) await this.#deps.dateForged(nowUs);
    const limits = { ...this.#limits, forgedDaysKept: agesCount ? forgedDaysKept : 0 };
    for (const dataset of await this.#deps.removable(limits, nowUs)) {
      if (this.#justForged.has(dataset.root)) continue;
      await this.#deps.remove(dataset, nowUs);
      this.#deps.logger.info(
        { root: dataset.root },
        'files of a forged dataset removed by retention',
      );
    }
  }

  async #look(time: SteadyTime): Promise<void> {
    const { dataFolder, logger } = this.#deps;
    const [disk, use] = await Promise.all([statfs(dataFolder), this.#deps.use()]);
    const freeBytes = disk.bavail * disk.bsize;
    const verdict = judgeDisk(freeBytes, use, this.#limits, time);
    const { roomBytes, roomHours, takeBytes, refusal } = verdict;
    await this.#deps.takeNew(takeBytes, refusal?.code ?? 'DISK_FULL');
    this.#rate.update(use.everBytes, performance.now());
    const { bytesPerSecond } = this.#rate;
    this.#status = {
      freeBytes,
      totalBytes: disk.blocks * disk.bsize,
      unsealedBytes: use.unsealedBytes,
      unforgedBytes: use.unforgedBytes,
      forgedBytes: use.forgedBytes,
      ledgerBytes: use.ledgerBytes,
      bytesPerSecond: Math.round(bytesPerSecond),
      hoursLeft: bytesPerSecond < 1 ? null : Math.min(roomHours, roomBytes / bytesPerSecond / 3600),
      refusal: refusal?.why ?? '',
      retentionWaits: this.#limits.forgedDaysKept > 0 ? time.doubt : '',
    };
    if (refusal?.code !== this.#refusal?.code) {
      if (refusal === null) logger.info({}, 'there is room again: new data is taken');
      else logger.error({ code: refusal.code }, `new data is told to wait: ${refusal.why}`);
    }
    this.#refusal = refusal;
  }
}
