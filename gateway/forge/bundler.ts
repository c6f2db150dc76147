import type { BaseWallet, JsonRpcProvider } from 'ethers';
import { id } from 'ethers';
import { DatasetForge__factory } from '../contracts/types/index.js';
import { WaystoneError } from '../core/errors.js';
import type { ForgeJournal, Intent } from '../core/forge-ports.js';
import type { Logger } from '../core/logger.js';
import type { DatasetPayload } from './dataset-record.js';
import { CallRefused, estimateGas, type Mined, type Submitter } from './submitter.js';
import { settleUnneeded } from './tidy.js';

const INTERFACE = DatasetForge__factory.createInterface();

/** A bundle takes at most this part of a block, in percent, so that it does not wait for an empty one. */
const BLOCK_PERCENT = 50n;

export type BundlePurpose = 'commit' | 'finalise';

export interface BundleItem {
  readonly intent: Intent;
  readonly payload: DatasetPayload;
}

export interface BundlerOptions {
  readonly chainId: number;
  readonly datasetForge: string;
  /** Datasets in one transaction; below 2 nothing is bundled. */
  readonly datasetsMax: number;
  /** Gas that one bundle may take. */
  readonly gasMax: number;
}

export interface BundlerDeps {
  readonly journal: ForgeJournal;
  readonly submitter: Submitter;
  readonly operator: BaseWallet;
  readonly log: Logger;
}

/**
 * Commits and finalises many datasets in one transaction, which costs each of them about half. It only speeds things up:
 * whatever it leaves undone is done for each dataset alone, and the contract passes over what is done already. A bundle
 * that is refused is halved until those are left alone that are refused for a reason of their own.
 *
 * A bundle has an intent of its own in the journal, so that its transaction is taken up after a crash.
 */
export class Bundler {
  readonly #options: BundlerOptions;
  readonly #deps: BundlerDeps;
  /** Where datasets were done: by purpose and intent. */
  readonly #minedIn = new Map<string, Mined>();

  constructor(options: BundlerOptions, deps: BundlerDeps) {
    this.#options = options;
    this.#deps = deps;
  }

  /** The bundle that did this for the dataset, as far as it is remembered. */
  minedIn(purpose: BundlePurpose, intentKey: string): Mined | null {
    return this.#minedIn.get(`${purpose} ${intentKey}`) ?? null;
  }

  /** The dataset is confirmed. */
  forget(intentKey: string): void {
    for (const purpose of ['commit', 'finalise']) this.#minedIn.delete(`${purpose} ${intentKey}`);
  }

  /** The chain may have gone back. */
  forgetAll(): void {
    this.#minedIn.clear();
  }

