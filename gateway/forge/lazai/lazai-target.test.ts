import { copyFileSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  type HDNodeWallet,
  type JsonRpcProvider,
  makeError,
  Signature,
  Transaction,
  toQuantity,
} from 'ethers';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { LazaiDataset, LazaiToken } from '../../core/lazai-ports.js';
import { MemoryLog, temporaryFolder } from '../testing.js';
import { LAZAI_CRASH_POINTS, type LazaiCrashPoint } from './crash-points.js';
import { LAZAI_CODES } from './faults.js';
import { fileUrl } from './file-url.js';
import { DATA_REGISTRY, VERIFIED_COMPUTING } from './lazai-abi.js';
import { LazaiContracts } from './lazai-contracts.js';
import { type LazaiOutcome, LazaiTarget } from './lazai-target.js';
import type { LazaiDeps, LazaiOptions } from './options.js';
import {
  ADMIN,
  LAZAI_CHAIN_ID,
  type LazaiChain,
  openTestJournal,
  ProvingNode,
  rsaKey,
  startLazaiChain,
  type TestJournal,
  tampered,
  unwrap,
} from './testing.js';

const FEE = 100n;

class Crash extends Error {}

let folder: string;
let remove: () => void;
let chain: LazaiChain;
let contracts: LazaiContracts;
let node: ProvingNode;
let operator: HDNodeWallet;
let stranger: HDNodeWallet;
let journal: TestJournal;
let log: MemoryLog;
let nowMs: number;
const nodes: ProvingNode[] = [];

// One chain for all tests, set back after each: starting one takes longer than most tests.
let chainFolder: ReturnType<typeof temporaryFolder>;
let takeBack: () => Promise<void>;

beforeAll(async () => {
  chainFolder = temporaryFolder();
  chain = await startLazaiChain(chainFolder.folder);
  await prepare();
});

afterAll(async () => {
  await node.stop();
  await chain.stop();
  chainFolder.remove();
});

beforeEach(async () => {
  takeBack = await chain.mark();
  ({ folder, remove } = temporaryFolder());
  journal = openTestJournal(join(folder, 'ledger.sqlite'));
  log = new MemoryLog();
  nowMs = 1_700_000_000_000;
});

afterEach(async () => {
  for (const each of nodes.splice(0)) await each.stop();
  node.forget();
  journal.close();
  remove();
  await chain.provider.send('evm_setAutomine', [true]);
  await takeBack();
});

/** A listed node, a fee, and two accounts. */
async function prepare(): Promise<void> {
  contracts = new LazaiContracts(chain.provider, chain.addresses);
  node = await ProvingNode.start(chain);
  operator = await chain.account();
  stranger = await chain.account();
  await admin('verifiedComputing', 'updateNodeFee', [FEE]);
}

async function newNode(): Promise<ProvingNode> {
  const made = await ProvingNode.start(chain);
  nodes.push(made);
  return made;
}

async function admin(
  contract: keyof LazaiChain['addresses'],
  name: string,
  args: readonly unknown[],
): Promise<void> {
  await chain.call(chain.admin, ADMIN, chain.addresses[contract], name, args);
}

function target(options: Partial<LazaiOptions> = {}, deps: Partial<LazaiDeps> = {}): LazaiTarget {
  return new LazaiTarget(
    {
      chainId: LAZAI_CHAIN_ID,
      genesisHash: null,
      addresses: chain.addresses,
      idao: chain.idao,
      feeMaxWei: FEE,
      spendMaxWei: FEE * 10n,
      confirmations: 1,
      nodeTimeoutMs: 30_000,
      askAgainMs: 1_000,
      minedWaitMs: 30_000,
      ...options,
    },
    {
      journal,
      transactions: journal.transactions,
      wallet: operator,
      log,
      signal: new AbortController().signal,
      nowMs: () => nowMs,
      crashPoint: () => undefined,
      ...deps,
    },
  );
}

function dataset(index = 0): LazaiDataset {
  return {
    logId: '0f'.repeat(16),
    index,
    root: 'ab'.repeat(32),
    hash: `${'cd'.repeat(31)}${index.toString(16).padStart(2, '0')}`,
    url: `https://data.example/${'ab'.repeat(32)}/${index}/entries`,
  };
}

function tokenOf(outcome: LazaiOutcome): LazaiToken {
  if (outcome.kind === 'forged') return outcome.token;
  throw new Error(`${outcome.code}: ${outcome.message}\n${log.lines.join('\n')}`);
}

function codeOf(outcome: LazaiOutcome): string {
  return outcome.kind === 'forged' ? 'forged' : outcome.code;
}

/** What LazAI's contracts hold of us, once a number of datasets is forged. */
async function expectOnceEach(tokens: readonly LazaiToken[]): Promise<void> {
  const count = tokens.length;
  expect(await contracts.filesCount()).toBe(BigInt(count));
  expect(await contracts.currentTokenId()).toBe(BigInt(count));
  expect(await paidJobs()).toBe(count);
  for (const token of tokens) {
    const held = await contracts.balanceOf(chain.idao, BigInt(token.tokenId));
    expect(String(held)).toBe(token.lazaiScore);
    expect(await contracts.tokenUrl(BigInt(token.tokenId))).toBe(token.url);
  }
}

async function jobEvents(): Promise<{ owner: string; fee: bigint }[]> {
  const { verifiedComputing } = chain.addresses;
  const topics = VERIFIED_COMPUTING.encodeFilterTopics('JobSubmitted', []) as string[];
  const logs = await chain.provider.getLogs({ address: verifiedComputing, topics, fromBlock: 0 });
  return Promise.all(
    logs.map(async (entry) => {
      const sent = await chain.provider.getTransaction(entry.transactionHash);
      return { owner: sent?.from ?? '', fee: sent?.value ?? 0n };
    }),
  );
}

async function paidJobs(): Promise<number> {
  const jobs = await jobEvents();
  return jobs.filter(({ owner, fee }) => owner === operator.address && fee === FEE).length;
}

