import type { BaseWallet } from 'ethers';
import { messageOf, WaystoneError } from '../../core/errors.js';
import type {
  ForgeDataset,
  ForgeDatasets,
  ForgeJournal,
  ForgeStatus,
  IntentState,
} from '../../core/forge-ports.js';
import type {
  LazaiDataset,
  LazaiJournal,
  LazaiRecord,
  LazaiState,
  LazaiToken,
} from '../../core/lazai-ports.js';
import type { Logger } from '../../core/logger.js';
import { isAboutOneDataset } from '../about-one-dataset.js';
import { ChainProvider, type ChainProviderOptions } from '../chain-provider.js';
import {
  ForgeLoop,
  type ForgeLoopOptions,
  PAUSED,
  type PassResult,
  waitsForOf,
} from '../forge-loop.js';
import { bindGenesis, boundGenesis } from '../genesis.js';
import { type Finding, firstObstacle } from '../preflight.js';
import type { LazaiCrashPoint } from './crash-points.js';
import { type LazaiOutcome, LazaiTarget } from './lazai-target.js';
import type { LazaiOptions } from './options.js';
import { wrongGenesis } from './preflight.js';

/** Datasets begun in one look, besides those that are under way. */
const NEW_PER_PASS = 16;

/** How often the chain is looked at while something of ours waits for blocks upon it, ms. */
const DEPTH_LOOK_MS = 3_000;

/** Findings of the preflight that forbid new datasets only: what is begun is taken as far as it goes. */
const FORBIDS_NEW: readonly string[] = [
  'PUBLISH_URL_MISSING',
  'PUBLISH_URL_LOCAL',
  'LAZAI_PAUSED',
  'LAZAI_NO_ACTIVE_NODES',
  'LAZAI_FEE_ABOVE_CAP',
  'LAZAI_NO_FUNDS',
];

/** Waits of one dataset that say nothing of the others. Any other one keeps new datasets from being begun. */
const OWN_WAITS: readonly string[] = [
  'LAZAI_NOT_DEEP',
  'LAZAI_READING_LOG',
  'LAZAI_URL_SQUATTED',
  'LAZAI_PROOF_PENDING',
  'LAZAI_PAID_WITHOUT_PROOF',
  'LAZAI_NODE_REMOVED',
  'LAZAI_SCORE_ZERO',
  'LAZAI_PUBLIC_KEY_CHANGED',
  'LAZAI_KEY_UNREADABLE',
];

/** Waits that end the look: all others would wait for the same, and each of them for long. */
const ENDS_LOOK: readonly string[] = ['CHAIN_WRONG', 'LAZAI_WRONG_GENESIS', 'LAZAI_NOT_MINED'];

export interface LazaiForgerOptions extends Omit<LazaiOptions, 'genesisHash'>, ForgeLoopOptions {
  /** Nodes of the chain, the preferred one first. */
  readonly urls: readonly string[];
  /** Block 0 that the chain must have; "" is the one that was there first. */
  readonly genesisHash: string;
  readonly rpc?: ChainProviderOptions;
}

export interface LazaiForgerDeps {
  readonly journal: ForgeJournal & LazaiJournal;
  readonly datasets: Pick<
    ForgeDatasets,
    'ready' | 'inspect' | 'publish' | 'entriesHash' | 'committed' | 'forged'
  >;
  readonly operator: BaseWallet;
  readonly log: Logger;
  /** Asked on each new connection, before anything is sent. */
  readonly preflight: (provider: ChainProvider) => Promise<Finding[]>;
  /** Whether new datasets are held back. */
  readonly isPaused: () => boolean;
  /** For tests. */
  readonly crashPoint?: (name: LazaiCrashPoint) => void;
}

/**
 * Forges sealed datasets with LazAI's own contracts, in log order: each is taken as far as {@link LazaiTarget} can take it
 * now, again and again until its token is confirmed. It never throws out of its loop: an unreachable chain leaves the rest
 * of the gateway untouched.
 */
export class LazaiForger {
  readonly #options: LazaiForgerOptions;
  readonly #deps: LazaiForgerDeps;
  readonly #loop: ForgeLoop;
  #target: LazaiTarget | null = null;
  #provider: ChainProvider | null = null;
  #isPreflightDone = false;
  /** Why no new dataset may go on chain, from the preflight. */
  #forbidsNew: WaystoneError | null = null;
  /** Datasets whose commitment was reported. */
  readonly #committed = new Set<string>();
  #headBlock: number | null = null;
  #waiting = new Map<string, ForgeStatus['datasets'][number]>();

  constructor(options: LazaiForgerOptions, deps: LazaiForgerDeps) {
    this.#options = options;
    this.#deps = deps;
    this.#loop = new ForgeLoop(
      options,
      {
        pass: () => this.#pass(),
        askAgain: () => this.#askAgain(),
        // It may be another chain, or other contracts, by the next time.
        failed: () => {
          this.#isPreflightDone = false;
        },
        waitsFor: () => waitsForOf(deps.isPaused(), this.#waiting.values()),
        retryAfterMs: () => this.#provider?.retryAfterMs ?? 0,
      },
      deps.log,
    );
  }

