import { statfs } from 'node:fs/promises';
import type { Clock } from '../core/clock.js';
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

export interface DiskKeeperDeps {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly dataFolder: string;
  readonly use: () => Promise<DiskUse>;
  /** Tells the ledger to take so many bytes of new data, and to answer what comes beyond them with this code. */
  readonly takeNew: (bytes: number, code: DiskRefusal['code']) => Promise<void>;
  /** Forged datasets that the limits no longer keep, oldest first. */
  readonly removable: (limits: DiskLimits, nowUs: number) => Promise<readonly RemovableDataset[]>;
  /** Notes, durably, that a dataset's files go; then removes them. Done again, it is harmless. */
  readonly remove: (dataset: RemovableDataset, nowUs: number) => Promise<void>;
}

/**
 * Watches the space that data takes: refuses new data before the disk is full, and removes files of forged datasets
 * that are not to be kept. Data that is not forged is never removed.
 */
export class DiskKeeper {
  readonly #limits: DiskLimits;
  readonly #deps: DiskKeeperDeps;
  readonly #rate = new StoredRate();
  #refusal: DiskRefusal | null = null;
  #status: DiskStatus | null = null;
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

  check(): Promise<void> {
    this.#running = this.#running.then(() => this.#check());
    return this.#running;
  }

  async #check(): Promise<void> {
    const { clock, logger } = this.#deps;
    try {
      await this.#look();
      const nowUs = clock.nowUs();
      for (const dataset of await this.#deps.removable(this.#limits, nowUs)) {
        await this.#deps.remove(dataset, nowUs);
        logger.info({ root: dataset.root }, 'files of a forged dataset removed by retention');
      }
    } catch (error) {
      logger.error(
        { error: messageOf(error) },
        'the disk could not be looked at; it is tried again',
      );
    }
  }

  async #look(): Promise<void> {
    const { clock, dataFolder, logger } = this.#deps;
    const [disk, use] = await Promise.all([statfs(dataFolder), this.#deps.use()]);
    const freeBytes = disk.bavail * disk.bsize;
    const verdict = judgeDisk(freeBytes, use, this.#limits, clock.nowUs());
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
    };
    if (refusal?.code !== this.#refusal?.code) {
      if (refusal === null) logger.info({}, 'there is room again: new data is taken');
      else logger.error({ code: refusal.code }, `new data is told to wait: ${refusal.why}`);
    }
    this.#refusal = refusal;
  }
}