/** The dataset's file, registered by us and not further. */
async function registered(made = target()): Promise<{ fileId: bigint; url: string }> {
  await admin('verifiedComputing', 'updateNodeFee', [FEE + 1n]);
  expect(codeOf(await made.advance(chain.provider, dataset()))).toBe('LAZAI_FEE_ABOVE_CAP');
  await admin('verifiedComputing', 'updateNodeFee', [FEE]);
  const fileId = await contracts.filesCount();
  return { fileId, url: (await contracts.file(fileId)).url };
}

function nextUrl(generation = 0): Promise<string> {
  return journal
    .lazaiFile(target().keyOf(dataset()))
    .then((record) => fileUrl(dataset().url, record?.urlSecret ?? '', generation));
}

/** Crashes at a point the first time that it is reached. */
function crashAt(point: LazaiCrashPoint): { deps: Partial<LazaiDeps>; reached: () => boolean } {
  let reached = false;
  const crash = (name: LazaiCrashPoint): void => {
    if (name !== point || reached) return;
    reached = true;
    throw new Crash(name);
  };
  return { deps: { crashPoint: crash }, reached: () => reached };
}

describe('a dataset on LazAI', () => {
  it('becomes a token in the iDAO: one file, one paid proof, one reward', async () => {
    const made = target();
    const token = tokenOf(await made.advance(chain.provider, dataset()));
    await expectOnceEach([token]);
    expect(token).toMatchObject({
      tokenId: '1',
      lazaiScore: '42',
      fileId: '1',
      proofIndex: '1',
      owner: chain.idao,
      dataAnchoringToken: chain.addresses.dataAnchoringToken,
    });
    const file = await contracts.file(1n);
    expect(file).toMatchObject({ owner: chain.idao, hash: dataset().hash, url: token.url });
    expect(file.url).toMatch(
      /^https:\/\/data\.example\/[0-9a-f]{64}\/0\/entries\?ws=[0-9a-f]{32}$/,
    );
    expect(node.asked).toMatchObject([{ job_id: 1, file_id: 1, file_url: file.url }]);
    // Again: the journal answers, nothing is sent.
    const before = await chain.provider.getTransactionCount(operator.address);
    expect(tokenOf(await made.advance(chain.provider, dataset()))).toEqual(token);
    expect(await chain.provider.getTransactionCount(operator.address)).toBe(before);
  });

  it('each has its own url and its own content key, which only the asked node reads', async () => {
    const made = target();
    const tokens: LazaiToken[] = [];
    for (const index of [0, 1, 2]) {
      tokens.push(tokenOf(await made.advance(chain.provider, dataset(index))));
    }
    await expectOnceEach(tokens);
    const read = node.asked.map((asked) => unwrap(node.rsa, asked.encryption_key));
    const stored = await Promise.all(
      [0, 1, 2].map((index) => journal.lazaiFile(made.keyOf(dataset(index)))),
    );
    expect(read).toEqual(stored.map((record) => record?.contentKey));
    expect(new Set(read).size).toBe(3);
    expect(new Set(tokens.map(({ url }) => url.split('ws=')[1])).size).toBe(3);
    expect(log.lines.join('\n')).not.toContain(read[0]);
  });

  it('gives its content key to the readers that are named, and to no others', async () => {
    const reader = rsaKey();
    const { dataRegistry } = chain.addresses;
    const made = target({
      readers: [
        { account: dataRegistry, publicKey: null },
        { account: stranger.address, publicKey: reader.pem },
      ],
    });
    tokenOf(await made.advance(chain.provider, dataset()));
    const contentKey = (await journal.lazaiFile(made.keyOf(dataset())))?.contentKey;
    const permission = async (account: string): Promise<string> => {
      const data = DATA_REGISTRY.encodeFunctionData('getFilePermission', [1, account]);
      const result = await chain.provider.call({ to: dataRegistry, data });
      return DATA_REGISTRY.decodeFunctionResult('getFilePermission', result)[0] as string;
    };
    expect(unwrap(chain.registryKey, await permission(dataRegistry))).toBe(contentKey);
    expect(unwrap(reader, await permission(stranger.address))).toBe(contentKey);
    expect(await permission(operator.address)).toBe('');
  });

  it('is forged with the first generation of the token, which tells the url as uri', async () => {
    const token = await chain.deploy('OldDataAnchoringToken', [chain.admin.address]);
    await chain.useToken(token);
    const addresses = { ...chain.addresses, dataAnchoringToken: token };
    contracts = new LazaiContracts(chain.provider, addresses);
    await expectOnceEach([tokenOf(await target({ addresses }).advance(chain.provider, dataset()))]);
    contracts = new LazaiContracts(chain.provider, chain.addresses);
  });

  it('that changed since its intent is refused, and a malformed one too', async () => {
    const made = target();
    tokenOf(await made.advance(chain.provider, dataset()));
    const changed = { ...dataset(), hash: 'ee'.repeat(32) };
    await expect(made.advance(chain.provider, changed)).rejects.toMatchObject({
      code: 'FORGE_RECORD_MISMATCH',
    });
    const malformed = { ...dataset(1), hash: `0x${'ee'.repeat(32)}` };
    await expect(made.advance(chain.provider, malformed)).rejects.toThrow(RangeError);
    const hidden = { ...dataset(1), url: 'file:///srv/entries' };
    expect(codeOf(await made.advance(chain.provider, hidden))).toBe('LAZAI_URL_UNUSABLE');
    expect(await contracts.filesCount()).toBe(1n);
  });
});

