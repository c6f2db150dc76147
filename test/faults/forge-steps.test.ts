import { setTimeout as delay } from 'node:timers/promises';
import { Transaction } from 'ethers';
import { afterEach, describe, expect, it } from 'vitest';
import type { Forger } from '../../gateway/forge/forger.js';
import { preflight } from '../../gateway/forge/preflight.js';
import { someKey } from '../../gateway/forge/testing.js';
import { forgeJournalOperations } from '../../gateway/ledger/forge-journal.js';
import { expectJournalExplains, mintsOf } from './forge-journal-checks.js';
import { CEILING_WEI, CHAIN_ID, ForgeScene, type ForgeSceneOptions, GWEI } from './forge-scene.js';
import type { RpcProxy } from './rpc-proxy.js';

const BLOCK_MS = 100;

let scene: ForgeScene;

afterEach(() => scene?.close());

async function open(options: Partial<ForgeSceneOptions> = {}): Promise<void> {
  scene = await ForgeScene.open({ proxies: 1, ...options });
}

/** Waits until something holds; says what the forger says when it does not come. */
async function until(forger: Forger, what: string, holds: () => unknown): Promise<void> {
  const deadline = performance.now() + 25_000;
  while (!holds()) {
    if (performance.now() > deadline) {
      const { why, lastError } = forger.status();
      const rows = scene.transactions().map(({ nonce, state, purpose }) => [nonce, purpose, state]);
      const facts = JSON.stringify({ why, lastError, open: scene.openIntents(), rows });
      throw new Error(`not ${what}: ${facts}\n${scene.log.lines.slice(-10).join('\n')}`);
    }
    await delay(20);
  }
}

async function expectOneDatEach(): Promise<void> {
  const mints = await mintsOf(scene.node, CHAIN_ID);
  expect([...mints.values()].every((times) => times === 1)).toBe(true);
  expect([...mints.keys()].sort()).toEqual(
    scene.datasets.results.map(({ tokenId }) => tokenId).sort(),
  );
  expect(mints.size).toBe(scene.datasets.sealed.length);
  await expectJournalExplains(scene.node, scene.node.keys.operator.address, scene.transactions());
}

function code(forger: Forger): string {
  return forger.status().lastError?.code ?? '';
}

const proxy = (): RpcProxy => scene.proxies[0] as RpcProxy;
const wei = (value: bigint): string => `0x${value.toString(16)}`;

/** Everything set up, devices registered, nothing to do: blocks come by themselves from here on. */
async function quiet(forger: Forger): Promise<void> {
  scene.datasets.seal(3);
  await scene.node.mineEvery(BLOCK_MS);
  forger.start();
  await until(forger, 'set up', () => forger.status().state === 'idle' && scene.isDone());
  made = scene.transactions().length;
}

/** Transactions since then. */
let made = 0;
const since = (purpose: string) =>
  scene
    .transactions()
    .slice(made)
    .filter((one) => one.purpose === purpose);

