import {
  type BaseWallet,
  Transaction as EthersTransaction,
  isError,
  type JsonRpcProvider,
  toQuantity,
} from 'ethers';
import { messageOf, WaystoneError } from '../core/errors.js';
import type { ChainBlock, ForgeJournal, Transaction } from '../core/forge-ports.js';
import type { Logger } from '../core/logger.js';
import { describeRevert, readFees, readRevert } from './chain-client.js';

/** Receipts are asked for at this rate at first, then more and more slowly. */
const POLL_MIN_MS = 20;
const POLL_MAX_MS = 1_000;

/** How much later than the account's nonce a node may show a receipt. */
const RECEIPT_LAG_MS = 200;

/** Longest wait for one transaction before others get a look; it is taken up again later. */
export const MINED_WAIT_MS = 30_000;

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

/**
 * Gets calls mined, once. Every signed transaction is on disk before its first byte is sent, so after a crash the
 * same bytes go out again: same hash, same nonce, never a second transaction. What a send answers is not believed in
 * either direction; the receipt under the known hash decides.
 */
export class Submitter {
  readonly #options: SubmitterOptions;
  readonly #deps: SubmitterDeps;

  constructor(options: SubmitterOptions, deps: SubmitterDeps) {
    this.#options = options;
    this.#deps = deps;
  }