describe('after a crash', () => {
  it.each(LAZAI_CRASH_POINTS)(
    'at %s nothing is registered, paid or minted twice',
    async (point) => {
      const { deps, reached } = crashAt(point);
      await expect(target({}, deps).advance(chain.provider, dataset())).rejects.toThrow(Crash);
      expect(reached()).toBe(true);
      nowMs += 10_000;
      const token = tokenOf(await target().advance(chain.provider, dataset()));
      await expectOnceEach([token]);
      expect(await journal.lazaiReservedWei(LAZAI_CHAIN_ID)).toBe(FEE);
    },
  );

  it.each(['register', 'request', 'reward'] as const)(
    'with the %s not mined yet, the same bytes go out and nothing else',
    async (purpose) => {
      const { deps, reached } = crashAt(`lazai:${purpose}-sent`);
      const { provider } = chain;
      let held = '';
      // Mining stops at the very transaction.
      const holding = tampered(provider, async (method, params, pass) => {
        if (method === 'eth_sendRawTransaction' && isPurpose(params[0], purpose)) {
          await pass('evm_setAutomine', [false]);
          held = Transaction.from(params[0] as string).hash ?? '';
        }
        return pass(method, params);
      });
      await expect(target({}, deps).advance(holding, dataset())).rejects.toThrow(Crash);
      expect(reached()).toBe(true);
      const waiting = await target({ minedWaitMs: 50 }).advance(provider, dataset());
      expect(codeOf(waiting)).toBe('LAZAI_NOT_MINED');
      await provider.send('evm_setAutomine', [true]);
      await chain.mine(1);
      nowMs += 10_000;
      const token = tokenOf(await target().advance(provider, dataset()));
      await expectOnceEach([token]);
      expect((await provider.getTransactionReceipt(held))?.status).toBe(1);
      // One of each: register, request, reward.
      expect(await provider.getTransactionCount(operator.address)).toBe(3);
    },
  );

  it('many times over, at every point in a row, three datasets still cost three proofs', async () => {
    const tokens: LazaiToken[] = [];
    for (const index of [0, 1, 2]) {
      for (const point of LAZAI_CRASH_POINTS) {
        const { deps } = crashAt(point);
        await target({}, deps)
          .advance(chain.provider, dataset(index))
          .catch(() => undefined);
        nowMs += 10_000;
      }
      tokens.push(tokenOf(await target().advance(chain.provider, dataset(index))));
    }
    await expectOnceEach(tokens);
    expect(await journal.lazaiReservedWei(LAZAI_CHAIN_ID)).toBe(3n * FEE);
  });

  it('with a payment signed and not sent, another dataset first sends what is before it', async () => {
    const { deps } = crashAt('lazai:request-signed');
    await expect(target({}, deps).advance(chain.provider, dataset(0))).rejects.toThrow(Crash);
    const made = target();
    expect(await journal.openLazaiFiles(LAZAI_CHAIN_ID)).toMatchObject([
      { state: 'registered', feeWei: '100' },
    ]);
    const second = tokenOf(await made.advance(chain.provider, dataset(1)));
    expect(await paidJobs()).toBe(2);
    await expectOnceEach([second, tokenOf(await made.advance(chain.provider, dataset(0)))]);
    expect(await journal.openLazaiFiles(LAZAI_CHAIN_ID)).toEqual([]);
  });

  it('of the connection at each send, whose answer is lost, everything is there once', async () => {
    const deaf = tampered(chain.provider, async (method, params, pass) => {
      const result = await pass(method, params);
      if (method === 'eth_sendRawTransaction') throw new Error('ECONNRESET');
      return result;
    });
    await expectOnceEach([tokenOf(await target().advance(deaf, dataset()))]);
  });
});

/** A node that says it took one of our calls, and did not. */
function swallowing(purpose: string): JsonRpcProvider {
  return tampered(chain.provider, async (method, params, pass) => {
    const isTaken = method === 'eth_sendRawTransaction' && isPurpose(params[0], purpose);
    return isTaken ? Transaction.from(params[0] as string).hash : pass(method, params);
  });
}

/** Which of our calls a raw transaction makes. */
function isPurpose(raw: unknown, purpose: string): boolean {
  const names = {
    register: DATA_REGISTRY.getFunction('addFileWithPermissions')?.selector,
    request: VERIFIED_COMPUTING.getFunction('requestProof')?.selector,
    reward: DATA_REGISTRY.getFunction('requestReward')?.selector,
  } as Record<string, string | undefined>;
  return Transaction.from(raw as string).data.startsWith(names[purpose] ?? 'none');
}

