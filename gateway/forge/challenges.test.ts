import {
  encodeCheckpoint,
  encodeEntry,
  encodeReceiptBody,
  encodeReceiptHead,
  encodeStatement,
  keyId,
  leafHash,
  MerkleTree,
  realmOf,
  statementHash,
} from '@waystone/proto';
import { hexlify, isError, type JsonRpcProvider, NonceManager } from 'ethers';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import {
  ecdsaCoordinates,
  flipS,
  type TestKey,
  testKeyNamed,
} from '../../proto/test-data/test-signer.js';
import {
  type Challenges,
  Challenges__factory,
  type DatasetForge,
  DatasetForge__factory,
  DeviceRegistry__factory,
  IDAOFactory__factory,
} from '../contracts/types/index.js';
import { DEFAULT_IDAO_SALT } from './addresses.js';
import { connectChain } from './chain-client.js';
import type { DatasetRecord } from './dataset-record.js';
import { LOCAL_CHAIN_ID, LocalChain } from './local-chain.js';
import { MemoryLog, temporaryFolder } from './testing.js';

/** What `proto` writes, before the contracts that judge it: bytes, trees, signatures and hashes must be the same. */
const RECEIVED_US = 1_532_673_605_000_000;
const NOBODY = '0x0000000000000000000000000000000000000000';
const LOG_ID = new Uint8Array(16).fill(7);
const DEVICES = {
  secp256k1: testKeyNamed('secp256k1', 'challenged device'),
  'P-256': testKeyNamed('P-256', 'challenged device'),
} as const;
const GATEWAY = testKeyNamed('secp256k1', 'challenged gateway');

const { folder, remove } = temporaryFolder();
const chain = new LocalChain({ folder, windowSeconds: 100_000 }, { log: new MemoryLog() });
let provider: JsonRpcProvider;
let forge: DatasetForge;
let challenges: Challenges;
let idao: string;
let index = -1;

beforeAll(async () => {
  await chain.start();
  const { contracts, owner, idao: address } = chain.keys;
  provider = connectChain(chain.url, LOCAL_CHAIN_ID);
  const wallet = new NonceManager(owner.connect(provider));
  forge = DatasetForge__factory.connect(contracts.datasetForge, wallet);
  challenges = Challenges__factory.connect(contracts.challenges, wallet);
  idao = address;
  const none = {
    tokenAddress: NOBODY,
    verifiedComputingAddress: NOBODY,
    settlementAddress: NOBODY,
  };
  const factory = IDAOFactory__factory.connect(contracts.factory, wallet);
  const made = await factory.create(DEFAULT_IDAO_SALT, {
    ownerAddress: owner.address,
    ...none,
    name: 'test',
    description: '',
  });
  await made.wait();
  const registry = DeviceRegistry__factory.connect(contracts.registry, wallet);
  const keys = [
    { keyType: 1, kind: 1, publicKey: DEVICES.secp256k1.publicKey.bytes },
    { keyType: 2, kind: 1, publicKey: DEVICES['P-256'].publicKey.bytes },
    { keyType: 1, kind: 2, publicKey: GATEWAY.publicKey.bytes },
  ];
  await (await registry.registerMany(idao, keys)).wait();
});

afterAll(async () => {
  provider.destroy();
  await chain.stop();
  remove();
});

beforeEach(() => {
  index++;
});

function statementOf(device: TestKey, changes: object = {}): Uint8Array {
  return encodeStatement({
    realm: realmOf(LOCAL_CHAIN_ID, idao),
    device: keyId(device.publicKey),
    session: new Uint8Array(16).fill(index),
    stream: 7,
    format: 1,
    timeBase: 1,
    flags: 0,
    firstSequence: 0,
    count: 2,
    minTimeUs: RECEIVED_US - 2_000_000,
    maxTimeUs: RECEIVED_US - 1_000_000,
    framesRoot: new Uint8Array(32).fill(1),
    previous: new Uint8Array(32),
    ...changes,
  });
}

function entryOf(statement: Uint8Array, signature: Uint8Array): Uint8Array {
  return encodeEntry({ statement, signature, receivedAtUs: RECEIVED_US, flags: 0 });
}

const signed = (device: TestKey, changes: object = {}): Uint8Array => {
  const statement = statementOf(device, changes);
  return entryOf(statement, device.sign(statement));
};

/** Commits a dataset of these entries. */
async function commit(entries: readonly Uint8Array[]) {
  const tree = new MerkleTree(entries.map(leafHash));
  const record: DatasetRecord = {
    idao,
    gateway: hexlify(keyId(GATEWAY.publicKey)),
    logId: hexlify(LOG_ID),
    index,
    root: hexlify(tree.root),
    count: entries.length,
    manifestHash: hexlify(new Uint8Array(32).fill(2)),
    minTime: RECEIVED_US - 2_000_000,
    maxTime: RECEIVED_US - 1_000_000,
    url: '',
  };
  await (await forge.commit(record)).wait();
  const proofOf = (k: number) => ({
    entry: entries[k] as Uint8Array,
    index: k,
    path: pathOf(tree, k),
  });
  const status = async (): Promise<bigint> =>
    (await forge.statusOf(await forge.keyOf(idao, record.logId, index))).status;
  return { record, proofOf, status };
}

