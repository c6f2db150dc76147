import { join } from 'node:path';
import Database from 'better-sqlite3';
import { parseEther, type Signer, Wallet } from 'ethers';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DAT__factory } from '../contracts/types/index.js';
import { DEFAULT_IDAO_SALT } from './addresses.js';
import { connectChain } from './chain-client.js';
import { DatClient, type DatPlace } from './dat-client.js';
import { Forger } from './forger.js';
import { jsonRpc } from './json-rpc.js';
import { LOCAL_CHAIN_ID, LocalChain } from './local-chain.js';
import { journalIn, MemoryDatasets, MemoryLog, someKey, temporaryFolder } from './testing.js';

const { folder, remove } = temporaryFolder();
const chain = new LocalChain({ folder: join(folder, 'chain') }, { log: new MemoryLog() });
const db = new Database(join(folder, 'ledger.sqlite'));
const provider = () => connectChain(chain.url, LOCAL_CHAIN_ID);
const buyer = Wallet.createRandom();
const clients: DatClient[] = [];
let classId: bigint;
let place: DatPlace;

const clientOf = (signer: Wallet | null, changes: Partial<DatPlace> = {}): DatClient => {
  const client = new DatClient({ ...place, ...changes }, signer);
  clients.push(client);
  return client;
};
const ofOwner = () => clientOf(new Wallet(chain.keys.owner.privateKey));
const ofBuyer = () => clientOf(new Wallet(buyer.privateKey));

/** A chain with one dataset, forged by the gateway's own forger. */
beforeAll(async () => {
  await chain.start();
  const journal = journalIn(db);
  const datasets = new MemoryDatasets();
  datasets.seal(1);
  const { keys } = chain;
  const forger = new Forger(
    {
      chainId: LOCAL_CHAIN_ID,
      contracts: keys.contracts,
      idao: keys.idao,
      idaoSalt: DEFAULT_IDAO_SALT,
      idaoName: 'test',
      idaoDescription: '',
      gateway: someKey('gateway'),
      terms: { quotaCalls: 0, shareWeight: 7, expiresAfterDays: 0, policyUrl: 'ipfs://policy' },
      confirmation: { kind: 'durable' },
    },
    {
      ...{ journal, datasets, chain },
      operator: keys.operator,
      owner: keys.owner,
      log: new MemoryLog(),
      crashPoint: () => undefined,
    },
  );
  while (datasets.results.length === 0) await forger.pass();
  await forger.stop();
  classId = BigInt(datasets.results[0]?.tokenId ?? 0);
  place = {
    urls: [chain.url],
    chainId: LOCAL_CHAIN_ID,
    dat: keys.contracts.dat,
    fees: { kind: 'auto', ceilingWei: null },
    confirmations: 1,
  };
  const wei = `0x${parseEther('10').toString(16)}`;
  await jsonRpc(chain.url, 'anvil_setBalance', [buyer.address, wei]);
}, 60_000);

afterAll(async () => {
  for (const client of clients) client.close();
  await chain.stop();
  db.close();
  remove();
});

const licence = async (quota: bigint, expireAt = 0): Promise<bigint> => {
  const issued = await ofOwner().issueLicence(classId, { to: buyer.address, quota, expireAt });
  return BigInt(issued.tokenId);
};

const now = async (): Promise<number> => {
  const node = provider();
  const block = await node.getBlock('latest');
  node.destroy();
  return block?.timestamp ?? 0;
};