describe('the chain', () => {
  it('that takes back the payment gets the same bytes again, not a second payment', async () => {
    const made = target({ confirmations: 3 });
    expect(codeOf(await made.advance(chain.provider, dataset()))).toBe('LAZAI_NOT_DEEP');
    await chain.mine(3);
    const reorg = await chain.mark();
    const { deps } = crashAt('lazai:request-mined');
    const crashing = target({ confirmations: 3 }, deps);
    await expect(crashing.advance(chain.provider, dataset())).rejects.toThrow(Crash);
    expect(await paidJobs()).toBe(1);
    await reorg();
    await chain.mine(1);
    expect(await paidJobs()).toBe(0);
    const resumed = target({ confirmations: 3 });
    expect(codeOf(await resumed.advance(chain.provider, dataset()))).toBe('LAZAI_NOT_DEEP');
    await chain.mine(3);
    const token = tokenOf(await resumed.advance(chain.provider, dataset()));
    await expectOnceEach([token]);
    expect(await chain.provider.getTransactionCount(operator.address)).toBe(3);
  });

  it('that takes back registration and payment gets both again, in their order', async () => {
    const reorg = await chain.mark();
    const made = target({ confirmations: 2 });
    expect(codeOf(await made.advance(chain.provider, dataset()))).toBe('LAZAI_NOT_DEEP');
    await chain.mine(1);
    const { deps } = crashAt('lazai:request-mined');
    await expect(
      target({ confirmations: 2 }, deps).advance(chain.provider, dataset()),
    ).rejects.toThrow(Crash);
    await reorg();
    await chain.mine(1);
    expect(await contracts.filesCount()).toBe(0n);
    const resumed = target({ confirmations: 2 });
    await resumed.advance(chain.provider, dataset());
    await chain.mine(2);
    nowMs += 10_000;
    await resumed.advance(chain.provider, dataset());
    await chain.mine(2);
    nowMs += 10_000;
    await expectOnceEach([tokenOf(await resumed.advance(chain.provider, dataset()))]);
  });

  it('that gave our nonce to another transaction gets a new one, once that is deep', async () => {
    const { deps } = crashAt('lazai:request-signed');
    await expect(target({}, deps).advance(chain.provider, dataset())).rejects.toThrow(Crash);
    // The same account, from elsewhere, before our bytes are out.
    await operator.sendTransaction({ to: stranger.address, value: 1n });
    await chain.mine(1);
    const made = target({ minedWaitMs: 50 });
    expect(codeOf(await made.advance(chain.provider, dataset()))).toBe('LAZAI_NOT_MINED');
    expect(await paidJobs()).toBe(0);
    await chain.mine(1);
    await expectOnceEach([tokenOf(await made.advance(chain.provider, dataset()))]);
  });

  it('with another genesis or id is not touched', async () => {
    const count = (): Promise<number> => chain.provider.getTransactionCount(operator.address);
    const other = target({ genesisHash: `0x${'11'.repeat(32)}` });
    expect(codeOf(await other.advance(chain.provider, dataset()))).toBe('LAZAI_WRONG_GENESIS');
    const wrong = target({ chainId: LAZAI_CHAIN_ID + 1 });
    expect(codeOf(await wrong.advance(chain.provider, dataset()))).toBe('CHAIN_WRONG');
    expect(await count()).toBe(0);
    // The first genesis seen stays the only one.
    const { hash } = (await chain.provider.getBlock(0)) ?? {};
    expect(await journal.pinLazai(`genesis:${LAZAI_CHAIN_ID}`, hash ?? '')).toBe(hash);
    expect(await journal.pinLazai(`genesis:${LAZAI_CHAIN_ID}`, '0x22')).toBe(hash);
  });

  it('whose node keeps no logs makes the dataset wait', async () => {
    await registered();
    const forgetful = new Proxy(chain.provider, {
      get: (real, name) => {
        if (name === 'getLogs') return async () => [];
        const value: unknown = Reflect.get(real, name, real);
        return typeof value === 'function' ? value.bind(real) : value;
      },
    });
    expect(codeOf(await target().advance(forgetful, dataset()))).toBe('LAZAI_LOG_MISSING');
    expect(await paidJobs()).toBe(0);
    await expectOnceEach([tokenOf(await target().advance(chain.provider, dataset()))]);
  });

  it('that throttles is an error, not a word of the contract', async () => {
    const busy = tampered(chain.provider, async (method, params, pass) => {
      if (method !== 'eth_estimateGas') return pass(method, params);
      // As the client library reports any refusal of this call.
      const error = { code: -32005, message: 'limit exceeded' };
      throw makeError('missing revert data', 'CALL_EXCEPTION', {
        action: 'estimateGas',
        data: null,
        reason: null,
        transaction: { to: null, data: '0x' },
        invocation: null,
        revert: null,
        info: { error },
      });
    });
    await expect(target().advance(busy, dataset())).rejects.toThrow('missing revert data');
    await expectOnceEach([tokenOf(await target().advance(chain.provider, dataset()))]);
  });

  it('is read in bounded ranges, over as many looks as it takes', async () => {
    const made = target({ logRangeBlocks: 10, logRangesMax: 3 });
    await registered(made);
    await chain.mine(200);
    const codes = new Set<string>();
    // Three kinds of events, at most 30 blocks of each a look, of which the newest 16 are read again.
    for (let look = 0; look < 30; look++) {
      const outcome = await made.advance(chain.provider, dataset());
      if (outcome.kind === 'forged') {
        await expectOnceEach([outcome.token]);
        expect(codes).toEqual(new Set(['LAZAI_READING_LOG']));
        return;
      }
      codes.add(outcome.code);
      nowMs += 10_000;
    }
    throw new Error(`never caught up: ${[...codes].join()}`);
  });
});

