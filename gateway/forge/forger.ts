import type { BaseWallet, JsonRpcProvider } from 'ethers';
import { crashPoint } from '../core/crash-point.js';
import { messageOf, WaystoneError } from '../core/errors.js';
import {
  type ChainBlock,
  type ForgeDataset,
  type ForgeDatasetId,
  type ForgeDatasets,
  type ForgeJournal,
  type ForgeKey,
  type ForgeStatus,
  type Intent,
  isLazaiKey,
} from '../core/forge-ports.js';
import type { Logger } from '../core/logger.js';
import { isAboutOneDataset } from './about-one-dataset.js';
import type { ContractAddresses } from './addresses.js';
import { Answerer } from './answerer.js';
import { BeforeCommit } from './before-commit.js';
import { type BundleItem, Bundler } from './bundler.js';
import { ChainProvider, type ChainProviderOptions } from './chain-provider.js';
import { ChainSetup } from './chain-setup.js';
import type { ForgeCrashPoint } from './crash-points.js';
import { datMetadata } from './dat-metadata.js';
import {
  type DatTerms,
  datasetKey,
  datasetRecord,
  datParams,
  readPayload,
  recordHash,
  writePayload,
} from './dataset-record.js';
import { ForgeContracts } from './forge-contracts.js';
import {
  ForgeLoop,
  type ForgeLoopOptions,
  PAUSED,
  type PassResult,
  waitsForOf,
} from './forge-loop.js';
import { bindGenesis, boundGenesis } from './genesis.js';
import { type Finding, firstObstacle } from './preflight.js';
import { RewindWatch } from './rewind.js';
import { CallRefused, Submitter, type SubmitterOptions } from './submitter.js';
import { tidySetups } from './tidy.js';
import { isUnreachable } from './unreachable.js';

/** Datasets forged before their blocks are confirmed together; as many as a bundle takes, if that is more. */
const DATASETS_PER_PASS = 16;

/** Findings of the preflight that forbid new datasets only: what is on chain has to be answered for and finished. */
const FORBIDS_NEW = ['FORGE_BOND_LOW', 'PUBLISH_URL_MISSING', 'PUBLISH_URL_LOCAL'];

/** How long a block of ours may be missing from a chain before the chain counts as set back. */
const RESTORED_AFTER_MS = 600_000;

/** How often the chain is looked at while something of ours waits for blocks upon it, ms. */
const DEPTH_LOOK_MS = 3_000;

/** How often an intent is judged again while its commit has to wait, ms. */
const JUDGED_AGAIN_MS = 600_000;

/** When a block counts for good. */
export type Confirmation =
  /** Once the chain's own state is on disk: the local chain, which forgets what it has not dumped. */
  | { readonly kind: 'durable' }
  /** Once so many blocks, its own included, stand on it. */
  | { readonly kind: 'depth'; readonly blocks: number };

export interface ForgerOptions extends ForgeLoopOptions {
  readonly chainId: number;
  readonly contracts: ContractAddresses;
  readonly idao: string;
  /** Only used where the iDAO is created by the gateway. */
  readonly idaoSalt: string;
  readonly idaoName: string;
  readonly idaoDescription: string;
  /** As {@link ChainSetupOptions.metadataBase}; default "". */
  readonly metadataBase?: string;
  /** As {@link ChainSetupOptions.sign}; default null. */
  readonly sign?: (message: Uint8Array) => Uint8Array;
  readonly gateway: ForgeKey;
  readonly terms: DatTerms;
  readonly confirmation: Confirmation;
  readonly rpc?: ChainProviderOptions;
  /** Fees, resending and patience; default is what suits the local chain. */
  readonly submit?: Omit<SubmitterOptions, 'chainId'>;
  /** Datasets and gas of one transaction; default is one dataset each. */
  readonly bundle?: { readonly datasetsMax: number; readonly gasMax: number };
  /**
   * Block 0 that the chain must have; "" is the one that was there first. Undefined for the local chain, which may begin
   * anew.
   */
  readonly genesisHash?: string;
  /** How long a block of ours may be missing before the chain counts as set back; default 10 min, local chain 0. */
  readonly restoredAfterMs?: number;
}

/** The chain's node: the local chain, or the URL of another. */
export interface ChainAccess {
  /** @throws while the node is down. */
  readonly url: string;
  /** All nodes of the chain, if there are more; `url` is the first. */
  readonly urls?: readonly string[];
  /** Makes the chain's state durable; resolves with a block that is. Only for {@link Confirmation} `durable`. */
  persist?(): Promise<number>;
}

