import {
  type BaseWallet,
  Transaction as EthersTransaction,
  isError,
  type JsonRpcProvider,
  toQuantity,
} from 'ethers';
import { messageOf, WaystoneError } from '../core/errors.js';
import type { ChainBlock, ForgeJournal, NewTransaction, Transaction } from '../core/forge-ports.js';
import type { Logger } from '../core/logger.js';
import { describeRevert, readRevert } from './chain-client.js';
import { ChainProvider } from './chain-provider.js';
import {
  BID_PART,
  chooseFees,
  chooseFeesAnew,
  type FeeRules,
  type Fees,
  feeFields,
  readMarket,
} from './fees.js';
import { readSendRefusal, type SendRefusal } from './send-answers.js';

/** Receipts are asked for at this rate at first, then more and more slowly. */
const POLL_MIN_MS = 20;
const POLL_MAX_MS = 1_000;

/** How much later than the account's nonce a node may show a receipt. */
const RECEIPT_LAG_MS = 200;

/** Earlier transactions of a call that are looked for; each bump of the fees makes one. */
const EARLIER_MAX = 32;

/** Gas limit over the estimate, in percent: state may change until the transaction runs. */
const GAS_MARGIN_PERCENT = 125n;

/** One thing to be done on chain for an intent. */
export interface Call {
  readonly intentKey: string;
  readonly purpose: string;
  readonly to: string;
  readonly data: string;
}

export interface SubmitterOptions {
  readonly chainId: number;
  /** Default: what the chain asks for, without a ceiling, as on a chain where gas costs nothing. */
  readonly fees?: FeeRules;
  /** Longest wait for one transaction before others get a look, ms; it is taken up again later. Default 30 s. */
  readonly minedWaitMs?: number;
  /** How often the same bytes go out again while they are not mined, ms; default 15 s. */
  readonly resendMs?: number;
  /** When a transaction that is not mined is replaced by a dearer one, ms; default 60 s. */
  readonly bumpAfterMs?: number;
  /**
   * How long nodes must go on saying that a nonce is used, and none know a receipt, before the transaction is given up,
   * ms. Zero is right for one node that never lags: the local chain, the default.
   */
  readonly lostAfterMs?: number;
}

export interface SubmitterDeps {
  readonly journal: ForgeJournal;
  readonly log: Logger;
  /** Called after each step: `signed`, `sent`, `mined`. */
  readonly onStep: (call: Call, step: 'signed' | 'sent' | 'mined') => void;
  /** Ends waits early when forging stops. */
  readonly signal: AbortSignal;
}

/** A call was refused, before anything was sent or on chain. */
export class CallRefused extends WaystoneError {
  /** Name of the contract's error. */
  readonly revert: string;
  readonly args: readonly unknown[];

  constructor(call: Call, revert: { name: string; args: readonly unknown[] }, cause?: unknown) {
    super('FORGE_CALL_REFUSED', `the contract refuses ${call.purpose}: ${describeRevert(revert)}`, {
      cause,
    });
    this.revert = revert.name;
    this.args = revert.args;
  }
}

/** A call that is on chain. */
export interface Mined {
  readonly hash: string;
  readonly block: ChainBlock;
}

/**
 * Gets calls mined, once. Every signed transaction is on disk before its first byte is sent, so after a crash the
 * same bytes go out again: same hash, same nonce, never a second transaction. What a send answers is not believed in
 * either direction; the receipt under a known hash decides. A transaction that is too cheap gets a dearer one with the
 * same nonce, so that again only one of them can be mined; all of them stay known.
 */
export class Submitter {
  readonly #options: Required<SubmitterOptions>;
  readonly #deps: SubmitterDeps;
  /** When a nonce was first seen waiting, and when its bytes last went out: by hash, in this run. */
  readonly #waitingSince = new Map<string, number>();
  readonly #sentAt = new Map<string, number>();
  /** Since when a transaction looks lost. */
  readonly #doubtedSince = new Map<string, number>();