describe('a transaction that waits', () => {
  const GWEI = 1_000_000_000n;
  const transactions = async () =>
    (await journal.transactions.pendingTransactions(LAZAI_CHAIN_ID)).filter(
      ({ account }) => account === operator.address,
    );

  /** Begins a dataset on a chain that mines nothing. @returns the transaction that waits. */
  async function waiting(made: LazaiTarget) {
    await chain.provider.send('evm_setAutomine', [false]);
    expect(codeOf(await made.advance(chain.provider, dataset()))).toBe('LAZAI_NOT_MINED');
    const [first, ...others] = await transactions();
    expect(others).toEqual([]);
    if (first === undefined) throw new Error('nothing was sent');
    return first;
  }

  it('is replaced under its nonce by a dearer one, and everything is there once', async () => {
    const made = target({ minedWaitMs: 300, bumpAfterMs: 100_000 });
    const first = await waiting(made);
    const eager = target({ minedWaitMs: 300, bumpAfterMs: 50 });
    expect(codeOf(await eager.advance(chain.provider, dataset()))).toBe('LAZAI_NOT_MINED');
    const [second] = await transactions();
    expect(second).toMatchObject({ nonce: first.nonce, purpose: first.purpose });
    expect(second?.hash).not.toBe(first.hash);
    expect(BigInt(second?.maxFeeWei ?? 0)).toBeGreaterThan(BigInt(first.maxFeeWei));
    await chain.provider.send('evm_setAutomine', [true]);
    await chain.provider.send('evm_mine', []);
    await expectOnceEach([tokenOf(await made.advance(chain.provider, dataset()))]);
  });

  it('may be mined after all, and the dearer one then never is', async () => {
    const made = target({ minedWaitMs: 300, bumpAfterMs: 100_000 });
    const first = await waiting(made);
    const eager = target({ minedWaitMs: 300, bumpAfterMs: 50 });
    expect(codeOf(await eager.advance(chain.provider, dataset()))).toBe('LAZAI_NOT_MINED');
    // A node that never saw the dearer one mines the first.
    for (const { hash } of await transactions()) {
      await chain.provider.send('anvil_dropTransaction', [hash]);
    }
    await chain.provider.send('eth_sendRawTransaction', [first.raw]);
    await chain.provider.send('evm_setAutomine', [true]);
    await chain.provider.send('evm_mine', []);
    expect((await chain.provider.getTransactionReceipt(first.hash))?.status).toBe(1);
    await expectOnceEach([tokenOf(await made.advance(chain.provider, dataset()))]);
    const all = await journal.transactions.transactionsAt(
      LAZAI_CHAIN_ID,
      operator.address,
      first.nonce,
    );
    expect(all.find(({ hash }) => hash === first.hash)?.state).toBe('confirmed');
    expect(all.every(({ hash, state }) => hash === first.hash || state === 'replaced')).toBe(true);
  });

  it('offers no more than the ceiling', async () => {
    const fees = { kind: 'auto' as const, ceilingWei: 4n * GWEI };
    const made = target({ minedWaitMs: 300, bumpAfterMs: 20, fees });
    await chain.provider.send('evm_setAutomine', [false]);
    for (let look = 0; look < 4; look++) {
      expect(codeOf(await made.advance(chain.provider, dataset()))).toBe('LAZAI_NOT_MINED');
    }
    const [last] = await transactions();
    expect(BigInt(last?.maxFeeWei ?? 0)).toBeLessThanOrEqual(4n * GWEI);
    await chain.provider.send('evm_setAutomine', [true]);
    await chain.provider.send('evm_mine', []);
    await expectOnceEach([tokenOf(await made.advance(chain.provider, dataset()))]);
  });
});

describe('a url', () => {
  it.each(['owner', 'hash'] as const)(
    'taken with another %s is left for a new one',
    async (what) => {
      const { deps } = crashAt('lazai:intent');
      await expect(target({}, deps).advance(chain.provider, dataset())).rejects.toThrow(Crash);
      const squatted = await nextUrl();
      const owner = what === 'owner' ? stranger.address : chain.idao;
      const hash = what === 'hash' ? 'ff'.repeat(32) : dataset().hash;
      const args = [squatted, hash, owner, []];
      const { dataRegistry } = chain.addresses;
      await chain.call(stranger, DATA_REGISTRY, dataRegistry, 'addFileWithPermissions', args);
      const token = tokenOf(await target().advance(chain.provider, dataset()));
      expect(token.fileId).toBe('2');
      expect(token.url).toBe(await nextUrl(1));
      expect(token.url).not.toBe(squatted);
      expect(await paidJobs()).toBe(1);
      expect(log.lines.some((line) => line.includes('someone else registered the url'))).toBe(true);
    },
  );

  it('taken by who saw our transaction coming costs a new one, not a second file of ours', async () => {
    let robbed = 0;
    const watched = tampered(chain.provider, async (method, params, pass) => {
      const isSend = method === 'eth_sendRawTransaction';
      if (isSend && isPurpose(params[0], 'register') && robbed++ === 0) {
        const [url, hash] = DATA_REGISTRY.decodeFunctionData(
          'addFileWithPermissions',
          Transaction.from(params[0] as string).data,
        );
        const { dataRegistry } = chain.addresses;
        const args = [url, hash, stranger.address, []];
        await chain.call(stranger, DATA_REGISTRY, dataRegistry, 'addFileWithPermissions', args);
      }
      return pass(method, params);
    });
    const made = target();
    expect(codeOf(await made.advance(watched, dataset()))).toBe('LAZAI_NOT_DEEP');
    const token = tokenOf(await made.advance(watched, dataset()));
    expect(token.fileId).toBe('2');
    expect(await contracts.filesCount()).toBe(2n);
    expect(await paidJobs()).toBe(1);
  });

  it('copied whole, owner and hash too, is as good as ours', async () => {
    const { deps } = crashAt('lazai:intent');
    await expect(target({}, deps).advance(chain.provider, dataset())).rejects.toThrow(Crash);
    const args = [await nextUrl(), dataset().hash, chain.idao, []];
    const { dataRegistry } = chain.addresses;
    await chain.call(stranger, DATA_REGISTRY, dataRegistry, 'addFileWithPermissions', args);
    await expectOnceEach([tokenOf(await target().advance(chain.provider, dataset()))]);
  });

  it('taken again and again makes the dataset wait, and goes on at the next look', async () => {
    const { deps } = crashAt('lazai:intent');
    await expect(target({}, deps).advance(chain.provider, dataset())).rejects.toThrow(Crash);
    for (let generation = 0; generation < 5; generation++) {
      const { dataRegistry } = chain.addresses;
      await chain.call(stranger, ADMIN, dataRegistry, 'addFile', [await nextUrl(generation), '']);
    }
    const made = target();
    expect(codeOf(await made.advance(chain.provider, dataset()))).toBe('LAZAI_URL_SQUATTED');
    expect(tokenOf(await made.advance(chain.provider, dataset())).fileId).toBe('6');
  });
});