  /**
   * Takes up the call where it stands, or begins it.
   *
   * @returns the block that holds it, and its hash
   * @throws CallRefused when the contract says no; WaystoneError FORGE_NOT_MINED when it takes longer,
   *   FORGE_LOST when its nonce went to another transaction (look at the chain anew), FORGE_NO_FUNDS.
   */
  async submit(
    provider: JsonRpcProvider,
    wallet: BaseWallet,
    call: Call,
  ): Promise<{ hash: string; block: ChainBlock }> {
    const { journal } = this.#deps;
    const known = await journal.liveTransaction(call.intentKey, call.purpose);
    if (known?.state === 'mined' && known.blockNumber !== null && known.blockHash !== null) {
      return { hash: known.hash, block: { number: known.blockNumber, hash: known.blockHash } };
    }
    const transaction = known ?? (await this.#sign(provider, wallet, call));
    const settled = known === null ? null : await this.#settle(provider, call, known);
    const block = settled ?? (await this.#sendAndWait(provider, call, transaction));
    this.#deps.onStep(call, 'mined');
    return { hash: transaction.hash, block };
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
        if (!(error instanceof WaystoneError)) throw error;
        this.#deps.log.warn(
          { hash: transaction.hash, error: error.message },
          'settled transaction',
        );
      }
    }
  }

  /** Gives up a transaction that is needed no more, unless it is on chain. */
  async abandon(provider: JsonRpcProvider, intentKey: string, purpose: string): Promise<void> {
    const transaction = await this.#deps.journal.liveTransaction(intentKey, purpose);
    if (transaction === null || transaction.state === 'mined') return;
    const receipt = await provider.getTransactionReceipt(transaction.hash);
    if (receipt === null) {
      await this.#deps.journal.markLost(transaction.hash);
      return;
    }
    const block = { number: receipt.blockNumber, hash: receipt.blockHash };
    if (receipt.status === 1) await this.#deps.journal.markMined(transaction.hash, block);
    else await this.#deps.journal.markFailed(transaction.hash, block, 'done otherwise');
  }

  async #sign(provider: JsonRpcProvider, wallet: BaseWallet, call: Call): Promise<Transaction> {
    const { journal } = this.#deps;
    const { chainId } = this.#options;
    const account = wallet.address;
    const gasLimit = await this.#estimate(provider, account, call);
    const fees = await readFees(provider);
    const onChain = await provider.getTransactionCount(account, 'latest');
    const nonce = Math.max(onChain, await journal.nextNonce(chainId, account));
    const raw = await wallet.signTransaction({
      type: 2,
      chainId,
      nonce,
      to: call.to,
      data: call.data,
      gasLimit,
      ...fees,
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
      maxFeeWei: String(fees.maxFeePerGas),
      tipWei: String(fees.maxPriorityFeePerGas),
    });
    this.#deps.onStep(call, 'signed');
    const stored = await journal.liveTransaction(call.intentKey, call.purpose);
    if (stored === null) throw new TypeError(`transaction ${hash} was not journalled`);
    return stored;
  }

  /** Gas limit; also the check that the call would go through now. */
  async #estimate(provider: JsonRpcProvider, from: string, call: Call): Promise<bigint> {
    try {
      // Against the block to come: its time is now, the last block's may be long ago.
      const request = { from, to: call.to, data: call.data };
      const gas: unknown = await provider.send('eth_estimateGas', [request, 'pending']);
      return (BigInt(gas as string) * GAS_MARGIN_PERCENT) / 100n;
    } catch (error) {
      const revert = readRevert(error);
      if (revert !== null) throw new CallRefused(call, revert, error);
      throw noFunds(error, from) ?? error;
    }
  }

  /** @returns the block when the transaction is on chain, null when it is to be sent (again). */
  async #settle(
    provider: JsonRpcProvider,
    call: Call,
    transaction: Transaction,
  ): Promise<ChainBlock | null> {
    // The count first: it may be mined between the two questions.
    const next = await provider.getTransactionCount(transaction.account, 'latest');
    let receipt = await provider.getTransactionReceipt(transaction.hash);
    if (receipt === null && next > transaction.nonce) {
      // The nonce is used, maybe by this one: a node may know the new count before the receipt.
      await pause(RECEIPT_LAG_MS, this.#deps.signal);
      receipt = await provider.getTransactionReceipt(transaction.hash);
    }
    if (receipt !== null) {
      const block = { number: receipt.blockNumber, hash: receipt.blockHash };
      if (receipt.status === 1) {
        await this.#deps.journal.markMined(transaction.hash, block);
        return block;
      }
      const revert = await this.#replay(provider, transaction, receipt.blockNumber);
      await this.#deps.journal.markFailed(transaction.hash, block, describeRevert(revert));
      throw new CallRefused(call, revert);
    }
    if (transaction.nonce === next) return null;
    // Below: another transaction has the nonce. Above: those before it are gone, so it would wait for ever.
    await this.#deps.journal.markLost(transaction.hash);
    throw new WaystoneError(
      'FORGE_LOST',
      `transaction ${transaction.hash} with nonce ${transaction.nonce} cannot be mined: the account's next nonce is ${next}`,
    );
  }

  async #sendAndWait(
    provider: JsonRpcProvider,
    call: Call,
    transaction: Transaction,
  ): Promise<ChainBlock> {
    let refusal: unknown = null;
    try {
      await provider.send('eth_sendRawTransaction', [transaction.raw]);
    } catch (error) {
      // The answer may be lost though the transaction was taken; the receipt tells.
      refusal = error;
    }
    await this.#deps.journal.markSent(transaction.hash);
    this.#deps.onStep(call, 'sent');
    const deadline = performance.now() + MINED_WAIT_MS;
    for (let pollMs = POLL_MIN_MS; ; pollMs = Math.min(pollMs * 2, POLL_MAX_MS)) {
      const block = await this.#settle(provider, call, transaction);
      if (block !== null) return block;
      if (refusal !== null && !isKnownAlready(refusal)) {
        throw noFunds(refusal, transaction.account) ?? refusal;
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

/** Node answers that mean: the transaction is there. */
function isKnownAlready(error: unknown): boolean {
  if (isError(error, 'NONCE_EXPIRED')) return true;
  return /already (known|imported)|nonce too low|known transaction/i.test(messageOf(error));
}

function noFunds(error: unknown, account: string): WaystoneError | null {
  const isEmpty =
    isError(error, 'INSUFFICIENT_FUNDS') || /insufficient funds/i.test(messageOf(error));
  if (!isEmpty) return null;
  return new WaystoneError(
    'FORGE_NO_FUNDS',
    `account ${account} has too little coin for gas; send it some, forging goes on by itself`,
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
