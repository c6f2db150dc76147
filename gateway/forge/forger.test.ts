import { cpSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { getBytes, NonceManager, type Result } from 'ethers';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  Challenges__factory,
  DAT__factory,
  type DatasetForge,
  DatasetForge__factory,
  DeviceRegistry__factory,
  IDAO__factory,
} from '../contracts/types/index.js';
import { WaystoneError } from '../core/errors.js';
import type { ForgeDataset, ForgeJournal } from '../core/forge-ports.js';
import { DEFAULT_IDAO_SALT, idaoAddress } from './addresses.js';
import { connectChain } from './chain-client.js';
import { RpcChainReader } from './chain-reader.js';
import { FORGE_CRASH_POINTS, type ForgeCrashPoint } from './crash-points.js';
import { Forger, type ForgerDeps, type ForgerOptions } from './forger.js';
import { jsonRpc } from './json-rpc.js';
import { LOCAL_CHAIN_ID, LocalChain } from './local-chain.js';
import { journalIn, MemoryDatasets, MemoryLog, someKey, temporaryFolder } from './testing.js';

const GATEWAY = someKey('gateway');

const NOBODY = `0x${'12'.repeat(20)}`;
const NOWHERE = {
  factory: NOBODY,
  registry: NOBODY,
  dat: NOBODY,
  datasetForge: NOBODY,
  challenges: NOBODY,
};

let folder: string;
let remove: () => void;
let chain: LocalChain;
let db: Database.Database;
let journal: ForgeJournal;
let datasets: MemoryDatasets;
let log: MemoryLog;
const forgers: Forger[] = [];

// One chain with its contracts, copied for each test: creating them takes longer than most tests.
const template = temporaryFolder();

beforeAll(async () => {
  const first = new LocalChain({ folder: template.folder }, { log: new MemoryLog() });
  await first.start();
  await first.stop();
});

afterAll(() => template.remove());

beforeEach(async () => {
  ({ folder, remove } = temporaryFolder());
  cpSync(template.folder, join(folder, 'chain'), { recursive: true });
  log = new MemoryLog();
  datasets = new MemoryDatasets();
  db = new Database(join(folder, 'ledger.sqlite'));
  db.pragma('journal_mode = WAL');
  db.pragma('synchronous = FULL');
  db.pragma('foreign_keys = ON');
  journal = journalIn(db);
  chain = new LocalChain({ folder: join(folder, 'chain') }, { log });
  await chain.start();
});

afterEach(async () => {
  for (const forger of forgers.splice(0)) await forger.stop();
  await chain.stop();
  db.close();
  remove();
});

function forger(deps: Partial<ForgerDeps> = {}, options: Partial<ForgerOptions> = {}): Forger {
  const { keys } = chain;
  const made = new Forger(
    {
      chainId: LOCAL_CHAIN_ID,
      contracts: keys.contracts,
      idao: keys.idao,
      idaoSalt: DEFAULT_IDAO_SALT,
      idaoName: 'test',
      idaoDescription: '',
      gateway: GATEWAY,
      terms: {
        quotaCalls: 1000,
        shareWeight: 100,
        expiresAfterDays: 0,
        policyUrl: 'ipfs://policy',
      },
      confirmation: { kind: 'durable' },
      retryMinMs: 1,
      retryMaxMs: 20,
      idleMs: 50,
      ...options,
    },
    {
      journal,
      datasets,
      chain,
      operator: keys.operator,
      owner: keys.owner,
      log,
      crashPoint: () => undefined,
      ...deps,
    },
  );
  forgers.push(made);
  return made;
}

/** Passes until nothing is left, as the loop would; a dataset that fails for good ends it with its error. */
async function settle(made: Forger): Promise<void> {
  let error: unknown = null;
  for (let attempt = 0; attempt < 40; attempt++) {
    try {
      error = null;
      const { more } = await made.pass();
      if (!more && datasets.results.length === datasets.sealed.length) return;
    } catch (caught) {
      error = caught;
      await nodeIsUp();
    }
  }
  throw error ?? new Error(`not settled:\n${log.lines.join('\n')}`);
}

async function nodeIsUp(): Promise<void> {
  while (chain.status().state !== 'running') await new Promise((resolve) => setTimeout(resolve, 5));
}

async function killNode(): Promise<void> {
  const { pid, restarts } = chain.status();
  process.kill(pid as number, 'SIGKILL');
  while (chain.status().restarts === restarts)
    await new Promise((resolve) => setTimeout(resolve, 5));
  await nodeIsUp();
}

