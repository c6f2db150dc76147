import { randomInt } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, expect, it } from 'vitest';
import { expectJournalExplains, mintsOf } from './forge-journal-checks.js';
import { CEILING_WEI, CHAIN_ID, ForgeScene, type MortalForger } from './forge-scene.js';
import { randomFrom } from './random.js';
import type { RpcProxy } from './rpc-proxy.js';

const DATASETS = Number(process.env.WAYSTONE_FORGE_DATASETS ?? 40);
const SEED = Number(process.env.WAYSTONE_FORGE_SEED ?? randomInt(2 ** 32));

const BLOCK_MS = 150;
const DEPTH = 4;

/** One call in so many goes wrong. */
const FAULT_EVERY = 15;

let closing: (() => unknown)[] = [];

afterEach(async () => {
  for (const close of closing.reverse()) await close();
  closing = [];
});

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
    const scene = await ForgeScene.open({ proxies: 3, random, faultEvery: FAULT_EVERY });
    closing.push(() => scene.close());
    const { node, proxies, datasets, log } = scene;
    await node.mineEvery(BLOCK_MS);
    const start = (): MortalForger => {
      const made = scene.forger();
      made.forger.start();
      return made;
    };
    let mortal = start();
    const counts: Record<string, number> = {};
    const count = (what: string): void => {
      counts[what] = (counts[what] ?? 0) + 1;
    };
    let snapshot = await node.rpc('evm_snapshot');
    let round = 0;
    const isDone = (): boolean => datasets.sealed.length === DATASETS && scene.isDone();

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

    while (datasets.sealed.length < DATASETS - 1 || round < EVENTS.length) {
      datasets.seal(Math.min(1 + random.below(6), DATASETS - 1 - datasets.sealed.length));
      mortal.forger.nudge();
      await delay(200 + random.below(900));
      if (round % EVENTS.length === 3) snapshot = await node.rpc('evm_snapshot');
      await happens(EVENTS[round++ % EVENTS.length] as (typeof EVENTS)[number]);
    }
    // One comes after all of it: whatever was lost is found out before it is forged.
    datasets.seal(1);
    mortal.forger.nudge();
    // What is left is to be done with faults that go on, though nothing else happens.
    const deadline = performance.now() + 30_000 + DATASETS * 500;
    while (!isDone() && performance.now() < deadline) await delay(50);
    const status = mortal.forger.status();
    const story = scene.transactions().map((one) => `${one.nonce} ${one.purpose} ${one.state}`);
    if (!isDone()) story.push(`pool ${JSON.stringify(await node.rpc('txpool_inspect'))}`);
    const nonce = await node.rpc('eth_getTransactionCount', [
      ...[node.keys.operator.address, 'latest'],
    ]);
    expect(
      isDone(),
      `nonce ${nonce}\n${story.join('\n')}\n${scene.openIntents()}\n${JSON.stringify(status)}\n${log.lines.slice(-30).join('\n')}`,
    ).toBe(true);
    // One more look, with nothing left to forge, at what became of transactions that were given up.
    await delay(600);
    await mortal.kill();

    const mints = await mintsOf(node, CHAIN_ID);
    expect([...mints.values()].filter((times) => times !== 1)).toEqual([]);
    expect([...mints.keys()].sort()).toEqual(datasets.results.map((one) => one.tokenId).sort());
    expect(mints.size).toBe(DATASETS);
    const states = await expectJournalExplains(
      node,
      node.keys.operator.address,
      scene.transactions(),
    );
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
