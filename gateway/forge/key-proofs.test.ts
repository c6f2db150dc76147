import { join } from 'node:path';
import { enrolmentMessage, KEY_TYPES, keyId, rotationMessage, toHex } from '@waystone/proto';
import Database from 'better-sqlite3';
import type { JsonRpcProvider } from 'ethers';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type TestKey, testKeyNamed } from '../../proto/test-data/test-signer.js';
import { type DeviceRegistry, DeviceRegistry__factory } from '../contracts/types/index.js';
import { DEFAULT_IDAO_SALT } from './addresses.js';
import { connectChain } from './chain-client.js';
import { Forger, type ForgerOptions } from './forger.js';
import { LOCAL_CHAIN_ID, LocalChain } from './local-chain.js';
import { journalIn, MemoryDatasets, MemoryLog, temporaryFolder } from './testing.js';

/** Keys that are registered with the word of who holds them, on a real node. */
const { folder, remove } = temporaryFolder();
const chain = new LocalChain({ folder: join(folder, 'chain') }, { log: new MemoryLog() });
const db = new Database(join(folder, 'ledger.sqlite'));
const journal = journalIn(db);
const gateway = testKeyNamed('secp256k1', 'proving gateway');
const log = new MemoryLog();
let provider: JsonRpcProvider;
let registry: DeviceRegistry;
let place: { chainId: number; registry: string; idao: string };
let now: number;

beforeAll(async () => {
  await chain.start();
  provider = connectChain(chain.url, LOCAL_CHAIN_ID);
  const { contracts, idao } = chain.keys;
  registry = DeviceRegistry__factory.connect(contracts.registry, provider);
  place = { chainId: LOCAL_CHAIN_ID, registry: contracts.registry, idao };
  now = (await provider.getBlock('latest'))?.timestamp ?? 0;
}, 60_000);

afterAll(async () => {
  provider.destroy();
  await chain.stop();
  db.close();
  remove();
});

const forgeKey = ({ publicKey }: TestKey) => ({
  deviceId: toHex(keyId(publicKey)),
  keyType: KEY_TYPES[publicKey.type],
  publicKey: toHex(publicKey.bytes),
});

const proofOf = (key: TestKey, expiry: number, signer = key) => ({
  deviceId: toHex(keyId(key.publicKey)),
  expiry,
  signature: toHex(signer.sign(enrolmentMessage(place, keyId(key.publicKey), 'device', expiry))),
});

async function forge(datasets: MemoryDatasets, options: Partial<ForgerOptions> = {}) {
  const { keys } = chain;
  const made = new Forger(
    {
      chainId: LOCAL_CHAIN_ID,
      contracts: keys.contracts,
      idao: keys.idao,
      idaoSalt: DEFAULT_IDAO_SALT,
      idaoName: 'test',
      idaoDescription: '',
      gateway: forgeKey(gateway),
      sign: (message) => gateway.sign(message),
      terms: { quotaCalls: 1, shareWeight: 1, expiresAfterDays: 0, policyUrl: '' },
      confirmation: { kind: 'durable' },
      ...options,
    },
    { journal, datasets, chain, operator: keys.operator, owner: keys.owner, log },
  );
  while (datasets.results.length < datasets.sealed.length) await made.pass();
  await made.stop();
}

const isProven = async (key: TestKey): Promise<boolean> =>
  (await registry.recordOf(place.idao, keyId(key.publicKey))).proven;

it('signs what the contract reads', async () => {
  const [a, b] = [testKeyNamed('secp256k1', 'a'), testKeyNamed('P-256', 'b')];
  const [oldKeyId, newKeyId] = [keyId(a.publicKey), keyId(b.publicKey)];
  expect(toHex(enrolmentMessage(place, oldKeyId, 'gateway', 1_234))).toBe(
    (await registry.possessionMessage(place.idao, oldKeyId, 2, 1_234)).slice(2),
  );
  const rotation = { oldKeyId, newKeyId, drainUntil: 77, expiry: 99 };
  expect(toHex(rotationMessage(place, rotation))).toBe(
    (await registry.rotationMessage(place.idao, oldKeyId, newKeyId, 77, 99)).slice(2),
  );
});

it('registers devices of every type with their proofs, and its own key with one', async () => {
  const datasets = new MemoryDatasets();
  const keys = [
    testKeyNamed('secp256k1', 'proving device'),
    testKeyNamed('P-256', 'proving device'),
    testKeyNamed('Ed25519', 'proving device'),
    testKeyNamed('secp256k1', 'silent device'),
  ] as const;
  for (const key of keys.slice(0, 3)) {
    const proof = proofOf(key, now + 86_400);
    datasets.keyProofs.set(proof.deviceId, proof);
  }
  datasets.seal(1, { devices: keys.map(forgeKey) });
  await forge(datasets);
  expect(await Promise.all(keys.map(isProven))).toEqual([true, true, false, false]);
  expect(await isProven(gateway)).toBe(true);
});

it('registers without a proof that is over or that the contract does not take', async () => {
  const datasets = new MemoryDatasets();
  const [late, wrong, right] = ['late', 'wrong', 'right'].map((name) =>
    testKeyNamed('secp256k1', name),
  ) as [TestKey, TestKey, TestKey];
  for (const proof of [proofOf(late, now + 60), proofOf(wrong, now + 86_400, gateway)]) {
    datasets.keyProofs.set(proof.deviceId, proof);
  }
  datasets.seal(1, { devices: [forgeKey(late), forgeKey(wrong)] });
  await forge(datasets);
  expect(await Promise.all([late, wrong].map(isProven))).toEqual([false, false]);
  expect(log.lines.join('\n')).toContain('keys are registered without their proofs');
  const again = new MemoryDatasets();
  const proof = proofOf(right, now + 86_400);
  again.keyProofs.set(proof.deviceId, proof);
  again.seal(1, { devices: [forgeKey(right)] });
  await forge(again);
  expect(await isProven(right)).toBe(true);
});

it('registers a fleet in as many transactions as its proofs need', async () => {
  const datasets = new MemoryDatasets();
  const fleet = Array.from({ length: 120 }, (_, at) => testKeyNamed('secp256k1', `fleet ${at}`));
  for (const key of fleet) {
    const proof = proofOf(key, now + 86_400);
    datasets.keyProofs.set(proof.deviceId, proof);
  }
  datasets.seal(1, { devices: fleet.map(forgeKey) });
  const before = await provider.getTransactionCount(chain.keys.operator.address);
  await forge(datasets);
  expect(await Promise.all(fleet.map(isProven))).toEqual(fleet.map(() => true));
  // Two of keys, one to commit, one to finalise.
  expect((await provider.getTransactionCount(chain.keys.operator.address)) - before).toBe(4);
});
