import type { JsonRpcProvider } from 'ethers';
import type {
  DevicesOnChain,
  ForgeDatasetId,
  ForgeDatasets,
  ForgeKey,
} from '../core/forge-ports.js';
import { isAboutOneDataset } from './about-one-dataset.js';
import type { ChainSetup } from './chain-setup.js';
import { datasetKey } from './dataset-record.js';
import type { ForgeContracts, KeyRecord } from './forge-contracts.js';

/** Calls at a time: a node answers a few at once, not a fleet's. */
const LOOKS_AT_ONCE = 16;

/** How long a record is good, ms. What a revocation means begins a day after it, so that it need not be the newest. */
const RECORD_GOOD_MS = 60_000;

const RECORDS_KEPT = 100_000;

/** A dataset that has no commit under way. */
export interface Candidate extends ForgeDatasetId {
  readonly devices: readonly ForgeKey[];
}

export type Judgement =
  | { readonly kind: 'in order' }
  /** It never goes on chain; what is left of it comes back as another dataset. */
  | { readonly kind: 'withdrawn' }
  /** Not now, since a block that counts is still to come. */
  | { readonly kind: 'waits'; readonly why: string }
  /** It can neither be committed nor withdrawn. */
  | { readonly kind: 'fault'; readonly error: unknown };

export interface BeforeCommitOptions {
  readonly idao: string;
  /**
   * How many blocks, its own included, a registration must have on it: a commit may outlive a registration that a reorg
   * undoes. 0 on the local chain, which has one writer and loses its last blocks only.
   */
  readonly blocks: number;
}

/**
 * Sees to it that a dataset can be committed without a fault: its devices are registered, deep enough, and none of its
 * entries offends. Whatever is on chain already is past that and in order here.
 */
export class BeforeCommit {
  readonly #options: BeforeCommitOptions;
  readonly #setup: ChainSetup;
  readonly #datasets: Pick<ForgeDatasets, 'inspect'>;
  /** Of registered keys: a fleet that waits for blocks is not asked for again at every look. */
  readonly #records = new Map<string, { readonly record: KeyRecord; readonly atMs: number }>();

  constructor(
    options: BeforeCommitOptions,
    setup: ChainSetup,
    datasets: Pick<ForgeDatasets, 'inspect'>,
  ) {
    this.#options = options;
    this.#setup = setup;
    this.#datasets = datasets;
  }

  /** The chain may have gone back. */
  forget(): void {
    this.#records.clear();
  }

  /** @param headBlock the newest block. @returns a judgement for each candidate. */
  async judge(
    provider: JsonRpcProvider,
    contracts: ForgeContracts,
    candidates: readonly Candidate[],
    headBlock: number,
  ): Promise<Judgement[]> {
    const absent = await inParts(candidates, async ({ logId, index }) => {
      const { status } = await contracts.statusOf(datasetKey(this.#options.idao, logId, index));
      return status === 'absent';
    });
    const toJudge = candidates.filter((_, k) => absent[k]);
    const keys = new Map(
      toJudge.flatMap(({ devices }) => devices.map((key) => [key.deviceId, key])),
    );
    const records = await this.#look(contracts, [...keys.keys()]);
    const absentKeys = [...records]
      .filter(([, { standing }]) => standing === 'absent')
      .map(([id]) => id);
    const refused = await this.#register(provider, contracts, toJudge);
    for (const [id, record] of await this.#look(contracts, absentKeys)) records.set(id, record);
    const safeUs = await this.#safeUs(provider, headBlock);

    const judgements: Judgement[] = [];
    for (const [k, candidate] of candidates.entries()) {
      const error = refused.get(candidate);
      if (absent[k] !== true) judgements.push({ kind: 'in order' });
      else if (error !== undefined) judgements.push({ kind: 'fault', error });
      else judgements.push(await this.#judge(candidate, records, safeUs));
    }
    return judgements;
  }

  async #judge(
    candidate: Candidate,
    records: ReadonlyMap<string, KeyRecord>,
    safeUs: number,
  ): Promise<Judgement> {
    const revoked: [string, number][] = [];
    for (const { deviceId } of candidate.devices) {
      const { registeredAtUs, revokedAtUs } = records.get(deviceId) as KeyRecord;
      if (registeredAtUs === null || registeredAtUs > safeUs) {
        const why = `the registration of its devices must have ${this.#options.blocks} blocks on it`;
        return { kind: 'waits', why };
      }
      // Younger than the grace, a revocation changes nothing: one that does is deep.
      if (revokedAtUs !== null) revoked.push([deviceId, revokedAtUs]);
    }
    const against: DevicesOnChain = { revoked: revoked.sort() };
    const { logId, index } = candidate;
    try {
      return { kind: await this.#datasets.inspect({ logId, index }, against) };
    } catch (error) {
      if (isAboutOneDataset(error)) return { kind: 'fault', error };
      throw error;
    }
  }

  /** Registers what is not. @returns the candidates with a key that the registry refuses, and why. */
  async #register(
    provider: JsonRpcProvider,
    contracts: ForgeContracts,
    candidates: readonly Candidate[],
  ): Promise<Map<Candidate, unknown>> {
    const refused = new Map<Candidate, unknown>();
    const ensure = (some: readonly Candidate[]): Promise<void> => {
      const keys = new Map<string, ForgeKey>();
      for (const key of some.flatMap(({ devices }) => devices)) keys.set(key.deviceId, key);
      return this.#setup.ensureDevices(provider, contracts, [...keys.values()]);
    };
    try {
      await ensure(candidates);
      return refused;
    } catch (error) {
      if (!isAboutOneDataset(error)) throw error;
    }
    for (const candidate of candidates) {
      try {
        await ensure([candidate]);
      } catch (error) {
        if (!isAboutOneDataset(error)) throw error;
        refused.set(candidate, error);
      }
    }
    return refused;
  }

  /**
   * Time up to which registrations count for good, µs. A block's time tells whether something lies before it, so that
   * no node need know how the registry was then; what has the very same second may be in a later block.
   */
  async #safeUs(provider: JsonRpcProvider, headBlock: number): Promise<number> {
    const { blocks } = this.#options;
    if (blocks <= 1) return Number.POSITIVE_INFINITY;
    const number = headBlock - blocks + 1;
    const block = number < 0 ? null : await provider.getBlock(number);
    return block === null ? 0 : (block.timestamp - 1) * 1e6;
  }

  async #look(contracts: ForgeContracts, ids: readonly string[]): Promise<Map<string, KeyRecord>> {
    if (this.#records.size >= RECORDS_KEPT) this.#records.clear();
    const nowMs = performance.now();
    const records = await inParts(ids, async (id) => {
      const known = this.#records.get(id);
      if (known !== undefined && nowMs - known.atMs < RECORD_GOOD_MS) return known.record;
      const record = await contracts.keyRecord(id);
      if (record.standing === 'absent') return record;
      this.#records.set(id, { record, atMs: nowMs });
      this.#setup.know(id);
      return record;
    });
    return new Map(records.map((record, k) => [ids[k] as string, record]));
  }
}

/** Asks some at a time, and keeps their order. */
async function inParts<Item, Answer>(
  items: readonly Item[],
  ask: (item: Item) => Promise<Answer>,
): Promise<Answer[]> {
  const answers: Answer[] = [];
  for (let from = 0; from < items.length; from += LOOKS_AT_ONCE) {
    answers.push(...(await Promise.all(items.slice(from, from + LOOKS_AT_ONCE).map(ask))));
  }
  return answers;
}