/** What the chain itself says: tokens of the iDAO, and how often each dataset was minted. */
async function mintedOnChain(): Promise<{ balance: number; mints: string[] }> {
  const provider = connectChain(chain.url, LOCAL_CHAIN_ID);
  const dat = DAT__factory.connect(chain.keys.contracts.dat, provider);
  const events = await dat.queryFilter(dat.filters.Minted(), 0);
  const balance = Number(await dat.balanceOf(chain.keys.idao));
  provider.destroy();
  return { balance, mints: events.map((event) => String(event.args.tokenId)) };
}

/** One DAT for each sealed dataset, each owned by the iDAO, each as reported and as verifiers see it. */
async function expectOneDatEach(): Promise<void> {
  const count = datasets.sealed.length;
  const { balance, mints } = await mintedOnChain();
  expect(balance).toBe(count);
  expect(new Set(mints).size).toBe(mints.length);
  expect([...mints].sort()).toEqual(datasets.results.map(({ tokenId }) => tokenId).sort());
  const reader = new RpcChainReader({
    url: chain.url,
    datasetForge: chain.keys.contracts.datasetForge,
  });
  for (const dataset of datasets.sealed) {
    const seen = await reader.datasetOnChain(
      { chainId: LOCAL_CHAIN_ID, idao: chain.keys.idao },
      { logId: Buffer.from(dataset.logId, 'hex'), index: dataset.index },
    );
    expect(seen).toMatchObject({
      ...{ status: 'forged', count: dataset.count, owner: chain.keys.idao },
      ...{ minTimeUs: dataset.minTimeUs, maxTimeUs: dataset.maxTimeUs },
      tokenId: datasets.results.find(({ index }) => index === dataset.index)?.tokenId,
    });
    if (seen.status === 'absent') continue;
    expect(Buffer.from(seen.root).toString('hex')).toBe(dataset.root);
    expect(Buffer.from(seen.manifestHash).toString('hex')).toBe(dataset.manifestHash);
    expect(Buffer.from(seen.gateway).toString('hex')).toBe(GATEWAY.deviceId);
  }
  reader.close();
}

/** The rules that hold in the journal at every moment. */
function expectJournalRules(): void {
  const shared = db
    .prepare(
      `SELECT account, nonce, count(*) AS n FROM chain_tx WHERE state IN ('signed', 'sent', 'mined')
       GROUP BY account, nonce HAVING n > 1`,
    )
    .all();
  expect(shared).toEqual([]);
  const early = db
    .prepare(
      `SELECT hash FROM chain_tx JOIN chain_intent ON key = intent_key
       WHERE chain_tx.created_at_us < chain_intent.created_at_us`,
    )
    .all();
  expect(early).toEqual([]);
}

class Crash extends Error {}

/** Dies, once, at a point. */
function crashAt(point: ForgeCrashPoint): (name: ForgeCrashPoint) => void {
  let armed = true;
  return (name) => {
    if (!armed || name !== point) return;
    armed = false;
    throw new Crash(name);
  };
}

it('forges what is sealed: one DAT each, owned by the iDAO, in log order', async () => {
  datasets.seal(3);
  const made = forger();
  await settle(made);
  await expectOneDatEach();
  expectJournalRules();
  expect(datasets.reports.map(({ index }) => index)).toEqual([0, 1, 2]);
  for (const result of datasets.results) {
    expect(result.owner).toBe(chain.keys.idao);
    const receipt = await jsonRpc(chain.url, 'eth_getTransactionReceipt', [result.transaction]);
    expect(receipt).toMatchObject({
      status: '0x1',
      to: chain.keys.contracts.datasetForge.toLowerCase(),
    });
    expect(result.blockNumber).toBeLessThanOrEqual(chain.status().durableBlock as number);
  }
});