describe('the fee', () => {
  it('above the cap is not paid, and the file is there once it falls', async () => {
    await registered();
    expect(await paidJobs()).toBe(0);
    await expectOnceEach([tokenOf(await target().advance(chain.provider, dataset()))]);
  });

  it('of all files together stays below its cap', async () => {
    const made = target({ spendMaxWei: 2n * FEE });
    const tokens = [
      tokenOf(await made.advance(chain.provider, dataset(0))),
      tokenOf(await made.advance(chain.provider, dataset(1))),
    ];
    expect(codeOf(await made.advance(chain.provider, dataset(2)))).toBe('LAZAI_SPEND_CAP_REACHED');
    expect(await paidJobs()).toBe(2);
    const raised = target({ spendMaxWei: 3n * FEE });
    tokens.push(tokenOf(await raised.advance(chain.provider, dataset(2))));
    await expectOnceEach(tokens);
  });

  it('set aside before a crash counts, whether or not it was sent', async () => {
    const { deps } = crashAt('lazai:reserved');
    await expect(target({}, deps).advance(chain.provider, dataset(0))).rejects.toThrow(Crash);
    const made = target({ spendMaxWei: FEE });
    expect(codeOf(await made.advance(chain.provider, dataset(1)))).toBe('LAZAI_SPEND_CAP_REACHED');
    tokenOf(await made.advance(chain.provider, dataset(0)));
    expect(await paidJobs()).toBe(1);
  });

  it('raised while the payment is on its way fails, and is paid once in the end', async () => {
    const { deps } = crashAt('lazai:request-signed');
    await expect(target({}, deps).advance(chain.provider, dataset())).rejects.toThrow(Crash);
    await admin('verifiedComputing', 'updateNodeFee', [2n * FEE]);
    const made = target({ feeMaxWei: 2n * FEE });
    const codes: string[] = [];
    for (let look = 0; look < 5; look++) {
      const outcome = await made.advance(chain.provider, dataset());
      codes.push(codeOf(outcome));
      if (outcome.kind === 'forged') break;
    }
    expect(codes.at(-1)).toBe('forged');
    const jobs = await jobEvents();
    expect(jobs).toEqual([{ owner: operator.address, fee: 2n * FEE }]);
    expect(await journal.lazaiReservedWei(LAZAI_CHAIN_ID)).toBe(2n * FEE);
  });

  it('of a payment that is signed stays set aside, whatever the fee becomes', async () => {
    await registered();
    const made = target({ minedWaitMs: 50 });
    for (const fee of [FEE, FEE / 2n, FEE * 2n]) {
      await admin('verifiedComputing', 'updateNodeFee', [fee]);
      const outcome = await made.advance(swallowing('request'), dataset());
      expect(codeOf(outcome)).toBe('LAZAI_NOT_MINED');
      expect(await journal.lazaiReservedWei(LAZAI_CHAIN_ID)).toBe(FEE);
    }
    await admin('verifiedComputing', 'updateNodeFee', [FEE / 2n]);
    await expectOnceEach([tokenOf(await target().advance(chain.provider, dataset()))]);
  });

  it('is not paid anew before the failed payment is deep: a reorg could make it good', async () => {
    const options = { confirmations: 3, feeMaxWei: 2n * FEE };
    const made = target(options);
    await made.advance(chain.provider, dataset());
    await chain.mine(3);
    const { deps } = crashAt('lazai:request-signed');
    await expect(target(options, deps).advance(chain.provider, dataset())).rejects.toThrow(Crash);
    await admin('verifiedComputing', 'updateNodeFee', [2n * FEE]);
    for (let look = 0; look < 2; look++) {
      expect(codeOf(await made.advance(chain.provider, dataset()))).toBe('LAZAI_NOT_DEEP');
      expect(await chain.provider.getTransactionCount(operator.address)).toBe(2);
    }
    await chain.mine(3);
    expect(codeOf(await made.advance(chain.provider, dataset()))).toBe('LAZAI_NOT_DEEP');
    await chain.mine(3);
    tokenOf(await made.advance(chain.provider, dataset()));
    expect(await jobEvents()).toEqual([{ owner: operator.address, fee: 2n * FEE }]);
  });

  it('is not paid again when the journal is an older copy that does not know of it', async () => {
    const file = join(folder, 'ledger.sqlite');
    const first = crashAt('lazai:reserved');
    await expect(target({}, first.deps).advance(chain.provider, dataset())).rejects.toThrow(Crash);
    journal.close();
    copyFileSync(file, `${file}.backup`);
    journal = openTestJournal(file);
    const second = crashAt('lazai:request-mined');
    await expect(target({}, second.deps).advance(chain.provider, dataset())).rejects.toThrow(Crash);
    journal.close();
    copyFileSync(`${file}.backup`, file);
    journal = openTestJournal(file);
    await expectOnceEach([tokenOf(await target().advance(chain.provider, dataset()))]);
  });

  it('raised at the last moment is refused before anything is signed', async () => {
    await registered();
    let raised = false;
    const racing = tampered(chain.provider, async (method, params, pass) => {
      if (method === 'eth_estimateGas' && !raised) {
        raised = true;
        await admin('verifiedComputing', 'updateNodeFee', [FEE + 1n]);
      }
      return pass(method, params);
    });
    const outcome = await target().advance(racing, dataset());
    expect(outcome).toMatchObject({ code: 'LAZAI_REFUSED' });
    expect(outcome).toMatchObject({ message: expect.stringContaining('InsufficientFee') });
    expect(await chain.provider.getTransactionCount(operator.address)).toBe(1);
  });

  it('is not paid while no node is listed or the account is empty', async () => {
    await registered();
    await node.unlist();
    const made = target();
    expect(codeOf(await made.advance(chain.provider, dataset()))).toBe('LAZAI_NO_ACTIVE_NODES');
    await node.list();
    await chain.provider.send('anvil_setBalance', [operator.address, '0x1']);
    expect(codeOf(await made.advance(chain.provider, dataset()))).toBe('LAZAI_NO_FUNDS');
    expect(await paidJobs()).toBe(0);
    await chain.provider.send('anvil_setBalance', [operator.address, toQuantity(10n ** 18n)]);
    await expectOnceEach([tokenOf(await made.advance(chain.provider, dataset()))]);
  });
});

