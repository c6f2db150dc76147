import type { JsonRpcProvider, Log } from 'ethers';
import { LazaiWait } from './faults.js';

/**
 * Blocks that are read anew each time, however deep they count: a node that is behind shows no logs of blocks that it does
 * not have, and says nothing of it. Also how much earlier reading begins: a reorg may put events into earlier blocks.
 */
export const LAG_BLOCKS = 16;

export interface EventScanOptions {
  /** Blocks asked for at once; public nodes refuse wide ranges. */
  readonly rangeBlocks: number;
  /** Ranges asked for in one look, so that a long wait is caught up over several. */
  readonly rangesMax: number;
}

export interface EventFilter {
  readonly address: string;
  readonly topics: (string | null)[];
}

/** Blocks of the chain as one look sees them. */
export interface ChainHead {
  readonly number: number;
  /** Blocks up to here are deep enough to stay. */
  readonly deep: number;
}

/**
 * Reads events in bounded ranges and remembers those of deep blocks, so that each look only reads what is new. Nothing
 * is kept over a restart: reading again is cheap, and what is not kept cannot be wrong.
 */
export class EventScan {
  readonly #options: EventScanOptions;
  readonly #read = new Map<string, { next: number; logs: Log[] }>();

  constructor(options: EventScanOptions) {
    this.#options = options;
  }

  /**
   * @returns the matching events from `fromBlock` to the head, in chain order
   * @throws LazaiWait LAZAI_READING_LOG when there is more to read than one look may.
   */
  async logs(
    provider: JsonRpcProvider,
    filter: EventFilter,
    fromBlock: number,
    head: ChainHead,
  ): Promise<Log[]> {
    const key = keyOf(filter);
    const known = this.#read.get(key) ?? { next: fromBlock, logs: [] };
    this.#read.set(key, known);
    const fresh: Log[] = [];
    const settled = Math.min(head.deep, head.number - LAG_BLOCKS);
    const { rangeBlocks, rangesMax } = this.#options;
    for (let from = known.next, ranges = 0; from <= head.number; ranges++) {
      if (ranges === rangesMax) {
        throw new LazaiWait(
          'LAZAI_READING_LOG',
          `reading the chain's log: at block ${from} of ${head.number}; goes on by itself`,
        );
      }
      const to = Math.min(from + rangeBlocks - 1, head.number);
      const { address, topics } = filter;
      const logs = await provider.getLogs({ address, topics, fromBlock: from, toBlock: to });
      for (const log of logs) {
        if (log.blockNumber <= settled) known.logs.push(log);
        else fresh.push(log);
      }
      known.next = Math.max(known.next, Math.min(to, settled) + 1);
      from = to + 1;
    }
    return [...known.logs, ...fresh];
  }

  forget(filter: EventFilter): void {
    this.#read.delete(keyOf(filter));
  }
}

function keyOf({ address, topics }: EventFilter): string {
  return `${address.toLowerCase()} ${topics.join()}`;
}
