import type { JsonRpcProvider } from 'ethers';
import { WaystoneError } from '../core/errors.js';

/** Which kind of fee to offer: `auto` follows the chain's last block. */
export type FeeKind = 'auto' | 'eip1559' | 'legacy';

export interface FeeRules {
  readonly kind: FeeKind;
  /** Most that is ever offered for one unit of gas; null where gas costs nothing. */
  readonly ceilingWei: bigint | null;
}

/** What a transaction offers for a unit of gas; a legacy one (type 0) has one price for both. */
export interface Fees {
  readonly type: 0 | 2;
  readonly maxFeeWei: bigint;
  readonly tipWei: bigint;
}

/** What the chain asks for now. */
export interface FeeMarket {
  readonly type: 0 | 2;
  /** Least that is taken now. */
  readonly priceWei: bigint;
  /** Of which the block's proposer gets; the whole price of a legacy chain. */
  readonly tipWei: bigint;
}

/** Tip that any chain of ours takes, in wei; asked for where the node gives no advice. */
const TIP_WEI = 1_000_000_000n;

/** Nodes want 10 % more on both fees of a replacement, some of them more than exactly that. */
const BUMP_PER_MILLE = 1_125n;

/** Room over a legacy price, which may rise until the transaction is mined. */
const LEGACY_ROOM_PER_MILLE = 1_125n;

/** @throws WaystoneError CHAIN_FEE_KIND when EIP-1559 fees are demanded of a chain without a base fee. */
export async function readMarket(provider: JsonRpcProvider, rules: FeeRules): Promise<FeeMarket> {
  const block = (await provider.send('eth_getBlockByNumber', ['latest', false])) as {
    baseFeePerGas?: string;
  } | null;
  const baseFee = block?.baseFeePerGas;
  if (rules.kind === 'eip1559' && baseFee === undefined) {
    throw new WaystoneError(
      'CHAIN_FEE_KIND',
      'the chain has no base fee, so it takes no EIP-1559 transactions; set chain.fees to auto or legacy',
    );
  }
  if (rules.kind === 'legacy' || baseFee === undefined) {
    const price = BigInt((await provider.send('eth_gasPrice', [])) as string);
    return { type: 0, priceWei: price, tipWei: price };
  }
  const tipWei = rules.ceilingWei === null ? TIP_WEI : await adviceOnTip(provider);
  return { type: 2, priceWei: BigInt(baseFee) + tipWei, tipWei };
}

/** Wait between two offers that pools call too low, as a part of the wait for one that they took. */
export const BID_PART = 0.25;

/**
 * What to offer: twice the base fee outlasts six full blocks, as far as the ceiling lets it.
 *
 * @param replaced fees of a transaction with the same nonce, which nodes drop only for a better one
 * @throws WaystoneError FORGE_FEE_CEILING when the chain, or the replacement, asks for more than the ceiling.
 */
export function chooseFees(market: FeeMarket, rules: FeeRules, replaced: Fees | null): Fees {
  const { type, priceWei } = market;
  const ceiling = rules.ceilingWei;
  let least = priceWei;
  let tipWei = market.tipWei;
  if (replaced !== null) {
    least = max(least, bumped(replaced.maxFeeWei));
    tipWei = max(tipWei, bumped(replaced.tipWei));
  }
  if (ceiling !== null && least > ceiling) {
    throw new WaystoneError(
      'FORGE_FEE_CEILING',
      `a unit of gas costs ${inGwei(priceWei)} gwei${replaced === null ? '' : `, replacing what was offered takes ${inGwei(least)}`}; ` +
        `the ceiling is ${inGwei(ceiling)} (chain.feeMaxGwei). Datasets wait until it is cheaper`,
    );
  }
  const wanted =
    type === 0
      ? (priceWei * LEGACY_ROOM_PER_MILLE) / 1_000n
      : (priceWei - market.tipWei) * 2n + tipWei;
  const offered = max(least, wanted);
  const maxFeeWei = ceiling === null || offered < ceiling ? offered : ceiling;
  if (type === 0) return { type, maxFeeWei, tipWei: maxFeeWei };
  return { type, maxFeeWei, tipWei: tipWei < maxFeeWei ? tipWei : maxFeeWei };
}

/**
 * What to offer for a nonce that another transaction had before. Some pool may hold that one still, and then wants a
 * better offer; where the ceiling allows none, the ceiling is tried, since most pools have long let it go.
 */
export function chooseFeesAnew(market: FeeMarket, rules: FeeRules, before: Fees | null): Fees {
  try {
    return chooseFees(market, rules, before);
  } catch (error) {
    const ceiling = rules.ceilingWei;
    if (before === null || ceiling === null || market.priceWei > ceiling) throw error;
    const tipWei = market.type === 0 ? ceiling : max(market.tipWei, bumped(before.tipWei));
    return { type: market.type, maxFeeWei: ceiling, tipWei: tipWei < ceiling ? tipWei : ceiling };
  }
}

/** Fields of a transaction to sign. */
export function feeFields(fees: Fees): object {
  return fees.type === 0
    ? { type: 0, gasPrice: fees.maxFeeWei }
    : { type: 2, maxFeePerGas: fees.maxFeeWei, maxPriorityFeePerGas: fees.tipWei };
}

function bumped(wei: bigint): bigint {
  return (wei * BUMP_PER_MILLE + 999n) / 1_000n + 1n;
}

async function adviceOnTip(provider: JsonRpcProvider): Promise<bigint> {
  try {
    return BigInt((await provider.send('eth_maxPriorityFeePerGas', [])) as string);
  } catch (error) {
    // A node that does not answer at all is another matter than one without this method.
    if (error instanceof WaystoneError) throw error;
    return TIP_WEI;
  }
}

function max(a: bigint, b: bigint): bigint {
  return a > b ? a : b;
}

export function inGwei(wei: bigint): string {
  return String(Number(wei / 1_000_000n) / 1_000);
}
