import { randomInt } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import Database from 'better-sqlite3';
import { afterEach, expect, it } from 'vitest';
import type { ForgeJournal } from '../../gateway/core/forge-ports.js';
import type { LazaiJournal } from '../../gateway/core/lazai-ports.js';
import { VERIFIED_COMPUTING } from '../../gateway/forge/lazai/lazai-abi.js';
import { LazaiContracts } from '../../gateway/forge/lazai/lazai-contracts.js';
import { LazaiForger } from '../../gateway/forge/lazai/lazai-forger.js';
import {
  ADMIN,
  LAZAI_CHAIN_ID,
  ProvingNode,
  startLazaiChain,
} from '../../gateway/forge/lazai/testing.js';
import { MemoryDatasets, MemoryLog } from '../../gateway/forge/testing.js';
import { forgeJournalOperations } from '../../gateway/ledger/forge-journal.js';
import { lazaiJournalOperations } from '../../gateway/ledger/lazai-journal.js';
import { prepareLedger } from '../../gateway/ledger/schema.js';
import { randomFrom } from './random.js';
import { RpcProxy } from './rpc-proxy.js';

const DATASETS = Number(process.env.WAYSTONE_FORGE_DATASETS ?? 24);
const SEED = Number(process.env.WAYSTONE_FORGE_SEED ?? randomInt(2 ** 32));

/** One call in so many goes wrong. */
const FAULT_EVERY = 15;

const FEE_WEI = 100n;

/** A base fee above what anything sent before offers: 100 gwei. */
const SPIKE_WEI = '0x174876e800';

const EVENTS = [
  'kill',
  'head-lie',
  'kill',
  'chain-lie',
  'spike',
  'kill',
  'outage',
  'kill',
  'hang up',
  'stall',
] as const;

let closing: (() => unknown)[] = [];

afterEach(async () => {
  for (const close of closing.reverse()) await close();
  closing = [];
});

/** The journal of a forger that may die: from then on it reaches it no more, as a killed process would not. */
function mortalJournal(db: Database.Database) {
  let isDead = false;
  const check = (): void => {
    if (isDead) throw new Error('killed');
  };
  const forge = forgeJournalOperations(db);
  const operations = { ...forge, ...lazaiJournalOperations(db, forge) };
  const journal = Object.fromEntries(
    Object.entries(operations as unknown as Record<string, (...args: unknown[]) => unknown>).map(
      ([name, operation]) => [
        name,
        async (...args: unknown[]) => {
          check();
          const answer = operation(...args);
          await delay(0);
          // It may die right after its write, and never hear of it.
          check();
          return answer;
        },
      ],
    ),
  ) as unknown as ForgeJournal & LazaiJournal;
  const die = (): void => {
    isDead = true;
  };
  return { journal, die };
}

