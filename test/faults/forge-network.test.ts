import { randomInt } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import Database from 'better-sqlite3';
import { afterEach, expect, it } from 'vitest';
import type { ForgeJournal } from '../../gateway/core/forge-ports.js';
import { DEFAULT_IDAO_SALT } from '../../gateway/forge/addresses.js';
import { Forger } from '../../gateway/forge/forger.js';
import { MemoryDatasets, MemoryLog, someKey } from '../../gateway/forge/testing.js';
import { FORGE_JOURNAL_DDL, forgeJournalOperations } from '../../gateway/ledger/forge-journal.js';
import {
  expectJournalExplains,
  type JournalledTransaction,
  mintsOf,
} from './forge-journal-checks.js';
import { PublicNode } from './public-node.js';
import { randomFrom } from './random.js';
import { RpcProxy } from './rpc-proxy.js';

const DATASETS = Number(process.env.WAYSTONE_FORGE_DATASETS ?? 40);
const SEED = Number(process.env.WAYSTONE_FORGE_SEED ?? randomInt(2 ** 32));

/** Id of a public test network, so that everything is as it is there. */
const CHAIN_ID = 133_718;
const WINDOW_SECONDS = 1;
const BLOCK_MS = 150;
const DEPTH = 4;
const GWEI = 1_000_000_000n;
const CEILING_WEI = 300n * GWEI;

/** One call in so many goes wrong. */
const FAULT_EVERY = 15;

let closing: (() => unknown)[] = [];

afterEach(async () => {
  for (const close of closing.reverse()) await close();
  closing = [];
});

/** A forger that can die: from then on it reaches its journal no more, as a killed process would not. */
class MortalForger {
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
    this.forger.start();
  }

  async kill(): Promise<void> {
    this.#isDead = true;
    await this.forger.stop();
  }

  #check(): void {
    if (this.#isDead) throw new Error('killed');
  }
}

const EVENTS = [
  'kill',
  'reorg',
  'kill',
  'spike',
  'lag',
  'kill',
  'head-lie',
  'chain-lie',
  'restore',
  'outage',
] as const;

