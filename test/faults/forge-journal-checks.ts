import { expect } from 'vitest';
import { DAT__factory } from '../../gateway/contracts/types/index.js';
import type { Transaction } from '../../gateway/core/forge-ports.js';
import { connectChain } from '../../gateway/forge/chain-client.js';
import type { PublicNode } from './public-node.js';

/** Rows of the journal, as the checks need them. */
export type JournalledTransaction = Pick<
  Transaction,
  'hash' | 'account' | 'nonce' | 'purpose' | 'state' | 'failure' | 'sends' | 'raw' | 'blockHash'
>;

/** How often each token was minted, by what the chain says. */
export async function mintsOf(node: PublicNode, chainId: number): Promise<Map<string, number>> {
  const provider = connectChain(node.url, chainId);
  const dat = DAT__factory.connect(node.keys.contracts.dat, provider);
  const events = await dat.queryFilter(dat.filters.Minted(), 0);
  provider.destroy();
  const mints = new Map<string, number>();
  for (const { args } of events) {
    const token = String(args.tokenId);
    mints.set(token, (mints.get(token) ?? 0) + 1);
  }
  return mints;
}

interface OnChain {
  readonly hash: string;
  readonly from: string;
  readonly nonce: string;
}

/**
 * The journal and the chain tell the same story: each transaction of the account stands in the journal as what it is, each
 * that the journal calls mined is there, and none of the others is.
 *
 * @returns how many transactions there are of each state.
 */
export async function expectJournalExplains(
  node: PublicNode,
  account: string,
  rows: readonly JournalledTransaction[],
): Promise<Record<string, number>> {
  const head = Number(await node.rpc('eth_blockNumber'));
  const chain = new Map<string, OnChain>();
  for (let number = 0; number <= head; number++) {
    const block = (await node.rpc('eth_getBlockByNumber', [`0x${number.toString(16)}`, true])) as {
      transactions: OnChain[];
    };
    for (const one of block.transactions) {
      if (one.from.toLowerCase() === account.toLowerCase()) chain.set(one.hash, one);
    }
  }
  const ours = rows.filter((row) => row.account === account);
  const byHash = new Map(ours.map((row) => [row.hash, row]));
  const states: Record<string, number> = {};
  for (const { state } of ours) states[state] = (states[state] ?? 0) + 1;
  const unexplained: unknown[] = [];
  for (const { hash } of chain.values()) {
    const row = byHash.get(hash);
    const isTold = row !== undefined && ['mined', 'confirmed', 'failed'].includes(row.state);
    if (!isTold) unexplained.push({ hash, journal: row ?? 'nothing' });
  }
  for (const row of ours) {
    const isThere = chain.has(row.hash);
    if (['mined', 'confirmed', 'failed'].includes(row.state) !== isThere) {
      unexplained.push({ isThere, row });
    }
    if (row.state === 'failed' && !row.failure) unexplained.push({ row });
  }
  expect(unexplained).toEqual([]);
  return states;
}
