import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type JsonRpcProvider, Wallet } from 'ethers';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { DeviceRegistry__factory } from '../contracts/types/index.js';
import { connectChain } from './chain-client.js';
import { ChainProvider } from './chain-provider.js';
import { IdaoClient } from './idao-client.js';
import { jsonRpc } from './json-rpc.js';
import { LOCAL_CHAIN_ID, LocalChain } from './local-chain.js';
import { searchLogs } from './log-search.js';
import { MemoryLog, temporaryFolder } from './testing.js';

/** A chain of 5,100 blocks behind a node that searches 5,000 of them at once, as public ones do. */
const { folder, remove } = temporaryFolder();
const chain = new LocalChain({ folder }, { log: new MemoryLog() });
const owner = new Wallet(Wallet.createRandom().privateKey);
const searched: number[] = [];
let node: Server;
let url: string;
let idao: string;

const place = (from: string) => ({
  ...chain.keys.contracts,
  idao,
  urls: [from],
  chainId: LOCAL_CHAIN_ID,
  fees: { kind: 'auto' as const, ceilingWei: null },
  confirmations: 1,
});

beforeAll(async () => {
  await chain.start();
  node = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const body = Buffer.concat(chunks).toString();
    const { id, method, params } = JSON.parse(body);
    const blocks = Number(params?.[0]?.toBlock) - Number(params?.[0]?.fromBlock) + 1;
    if (method === 'eth_getLogs') searched.push(blocks);
    response.setHeader('content-type', 'application/json');
    if (method === 'eth_getLogs' && blocks > 5_000) {
      const error = { code: -32_005, message: 'exceed maximum block range: 5000' };
      response.end(JSON.stringify({ jsonrpc: '2.0', id, error }));
      return;
    }
    const answer = await fetch(chain.url, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body,
    });
    response.end(await answer.text());
  }).listen(0, '127.0.0.1');
  await once(node, 'listening');
  url = `http://127.0.0.1:${(node.address() as AddressInfo).port}`;

  await jsonRpc(chain.url, 'anvil_setBalance', [owner.address, `0x${(10n ** 19n).toString(16)}`]);
  const maker = new IdaoClient({ ...place(chain.url), idao: '' }, owner);
  ({ idao } = await maker.create({ name: 'old', description: '' }));
  maker.close();
  const early = new IdaoClient(place(chain.url), owner);
  await early.setOperator(owner.address, true);
  early.close();
  await jsonRpc(chain.url, 'anvil_mine', ['0x13ec'], 60_000);
}, 60_000);

afterAll(async () => {
  node.closeAllConnections();
  node.close();
  await chain.stop();
  remove();
});

it('finds what happened long ago on a node that searches little at once', async () => {
  const client = new IdaoClient(place(url), null);
  expect((await client.view()).operators).toEqual([
    { address: owner.address, until: 0, datasetsPerDay: 0 },
  ]);
  client.close();
  // Operators and members are looked for, each first in the whole chain and then in two pieces.
  const pieces = searched.filter((blocks) => blocks <= 5_000);
  expect([searched.length - pieces.length, pieces.length]).toEqual([2, 4]);
});

it.each([
  ['of one node', () => connectChain(url, LOCAL_CHAIN_ID)],
  ['of several', () => new ChainProvider([url], LOCAL_CHAIN_ID)],
] as [string, () => JsonRpcProvider][])(
  'stops early at %s when that is enough',
  async (_, open) => {
    const provider = open();
    const registry = DeviceRegistry__factory.connect(chain.keys.contracts.registry, provider);
    searched.length = 0;
    const query = (from: number, to: number) =>
      registry.queryFilter(registry.filters.DeviceRetired(), from, to);
    expect(await searchLogs(provider, query, () => searched.length > 1)).toEqual([]);
    expect(searched).toHaveLength(2);
    expect(await searchLogs(provider, query)).toEqual([]);
    expect(searched).toHaveLength(2 + 1 + 2);
    provider.destroy();
  },
);

it('says what the node says that searches nothing at all', async () => {
  const provider = connectChain(url, LOCAL_CHAIN_ID);
  const query = async (): Promise<never[]> => {
    await provider.send('eth_noSuchMethod', []);
    return [];
  };
  await expect(searchLogs(provider, query)).rejects.toThrow();
  provider.destroy();
});