  constructor(options: SubmitterOptions, deps: SubmitterDeps) {
    this.#options = {
      fees: { kind: 'eip1559', ceilingWei: null },
      minedWaitMs: 30_000,
      resendMs: 15_000,
      bumpAfterMs: 60_000,
      lostAfterMs: 0,
      ...options,
    };
    this.#deps = deps;
  }

  /**
   * Takes up the call where it stands, or begins it.
   *
   * @returns the block that holds it, and its hash
   * @throws CallRefused when the contract says no; WaystoneError FORGE_NOT_MINED when it takes longer, FORGE_FEE_CEILING
   *   when it is too dear now, FORGE_LOST when its nonce went to another transaction (look at the chain anew),
   *   FORGE_NO_FUNDS, FORGE_SEND_REFUSED.
   */
  async submit(provider: JsonRpcProvider, wallet: BaseWallet, call: Call): Promise<Mined> {
    const { journal } = this.#deps;
    const known = await journal.liveTransaction(call.intentKey, call.purpose);
    const found = known === null ? await this.#adopt(provider, call) : minedOf(known);
    if (found !== null) return found;
    const transaction = known ?? (await this.#sign(provider, wallet, call));
    const mined = await this.#seeThrough(provider, wallet, call, transaction);
    this.#deps.onStep(call, 'mined');
    return mined;
  }

  /**
   * Looks for transactions that an earlier run left behind, without sending anything: those on chain are noted as
   * mined, those whose nonce can no longer come are given up.
   */
  async settlePending(provider: JsonRpcProvider): Promise<void> {
    for (const transaction of await this.#deps.journal.pendingTransactions(this.#options.chainId)) {
      const { intentKey, purpose } = transaction;
      const call = { intentKey, purpose, to: '', data: '' };
      try {
        await this.#settle(provider, call, transaction);
      } catch (error) {
        if (!(error instanceof CallRefused) && !isLost(error)) throw error;
        this.#deps.log.warn(
          { hash: transaction.hash, error: messageOf(error) },
          'settled transaction',
        );
      }
    }
  }

  /**
   * Gives up a transaction that is needed no more, unless it is on chain; and finds out what became of those that were
   * given up before, so that the journal tells what each did.
   */
  async abandon(provider: JsonRpcProvider, intentKey: string, purpose: string): Promise<void> {
    const { journal } = this.#deps;
    const all = (await journal.transactions(intentKey)).filter((one) => one.purpose === purpose);
    if (all.some(({ state }) => state === 'mined' || state === 'confirmed')) return;
    for (const transaction of all.slice(-EARLIER_MAX)) {
      if (transaction.state === 'failed') continue;
      if ((await this.#noteReceipt(provider, transaction, 'done otherwise')) === 'mined') return;
    }
    const live = await journal.liveTransaction(intentKey, purpose);
    if (live !== null) await journal.markLost(live.hash);
  }

  /** Finds those that were given up too early, and are on chain though everything went on without them. */
  async explain(provider: JsonRpcProvider): Promise<void> {
    for (const transaction of await this.#deps.journal.unexplained(this.#options.chainId)) {
      await this.#noteReceipt(provider, transaction, 'done otherwise');
    }
  }

  /** A transaction of this call that was given up, or replaced, and is on chain after all. */
  async #adopt(provider: JsonRpcProvider, call: Call): Promise<Mined | null> {
    const { journal } = this.#deps;
    const earlier = (await journal.transactions(call.intentKey)).filter(
      ({ purpose, state }) =>
        purpose === call.purpose && (state === 'lost' || state === 'replaced'),
    );
    for (const transaction of earlier.slice(-EARLIER_MAX).reverse()) {
      const receipt = await provider.getTransactionReceipt(transaction.hash);
      if (receipt === null) continue;
      const block = { number: receipt.blockNumber, hash: receipt.blockHash };
      if (receipt.status === 1) {
        await journal.markMined(transaction.hash, block);
        return { hash: transaction.hash, block };
      }
      await journal.markFailed(transaction.hash, block, 'reverted');
    }
    return null;
  }

  async #sign(provider: JsonRpcProvider, wallet: BaseWallet, call: Call): Promise<Transaction> {
    const { journal } = this.#deps;
    const { chainId, fees: rules } = this.#options;
    const account = wallet.address;
    const gasLimit = await this.#estimate(provider, account, call);
    const nonce = await this.#freeNonce(provider, account);
    const before = await journal.transactionsAt(chainId, account, nonce);
    // After a reorg the very bytes that were mined once are the best ones to send: some pool may hold them still.
    const again = before.find(
      (old) =>
        old.state === 'lost' && old.intentKey === call.intentKey && old.purpose === call.purpose,
    );
    const market = await readMarket(provider, rules);
    if (again !== undefined && BigInt(again.maxFeeWei) >= market.priceWei) {
      await journal.addTransaction(again);
    } else {
      // Some pool may still hold what had this nonce before; only a better offer drives it out.
      const sent = before.filter((old) => old.sends > 0 && old.state !== 'failed');
      const replaced = sent.length === 0 ? null : sent.map(feesOf).reduce(dearer);
      const fees = chooseFeesAnew(market, rules, replaced);
      await this.#checkFunds(provider, account, gasLimit * fees.maxFeeWei);
      const { to, data } = call;
      const made = await this.#make(wallet, call, { to, data, nonce, gasLimit, fees });
      await journal.addTransaction(made);
    }
    this.#deps.onStep(call, 'signed');
    const stored = await journal.liveTransaction(call.intentKey, call.purpose);
    if (stored === null)
      throw new TypeError(`the transaction with nonce ${nonce} was not journalled`);
    return stored;
  }

  async #make(
    wallet: BaseWallet,
    call: Pick<Call, 'intentKey' | 'purpose'>,
    what: { to: string; data: string; nonce: number; gasLimit: bigint; fees: Fees },
  ): Promise<NewTransaction> {
    const { chainId } = this.#options;
    const { to, data, nonce, gasLimit, fees } = what;
    const raw = await wallet.signTransaction({
      ...{ chainId, nonce, to, data, gasLimit },
      ...feeFields(fees),
    });
    return {
      hash: EthersTransaction.from(raw).hash as string,
      intentKey: call.intentKey,
      purpose: call.purpose,
      chainId,
      account: wallet.address,
      nonce,
      raw,
      gasLimit: Number(gasLimit),
      maxFeeWei: String(fees.maxFeeWei),
      tipWei: String(fees.tipWei),
    };
  }

  /**
   * The next nonce: the chain's, or the first after it that no transaction of ours has used or waits with. A gap, left by
   * one that was given up, is filled, since nothing behind it could ever be mined.
   */
  async #freeNonce(provider: JsonRpcProvider, account: string): Promise<number> {
    const { journal } = this.#deps;
    const { chainId } = this.#options;
    let nonce = await provider.getTransactionCount(account, 'latest');
    // The journal's own count may be lower than what is live: giving one up lowers it, whatever came after that one.
    for (; ; nonce++) {
      const taken = await journal.transactionsAt(chainId, account, nonce);
      if (!taken.some(({ state }) => state !== 'lost' && state !== 'replaced')) break;
    }
    return nonce;
  }

  /** Gas limit; also the check that the call would go through now. */
  async #estimate(provider: JsonRpcProvider, from: string, call: Call): Promise<bigint> {
    const gas = await estimateGas(provider, from, call);
    return (gas * GAS_MARGIN_PERCENT) / 100n;
  }

  async #checkFunds(provider: JsonRpcProvider, account: string, neededWei: bigint): Promise<void> {
    const balanceWei = BigInt(
      (await provider.send('eth_getBalance', [account, 'latest'])) as string,
    );
    if (balanceWei < neededWei) throw noFunds(account, { balanceWei, neededWei });
  }

  /**
   * @returns the call once it is on chain; `waits` while its transaction may be the next one, `queues` while others of
   *   ours have to be mined first.
   */
  async #settle(
    provider: JsonRpcProvider,
    call: Call,
    transaction: Transaction,
  ): Promise<Mined | 'waits' | 'queues'> {
    const { journal } = this.#deps;
    const { account, nonce } = transaction;
    // The count first: it may be mined between the two questions.
    const next = await provider.getTransactionCount(account, 'latest');
    const versions = (await journal.transactions(call.intentKey))
      .filter((one) => one.account === account && one.nonce === nonce && one.state !== 'failed')
      .slice(-EARLIER_MAX);
    let found = await this.#findReceipt(provider, versions);
    if (found === null && next > nonce) {
      // The nonce is used, maybe by this one: a node may know the new count before the receipt, or another one knows it.
      await pause(RECEIPT_LAG_MS, this.#deps.signal);
      found =
        (await this.#findReceipt(provider, versions)) ??
        (await this.#findAnywhere(provider, versions));
    }
    if (found !== null) return this.#noteMined(provider, call, found);
    if (next === nonce) {
      this.#doubtedSince.delete(transaction.hash);
      return 'waits';
    }
    if (next > nonce) await this.#findOthers(provider, transaction);
    else if ((await this.#earlier(transaction, next)) !== null) return 'queues';
    if (!this.#isDoubtedLongEnough(transaction.hash)) return 'waits';
    await journal.markLost(transaction.hash);
    throw new WaystoneError(
      'FORGE_LOST',
      `transaction ${transaction.hash} with nonce ${nonce} cannot be mined: the account's next nonce is ${next}`,
    );
  }

  async #findReceipt(
    provider: JsonRpcProvider,
    versions: readonly Transaction[],
  ): Promise<Found | null> {
    for (const transaction of [...versions].reverse()) {
      const receipt = await provider.getTransactionReceipt(transaction.hash);
      if (receipt === null) continue;
      const block = { number: receipt.blockNumber, hash: receipt.blockHash };
      return { transaction, block, isDone: receipt.status === 1 };
    }
    return null;
  }

  /** Asks every node: one that is behind says nothing about what the others have. */
  async #findAnywhere(
    provider: JsonRpcProvider,
    versions: readonly Transaction[],
  ): Promise<Found | null> {
    if (!(provider instanceof ChainProvider)) return null;
    for (const transaction of [...versions].reverse()) {
      for (const answer of await provider.askAll('eth_getTransactionReceipt', [transaction.hash])) {
        const receipt = answer as { blockNumber: string; blockHash: string; status: string } | null;
        if (receipt === null) continue;
        const block = { number: Number(receipt.blockNumber), hash: receipt.blockHash };
        return { transaction, block, isDone: Number(receipt.status) === 1 };
      }
    }
    return null;
  }

  async #noteMined(provider: JsonRpcProvider, call: Call, found: Found): Promise<Mined> {
    const { journal } = this.#deps;
    const { transaction, block } = found;
    this.#forget(transaction.hash);
    if (found.isDone) {
      await journal.markMined(transaction.hash, block);
      return { hash: transaction.hash, block };
    }
    const revert = await this.#replay(provider, transaction, block.number);
    await journal.markFailed(transaction.hash, block, describeRevert(revert));
    throw new CallRefused(call, revert);
  }

  /**
   * The nonce is used and none of this call's transactions has a receipt: maybe one of another call had it. When it is
   * found, this one can never come.
   */
  async #findOthers(provider: JsonRpcProvider, transaction: Transaction): Promise<void> {
    const { journal } = this.#deps;
    const { chainId, account, nonce, hash } = transaction;
    for (const other of await journal.transactionsAt(chainId, account, nonce)) {
      if (other.intentKey === transaction.intentKey && other.purpose === transaction.purpose)
        continue;
      if (other.state === 'failed') continue;
      if ((await this.#noteReceipt(provider, other, 'reverted')) === null) continue;
      // Noting it has made ours `replaced`.
      throw new WaystoneError(
        'FORGE_LOST',
        `transaction ${hash} cannot be mined: its nonce ${nonce} went to ${other.hash}, an earlier one of ours`,
      );
    }
  }

  /** Notes what became of a transaction; null when it is not on chain. */
  async #noteReceipt(
    provider: JsonRpcProvider,
    transaction: Transaction,
    failure: string,
  ): Promise<'mined' | 'failed' | null> {
    const receipt = await provider.getTransactionReceipt(transaction.hash);
    if (receipt === null) return null;
    const block = { number: receipt.blockNumber, hash: receipt.blockHash };
    this.#forget(transaction.hash);
    if (receipt.status === 1) {
      await this.#deps.journal.markMined(transaction.hash, block);
      return 'mined';
    }
    await this.#deps.journal.markFailed(transaction.hash, block, failure);
    return 'failed';
  }

  /**
   * The transaction of ours that has to be mined first; null when there is a gap: nothing of ours has the next nonce, so
   * what comes after it would wait for ever.
   */
  async #earlier({ chainId, account }: Transaction, next: number): Promise<Transaction | null> {
    const pending = await this.#deps.journal.pendingTransactions(chainId);
    return pending.find((one) => one.account === account && one.nonce === next) ?? null;
  }

  /** Gets the one mined that holds up `transaction`, though nobody may ask for it any more. */
  async #pushEarlier(
    provider: JsonRpcProvider,
    wallet: BaseWallet,
    transaction: Transaction,
  ): Promise<void> {
    const next = await provider.getTransactionCount(transaction.account, 'latest');
    const first = await this.#earlier(transaction, next);
    if (first === null || first.nonce >= transaction.nonce) return;
    const { intentKey, purpose, hash } = first;
    const refusal = this.#isToSend(hash) ? await this.#send(provider, first) : null;
    const since = this.#waitingSince.get(hash) ?? performance.now();
    this.#waitingSince.set(hash, since);
    if (refusal !== 'underpriced' && performance.now() - since < this.#options.bumpAfterMs) return;
    await this.#bump(provider, wallet, { intentKey, purpose, to: '', data: '' }, first);
  }

  #isDoubtedLongEnough(hash: string): boolean {
    const since = this.#doubtedSince.get(hash) ?? performance.now();
    this.#doubtedSince.set(hash, since);
    return performance.now() - since >= this.#options.lostAfterMs;
  }

  async #seeThrough(
    provider: JsonRpcProvider,
    wallet: BaseWallet,
    call: Call,
    first: Transaction,
  ): Promise<Mined> {
    const { minedWaitMs, bumpAfterMs } = this.#options;
    const deadline = performance.now() + minedWaitMs;
    let transaction = first;
    if (!this.#waitingSince.has(first.hash)) this.#waitingSince.set(first.hash, performance.now());
    for (let pollMs = POLL_MIN_MS; ; pollMs = Math.min(pollMs * 2, POLL_MAX_MS)) {
      // One that was sent may be there; one that was only signed may be, too: the crash was between the two.
      const settled = await this.#settle(provider, call, transaction);
      if (typeof settled === 'object') return settled;
      if (settled === 'queues') {
        await this.#pushEarlier(provider, wallet, transaction);
        // Its own time has not begun.
        this.#waitingSince.set(transaction.hash, performance.now());
      }
      let refusal: SendRefusal | null = null;
      if (this.#isToSend(transaction.hash)) {
        refusal = await this.#send(provider, transaction);
        this.#deps.onStep(call, 'sent');
      }
      const waitedMs = performance.now() - (this.#waitingSince.get(transaction.hash) ?? 0);
      if (refusal === 'underpriced' || waitedMs >= bumpAfterMs) {
        const replacement = await this.#bump(provider, wallet, call, transaction);
        if (replacement !== null) {
          transaction = replacement;
          pollMs = POLL_MIN_MS;
          // A pool that wants more than the chain says is not outbid in one rush.
          if (refusal === 'underpriced') await pause(bumpAfterMs * BID_PART, this.#deps.signal);
          continue;
        }
        if (refusal === 'underpriced') {
          throw new WaystoneError(
            'FORGE_FEE_CEILING',
            `nodes want more for nonce ${transaction.nonce} than the ceiling allows (chain.feeMaxGwei), maybe in place of an earlier transaction; datasets wait until that is mined or gone`,
          );
        }
      }
      if (performance.now() >= deadline || this.#deps.signal.aborted) {
        throw new WaystoneError(
          'FORGE_NOT_MINED',
          `transaction ${transaction.hash} (${call.purpose}) is sent but not mined yet`,
        );
      }
      await pause(pollMs, this.#deps.signal);
    }
  }

  #isToSend(hash: string): boolean {
    const at = this.#sentAt.get(hash);
    return at === undefined || performance.now() - at >= this.#options.resendMs;
  }

  /**
   * Sends the stored bytes. @returns the refusal that matters, if there was one; null when a node has it, or when none
   * said anything: the receipt tells.
   */
  async #send(provider: JsonRpcProvider, transaction: Transaction): Promise<SendRefusal | null> {
    const { hash, raw, account } = transaction;
    const isKnown = (message: string): boolean => readSendRefusal(message) === 'known';
    let refusals: readonly string[] = [];
    let isUnheard = false;
    if (provider instanceof ChainProvider) {
      const outcome = await provider.broadcast(raw, isKnown);
      if (!outcome.isTaken) ({ refusals, isUnheard } = outcome);
    } else {
      await provider.send('eth_sendRawTransaction', [raw]).catch((error) => {
        refusals = [messageOf(error)];
      });
    }
    this.#sentAt.set(hash, performance.now());
    // A send that was refused by all is no send; but one that nobody answered may be one.
    const kinds = refusals.map(readSendRefusal);
    if (kinds.length === 0 || isUnheard || kinds.includes('nonce-used')) {
      await this.#deps.journal.markSent(hash);
    }
    if (kinds.includes('nonce-used') || kinds.includes('not-now')) return null;
    if (kinds.includes('underpriced')) return 'underpriced';
    if (kinds.length === 0) return null;
    // To be tried again as soon as it is taken up again.
    this.#sentAt.delete(hash);
    if (kinds.includes('no-funds')) throw noFunds(account);
    // It may be there all the same, by an earlier send: then it is not given up.
    if (kinds.includes('misfit') && transaction.sends === 0)
      await this.#deps.journal.markLost(hash);
    throw new WaystoneError(
      'FORGE_SEND_REFUSED',
      `the chain's nodes do not take transaction ${hash}: ${refusals.join('; ')}. It is kept and tried again`,
    );
  }

  /**
   * Puts a dearer transaction in the place of one that is not mined. @returns null when the chain asks for no more than it
   * offers and no ceiling lets us offer more: it waits then.
   */
  async #bump(
    provider: JsonRpcProvider,
    wallet: BaseWallet,
    call: Call,
    transaction: Transaction,
  ): Promise<Transaction | null> {
    const { journal, log } = this.#deps;
    const { fees: rules } = this.#options;
    const market = await readMarket(provider, rules);
    let fees: Fees;
    try {
      fees = chooseFees(market, rules, feesOf(transaction));
    } catch (error) {
      // Dear enough as it is: it is only a matter of time.
      if (BigInt(transaction.maxFeeWei) >= market.priceWei) return null;
      throw error;
    }
    const { to, data, gasLimit } = EthersTransaction.from(transaction.raw);
    await this.#checkFunds(provider, wallet.address, gasLimit * fees.maxFeeWei);
    const by = await this.#make(wallet, call, {
      ...{ to: to as string, data, gasLimit, fees },
      nonce: transaction.nonce,
    });
    await journal.replaceTransaction(transaction.hash, by);
    this.#deps.onStep(call, 'signed');
    this.#waitingSince.set(by.hash, performance.now());
    log.info(
      { hash: by.hash, replaces: transaction.hash, nonce: by.nonce, maxFeeWei: by.maxFeeWei },
      'a transaction is not mined; it is replaced by a dearer one',
    );
    return journal.liveTransaction(call.intentKey, call.purpose);
  }

  #forget(hash: string): void {
    this.#waitingSince.delete(hash);
    this.#sentAt.delete(hash);
    this.#doubtedSince.delete(hash);
  }

  /** Why a mined transaction failed: the same call once more, on the block before it. */
  async #replay(
    provider: JsonRpcProvider,
    transaction: Transaction,
    block: number,
  ): Promise<{ name: string; args: readonly unknown[] }> {
    const { to, data } = EthersTransaction.from(transaction.raw);
    try {
      const request = { from: transaction.account, to, data };
      await provider.send('eth_call', [request, toQuantity(Math.max(block - 1, 0))]);
      return { name: 'reverted for a reason that is gone', args: [] };
    } catch (error) {
      return readRevert(error) ?? { name: messageOf(error), args: [] };
    }
  }
}