it('mints with the terms that were set', async () => {
  // Registers the device, so that the intent is the first thing after the clock is set.
  datasets.seal(1);
  await settle(forger());
  datasets.seal(1, { devices: [someKey('device a')] });
  // The chain judges expiry, so its time counts, whatever our own clock says.
  await jsonRpc(chain.url, 'evm_setNextBlockTimestamp', [1_900_000_000]);
  await settle(
    forger(
      {},
      { terms: { quotaCalls: 77, shareWeight: 9, expiresAfterDays: 10, policyUrl: 'ipfs://x' } },
    ),
  );
  const provider = connectChain(chain.url, LOCAL_CHAIN_ID);
  const dat = DAT__factory.connect(chain.keys.contracts.dat, provider);
  const tokenId = datasets.results[1]?.tokenId as string;
  // Every object has a valueOf already, so the contract's must be asked for by name.
  expect(await dat.getFunction('valueOf')(tokenId)).toBe(77n);
  expect(await dat.shareRatioOf(tokenId)).toBe(9n);
  expect(await dat.expireAtOf(tokenId)).toBe(1_900_000_000n + 864_000n);
  expect((await dat.getClassMeta(tokenId))[3]).toBe('ipfs://x');
  provider.destroy();
});

it('takes more datasets than fit one pass', async () => {
  datasets.seal(19);
  await settle(forger());
  await expectOneDatEach();
});

describe.each(['the node lives on', 'the node is killed too'] as const)(
  'killed, while %s',
  (what) => {
    it.each(FORGE_CRASH_POINTS)(
      'right after %s, every dataset gets exactly one DAT',
      async (point) => {
        datasets.seal(2);
        await expect(forger({ crashPoint: crashAt(point) }).pass()).rejects.toThrow(point);
        if (what === 'the node is killed too') await killNode();
        expectJournalRules();
        await settle(forger());
        await expectOneDatEach();
        expectJournalRules();
      },
    );
  },
);

it('takes up a signed transaction with the same bytes, not a second one', async () => {
  datasets.seal(1);
  const crashed = forger({ crashPoint: crashAt('forge:commit-signed') });
  await expect(crashed.pass()).rejects.toThrow(Crash);
  const [signed] = await journal.pendingTransactions(LOCAL_CHAIN_ID);
  await settle(forger());
  const intents = db.prepare(`SELECT key FROM chain_intent WHERE kind = 'dataset'`).pluck().all();
  const sent = await journal.transactions(intents[0] as string);
  expect(sent.map(({ purpose, state }) => [purpose, state])).toEqual([
    ['commit', 'confirmed'],
    ['finalise', 'confirmed'],
  ]);
  expect(sent[0]?.hash).toBe(signed?.hash);
});

it('mints again, under the same ids, what a killed node had not kept', async () => {
  datasets.seal(1);
  await settle(forger());
  datasets.seal(2);
  // Dies before the state is durable.
  const unkept = forger({
    chain: {
      get url() {
        return chain.url;
      },
      persist: async () => {
        throw new Crash('no dump');
      },
    },
  });
  await expect(unkept.pass()).rejects.toThrow('no dump');
  const before = await mintedOnChain();
  expect(before.balance).toBe(3);
  await killNode();
  expect((await mintedOnChain()).balance).toBe(1);
  await settle(forger());
  await expectOneDatEach();
  expect((await mintedOnChain()).mints.sort()).toEqual(before.mints.sort());
});

it('forges everything again on a chain that lost its whole past', async () => {
  datasets.seal(2);
  await settle(forger());
  const before = datasets.results.map(({ tokenId }) => tokenId);
  await chain.stop();
  for (const name of readdirSync(join(folder, 'chain'))) {
    if (name.startsWith('state-')) rmSync(join(folder, 'chain', name));
  }
  await chain.start();
  expect((await mintedOnChain()).balance).toBe(0);
  const made = forger();
  // Nothing new is sealed: the journal alone knows what is missing.
  await made.pass();
  await settle(made);
  await expectOneDatEach();
  expect(datasets.results.map(({ tokenId }) => tokenId)).toEqual(before);
  expect(log.lines.join('\n')).toContain('the chain went back');
});

it('finds on chain what its journal has lost', async () => {
  datasets.seal(2);
  await settle(forger());
  db.exec('DELETE FROM chain_tx; DELETE FROM chain_account; DELETE FROM chain_intent;');
  const again = new MemoryDatasets();
  for (const dataset of datasets.sealed) again.seal(1, dataset);
  const balance = (await mintedOnChain()).balance;
  const made = forger({ datasets: { ...bind(again), committed: async () => undefined } });
  await made.pass();
  expect((await mintedOnChain()).balance).toBe(balance);
  expect(again.results.map(({ tokenId, transaction }) => [tokenId, transaction])).toEqual(
    datasets.results.map(({ tokenId, transaction }) => [tokenId, transaction]),
  );
});

function bind(
  from: MemoryDatasets,
): Pick<
  MemoryDatasets,
  'ready' | 'forged' | 'entry' | 'publish' | 'describe' | 'proofs' | 'inspect'
