import {
  type BaseWallet,
  Transaction as EthersTransaction,
  isError,
  type JsonRpcProvider,
  toQuantity,
} from 'ethers';
import { messageOf } from '../../core/errors.js';
import type { ChainBlock, Transaction } from '../../core/forge-ports.js';
import type { TransactionJournal } from '../../core/lazai-ports.js';
import type { Logger } from '../../core/logger.js';
import { ChainProvider } from '../chain-provider.js';
import { BID_PART, chooseFees, type FeeRules, type Fees, feeFields, readMarket } from '../fees.js';
import { readSendRefusal } from '../send-answers.js';
import type { ChainHead } from './event-scan.js';
import { LazaiWait, readLazaiRevert } from './faults.js';
import { isSameAddress } from './lazai-contracts.js';

const POLL_MIN_MS = 20;
const POLL_MAX_MS = 1_000;

/** Longest wait for one transaction in one look. */
const MINED_WAIT_MS = 30_000;

/** How long a transaction may wait before a dearer one takes its place. */
const BUMP_AFTER_MS = 60_000;

/** Gas limit over the estimate, in percent: state may change until the transaction runs. */
const GAS_MARGIN_PERCENT = 125n;

/** One thing to be done on chain for a dataset. */
export interface PaidCall {
  readonly intentKey: string;
  readonly purpose: string;
  readonly to: string;
  readonly data: string;
  readonly valueWei: bigint;
}

export interface LaneSenderOptions {
  readonly chainId: number;
  /** Default: the chain's own kind of fees, and no ceiling. */
  readonly fees?: FeeRules;
  /** Longest wait for one transaction; default 30 s. */
  readonly minedWaitMs?: number;
  /** How long it may wait before it is replaced under its own nonce by a dearer one; default 60 s. */
  readonly bumpAfterMs?: number;
}

export interface LaneSenderDeps {
  readonly journal: TransactionJournal;
  readonly wallet: BaseWallet;
  readonly log: Logger;
  readonly onStep: (call: PaidCall, step: 'signed' | 'sent' | 'mined') => void;
  readonly signal: AbortSignal;
}

/** A contract refused a call before it was sent. */
export class LazaiRefusal extends LazaiWait {
  /** Name of the contract's error. */
  readonly revert: string;

  constructor(purpose: string, revert: string, cause: unknown) {
    super('LAZAI_REFUSED', `LazAI's contract refuses ${purpose}: ${revert}`, { cause });
    this.revert = revert;
  }
}

/**
 * Sends one account's calls, each once. LazAI's contracts take the same payment twice without a word, so that a call has
 * one nonce as long as anything of it could still be mined: after a crash and after a reorg the same bytes go out again, a
 * dearer transaction takes the place of one that waits under the same nonce, and only a failure that is deep, or a nonce that
 * went to a transaction of others and is deep, makes way for a new one.
 */
export class LaneSender {
  readonly #options: LaneSenderOptions;
  readonly #deps: LaneSenderDeps;
  /** Transactions whose nonce is used by another: the head when that was first seen. */
  readonly #passedOver = new Map<string, number>();
  /** Since when transactions wait, ms. */
  readonly #waitingSince = new Map<string, number>();

  constructor(options: LaneSenderOptions, deps: LaneSenderDeps) {
    this.#options = options;
    this.#deps = deps;
  }

  get account(): string {
    return this.#deps.wallet.address;
  }