interface Found {
  readonly transaction: Transaction;
  readonly block: ChainBlock;
  /** false when it was mined and reverted. */
  readonly isDone: boolean;
}

/**
 * Gas that a call would take now.
 *
 * @throws CallRefused when the contract says no, WaystoneError FORGE_NO_FUNDS.
 */
export async function estimateGas(
  provider: JsonRpcProvider,
  from: string,
  call: Call,
): Promise<bigint> {
  try {
    // Against the block to come: its time is now, the last block's may be long ago.
    const request = { from, to: call.to, data: call.data };
    return BigInt(
      (await provider.send('eth_estimateGas', [request, 'pending']).catch((error) => {
        // Not every node has a pending block.
        if (!/pending/i.test(messageOf(error)) || readRevert(error) !== null) throw error;
        return provider.send('eth_estimateGas', [request]);
      })) as string,
    );
  } catch (error) {
    if (isError(error, 'INSUFFICIENT_FUNDS') || /insufficient funds/i.test(messageOf(error))) {
      throw noFunds(from, undefined, error);
    }
    const revert = readRevert(error);
    if (revert !== null) throw new CallRefused(call, revert, error);
    throw error;
  }
}

function minedOf({ state, hash, blockNumber, blockHash }: Transaction): Mined | null {
  if (state !== 'mined' || blockNumber === null || blockHash === null) return null;
  return { hash, block: { number: blockNumber, hash: blockHash } };
}

function feesOf(transaction: Transaction): Fees {
  const { type } = EthersTransaction.from(transaction.raw);
  return {
    type: type === 0 ? 0 : 2,
    maxFeeWei: BigInt(transaction.maxFeeWei),
    tipWei: BigInt(transaction.tipWei),
  };
}

function dearer(a: Fees, b: Fees): Fees {
  return {
    type: a.type,
    maxFeeWei: a.maxFeeWei > b.maxFeeWei ? a.maxFeeWei : b.maxFeeWei,
    tipWei: a.tipWei > b.tipWei ? a.tipWei : b.tipWei,
  };
}

function isLost(error: unknown): boolean {
  return error instanceof WaystoneError && error.code === 'FORGE_LOST';
}

function noFunds(
  account: string,
  facts?: { balanceWei: bigint; neededWei: bigint },
  cause?: unknown,
): WaystoneError {
  const has =
    facts === undefined
      ? 'has too little coin for gas'
      : `has ${facts.balanceWei} wei, the next transaction may take ${facts.neededWei}`;
  return new WaystoneError(
    'FORGE_NO_FUNDS',
    `account ${account} ${has}; send it some, forging goes on by itself`,
    { cause },
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
