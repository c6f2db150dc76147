import type { BaseWallet, JsonRpcProvider } from 'ethers';
import { crashPoint } from '../core/crash-point.js';
import { messageOf, WaystoneError } from '../core/errors.js';
import type {
  ChainBlock,
  ForgeDataset,
  ForgeDatasetId,
  ForgeDatasets,
  ForgeJournal,
  ForgeKey,
  ForgeStatus,
  Intent,
} from '../core/forge-ports.js';
import type { Logger } from '../core/logger.js';
import type { ContractAddresses } from './addresses.js';
import { checkChainId, connectChain } from './chain-client.js';
import { ChainSetup } from './chain-setup.js';
import type { ForgeCrashPoint } from './crash-points.js';
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
import { healRewind } from './rewind.js';
import { CallRefused, Submitter } from './submitter.js';

/** Datasets forged before their blocks are confirmed together. */
const DATASETS_PER_PASS = 16;

/** When a block counts for good. */
export type Confirmation =
  /** Once the chain's own state is on disk: the local chain, which forgets what it has not dumped. */
  | { readonly kind: 'durable' }
  /** Once so many blocks, its own included, stand on it. */
  | { readonly kind: 'depth'; readonly blocks: number };

export interface ForgerOptions {
  readonly chainId: number;
  readonly contracts: ContractAddresses;
  readonly idao: string;
  /** Only used where the iDAO is created by the gateway. */
  readonly idaoSalt: string;
  readonly idaoName: string;
  readonly idaoDescription: string;
  readonly gateway: ForgeKey;
  readonly terms: DatTerms;
  readonly confirmation: Confirmation;
  /** First and longest wait after an error; default 500 ms and 60 s. */
  readonly retryMinMs?: number;
  readonly retryMaxMs?: number;
  /** How often an idle forger looks at the chain; default 15 s. */
  readonly idleMs?: number;
}

/** The chain's node: the local chain, or the URL of another. */
export interface ChainAccess {
  /** @throws while the node is down. */
  readonly url: string;
  /** Makes the chain's state durable; resolves with a block that is. Only for {@link Confirmation} `durable`. */
  persist?(): Promise<number>;
}

export interface ForgerDeps {
  readonly journal: ForgeJournal;
  readonly datasets: ForgeDatasets;
  readonly chain: ChainAccess;
  readonly operator: BaseWallet;
  readonly owner: BaseWallet | null;
  readonly log: Logger;
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

/** What one look at the work leaves behind. */
export interface PassResult {
  /** There is more to do at once. */
  readonly more: boolean;
  /** In how many ms, by the chain's time, something that waits becomes possible; null when nothing waits for a time. */
  readonly wakeInMs: number | null;
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
  readonly #stopping = new AbortController();
  readonly #submitter: Submitter;
  readonly #setup: ChainSetup;
  #connection: { url: string; provider: JsonRpcProvider } | null = null;
  #windowSeconds: number | null = null;
  #loop: Promise<void> | null = null;
  #wake: (() => void) | null = null;
  #isNudged = false;
  #state: ForgeStatus['state'] = 'stopped';
  #why = '';
  #isReachable = false;
  #headBlock: number | null = null;
  #lastError: ForgeStatus['lastError'] = null;
  #waiting = new Map<string, ForgeStatus['datasets'][number]>();