  /**
   * Brings the journal up to what the chain shows of one intent, and sends again what is not there: with all that the
   * account has pending, in the order of nonces, since a gap would hold up everything behind it.
   */
  async settle(provider: JsonRpcProvider, intentKey: string, head: ChainHead): Promise<void> {
    const { journal } = this.#deps;
    const pending = await journal.pendingTransactions(this.#options.chainId);
    const lane = pending.filter(({ account }) => isSameAddress(account, this.account));
    const own = (await journal.transactions(intentKey)).filter(
      ({ hash, state }) =>
        (isLive(state) || state === 'lost') && !lane.some((other) => other.hash === hash),
    );
    const open = [...lane, ...own].sort((a, b) => a.nonce - b.nonce);
    const liveNonces = new Set(open.filter(({ state }) => isLive(state)).map((tx) => tx.nonce));
    for (const transaction of open) {
      // Made way for another, which has its nonce now: only one of the two can ever be mined.
      if (transaction.state === 'lost' && liveNonces.has(transaction.nonce)) continue;
      const place = await this.#place(provider, transaction, head);
      if (place === 'missing') await this.#send(provider, transaction);
    }
  }

  /** The transaction under way or mined for one purpose. */
  async live(intentKey: string, purpose: string): Promise<Transaction | null> {
    const all = await this.#deps.journal.transactions(intentKey);
    return all.find((tx) => tx.purpose === purpose && isLive(tx.state)) ?? null;
  }

  /** Whether anything of an intent may still be mined. */
  async isUnderWay(intentKey: string): Promise<boolean> {
    const all = await this.#deps.journal.transactions(intentKey);
    return all.some(({ state }) => state === 'signed' || state === 'sent');
  }

  /**
   * Takes up the call where it stands, or begins it. {@link settle} must have run before.
   *
   * @returns the block that holds it
   * @throws LazaiRefusal when the contract says no; LazaiWait LAZAI_NOT_MINED, LAZAI_NO_FUNDS, LAZAI_NOT_DEEP when it
   *   failed on chain and that may yet be undone; FORGE_FEE_CEILING while gas costs more than is to be offered.
   */
  async submit(provider: JsonRpcProvider, call: PaidCall): Promise<ChainBlock> {
    const known = await this.live(call.intentKey, call.purpose);
    if (known?.state === 'mined' && known.blockNumber !== null && known.blockHash !== null) {
      return { number: known.blockNumber, hash: known.blockHash };
    }
    const transaction = known ?? (await this.#sign(provider, call));
    let refusal: unknown = null;
    // One that was signed earlier was sent by settle.
    if (known === null) refusal = await this.#send(provider, transaction);
    this.#deps.onStep(call, 'sent');
    const block = await this.#wait(provider, call, transaction, refusal);
    this.#deps.onStep(call, 'mined');
    return block;
  }

  async #sign(provider: JsonRpcProvider, call: PaidCall): Promise<Transaction> {
    const { journal, wallet } = this.#deps;
    const { chainId } = this.#options;
    const account = wallet.address;
    const gasLimit = await this.#estimate(provider, call);
    const rules = this.#options.fees ?? NO_RULES;
    const fees = chooseFees(await readMarket(provider, rules), rules, null);
    const onChain = await provider.getTransactionCount(account, 'latest');
    const nonce = Math.max(onChain, await journal.nextNonce(chainId, account));
    const { to, data, valueWei } = call;
    const raw = await wallet.signTransaction({
      ...{ chainId, nonce, to, data, value: valueWei, gasLimit },
      ...feeFields(fees),
    });
    const hash = EthersTransaction.from(raw).hash as string;
    await journal.addTransaction({
      hash,
      intentKey: call.intentKey,
      purpose: call.purpose,
      chainId,
      account,
      nonce,
      raw,
      gasLimit: Number(gasLimit),
      maxFeeWei: String(fees.maxFeeWei),
      tipWei: String(fees.tipWei),
    });
    this.#deps.onStep(call, 'signed');
    const stored = await this.live(call.intentKey, call.purpose);
    if (stored === null) throw new TypeError(`transaction ${hash} was not journalled`);
    return stored;
  }

  /** Gas limit; also the check that the call would go through now. */
  async #estimate(provider: JsonRpcProvider, call: PaidCall): Promise<bigint> {
    const { to, data, valueWei } = call;
    const request = { from: this.account, to, data, value: toQuantity(valueWei) };
    try {
      const gas: unknown = await provider.send('eth_estimateGas', [request, 'pending']);
      return (BigInt(gas as string) * GAS_MARGIN_PERCENT) / 100n;
    } catch (error) {
      const lacking = noFunds(error, this.account);
      if (lacking !== null) throw lacking;
      const revert = readLazaiRevert(error);
      if (revert !== null) throw new LazaiRefusal(call.purpose, revert, error);
      throw error;
    }
  }

