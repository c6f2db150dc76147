import { join } from 'node:path';
import { makeFolder } from '../core/durable.js';
import { messageOf, WaystoneError } from '../core/errors.js';
import type { Logger } from '../core/logger.js';
import { type Anvil, type AnvilEnd, anvilBinary, endOrphan, startAnvil } from './anvil-process.js';
import { connectChain } from './chain-client.js';
import { deployContracts, isOfThisRelease, LOCAL_TERMS } from './deploy.js';
import { DumpFiles } from './dump-files.js';
import { jsonRpc } from './json-rpc.js';
import { type LocalKeys, loadLocalKeys } from './local-keys.js';

/** Chain id of the local chain: the one that tools know as a development chain. */
export const LOCAL_CHAIN_ID = 31_337;

/** 10,000 coins of no worth, so that gas never runs out. */
const BALANCE_WEI = `0x${(10_000n * 10n ** 18n).toString(16)}`;

/** A dump of a long chain takes a while. */
const DUMP_TIMEOUT_MS = 120_000;

/** Starts in a row that may fail on a port taken in between. */
const START_ATTEMPTS = 3;

/**
 * Times that the node may die of a dump before the one before it is taken: once may be chance, and what is put aside
 * is lost to the chain until it is forged again.
 */
const DEATHS_MAX = 2;

const RESTART_DELAY_MIN_MS = 100;
const RESTART_DELAY_MAX_MS = 10_000;

export interface LocalChainOptions {
  /** Folder of the chain: keys, dumps, the mark of the running node. */
  readonly folder: string;
  /** Seconds between commit and finalise; the local chain is the only one that allows zero. */
  readonly windowSeconds?: number;
  /** For tests; default is anvil from its npm package. */
  readonly binary?: string;
}

export interface LocalChainDeps {
  readonly log: Logger;
}

export interface LocalChainStatus {
  readonly state: 'stopped' | 'starting' | 'running' | 'restarting';
  readonly url: string | null;
  readonly pid: number | null;
  /** Restarts since the gateway started. */
  readonly restarts: number;
  /** Block that the newest durable dump holds. */
  readonly durableBlock: number | null;
  readonly lastError: string | null;
  /** Dumps that could not be loaded and were put aside, by this run or an earlier one. */
  readonly dumpsAside: readonly string[];
}

/**
 * A real EVM node of the gateway's own. It is started on a free port, watched, started again when it dies, and
 * asked for its state whenever something must last: a block counts only once a dump that holds it is on disk, since
 * the node loses what it has not dumped. It anchors nothing publicly.
 */
export class LocalChain {
  readonly keys: LocalKeys;
  readonly chainId = LOCAL_CHAIN_ID;
  readonly #options: LocalChainOptions;
  readonly #deps: LocalChainDeps;
  readonly #dumps: DumpFiles;
  #anvil: Anvil | null = null;
  #state: LocalChainStatus['state'] = 'stopped';
  #restarts = 0;
  #durableBlock: number | null = null;
  #lastError: string | null = null;
  #wake: (() => void) | null = null;
  #supervision: Promise<void> = Promise.resolve();
  #persisting: Promise<unknown> = Promise.resolve();
  #nextPersist: Promise<number> | null = null;
  /** The dump that the running node began with, while nothing was dumped since. */
  #loaded: string | null = null;
  /** How often a node died of a dump, in a row. */
  readonly #deaths = new Map<string, number>();
  #dumpsAside: readonly string[] = [];

  constructor(options: LocalChainOptions, deps: LocalChainDeps) {
    this.#options = options;
    this.#deps = deps;
    makeFolder(options.folder);
    this.keys = loadLocalKeys(LocalChain.keyFile(options.folder));
    this.#dumps = new DumpFiles(options.folder);
  }

  /** Where the keys of a chain folder are; {@link loadLocalKeys} reads them without a chain. */
  static keyFile(folder: string): string {
    return join(folder, 'mnemonic');
  }

