import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { encryptKeystoreJson, type HDNodeWallet } from 'ethers';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { ChainConfig, Config, LazaiConfig } from '../core/config.js';
import type { ForgeStage } from '../core/forge-stage.js';
import { forgeJournalOperations } from '../ledger/forge-journal.js';
import { VERIFIED_COMPUTING } from './lazai/lazai-abi.js';
import { LazaiContracts } from './lazai/lazai-contracts.js';
import {
  ADMIN,
  LAZAI_CHAIN_ID,
  type LazaiChain,
  openTestJournal,
  ProvingNode,
  startLazaiChain,
  type TestJournal,
} from './lazai/testing.js';
import { openForge } from './open-forge.js';
import { lazaiPreflight } from './open-lazai-forge.js';
import { MemoryDatasets, MemoryLog, someKey, temporaryFolder } from './testing.js';

const PASSWORD = 'a password';
const NOBODY = `0x${'12'.repeat(20)}`;
const PUBLIC_URL = 'https://gateway.example';
const URL_OF_ENTRIES = `${PUBLIC_URL}/entries/it`;

const chainFolder = temporaryFolder();
let chain: LazaiChain;
let contracts: LazaiContracts;
let node: ProvingNode;
let operator: HDNodeWallet;
let takeBack: () => Promise<void>;

let folder: string;
let remove: () => void;
let journal: TestJournal;
let datasets: MemoryDatasets;
let log: MemoryLog;
let stage: ForgeStage | null = null;
let isPaused = false;

beforeAll(async () => {
  chain = await startLazaiChain(chainFolder.folder);
  contracts = new LazaiContracts(chain.provider, chain.addresses);
  node = await ProvingNode.start(chain);
  operator = await chain.account();
  const { verifiedComputing } = chain.addresses;
  await chain.call(chain.admin, ADMIN, verifiedComputing, 'updateNodeFee', [100n]);
  const { address, privateKey } = operator;
  const keystore = await encryptKeystoreJson({ address, privateKey }, PASSWORD, {
    scrypt: { N: 1_024 },
  });
  for (const [name, text] of [
    ['operator.json', keystore],
    ['password', PASSWORD],
  ] as const) {
    writeFileSync(join(chainFolder.folder, name), text);
    chmodSync(join(chainFolder.folder, name), 0o600);
  }
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
  datasets = new MemoryDatasets();
  log = new MemoryLog();
  isPaused = false;
});

afterEach(async () => {
  await stage?.stop();
  stage = null;
  node.forget();
  journal.close();
  remove();
  await takeBack();
});

interface Changes {
  readonly chain?: Partial<ChainConfig>;
  readonly lazai?: Partial<LazaiConfig>;
  readonly publicUrl?: string;
}

/** A gateway's settings for LazAI's contracts on the test's chain, but for these changes. */
function config(changes: Changes = {}): Config {
  const { dataRegistry, verifiedComputing, dataAnchoringToken } = chain.addresses;
  const own: ChainConfig = {
    network: 'lazai-testnet',
    target: 'lazai',
    rpcUrls: [chain.url],
    chainId: 0,
    genesisHash: '',
    factoryAddress: '',
    registryAddress: '',
    datAddress: '',
    datasetForgeAddress: '',
    idaoAddress: chain.idao,
    keystoreFile: join(chainFolder.folder, 'operator.json'),
    passwordFile: join(chainFolder.folder, 'password'),
    confirmations: 1,
    fees: 'auto',
    feeMaxGwei: 100,
    bumpAfterSeconds: 60,
    bundleDatasetsMax: 16,
    bundleGasMax: 8_000_000,
  };
  const lazai: LazaiConfig = {
    dataRegistryAddress: dataRegistry,
    verifiedComputingAddress: verifiedComputing,
    tokenAddress: dataAnchoringToken,
    feeMaxCoins: '0.001',
    spendMaxCoins: '1',
    acceptedKeys: [],
  };
  return {
    chain: { ...own, ...changes.chain },
    lazai: { ...lazai, ...changes.lazai },
    http: { host: '127.0.0.1', port: 0, publicUrl: changes.publicUrl ?? PUBLIC_URL },
  } as Config;
}

