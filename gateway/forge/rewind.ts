import type { JsonRpcProvider } from 'ethers';
import { WaystoneError } from '../core/errors.js';
import type { ChainBlock, ForgeJournal } from '../core/forge-ports.js';

/** What the chain says of a block in which we saw something of ours. */
type Verdict = 'holds' | 'other' | 'silent';

/**
 * Finds out whether the chain still holds the blocks in which we saw something of ours, and opens in the journal
 * what it has lost: by a reorg, by a local chain that was killed before its state was on disk, by a restored one.
 *
 * Another block in a place is proof. A block that is missing is none, since the node may only be behind; it counts once
 * it has been missing for long enough.
 */
export class RewindWatch {
  readonly #journal: ForgeJournal;
  readonly #chainId: number;
  readonly #patienceMs: number;
  #missingSince: number | null = null;

  /** @param patienceMs how long a block may be missing; zero for a chain whose only node never lags. */
  constructor(journal: ForgeJournal, chainId: number, patienceMs: number) {
    this.#journal = journal;
    this.#chainId = chainId;
    this.#patienceMs = patienceMs;
  }

  /**
   * @returns how many datasets were opened again, or null when nothing was lost.
   * @throws WaystoneError CHAIN_BEHIND while it cannot be told.
   */
  async heal(provider: JsonRpcProvider): Promise<number | null> {
    const newest = await this.#journal.newestBlock(this.#chainId);
    if (newest === null) return null;
    const verdict = await judge(provider, newest);
    if (verdict === 'holds') {
      this.#missingSince = null;
      return this.#healStraddled(provider);
    }
    if (verdict === 'silent') {
      this.#missingSince ??= performance.now();
      const missingMs = performance.now() - this.#missingSince;
      if (missingMs < this.#patienceMs) {
        const minutes = Math.ceil((this.#patienceMs - missingMs) / 60_000);
        throw new WaystoneError(
          'CHAIN_BEHIND',
          `the chain held something of ours in block ${newest.number}, and its nodes do not know that block now: ` +
            `they are behind, or the chain was set back. In ${minutes} min it counts as set back, and what it lost is forged again`,
        );
      }
    }
    // A block vouches for all before it, so those that are left are the first ones.
    const blocks = await this.#journal.seenBlocks(this.#chainId);
    let left = 0;
    let right = blocks.length;
    while (left < right) {
      const middle = (left + right) >> 1;
      if ((await judge(provider, blocks[middle] as ChainBlock)) === 'holds') left = middle + 1;
      else right = middle;
    }
    this.#missingSince = null;
    return this.#journal.rewind(this.#chainId, blocks[left - 1]?.number ?? -1);
  }

  /**
   * A block vouches for those before it on its own chain only: when the chain went back in the middle of a pass, the
   * journal has blocks of both.
   */
  async #healStraddled(provider: JsonRpcProvider): Promise<number | null> {
    let lowest: number | null = null;
    for (const block of await this.#journal.unconfirmedBlocks(this.#chainId)) {
      if ((await judge(provider, block)) === 'other') lowest = block.number;
    }
    return lowest === null ? null : this.#journal.rewind(this.#chainId, lowest - 1);
  }
}

async function judge(provider: JsonRpcProvider, block: ChainBlock): Promise<Verdict> {
  const found = await provider.getBlock(block.number);
  if (found === null) return 'silent';
  return found.hash === block.hash ? 'holds' : 'other';
}