export interface ForgerDeps {
  readonly journal: ForgeJournal;
  readonly datasets: Omit<ForgeDatasets, 'entriesHash'>;
  readonly chain: ChainAccess;
  readonly operator: BaseWallet;
  readonly owner: BaseWallet | null;
  readonly log: Logger;
  /** Asked on each new connection, before anything is sent. */
  readonly preflight?: (provider: ChainProvider) => Promise<Finding[]>;
  /** Whether new datasets are held back; never by default. */
  readonly isPaused?: () => boolean;
  /** For tests. */
  readonly crashPoint?: (name: ForgeCrashPoint) => void;
}

/** A dataset that cannot go on now, though nothing is wrong with the chain. */
class NotYet extends Error {
  readonly untilUs: number;

  constructor(message: string, untilUs: number) {
    super(message);
    this.untilUs = untilUs;
  }
}

function windowOpen(untilUs: number): NotYet {
  return new NotYet(`its window is open until ${new Date(untilUs / 1000).toISOString()}`, untilUs);
}

/**
 * Forges sealed datasets in log order: intent, commit, finalise, confirm. Everything is journalled before it is
 * visible outside, and each step begins by asking the chain what is there, so recovery after a crash is the normal
 * path. It never throws out of its loop: an unreachable chain leaves the rest of the gateway untouched.
 */
export class Forger {
  readonly #options: ForgerOptions;
  readonly #deps: ForgerDeps;
  readonly #crash: (name: ForgeCrashPoint) => void;
  readonly #loop: ForgeLoop;
  readonly #submitter: Submitter;
  readonly #setup: ChainSetup;
  readonly #bundler: Bundler;
  readonly #answerer: Answerer;
  readonly #rewinds: RewindWatch;
  readonly #beforeCommit: BeforeCommit;
  readonly #perPass: number;
  /** When intents without a commit were last found in order, ms. */
  readonly #judgedAtMs = new Map<string, number>();
  /** Datasets that the last look could neither intend nor withdraw: they stay ready, and must hide no others. */
  #stuck = 0;
  #connection: { urls: string; provider: ChainProvider } | null = null;
  #isPreflightDone = false;
  #windowSeconds: number | null = null;
  /** Why no new dataset may go on chain, from the preflight. */
  #forbidsNew: WaystoneError | null = null;
  #headBlock: number | null = null;
  #waiting = new Map<string, ForgeStatus['datasets'][number]>();