  start(): void {
    this.#loop.start();
  }

  /** A dataset was sealed. */
  nudge(): void {
    this.#loop.nudge();
  }

  /** Tries again now, whatever the wait was; nodes that were asked for their proof are asked again. */
  retry(): void {
    this.#loop.retry();
  }

  /** Ends after the step under way. */
  async stop(): Promise<void> {
    await this.#loop.stop();
    this.#provider?.destroy();
    this.#provider = null;
  }

  status(): ForgeStatus {
    return {
      ...this.#loop.status(),
      headBlock: this.#headBlock,
      datasets: [...this.#waiting.values()],
    };
  }

  /** One look at the work. Throws on the first thing that stands in the way of all of it. */
  async #pass(): Promise<PassResult> {
    const { provider, target } = await this.#connect();
    const { datasets, journal } = this.#deps;
    const isPaused = this.#deps.isPaused();
    let holdsBack = isPaused ? PAUSED : (this.#forbidsNew?.message ?? null);
    const open = await journal.openLazaiFiles(this.#options.chainId);
    const ready = await datasets.ready(open.length + NEW_PER_PASS);
    this.#waiting = new Map();
    let failure: unknown = holdsBack === null || isPaused ? null : this.#forbidsNew;
    let wakeInMs: number | null = null;
    let forged = 0;
    let withdrawn = 0;
    for (const { key, dataset } of this.#work(target, open, ready)) {
      if (this.#loop.signal.aborted) break;
      if (holdsBack !== null && !(await this.#isBegun(key))) {
        this.#note(dataset, 'intent', holdsBack);
        continue;
      }
      try {
        if (!(await this.#isInOrder(key, dataset))) {
          withdrawn++;
          continue;
        }
        const outcome = await target.advance(provider, await this.#described(key, dataset));
        const record = await journal.lazaiFile(key);
        await this.#report(dataset, record, outcome);
        if (outcome.kind === 'forged') {
          forged++;
          continue;
        }
        const { code, message } = outcome;
        this.#note(dataset, stateOf(record?.state ?? 'intent'), message);
        if (code === 'LAZAI_NOT_DEEP' || code === 'LAZAI_READING_LOG') wakeInMs = DEPTH_LOOK_MS;
        if (OWN_WAITS.includes(code)) continue;
        failure ??= new WaystoneError(code, message);
        if (ENDS_LOOK.includes(code)) break;
        holdsBack ??= message;
      } catch (error) {
        // An alarm about one dataset does not hold up the others; anything else may concern them all.
        if (!isAboutOneDataset(error)) throw error;
        this.#note(dataset, 'intent', messageOf(error));
        failure ??= error;
      }
    }
    if (failure !== null) throw failure;
    return { more: (forged > 0 && ready.length > forged) || withdrawn > 0, wakeInMs };
  }

  /** What is under way, and what is sealed, in log order; logs in the order in which they were begun. */
  #work(
    target: LazaiTarget,
    open: readonly LazaiRecord[],
    ready: readonly ForgeDataset[],
  ): { key: string; dataset: LazaiDataset | ForgeDataset }[] {
    const work = new Map<string, LazaiDataset | ForgeDataset>();
    for (const { key, dataset } of open) {
      // Others were intended for other contracts or another iDAO, and never begun.
      if (key === target.keyOf(dataset)) work.set(key, dataset);
    }
    for (const dataset of ready) work.set(target.keyOf(dataset), dataset);
    const all = [...work].map(([key, dataset]) => ({ key, dataset }));
    const logs = [...new Set(all.map(({ dataset }) => dataset.logId))];
    return all.sort(
      ({ dataset: a }, { dataset: b }) =>
        logs.indexOf(a.logId) - logs.indexOf(b.logId) || a.index - b.index,
    );
  }

  /** Whether something of it may be on chain, or it is only left to be reported. */
  async #isBegun(key: string): Promise<boolean> {
    const { journal } = this.#deps;
    const record = await journal.lazaiFile(key);
    if (record === null) return false;
    return record.state !== 'intent' || (await journal.transactions(key)).length > 0;
  }

  /**
   * Whether all its entries may go on chain; LazAI's registry knows no devices, so none is revoked there. What is begun is
   * past that. One with others is withdrawn, and the rest of it comes back as another dataset.
   */
  async #isInOrder(key: string, { logId, index }: LazaiDataset | ForgeDataset): Promise<boolean> {
    if (await this.#isBegun(key)) return true;
    return (await this.#deps.datasets.inspect({ logId, index }, { revoked: [] })) === 'in order';
  }

  /** The dataset as LazAI is to know it. What is published for it is only looked up once. */
  async #described(key: string, dataset: LazaiDataset | ForgeDataset): Promise<LazaiDataset> {
    const { logId, index, root, url } = dataset;
    const known = await this.#deps.journal.lazaiFile(key);
    if (known !== null) return { logId, index, root, hash: known.dataset.hash, url };
    const { datasets } = this.#deps;
    const hash = await datasets.entriesHash(root);
    await datasets.publish(root);
    return { logId, index, root, hash, url };
  }

  async #report(
    dataset: LazaiDataset | ForgeDataset,
    record: LazaiRecord | null,
    outcome: LazaiOutcome,
  ): Promise<void> {
    const { datasets } = this.#deps;
    const { logId, index } = dataset;
    if (record !== null && record.state !== 'intent' && !this.#committed.has(record.key)) {
      await datasets.committed({ logId, index });
      this.#committed.add(record.key);
    }
    if (record === null || outcome.kind !== 'forged') return;
    await datasets.forged({
      ...{ logId, index, root: record.dataset.root },
      manifestHash: 'manifestHash' in dataset ? dataset.manifestHash : '',
      ...this.#resultOf(outcome.token),
    });
    this.#committed.delete(record.key);
  }

  #resultOf(token: LazaiToken) {
    const { chainId, addresses } = this.#options;
    const { tokenId, owner, dataAnchoringToken, transaction, blockNumber } = token;
    const { fileId, url, lazaiScore } = token;
    return {
      ...{ chainId, tokenId, classId: '', owner, datasetForge: '', dat: dataAnchoringToken },
      ...{ transaction, blockNumber },
      lazai: { fileId, dataRegistry: addresses.dataRegistry, url, lazaiScore },
    };
  }

  async #connect(): Promise<{ provider: ChainProvider; target: LazaiTarget }> {
    const { urls, chainId, rpc } = this.#options;
    this.#provider ??= new ChainProvider(urls, chainId, rpc);
    const provider = this.#provider;
    const genesisHash = await this.#bindGenesis(provider);
    if (!this.#isPreflightDone) await this.#preflight(provider);
    const { journal, operator, log, crashPoint } = this.#deps;
    this.#target ??= new LazaiTarget(
      { ...this.#options, genesisHash },
      {
        ...{ journal, transactions: journal, wallet: operator, log },
        signal: this.#loop.signal,
        ...(crashPoint !== undefined && { crashPoint }),
      },
    );
    return { provider, target: this.#target };
  }

  /**
   * Binds the journal to the chain's block 0, once and for all: what was paid and minted on LazAI cannot be moved to
   * another chain.
   *
   * @returns the hash that the chain must have
   */
  async #bindGenesis(provider: ChainProvider): Promise<string> {
    const { chainId } = this.#options;
    const { journal } = this.#deps;
    const wanted = this.#options.genesisHash.toLowerCase();
    const bound = await boundGenesis(journal, chainId);
    const differs = (got: string, expected: string) =>
      new WaystoneError('LAZAI_WRONG_GENESIS', wrongGenesis(chainId, got, expected));
    if (bound !== null && wanted !== '' && wanted !== bound) throw differs(wanted, bound);
    const expected = bound ?? wanted;
    if (expected !== '') provider.expectGenesis(expected);
    try {
      await provider.look();
    } catch (error) {
      if (!(error instanceof WaystoneError && error.code === 'CHAIN_GENESIS_DIFFERS')) throw error;
      const got = provider.view().find((node) => node.setAside !== '')?.setAside ?? '';
      throw new WaystoneError(
        'LAZAI_WRONG_GENESIS',
        `the journal belongs to the chain ${chainId} that begins with ${expected}, and what was paid for there cannot be moved. ` +
          `Check chain.rpcUrls and chain.genesisHash; another chain needs a data folder of its own (${got})`,
        { cause: error },
      );
    }
    this.#headBlock = provider.head?.number ?? null;
    const seen = provider.genesisHash;
    if (seen === null) {
      if (bound !== null) return bound;
      throw new WaystoneError(
        'LAZAI_WRONG_GENESIS',
        `no node tells the first block of chain ${chainId}, so that it may be a test chain with the same id; add a node to chain.rpcUrls that keeps it`,
      );
    }
    await bindGenesis(journal, chainId, seen, wanted);
    provider.expectGenesis(seen);
    return seen;
  }

  async #preflight(provider: ChainProvider): Promise<void> {
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

  /** Nodes that were asked for their proof are asked again at the next look. */
  async #askAgain(): Promise<void> {
    const { journal } = this.#deps;
    for (const { key, asks } of await journal.openLazaiFiles(this.#options.chainId)) {
      if (asks > 0) await journal.updateLazaiFile(key, { askedAtMs: 0 });
    }
  }

  #note({ logId, index }: Pick<LazaiDataset, 'logId' | 'index'>, state: IntentState, why: string) {
    this.#waiting.set(`${logId}:${index}`, { logId, index, state, waitsFor: why });
  }
}

/** How far a record is in the words that all targets share. */
function stateOf(state: LazaiState): IntentState {
  switch (state) {
    case 'intent':
    case 'confirmed':
      return state;
    case 'rewarded':
      return 'finalised';
    default:
      return 'committed';
  }
}