it(
  'each dataset is registered, paid and minted once through nodes that fail and lie, killed at any instant',
  async () => {
    console.log(`lazai faults: seed ${SEED}, ${DATASETS} datasets`);
    const random = randomFrom(SEED);
    const folder = mkdtempSync(join(tmpdir(), 'waystone-lazai-'));
    closing.push(() => rmSync(folder, { recursive: true, force: true }));
    const chain = await startLazaiChain(folder);
    closing.push(() => chain.stop());
    const prover = await ProvingNode.start(chain);
    closing.push(() => prover.stop());
    const operator = await chain.account();
    const { verifiedComputing } = chain.addresses;
    await chain.call(chain.admin, ADMIN, verifiedComputing, 'updateNodeFee', [FEE_WEI]);
    const contracts = new LazaiContracts(chain.provider, chain.addresses);
    const proxies: RpcProxy[] = [];
    for (let i = 0; i < 3; i++) {
      const own = randomFrom(random.below(2 ** 32));
      const options = { target: () => chain.url, random: own, faultEvery: FAULT_EVERY };
      const proxy = await RpcProxy.start(options);
      closing.push(() => proxy.stop());
      proxies.push(proxy);
    }
    const db = new Database(join(folder, 'ledger.sqlite'));
    closing.push(() => db.close());
    prepareLedger(db, folder);
    const datasets = new MemoryDatasets();
    const log = new MemoryLog();

    const start = () => {
      const { journal, die } = mortalJournal(db);
      const forger = new LazaiForger(
        {
          ...{ chainId: LAZAI_CHAIN_ID, addresses: chain.addresses, idao: chain.idao },
          ...{ urls: proxies.map(({ url }) => url), genesisHash: '', confirmations: 1 },
          ...{ feeMaxWei: FEE_WEI, spendMaxWei: FEE_WEI * BigInt(DATASETS) },
          ...{ retryMinMs: 20, retryMaxMs: 300, idleMs: 150, askAgainMs: 100 },
          ...{ minedWaitMs: 2_000, bumpAfterMs: 900, nodeTimeoutMs: 5_000 },
          rpc: { timeoutMs: 400, restMinMs: 20, restMaxMs: 400 },
        },
        {
          ...{ journal, datasets, operator, log },
          preflight: async () => [],
          isPaused: () => false,
          crashPoint: () => undefined,
        },
      );
      forger.start();
      const kill = async (): Promise<void> => {
        die();
        await forger.stop();
      };
      return { forger, kill };
    };
    let mortal = start();
    closing.push(() => mortal.kill());

    const counts: Record<string, number> = {};
    const happens = async (event: (typeof EVENTS)[number]): Promise<void> => {
      counts[event] = (counts[event] ?? 0) + 1;
      const some = proxies[random.below(proxies.length)] as RpcProxy;
      const forMs = 200 + random.below(600);
      switch (event) {
        case 'kill':
          await mortal.kill();
          mortal = start();
          return;
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
        case 'spike':
          // Base fees fall by an eighth a block from here.
          await chain.provider.send('anvil_setNextBlockBaseFeePerGas', [SPIKE_WEI]);
          await chain.provider.send('evm_mine', []);
          return;
        case 'outage':
          for (const proxy of proxies) proxy.options.faultEvery = 1;
          await delay(forMs);
          for (const proxy of proxies) proxy.options.faultEvery = FAULT_EVERY;
          return;
        case 'stall':
          // Nothing is mined for long enough that what waits is replaced.
          await chain.provider.send('evm_setAutomine', [false]);
          await delay(1_500 + forMs);
          await chain.provider.send('evm_setAutomine', [true]);
          await chain.provider.send('evm_mine', []);
          return;
        case 'hang up':
          prover.mood = 'hangs up';
          await delay(forMs);
          prover.mood = 'honest';
      }
    };

    for (let round = 0; datasets.sealed.length < DATASETS || round < EVENTS.length; round++) {
      const count = Math.min(1 + random.below(5), DATASETS - datasets.sealed.length);
      datasets.seal(count, { url: 'https://gateway.example/entries/it' });
      mortal.forger.nudge();
      await delay(100 + random.below(600));
      await happens(EVENTS[round % EVENTS.length] as (typeof EVENTS)[number]);
    }
    // What is left is to be done with faults that go on, though nothing else happens.
    const deadline = performance.now() + 30_000 + DATASETS * 1_000;
    while (datasets.results.length < DATASETS && performance.now() < deadline) await delay(50);
    expect(
      datasets.results.length,
      `${JSON.stringify(mortal.forger.status(), null, 1)}\n${log.lines.slice(-30).join('\n')}`,
    ).toBe(DATASETS);
    await mortal.kill();

    expect(await contracts.filesCount()).toBe(BigInt(DATASETS));
    expect(await contracts.currentTokenId()).toBe(BigInt(DATASETS));
    const topics = VERIFIED_COMPUTING.encodeFilterTopics('JobSubmitted', []) as string[];
    const address = verifiedComputing;
    expect(await chain.provider.getLogs({ address, topics, fromBlock: 0 })).toHaveLength(DATASETS);
    expect(
      lazaiJournalOperations(db, forgeJournalOperations(db)).lazaiReservedWei(LAZAI_CHAIN_ID),
    ).toBe(FEE_WEI * BigInt(DATASETS));
    expect(new Set(datasets.results.map(({ tokenId }) => tokenId)).size).toBe(DATASETS);
    const files = await Promise.all(
      datasets.results.map(({ lazai }) => contracts.file(BigInt(lazai?.fileId ?? 0))),
    );
    const hashes = await Promise.all(
      datasets.results.map(({ root }) => datasets.entriesHash(root)),
    );
    expect(files.map(({ hash }) => hash)).toEqual(hashes);
    const faults: Record<string, number> = {};
    for (const proxy of proxies) {
      for (const [what, times] of proxy.counts) faults[what] = (faults[what] ?? 0) + times;
    }
    const states = db.prepare('SELECT state, COUNT(*) FROM chain_tx GROUP BY 1').raw().all();
    console.log(
      `lazai faults: ${DATASETS} datasets, ${files.length} files, ${DATASETS} paid proofs, ${DATASETS} tokens; ` +
        `happened ${JSON.stringify(counts)}; faults ${JSON.stringify(faults)}; ` +
        `transactions ${JSON.stringify(Object.fromEntries(states as [string, number][]))}`,
    );
  },
  120_000 + DATASETS * 2_000,
);