it(
  `forges each dataset once through nodes that fail, lag and lie, killed at any instant`,
  async () => {
    console.log(`forge faults: seed ${SEED}, ${DATASETS} datasets`);
    const random = randomFrom(SEED);
    const folder = mkdtempSync(join(tmpdir(), 'waystone-network-'));
    closing.push(() => rmSync(folder, { recursive: true, force: true }));
    const node = await PublicNode.start({
      chainId: CHAIN_ID,
      keyFile: join(folder, 'mnemonic'),
      windowSeconds: WINDOW_SECONDS,
    });
    closing.push(() => node.stop());
    const proxies: RpcProxy[] = [];
    for (let i = 0; i < 3; i++) {
      const proxy = await RpcProxy.start({
        target: () => node.url,
        random: randomFrom(random.below(2 ** 32)),
        faultEvery: FAULT_EVERY,
      });
      proxies.push(proxy);
      closing.push(() => proxy.stop());
    }
    await node.mineEvery(BLOCK_MS);

    const db = new Database(join(folder, 'ledger.sqlite'));
    closing.push(() => void db.close());
    db.pragma('journal_mode = WAL');
    db.pragma('synchronous = FULL');
    db.pragma('foreign_keys = ON');
    db.exec(FORGE_JOURNAL_DDL);
    const datasets = new MemoryDatasets();
    const log = new MemoryLog();
    const { keys } = node;
    const start = (): MortalForger =>
      new MortalForger(
        db,
        (journal) =>
          new Forger(
            {
              ...{ chainId: CHAIN_ID, contracts: keys.contracts, idao: keys.idao },
              ...{ idaoSalt: DEFAULT_IDAO_SALT, idaoName: 'test', idaoDescription: '' },
              gateway: someKey('gateway'),
              terms: { quotaCalls: 1, shareWeight: 1, expiresAfterDays: 0, policyUrl: '' },
              confirmation: { kind: 'depth', blocks: DEPTH },
              ...{ retryMinMs: 20, retryMaxMs: 300, idleMs: 150, restoredAfterMs: 4_000 },
              rpc: { timeoutMs: 400, restMinMs: 20, restMaxMs: 400 },
              submit: {
                fees: { kind: 'auto', ceilingWei: CEILING_WEI },
                ...{ minedWaitMs: 2_000, resendMs: 400, bumpAfterMs: 900, lostAfterMs: 1_500 },
              },
              bundle: { datasetsMax: 8, gasMax: 3_000_000 },
              genesisHash: '',
            },
            {
              journal,
              datasets,
              chain: { url: '', urls: proxies.map(({ url }) => url) },
              operator: keys.operator,
              owner: keys.owner,
              log,
              crashPoint: () => undefined,
            },
          ),
      );

    let mortal = start();
    closing.push(() => mortal.kill());
    const counts: Record<string, number> = {};
    const count = (what: string): void => {
      counts[what] = (counts[what] ?? 0) + 1;
    };
    let snapshot = await node.rpc('evm_snapshot');
    let round = 0;
    const openIntents = db
      .prepare("SELECT key || ' ' || state FROM chain_intent WHERE state <> 'confirmed'")
      .pluck();
    const isDone = (): boolean =>
      datasets.sealed.length === DATASETS &&
      datasets.results.length === DATASETS &&
      openIntents.all().length === 0;

    const happens = async (event: (typeof EVENTS)[number]): Promise<void> => {
      count(event);
      const some = proxies[random.below(proxies.length)] as RpcProxy;
      const forMs = 300 + random.below(1_200);
      switch (event) {
        case 'kill':
          await mortal.kill();
          mortal = start();
          return;
        case 'reorg':
          await node.rpc('anvil_reorg', [1 + random.below(DEPTH + 2), []]);
          return;
        case 'spike':
          await node.rpc('anvil_setNextBlockBaseFeePerGas', [toHex(CEILING_WEI * 2n)]);
          return;
        case 'lag': {
          const head = Number(await node.rpc('eth_blockNumber'));
          some.lagAt = Math.max(0, head - random.below(DEPTH));
          await delay(forMs);
          some.lagAt = null;
          return;
        }
        case 'head-lie':
          some.headLie = 5 + random.below(100);
          await delay(forMs);
          some.headLie = 0;
          return;
        case 'chain-lie':
          some.lyingChainId = 1_088;
          await delay(forMs);
          some.lyingChainId = null;
          return;
        case 'restore':
          // Everything since the last one is gone, confirmed or not.
          await node.rpc('evm_revert', [snapshot]);
          snapshot = await node.rpc('evm_snapshot');
          return;
        case 'outage':
          for (const proxy of proxies) proxy.options.faultEvery = 1;
          await delay(forMs);
          for (const proxy of proxies) proxy.options.faultEvery = FAULT_EVERY;
      }
    };

    while (datasets.sealed.length < DATASETS || round < EVENTS.length) {
      datasets.seal(Math.min(1 + random.below(6), DATASETS - datasets.sealed.length));
      mortal.forger.nudge();
      await delay(200 + random.below(900));
      if (round % EVENTS.length === 3) snapshot = await node.rpc('evm_snapshot');
      await happens(EVENTS[round++ % EVENTS.length] as (typeof EVENTS)[number]);
    }
    // What is left is to be done with faults that go on, though nothing else happens.
    const deadline = performance.now() + 30_000 + DATASETS * 500;
    while (!isDone() && performance.now() < deadline) await delay(50);
    const status = mortal.forger.status();
    expect(
      isDone(),
      `${openIntents.all()}\n${JSON.stringify(status)}\n${log.lines.slice(-30).join('\n')}`,
    ).toBe(true);
    await mortal.kill();

    const mints = await mintsOf(node, CHAIN_ID);
    expect([...mints.values()].filter((times) => times !== 1)).toEqual([]);
    expect([...mints.keys()].sort()).toEqual(datasets.results.map((one) => one.tokenId).sort());
    expect(mints.size).toBe(DATASETS);
    const rows = db
      .prepare('SELECT hash, account, nonce, state, failure, block_hash AS blockHash FROM chain_tx')
      .all() as JournalledTransaction[];
    const states = await expectJournalExplains(node, keys.operator.address, rows);
    const faults: Record<string, number> = {};
    for (const proxy of proxies) {
      for (const [what, times] of proxy.counts) faults[what] = (faults[what] ?? 0) + times;
    }
    console.log(
      `forge faults: ${DATASETS} datasets, ${mints.size} tokens; happened ${JSON.stringify(counts)}; ` +
        `faults ${JSON.stringify(faults)}; transactions ${JSON.stringify(states)}`,
    );
  },
  120_000 + DATASETS * 2_000,
);

function toHex(wei: bigint): string {
  return `0x${wei.toString(16)}`;
}