describe('a transaction that is not mined', () => {
  it('is replaced under its nonce by a dearer one, as real pools want it, once', async () => {
    await open();
    const { forger } = scene.forger();
    await quiet(forger);
    // What is offered now is too little once it is sent, and stays so for some blocks.
    await scene.node.pauseMining();
    scene.datasets.seal(1);
    forger.nudge();
    await until(forger, 'sent', () => since('commit').length > 0);
    await scene.node.rpc('anvil_setNextBlockBaseFeePerGas', [wei(40n * GWEI)]);
    await scene.node.mineEvery(BLOCK_MS);
    await until(forger, 'done', () => scene.isDone());
    const commits = since('commit');
    expect(new Set(commits.map(({ nonce }) => nonce)).size).toBe(1);
    expect(commits.map(({ state }) => state)).toEqual([
      ...commits.slice(1).map(() => 'replaced'),
      'confirmed',
    ]);
    expect(commits.length).toBeGreaterThan(1);
    const offers = commits.map(({ raw }) => Transaction.from(raw));
    for (const [i, offer] of offers.slice(1).entries()) {
      const before = offers[i] as Transaction;
      expect((offer.maxFeePerGas as bigint) * 10n).toBeGreaterThan(
        (before.maxFeePerGas as bigint) * 11n,
      );
      expect((offer.maxPriorityFeePerGas as bigint) * 10n).toBeGreaterThan(
        (before.maxPriorityFeePerGas as bigint) * 11n,
      );
      expect(offer.data).toBe(before.data);
    }
    await expectOneDatEach();
  });

  it('waits when gas costs more than the ceiling, says so, and goes on by itself', async () => {
    await open();
    const { forger } = scene.forger();
    await quiet(forger);
    await scene.node.rpc('anvil_setNextBlockBaseFeePerGas', [wei(CEILING_WEI * 4n)]);
    await delay(2 * BLOCK_MS);
    const before = scene.transactions().length;
    scene.datasets.seal(1);
    forger.nudge();
    await until(forger, 'waiting', () => code(forger) === 'FORGE_FEE_CEILING');
    expect(forger.status().why).toContain('the ceiling is 300');
    expect(scene.transactions()).toHaveLength(before);
    await until(forger, 'done', () => scene.isDone());
    for (const { raw } of scene.transactions()) {
      expect(Transaction.from(raw).maxFeePerGas).toBeLessThanOrEqual(CEILING_WEI);
    }
    await expectOneDatEach();
  });

  it('and was dropped by the pools goes out again as the same bytes', async () => {
    await open();
    const { forger } = scene.forger({ submit: { bumpAfterMs: 60_000, resendMs: 200 } });
    await quiet(forger);
    await scene.node.pauseMining();
    scene.datasets.seal(1);
    forger.nudge();
    await until(forger, 'sent', () => since('commit').some(({ sends }) => sends > 0));
    await scene.node.rpc('anvil_dropAllTransactions');
    await scene.node.mineEvery(BLOCK_MS);
    await until(forger, 'done', () => scene.isDone());
    const commits = since('commit');
    expect(commits).toMatchObject([{ state: 'confirmed' }]);
    expect(commits[0]?.sends).toBeGreaterThan(1);
    await expectOneDatEach();
  });

  it('holds up the next one no longer, though nobody asks for it any more', async () => {
    await open();
    const first = scene.forger();
    await quiet(first.forger);
    await first.kill();
    const { operator } = scene.node.keys;
    const nonce = Number(
      await scene.node.rpc('eth_getTransactionCount', [operator.address, 'latest']),
    );
    // Signed before a crash for something that turned out to be there already, and too cheap by now.
    const raw = await operator.signTransaction({
      ...{ type: 2, chainId: CHAIN_ID, nonce, to: operator.address, gasLimit: 21_000, data: '0x' },
      ...{ maxFeePerGas: 1n, maxPriorityFeePerGas: 1n },
    });
    const journal = forgeJournalOperations(scene.db);
    const key = 'setup:of-old';
    const intent = { key, chainId: CHAIN_ID, kind: 'setup', logId: null, index: null } as const;
    journal.addIntent({ ...intent, payload: '{}' });
    journal.addTransaction({
      hash: Transaction.from(raw).hash as string,
      ...{ intentKey: key, purpose: 'setup', chainId: CHAIN_ID, account: operator.address },
      ...{ nonce, raw, gasLimit: 21_000, maxFeeWei: '1', tipWei: '1' },
    });
    await scene.node.rpc('anvil_setNextBlockBaseFeePerGas', [wei(GWEI)]);
    scene.datasets.seal(1);
    const { forger } = scene.forger();
    forger.start();
    await until(forger, 'done', () => scene.isDone());
    const old = journal.transactions(key);
    expect(old.map(({ state }) => state)).toEqual([
      ...old.slice(1).map(() => 'replaced'),
      'confirmed',
    ]);
    expect(since('commit')).toMatchObject([{ nonce: nonce + 1, state: 'confirmed' }]);
    await expectOneDatEach();
  });

  it('and cannot be heard of is neither doubled nor given up', async () => {
    await open();
    const { forger } = scene.forger();
    await quiet(forger);
    for (let i = 0; i < 4; i++) {
      proxy().forced.push({ method: 'eth_sendRawTransaction', fault: 'drop-answer' });
    }
    scene.datasets.seal(1);
    forger.nudge();
    await until(forger, 'done', () => scene.isDone());
    const states = scene.transactions().map(({ state }) => state);
    expect(states.every((state) => state === 'confirmed')).toBe(true);
    await expectOneDatEach();
  });
});

it('pays as a chain without a base fee wants it', async () => {
  await open();
  proxy().isLegacy = true;
  const { forger } = scene.forger();
  await quiet(forger);
  scene.datasets.seal(3);
  forger.nudge();
  await until(forger, 'done', () => scene.isDone());
  for (const { raw } of scene.transactions()) expect(Transaction.from(raw).type).toBe(0);
  await expectOneDatEach();
});