describe('a node', () => {
  it('that answers 500 after its proof, as all do without a fee, is believed by the event', async () => {
    await admin('verifiedComputing', 'updateNodeFee', [0]);
    const token = tokenOf(await target().advance(chain.provider, dataset()));
    expect(node.answers).toEqual([500]);
    expect(token.lazaiScore).toBe('42');
    expect(await jobEvents()).toEqual([{ owner: operator.address, fee: 0n }]);
  });

  it('that proves and hangs up is believed by the event', async () => {
    node.mood = 'hangs up';
    await expectOnceEach([tokenOf(await target().advance(chain.provider, dataset()))]);
  });

  it.each(['silent', 'idle'] as const)(
    'that stays %s is asked again after a while, and not paid again',
    async (mood) => {
      node.mood = mood;
      const made = target({ nodeTimeoutMs: 300 });
      expect(codeOf(await made.advance(chain.provider, dataset()))).toBe('LAZAI_PROOF_PENDING');
      // Not before its time, not after a restart either.
      expect(codeOf(await target().advance(chain.provider, dataset()))).toBe('LAZAI_PROOF_PENDING');
      expect(node.asked).toHaveLength(1);
      nowMs += 1_001;
      expect(codeOf(await made.advance(chain.provider, dataset()))).toBe('LAZAI_PROOF_PENDING');
      expect(node.asked).toHaveLength(2);
      // The second wait is twice as long.
      nowMs += 1_001;
      await made.advance(chain.provider, dataset());
      expect(node.asked).toHaveLength(2);
      node.mood = 'honest';
      nowMs += 1_000;
      await expectOnceEach([tokenOf(await target().advance(chain.provider, dataset()))]);
    },
  );

  it('that proves later, on its own, needs no further request', async () => {
    node.mood = 'idle';
    const made = target();
    await made.advance(chain.provider, dataset());
    const { url } = await contracts.file(1n);
    await node.addProof(1n, await node.sign(1n, url));
    await expectOnceEach([tokenOf(await made.advance(chain.provider, dataset()))]);
    expect(node.asked).toHaveLength(1);
  });

  it('that takes the fee without a proof is told, and nothing more is paid', async () => {
    node.mood = 'thief';
    const made = target();
    await made.advance(chain.provider, dataset());
    nowMs += 10_000;
    expect(codeOf(await made.advance(chain.provider, dataset()))).toBe('LAZAI_PAID_WITHOUT_PROOF');
    expect(await paidJobs()).toBe(1);
    // The operator pays another request from any wallet.
    node.mood = 'honest';
    const { verifiedComputing } = chain.addresses;
    await chain.call(stranger, VERIFIED_COMPUTING, verifiedComputing, 'requestProof', [1], FEE);
    await expectOnceEach([tokenOf(await made.advance(chain.provider, dataset()))]);
  });

  it('removed after it signed makes the dataset wait, until it or another counts', async () => {
    node.beforeProof = () => node.unlist();
    const made = target();
    expect(codeOf(await made.advance(chain.provider, dataset()))).toBe('LAZAI_NODE_REMOVED');
    expect(await contracts.currentTokenId()).toBe(0n);
    const other = await newNode();
    const { url } = await contracts.file(1n);
    await other.addProof(1n, await other.sign(1n, url, 7n));
    const token = tokenOf(await made.advance(chain.provider, dataset()));
    expect(token).toMatchObject({ lazaiScore: '7', proofIndex: '2' });
    await expectOnceEach([token]);
  });

  it('removed before it proved makes the dataset wait', async () => {
    node.mood = 'idle';
    const made = target();
    await made.advance(chain.provider, dataset());
    await node.unlist();
    nowMs += 10_000;
    expect(codeOf(await made.advance(chain.provider, dataset()))).toBe('LAZAI_NODE_REMOVED');
    node.mood = 'honest';
    await node.list();
    await expectOnceEach([tokenOf(await made.advance(chain.provider, dataset()))]);
  });

  it('that scores 0 gets no token minted, since that could be repeated by anyone', async () => {
    node.score = 0n;
    const made = target();
    expect(codeOf(await made.advance(chain.provider, dataset()))).toBe('LAZAI_SCORE_ZERO');
    expect(await contracts.currentTokenId()).toBe(0n);
    // Someone redeems the zero twice; the file stays open for a real reward.
    const { dataRegistry } = chain.addresses;
    for (const _ of [1, 2]) {
      await chain.call(stranger, DATA_REGISTRY, dataRegistry, 'requestReward', [1, 1]);
    }
    expect(codeOf(await made.advance(chain.provider, dataset()))).toBe('LAZAI_SCORE_ZERO');
    const { url } = await contracts.file(1n);
    await node.addProof(1n, await node.sign(1n, url, 9n));
    const token = tokenOf(await made.advance(chain.provider, dataset()));
    expect(token).toMatchObject({ tokenId: '3', lazaiScore: '9' });
    expect(await paidJobs()).toBe(1);
  });

  it('whose RSA key changed gets nothing, until the operator accepts the new one', async () => {
    const made = target();
    tokenOf(await made.advance(chain.provider, dataset(0)));
    await node.unlist();
    const thief = rsaKey();
    await node.list(thief.pem);
    const outcome = await made.advance(chain.provider, dataset(1));
    expect(codeOf(outcome)).toBe('LAZAI_PUBLIC_KEY_CHANGED');
    expect(node.asked).toHaveLength(1);
    const fingerprint = /now it is ([0-9a-f]{64})/.exec(
      outcome.kind === 'waits' ? outcome.message : '',
    )?.[1];
    const accepting = target({ acceptedKeys: [fingerprint ?? ''] });
    tokenOf(await accepting.advance(chain.provider, dataset(1)));
    expect(node.asked).toHaveLength(2);
  });

  it('whose RSA key cannot be read is not asked', async () => {
    await node.unlist();
    await node.list('0x1234567890abcdef');
    const made = target();
    expect(codeOf(await made.advance(chain.provider, dataset()))).toBe('LAZAI_KEY_UNREADABLE');
    expect(node.asked).toHaveLength(0);
  });
});