  /** To all nodes. @returns their refusal, null when one took it. An answer may be lost though it was taken; the chain tells. */
  async #send(provider: JsonRpcProvider, transaction: Transaction): Promise<unknown> {
    const { raw } = transaction;
    let refusal: unknown = null;
    if (provider instanceof ChainProvider) {
      const isKnown = (message: string): boolean => readSendRefusal(message) === 'known';
      const { isTaken, refusals } = await provider.broadcast(raw, isKnown);
      if (!isTaken && refusals.length > 0) refusal = new Error(refusals.join('; '));
    } else {
      await provider.send('eth_sendRawTransaction', [raw]).catch((error) => {
        refusal = error;
      });
    }
    await this.#deps.journal.markSent(transaction.hash);
    return refusal;
  }

  async #wait(
    provider: JsonRpcProvider,
    call: PaidCall,
    first: Transaction,
    firstRefusal: unknown,
  ): Promise<ChainBlock> {
    const deadline = performance.now() + (this.#options.minedWaitMs ?? MINED_WAIT_MS);
    let [transaction, refusal] = [first, firstRefusal];
    for (let pollMs = POLL_MIN_MS; ; pollMs = Math.min(pollMs * 2, POLL_MAX_MS)) {
      const { hash, purpose } = transaction;
      for (const one of [transaction, ...(await this.#replacedBy(transaction))]) {
        const receipt = await provider.getTransactionReceipt(one.hash);
        if (receipt?.status === 1) {
          const block = { number: receipt.blockNumber, hash: receipt.blockHash };
          await this.#deps.journal.markMined(one.hash, block);
          this.#waitingSince.delete(hash);
          return block;
        }
        if (receipt === null) continue;
        throw new LazaiWait(
          'LAZAI_NOT_DEEP',
          `transaction ${one.hash} (${purpose}) failed in block ${receipt.blockNumber}; it is tried anew once that block is deep`,
        );
      }
      const lacking = refusal === null ? null : noFunds(refusal, transaction.account);
      if (lacking !== null) throw lacking;
      const dearer = await this.#bump(provider, call, transaction, refusal);
      if (dearer !== null) {
        // A pool that wants more than the chain says is not outbid in one rush.
        const bumpAfterMs = this.#options.bumpAfterMs ?? BUMP_AFTER_MS;
        if (refusal !== null) await pause(bumpAfterMs * BID_PART, this.#deps.signal);
        transaction = dearer;
        refusal = await this.#send(provider, dearer);
        pollMs = POLL_MIN_MS;
        continue;
      }
      if (performance.now() >= deadline || this.#deps.signal.aborted) {
        const said = refusal === null ? '' : `; the node said: ${messageOf(refusal)}`;
        throw new LazaiWait(
          'LAZAI_NOT_MINED',
          `transaction ${hash} (${purpose}) is sent but not mined yet${said}`,
        );
      }
      await pause(pollMs, this.#deps.signal);
    }
  }

  /** Transactions that the newest one of a call took the place of; one of them may be mined all the same. */
  async #replacedBy({ chainId, account, nonce, intentKey, purpose }: Transaction) {
    const all = await this.#deps.journal.transactionsAt(chainId, account, nonce);
    return all.filter(
      (one) => one.state === 'replaced' && one.intentKey === intentKey && one.purpose === purpose,
    );
  }

  /**
   * Puts a dearer transaction in the place of one that waits for too long, or that nodes find too cheap. @returns null
   * when it is not time yet, or when what it offers is enough and no more is to be offered.
   */
  async #bump(
    provider: JsonRpcProvider,
    call: PaidCall,
    transaction: Transaction,
    refusal: unknown,
  ): Promise<Transaction | null> {
    const { journal, wallet, log } = this.#deps;
    const { hash, raw, chainId, nonce } = transaction;
    const since = this.#waitingSince.get(hash) ?? performance.now();
    this.#waitingSince.set(hash, since);
    const isTooCheap = refusal !== null && readSendRefusal(messageOf(refusal)) === 'underpriced';
    const bumpAfterMs = this.#options.bumpAfterMs ?? BUMP_AFTER_MS;
    if (!isTooCheap && performance.now() - since < bumpAfterMs) return null;
    // One that waits behind another is not made faster by it.
    if ((await provider.getTransactionCount(transaction.account, 'latest')) < nonce) return null;
    const rules = this.#options.fees ?? NO_RULES;
    const market = await readMarket(provider, rules);
    const sent = EthersTransaction.from(raw);
    let fees: Fees;
    try {
      fees = chooseFees(market, rules, {
        type: sent.type === 0 ? 0 : 2,
        maxFeeWei: BigInt(transaction.maxFeeWei),
        tipWei: BigInt(transaction.tipWei),
      });
    } catch (error) {
      // Dear enough as it is: it is only a matter of time.
      if (!isTooCheap && BigInt(transaction.maxFeeWei) >= market.priceWei) return null;
      throw error;
    }
    const { to, data, value, gasLimit } = sent;
    const replacement = await wallet.signTransaction({
      ...{ chainId, nonce, to, data, value, gasLimit },
      ...feeFields(fees),
    });
    const by = {
      ...{ intentKey: call.intentKey, purpose: call.purpose, chainId, nonce },
      hash: EthersTransaction.from(replacement).hash as string,
      ...{ account: transaction.account, raw: replacement, gasLimit: Number(gasLimit) },
      ...{ maxFeeWei: String(fees.maxFeeWei), tipWei: String(fees.tipWei) },
    };
    await journal.replaceTransaction(hash, by);
    this.#deps.onStep(call, 'signed');
    this.#waitingSince.delete(hash);
    log.info(
      { hash: by.hash, replaces: hash, nonce, maxFeeWei: by.maxFeeWei },
      'a transaction is not mined; it is replaced by a dearer one',
    );
    return this.live(call.intentKey, call.purpose);
  }

  /** Where a transaction is; `missing` is to be sent again. */
  async #place(
    provider: JsonRpcProvider,
    transaction: Transaction,
    head: ChainHead,
  ): Promise<'chain' | 'undecided' | 'missing'> {
    const { journal } = this.#deps;
    const { hash, nonce, account } = transaction;
    // The count first: it may be mined between the two questions.
    const next = await provider.getTransactionCount(account, 'latest');
    const receipt = await provider.getTransactionReceipt(hash);
    if (receipt !== null) {
      this.#passedOver.delete(hash);
      if (transaction.state === 'lost') await journal.addTransaction(transaction);
      const block = { number: receipt.blockNumber, hash: receipt.blockHash };
      if (receipt.status === 1) {
        await journal.markMined(hash, block);
        return 'chain';
      }
      if (block.number > head.deep) return 'undecided';
      await journal.markFailed(hash, block, 'reverted');
      return 'chain';
    }
    if (next > nonce) {
      for (const earlier of await this.#replacedBy(transaction)) {
        const found = await provider.getTransactionReceipt(earlier.hash);
        if (found === null) continue;
        const block = { number: found.blockNumber, hash: found.blockHash };
        if (found.status === 1) await journal.markMined(earlier.hash, block);
        else if (block.number > head.deep) return 'undecided';
        else await journal.markFailed(earlier.hash, block, 'reverted');
        return 'chain';
      }
      // Another transaction has the nonce, or the node is behind. Only a deep one cannot give it back.
      const since = this.#passedOver.get(hash) ?? head.number;
      this.#passedOver.set(hash, since);
      if (transaction.state !== 'lost' && since <= head.deep && head.number > since) {
        await journal.markLost(hash);
      }
      return 'undecided';
    }
    this.#passedOver.delete(hash);
    if (transaction.state === 'mined') {
      // A reorg took its block. Lost first, since that is the only way back to signed; a crash in between is healed
      // here, by the next line.
      await journal.markLost(hash);
      await journal.addTransaction(transaction);
    } else if (transaction.state === 'lost') {
      await journal.addTransaction(transaction);
    }
    return 'missing';
  }
}

/** The chain's own kind of fees, whatever they are. */
const NO_RULES: FeeRules = { kind: 'auto', ceilingWei: null };

function isLive(state: Transaction['state']): boolean {
  return state === 'signed' || state === 'sent' || state === 'mined';
}

function noFunds(error: unknown, account: string): LazaiWait | null {
  const isEmpty =
    isError(error, 'INSUFFICIENT_FUNDS') || /insufficient funds/i.test(messageOf(error));
  if (!isEmpty) return null;
  return new LazaiWait(
    'LAZAI_NO_FUNDS',
    `account ${account} has too little coin for gas and fee; send it some, forging goes on by itself`,
    { cause: error },
  );
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const end = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal.addEventListener('abort', end);
  });
}
