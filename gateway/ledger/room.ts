import type { VerifiedBatch } from '../core/ports.js';
import type { RetryCode } from './ledger.js';

/** Space that an envelope takes besides its bytes: the rest of its record, and its row. */
const BYTES_PER_ENVELOPE = 512;

/** How much new data may be stored until the keeper of the disk has looked again; all, before it has ever looked. */
export class Room {
  #bytes = Number.POSITIVE_INFINITY;
  #code: RetryCode = 'DISK_FULL';

  /** What a device is told whose data does not fit. */
  get code(): RetryCode {
    return this.#code;
  }

  set(bytes: number, code: RetryCode): void {
    this.#bytes = bytes;
    this.#code = code;
  }

  /** Parts what came: once an envelope does not fit, those after it do not either. */
  take(batches: readonly VerifiedBatch[]): {
    fitting: readonly VerifiedBatch[];
    tooMuch: readonly VerifiedBatch[];
  } {
    const fitting: VerifiedBatch[] = [];
    const tooMuch: VerifiedBatch[] = [];
    for (const batch of batches) {
      const end = batch.items.findIndex(({ length }) => !this.#fits(length));
      if (end === -1) {
        fitting.push(batch);
        continue;
      }
      if (end > 0) fitting.push({ ...batch, items: batch.items.slice(0, end) });
      tooMuch.push({ ...batch, items: batch.items.slice(end) });
    }
    return { fitting, tooMuch };
  }

  #fits(length: number): boolean {
    this.#bytes = Math.max(0, this.#bytes - length - BYTES_PER_ENVELOPE);
    return this.#bytes > 0;
  }
}