describe('a registry', () => {
  it('whose RSA key changed gets no content key', async () => {
    const readers = [{ account: chain.addresses.dataRegistry, publicKey: null }];
    const made = target({ readers });
    tokenOf(await made.advance(chain.provider, dataset(0)));
    await admin('dataRegistry', 'updatePublicKey', [rsaKey().pem]);
    expect(codeOf(await made.advance(chain.provider, dataset(1)))).toBe('LAZAI_PUBLIC_KEY_CHANGED');
    expect(await contracts.filesCount()).toBe(1n);
  });

  it('that is paused makes the dataset wait, at any step', async () => {
    const pause = (): Promise<void> => admin('dataRegistry', 'pause', []);
    const unpause = (): Promise<void> => admin('dataRegistry', 'unpause', []);
    const made = target();
    await pause();
    expect(codeOf(await made.advance(chain.provider, dataset()))).toBe('LAZAI_PAUSED');
    await unpause();
    await admin('verifiedComputing', 'pause', []);
    expect(codeOf(await made.advance(chain.provider, dataset()))).toBe('LAZAI_PAUSED');
    await admin('verifiedComputing', 'unpause', []);
    const { deps } = crashAt('lazai:proven');
    await expect(target({}, deps).advance(chain.provider, dataset())).rejects.toThrow(Crash);
    await pause();
    expect(codeOf(await made.advance(chain.provider, dataset()))).toBe('LAZAI_PAUSED');
    await unpause();
    await expectOnceEach([tokenOf(await made.advance(chain.provider, dataset()))]);
  });

  it('that uses other contracts than configured is not paid', async () => {
    await registered();
    await admin('dataRegistry', 'updateVerifiedComputing', [stranger.address]);
    const made = target();
    expect(codeOf(await made.advance(chain.provider, dataset()))).toBe('LAZAI_WRONG_CONTRACT');
    expect(await paidJobs()).toBe(0);
  });

  it('is given nothing for an owner that cannot hold its tokens', async () => {
    const noReceiver = chain.addresses.verifiedComputing;
    const outcome = await target({ idao: noReceiver }).advance(chain.provider, dataset());
    expect(codeOf(outcome)).toBe('LAZAI_OWNER_REFUSES');
    const nobody = await target({ idao: stranger.address }).advance(chain.provider, dataset());
    expect(codeOf(nobody)).toBe('LAZAI_OWNER_NO_CODE');
    expect(await contracts.filesCount()).toBe(0n);
  });
});

describe('the codes', () => {
  it('are all explained in the README', () => {
    const readme = readFileSync(new URL('README.md', import.meta.url), 'utf8');
    expect(LAZAI_CODES.filter((code) => !readme.includes(`\`${code}\``))).toEqual([]);
  });
});

describe('a stranger', () => {
  it('who puts junk first does not hold up the token', async () => {
    node.beforeProof = async ({ fileId, url }) => {
      const id = BigInt(fileId);
      const good = await node.sign(id, url);
      const forged = await stranger.signMessage('anything');
      const junk = [
        { signature: '0x', data: { id: 0n, score: 0n, fileUrl: '', proofUrl: '' } },
        // Signed by the node: for another file, for another url, and with another score than shown.
        await node.sign(id + 1n, url),
        await node.sign(id, 'https://data.example/other'),
        { ...good, data: { ...good.data, score: 10_000n } },
        { ...good, signature: forged },
        { ...good, signature: Signature.from(good.signature).compactSerialized },
      ];
      for (const proof of junk) await node.addProof(id, proof, stranger);
    };
    const token = tokenOf(await target().advance(chain.provider, dataset()));
    expect(token).toMatchObject({ proofIndex: '7', lazaiScore: '42' });
    await expectOnceEach([token]);
  });

  it('who adds more junk than one look reads only costs looks', async () => {
    node.beforeProof = async ({ fileId, url }) => {
      const good = await node.sign(BigInt(fileId), url);
      for (let i = 0; i < 70; i++) {
        // Fits the file, signed by nobody on the list.
        const proof = { ...good, data: { ...good.data, score: BigInt(i + 1_000) } };
        await node.addProof(BigInt(fileId), proof, stranger);
      }
    };
    const made = target();
    expect(codeOf(await made.advance(chain.provider, dataset()))).toBe('LAZAI_READING_LOG');
    await expectOnceEach([tokenOf(await made.advance(chain.provider, dataset()))]);
  });

  it('who redeems our proof mints for us, and nothing is minted again', async () => {
    const { deps } = crashAt('lazai:proven');
    await expect(target({}, deps).advance(chain.provider, dataset())).rejects.toThrow(Crash);
    const { dataRegistry } = chain.addresses;
    await chain.call(stranger, DATA_REGISTRY, dataRegistry, 'requestReward', [1, 1]);
    await expectOnceEach([tokenOf(await target().advance(chain.provider, dataset()))]);
  });

  it('who redeems it while our own transaction is open leaves no gap in our nonces', async () => {
    const { deps } = crashAt('lazai:reward-signed');
    await expect(target({}, deps).advance(chain.provider, dataset(0))).rejects.toThrow(Crash);
    const { dataRegistry } = chain.addresses;
    await chain.call(stranger, DATA_REGISTRY, dataRegistry, 'requestReward', [1, 1]);
    const made = target();
    expect(codeOf(await made.advance(swallowing('reward'), dataset(0)))).toBe('LAZAI_NOT_MINED');
    const tokens = [tokenOf(await made.advance(chain.provider, dataset(0)))];
    tokens.push(tokenOf(await made.advance(chain.provider, dataset(1))));
    await expectOnceEach(tokens);
  });

  it('who pays for jobs of a file that is not there yet changes nothing', async () => {
    const { verifiedComputing } = chain.addresses;
    await chain.call(stranger, VERIFIED_COMPUTING, verifiedComputing, 'requestProof', [1], FEE);
    await expectOnceEach([tokenOf(await target().advance(chain.provider, dataset()))]);
    expect(node.asked.map(({ job_id }) => job_id)).toEqual([2]);
  });
});