> {
  return {
    ready: from.ready.bind(from),
    forged: from.forged.bind(from),
    entry: from.entry.bind(from),
    publish: from.publish.bind(from),
    describe: from.describe.bind(from),
    proofs: from.proofs.bind(from),
    inspect: from.inspect.bind(from),
  };
}

it('raises an alarm when another record is on chain, and goes on with the others', async () => {
  datasets.seal(2);
  await settle(forger());
  db.exec('DELETE FROM chain_tx; DELETE FROM chain_account; DELETE FROM chain_intent;');
  const again = new MemoryDatasets();
  const [first, second] = datasets.sealed;
  again.seal(1, { ...first, root: 'ee'.repeat(32) });
  again.seal(1, second);
  const made = forger({ datasets: { ...bind(again), committed: async () => undefined } });
  await expect(made.pass()).rejects.toMatchObject({ code: 'FORGE_RECORD_MISMATCH' });
  expect(again.results.map(({ index }) => index)).toEqual([1]);
  expect(made.status().datasets).toMatchObject([
    { index: 0, waitsFor: expect.stringContaining('another record') },
  ]);
});

it('gives up a dataset that is void, and goes on with the others', async () => {
  const windowed = new LocalChain(
    { folder: join(folder, 'windowed'), windowSeconds: 3600 },
    { log },
  );
  await windowed.start();
  const { keys, url } = windowed;
  const provider = connectChain(url, LOCAL_CHAIN_ID);
  try {
    datasets.seal(2);
    const { operator, owner, contracts, idao } = keys;
    const made = forger({ chain: windowed, operator, owner }, { contracts, idao });
    await made.pass();
    expect(made.status().datasets).toMatchObject([
      { index: 0, waitsFor: expect.stringContaining('window is open until') },
      { index: 1, waitsFor: expect.stringContaining('window is open until') },
    ]);
    const datasetForge = DatasetForge__factory.connect(contracts.datasetForge, provider);
    const [event] = await datasetForge.queryFilter(datasetForge.filters.DatasetCommitted(), 0);
    const told = (event as NonNullable<typeof event>).args.record as unknown as Result;
    const record = told.toObject() as DatasetForge.RecordStruct;
    // Nobody shows the entry; on a local chain there is no time for it, and nothing to lose.
    const challenger = new NonceManager(owner.connect(provider));
    const challenges = Challenges__factory.connect(contracts.challenges, challenger);
    await (await challenges.askForEntry(record, 0)).wait();
    await (await challenges.settleWithheld(record, 0)).wait();

    await expect(made.pass()).rejects.toMatchObject({ code: 'FORGE_VOID' });
    await provider.send('evm_increaseTime', [3600]);
    await provider.send('evm_mine', []);
    await expect(made.pass()).rejects.toMatchObject({ code: 'FORGE_VOID' });
    expect(datasets.results.map(({ index }) => index)).toEqual([1]);

    const reader = new RpcChainReader({ url, datasetForge: contracts.datasetForge });
    const name = { logId: getBytes(record.logId), index: Number(record.index) };
    const view = await reader.datasetOnChain({ chainId: LOCAL_CHAIN_ID, idao }, name);
    expect(view).toMatchObject({ status: 'void', tokenId: null, owner: null });
    reader.close();
  } finally {
    provider.destroy();
    await windowed.stop();
  }
});

it('puts nothing on chain before its entries are published', async () => {
  datasets.seal(2);
  const [first] = datasets.sealed;
  const failing = {
    ...bind(datasets),
    committed: async () => undefined,
    publish: async () => {
      throw new WaystoneError('PUBLISH_FAILED', 'the folder is full');
    },
  };
  const made = forger({ datasets: failing });
  await expect(made.pass()).rejects.toMatchObject({ code: 'PUBLISH_FAILED' });
  expect(await journal.openIntents(LOCAL_CHAIN_ID, 'dataset')).toEqual([]);
  await settle(forger());
  expect(datasets.published).toEqual(datasets.sealed.map(({ root }) => root));
  await expectOneDatEach();
  const [result] = datasets.results;
  const metadata = JSON.parse(datasets.metadata.get(result?.tokenId ?? '') ?? '');
  expect(metadata).toMatchObject({
    class: '0x01',
    proof: { type: 'OP', hash: `0x${first?.manifestHash}`, verifiedBy: result?.datasetForge },
    usagePolicy: { expiresAt: null },
    rights: { canTransfer: true },
    waystone: {
      chainId: LOCAL_CHAIN_ID,
      tokenId: result?.tokenId,
      root: `0x${first?.root}`,
      entries: first?.count,
      windowSeconds: 0,
      bondWei: '0',
      attestationLevel: 0,
      signatures: 'challengeable on chain',
    },
  });
});