it('puts a confirmed transaction that a reorg took back on chain as the same bytes', async () => {
  await open();
  const { forger } = scene.forger({ confirmation: { kind: 'depth', blocks: 1 } });
  await quiet(forger);
  scene.datasets.seal(1);
  forger.nudge();
  await until(forger, 'done', () => scene.isDone());
  const before = scene.transactions();
  const tokens = scene.datasets.results.map(({ tokenId }) => tokenId);
  await scene.node.pauseMining();
  const finalise = since('finalise')[0];
  const receipt = (await scene.node.rpc('eth_getTransactionReceipt', [finalise?.hash])) as {
    blockNumber: string;
  };
  const head = Number(await scene.node.rpc('eth_blockNumber'));
  await scene.node.rpc('anvil_reorg', [head - Number(receipt.blockNumber) + 1, []]);
  expect(await scene.node.rpc('eth_getTransactionReceipt', [finalise?.hash])).toBeNull();
  await scene.node.mineEvery(BLOCK_MS);
  await until(forger, 'noticed', () => scene.log.lines.join().includes('the chain went back'));
  await until(forger, 'done', () => scene.isDone());
  expect(scene.datasets.results.map(({ tokenId }) => tokenId)).toEqual(tokens);
  expect(scene.transactions().map(({ hash }) => hash)).toEqual(before.map(({ hash }) => hash));
  await expectOneDatEach();
});

describe('a chain', () => {
  it('that was set back to an older state is recognised, and what it lost is forged again', async () => {
    await open();
    const { forger } = scene.forger({ restoredAfterMs: 1_500 });
    await quiet(forger);
    scene.datasets.seal(1);
    forger.nudge();
    await until(forger, 'done', () => scene.isDone());
    await scene.node.pauseMining();
    const mark = await scene.node.rpc('evm_snapshot');
    await scene.node.mineEvery(BLOCK_MS);
    scene.datasets.seal(2);
    forger.nudge();
    await until(forger, 'done', () => scene.isDone());
    const tokens = scene.datasets.results.map(({ tokenId }) => tokenId);
    await scene.node.pauseMining();
    await scene.node.rpc('evm_revert', [mark]);
    // Nobody mines: the blocks are only missing, which may be a node that is behind.
    await until(forger, 'waiting', () => code(forger) === 'CHAIN_BEHIND');
    expect(scene.openIntents()).toEqual([]);
    await until(forger, 'noticed', () => scene.openIntents().length > 0);
    await scene.node.mineEvery(BLOCK_MS);
    await until(forger, 'done', () => scene.isDone());
    expect(scene.datasets.results.map(({ tokenId }) => tokenId)).toEqual(tokens);
    await expectOneDatEach();
  });

  it('that went back in the middle of a look is noticed by the older block, though the newest one holds', async () => {
    await open();
    const first = scene.forger();
    await quiet(first.forger);
    await first.kill();
    // Deep enough for its devices in a while, and not for its token before it is killed.
    const slow = scene.forger({ confirmation: { kind: 'depth', blocks: 40 } });
    slow.forger.start();
    scene.datasets.seal(1);
    await until(slow.forger, 'minted', () => scene.openIntents().join().includes('finalised'));
    await slow.kill();
    // As if the commit had been seen in a block that a reorg took right after.
    const { changes } = scene.db
      .prepare("UPDATE chain_tx SET block_hash = ? WHERE purpose = 'commit' AND state = 'mined'")
      .run(`0x${'dd'.repeat(32)}`);
    expect(changes).toBe(1);
    const { forger } = scene.forger();
    forger.start();
    await until(forger, 'done', () => scene.isDone());
    expect(scene.log.lines.join()).toContain('the chain went back');
    await expectOneDatEach();
  });

  it('that is behind for a while is waited for', async () => {
    await open();
    const { forger } = scene.forger({ restoredAfterMs: 60_000 });
    await quiet(forger);
    const before = Number(await scene.node.rpc('eth_blockNumber'));
    scene.datasets.seal(1);
    forger.nudge();
    await until(forger, 'done', () => scene.isDone());
    const sent = scene.transactions().length;
    proxy().lagAt = before;
    await until(forger, 'waiting', () => code(forger) === 'CHAIN_BEHIND');
    scene.datasets.seal(1);
    forger.nudge();
    await delay(500);
    expect(scene.transactions()).toHaveLength(sent);
    expect(scene.datasets.results).toHaveLength(4);
    proxy().lagAt = null;
    await until(forger, 'done', () => scene.isDone());
    await expectOneDatEach();
  });

  it('that was begun anew under the same id stops forging, until the operator says that it is meant', async () => {
    await open();
    const first = scene.forger();
    await quiet(first.forger);
    scene.datasets.seal(1);
    first.forger.nudge();
    await until(first.forger, 'done', () => scene.isDone());
    const sent = scene.transactions().length;
    await first.kill();
    // The journal knows the old chain; the node is another one with the same id and contracts.
    const genesis = (await scene.node.rpc('eth_getBlockByNumber', ['0x0', false])) as {
      hash: string;
    };
    const other = `0x${'0b'.repeat(32)}`;
    scene.db
      .prepare("UPDATE chain_intent SET payload = ? WHERE key LIKE 'genesis:%'")
      .run(JSON.stringify({ genesisHash: other }));
    scene.datasets.seal(1);
    const second = scene.forger();
    second.forger.start();
    await until(second.forger, 'stopped', () => code(second.forger) === 'CHAIN_GENESIS_DIFFERS');
    expect(second.forger.status().why).toContain(genesis.hash);
    await delay(500);
    expect(scene.transactions()).toHaveLength(sent);
    await second.kill();
    const third = scene.forger({ genesisHash: genesis.hash });
    third.forger.start();
    await until(third.forger, 'done', () => scene.isDone());
    await expectOneDatEach();
  });
});

