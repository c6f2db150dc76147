import type { JsonRpcProvider } from 'ethers';
import type { ChainBlock, ForgeJournal } from '../core/forge-ports.js';

/**
 * Finds out whether the chain still holds the blocks in which we saw something of ours, and opens in the journal
 * what it has lost: by a reorg, by a local chain that was killed before its state was on disk, by a restored one.
 *
 * @returns how many datasets were opened again, or null when nothing was lost.
 */
export async function healRewind(
  provider: JsonRpcProvider,
  journal: ForgeJournal,
  chainId: number,
): Promise<number | null> {
  const holds = async (block: ChainBlock): Promise<boolean> =>
    (await provider.getBlock(block.number))?.hash === block.hash;
  const newest = await journal.newestBlock(chainId);
  if (newest === null || (await holds(newest))) return null;
  // A block vouches for all before it, so those that are left are the first ones.
  const blocks = await journal.seenBlocks(chainId);
  let left = 0;
  let right = blocks.length;
  while (left < right) {
    const middle = (left + right) >> 1;
    if (await holds(blocks[middle] as ChainBlock)) left = middle + 1;
    else right = middle;
  }
  return journal.rewind(chainId, blocks[left - 1]?.number ?? -1);
}