it('says once where the metadata of all its datasets is, and again when that moves', async () => {
  const provider = connectChain(chain.url, LOCAL_CHAIN_ID);
  const dat = DAT__factory.connect(chain.keys.contracts.dat, provider);
  for (const base of [
    'https://a.example/metadata/',
    'https://b.example/',
    'https://a.example/metadata/',
  ]) {
    datasets.seal(1);
    await settle(forger({}, { metadataBase: base }));
    const token = datasets.results.at(-1)?.tokenId ?? '';
    expect(await dat.tokenURI(token)).toBe(`${base}${token}.json`);
  }
  provider.destroy();
});

it('commits no more a day than the iDAO lets it, and goes on the next day', async () => {
  datasets.seal(1);
  await settle(forger());
  const provider = connectChain(chain.url, LOCAL_CHAIN_ID);
  const owner = new NonceManager(chain.keys.owner.connect(provider));
  const idao = IDAO__factory.connect(chain.keys.idao, owner);
  await (await idao.limitOperator(chain.keys.operator.address, 0, 2)).wait();
  datasets.seal(5);
  const made = forger({}, { bundle: { datasetsMax: 4, gasMax: 8_000_000 } });
  const { wakeInMs } = await made.pass();
  await made.pass();
  expect(datasets.results).toHaveLength(3);
  expect(made.status().datasets.at(-1)?.waitsFor).toContain('commit 2 datasets a day');
  expect(wakeInMs).toBeGreaterThan(0);
  for (let day = 0; day < 2; day++) {
    await jsonRpc(chain.url, 'evm_increaseTime', [86_400]);
    await jsonRpc(chain.url, 'evm_mine');
    await made.pass();
  }
  expect(datasets.results).toHaveLength(6);
  await expectOneDatEach();
  await (await idao.setOperator(chain.keys.operator.address, true)).wait();
  provider.destroy();
});

it('refuses a dataset that changed after its intent was written', async () => {
  datasets.seal(1);
  const crashed = forger({ crashPoint: crashAt('forge:intent') });
  await expect(crashed.pass()).rejects.toThrow(Crash);
  const changed = new MemoryDatasets();
  changed.seal(1, { ...datasets.sealed[0], manifestHash: 'dd'.repeat(32) });
  const made = forger({ datasets: { ...bind(changed), committed: async () => undefined } });
  await expect(made.pass()).rejects.toMatchObject({ code: 'FORGE_RECORD_MISMATCH' });
  expect(changed.results).toEqual([]);
});

it('looks at the devices again before it commits what it intended long ago', async () => {
  datasets.seal(1);
  await settle(forger());
  datasets.seal(2);
  const crashed = forger({ crashPoint: crashAt('forge:intent') });
  await expect(crashed.pass()).rejects.toThrow(Crash);
  const provider = connectChain(chain.url, LOCAL_CHAIN_ID);
  const { owner, contracts } = chain.keys;
  const registry = DeviceRegistry__factory.connect(contracts.registry, owner.connect(provider));
  const { deviceId } = someKey('device a');
  await (await registry.revoke(chain.keys.idao, `0x${deviceId}`)).wait(1, 5_000);
  const { timestamp } = (await provider.getBlock('latest')) as { timestamp: number };
  provider.destroy();
  datasets.isLate = true;
  const made = forger();
  await made.pass();
  const against = { revoked: [[deviceId, timestamp * 1e6]] };
  expect([...datasets.withdrawn]).toEqual([
    [2, against],
    [1, against],
  ]);
  expect(datasets.results.map(({ index }) => index)).toEqual([0]);
  const commits = db.prepare("SELECT COUNT(*) FROM chain_tx WHERE purpose = 'commit'").pluck();
  expect(commits.get()).toBe(1);
  expect(made.status().datasets).toEqual([]);
});