  constructor(options: ForgerOptions, deps: ForgerDeps) {
    if (options.confirmation.kind === 'durable' && deps.chain.persist === undefined) {
      throw new TypeError('confirmation durable needs a chain that can persist');
    }
    this.#options = options;
    this.#deps = deps;
    this.#crash = deps.crashPoint ?? crashPoint;
    this.#submitter = new Submitter(
      { chainId: options.chainId },
      {
        journal: deps.journal,
        log: deps.log,
        signal: this.#stopping.signal,
        onStep: ({ purpose }, step) => {
          if (purpose === 'commit' || purpose === 'finalise')
            this.#crash(`forge:${purpose}-${step}`);
        },
      },
    );
    this.#setup = new ChainSetup(options, {
      journal: deps.journal,
      submitter: this.#submitter,
      operator: deps.operator,
      owner: deps.owner,
    });
  }

  start(): void {
    this.#loop ??= this.#run();
  }

  /** A dataset was sealed. */
  nudge(): void {
    this.#isNudged = true;
    // An error's back-off is not cut short: a fleet that seals every second must not hammer a dead node.
    if (this.#state !== 'waiting') this.#wake?.();
  }

  /** Ends after the step under way; what was minted is confirmed if the chain allows. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#wake?.();
    await this.#loop;
    this.#disconnect();
    this.#state = 'stopped';
  }

  status(): ForgeStatus {
    return {
      state: this.#state,
      why: this.#why,
      reachable: this.#isReachable,
      headBlock: this.#headBlock,
      lastError: this.#lastError,
      datasets: [...this.#waiting.values()],
    };
  }

  /** One look at the work: settle, set up, forge, confirm. Throws on the first thing that stops it. */
  async pass(): Promise<PassResult> {
    const { journal, datasets, log } = this.#deps;
    const { chainId } = this.#options;
    const provider = await this.#connect();
    const contracts = new ForgeContracts(provider, this.#options.contracts, this.#options.idao);
    const reopened = await healRewind(provider, journal, chainId);
    if (reopened !== null) {
      this.#setup.forget();
      log.warn({ datasets: reopened }, 'the chain went back; forging again what it lost');
    }
    await this.#submitter.settlePending(provider);

    const intents = await journal.openIntents(chainId, 'dataset');
    const open = new Map(intents.map((intent) => [intent.key, intent]));
    let failure: unknown = null;
    // Those that wait for their time stay ready; so many more are asked for that they hide no others.
    for (const dataset of await datasets.ready(intents.length + DATASETS_PER_PASS)) {
      try {
        const intent = await this.#intend(provider, dataset);
        // Confirmed before a crash, but not reported: only the report is left.
        if (intent.state === 'confirmed') await this.#report(intent);
        else open.set(intent.key, intent);
      } catch (error) {
        if (!isAboutOneDataset(error)) throw error;
        failure ??= error;
        // Neither what was intended nor what is there now goes on chain until someone has looked.
        open.delete(this.#intentKey(dataset));
      }
    }
    this.#waiting = new Map(
      [...open.values()].map((intent) => [
        intent.key,
        { ...idOf(intent), state: intent.state, waitsFor: '' },
      ]),
    );
    if (open.size === 0) {
      // Setting up needs no dataset, so that the first one finds everything ready.
      await this.#setup.ensure(provider, contracts);
      await this.#confirm(provider, []);
      if (failure !== null) throw failure;
      return { more: false, wakeInMs: null };
    }

    await this.#setup.ensure(provider, contracts);
    const finalised: Intent[] = [];
    let wakeAtUs: number | null = null;
    for (const intent of inLogOrder([...open.values()])) {
      if (this.#stopping.signal.aborted || finalised.length === DATASETS_PER_PASS) break;
      try {
        finalised.push(await this.#forge(provider, contracts, intent));
        this.#note(intent, 'waits until its block is safe');
      } catch (error) {
        this.#note(intent, messageOf(error));
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
    const confirmed = await this.#confirm(provider, finalised);
    if (failure !== null) throw failure;
    const wakeInMs = wakeAtUs === null ? null : (wakeAtUs - (await chainTimeUs(provider))) / 1000;
    return { more: finalised.length === DATASETS_PER_PASS && confirmed > 0, wakeInMs };
  }

  async #run(): Promise<void> {
    const { retryMinMs = 500, retryMaxMs = 60_000, idleMs = 15_000 } = this.#options;
    let failures = 0;
    while (!this.#stopping.signal.aborted) {
      this.#isNudged = false;
      this.#state = 'working';
      let waitMs = idleMs;
      try {
        const { more, wakeInMs } = await this.pass();
        failures = 0;
        this.#lastError = null;
        this.#isReachable = true;
        if (more) waitMs = 0;
        // Not at once, even if the chain's time has passed it: that would ask the node without end.
        else if (wakeInMs !== null) waitMs = Math.min(idleMs, Math.max(retryMinMs, wakeInMs));
        this.#state = 'idle';
        this.#why = [...this.#waiting.values()].find((dataset) => dataset.waitsFor)?.waitsFor ?? '';
      } catch (error) {
        if (this.#stopping.signal.aborted) return;
        const code = error instanceof WaystoneError ? error.code : 'FORGE_FAILED';
        this.#isReachable = !isUnreachable(error);
        if (!this.#isReachable) this.#disconnect();
        this.#setup.forget();
        this.#lastError = { code, message: messageOf(error) };
        this.#why = messageOf(error);
        this.#state = 'waiting';
        waitMs = Math.min(retryMinMs * 2 ** failures++, retryMaxMs);
        // Jitter, so that many gateways do not come back in step.
        waitMs *= 0.5 + Math.random() / 2;
        this.#deps.log.warn({ code, error: messageOf(error), waitMs }, 'forging waits');
      }
      if (this.#isNudged && this.#state === 'idle') continue;
      await this.#pause(waitMs);
    }
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
        throw new NotYet(
          `its window is open until ${new Date(untilUs / 1000).toISOString()}`,
          untilUs,
        );
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
    const logged = await contracts.finalisedIn(key);
    if (logged !== null) return logged;
    const head = await provider.getBlock('latest');
    if (head?.hash === null || head === null)
      throw new WaystoneError('FORGE_LOST', 'the chain has no head');
    return { hash: null, block: { number: head.number, hash: head.hash } };
  }

  /** Confirms what is deep or durable enough. @returns how many datasets. */
  async #confirm(provider: JsonRpcProvider, finalised: readonly Intent[]): Promise<number> {
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
      await this.#report(intent);
      this.#waiting.delete(intent.key);
      confirmed++;
    }
    return confirmed;
  }

  /** The last block that nothing takes back. */
  async #safeBlock(provider: JsonRpcProvider): Promise<number> {
    const { confirmation } = this.#options;
    if (confirmation.kind === 'depth') {
      this.#headBlock = await provider.getBlockNumber();
      return this.#headBlock - confirmation.blocks + 1;
    }
    const block = await this.#deps.chain.persist?.();
    this.#crash('forge:persisted');
    return block ?? -1;
  }

  async #report(intent: Intent): Promise<void> {
    const { record } = readPayload(intent.payload);
    const { contracts, chainId, idao } = this.#options;
    const tokenId = intent.tokenId ?? '';
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

  async #connect(): Promise<JsonRpcProvider> {
    const { chainId } = this.#options;
    const { url } = this.#deps.chain;
    if (this.#connection?.url !== url) {
      this.#disconnect();
      const provider = connectChain(url, chainId);
      this.#connection = { url, provider };
      await checkChainId(provider, chainId);
    }
    this.#headBlock = await this.#connection.provider.getBlockNumber();
    return this.#connection.provider;
  }

  #disconnect(): void {
    this.#connection?.provider.destroy();
    this.#connection = null;
    this.#setup.forget();
  }

  #note(intent: Intent, waitsFor: string): void {
    this.#waiting.set(intent.key, { ...idOf(intent), state: intent.state, waitsFor });
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
      if (this.#stopping.signal.aborted) this.#wake();
    });
  }
}

/** Time of the chain's next block, µs: now, for a chain. */
async function chainTimeUs(provider: JsonRpcProvider): Promise<number> {
  for (const tag of ['pending', 'latest']) {
    const block: unknown = await provider.send('eth_getBlockByNumber', [tag, false]);
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
    const untilUs = Number(error.args[1]) * 1e6;
    throw new NotYet(`its window is open until ${new Date(untilUs / 1000).toISOString()}`, untilUs);
  }
  throw error;
}

function isAboutOneDataset(error: unknown): boolean {
  if (error instanceof CallRefused) return true;
  return (
    error instanceof WaystoneError &&
    ['FORGE_RECORD_MISMATCH', 'FORGE_KEY_FOREIGN', 'FORGE_VOID'].includes(error.code)
  );
}

function isUnreachable(error: unknown): boolean {
  if (error instanceof WaystoneError) return error.code === 'CHAIN_UNREACHABLE';
  const code = (error as { code?: unknown } | null)?.code;
  return (
    typeof code === 'string' &&
    /^(ECONN|EPIPE|EHOST|ENET|ENOTFOUND|EAI_AGAIN|ETIMEDOUT|TIMEOUT|SERVER_ERROR|NETWORK_ERROR)/.test(
      code,
    )
  );
}