  /**
   * Ends what an earlier run left behind, starts the node, loads the newest dump that can be read, creates the
   * contracts if they are missing.
   *
   * @throws WaystoneError LOCAL_CHAIN_UNAVAILABLE without a binary for this platform, LOCAL_CHAIN_FAILED when
   *   the node does not start.
   */
  async start(): Promise<void> {
    if (this.#state !== 'stopped') throw new TypeError('the local chain runs already');
    if (this.#options.binary === undefined) anvilBinary();
    this.#state = 'starting';
    try {
      if (await endOrphan(this.#markFile)) {
        this.#deps.log.warn({}, 'ended the local chain of an earlier run');
      }
      const anvil = await this.#launch();
      this.#state = 'running';
      this.#supervision = this.#supervise(anvil);
    } catch (error) {
      this.#state = 'stopped';
      throw error;
    }
  }

  /** Where the node answers now. @throws WaystoneError CHAIN_UNREACHABLE while it is down. */
  get url(): string {
    if (this.#anvil === null) {
      throw new WaystoneError(
        'CHAIN_UNREACHABLE',
        `the local chain is ${this.#state}${this.#lastError === null ? '' : `: ${this.#lastError}`}`,
      );
    }
    return this.#anvil.url;
  }

  status(): LocalChainStatus {
    return {
      state: this.#state,
      url: this.#anvil?.url ?? null,
      pid: this.#anvil?.pid ?? null,
      restarts: this.#restarts,
      durableBlock: this.#durableBlock,
      lastError: this.#lastError,
      dumpsAside: this.#dumpsAside,
    };
  }

  /**
   * Writes the chain's state to disk. Calls that come while a dump is written share the next one.
   *
   * @returns a block that the dump on disk holds; all blocks before it are in it too.
   */
  persist(): Promise<number> {
    if (this.#nextPersist === null) {
      const run = this.#persisting.then(() => {
        this.#nextPersist = null;
        return this.#persistNow();
      });
      this.#nextPersist = run;
      this.#persisting = run.catch(() => undefined);
    }
    return this.#nextPersist;
  }

  /** Persists, then ends the node. */
  async stop(): Promise<void> {
    if (this.#state === 'stopped') return;
    const wasRunning = this.#state === 'running';
    this.#state = 'stopped';
    this.#wake?.();
    if (wasRunning) {
      try {
        await this.persist();
      } catch (error) {
        this.#deps.log.warn({ error: messageOf(error) }, 'the local chain was not dumped at stop');
      }
    }
    const anvil = this.#anvil;
    await anvil?.stop();
    await this.#supervision;
  }

  get #markFile(): string {
    return join(this.#options.folder, 'anvil.json');
  }

  async #persistNow(): Promise<number> {
    const url = this.url;
    // Read before the dump: the dump may hold more than we say, never less.
    const block = Number(await jsonRpc(url, 'eth_blockNumber'));
    const dump = await jsonRpc(url, 'anvil_dumpState', [], DUMP_TIMEOUT_MS);
    if (typeof dump !== 'string' || !/^0x1f8b/.test(dump)) {
      throw new WaystoneError('LOCAL_CHAIN_FAILED', 'the local chain gave no state to keep');
    }
    await this.#dumps.write(Buffer.from(dump.slice(2), 'hex'));
    this.#durableBlock = block;
    this.#loaded = null;
    this.#deaths.clear();
    return block;
  }

  /**
   * A node with the newest state that can be loaded, and all contracts. A dump that the node dies of is put aside, and
   * the one before it taken; with none left the chain begins anew, and what was forged is forged again under the same
   * ids, as after any rewind.
   */
  async #launch(): Promise<Anvil> {
    for (;;) {
      this.#dumpsAside = await this.#dumps.listAside();
      const anvil = await this.#startProcess();
      try {
        if (await this.#prepare(anvil)) {
          this.#anvil = anvil;
          this.#lastError = null;
          this.#deps.log.info({ url: anvil.url, anvilPid: anvil.pid }, 'local chain runs');
          return anvil;
        }
        await anvil.stop();
      } catch (error) {
        const end = await endOf(anvil);
        await anvil.stop();
        if (end === null || this.#isStopped() || !(await this.#blame(end))) throw error;
      }
    }
  }

  /** Loads the state and creates what is missing. @returns false when the next state is to be tried, in a new node. */
  async #prepare(anvil: Anvil): Promise<boolean> {
    if (!(await this.#load(anvil))) return false;
    const { url } = anvil;
    await keepTimeRising(url);
    for (const { address } of [this.keys.deployer, this.keys.owner, this.keys.operator]) {
      await jsonRpc(url, 'anvil_setBalance', [address, BALANCE_WEI]);
    }
    const provider = connectChain(url, LOCAL_CHAIN_ID);
    try {
      const { windowSeconds = 0 } = this.#options;
      const terms = { ...LOCAL_TERMS, windowSeconds };
      const created = await deployContracts(provider, this.keys.deployer, terms);
      if (!(await isOfThisRelease(provider, this.keys.contracts))) {
        await this.#putAsideOutdated();
        return false;
      }
      if (created > 0) this.#deps.log.info({ created }, 'created contracts on the local chain');
    } finally {
      provider.destroy();
    }
    return true;
  }

  /** A state of an earlier release: its contracts are not those that this one speaks to. */
  async #putAsideOutdated(): Promise<void> {
    const path = this.#loaded;
    if (path === null) {
      throw new WaystoneError('LOCAL_CHAIN_FAILED', 'the contracts just created do not answer');
    }
    this.#deps.log.warn(
      { path },
      'the local chain has contracts of an earlier release; it begins anew, and what was forged is forged again',
    );
    await this.#dumps.putAside(path, 'outdated');
  }

  /**
   * Counts a node's death against the dump that it began with, if it died by itself. One that was killed from outside
   * says nothing about its dump: SIGKILL is what a lack of memory looks like.
   *
   * @returns whether it is worth trying again at once.
   */
  async #blame(end: AnvilEnd): Promise<boolean> {
    const path = this.#loaded;
    if (path === null) return false;
    if (end.signal === 'SIGKILL' || end.signal === 'SIGTERM') {
      this.#deps.log.error(
        { path, signal: end.signal },
        'the local chain was killed while it took its state; if nobody did that, the machine lacks memory',
      );
      return false;
    }
    const deaths = (this.#deaths.get(path) ?? 0) + 1;
    this.#deaths.set(path, deaths);
    if (deaths < DEATHS_MAX) return true;
    this.#deps.log.error(
      { path, deaths, code: end.code, signal: end.signal, words: end.words },
      'the local chain dies of this dump; it is put aside and the one before it taken. What it alone held is forged again',
    );
    this.#deaths.delete(path);
    await this.#dumps.putAside(path, 'crashes');
    return true;
  }

  async #startProcess(): Promise<Anvil> {
    const { binary } = this.#options;
    for (let attempt = 1; ; attempt++) {
      try {
        return await startAnvil({
          chainId: LOCAL_CHAIN_ID,
          markFile: this.#markFile,
          ...(binary === undefined ? {} : { binary }),
        });
      } catch (error) {
        if (attempt === START_ATTEMPTS) throw error;
        this.#deps.log.warn({ error: messageOf(error), attempt }, 'the local chain did not start');
      }
    }
  }

  /**
   * Loads the newest dump, if there is one.
   *
   * @returns false when it was put aside, since the node does not take it; the node may have taken a part of it.
   */
  async #load(anvil: Anvil): Promise<boolean> {
    const { url } = anvil;
    const [path = null] = await this.#dumps.list();
    this.#loaded = path;
    this.#durableBlock = null;
    if (path === null) return true;
    try {
      const state = `0x${(await this.#dumps.read(path)).toString('hex')}`;
      const loaded = await jsonRpc(url, 'anvil_loadState', [state], DUMP_TIMEOUT_MS);
      if (loaded !== true) throw new WaystoneError('CHAIN_REFUSED', 'the state was not taken');
      this.#durableBlock = Number(await jsonRpc(url, 'eth_blockNumber'));
      return true;
    } catch (error) {
      // A node that died of it may have died by chance: the dump stays for now. One that is dying may still answer, so
      // only one that lives on has refused.
      if ((await endOf(anvil)) !== null) throw error;
      await jsonRpc(url, 'eth_chainId');
      this.#deps.log.error(
        { path, error: messageOf(error) },
        'a dump of the local chain cannot be loaded; it is put aside and the one before it taken',
      );
      await this.#dumps.putAside(path, 'unreadable');
      return false;
    }
  }

  /** Starts the node again whenever it dies, until the chain is stopped. */
  async #supervise(first: Anvil): Promise<void> {
    let anvil: Anvil | null = first;
    let delayMs = RESTART_DELAY_MIN_MS;
    while (this.#state !== 'stopped') {
      if (anvil !== null) {
        const end = await anvil.exited;
        this.#anvil = null;
        if (this.#isStopped()) return;
        this.#state = 'restarting';
        this.#lastError = 'the node ended by itself';
        this.#deps.log.error(
          { anvilPid: anvil.pid, code: end.code, signal: end.signal, words: end.words },
          'the local chain ended; starting it again',
        );
        anvil = null;
        await this.#blame(end);
      }
      try {
        this.#restarts++;
        anvil = await this.#launch();
        if (this.#isStopped()) {
          await anvil.stop();
          return;
        }
        this.#state = 'running';
        delayMs = RESTART_DELAY_MIN_MS;
      } catch (error) {
        this.#lastError = messageOf(error);
        this.#deps.log.error(
          { error: this.#lastError, delayMs },
          'the local chain did not restart',
        );
        await this.#pause(delayMs);
        delayMs = Math.min(delayMs * 2, RESTART_DELAY_MAX_MS);
      }
    }
  }

  /** A function, since the state changes while others wait. */
  #isStopped(): boolean {
    return this.#state === 'stopped';
  }

  /** Waits, or less when the chain is stopped meanwhile. */
  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}

/** How long a node that answered no more may take to be gone, ms. */
const END_WAIT_MS = 2_000;

/** How a node ended that just failed to answer; null while it lives. */
async function endOf(anvil: Anvil): Promise<AnvilEnd | null> {
  let timer: NodeJS.Timeout | undefined;
  const later = new Promise<null>((resolve) => {
    timer = setTimeout(() => resolve(null), END_WAIT_MS);
  });
  const end = await Promise.race([anvil.exited, later]);
  clearTimeout(timer);
  return end;
}

/**
 * Lets the chain's time go on from its last block. A node that loads a state takes the machine's time: after the clock
 * was set back that is before its last block, and what was committed there could not be finalised until it came again.
 */
async function keepTimeRising(url: string): Promise<void> {
  const block = async (tag: string): Promise<number> => {
    const found = await jsonRpc(url, 'eth_getBlockByNumber', [tag, false]);
    return Number((found as { timestamp: string }).timestamp);
  };
  const last = await block('latest');
  if ((await block('pending')) <= last) await jsonRpc(url, 'evm_setNextBlockTimestamp', [last + 1]);
}
