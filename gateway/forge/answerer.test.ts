import { join } from 'node:path';
import {
  encodeEntry,
  encodeStatement,
  keyId,
  leafHash,
  MerkleTree,
  realmOf,
  toHex,
} from '@waystone/proto';
import Database from 'better-sqlite3';
import { hexlify, type JsonRpcProvider, NonceManager } from 'ethers';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { testKeyNamed } from '../../proto/test-data/test-signer.js';
import {
  type Challenges,
  Challenges__factory,
  DAT__factory,
  DatasetForge__factory,
} from '../contracts/types/index.js';
import type { ForgeJournal } from '../core/forge-ports.js';
import { DEFAULT_IDAO_SALT } from './addresses.js';
import { type Anvil, startAnvil } from './anvil-process.js';
import { connectChain } from './chain-client.js';
import { datasetKey, datasetRecord } from './dataset-record.js';
import { deployContracts, LOCAL_TERMS } from './deploy.js';
import { Forger } from './forger.js';
import { jsonRpc } from './json-rpc.js';
import { LOCAL_CHAIN_ID } from './local-chain.js';
import { loadLocalKeys } from './local-keys.js';
import type { Finding } from './preflight.js';
import { journalIn, MemoryDatasets, MemoryLog, temporaryFolder } from './testing.js';

const WINDOW_SECONDS = 100_000;
/** A thousandth of it is how often questions are looked for: 200 ms. */
const RESPONSE_SECONDS = 200;
const RECEIVED_US = 1_532_673_605_000_000;
const DEVICE = testKeyNamed('secp256k1', 'asked device');
const GATEWAY = testKeyNamed('secp256k1', 'asked gateway');
const keyOf = ({ publicKey }: typeof DEVICE) => ({
  ...{ deviceId: toHex(keyId(publicKey)), keyType: 1, publicKey: toHex(publicKey.bytes) },
});

const { folder, remove } = temporaryFolder();
const log = new MemoryLog();
const keys = loadLocalKeys(join(folder, 'keys'));
const db = new Database(join(folder, 'ledger.sqlite'));
const datasets = new MemoryDatasets();
const forgers: Forger[] = [];
let chain: Anvil;
let provider: JsonRpcProvider;
let challenges: Challenges;
let journal: ForgeJournal;
let isPaused = false;
let findings: Finding[] = [];

beforeAll(async () => {
  chain = await startAnvil({ chainId: LOCAL_CHAIN_ID, markFile: join(folder, 'mark') });
  for (const { address } of [keys.deployer, keys.owner, keys.operator]) {
    await jsonRpc(chain.url, 'anvil_setBalance', [address, '0x56bc75e2d63100000']);
  }
  journal = journalIn(db);
  provider = connectChain(chain.url, LOCAL_CHAIN_ID);
  const terms = { windowSeconds: WINDOW_SECONDS, responseSeconds: RESPONSE_SECONDS };
  await deployContracts(provider, keys.deployer, { ...LOCAL_TERMS, ...terms, deposit: 1_000n });
  const asker = new NonceManager(keys.deployer.connect(provider));
  challenges = Challenges__factory.connect(keys.contracts.challenges, asker);
}, 60_000);

afterEach(async () => {
  for (const forger of forgers.splice(0)) await forger.stop();
  isPaused = false;
  findings = [];
});

afterAll(async () => {
  provider.destroy();
  await chain.stop();
  db.close();
  remove();
});

function forger(): Forger {
  const made = new Forger(
    {
      chainId: LOCAL_CHAIN_ID,
      contracts: keys.contracts,
      idao: keys.idao,
      idaoSalt: DEFAULT_IDAO_SALT,
      idaoName: 'test',
      idaoDescription: '',
      gateway: keyOf(GATEWAY),
      terms: { quotaCalls: 1, shareWeight: 1, expiresAfterDays: 0, policyUrl: '' },
      confirmation: { kind: 'depth', blocks: 1 },
      bundle: { datasetsMax: 16, gasMax: 8_000_000 },
      retryMinMs: 1,
      retryMaxMs: 20,
      idleMs: 20,
    },
    {
      ...{ journal, datasets, chain, log },
      operator: keys.operator,
      owner: keys.owner,
      isPaused: () => isPaused,
      preflight: async () => findings,
      crashPoint: () => undefined,
    },
  );
  forgers.push(made);
  return made;
}

