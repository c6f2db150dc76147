import { createHash, type Hash } from 'node:crypto';
import { unpackOffenders } from '../ledger/withdrawals.js';
import type { BatchRecord, FsckContext } from './context.js';

/** What a withdrawn dataset's successor has to hold. */
interface Expected {
  readonly of: number;
  readonly hash: Hash;
  readonly out: ReadonlySet<number>;
}

/**
 * Compares what is left of withdrawn datasets with the batches that hold it. A successor has a higher number than what
 * it is the rest of, so that one walk over all batches tells.
 */
export class Withdrawals {
  readonly #context: FsckContext;
  /** By successor. */
  readonly #expected = new Map<number, Expected>();
  readonly #successors: ReadonlyMap<number, { successor: number | null; offenders: Buffer }>;
  readonly #rests: ReadonlySet<number>;
  #now: { batch: number; own: Expected | null; hash: Hash | null } | null = null;

  constructor(context: FsckContext) {
    this.#context = context;
    const rows = context.db.prepare('SELECT * FROM withdrawals').all() as {
      batch: number;
      offenders: Buffer;
      successor: number | null;
    }[];
    this.#successors = new Map(rows.map((row) => [row.batch, row]));
    this.#rests = new Set(rows.flatMap(({ successor }) => successor ?? []));
  }

  /** Whether the batch is the rest of another one, so that its statements name that one. */
  isRest({ id }: Pick<BatchRecord, 'id'>): boolean {
    return this.#rests.has(id);
  }

  /** The next entry of a batch. */
  add({ id }: Pick<BatchRecord, 'id'>, index: number, entry: Uint8Array): void {
    if (this.#now?.batch !== id) this.#now = this.#begin(id);
    const { own, hash } = this.#now;
    hash?.update(entry);
    if (own !== null && !own.out.has(index)) own.hash.update(entry);
  }

  /** @param isRead whether the batch's entries were read, all of them. */
  end({ id }: Pick<BatchRecord, 'id'>, isRead: boolean): void {
    const now = this.#now?.batch === id ? this.#now : this.#begin(id);
    this.#now = null;
    const { own } = now;
    const successor = this.#successors.get(id)?.successor ?? null;
    if (own !== null && isRead && successor !== null) this.#expected.set(successor, own);
    const expected = this.#expected.get(id);
    this.#expected.delete(id);
    if (expected === undefined || now.hash === null || !isRead) return;
    if (expected.hash.digest().equals(now.hash.digest())) return;
    this.#context.report.find(
      'batches',
      'WITHDRAWAL_WRONG',
      `batch ${id} does not hold what is left of batch ${expected.of}, which was withdrawn`,
      { batch: id, of: expected.of },
    );
  }

  #begin(batch: number): { batch: number; own: Expected | null; hash: Hash | null } {
    const row = this.#successors.get(batch);
    const hash = this.#rests.has(batch) ? createHash('sha256') : null;
    if (row === undefined) return { batch, own: null, hash };
    let out: number[];
    try {
      out = unpackOffenders(row.offenders).map(({ index }) => index);
    } catch {
      // The row's own check says so.
      return { batch, own: null, hash };
    }
    return { batch, own: { of: batch, hash: createHash('sha256'), out: new Set(out) }, hash };
  }
}