it('lets a dataset from the future wait, and says until when', async () => {
  const soonUs = (Math.floor(Date.now() / 1000) + 3600) * 1e6;
  datasets.seal(1, { maxTimeUs: soonUs });
  datasets.seal(1);
  const made = forger();
  const { wakeInMs } = await made.pass();
  expect(wakeInMs).toBeGreaterThan(3_500_000);
  expect(datasets.results.map(({ index }) => index)).toEqual([1]);
  expect(made.status().datasets[0]?.waitsFor).toContain('which the chain has not reached');
  await jsonRpc(chain.url, 'evm_increaseTime', [3700]);
  await jsonRpc(chain.url, 'evm_mine');
  await settle(made);
  await expectOneDatEach();
});

it('forges what can be forged, however many wait for their time', async () => {
  datasets.seal(20, { maxTimeUs: (Math.floor(Date.now() / 1000) + 3600) * 1e6 });
  datasets.seal(2);
  const made = forger();
  for (let pass = 0; pass < 3 && datasets.results.length < 2; pass++) await made.pass();
  expect(datasets.results.map(({ index }) => index)).toEqual([20, 21]);
  await jsonRpc(chain.url, 'evm_increaseTime', [3700]);
  await jsonRpc(chain.url, 'evm_mine');
  await settle(made);
  await expectOneDatEach();
});

it('confirms by depth where that is the rule', async () => {
  datasets.seal(1);
  const made = forger({}, { confirmation: { kind: 'depth', blocks: 5 } });
  // First the registration of its devices: nothing that rests on it is intended before.
  expect(await made.pass()).toMatchObject({ more: false, wakeInMs: expect.any(Number) });
  expect(made.status().datasets).toMatchObject([
    { state: 'intent', waitsFor: expect.stringContaining('must have 5 blocks on it') },
  ]);
  await jsonRpc(chain.url, 'anvil_mine', ['0x4', '0x1']);
  await made.pass();
  expect(db.prepare("SELECT 1 FROM chain_intent WHERE kind = 'dataset'").all()).toEqual([]);
  await jsonRpc(chain.url, 'anvil_mine', ['0x2', '0x1']);
  await made.pass();
  expect(datasets.results).toEqual([]);
  expect(made.status().datasets).toMatchObject([{ waitsFor: 'waits until its block is safe' }]);
  await jsonRpc(chain.url, 'anvil_mine', ['0x5']);
  await settle(made);
  await expectOneDatEach();
});

it('forges again, once, what a reorg took', async () => {
  datasets.seal(2);
  const made = forger({}, { confirmation: { kind: 'depth', blocks: 50 } });
  const dataset = datasets.sealed[0] as ForgeDataset;
  const fork = await forkAfter(made, dataset);
  expect((await mintedOnChain()).balance).toBe(2);
  // Back to right after the first dataset, then blocks that know nothing of the second.
  await jsonRpc(chain.url, 'evm_revert', [fork]);
  await jsonRpc(chain.url, 'anvil_mine', ['0x60', '0x1']);
  expect((await mintedOnChain()).balance).toBe(1);
  // A device went with it, which has to be as deep again as a dataset.
  await made.pass();
  await jsonRpc(chain.url, 'anvil_mine', ['0x40', '0x1']);
  await made.pass();
  await jsonRpc(chain.url, 'anvil_mine', ['0x40', '0x1']);
  await settle(made);
  await expectOneDatEach();
  expectJournalRules();
});

/** Forges one dataset, marks the place, then forges the rest. @returns the mark, for `evm_revert`. */
async function forkAfter(made: Forger, first: ForgeDataset): Promise<unknown> {
  const only = new MemoryDatasets();
  only.seal(1, first);
  const { committed } = datasets;
  const one = forger(
    { datasets: { ...bind(only), committed: committed.bind(datasets) } },
    { confirmation: { kind: 'depth', blocks: 50 } },
  );
  await one.pass();
  await jsonRpc(chain.url, 'anvil_mine', ['0x40', '0x1']);
  await one.pass();
  const mark = await jsonRpc(chain.url, 'evm_snapshot');
  // Devices that only the others have.
  await made.pass();
  await jsonRpc(chain.url, 'anvil_mine', ['0x40', '0x1']);
  await made.pass();
  return mark;
}

it('believes the receipt, not the answer to the send', async () => {
  datasets.seal(1);
  const made = forger({ crashPoint: crashAt('forge:commit-signed') });
  await expect(made.pass()).rejects.toThrow(Crash);
  // Sent, but the gateway died before it heard; now the same bytes are refused as known.
  const [signed] = await journal.pendingTransactions(LOCAL_CHAIN_ID);
  await jsonRpc(chain.url, 'eth_sendRawTransaction', [signed?.raw]);
  await settle(made);
  await expectOneDatEach();
});