describe('waits, says why, loses nothing and goes on by itself:', () => {
  it.each([
    [
      'too little coin',
      'FORGE_NO_FUNDS',
      async () => {
        const { address } = scene.node.keys.operator;
        await scene.node.rpc('anvil_setBalance', [address, '0x1']);
        return () => scene.node.rpc('anvil_setBalance', [address, wei(10n ** 19n)]);
      },
    ],
    [
      'another chain',
      'CHAIN_WRONG',
      async () => {
        proxy().lyingChainId = 1_088;
        return async () => {
          proxy().lyingChainId = null;
        };
      },
    ],
    [
      'a URL that is refused',
      'CHAIN_URL_REFUSED',
      async () => {
        proxy().refuses = true;
        return async () => {
          proxy().refuses = false;
        };
      },
    ],
    [
      'no answer',
      'CHAIN_UNREACHABLE',
      async () => {
        proxy().options.faultEvery = 1;
        return async () => {
          proxy().options.faultEvery = 0;
        };
      },
    ],
  ] as const)('%s', async (_what, expected, begin) => {
    await open();
    const { forger } = scene.forger();
    await quiet(forger);
    const end = await begin();
    const before = scene.transactions().length;
    scene.datasets.seal(2);
    forger.nudge();
    await until(forger, 'waiting', () => code(forger) === expected);
    expect(forger.status()).toMatchObject({ state: expect.stringMatching(/waiting|working/) });
    expect(forger.status().lastError?.message).not.toBe('');
    expect(scene.transactions()).toHaveLength(before);
    await end();
    await until(forger, 'done', () => scene.isDone());
    await expectOneDatEach();
  });

  it('a bond that is asked back', async () => {
    await open();
    const first = scene.forger();
    await quiet(first.forger);
    await first.kill();
    await scene.node.ownerMovesBond('out');
    scene.datasets.seal(1);
    const { operator, contracts, idao } = scene.node.keys;
    const { forger } = scene.forger(
      {},
      {
        preflight: (provider) =>
          preflight(provider, {
            ...{ chainId: CHAIN_ID, contracts, idao, operator },
            fees: { kind: 'auto', ceilingWei: CEILING_WEI },
            coin: 'LAZAI',
            publicUrl: 'https://gateway.example',
          }),
      },
    );
    forger.start();
    await until(forger, 'waiting', () => code(forger) === 'FORGE_BOND_LOW');
    expect(forger.status().why).toContain('the contracts want 10.0');
    await scene.node.ownerMovesBond('in');
    await until(forger, 'done', () => scene.isDone());
    await expectOneDatEach();
  });

  it('no right to forge', async () => {
    await open();
    const stranger = scene.node.keys.deployer;
    const first = scene.forger();
    await quiet(first.forger);
    await first.kill();
    scene.datasets.seal(1);
    const { forger } = scene.forger({}, { operator: stranger, owner: null });
    forger.start();
    await until(forger, 'waiting', () => code(forger) === 'FORGE_NOT_OPERATOR');
    expect(forger.status().why).toContain(stranger.address);
  });
});

