import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { readRevert } from './chain-client.js';
import { ChainProvider } from './chain-provider.js';

const CHAIN_ID = 1_088;
const GENESIS = `0x${'a0'.repeat(32)}`;
const TO = `0x${'11'.repeat(20)}`;

type Behaviour = (response: ServerResponse, call: { id: number; method: string }) => void;

const closing: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

/** A node whose answers the test decides; by default a sound one at block 100. */
class FakeNode {
  chainId = CHAIN_ID;
  genesis: string | null = GENESIS;
  head = 100;
  /** Head that it claims, when that is not the one it has. */
  claims: number | null = null;
  behaviour: Behaviour | null = null;
  readonly calls: string[] = [];
  url = '';

  static async start(): Promise<FakeNode> {
    const node = new FakeNode();
    const server = createServer(async (request, response) => {
      let body = '';
      for await (const chunk of request) body += chunk;
      const call = JSON.parse(body) as { id: number; method: string; params: unknown[] };
      node.calls.push(call.method);
      const isLook = ['eth_chainId', 'eth_getBlockByNumber'].includes(call.method);
      if (node.behaviour !== null && !isLook) node.behaviour(response, call);
      else reply(response, call, { result: node.#result(call) });
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    node.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    closing.push(async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    });
    return node;
  }

  #result({ method, params }: { method: string; params: unknown[] }): unknown {
    if (method === 'eth_chainId') return hex(this.chainId);
    if (method === 'eth_sendRawTransaction') return `0x${'77'.repeat(32)}`;
    if (method !== 'eth_getBlockByNumber') return hex(this.head);
    if (params[0] === '0x0')
      return this.genesis === null ? null : { number: '0x0', hash: this.genesis };
    const number = params[0] === 'latest' ? (this.claims ?? this.head) : Number(params[0]);
    const isThere = params[0] === 'latest' || number <= this.head;
    return isThere ? { number: hex(number), hash: `0x${String(number).padStart(64, '0')}` } : null;
  }
}

function hex(value: number): string {
  return `0x${value.toString(16)}`;
}

function reply(response: ServerResponse, call: { id: number }, answer: object): void {
  response.end(JSON.stringify({ jsonrpc: '2.0', id: call.id, ...answer }));
}

function connect(...nodes: FakeNode[]): ChainProvider {
  const provider = new ChainProvider(
    nodes.map(({ url }) => url),
    CHAIN_ID,
    { timeoutMs: 200, restMinMs: 5, restMaxMs: 40 },
  );
  closing.push(async () => provider.destroy());
  return provider;
}

const FAULTS: readonly (readonly [string, Behaviour])[] = [
  ['resets the connection', (response) => response.destroy()],
  ['hangs', () => undefined],
  [
    'asks to come later (429)',
    (response) => response.writeHead(429, { 'retry-after': '7' }).end('slow down'),
  ],
  ['is unavailable (503)', (response) => response.writeHead(503).end()],
  ['answers with a web page', (response) => response.end('<!doctype html>')],
  ['answers with half a document', (response) => response.end('{"jsonrpc":"2.0","id":1,"resu')],
  ['refuses us (403)', (response) => response.writeHead(403).end('{"message":"no key"}')],
  [
    'answers something else',
    (response) => response.end('{"jsonrpc":"2.0","id":-5,"result":"0x1"}'),
  ],
  [
    'says that it is too busy, as JSON-RPC',
    (response, call) =>
      reply(response, call, { error: { code: -32_005, message: 'limit exceeded' } }),
  ],
  [
    'lacks the state, as JSON-RPC',
    (response, call) =>
      reply(response, call, { error: { code: -32_000, message: 'missing trie node 00' } }),
  ],
];

describe.each(FAULTS)('a node that %s', (_what, behaviour) => {
  it('is passed over for the next one', async () => {
    const [first, second] = [await FakeNode.start(), await FakeNode.start()];
    first.behaviour = behaviour;
    second.head = 101;
    const provider = connect(first, second);
    await provider.look();
    expect(await provider.send('eth_blockNumber', [])).toBe('0x65');
    expect(await provider.call({ to: TO })).toBe('0x65');
  });

  it('is never taken for the contract, or for the chain, when it is the only one', async () => {
    const node = await FakeNode.start();
    node.behaviour = behaviour;
    const provider = connect(node);
    await provider.look();
    const error = await provider.call({ to: TO }).catch((caught) => caught);
    expect(['CHAIN_UNREACHABLE', 'CHAIN_URL_REFUSED']).toContain(error.code);
    expect(readRevert(error)).toBeNull();
    await expect(provider.getTransactionReceipt(`0x${'00'.repeat(32)}`)).rejects.toThrow();
  });
});

it('believes a contract that reverts, at once', async () => {
  const node = await FakeNode.start();
  node.behaviour = (response, call) =>
    reply(response, call, { error: { code: 3, message: 'execution reverted', data: '0x' } });
  const provider = connect(node);
  const error = await provider.call({ to: TO }).catch((caught) => caught);
  expect(readRevert(error)).not.toBeNull();
  expect(node.calls).toEqual(['eth_call']);
});

it('leaves a node alone for as long as it asks, and says so', async () => {
  const node = await FakeNode.start();
  const provider = connect(node);
  await provider.look();
  node.behaviour = (response) => response.writeHead(429, { 'retry-after': '7' }).end();
  await expect(provider.send('eth_blockNumber', [])).rejects.toMatchObject({
    code: 'CHAIN_UNREACHABLE',
    message: expect.stringContaining('asks to come later (HTTP 429)'),
  });
  expect(provider.retryAfterMs).toBeGreaterThan(6_000);
  const { length } = node.calls;
  await expect(provider.send('eth_blockNumber', [])).rejects.toThrow();
  expect(node.calls).toHaveLength(length);
});

it('says that a URL is refused, without the key in it', async () => {
  const node = await FakeNode.start();
  node.behaviour = (response) => response.writeHead(401).end();
  const provider = new ChainProvider([`${node.url}/v1/s3cret?key=s3cret`], CHAIN_ID, {
    restMinMs: 1,
  });
  closing.push(async () => provider.destroy());
  const error = await provider.send('eth_blockNumber', []).catch((caught) => caught);
  expect(error.code).toBe('CHAIN_URL_REFUSED');
  expect(error.message).not.toContain('s3cret');
});

describe('looking at the nodes', () => {
  it('sets a node of another chain aside, and takes it back when it is right', async () => {
    const [liar, node] = [await FakeNode.start(), await FakeNode.start()];
    liar.chainId = 1;
    liar.head = 999;
    const provider = connect(liar, node);
    await provider.look();
    expect(provider.head?.number).toBe(100);
    expect(await provider.send('eth_blockNumber', [])).toBe('0x64');
    expect(provider.view()[0]?.setAside).toContain('is on chain 1');
    liar.chainId = CHAIN_ID;
    await provider.look();
    expect(provider.head?.number).toBe(999);
  });

  it('stops when all are on another chain', async () => {
    const node = await FakeNode.start();
    node.chainId = 59_902;
    await expect(connect(node).look()).rejects.toMatchObject({ code: 'CHAIN_WRONG' });
  });

  it('stops when the chain behind the id is another one', async () => {
    const node = await FakeNode.start();
    const provider = connect(node);
    provider.expectGenesis(`0x${'b0'.repeat(32)}`);
    await expect(provider.look()).rejects.toMatchObject({
      code: 'CHAIN_GENESIS_DIFFERS',
      message: expect.stringContaining(GENESIS),
    });
  });

  it('knows the chain by its first block, if any node keeps that', async () => {
    const [pruned, node] = [await FakeNode.start(), await FakeNode.start()];
    pruned.genesis = null;
    const provider = connect(pruned, node);
    await provider.look();
    expect(provider.genesisHash).toBe(GENESIS);
  });

  it('asks no node that is behind the others', async () => {
    const [behind, node] = [await FakeNode.start(), await FakeNode.start()];
    behind.head = 90;
    const provider = connect(behind, node);
    await provider.look();
    expect(provider.head?.number).toBe(100);
    expect(provider.view()[0]?.setAside).toContain('10 blocks behind');
    behind.head = 99;
    await provider.look();
    expect(provider.view()[0]?.setAside).toBe('');
  });

  it('does not believe a head that is not there', async () => {
    const [liar, node] = [await FakeNode.start(), await FakeNode.start()];
    liar.claims = 5_000;
    const provider = connect(liar, node);
    await provider.look();
    expect(provider.head?.number).toBe(100);
    expect(provider.view()[0]?.setAside).toContain('does not have it');
  });
});

describe('a transaction for all nodes', () => {
  const isKnown = (message: string): boolean => message === 'already known';

  it('is taken when one takes it, or has it', async () => {
    const [first, second] = [await FakeNode.start(), await FakeNode.start()];
    first.behaviour = (response, call) =>
      reply(response, call, { error: { code: -32_000, message: 'txpool is full' } });
    const provider = connect(first, second);
    await provider.look();
    expect(await provider.broadcast('0x02', isKnown)).toMatchObject({ isTaken: true });
    second.behaviour = (response, call) =>
      reply(response, call, { error: { code: -32_000, message: 'already known' } });
    expect(await provider.broadcast('0x02', isKnown)).toMatchObject({ isTaken: true });
  });

  it('is not taken when all refuse, and what they said is kept', async () => {
    const node = await FakeNode.start();
    node.behaviour = (response, call) =>
      reply(response, call, { error: { code: -32_000, message: 'nonce too low' } });
    const provider = connect(node);
    await provider.look();
    expect(await provider.broadcast('0x02', isKnown)).toEqual({
      isTaken: false,
      refusals: ['nonce too low'],
      isUnheard: false,
    });
  });

  it('is unheard of when nobody answers: that is no refusal', async () => {
    const node = await FakeNode.start();
    node.behaviour = (response) => response.destroy();
    const provider = connect(node);
    await provider.look();
    expect(await provider.broadcast('0x02', isKnown)).toEqual({
      ...{ isTaken: false, refusals: [], isUnheard: true },
    });
  });
});