async function open(changes: Changes = {}): Promise<ForgeStage> {
  await stage?.stop();
  const { deviceId, publicKey } = someKey('gateway');
  const { transactions, close: _, ...files } = journal;
  stage = await openForge(config(changes), {
    logger: log,
    gateway: { id: deviceId, publicKey, sign: () => new Uint8Array(64) },
    isPaused: () => isPaused,
    journal: () => ({ ...transactions, ...files }),
    datasets,
  });
  stage.start();
  return stage;
}

function seal(count: number): void {
  datasets.seal(count, { url: URL_OF_ENTRIES });
  stage?.nudge();
}

async function until(what: string, isSo: () => boolean): Promise<void> {
  for (let tries = 0; !isSo(); tries++) {
    if (tries > 2_000) {
      throw new Error(
        `${what} never came: ${JSON.stringify(stage?.status())}\n${log.lines.join('\n')}`,
      );
    }
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

const waitsWith = (code: string) =>
  until(code, () => stage?.status().state === 'waiting' && stage.status().lastError?.code === code);

const allForged = () =>
  until('the last token', () => datasets.results.length === datasets.sealed.length);

const sent = (): Promise<number> => chain.provider.getTransactionCount(operator.address);

/** What LazAI's contracts hold once so many datasets are forged: each of them once. */
async function expectOnceEach(count: number): Promise<void> {
  expect(datasets.results).toHaveLength(count);
  expect(await contracts.filesCount()).toBe(BigInt(count));
  expect(await contracts.currentTokenId()).toBe(BigInt(count));
  expect(await journal.lazaiReservedWei(LAZAI_CHAIN_ID)).toBe(100n * BigInt(count));
  const { verifiedComputing: address } = chain.addresses;
  const topics = VERIFIED_COMPUTING.encodeFilterTopics('JobSubmitted', []) as string[];
  expect(await chain.provider.getLogs({ address, topics, fromBlock: 0 })).toHaveLength(count);
}

it('forges sealed datasets in log order, and the iDAO owns the tokens', async () => {
  const opened = await open();
  seal(3);
  await allForged();
  await expectOnceEach(3);
  const { dataRegistry, dataAnchoringToken } = chain.addresses;
  for (const [index, result] of datasets.results.entries()) {
    expect(result).toMatchObject({
      ...{ index, root: datasets.sealed[index]?.root, tokenId: String(index + 1), classId: '' },
      ...{ chainId: LAZAI_CHAIN_ID, owner: chain.idao, dat: dataAnchoringToken },
      lazai: { fileId: String(index + 1), dataRegistry, lazaiScore: '42' },
    });
    const file = await contracts.file(BigInt(index + 1));
    expect(file).toMatchObject({ owner: chain.idao, url: result.lazai?.url });
    expect(file.hash).toBe(await datasets.entriesHash(result.root));
    expect(file.url).toMatch(/^https:\/\/gateway\.example\/entries\/it\?ws=[0-9a-f]{32}$/);
    expect(await contracts.balanceOf(chain.idao, BigInt(result.tokenId))).toBe(42n);
  }
  await until('an idle stage', () => opened.status().state === 'idle');
  expect(opened.status()).toMatchObject({ why: '', lastError: null, datasets: [] });
  expect(opened).toMatchObject({ network: 'lazai-testnet', chainId: LAZAI_CHAIN_ID });
  expect(opened.contracts).toEqual(chain.addresses);
});

it('pays for no dataset that holds entries which offend', async () => {
  datasets.offending.add(1);
  seal(3);
  await open();
  await until('the others', () => datasets.results.length === 2);
  expect(datasets.results.map(({ index }) => index)).toEqual([0, 2]);
  expect([...datasets.withdrawn.keys()]).toEqual([1]);
  expect(await contracts.filesCount()).toBe(2n);
  expect(await journal.lazaiReservedWei(LAZAI_CHAIN_ID)).toBe(200n);
});

it('holds new datasets back while it is paused, and takes what is begun as far as it goes', async () => {
  await open();
  node.mood = 'silent';
  seal(1);
  await until('a paid request', () => node.asked.length === 1);
  isPaused = true;
  node.forget();
  seal(1);
  await open();
  await until('an idle stage', () => stage?.status().state === 'idle');
  expect(datasets.results).toEqual([]);
  // The node was asked a moment ago; told to, the gateway asks again at once.
  stage?.retry();
  await until('the first token', () => datasets.results.length === 1);
  await until('an idle stage', () => stage?.status().state === 'idle');
  expect(stage?.status()).toMatchObject({ why: expect.stringContaining('paused') });
  expect(stage?.status().datasets).toMatchObject([{ index: 1, state: 'intent' }]);
  await expectOnceEach(1);
  isPaused = false;
  stage?.retry();
  await allForged();
  await expectOnceEach(2);
});

it('does not let one dataset that waits for its proof hold up the others', async () => {
  const opened = await open();
  node.beforeProof = async ({ fileId }) => {
    if (fileId === 1) throw new Error('this node has a bad day');
  };
  seal(3);
  await until('two tokens', () => datasets.results.length === 2);
  expect(datasets.results.map(({ index }) => index)).toEqual([1, 2]);
  await until('an idle stage', () => opened.status().state === 'idle');
  expect(opened.status().datasets).toMatchObject([{ index: 0, state: 'committed' }]);
  expect(opened.status().why).toMatch(/no proof is on chain yet|without a proof/);
  const { url } = await contracts.file(1n);
  await node.addProof(1n, await node.sign(1n, url));
  opened.retry();
  await allForged();
  await expectOnceEach(3);
});

describe('what is wrong is said, datasets wait for it, and are forged once it is right:', () => {
  it.each<[string, string, () => Changes]>([
    ['a node of another chain', 'CHAIN_WRONG', () => ({ chain: { chainId: 52_924 } })],
    [
      'a chain with the same id',
      'LAZAI_WRONG_GENESIS',
      () => ({ chain: { genesisHash: `0x${'0b'.repeat(32)}` } }),
    ],
    ['no node', 'CHAIN_UNREACHABLE', () => ({ chain: { rpcUrls: ['http://127.0.0.1:1'] } })],
    [
      'an address without a contract',
      'LAZAI_NO_CODE',
      () => ({ lazai: { dataRegistryAddress: NOBODY } }),
    ],
    [
      'a contract that is another one',
      'LAZAI_WRONG_ABI',
      () => ({ lazai: { dataRegistryAddress: chain.addresses.dataAnchoringToken } }),
    ],
    [
      'contracts that do not belong together',
      'LAZAI_WRONG_CONTRACT',
      () => ({ lazai: { tokenAddress: chain.idao } }),
    ],
    [
      'an iDAO that is not there',
      'LAZAI_OWNER_NO_CODE',
      () => ({ chain: { idaoAddress: NOBODY } }),
    ],
    [
      'a fee above its cap',
      'LAZAI_FEE_ABOVE_CAP',
      () => ({ lazai: { feeMaxCoins: '0.000000000000000099' } }),
    ],
    ['entries without an address', 'PUBLISH_URL_MISSING', () => ({ publicUrl: '' })],
    [
      'entries that only this machine can fetch',
      'PUBLISH_URL_LOCAL',
      () => ({ publicUrl: 'http://127.0.0.1:8484' }),
    ],
  ])('%s', async (_what, code, changes) => {
    seal(1);
    await open(changes());
    await waitsWith(code);
    const found = await lazaiPreflight(config(changes()));
    const byPreflight = code === 'LAZAI_WRONG_GENESIS' ? 'CHAIN_GENESIS_DIFFERS' : code;
    expect(found).toContainEqual(expect.objectContaining({ level: 'stop', code: byPreflight }));
    expect(await sent()).toBe(0);
    await open();
    await allForged();
    await expectOnceEach(1);
  });

  it('an empty account', async () => {
    const setBalance = (wei: string) =>
      chain.provider.send('anvil_setBalance', [operator.address, wei]);
    await setBalance('0x0');
    seal(1);
    const opened = await open();
    await waitsWith('LAZAI_NO_FUNDS');
    expect(opened.status().why).toContain(operator.address);
    await setBalance('0x8ac7230489e80000');
    opened.retry();
    await allForged();
    await expectOnceEach(1);
  });

  it('the cap of all fees, which is kept to the wei', async () => {
    seal(2);
    await open({ lazai: { spendMaxCoins: '0.000000000000000199' } });
    await waitsWith('LAZAI_SPEND_CAP_REACHED');
    expect(datasets.results).toHaveLength(1);
    expect(await journal.lazaiReservedWei(LAZAI_CHAIN_ID)).toBe(100n);
    await open();
    await allForged();
    await expectOnceEach(2);
  });

  it('gas above its ceiling', async () => {
    const setBaseFee = async (wei: string): Promise<void> => {
      await chain.provider.send('anvil_setNextBlockBaseFeePerGas', [wei]);
      await chain.mine(1);
    };
    await setBaseFee('0x174876e800');
    seal(1);
    await open({ chain: { feeMaxGwei: 1 } });
    await waitsWith('FORGE_FEE_CEILING');
    expect(await sent()).toBe(0);
    await setBaseFee('0x3b9aca00');
    stage?.retry();
    await open();
    await allForged();
    await expectOnceEach(1);
  });

  it('a key that cannot be unlocked', async () => {
    seal(1);
    await open({ chain: { passwordFile: join(chainFolder.folder, 'operator.json') } });
    await until('a reason', () => stage?.status().lastError !== null);
    expect(stage?.status().lastError?.code).toBe('CHAIN_PASSWORD_WRONG');
    await open();
    await allForged();
  });
});

it('on mainnet, where LazAI has published no addresses, asks for them', async () => {
  const none = { dataRegistryAddress: '', verifiedComputingAddress: '', tokenAddress: '' };
  const changes = { chain: { network: 'lazai', idaoAddress: '' }, lazai: none } as const;
  const opened = await open(changes);
  expect(opened.status()).toMatchObject({
    lastError: { code: 'FORGE_NO_ADDRESSES' },
    why: expect.stringContaining('lazai.dataRegistryAddress'),
  });
  expect((await lazaiPreflight(config(changes))).map(({ code }) => code)).toEqual([
    'FORGE_NO_ADDRESSES',
  ]);
  // The testnet's are known.
  expect(await open({ lazai: none })).toMatchObject({
    contracts: { dataRegistry: '0xE7753EeBCA82849D6b19E6689B350f87318A8998' },
  });
});

it('the preflight of what is right says so, and sends nothing', async () => {
  const found = await lazaiPreflight(config());
  expect(found.map(({ level, code }) => `${level} ${code}`)).toEqual([
    ...['ok NODE_SOUND', 'ok PUBLISH_URL', 'ok LAZAI_SOUND'],
  ]);
  expect(await sent()).toBe(0);
});

it('does not forge a second time what Waystone’s contracts have begun', async () => {
  seal(2);
  const [first] = datasets.sealed;
  const db = new Database(join(folder, 'ledger.sqlite'));
  const { logId = '', index = 0 } = first ?? {};
  const key = 'dataset:ours';
  const forge = forgeJournalOperations(db);
  forge.addIntent({
    ...{ key, chainId: LAZAI_CHAIN_ID, kind: 'dataset', logId, index, payload: '{}' },
  });
  forge.progress(key, { state: 'committed' });
  db.close();
  await open();
  await waitsWith('FORGE_TARGET_CHANGED');
  await until('the other one', () => datasets.results.length === 1);
  expect(datasets.results[0]?.index).toBe(1);
  await expectOnceEach(1);
});

it('the journal stays with the chain on which it began', async () => {
  seal(1);
  await open();
  await allForged();
  seal(1);
  await open({ chain: { genesisHash: `0x${'0b'.repeat(32)}` } });
  await waitsWith('LAZAI_WRONG_GENESIS');
  await expectOnceEach(1);
});
