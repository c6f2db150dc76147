import { type BaseWallet, isError, type JsonRpcProvider } from 'ethers';
import { Challenges__factory, DatasetForge__factory } from '../contracts/types/index.js';
import { messageOf } from '../core/errors.js';
import type { ForgeDatasets, ForgeJournal, Intent } from '../core/forge-ports.js';
import type { Logger } from '../core/logger.js';
import { hasCode, readRevert } from './chain-client.js';
import { datasetKey, readPayload } from './dataset-record.js';
import { CallRefused, type Submitter } from './submitter.js';
import { settleUnneeded } from './tidy.js';

/** Questions are looked for this often in the time that there is for an answer, and at least every ten minutes. */
const LOOKS_PER_RESPONSE = 1_000;
const LOOK_EVERY_MS_MAX = 600_000;

/** Blocks whose log is asked for at once: nodes of public networks search no more. */
const BLOCKS_AT_ONCE = 5_000;

const PURPOSE = 'setup';

export interface AnswererOptions {
  readonly chainId: number;
  readonly datasetForge: string;
}

export interface AnswererDeps {
  readonly journal: ForgeJournal;
  readonly submitter: Submitter;
  readonly operator: BaseWallet;
  readonly datasets: Pick<ForgeDatasets, 'entry'>;
  readonly log: Logger;
}

interface Contracts {
  /** Where entries are asked for and shown; null on a chain of an earlier release. */
  readonly challenges: string | null;
  readonly lookEveryMs: number;
}

/**
 * Shows entries that someone asks for while a dataset's window is open. Whoever does not show them in time loses the
 * dataset and a slice of the bond, so this goes on while forging is paused. Each answer has an intent in the journal:
 * it is taken up after a crash, and given once.
 */
export class Answerer {
  readonly #options: AnswererOptions;
  readonly #deps: AnswererDeps;
  #contracts: Contracts | null = null;
  #lookedAtMs = Number.NEGATIVE_INFINITY;
  /** What stood in the way of an answer, by the dataset's intent. */
  #troubles = new Map<string, string>();

  constructor(options: AnswererOptions, deps: AnswererDeps) {
    this.#options = options;
    this.#deps = deps;
  }

  /**
   * Answers what is asked of datasets that may be on chain and have no token yet.
   *
   * @returns why a question cannot be answered, by key of the dataset's intent.
   */
  async answer(
    provider: JsonRpcProvider,
    intents: readonly Intent[],
  ): Promise<ReadonlyMap<string, string>> {
    if (intents.length === 0) return new Map();
    this.#contracts ??= await this.#look(provider);
    const { challenges, lookEveryMs } = this.#contracts;
    if (challenges === null || performance.now() - this.#lookedAtMs < lookEveryMs) {
      return this.#troubles;
    }
    const forge = DatasetForge__factory.connect(this.#options.datasetForge, provider);
    const troubles = new Map<string, string>();
    for (const intent of intents) {
      const { record } = readPayload(intent.payload);
      const key = datasetKey(record.idao, record.logId, record.index);
      const holds = Number(await forge.holdsOf(key));
      if (holds === 0) continue;
      for (const index of await this.#openQuestions(provider, challenges, { key, holds })) {
        try {
          await this.#show(provider, challenges, intent, index);
          this.#deps.log.warn(
            { key, entry: index },
            'an entry was asked for, and is shown on chain',
          );
        } catch (error) {
          const why = `entry ${index} is asked for on chain and cannot be shown: ${messageOf(error)}; until it is, the bond is in danger`;
          troubles.set(intent.key, why);
          this.#deps.log.error({ key, entry: index, error: messageOf(error) }, why);
        }
      }
    }
    this.#troubles = troubles;
    // What could not be shown is tried again with the next pass.
    if (troubles.size === 0) this.#lookedAtMs = performance.now();
    return troubles;
  }

  /** The node may be another one, or its chain have gone back. */
  forget(): void {
    this.#lookedAtMs = Number.NEGATIVE_INFINITY;
  }

  async #look(provider: JsonRpcProvider): Promise<Contracts> {
    const forge = DatasetForge__factory.connect(this.#options.datasetForge, provider);
    const none = { challenges: null, lookEveryMs: 0 };
    const challenges = await forge.challenges().catch((error) => {
      if (readRevert(error) === null && !isError(error, 'BAD_DATA')) throw error;
      return null;
    });
    if (challenges === null || !(await hasCode(provider, challenges))) return none;
    const seconds = Number(await forge.responseSeconds());
    const lookEveryMs = Math.min((seconds * 1_000) / LOOKS_PER_RESPONSE, LOOK_EVERY_MS_MAX);
    return { challenges, lookEveryMs };
  }

  /** Indexes that are asked for and not settled, found from the newest block back. */
  async #openQuestions(
    provider: JsonRpcProvider,
    address: string,
    { key, holds }: { key: string; holds: number },
  ): Promise<number[]> {
    const challenges = Challenges__factory.connect(address, provider);
    const open: number[] = [];
    for (let last = await provider.getBlockNumber(); last >= 0; last -= BLOCKS_AT_ONCE) {
      const first = Math.max(0, last - BLOCKS_AT_ONCE + 1);
      const asked = await challenges.queryFilter(
        challenges.filters.EntryAskedFor(key),
        first,
        last,
      );
      for (const { args } of asked) {
        const [, , isClosed] = await challenges.questionOf(key, args.index);
        if (!isClosed) open.push(Number(args.index));
      }
      if (open.length >= holds) break;
    }
    return open;
  }

  async #show(
    provider: JsonRpcProvider,
    challenges: string,
    intent: Intent,
    index: number,
  ): Promise<void> {
    const { journal, submitter, operator, datasets } = this.#deps;
    const { chainId } = this.#options;
    const { record } = readPayload(intent.payload);
    const { entry, path } = await datasets.entry(record.root.slice(2), index);
    const proof = { entry: `0x${entry}`, index, path: path.map((hash) => `0x${hash}`) };
    const data = Challenges__factory.createInterface().encodeFunctionData('showEntry', [
      record,
      proof,
    ]);
    const call = { to: challenges, data };
    const intentKey = `answer:${intent.key}:${index}`;
    await journal.addIntent({
      ...{ key: intentKey, chainId, kind: 'setup', logId: null, index: null },
      payload: JSON.stringify({ from: operator.address, ...call }),
    });
    try {
      const sent = { intentKey, purpose: PURPOSE, ...call };
      const { hash, block } = await submitter.submit(provider, operator, sent);
      await journal.progress(intentKey, {
        ...{ state: 'finalised', transaction: hash },
        ...{ blockNumber: block.number, blockHash: block.hash },
      });
    } catch (error) {
      // Someone else was faster.
      if (!(error instanceof CallRefused && error.revert === 'NotAskedFor')) throw error;
      await settleUnneeded(provider, journal, submitter, { key: intentKey });
    }
  }
}