describe('in bundles', () => {
  it('sixteen datasets take two transactions, and little gas', async () => {
    await open();
    const { forger } = scene.forger({ bundle: { datasetsMax: 16, gasMax: 8_000_000 } });
    await quiet(forger);
    scene.datasets.seal(16);
    forger.nudge();
    await until(forger, 'done', () => scene.isDone());
    const bundles = scene.transactions().slice(made);
    expect(bundles.map(({ purpose }) => purpose)).toEqual(['commit', 'finalise']);
    let gas = 0;
    for (const { hash } of bundles) {
      const receipt = await scene.node.rpc('eth_getTransactionReceipt', [hash]);
      gas += Number((receipt as { gasUsed: string }).gasUsed);
    }
    console.log(`bundle of 16: ${Math.round(gas / 16)} gas a dataset`);
    expect(gas / 16).toBeLessThan(140_000);
    expect(scene.datasets.reports.map(({ index }) => index)).toEqual([...Array(19).keys()]);
    for (const { transaction, index } of scene.datasets.results) {
      if (index >= 3) expect(transaction).toBe(bundles[1]?.hash);
    }
    await expectOneDatEach();
  });

  it('that would take too much gas are made smaller', async () => {
    await open();
    const { forger } = scene.forger({ bundle: { datasetsMax: 16, gasMax: 400_000 } });
    await quiet(forger);
    scene.datasets.seal(12);
    forger.nudge();
    await until(forger, 'done', () => scene.isDone());
    for (const { raw } of scene.transactions()) {
      expect(Transaction.from(raw).gasLimit).toBeLessThanOrEqual(500_000n);
    }
    await expectOneDatEach();
  });

  it('one bad dataset is singled out and holds up none of the others', async () => {
    // Those that are committed first must not be forged while others are on their way.
    const windowSeconds = 1_000;
    await open({ windowSeconds });
    const { forger } = scene.forger({ bundle: { datasetsMax: 16, gasMax: 8_000_000 } });
    const passWindow = async (datasets: number): Promise<void> => {
      const inWindow = () =>
        forger.status().datasets.filter(({ waitsFor }) => waitsFor.includes('window is open'));
      await until(forger, `${datasets} committed`, () => inWindow().length === datasets);
      await scene.node.rpc('evm_increaseTime', [windowSeconds + 1]);
    };
    scene.datasets.seal(3);
    await scene.node.mineEvery(BLOCK_MS);
    forger.start();
    await passWindow(3);
    await until(forger, 'set up', () => scene.isDone());
    scene.datasets.seal(5);
    // The contract refuses a range that ends before it starts.
    scene.datasets.seal(1, { minTimeUs: 1_532_673_660_000_001 });
    scene.datasets.seal(6);
    // The registry refuses a key that is none.
    scene.datasets.seal(1, { devices: [{ ...someKey('bad'), keyType: 9 }] });
    scene.datasets.seal(3);
    forger.nudge();
    await passWindow(14);
    await until(forger, 'done but for two', () => scene.datasets.results.length === 17);
    expect(scene.datasets.results.map(({ index }) => index)).toEqual(
      [...Array(19).keys()].filter((index) => index !== 8 && index !== 15),
    );
    expect(forger.status().datasets.map(({ index, waitsFor }) => [index, waitsFor])).toEqual([
      [8, expect.stringContaining('MalformedRecord')],
      [15, expect.stringContaining('contract refuses')],
    ]);
  });

  it('killed at any step, a bundle is taken up with the same bytes', async () => {
    await open();
    const points = ['signed', 'sent', 'mined'].flatMap((step) =>
      ['commit', 'finalise'].map((purpose) => `forge:${purpose}-${step}`),
    );
    const first = scene.forger();
    await quiet(first.forger);
    await first.kill();
    for (const point of points) {
      scene.datasets.seal(4);
      let killed = false;
      const mortal = scene.forger(
        {},
        {
          crashPoint: (name) => {
            if (name === point) {
              killed = true;
              void mortal.kill();
            }
          },
        },
      );
      mortal.forger.start();
      await until(mortal.forger, `killed at ${point}`, () => killed);
      await mortal.kill();
      const next = scene.forger();
      next.forger.start();
      await until(next.forger, `done after ${point}`, () => scene.isDone());
      await next.kill();
    }
    const commits = since('commit');
    expect(commits).toHaveLength(points.length);
    await expectOneDatEach();
  });
});