it('gives up a transaction whose nonce another one took', async () => {
  datasets.seal(1);
  const made = forger({ crashPoint: crashAt('forge:commit-signed') });
  await expect(made.pass()).rejects.toThrow(Crash);
  const [signed] = await journal.pendingTransactions(LOCAL_CHAIN_ID);
  const { operator } = chain.keys;
  const raw = await operator.signTransaction({
    ...{ type: 2, chainId: LOCAL_CHAIN_ID, nonce: signed?.nonce as number, to: operator.address },
    ...{ gasLimit: 21_000, maxFeePerGas: 5_000_000_000n, maxPriorityFeePerGas: 1_000_000_000n },
  });
  await jsonRpc(chain.url, 'eth_sendRawTransaction', [raw]);
  await settle(made);
  await expectOneDatEach();
  const states = db.prepare('SELECT state FROM chain_tx WHERE hash = ?').pluck().get(signed?.hash);
  expect(states).toBe('lost');
});

const until = async (isSo: () => boolean): Promise<void> => {
  while (!isSo()) await new Promise((resolve) => setTimeout(resolve, 2));
};

describe('in its loop', () => {
  it('forges when nudged and stops cleanly', async () => {
    const made = forger({}, { idleMs: 3_600_000 });
    made.start();
    datasets.seal(1);
    made.nudge();
    await datasets.allForged();
    datasets.seal(2);
    made.nudge();
    await datasets.allForged();
    await made.stop();
    expect(made.status().state).toBe('stopped');
    await expectOneDatEach();
  });

  it('holds new datasets back while it is paused, and finishes what is on chain', async () => {
    let isPaused = false;
    let isCutOff = true;
    const made = forger({
      isPaused: () => isPaused,
      crashPoint: (point) => {
        if (isCutOff && point === 'forge:commit-mined') throw new Error('cut off');
      },
    });
    datasets.seal(1);
    await expect(made.pass()).rejects.toThrow('cut off');
    isPaused = true;
    isCutOff = false;
    datasets.seal(2);
    made.start();
    await until(() => datasets.results.length === 1);
    await until(() => made.status().state === 'idle');
    expect(made.status().why).toContain('waystone forge resume');
    made.retry();
    await until(() => made.status().state === 'idle');
    expect((await mintedOnChain()).balance).toBe(1);
    isPaused = false;
    // It is said at once, before anybody has looked at the chain again.
    expect(made.status().why).toBe('');
    made.retry();
    await datasets.allForged();
    expect((await mintedOnChain()).balance).toBe(3);
  });

  it('tries again when it is told to, however long it would wait', async () => {
    let isUp = false;
    const flaky = {
      get url(): string {
        return isUp ? chain.url : 'http://127.0.0.1:1';
      },
      persist: () => chain.persist(),
    };
    const made = forger({ chain: flaky }, { retryMinMs: 3_600_000, retryMaxMs: 3_600_000 });
    datasets.seal(1);
    made.start();
    await until(() => made.status().state === 'waiting');
    isUp = true;
    made.retry();
    await datasets.allForged();
    expect((await mintedOnChain()).balance).toBe(1);
  });

  it('says what it waits for while the node is down, and goes on by itself', async () => {
    let isUp = false;
    const flaky = {
      get url(): string {
        return isUp ? chain.url : 'http://127.0.0.1:1';
      },
      persist: () => chain.persist(),
    };
    const made = forger({ chain: flaky });
    datasets.seal(1);
    made.start();
    while (made.status().lastError === null) await new Promise((resolve) => setTimeout(resolve, 2));
    expect(made.status()).toMatchObject({ state: 'waiting', reachable: false });
    expect(made.status().why).not.toBe('');
    isUp = true;
    await datasets.allForged();
    await made.stop();
    await expectOneDatEach();
  });

  it('survives a node that is killed under it again and again', async () => {
    const made = forger();
    made.start();
    for (let round = 0; round < 3; round++) {
      datasets.seal(3);
      made.nudge();
      await killNode();
    }
    await datasets.allForged();
    await made.stop();
    await expectOneDatEach();
    expectJournalRules();
  });
});

