import {
  type BaseWallet,
  type ContractTransaction,
  formatEther,
  type TransactionReceipt,
} from 'ethers';
import { messageOf, WaystoneError } from '../core/errors.js';
import { checkChainId, hasCode } from './chain-client.js';
import { ChainProvider } from './chain-provider.js';
import { chooseFees, type FeeRules, feeFields, readMarket } from './fees.js';
import { explain } from './refusals.js';

/** Room over the node's guess of a transaction's gas, in per mille. */
const GAS_ROOM_PER_MILLE = 1_200n;

/** Longest wait for one transaction to be mined, ms. It may still be mined after that. */
const MINED_WAIT_MS = 120_000;

/** How often a transaction that waits is looked for: ever less, since public chains take seconds for a block. */
const POLL_MIN_MS = 50;
const POLL_MAX_MS = 1_000;

/** A chain, and how to pay on it. */
export interface ChainPlace {
  readonly urls: readonly string[];
  readonly chainId: number;
  readonly fees: FeeRules;
  /** Blocks that must stand on a transaction, its own included. */
  readonly confirmations: number;
}

/** A transaction that is confirmed. */
export interface SentTransaction {
  readonly transaction: string;
  readonly block: number;
  readonly gas: number;
}

/**
 * Sends what a person asks for, one call at a time. Everything is tried on the node before it is signed, so a refusal
 * costs nothing and says why. What a gateway sends by itself goes through {@link Submitter}, with its journal.
 */
export class ChainSender {
  readonly provider: ChainProvider;
  readonly #place: ChainPlace;
  readonly #signer: BaseWallet | null;

  /** @param signer null for reading only. */
  constructor(place: ChainPlace, signer: BaseWallet | null) {
    this.#place = place;
    this.provider = new ChainProvider(place.urls, place.chainId);
    this.#signer = signer;
  }

  close(): void {
    this.provider.destroy();
  }

  /** Who signs. @throws WaystoneError CHAIN_KEY_MISSING. */
  get address(): string {
    return this.#needSigner().address;
  }

  /** @throws WaystoneError CHAIN_WRONG, CHAIN_CONTRACT_MISSING. */
  async requireContract(address: string, setting: string): Promise<void> {
    const { chainId } = this.#place;
    await checkChainId(this.provider, chainId);
    if (await hasCode(this.provider, address)) return;
    throw new WaystoneError(
      'CHAIN_CONTRACT_MISSING',
      `there is no contract at ${address} on chain ${chainId}; check chain.network and ${setting}`,
    );
  }

  /**
   * @throws WaystoneError CHAIN_BALANCE_LOW, FORGE_FEE_CEILING, CHAIN_UNCONFIRMED, and the contract's refusal in words.
   */
  async send(call: ContractTransaction): Promise<TransactionReceipt> {
    const signer = this.#needSigner().connect(this.provider);
    const { chainId, fees, confirmations } = this.#place;
    const request = { ...call, from: signer.address, chainId };
    const balance = await this.provider.getBalance(signer.address);
    const checkBalance = (needed: bigint): void => {
      if (balance >= needed) return;
      throw new WaystoneError(
        'CHAIN_BALANCE_LOW',
        `${signer.address} has ${formatEther(balance)} coin, up to ${formatEther(needed)} are needed; send it some`,
      );
    };
    checkBalance(call.value ?? 0n);
    let gas: bigint;
    try {
      await this.provider.call(request);
      gas = ((await this.provider.estimateGas(request)) * GAS_ROOM_PER_MILLE) / 1_000n;
    } catch (error) {
      throw explain(error);
    }
    const offered = chooseFees(await readMarket(this.provider, fees), fees, null);
    checkBalance(gas * offered.maxFeeWei + (call.value ?? 0n));
    const sent = await signer.sendTransaction({
      ...call,
      ...feeFields(offered),
      chainId,
      gasLimit: gas,
    });
    const receipt = await this.#confirmed(sent.hash, confirmations);
    if (receipt.status === 1) return receipt;
    throw new WaystoneError(
      'CHAIN_CALL_REFUSED',
      `transaction ${sent.hash} was mined and refused, though it was tried before: something changed meanwhile; try again`,
    );
  }

  /** Not by the library's own wait: what it asks in between outlives it, and {@link close}. */
  async #confirmed(hash: string, confirmations: number): Promise<TransactionReceipt> {
    const deadlineMs = performance.now() + MINED_WAIT_MS;
    let why = 'no block holds it';
    for (let waitMs = POLL_MIN_MS; ; waitMs = Math.min(waitMs * 2, POLL_MAX_MS)) {
      try {
        const receipt = await this.provider.getTransactionReceipt(hash);
        const head = receipt === null ? 0 : await this.provider.getBlockNumber();
        if (receipt !== null && head - receipt.blockNumber + 1 >= confirmations) return receipt;
        if (receipt !== null) why = `its block needs ${confirmations} blocks, its own included`;
      } catch (error) {
        why = messageOf(error);
      }
      if (performance.now() > deadlineMs) {
        throw new WaystoneError(
          'CHAIN_UNCONFIRMED',
          `transaction ${hash} was sent and is not confirmed: ${why}. It may still be; look at it before you send the same again`,
        );
      }
      await new Promise((resolve) => setTimeout(resolve, waitMs));
    }
  }

  #needSigner(): BaseWallet {
    if (this.#signer !== null) return this.#signer;
    throw new WaystoneError(
      'CHAIN_KEY_MISSING',
      'this needs a key to sign with: give --keystore and --password-file',
    );
  }
}

export const told = ({ hash, blockNumber, gasUsed }: TransactionReceipt): SentTransaction => ({
  transaction: hash,
  block: blockNumber,
  gas: Number(gasUsed),
});
