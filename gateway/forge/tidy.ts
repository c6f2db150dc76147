import type { JsonRpcProvider } from 'ethers';
import type { ForgeJournal, Intent, Transaction } from '../core/forge-ports.js';
import type { Submitter } from './submitter.js';

/**
 * Settles what was set up once, was opened again by a rewound chain, and was found to be in place all the same: its
 * transaction came back by itself, or another one did the same. Nobody asks for it any more, so it would stay open.
 */
export async function tidySetups(
  provider: JsonRpcProvider,
  journal: ForgeJournal,
  submitter: Submitter,
  chainId: number,
): Promise<void> {
  for (const intent of await journal.openIntents(chainId, 'setup')) {
    if (intent.state === 'intent') await settleUnneeded(provider, journal, submitter, intent);
  }
}

/** Ends an intent that nothing needs any more: with its transaction if that is on chain, else with the chain's head. */
export async function settleUnneeded(
  provider: JsonRpcProvider,
  journal: ForgeJournal,
  submitter: Submitter,
  intent: Pick<Intent, 'key'>,
): Promise<void> {
  const purposes = new Set((await journal.transactions(intent.key)).map(({ purpose }) => purpose));
  for (const purpose of purposes) await submitter.abandon(provider, intent.key, purpose);
  const mined = (await journal.transactions(intent.key)).find(isMined);
  if (mined !== undefined) {
    const { hash, blockNumber, blockHash } = mined;
    await journal.progress(intent.key, {
      ...{ state: 'finalised', transaction: hash, blockNumber, blockHash },
    });
    return;
  }
  const head = await provider.getBlock('latest');
  if (head === null || head.hash === null) return;
  await journal.progress(intent.key, {
    state: 'confirmed',
    blockNumber: head.number,
    blockHash: head.hash,
  });
}

function isMined(
  transaction: Transaction,
): transaction is Transaction & { blockNumber: number; blockHash: string } {
  const { state, blockNumber, blockHash } = transaction;
  return state === 'mined' && blockNumber !== null && blockHash !== null;
}