describe('says what is missing', () => {
  it.each([
    ['the iDAO', 'FORGE_NO_IDAO', { owner: null }, {}],
    ['a contract', 'CHAIN_CONTRACT_MISSING', {}, { contracts: NOWHERE }],
  ] as const)('%s', async (_what, code, deps, options) => {
    const made = forger(deps, options);
    await expect(made.pass()).rejects.toMatchObject({ code });
  });

  it('the operator’s right', async () => {
    await forger().pass();
    const stranger = chain.keys.deployer;
    const made = forger({ owner: null, operator: stranger });
    await expect(made.pass()).rejects.toMatchObject({ code: 'FORGE_NOT_OPERATOR' });
  });

  it('the right chain', async () => {
    const made = forger({}, { chainId: 1088 });
    await expect(made.pass()).rejects.toMatchObject({ code: 'CHAIN_WRONG' });
  });

  it('coin for gas', async () => {
    await forger().pass();
    datasets.seal(1);
    await jsonRpc(chain.url, 'anvil_setBalance', [chain.keys.operator.address, '0x1']);
    await expect(forger().pass()).rejects.toMatchObject({ code: 'FORGE_NO_FUNDS' });
    await jsonRpc(chain.url, 'anvil_setBalance', [
      chain.keys.operator.address,
      '0xde0b6b3a7640000',
    ]);
    await settle(forger());
  });

  it('nothing of others: who registers a device first keeps it from nobody', async () => {
    await forger().pass();
    // The deployer makes an iDAO of its own and registers the device.
    const other = forger(
      { owner: chain.keys.deployer, operator: chain.keys.deployer },
      { idao: otherIdao(), gateway: someKey('device a') },
    );
    await other.pass();
    datasets.seal(1);
    await settle(forger());
    await expectOneDatEach();
  });
});

function otherIdao(): string {
  return idaoAddress(chain.keys.contracts.factory, chain.keys.deployer.address);
}

describe('reading the chain', () => {
  const nothing = { logId: Buffer.alloc(16), index: 0 };

  it('knows absent, and committed, and forged', async () => {
    datasets.seal(1);
    const { datasetForge } = chain.keys.contracts;
    const reader = new RpcChainReader({ url: chain.url, datasetForge });
    const where = { chainId: LOCAL_CHAIN_ID, idao: chain.keys.idao };
    expect(await reader.datasetOnChain(where, nothing)).toEqual({ status: 'absent' });
    expect(await reader.datasetOnChain({ ...where, idao: '' }, nothing)).toEqual({
      status: 'absent',
    });
    const crashed = forger({ crashPoint: crashAt('forge:finalise-signed') });
    await expect(crashed.pass()).rejects.toThrow(Crash);
    const record = { logId: Buffer.from(datasets.sealed[0]?.logId as string, 'hex'), index: 0 };
    expect(await reader.datasetOnChain(where, record)).toMatchObject({
      ...{ status: 'committed', tokenId: null, owner: null },
    });
    await settle(crashed);
    expect(await reader.datasetOnChain(where, record)).toMatchObject({ status: 'forged' });
    reader.close();
  });

  it('refuses another chain, and an address without a contract', async () => {
    const { datasetForge } = chain.keys.contracts;
    const idao = chain.keys.idao;
    const reader = new RpcChainReader({ url: chain.url, datasetForge });
    await expect(reader.datasetOnChain({ chainId: 1, idao }, nothing)).rejects.toMatchObject({
      code: 'CHAIN_WRONG',
    });
    reader.close();
    const astray = new RpcChainReader({ url: chain.url, datasetForge: idao.replace(/.$/, '0') });
    await expect(
      astray.datasetOnChain({ chainId: LOCAL_CHAIN_ID, idao: `0x${'11'.repeat(20)}` }, nothing),
    ).rejects.toThrow();
    astray.close();
  });
});

it('needs no more gas than was measured', async () => {
  datasets.seal(3);
  await settle(forger());
  const provider = connectChain(chain.url, LOCAL_CHAIN_ID);
  const datasetForge = DatasetForge__factory.connect(chain.keys.contracts.datasetForge, provider);
  const gas = new Map<string, bigint>();
  for (const name of ['DatasetCommitted', 'DatasetFinalised'] as const) {
    const events = await datasetForge.queryFilter(datasetForge.filters[name](), 0);
    for (const event of events) {
      const key = event.topics[1] as string;
      const receipt = await provider.getTransactionReceipt(event.transactionHash);
      gas.set(key, (gas.get(key) ?? 0n) + (receipt?.gasUsed ?? 0n));
    }
  }
  provider.destroy();
  expect(gas.size).toBe(3);
  for (const used of gas.values()) expect(used).toBeLessThan(250_000n);
});
