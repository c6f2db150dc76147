import { WaystoneError } from '../core/errors.js';
import type { ForgeJournal } from '../core/forge-ports.js';

/** Name of the row that says which chain the journal belongs to. */
function genesisKey(chainId: number): string {
  return `genesis:${chainId}`;
}

/** Hash of block 0 of the chain that the journal was written for; null before the first contact. */
export async function boundGenesis(journal: ForgeJournal, chainId: number): Promise<string | null> {
  const known = await journal.intent(genesisKey(chainId));
  if (known === null) return null;
  return (JSON.parse(known.payload) as { genesisHash: string }).genesisHash;
}

/**
 * Binds the journal to a chain's block 0: a chain id alone may name two chains, a test network and its successor, and
 * what was signed for the one is valid on the other.
 *
 * @param wanted the hash that the operator set; "" takes the first one seen
 * @returns how many datasets are to be forged again, since the operator moved the journal to another chain; else null.
 * @throws WaystoneError CHAIN_GENESIS_DIFFERS when the chain is not the bound one.
 */
export async function bindGenesis(
  journal: ForgeJournal,
  chainId: number,
  seen: string,
  wanted: string,
): Promise<number | null> {
  const bound = await boundGenesis(journal, chainId);
  const expected = wanted === '' ? (bound ?? seen) : wanted.toLowerCase();
  if (seen !== expected) {
    throw new WaystoneError(
      'CHAIN_GENESIS_DIFFERS',
      `the chain with id ${chainId} begins with ${seen}, not with ${expected}; nothing is sent. ` +
        'If it is meant, set chain.genesisHash to that hash, and all datasets are forged on it again',
    );
  }
  if (bound === seen) return null;
  // What was seen on another chain is not there; the row comes last, so that a crash in between does this again.
  const reopened = bound === null ? null : await journal.rewind(chainId, -1);
  await journal.addIntent({
    key: genesisKey(chainId),
    chainId,
    kind: 'setup',
    logId: null,
    index: null,
    payload: JSON.stringify({ genesisHash: seen }),
  });
  await journal.progress(genesisKey(chainId), {
    state: 'confirmed',
    blockNumber: 0,
    blockHash: seen,
  });
  return reopened;
}
