import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import Database from 'better-sqlite3';
import type { ForgeJournal } from '../../gateway/core/forge-ports.js';
import { DEFAULT_IDAO_SALT } from '../../gateway/forge/addresses.js';
import { Forger, type ForgerDeps, type ForgerOptions } from '../../gateway/forge/forger.js';
import { MemoryDatasets, MemoryLog, someKey } from '../../gateway/forge/testing.js';
import { FORGE_JOURNAL_DDL, forgeJournalOperations } from '../../gateway/ledger/forge-journal.js';
import type { JournalledTransaction } from './forge-journal-checks.js';
import { PublicNode } from './public-node.js';
import { type Random, randomFrom } from './random.js';
import { RpcProxy } from './rpc-proxy.js';

/** Id of a public test network, so that everything is as it is there. */
export const CHAIN_ID = 133_718;

export const GWEI = 1_000_000_000n;
export const CEILING_WEI = 300n * GWEI;

/** A forger that can die: from then on it reaches its journal no more, as a killed process would not. */
export class MortalForger {
  readonly forger: Forger;
  #isDead = false;

  constructor(db: Database.Database, make: (journal: ForgeJournal) => Forger) {
    const operations = forgeJournalOperations(db);
    const journal = new Proxy({} as ForgeJournal, {
      get: (_target, name) => {
        const operation = operations[name as keyof typeof operations] as (
          ...args: unknown[]
        ) => unknown;
        return async (...args: unknown[]) => {
          this.#check();
          const answer = operation(...args);
          await delay(0);
          // It may die right after its write, and never hear of it.
          this.#check();
          return answer;
        };
      },
    });
    this.forger = make(journal);
  }

  async kill(): Promise<void> {
    this.#isDead = true;
    await this.forger.stop();
  }

  #check(): void {
    if (this.#isDead) throw new Error('killed');
  }
}

export interface ForgeSceneOptions {
  readonly proxies: number;
  readonly random?: Random;
  readonly faultEvery?: number;
  readonly windowSeconds?: number;
}

/** A public network behind proxies, a journal on disk, datasets to forge. */
export class ForgeScene {
  readonly datasets = new MemoryDatasets();
  readonly log = new MemoryLog();
  readonly node: PublicNode;
  readonly proxies: readonly RpcProxy[];
  readonly db: Database.Database;
  readonly #folder: string;
  readonly #started: MortalForger[] = [];

  private constructor(folder: string, node: PublicNode, proxies: readonly RpcProxy[]) {
    this.#folder = folder;
    this.node = node;
    this.proxies = proxies;
    this.db = new Database(join(folder, 'ledger.sqlite'));
    this.db.pragma('journal_mode = WAL');
    this.db.pragma('synchronous = FULL');
    this.db.pragma('foreign_keys = ON');
    this.db.exec(FORGE_JOURNAL_DDL);
  }

  static async open(options: ForgeSceneOptions): Promise<ForgeScene> {
    const { random = randomFrom(1), faultEvery = 0, windowSeconds = 1 } = options;
    const folder = mkdtempSync(join(tmpdir(), 'waystone-network-'));
    const node = await PublicNode.start({
      ...{ chainId: CHAIN_ID, keyFile: join(folder, 'mnemonic'), windowSeconds },
    });
    const proxies: RpcProxy[] = [];
    for (let i = 0; i < options.proxies; i++) {
      const target = (): string => node.url;
      const own = randomFrom(random.below(2 ** 32));
      proxies.push(await RpcProxy.start({ target, random: own, faultEvery }));
    }
    return new ForgeScene(folder, node, proxies);
  }

  /** A forger on this scene's journal; not started. */
  forger(options: Partial<ForgerOptions> = {}, deps: Partial<ForgerDeps> = {}): MortalForger {
    const { keys } = this.node;
    const { submit, ...others } = options;
    const made = new MortalForger(
      this.db,
      (journal) =>
        new Forger(
          {
            ...{ chainId: CHAIN_ID, contracts: keys.contracts, idao: keys.idao },
            ...{ idaoSalt: DEFAULT_IDAO_SALT, idaoName: 'test', idaoDescription: '' },
            gateway: someKey('gateway'),
            terms: { quotaCalls: 1, shareWeight: 1, expiresAfterDays: 0, policyUrl: '' },
            confirmation: { kind: 'depth', blocks: 4 },
            ...{ retryMinMs: 20, retryMaxMs: 300, idleMs: 150, restoredAfterMs: 4_000 },
            rpc: { timeoutMs: 400, restMinMs: 20, restMaxMs: 400 },
            submit: {
              fees: { kind: 'auto', ceilingWei: CEILING_WEI },
              ...{ minedWaitMs: 2_000, resendMs: 400, bumpAfterMs: 900, lostAfterMs: 1_500 },
              ...submit,
            },
            bundle: { datasetsMax: 8, gasMax: 3_000_000 },
            genesisHash: '',
            ...others,
          },
          {
            journal,
            datasets: this.datasets,
            chain: { url: '', urls: this.proxies.map(({ url }) => url) },
            operator: keys.operator,
            owner: keys.owner,
            log: this.log,
            crashPoint: () => undefined,
            ...deps,
          },
        ),
    );
    this.#started.push(made);
    return made;
  }

  /** Intents that are not confirmed, each with its state. */
  openIntents(): string[] {
    return this.db
      .prepare<[], string>(
        "SELECT key || ' ' || state FROM chain_intent WHERE state <> 'confirmed'",
      )
      .pluck()
      .all();
  }

  isDone(): boolean {
    const { sealed, results } = this.datasets;
    return results.length === sealed.length && this.openIntents().length === 0;
  }

  transactions(): JournalledTransaction[] {
    return this.db
      .prepare(
        `SELECT hash, account, nonce, purpose, state, failure, sends, raw, block_hash AS blockHash
         FROM chain_tx ORDER BY rowid`,
      )
      .all() as JournalledTransaction[];
  }

  async close(): Promise<void> {
    for (const mortal of this.#started) await mortal.kill();
    for (const proxy of this.proxies) await proxy.stop();
    await this.node.stop();
    this.db.close();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