describe('tokens', () => {
  it('are told as the contract has them', async () => {
    const view = await clientOf(null).view(classId);
    expect(view).toMatchObject({
      tokenId: String(classId),
      classId: String(classId),
      kind: 'dataset',
      owner: chain.keys.idao,
      quotaLeft: '0',
      expireAt: 0,
      shareWeight: 7,
      policyUrl: 'ipfs://policy',
      pending: '0',
    });
    expect(view.manifestHash).toMatch(/^[0-9a-f]{64}$/);
  });

  it('give licences through the iDAO, to whoever its owner names', async () => {
    const token = await licence(5n);
    expect(await ofOwner().view(token)).toMatchObject({
      classId: String(classId),
      kind: 'licence',
      owner: buyer.address,
      quotaLeft: '5',
      shareWeight: 0,
    });
    expect(await ofOwner().licences(classId)).toContain(String(token));
  });

  it('are used up to the quota, and not one call beyond it', async () => {
    const token = await licence(3n);
    await ofBuyer().recordUsage(token, 'query', 2n);
    await expect(ofBuyer().recordUsage(token, 'query', 2n)).rejects.toMatchObject({
      code: 'DAT_QUOTA_EXCEEDED',
      message: expect.stringContaining('1 calls left, 2 are wanted'),
    });
    await ofBuyer().recordUsage(token, 'query', 1n);
    expect((await ofBuyer().view(token)).quotaLeft).toBe('0');
    const usage = await clientOf(null).usage(token);
    expect(usage.map(({ metric, amount, actor }) => [metric, amount, actor])).toEqual([
      ['query', '2', buyer.address],
      ['query', '1', buyer.address],
    ]);
  });

  it('are worth nothing after their end', async () => {
    const token = await licence(3n, (await now()) + 1_000);
    await jsonRpc(chain.url, 'evm_increaseTime', [2_000]);
    await jsonRpc(chain.url, 'evm_mine', []);
    await expect(ofBuyer().recordUsage(token, 'query', 1n)).rejects.toMatchObject({
      code: 'DAT_EXPIRED',
    });
  });

  it('bring revenue that the iDAO claims, to the last wei', async () => {
    const node = provider();
    const before = await node.getBalance(chain.keys.idao);
    await ofBuyer().settle(classId, 1_000_000_000_000_001n);
    await ofBuyer().settle(classId, 2n);
    const paid = '1000000000000003';
    expect(await ofOwner().revenue(classId)).toMatchObject({ settled: paid, pending: paid });
    const claimed = await ofOwner().claim(classId);
    expect(claimed).toMatchObject({ amount: paid, to: chain.keys.idao });
    expect((await node.getBalance(chain.keys.idao)) - before).toBe(BigInt(paid));
    const after = await ofOwner().revenue(classId);
    expect(after).toMatchObject({ settled: paid, claimed: paid, pending: '0' });
    node.destroy();
    await expect(ofOwner().claim(classId)).rejects.toMatchObject({ code: 'DAT_NOTHING_PENDING' });
  });

  it('send a claim elsewhere when the owner says so', async () => {
    const to = Wallet.createRandom().address;
    await ofBuyer().settle(classId, 5n);
    expect(await ofOwner().claim(classId, { to })).toMatchObject({ amount: '5', to });
    const node = provider();
    expect(await node.getBalance(to)).toBe(5n);
    node.destroy();
  });
});

describe('what is refused', () => {
  it('a key that neither owns the token nor its iDAO, unless it is approved for the class', async () => {
    await expect(
      ofBuyer().issueLicence(classId, { to: buyer.address, quota: 1n, expireAt: 0 }),
    ).rejects.toMatchObject({ code: 'DAT_NOT_AUTHORISED' });
    const token = await licence(2n);
    const helper = Wallet.createRandom();
    await jsonRpc(chain.url, 'anvil_setBalance', [helper.address, '0xde0b6b3a7640000']);
    const ofHelper = clientOf(new Wallet(helper.privateKey));
    await expect(ofHelper.recordUsage(token, 'query', 1n)).rejects.toMatchObject({
      code: 'DAT_NOT_AUTHORISED',
    });
    const node = provider();
    const signer = buyer.connect(node) as unknown as Signer;
    const dat = DAT__factory.connect(place.dat, signer);
    await (await dat.approveForClass(classId, helper.address, true)).wait();
    node.destroy();
    await ofHelper.recordUsage(token, 'query', 1n);
    expect((await ofHelper.view(token)).quotaLeft).toBe('1');
  });

  it('a token that is not there, and an end that is past', async () => {
    await expect(clientOf(null).view(999_999n)).rejects.toMatchObject({ code: 'DAT_UNKNOWN' });
    const past = { to: buyer.address, quota: 1n, expireAt: 1_000 };
    await expect(ofOwner().issueLicence(classId, past)).rejects.toMatchObject({
      code: 'DAT_EXPIRY_PAST',
    });
  });

  it('to sign without a key or without coin', async () => {
    await expect(clientOf(null).settle(classId, 1n)).rejects.toMatchObject({
      code: 'CHAIN_KEY_MISSING',
    });
    const poor = clientOf(Wallet.createRandom() as unknown as Wallet);
    await expect(poor.settle(classId, 0n)).rejects.toMatchObject({ code: 'CHAIN_CALL_REFUSED' });
    await expect(poor.settle(classId, 1n)).rejects.toMatchObject({ code: 'CHAIN_BALANCE_LOW' });
  });

  it('a price above the ceiling, before anything is sent', async () => {
    const wallet = new Wallet(buyer.privateKey);
    const thrifty = clientOf(wallet, { fees: { kind: 'auto', ceilingWei: 1n } });
    await expect(thrifty.settle(classId, 1n)).rejects.toMatchObject({ code: 'FORGE_FEE_CEILING' });
  });

  it('an address without a contract, and another chain', async () => {
    const nowhere = clientOf(null, { dat: buyer.address });
    await expect(nowhere.view(classId)).rejects.toMatchObject({ code: 'CHAIN_CONTRACT_MISSING' });
    const other = clientOf(null, { chainId: 1 });
    await expect(other.view(classId)).rejects.toMatchObject({ code: 'CHAIN_WRONG' });
  });

  it('a metric whose name does not fit', async () => {
    const token = await licence(1n);
    await expect(ofBuyer().recordUsage(token, 'm'.repeat(33), 1n)).rejects.toMatchObject({
      code: 'USAGE',
    });
  });
});
