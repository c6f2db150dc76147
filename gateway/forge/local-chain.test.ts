import { readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import { getBytes } from 'ethers';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { IDAOFactory__factory } from '../contracts/types/index.js';
import { idaoAddress } from './addresses.js';
import { anvilBinary, endOrphan, startAnvil } from './anvil-process.js';
import { connectChain, hasCode } from './chain-client.js';
import { jsonRpc } from './json-rpc.js';
import { LOCAL_CHAIN_ID, LocalChain } from './local-chain.js';
import { loadLocalKeys } from './local-keys.js';
import { MemoryLog, temporaryFolder } from './testing.js';

let folder: string;
let remove: () => void;
const running: LocalChain[] = [];

beforeEach(() => {
  ({ folder, remove } = temporaryFolder());
});

afterEach(async () => {
  for (const chain of running.splice(0)) await chain.stop();
  remove();
});

async function start(log = new MemoryLog()): Promise<LocalChain> {
  const chain = new LocalChain({ folder }, { log });
  running.push(chain);
  await chain.start();
  return chain;
}

/** Mines one empty block, which is enough to tell states apart. */
async function mine(chain: LocalChain): Promise<{ number: number; hash: string }> {
  await jsonRpc(chain.url, 'evm_mine');
  const block = (await jsonRpc(chain.url, 'eth_getBlockByNumber', ['latest', false])) as {
    number: string;
    hash: string;
  };
  return { number: Number(block.number), hash: block.hash };
}

async function hashAt(chain: LocalChain, number: number): Promise<string | null> {
  const tag = `0x${number.toString(16)}`;
  const block = await jsonRpc(chain.url, 'eth_getBlockByNumber', [tag, false]);
  return (block as { hash: string } | null)?.hash ?? null;
}

/** Resolves when the node has been started again. */
async function restarted(chain: LocalChain, times: number): Promise<void> {
  while (chain.status().restarts < times || chain.status().state !== 'running') {
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

function dumps(): string[] {
  return readdirSync(folder)
    .filter((name) => /^state-\d+\.gz$/.test(name))
    .sort();
}

describe('keys', () => {
  it('are made on first use, private, and stay', () => {
    const file = LocalChain.keyFile(folder);
    const keys = loadLocalKeys(file);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(readFileSync(file, 'utf8')).not.toContain('test test test');
    expect(loadLocalKeys(file).idao).toBe(keys.idao);
    const accounts = [keys.deployer.address, keys.owner.address, keys.operator.address];
    expect(new Set(accounts).size).toBe(3);
  });

  it('that cannot be read are said to be so', () => {
    const file = LocalChain.keyFile(folder);
    writeFileSync(file, 'no mnemonic at all\n');
    expect(() => loadLocalKeys(file)).toThrow(
      expect.objectContaining({ code: 'LOCAL_CHAIN_KEYS_INVALID' }),
    );
  });

  it('are on no command line', async () => {
    const chain = await start();
    const words = readFileSync(LocalChain.keyFile(folder), 'utf8').trim();
    const commandLine = readFileSync(`/proc/${chain.status().pid}/cmdline`, 'utf8');
    expect(commandLine).toContain('anvil');
    expect(commandLine).not.toContain(words.split(' ').slice(0, 3).join(' '));
    expect(await jsonRpc(chain.url, 'eth_accounts')).toEqual([]);
  });
});

it('has the contracts, and the iDAO, where they were said to be before it ran', async () => {
  const { contracts, idao, owner } = loadLocalKeys(LocalChain.keyFile(folder));
  const chain = await start();
  const provider = connectChain(chain.url, LOCAL_CHAIN_ID);
  for (const address of Object.values(contracts)) {
    expect(await hasCode(provider, address)).toBe(true);
  }
  const factory = IDAOFactory__factory.connect(contracts.factory, provider);
  for (const salt of [0n, 7n]) {
    const bytes = `0x${salt.toString(16).padStart(64, '0')}`;
    expect(await factory.predict(owner.address, bytes)).toBe(
      idaoAddress(contracts.factory, owner.address, bytes),
    );
  }
  expect(await factory.predict(owner.address, `0x${'00'.repeat(32)}`)).toBe(idao);
  provider.destroy();
});

it('goes on after a clean stop where it was', async () => {
  const first = await start();
  const block = await mine(first);
  await first.stop();
  expect(readdirSync(folder)).not.toContain('anvil.json');
  const second = await start();
  expect(await hashAt(second, block.number)).toBe(block.hash);
  expect(second.status().durableBlock).toBe(block.number);
});

it('is started again when it dies, with all that was persisted and nothing else', async () => {
  const log = new MemoryLog();
  const chain = await start(log);
  const kept = await mine(chain);
  expect(await chain.persist()).toBe(kept.number);
  const lost = await mine(chain);
  process.kill(chain.status().pid as number, 'SIGKILL');
  await restarted(chain, 1);
  expect(await hashAt(chain, kept.number)).toBe(kept.hash);
  expect(await hashAt(chain, lost.number)).toBeNull();
  expect(log.lines.join('\n')).toContain('the local chain ended');
});

it('claims a block only once the dump that holds it is on disk', async () => {
  const chain = await start();
  const claims = await Promise.all(
    Array.from({ length: 8 }, async () => ({
      mined: await mine(chain),
      kept: await chain.persist(),
    })),
  );
  for (const { mined, kept } of claims) expect(kept).toBeGreaterThanOrEqual(mined.number);
  const best = Math.max(...claims.map(({ kept }) => kept));
  process.kill(chain.status().pid as number, 'SIGKILL');
  await restarted(chain, 1);
  expect(await hashAt(chain, best)).not.toBeNull();
});

it('keeps two generations of its state', async () => {
  const chain = await start();
  for (let i = 0; i < 4; i++) {
    await mine(chain);
    await chain.persist();
  }
  expect(dumps()).toHaveLength(2);
});

it.each(['garbage', 'torn', 'empty'])(
  'falls back to the older state when the newest is %s',
  async (kind) => {
    const chain = await start();
    const old = await mine(chain);
    await chain.persist();
    await mine(chain);
    await chain.persist();
    await chain.stop();
    const [older, newest] = dumps().map((name) => join(folder, name));
    const whole = readFileSync(newest as string);
    const damaged = {
      garbage: Buffer.alloc(whole.length, 7),
      torn: whole.subarray(0, whole.length / 2),
      empty: Buffer.alloc(0),
    }[kind];
    writeFileSync(newest as string, damaged as Buffer);
    expect(older).toBeDefined();
    const log = new MemoryLog();
    const again = await start(log);
    expect(await hashAt(again, old.number)).toBe(old.hash);
    expect(log.lines.join('\n')).toContain('cannot be loaded');
    expect(again.status().dumpsAside).toEqual([`${newest}.unreadable`]);
    expect(readFileSync(`${newest}.unreadable`)).toEqual(damaged);
  },
);

it('begins with nothing of a state that was taken in part', async () => {
  const chain = await start();
  const { number } = await mine(chain);
  await chain.stop();
  const only = join(folder, dumps().at(-1) as string);
  for (const name of dumps().slice(0, -1)) rmSync(join(folder, name));
  // A node takes the block number of such a state before it misses the block.
  const dump = JSON.parse(gunzipSync(readFileSync(only)).toString());
  dump.block.number = '0xfffffffff';
  dump.best_block_number = '0xfffffffff';
  writeFileSync(only, gzipSync(JSON.stringify(dump)));
  const again = await start();
  expect(Number(await jsonRpc(again.url, 'eth_blockNumber'))).toBe(number - 1);
  // Its number is not given again.
  await again.persist();
  expect(dumps()).toHaveLength(1);
  expect((dumps()[0] as string) > basename(only)).toBe(true);
  expect(again.status().dumpsAside).toEqual([`${only}.unreadable`]);
});

it('begins anew where its contracts are those of an earlier release', async () => {
  const chain = await start();
  // Any contract without the views that came last stands for an earlier one.
  const { registry, factory } = chain.keys.contracts;
  const other = await jsonRpc(chain.url, 'eth_getCode', [factory, 'latest']);
  await jsonRpc(chain.url, 'anvil_setCode', [registry, other]);
  await chain.persist();
  await chain.stop();
  const newest = join(folder, dumps().at(-1) as string);
  for (const name of dumps().slice(0, -1)) rmSync(join(folder, name));
  const again = await start();
  expect(again.status()).toMatchObject({ state: 'running', dumpsAside: [`${newest}.outdated`] });
  const code = await jsonRpc(again.url, 'eth_getCode', [registry, 'latest']);
  expect(code).not.toBe(other);
});

describe('a dump that the node dies of', () => {
  /** A node that may use so little memory that a state of many accounts ends it. */
  function smallNode(): string {
    const script = join(folder, 'small-anvil');
    writeFileSync(script, `#!/bin/sh\nulimit -d 204800\nexec ${anvilBinary()} "$@"\n`, {
      mode: 0o700,
    });
    return script;
  }

  /** A newer dump, whole and valid, of a state that does not fit. */
  function addLargeDump(): string {
    const newest = join(folder, dumps().at(-1) as string);
    const dump = JSON.parse(gunzipSync(readFileSync(newest)).toString());
    // Its JSON stays below 32 MB: the node reads it whole, and would refuse it alive if that alone were too much.
    for (let i = 0; i < 320_000; i++) {
      const address = `0x${(i + 4096).toString(16).padStart(40, '0')}`;
      dump.accounts[address] = { nonce: 0, balance: '0x0', code: '0x', storage: {} };
    }
    const path = newest.replace(/\d{10}/, '0000000100');
    writeFileSync(path, gzipSync(JSON.stringify(dump), { level: 1 }));
    return path;
  }

  it('is put aside after its second death, and the one before it taken', async () => {
    const chain = await start();
    const old = await mine(chain);
    await chain.stop();
    const large = addLargeDump();
    const log = new MemoryLog();
    const again = new LocalChain({ folder, binary: smallNode() }, { log });
    running.push(again);
    await again.start();
    expect(await hashAt(again, old.number)).toBe(old.hash);
    expect(again.status()).toMatchObject({ state: 'running', dumpsAside: [`${large}.crashes`] });
    expect(log.lines.join('\n')).toContain('dies of this dump');
    expect(log.lines.join('\n')).toContain('memory allocation');
    // What was put aside stays, and is told of, until someone removes it.
    await again.persist();
    await again.stop();
    expect(readdirSync(folder)).toContain(`${basename(large)}.crashes`);
    const third = await start();
    expect(third.status().dumpsAside).toEqual([`${large}.crashes`]);
  });

  it('gives way to a chain that begins anew when there is none before it', async () => {
    const chain = await start();
    await chain.stop();
    addLargeDump();
    for (const name of dumps().slice(0, -1)) rmSync(join(folder, name));
    const again = new LocalChain({ folder, binary: smallNode() }, { log: new MemoryLog() });
    running.push(again);
    await again.start();
    const provider = connectChain(again.url, LOCAL_CHAIN_ID);
    expect(await hasCode(provider, again.keys.contracts.datasetForge)).toBe(true);
    provider.destroy();
  });

  it('is kept when the node was killed, which says nothing about it', async () => {
    const chain = await start();
    const block = await mine(chain);
    await chain.persist();
    for (let kill = 1; kill <= 3; kill++) {
      process.kill(chain.status().pid as number, 'SIGKILL');
      await restarted(chain, kill);
    }
    expect(await hashAt(chain, block.number)).toBe(block.hash);
    expect(chain.status().dumpsAside).toEqual([]);
  });
});

it('lets no block be before the last one, though the clock was set back while it was away', async () => {
  const chain = await start();
  const timeOf = async (of: LocalChain): Promise<number> => {
    await mine(of);
    const block = await jsonRpc(of.url, 'eth_getBlockByNumber', ['latest', false]);
    return Number((block as { timestamp: string }).timestamp);
  };
  const year2040 = 2_208_988_800;
  await jsonRpc(chain.url, 'evm_setNextBlockTimestamp', [year2040]);
  expect(await timeOf(chain)).toBe(year2040);
  await chain.stop();
  const again = await start();
  const times = [await timeOf(again), await timeOf(again), await timeOf(again)];
  expect(times.toSorted((a, b) => a - b)).toEqual(times);
  expect(times[0]).toBeGreaterThan(year2040);
});

it('starts anew when no state can be read', async () => {
  const chain = await start();
  await chain.stop();
  for (const name of dumps()) writeFileSync(join(folder, name), 'nothing');
  const again = await start();
  const provider = connectChain(again.url, LOCAL_CHAIN_ID);
  expect(await hasCode(provider, again.keys.contracts.datasetForge)).toBe(true);
  provider.destroy();
});

describe('the node of a killed gateway', () => {
  const markFile = (): string => join(folder, 'anvil.json');

  it('is ended', async () => {
    const orphan = await startAnvil({ chainId: LOCAL_CHAIN_ID, markFile: markFile() });
    const chain = await start();
    await orphan.exited;
    expect(chain.status().pid).not.toBe(orphan.pid);
  });

  it('is left alone when the mark is of another start', async () => {
    const other = await startAnvil({ chainId: LOCAL_CHAIN_ID, markFile: markFile() });
    const mark = JSON.parse(readFileSync(markFile(), 'utf8'));
    for (const changes of [{ startTime: '1' }, { port: mark.port + 1 }, { pid: process.pid }]) {
      writeFileSync(markFile(), JSON.stringify({ ...mark, ...changes }));
      expect(await endOrphan(markFile())).toBe(false);
    }
    writeFileSync(markFile(), 'half a ma');
    expect(await endOrphan(markFile())).toBe(false);
    expect(Number(await jsonRpc(other.url, 'eth_chainId'))).toBe(LOCAL_CHAIN_ID);
    await other.stop();
  });
});

it('says so when there is no node that could run', async () => {
  expect(() => anvilBinary('sunos', 'sparc')).toThrow(
    expect.objectContaining({ code: 'LOCAL_CHAIN_UNAVAILABLE' }),
  );
  const chain = new LocalChain(
    { folder, binary: join(folder, 'nothing') },
    { log: new MemoryLog() },
  );
  await expect(chain.start()).rejects.toMatchObject({ code: 'LOCAL_CHAIN_FAILED' });
  expect(chain.status().state).toBe('stopped');
  expect(() => chain.url).toThrow(expect.objectContaining({ code: 'CHAIN_UNREACHABLE' }));
});

it('gives dumps that are gzip, as they will be for ever', async () => {
  const chain = await start();
  await chain.persist();
  const newest = dumps().at(-1) as string;
  expect([...getBytes(readFileSync(join(folder, newest))).subarray(0, 2)]).toEqual([0x1f, 0x8b]);
});
