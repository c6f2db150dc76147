import { parseEther, Wallet } from 'ethers';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { idaoAddress } from './addresses.js';
import { IdaoClient } from './idao-client.js';
import { jsonRpc } from './json-rpc.js';
import { LOCAL_CHAIN_ID, LocalChain } from './local-chain.js';
import { MemoryLog, temporaryFolder } from './testing.js';

const { folder, remove } = temporaryFolder();
const chain = new LocalChain({ folder }, { log: new MemoryLog() });
const owner = new Wallet(Wallet.createRandom().privateKey);
const stranger = new Wallet(Wallet.createRandom().privateKey);
const clients: IdaoClient[] = [];
const gatewayKey = Wallet.createRandom().address;
let idao: string;

const clientOf = (signer: Wallet | null, address = idao): IdaoClient => {
  const client = new IdaoClient(
    {
      ...chain.keys.contracts,
      idao: address,
      urls: [chain.url],
      chainId: LOCAL_CHAIN_ID,
      fees: { kind: 'auto', ceilingWei: null },
      confirmations: 1,
    },
    signer,
  );
  clients.push(client);
  return client;
};

beforeAll(async () => {
  await chain.start();
  for (const { address } of [owner, stranger]) {
    const wei = `0x${parseEther('10').toString(16)}`;
    await jsonRpc(chain.url, 'anvil_setBalance', [address, wei]);
  }
  idao = idaoAddress(chain.keys.contracts.factory, owner.address);
  const missing = clientOf(null).view();
  await expect(missing).rejects.toMatchObject({ code: 'CHAIN_CONTRACT_MISSING' });
  const made = await clientOf(owner, '').create({ name: 'Fleet', description: 'of cars' });
  expect(made.idao).toBe(idao);
}, 60_000);

afterAll(async () => {
  for (const client of clients) client.close();
  await chain.stop();
  remove();
});

const unlimited = (address: string) => ({ address, until: 0, datasetsPerDay: 0 });

it('is made once for each owner', async () => {
  expect(await clientOf(null).view()).toEqual({
    idao,
    name: 'Fleet',
    description: 'of cars',
    owner: owner.address,
    pendingOwner: `0x${'0'.repeat(40)}`,
    operators: [],
    members: [],
    treasury: '0',
    metadataBase: '',
    tokens: 0,
    bond: { amount: '0', minimum: '0', requested: '0', takeableAt: 0 },
  });
  const again = clientOf(owner).create({ name: '', description: '' });
  await expect(again).rejects.toMatchObject({ code: 'IDAO_EXISTS' });
});

it('has operators that its owner names and takes away', async () => {
  await clientOf(owner).setOperator(gatewayKey, true);
  await clientOf(owner).setOperator(stranger.address, true);
  expect((await clientOf(null).view()).operators).toEqual([
    unlimited(gatewayKey),
    unlimited(stranger.address),
  ]);
  await clientOf(owner).setOperator(stranger.address, false);
  await clientOf(owner).setOperator(stranger.address, false);
  expect((await clientOf(null).view()).operators).toEqual([unlimited(gatewayKey)]);
  const wrong = clientOf(stranger).setOperator(stranger.address, true);
  await expect(wrong).rejects.toMatchObject({ code: 'IDAO_NOT_OWNER' });
  const flipped = clientOf(owner).setOperator('0x12', true);
  await expect(flipped).rejects.toMatchObject({ code: 'USAGE' });
});

it('has a bond that anyone adds to, and that only its owner gets back, in time', async () => {
  await clientOf(stranger).depositBond(500n);
  await clientOf(owner).depositBond(300n);
  await expect(clientOf(stranger).requestBond(1n)).rejects.toMatchObject({
    code: 'IDAO_NOT_OWNER',
  });
  await expect(clientOf(owner).requestBond(801n)).rejects.toMatchObject({ code: 'BOND_TOO_SMALL' });
  await expect(clientOf(owner).takeBond()).rejects.toMatchObject({ code: 'BOND_NOT_TAKEABLE' });
  await clientOf(owner).requestBond(200n);
  const { bond } = await clientOf(null).view();
  expect(bond).toMatchObject({ amount: '800', requested: '200' });
  expect(bond.takeableAt).toBeGreaterThan(0);
  // The local chain's withdrawal may take no time; the moment that it names is right in any case.
  await jsonRpc(chain.url, 'evm_setNextBlockTimestamp', [bond.takeableAt + 1_000]);
  await jsonRpc(chain.url, 'evm_mine', []);
  await clientOf(owner).takeBond();
  const after = await clientOf(null).view();
  expect(after.bond).toEqual({ amount: '600', minimum: '0', requested: '0', takeableAt: 0 });
  expect(after.treasury).toBe('200');
});

it('wants an address, a key and coin', async () => {
  await expect(clientOf(owner, '').view()).rejects.toMatchObject({ code: 'FORGE_NO_ADDRESSES' });
  await expect(clientOf(null).setOperator(gatewayKey, true)).rejects.toMatchObject({
    code: 'CHAIN_KEY_MISSING',
  });
  await expect(clientOf(owner).depositBond(0n)).rejects.toMatchObject({ code: 'USAGE' });
  await expect(clientOf(owner).depositBond(parseEther('11'))).rejects.toMatchObject({
    code: 'CHAIN_BALANCE_LOW',
  });
});

it('says where the metadata of its datasets is, by its owner alone', async () => {
  const base = 'https://gateway.example/metadata/';
  await expect(clientOf(stranger).setMetadataBase(base)).rejects.toMatchObject({
    code: 'IDAO_NOT_OWNER',
  });
  await clientOf(owner).setMetadataBase(base);
  expect((await clientOf(null).view()).metadataBase).toBe(base);
});

it('has operators with an end and a limit a day', async () => {
  const block = await jsonRpc(chain.url, 'eth_getBlockByNumber', ['latest', false]);
  const until = Number((block as { timestamp: string }).timestamp) + 86_400;
  const limits = { until, datasetsPerDay: 7 };
  await clientOf(owner).setOperator(stranger.address, true, limits);
  expect((await clientOf(null).view()).operators).toContainEqual({
    address: stranger.address,
    ...limits,
  });
  const past = { until: 1_600_000_000, datasetsPerDay: 0 };
  const late = clientOf(owner).setOperator(stranger.address, true, past);
  await expect(late).rejects.toMatchObject({ code: 'USAGE' });
  await clientOf(owner).setOperator(stranger.address, true);
  expect((await clientOf(null).view()).operators).toContainEqual(unlimited(stranger.address));
  await clientOf(owner).setOperator(stranger.address, false);
});

it('has members with roles', async () => {
  await clientOf(owner).setRoles(stranger.address, ['licensor', 'treasurer']);
  expect((await clientOf(null).view()).members).toEqual([
    { address: stranger.address, roles: ['licensor', 'treasurer'] },
  ]);
  await expect(clientOf(stranger).setRoles(stranger.address, [])).rejects.toMatchObject({
    code: 'IDAO_NOT_OWNER',
  });
  await clientOf(owner).setRoles(stranger.address, []);
  expect((await clientOf(null).view()).members).toEqual([]);
});