function pathOf(tree: MerkleTree, k: number): Uint8Array[] {
  const bytes = new Uint8Array(tree.proofLength(k) * 32);
  tree.writeProof(k, bytes, 0);
  return Array.from({ length: bytes.length / 32 }, (_, i) => bytes.subarray(32 * i, 32 * i + 32));
}

const keyOf = ({ publicKey }: TestKey) => ({
  keyType: publicKey.type === 'secp256k1' ? 1 : 2,
  publicKey: publicKey.bytes,
  y: ecdsaCoordinates(publicKey).y,
});

async function refusal(call: () => Promise<unknown>): Promise<string | undefined> {
  try {
    await call();
    return 'upheld';
  } catch (error) {
    if (!isError(error, 'CALL_EXCEPTION') || error.data === null) throw error;
    return challenges.interface.parseError(error.data)?.name;
  }
}

const checkpoint = (size: number, root: Uint8Array) => {
  const data = encodeCheckpoint({
    gateway: keyId(GATEWAY.publicKey),
    logId: LOG_ID,
    size,
    root,
    timeUs: RECEIVED_US,
  });
  return { data, signature: GATEWAY.sign(data) };
};

/** A receipt `stored` that names `entryLeaf` for the statement of an entry, between two others. */
function receiptFor(entry: Uint8Array, entryLeaf: Uint8Array) {
  const statement = entry.subarray(0, 200);
  const body = encodeReceiptBody({
    device: entry.subarray(48, 80),
    statement: statementHash(statement),
    outcome: { kind: 'stored', entryLeaf },
  });
  const tree = new MerkleTree([leafHash(Uint8Array.of(1)), leafHash(body), leafHash(body)]);
  const head = encodeReceiptHead({
    gateway: keyId(GATEWAY.publicKey),
    logId: LOG_ID,
    size: 3,
    root: tree.root,
  });
  return { head, signature: GATEWAY.sign(head), body, index: 1, path: pathOf(tree, 1) };
}

it('finds no fault in what proto writes', async () => {
  const { secp256k1, 'P-256': p256 } = DEVICES;
  const entries = [
    signed(secp256k1),
    signed(p256),
    signed(secp256k1, { firstSequence: 2 }),
    signed(p256, { timeBase: 0, firstSequence: 2, minTimeUs: 0, maxTimeUs: 5 }),
    signed(secp256k1, { stream: 8 }),
  ];
  const { record, proofOf, status } = await commit(entries);
  for (const [k, entry] of entries.entries()) {
    const device = k % 2 === 0 ? secp256k1 : p256;
    const proof = proofOf(k);
    const next = proofOf((k + 1) % entries.length);
    const after = proofOf((k + 2) % entries.length);
    const receipt = receiptFor(entry, leafHash(entry));
    const calls = [
      () => challenges.challengeSignature.staticCall(record, proof, keyOf(device)),
      () => challenges.challengeRealm.staticCall(record, proof),
      () => challenges.challengeUnregistered.staticCall(record, proof),
      () => challenges.challengeRevoked.staticCall(record, proof),
      () => challenges.challengeTime.staticCall(record, proof),
      () => challenges.challengeOverlap.staticCall(record, proof, record, next),
      () => challenges.challengeOverlap.staticCall(record, proof, record, after),
      () => challenges.challengeReceipt.staticCall(record, proof, receipt, keyOf(GATEWAY)),
    ];
    for (const call of calls) expect(await refusal(call)).toBe('NotAFault');
  }
  const grown = [
    checkpoint(3, leafHash(Uint8Array.of(3))),
    checkpoint(4, leafHash(Uint8Array.of(4))),
  ];
  expect(
    await refusal(() =>
      challenges.challengeFork.staticCall(
        record,
        grown[0] as never,
        grown[1] as never,
        keyOf(GATEWAY),
      ),
    ),
  ).toBe('NotAFault');
  expect(await status()).toBe(1n);
});

it.each(['secp256k1', 'P-256'] as const)('upholds a high S of %s', async (type) => {
  const device = DEVICES[type];
  const statement = statementOf(device);
  const high = entryOf(statement, flipS(type, device.sign(statement)));
  const { record, proofOf, status } = await commit([signed(device, { stream: 1 }), high]);
  await (await challenges.challengeSignature(record, proofOf(1), keyOf(device))).wait();
  expect(await status()).toBe(3n);
});

it('upholds two heads of one log', async () => {
  const { record, status } = await commit([signed(DEVICES.secp256k1)]);
  const [a, b] = [1, 2].map((n) => checkpoint(5, leafHash(Uint8Array.of(n))));
  await (await challenges.challengeFork(record, a as never, b as never, keyOf(GATEWAY))).wait();
  expect(await status()).toBe(3n);
});

it('upholds a receipt that names another entry', async () => {
  const entry = signed(DEVICES['P-256']);
  const { record, proofOf, status } = await commit([entry, signed(DEVICES.secp256k1)]);
  const receipt = receiptFor(entry, leafHash(Uint8Array.of(9)));
  const sent = await challenges.challengeReceipt(record, proofOf(0), receipt, keyOf(GATEWAY));
  await sent.wait();
  expect(await status()).toBe(3n);
});
