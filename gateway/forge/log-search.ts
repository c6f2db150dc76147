import type { JsonRpcProvider } from 'ethers';
import { isError } from 'ethers';

/** Blocks whose log is asked for at once where a node refuses more: public nodes allow 5,000 or 10,000. */
const BLOCKS_AT_ONCE = 5_000;

/**
 * Finds events, newest last. The whole chain is asked for at once, and where the node refuses that, piece by piece from
 * its head backwards.
 *
 * @param query asks the node for the blocks `from` to `to`, both included.
 * @param isEnough ends the search by pieces early.
 */
export async function searchLogs<Event>(
  provider: JsonRpcProvider,
  query: (from: number, to: number) => Promise<Event[]>,
  isEnough: (found: readonly Event[]) => boolean = () => false,
): Promise<Event[]> {
  const head = await provider.getBlockNumber();
  try {
    return await query(0, head);
  } catch (error) {
    // A node that does not answer at all will not answer for fewer blocks either.
    if (!isError(error, 'UNKNOWN_ERROR') && !isError(error, 'SERVER_ERROR')) throw error;
    if (head < BLOCKS_AT_ONCE) throw error;
  }
  let found: Event[] = [];
  for (let to = head; to >= 0 && !isEnough(found); to -= BLOCKS_AT_ONCE) {
    found = [...(await query(Math.max(0, to - BLOCKS_AT_ONCE + 1), to)), ...found];
  }
  return found;
}