  constructor(options: ForgerOptions, deps: ForgerDeps) {
    if (options.confirmation.kind === 'durable' && deps.chain.persist === undefined) {
      throw new TypeError('confirmation durable needs a chain that can persist');
    }
    this.#options = options;
    this.#deps = deps;
    this.#crash = deps.crashPoint ?? crashPoint;
    this.#loop = new ForgeLoop(
      options,
      {
        pass: () => this.pass(),
        failed: () => this.#setup.forget(),
        waitsFor: () => waitsForOf(this.#isPaused, this.#waiting.values()),
        retryAfterMs: () => this.#connection?.provider.retryAfterMs ?? 0,
      },
      deps.log,
    );
    this.#submitter = new Submitter(
      { ...options.submit, chainId: options.chainId },
      {
        journal: deps.journal,
        log: deps.log,
        signal: this.#loop.signal,
        onStep: ({ purpose }, step) => {
          if (purpose === 'commit' || purpose === 'finalise')
            this.#crash(`forge:${purpose}-${step}`);
        },
      },
    );
    this.#setup = new ChainSetup(
      { ...options, metadataBase: options.metadataBase ?? '', sign: options.sign ?? null },
      {
        journal: deps.journal,
        submitter: this.#submitter,
        proofs: (deviceIds) => deps.datasets.proofs(deviceIds),
        log: deps.log,
        operator: deps.operator,
        owner: deps.owner,
      },
    );
    const { chainId, contracts, confirmation, bundle = { datasetsMax: 1, gasMax: 0 } } = options;
    const blocks = confirmation.kind === 'depth' ? confirmation.blocks : 0;
    this.#beforeCommit = new BeforeCommit(
      { idao: options.idao, blocks },
      this.#setup,
      deps.datasets,
    );
    this.#bundler = new Bundler(
      { chainId, datasetForge: contracts.datasetForge, ...bundle },
      {
        journal: deps.journal,
        submitter: this.#submitter,
        operator: deps.operator,
        log: deps.log,
      },
    );
    this.#answerer = new Answerer(
      { chainId, datasetForge: contracts.datasetForge },
      {
        ...{ journal: deps.journal, submitter: this.#submitter, operator: deps.operator },
        ...{ datasets: deps.datasets, log: deps.log },
      },
    );
    const patienceMs = confirmation.kind === 'durable' ? 0 : RESTORED_AFTER_MS;
    this.#rewinds = new RewindWatch(deps.journal, chainId, options.restoredAfterMs ?? patienceMs);
    this.#perPass = Math.max(DATASETS_PER_PASS, bundle.datasetsMax);
  }

  start(): void {
    this.#loop.start();
  }

  /** A dataset was sealed. */
  nudge(): void {
    this.#loop.nudge();
  }

  /** Tries again now, whatever the wait was. */
  retry(): void {
    this.#forgetJudgements();
    this.#loop.retry();
  }

  /** Ends after the step under way; what was minted is confirmed if the chain allows. */
  async stop(): Promise<void> {
    await this.#loop.stop();
    this.#disconnect();
  }

  status(): ForgeStatus {
    return {
      ...this.#loop.status(),
      headBlock: this.#headBlock,
      datasets: [...this.#waiting.values()],
    };
  }

  /** One look at the work: settle, set up, forge, confirm. Throws on the first thing that stops it. */
  async pass(): Promise<PassResult> {
    const { journal, datasets, log } = this.#deps;
    const { chainId } = this.#options;
    const provider = await this.#connect();
    const contracts = new ForgeContracts(provider, this.#options.contracts, this.#options.idao);
    const reopened = await this.#rewinds.heal(provider);
    if (reopened !== null) {
      this.#setup.forget();
      this.#bundler.forgetAll();
      this.#answerer.forget();
      this.#forgetJudgements();
      log.warn({ datasets: reopened }, 'the chain went back; forging again what it lost');
    }
    await this.#submitter.settlePending(provider);
    await this.#bundler.resume(provider);

    // What LazAI's own contracts were to forge is not ours to read.
    const intents = (await journal.openIntents(chainId, 'dataset')).filter(
      ({ key }) => !isLazaiKey(key),
    );
    const open = new Map(intents.map((intent) => [intent.key, intent]));
    let failure: unknown = null;
    // Those that wait for their time stay ready; so many more are asked for that they hide no others.
    const holdsBack = this.#isPaused ? PAUSED : (this.#forbidsNew?.message ?? null);
    const ready =
      holdsBack !== null ? [] : await datasets.ready(intents.length + this.#stuck + this.#perPass);
    const fresh: ForgeDataset[] = [];
    for (const dataset of ready) {
      try {
        if ((await journal.intent(this.#intentKey(dataset))) === null) {
          fresh.push(dataset);
          continue;
        }
        const intent = await this.#intend(provider, dataset);
        // Confirmed before a crash, but not reported: only the report is left.
        if (intent.state === 'confirmed') await this.#report(contracts, intent);
        else open.set(intent.key, intent);
      } catch (error) {
        if (!isAboutOneDataset(error)) throw error;
        failure ??= error;
        // Neither what was intended nor what is there now goes on chain until someone has looked.
        open.delete(this.#intentKey(dataset));
      }
    }
    this.#waiting = new Map();
    for (const intent of open.values()) {
      // What was sent before is finished all the same.
      const isHeld =
        holdsBack !== null && intent.state === 'intent' && !(await this.#isBegun(intent));
      if (isHeld) open.delete(intent.key);
      this.#note(intent, isHeld ? (holdsBack ?? '') : '');
    }
    for (const dataset of fresh) this.#noteFresh(dataset, '');
    // Before anything else: an answer that is late costs the bond, whatever else stands in the way.
    const troubles = await this.#answerer.answer(
      provider,
      intents.filter(({ state }) => state !== 'finalised'),
    );
    const inspected = await this.#inspect(provider, contracts, { fresh, open });
    failure ??= inspected.failure;
    if (open.size === 0) {
      // Setting up needs no dataset, so that the first one finds everything ready.
      if (holdsBack === null) await this.#setup.ensure(provider, contracts);
      await tidySetups(provider, journal, this.#submitter, chainId);
      await this.#submitter.explain(provider);
      await this.#confirm(provider, contracts, []);
      failure ??= this.#isPaused ? null : this.#forbidsNew;
      if (failure !== null) throw failure;
      return { more: inspected.withdrawn > 0, wakeInMs: inspected.wakeInMs };
    }

    await this.#setup.ensure(provider, contracts);
    const ordered = inLogOrder([...open.values()]);
    const untilByKey = await this.#bundle(provider, contracts, ordered);
    const finalised: Intent[] = [];
    let wakeAtUs: number | null = null;
    let forged = 0;
    for (const intent of ordered) {
      if (this.#loop.signal.aborted || forged === this.#perPass) break;
      // That its block is still there was just looked at, or is when it is confirmed.
      if (intent.state === 'finalised') {
        finalised.push(intent);
        this.#note(intent, 'waits until its block is safe');
        continue;
      }
      try {
        const untilUs = untilByKey.get(intent.key);
        // It goes on with those that were committed with it, not alone because its time came first.
        if (untilUs !== undefined) throw windowOpen(untilUs);
        finalised.push(await this.#forge(provider, contracts, intent));
        forged++;
        this.#note(intent, 'waits until its block is safe');
      } catch (error) {
        this.#note(intent, troubles.get(intent.key) ?? messageOf(error));
        if (error instanceof NotYet) {
          wakeAtUs = Math.min(error.untilUs, wakeAtUs ?? error.untilUs);
          continue;
        }
        await journal.noteError(intent.key, messageOf(error));
        // An alarm about one dataset does not hold up the others; anything else may concern them all.
        failure ??= error;
        if (!isAboutOneDataset(error)) break;
        log.error({ ...idOf(intent), error: messageOf(error) }, 'a dataset cannot be forged');
      }
    }
    const confirmed = await this.#confirm(provider, contracts, finalised);
    failure ??= this.#isPaused ? null : this.#forbidsNew;
    if (failure !== null) throw failure;
    let wakeInMs = wakeAtUs === null ? null : (wakeAtUs - (await chainTimeUs(provider))) / 1000;
    if (confirmed < finalised.length || inspected.wakeInMs !== null) {
      wakeInMs = Math.min(wakeInMs ?? DEPTH_LOOK_MS, DEPTH_LOOK_MS);
    }
    const more = (forged === this.#perPass && confirmed > 0) || inspected.withdrawn > 0;
    return { more, wakeInMs };
  }

  /**
   * Judges what may be committed next. What is in order has its intent in `open` afterwards; what is not, is no longer
   * there.
   */
  async #inspect(
    provider: ChainProvider,
    contracts: ForgeContracts,
    { fresh, open }: { fresh: readonly ForgeDataset[]; open: Map<string, Intent> },
  ): Promise<{ withdrawn: number; wakeInMs: number | null; failure: unknown }> {
    const result = { withdrawn: 0, wakeInMs: null as number | null, failure: null as unknown };
    const unbegun: Intent[] = [];
    for (const key of this.#judgedAtMs.keys()) if (!open.has(key)) this.#judgedAtMs.delete(key);
    const nowMs = performance.now();
    for (const intent of open.values()) {
      const judgedAtMs = this.#judgedAtMs.get(intent.key) ?? Number.NEGATIVE_INFINITY;
      if (intent.state !== 'intent' || nowMs - judgedAtMs < JUDGED_AGAIN_MS) continue;
      if (await this.#isFree(intent, 'commit')) unbegun.push(intent);
    }
    const candidates = [
      ...fresh,
      ...unbegun.map((intent) => ({
        ...idOf(intent),
        devices: readPayload(intent.payload).devices,
      })),
    ];
    this.#stuck = 0;
    if (candidates.length === 0) return result;
    await this.#setup.ensure(provider, contracts);
    const head = provider.head?.number ?? 0;
    const judgements = await this.#beforeCommit.judge(provider, contracts, candidates, head);
    for (const [k, judgement] of judgements.entries()) {
      const dataset = fresh[k];
      const key = this.#intentKey(candidates[k] as ForgeDatasetId);
      let error: unknown = null;
      try {
        if (judgement.kind === 'fault') throw judgement.error;
        if (judgement.kind === 'in order') {
          if (dataset !== undefined) open.set(key, await this.#intend(provider, dataset));
          this.#judgedAtMs.set(key, nowMs);
          continue;
        }
      } catch (caught) {
        if (!isAboutOneDataset(caught)) throw caught;
        error = caught;
      }
      open.delete(key);
      if (judgement.kind !== 'withdrawn') this.#stuck += 1;
      if (judgement.kind === 'withdrawn') {
        result.withdrawn += 1;
        this.#waiting.delete(key);
      } else if (judgement.kind === 'waits') {
        result.wakeInMs = DEPTH_LOOK_MS;
        this.#noteFresh(candidates[k] as ForgeDatasetId, judgement.why);
      } else {
        result.failure ??= error;
        this.#noteFresh(candidates[k] as ForgeDatasetId, messageOf(error));
        const facts = { logId: candidates[k]?.logId, index: candidates[k]?.index };
        this.#deps.log.error({ ...facts, error: messageOf(error) }, 'a dataset cannot be forged');
      }
    }
    return result;
  }

  /**
   * Commits and finalises together what can be. What is left over, and every error, is for {@link #forge}.
   *
   * @returns those whose window is open, with its end, µs: they are finalised together once it is over.
   */
  async #bundle(
    provider: JsonRpcProvider,
    contracts: ForgeContracts,
    intents: readonly Intent[],
  ): Promise<Map<string, number>> {
    const waiting = new Map<string, number>();
    if ((this.#options.bundle?.datasetsMax ?? 1) < 2 || intents.length < 2) return waiting;
    const { signal } = this.#loop;
    const nowUs = await chainTimeUs(provider);
    const absent: BundleItem[] = [];
    const committed: BundleItem[] = [];
    this.#windowSeconds ??= await contracts.windowSeconds();
    const isOver = ({ key }: Intent, committedAt: number, timeUs: number): boolean => {
      const untilUs = (committedAt + (this.#windowSeconds ?? 0)) * 1e6;
      if (untilUs > timeUs) waiting.set(key, untilUs);
      return untilUs <= timeUs;
    };
    for (const intent of intents) {
      if (signal.aborted || absent.length + committed.length === this.#perPass) break;
      if (intent.state === 'finalised') continue;
      const item = { intent, payload: readPayload(intent.payload) };
      const { record } = item.payload;
      if (record.maxTime > nowUs) continue;
      const status = await contracts.statusOf(datasetKey(record.idao, record.logId, record.index));
      if (status.status === 'absent' && (await this.#isFree(intent, 'commit'))) absent.push(item);
      else if (
        status.status === 'committed' &&
        status.recordHash === recordHash(record) &&
        isOver(intent, status.committedAt, nowUs) &&
        (await this.#isFree(intent, 'finalise'))
      ) {
        committed.push(item);
      }
    }
    const ready = await this.#withDevices(provider, contracts, absent);
    await this.#bundler.run(provider, 'commit', ready, signal);
    const laterUs = await chainTimeUs(provider);
    for (const item of ready) {
      const { record } = item.payload;
      const status = await contracts.statusOf(datasetKey(record.idao, record.logId, record.index));
      if (status.status === 'committed' && isOver(item.intent, status.committedAt, laterUs)) {
        committed.push(item);
      }
    }
    await this.#bundler.run(provider, 'finalise', committed, signal);
    return waiting;
  }

  /** Whether a step of a dataset is under way alone, or was done by a bundle that this node does not know of yet. */
  async #isFree(intent: Intent, purpose: 'commit' | 'finalise'): Promise<boolean> {
    if (this.#bundler.minedIn(purpose, intent.key) !== null) return false;
    return (await this.#deps.journal.liveTransaction(intent.key, purpose)) === null;
  }

  /** Those whose devices are registered now; one whose device is another's is left for {@link #forge} to complain of. */
  async #withDevices(
    provider: JsonRpcProvider,
    contracts: ForgeContracts,
    items: readonly BundleItem[],
  ): Promise<BundleItem[]> {
    const ensure = (some: readonly BundleItem[]): Promise<void> => {
      const keys = new Map<string, ForgeKey>();
      for (const { payload } of some) {
        for (const key of payload.devices) keys.set(key.deviceId, key);
      }
      return this.#setup.ensureDevices(provider, contracts, [...keys.values()]);
    };
    try {
      await ensure(items);
      return [...items];
    } catch (error) {
      if (!isAboutOneDataset(error)) throw error;
    }
    const able: BundleItem[] = [];
    for (const item of items) {
      try {
        await ensure([item]);
        able.push(item);
      } catch (error) {
        if (!isAboutOneDataset(error)) throw error;
      }
    }
    return able;
  }

  /** Whether a transaction for it may be on chain. */
  async #isBegun({ key }: Intent): Promise<boolean> {
    return (await this.#deps.journal.liveTransaction(key, 'commit')) !== null;
  }

  get #isPaused(): boolean {
    return this.#deps.isPaused?.() ?? false;
  }

  #intentKey({ logId, index }: ForgeDatasetId): string {
    const { chainId, idao } = this.#options;
    return `dataset:${chainId}:${datasetKey(idao, logId, index)}`;
  }

  /** The dataset's intent, written if it is new. Its record never changes after that. */
  async #intend(provider: JsonRpcProvider, dataset: ForgeDataset): Promise<Intent> {
    const { journal } = this.#deps;
    const { chainId, idao, gateway, terms } = this.#options;
    const key = this.#intentKey(dataset);
    const record = datasetRecord(dataset, idao, gateway.deviceId);
    const known = await journal.intent(key);
    if (known !== null) {
      const written = readPayload(known.payload).record;
      // Where the entries are published may have moved since; the intent keeps its first answer.
      if (recordHash(written) === recordHash({ ...record, url: written.url })) return known;
      // Written again as it is now: the journal refuses, and says so.
    }
    await this.#deps.datasets.publish(dataset.root);
    // By the chain's time, which judges expiry; our own clock may be wrong, and an intent never changes.
    const params = datParams(terms, await chainTimeUs(provider));
    const intent = await journal.addIntent({
      key,
      chainId,
      kind: 'dataset',
      logId: dataset.logId,
      index: dataset.index,
      payload: writePayload({ record, params, devices: dataset.devices }),
    });
    this.#crash('forge:intent');
    return intent;
  }

  /** Brings a dataset to its token, from wherever it stands. @returns its intent, finalised. */
  async #forge(
    provider: JsonRpcProvider,
    contracts: ForgeContracts,
    intent: Intent,
  ): Promise<Intent> {
    const { journal, datasets, operator } = this.#deps;
    const { record, params, devices } = readPayload(intent.payload);
    const key = datasetKey(record.idao, record.logId, record.index);
    const submit = (purpose: string, call: { to: string; data: string }) =>
      this.#submitter.submit(provider, operator, { intentKey: intent.key, purpose, ...call });

    // The chain first: whatever we remember of our own sends, this is what is true.
    let status = await contracts.statusOf(key);
    if (status.status === 'absent') {
      const bundled = this.#bundler.minedIn('commit', intent.key);
      if (bundled !== null) {
        throw new WaystoneError(
          'CHAIN_BEHIND',
          `dataset ${record.index} was committed in block ${bundled.block.number}, which the node does not show now; it is asked again`,
        );
      }
      await this.#setup.ensureDevices(provider, contracts, devices);
      const { hash, block } = await submit('commit', contracts.commit(record)).catch(mayBeLater);
      await journal.progress(intent.key, {
        state: 'committed',
        transaction: hash,
        blockNumber: block.number,
        blockHash: block.hash,
      });
      status = await contracts.statusOf(key);
    } else {
      await this.#submitter.abandon(provider, intent.key, 'commit');
    }
    if (status.status !== 'absent' && status.recordHash !== recordHash(record)) {
      throw new WaystoneError(
        'FORGE_RECORD_MISMATCH',
        `dataset ${record.index} of log ${record.logId} is on chain with another record; ` +
          'another gateway with a copy of this log may have forged it, or the ledger was set back: run waystone verify --rpc',
      );
    }
    await datasets.committed(idOf(intent));
    if (status.status === 'void') {
      throw new WaystoneError(
        'FORGE_VOID',
        `a fault of dataset ${record.index} of log ${record.logId} was upheld, so it never gets a DAT; ` +
          'the event FaultUpheld of DatasetForge names the fault, gateway/contracts/README.md explains it',
      );
    }
    if (status.status === 'committed') {
      this.#windowSeconds ??= await contracts.windowSeconds();
      const untilUs = (status.committedAt + this.#windowSeconds) * 1e6;
      if (this.#windowSeconds > 0 && untilUs > (await chainTimeUs(provider))) {
        throw windowOpen(untilUs);
      }
      await submit('finalise', contracts.finalise(record, params)).catch(mayBeLater);
      status = await contracts.statusOf(key);
    } else {
      await this.#submitter.abandon(provider, intent.key, 'finalise');
    }
    if (status.status !== 'finalised') {
      throw new WaystoneError(
        'FORGE_LOST',
        `the chain went back while dataset ${record.index} was forged`,
      );
    }
    const minted = await this.#mintedIn(provider, contracts, intent, key);
    await journal.progress(intent.key, {
      state: 'finalised',
      tokenId: status.tokenId,
      ...(minted.hash === null ? {} : { transaction: minted.hash }),
      blockNumber: minted.block.number,
      blockHash: minted.block.hash,
    });
    return (await journal.intent(intent.key)) as Intent;
  }

  /** The transaction that minted: our own, else the one that the chain's log names. */
  async #mintedIn(
    provider: JsonRpcProvider,
    contracts: ForgeContracts,
    intent: Intent,
    key: string,
  ): Promise<{ hash: string | null; block: ChainBlock }> {
    const own = await this.#deps.journal.liveTransaction(intent.key, 'finalise');
    if (own?.state === 'mined' && own.blockNumber !== null && own.blockHash !== null) {
      return { hash: own.hash, block: { number: own.blockNumber, hash: own.blockHash } };
    }
    const bundled = this.#bundler.minedIn('finalise', intent.key);
    if (bundled !== null) return bundled;
    const logged = await contracts.finalisedIn(key).catch((error) => {
      // Public nodes search a part of their logs only. The token is there; its transaction is a nicety.
      if (isUnreachable(error)) throw error;
      return null;
    });
    if (logged !== null) return logged;
    const head = await provider.getBlock('latest');
    if (head?.hash === null || head === null)
      throw new WaystoneError('FORGE_LOST', 'the chain has no head');
    return { hash: null, block: { number: head.number, hash: head.hash } };
  }

  /** Confirms what is deep or durable enough. @returns how many datasets. */
  async #confirm(
    provider: ChainProvider,
    contracts: ForgeContracts,
    finalised: readonly Intent[],
  ): Promise<number> {
    const { journal } = this.#deps;
    const { chainId } = this.#options;
    const setups = await journal.openIntents(chainId, 'setup');
    const candidates = [...setups.filter(({ state }) => state === 'finalised'), ...finalised];
    if (candidates.length === 0) return 0;
    const safeBlock = await this.#safeBlock(provider);
    let confirmed = 0;
    for (const intent of candidates) {
      if (intent.blockNumber === null || intent.blockNumber > safeBlock) continue;
      // After the state was made safe: it may be that of a node started anew, without our block.
      if ((await provider.getBlock(intent.blockNumber))?.hash !== intent.blockHash) continue;
      await journal.progress(intent.key, { state: 'confirmed' });
      if (intent.kind !== 'dataset') continue;
      this.#crash('forge:confirmed');
      await this.#report(contracts, intent);
      this.#waiting.delete(intent.key);
      this.#bundler.forget(intent.key);
      confirmed++;
    }
    return confirmed;
  }

  /** The last block that nothing takes back. */
  async #safeBlock(provider: ChainProvider): Promise<number> {
    const { confirmation } = this.#options;
    if (confirmation.kind === 'depth') {
      // Looked at anew, since a head that is not there would confirm too early.
      await provider.look();
      this.#headBlock = provider.head?.number ?? null;
      return (this.#headBlock ?? -1) - confirmation.blocks + 1;
    }
    const block = await this.#deps.chain.persist?.();
    this.#crash('forge:persisted');
    return block ?? -1;
  }

  async #report(onChain: ForgeContracts, intent: Intent): Promise<void> {
    const payload = readPayload(intent.payload);
    const { record } = payload;
    const { contracts, chainId, idao } = this.#options;
    const tokenId = intent.tokenId ?? '';
    const facts = { chainId, tokenId, datasetForge: contracts.datasetForge };
    const metadata = datMetadata(payload, { ...facts, ...(await onChain.datFacts(payload)) });
    await this.#deps.datasets.describe(tokenId, metadata);
    await this.#deps.datasets.forged({
      ...idOf(intent),
      root: record.root.slice(2),
      manifestHash: record.manifestHash.slice(2),
      chainId,
      tokenId,
      classId: tokenId,
      owner: idao,
      datasetForge: contracts.datasetForge,
      dat: contracts.dat,
      transaction: intent.transaction,
      blockNumber: intent.blockNumber ?? 0,
    });
    this.#deps.log.info({ ...idOf(intent), tokenId, transaction: intent.transaction }, 'forged');
  }

  async #connect(): Promise<ChainProvider> {
    const { chainId, rpc } = this.#options;
    const { journal, chain } = this.#deps;
    const urls = chain.urls ?? [chain.url];
    if (this.#connection?.urls !== urls.join()) {
      this.#disconnect();
      const provider = new ChainProvider(urls, chainId, rpc);
      this.#connection = { urls: urls.join(), provider };
    }
    const { provider } = this.#connection;
    if (this.#options.genesisHash !== undefined) {
      const expected = this.#options.genesisHash || (await boundGenesis(journal, chainId));
      if (expected) provider.expectGenesis(expected.toLowerCase());
    }
    await provider.look();
    this.#headBlock = provider.head?.number ?? null;
    if (this.#options.genesisHash !== undefined) await this.#bindGenesis(provider);
    if (this.#deps.preflight !== undefined && !this.#isPreflightDone) {
      const findings = await this.#deps.preflight(provider);
      for (const finding of findings) {
        if (finding.level !== 'ok') this.#deps.log.warn({ ...finding }, 'preflight');
      }
      const forNew = findings.filter(({ code }) => FORBIDS_NEW.includes(code));
      const obstacle = firstObstacle(findings.filter((finding) => !forNew.includes(finding)));
      if (obstacle !== null) throw obstacle;
      this.#forbidsNew = firstObstacle(forNew);
      this.#isPreflightDone = this.#forbidsNew === null;
    }
    return provider;
  }

  async #bindGenesis(provider: ChainProvider): Promise<void> {
    const { chainId, genesisHash = '' } = this.#options;
    const seen = provider.genesisHash;
    // Some nodes do not keep it. The chain id was checked; another node may tell later.
    if (seen === null) return;
    const reopened = await bindGenesis(this.#deps.journal, chainId, seen, genesisHash);
    provider.expectGenesis(seen);
    if (reopened === null) return;
    this.#setup.forget();
    this.#bundler.forgetAll();
    this.#forgetJudgements();
    this.#deps.log.warn(
      { datasets: reopened, genesisHash: seen },
      'the chain was begun anew, as chain.genesisHash says; all datasets are forged on it again',
    );
  }

  #forgetJudgements(): void {
    this.#beforeCommit.forget();
    this.#judgedAtMs.clear();
  }

  #disconnect(): void {
    this.#connection?.provider.destroy();
    this.#connection = null;
    this.#isPreflightDone = false;
    this.#setup.forget();
  }

  /** Of a dataset that may have no intent yet. */
  #noteFresh({ logId, index }: ForgeDatasetId, waitsFor: string): void {
    const key = this.#intentKey({ logId, index });
    this.#waiting.set(key, { logId, index, state: 'intent', waitsFor });
  }

  #note(intent: Intent, waitsFor: string): void {
    this.#waiting.set(intent.key, { ...idOf(intent), state: intent.state, waitsFor });
  }
}

/** Time of the chain's next block, µs: now, for a chain. */
async function chainTimeUs(provider: JsonRpcProvider): Promise<number> {
  for (const tag of ['pending', 'latest']) {
    const block: unknown = await provider
      .send('eth_getBlockByNumber', [tag, false])
      .catch((error) => {
        // Not every node has a pending block.
        if (tag === 'latest' || isUnreachable(error)) throw error;
        return null;
      });
    const { timestamp } = (block ?? {}) as { timestamp?: string };
    if (timestamp !== undefined) return Number(timestamp) * 1e6;
  }
  throw new WaystoneError('FORGE_LOST', 'the chain has no head');
}

function idOf(intent: Intent): ForgeDatasetId {
  return { logId: intent.logId ?? '', index: intent.index ?? -1 };
}

/** By place in the log; logs keep the order in which they were begun. */
function inLogOrder(intents: Intent[]): Intent[] {
  const logs = [...new Set(intents.map((intent) => intent.logId))];
  return intents.sort(
    (a, b) => logs.indexOf(a.logId) - logs.indexOf(b.logId) || (a.index ?? 0) - (b.index ?? 0),
  );
}

/** Turns refusals that time alone will lift into waiting. */
function mayBeLater(error: unknown): never {
  if (error instanceof CallRefused && error.revert === 'TimeInFuture') {
    const untilUs = Number(error.args[0]);
    const when = new Date(untilUs / 1000).toISOString();
    throw new NotYet(
      `it holds times until ${when}, which the chain has not reached`,
      untilUs + 1e6,
    );
  }
  if (error instanceof CallRefused && error.revert === 'WindowOpen') {
    throw windowOpen(Number(error.args[1]) * 1e6);
  }
  if (error instanceof CallRefused && error.revert === 'DailyLimit') {
    const untilUs = Number(error.args[3]) * 1e6;
    const when = new Date(untilUs / 1000).toISOString();
    throw new NotYet(
      `the iDAO lets this gateway commit ${error.args[2]} datasets a day; the next ones follow at ${when}`,
      untilUs,
    );
  }
  if (error instanceof CallRefused && error.revert === 'EntriesAskedFor') {
    throw new NotYet('entries of it are asked for on chain', Number.POSITIVE_INFINITY);
  }
  if (error instanceof CallRefused && /^Already(Committed|Finalised)$/.test(error.revert)) {
    // One node showed it undone and another one, or the block to come, has it: looked at anew, this tells what it is.
    throw new NotYet('it is being done already, as a node says that knows more', 0);
  }
  throw error;
}