/** Seals a dataset of three entries that are real. @returns its record and key on chain. */
function seal() {
  const entries = [0, 1, 2].map((k) => {
    const statement = encodeStatement({
      realm: realmOf(LOCAL_CHAIN_ID, keys.idao),
      device: keyId(DEVICE.publicKey),
      session: new Uint8Array(16).fill(datasets.sealed.length),
      ...{ stream: 7, format: 1, timeBase: 1, flags: 0, firstSequence: k * 2, count: 2 },
      minTimeUs: RECEIVED_US - 2_000_000,
      maxTimeUs: RECEIVED_US - 1_000_000,
      framesRoot: new Uint8Array(32).fill(k + 1),
      previous: new Uint8Array(32),
    });
    const signature = DEVICE.sign(statement);
    return encodeEntry({ statement, signature, receivedAtUs: RECEIVED_US, flags: 0 });
  });
  const tree = new MerkleTree(entries.map(leafHash));
  const root = toHex(tree.root);
  datasets.entries.set(
    root,
    entries.map((entry, k) => ({
      entry: toHex(entry),
      path: tree.inclusionProof(k).map((hash) => toHex(hash)),
    })),
  );
  datasets.seal(1, { root, count: entries.length, devices: [keyOf(DEVICE)] });
  const dataset = datasets.sealed.at(-1);
  if (dataset === undefined) throw new Error('nothing was sealed');
  const record = datasetRecord(dataset, keys.idao, keyOf(GATEWAY).deviceId);
  return { root, entries, record, key: datasetKey(keys.idao, dataset.logId, dataset.index) };
}

const until = async (isSo: () => boolean | Promise<boolean>): Promise<void> => {
  while (!(await isSo())) await new Promise((resolve) => setTimeout(resolve, 10));
};

const isCommitted = (key: string) => async (): Promise<boolean> => {
  const forge = DatasetForge__factory.connect(keys.contracts.datasetForge, provider);
  return (await forge.statusOf(key))[0] === 1n;
};

const ask = async (record: ReturnType<typeof seal>['record'], index: number): Promise<void> => {
  const value = await challenges.deposit();
  await (await challenges.askForEntry(record, index, { value })).wait();
};

const isShown = (key: string, index: number) => async (): Promise<boolean> => {
  const [, , isClosed] = await challenges.questionOf(key, index);
  return isClosed;
};

const passWindow = async (): Promise<void> => {
  await jsonRpc(chain.url, 'evm_increaseTime', [WINDOW_SECONDS + 1]);
  await jsonRpc(chain.url, 'evm_mine', []);
};

it('shows what is asked for, once each, also while forging is paused; then the dataset gets its token', async () => {
  const { record, key, entries } = seal();
  forger().start();
  await until(isCommitted(key));
  isPaused = true;
  await ask(record, 2);
  await ask(record, 0);
  await until(isShown(key, 2));
  await until(isShown(key, 0));
  const shown = await challenges.queryFilter(challenges.filters.EntryShown(key), 0);
  expect(shown.map(({ args }) => [Number(args.index), args.entry])).toEqual(
    expect.arrayContaining([
      [2, hexlify(entries[2] as Uint8Array)],
      [0, hexlify(entries[0] as Uint8Array)],
    ]),
  );
  expect(shown).toHaveLength(2);
  await passWindow();
  await datasets.allForged();
  const dat = DAT__factory.connect(keys.contracts.dat, provider);
  expect(await dat.ownerOf(datasets.results.at(-1)?.tokenId ?? 0)).toBe(keys.idao);
});

it('takes an answer up that a stop interrupted, and is content when another was faster', async () => {
  const { root, record, key } = seal();
  const first = forger();
  first.start();
  await until(isCommitted(key));
  await first.stop();
  await ask(record, 1);
  const proof = datasets.entries.get(root)?.[1];
  await (
    await challenges.showEntry(record, {
      entry: `0x${proof?.entry}`,
      index: 1,
      path: proof?.path.map((hash) => `0x${hash}`) ?? [],
    })
  ).wait();
  await ask(record, 2);
  forger().start();
  await until(isShown(key, 2));
  await passWindow();
  await datasets.allForged();
  expect(await challenges.queryFilter(challenges.filters.EntryShown(key), 0)).toHaveLength(2);
});

it('raises an alarm while it cannot answer, and answers once it can', async () => {
  const { root, record, key } = seal();
  const made = forger();
  made.start();
  await until(isCommitted(key));
  const there = datasets.entries.get(root) ?? [];
  datasets.entries.delete(root);
  await ask(record, 1);
  await until(() => made.status().datasets.some(({ waitsFor }) => waitsFor.includes('bond')));
  expect(log.lines.some((line) => line.startsWith('error entry 1 is asked for'))).toBe(true);
  datasets.entries.set(root, there);
  await until(isShown(key, 1));
  await passWindow();
  await datasets.allForged();
});

it('answers for datasets that went on chain together, and when no new one may', async () => {
  const sealed = [seal(), seal()] as const;
  const first = forger();
  first.start();
  for (const { key } of sealed) await until(isCommitted(key));
  await first.stop();
  const what = 'the bond is too small';
  findings = [{ level: 'stop', code: 'FORGE_BOND_LOW', what, facts: {}, todo: '' }];
  for (const { record } of sealed) await ask(record, 1);
  const held = seal();
  const made = forger();
  made.start();
  for (const { key } of sealed) await until(isShown(key, 1));
  await until(() => made.status().state === 'waiting');
  expect(made.status().lastError).toEqual({ code: 'FORGE_BOND_LOW', message: what });
  expect(await isCommitted(held.key)()).toBe(false);
  findings = [];
  await until(isCommitted(held.key));
  await passWindow();
  await datasets.allForged();
});