  /** Takes up the bundles that an earlier run left behind, before anything new is sent. */
  async resume(provider: JsonRpcProvider): Promise<void> {
    const { journal, submitter, operator } = this.#deps;
    const prefix = `bundle:${this.#options.chainId}:`;
    for (const intent of await journal.openIntents(this.#options.chainId, 'setup')) {
      if (!intent.key.startsWith(prefix)) continue;
      const { purpose, members, to, data } = readBundle(intent.payload);
      if (intent.state === 'intent') {
        if ((await journal.liveTransaction(intent.key, purpose)) === null) {
          await this.#close(provider, intent.key);
          continue;
        }
        try {
          const mined = await submitter.submit(provider, operator, {
            ...{ intentKey: intent.key, purpose, to, data },
          });
          await this.#note(intent.key, purpose, members, mined);
        } catch (error) {
          if (!isOver(error)) throw error;
          await this.#close(provider, intent.key);
        }
      } else if (intent.transaction !== null && intent.blockHash !== null) {
        const block = { number: intent.blockNumber ?? 0, hash: intent.blockHash };
        this.#remember(purpose, members, { hash: intent.transaction, block });
      }
    }
  }

  /** Does one step for all `items`, in their order; those that cannot be bundled are left as they are. */
  async run(
    provider: JsonRpcProvider,
    purpose: BundlePurpose,
    items: readonly BundleItem[],
    signal: AbortSignal,
  ): Promise<void> {
    const { datasetsMax } = this.#options;
    if (datasetsMax < 2 || items.length < 2) return;
    const gasMax = await this.#gasMax(provider);
    const parts: (readonly BundleItem[])[] = [];
    for (let from = 0; from < items.length; from += datasetsMax) {
      parts.push(items.slice(from, from + datasetsMax));
    }
    for (let part = parts.shift(); part !== undefined; part = parts.shift()) {
      // One alone has a call of its own, which is cheaper, and errors of its own.
      if (part.length < 2 || signal.aborted) continue;
      if (await this.#try(provider, purpose, part, gasMax)) continue;
      const middle = part.length >> 1;
      parts.unshift(part.slice(0, middle), part.slice(middle));
    }
  }

  /** @returns whether the bundle was mined; false when it must be smaller. */
  async #try(
    provider: JsonRpcProvider,
    purpose: BundlePurpose,
    items: readonly BundleItem[],
    gasMax: bigint,
  ): Promise<boolean> {
    const { journal, submitter, operator, log } = this.#deps;
    const { chainId, datasetForge } = this.#options;
    const members = items.map(({ intent }) => intent.key);
    const intentKey = `bundle:${chainId}:${purpose}:${id(members.join())}`;
    const call = { intentKey, purpose, to: datasetForge, data: encode(purpose, items) };
    try {
      const gas = await estimateGas(provider, operator.address, call);
      if (gas > gasMax) return false;
      await journal.addIntent({
        key: intentKey,
        chainId,
        kind: 'setup',
        logId: null,
        index: null,
        payload: JSON.stringify({ purpose, members, to: call.to, data: call.data }),
      });
      const mined = await submitter.submit(provider, operator, call);
      await this.#note(intentKey, purpose, members, mined);
      return true;
    } catch (error) {
      if (!isOver(error)) throw error;
      log.warn({ datasets: items.length, error: error.message }, `a bundle to ${purpose} is split`);
      if ((await journal.intent(intentKey)) !== null) await this.#close(provider, intentKey);
      return false;
    }
  }

  async #note(
    intentKey: string,
    purpose: BundlePurpose,
    members: readonly string[],
    mined: Mined,
  ): Promise<void> {
    const { hash, block } = mined;
    await this.#deps.journal.progress(intentKey, {
      state: 'finalised',
      transaction: hash,
      blockNumber: block.number,
      blockHash: block.hash,
    });
    this.#remember(purpose, members, mined);
  }

  #remember(purpose: BundlePurpose, members: readonly string[], mined: Mined): void {
    for (const member of members) this.#minedIn.set(`${purpose} ${member}`, mined);
  }

  /** A bundle that came to nothing: its datasets go on without it. */
  async #close(provider: JsonRpcProvider, key: string): Promise<void> {
    const { journal, submitter } = this.#deps;
    await settleUnneeded(provider, journal, submitter, { key });
  }

  async #gasMax(provider: JsonRpcProvider): Promise<bigint> {
    const block = await provider.getBlock('latest');
    const ofBlock = ((block?.gasLimit ?? 0n) * BLOCK_PERCENT) / 100n;
    const own = BigInt(this.#options.gasMax);
    return ofBlock > 0n && ofBlock < own ? ofBlock : own;
  }
}

function encode(purpose: BundlePurpose, items: readonly BundleItem[]): string {
  const records = items.map(({ payload }) => payload.record);
  if (purpose === 'commit') return INTERFACE.encodeFunctionData('commitMany', [records]);
  const params = items.map(({ payload }) => payload.params);
  return INTERFACE.encodeFunctionData('finaliseMany', [records, params]);
}

function readBundle(payload: string): {
  purpose: BundlePurpose;
  members: readonly string[];
  to: string;
  data: string;
} {
  return JSON.parse(payload);
}

/** The bundle is refused, or its transaction gone: nothing more comes of it as it is. */
function isOver(error: unknown): error is WaystoneError {
  if (error instanceof CallRefused) return true;
  return error instanceof WaystoneError && error.code === 'FORGE_LOST';
}
