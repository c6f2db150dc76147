import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Transaction } from 'ethers';
import type { Random } from './random.js';

/** What a node, or what stands before it, may do to a call. */
export const RPC_FAULTS = [
  /** The call is done, the answer lost. */
  'drop-answer',
  /** Nothing ever comes. */
  'hang',
  'too-many',
  'unavailable',
  'web-page',
  /** The connection ends before the call is done. */
  'reset',
  /** A refusal that says nothing about the chain. */
  'busy-error',
] as const;

export type RpcFault = (typeof RPC_FAULTS)[number];

export interface RpcProxyOptions {
  readonly target: () => string;
  readonly random: Random;
  /** One call in so many goes wrong; 0 is none. */
  faultEvery: number;
}

/** Retry-After of the two answers that have it, seconds. */
const RETRY_AFTER_SECONDS = 0;

interface Call {
  readonly id: unknown;
  readonly method: string;
  readonly params: readonly unknown[];
}

/**
 * A JSON-RPC node as one meets them: before a real one, with faults that follow from a seed. It is stricter than anvil
 * in one thing: a replacement must offer 10 % more in both fees, as geth and reth want it.
 */
export class RpcProxy {
  readonly options: RpcProxyOptions;
  readonly counts = new Map<string, number>();
  /** Says that it is on this chain. */
  lyingChainId: number | null = null;
  /** Says that the chain has so many blocks more than it has. */
  headLie = 0;
  /** Shows a chain that stood still at this block; its receipts and states are of then. */
  lagAt: number | null = null;
  /** A chain as before EIP-1559: blocks have no base fee, and transactions of type 2 are refused. */
  isLegacy = false;
  /** Serves nobody, as a provider whose key has expired. */
  refuses = false;
  /** The next calls of this method go wrong like this. */
  readonly forced: { method: string; fault: RpcFault; retryAfterSeconds?: number }[] = [];
  readonly #server: Server;
  /** Best offer that was taken for a nonce, by account and nonce. */
  readonly #offers = new Map<string, { hash: string; maxFee: bigint; tip: bigint }>();

  private constructor(options: RpcProxyOptions) {
    this.options = options;
    this.#server = createServer((request, response) => {
      this.#serve(request, response).catch(() => response.destroy());
    });
  }

  static async start(options: RpcProxyOptions): Promise<RpcProxy> {
    const proxy = new RpcProxy(options);
    proxy.#server.listen(0, '127.0.0.1');
    await once(proxy.#server, 'listening');
    return proxy;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const call = JSON.parse(Buffer.concat(chunks).toString('utf8')) as Call;
    if (this.refuses) {
      answer(response, 403, '{"message":"invalid project id"}');
      return;
    }
    const at = this.forced.findIndex(({ method }) => method === call.method);
    const forced = at < 0 ? undefined : this.forced.splice(at, 1)[0];
    const fault = forced?.fault ?? this.#draw();
    if (fault === null) {
      answer(response, 200, JSON.stringify(await this.#answer(call)));
      return;
    }
    this.#count(fault);
    switch (fault) {
      case 'drop-answer':
        await this.#answer(call);
        response.destroy();
        return;
      case 'hang':
        return;
      case 'too-many':
        answer(response, 429, 'slow down', {
          'retry-after': String(forced?.retryAfterSeconds ?? RETRY_AFTER_SECONDS),
        });
        return;
      case 'unavailable':
        answer(response, 503, '', { 'retry-after': String(RETRY_AFTER_SECONDS) });
        return;
      case 'web-page':
        answer(response, 200, '<!doctype html><title>Just a moment</title>');
        return;
      case 'reset':
        request.socket.resetAndDestroy();
        return;
      case 'busy-error': {
        const error = { code: -32_005, message: 'limit exceeded' };
        answer(response, 200, JSON.stringify({ jsonrpc: '2.0', id: call.id, error }));
      }
    }
  }

  #draw(): RpcFault | null {
    const { random, faultEvery } = this.options;
    if (faultEvery === 0 || random.below(faultEvery) > 0) return null;
    return RPC_FAULTS[random.below(RPC_FAULTS.length)] as RpcFault;
  }

  #count(what: string): void {
    this.counts.set(what, (this.counts.get(what) ?? 0) + 1);
  }

  async #answer(call: Call): Promise<unknown> {
    const { id, method } = call;
    if (method === 'eth_chainId' && this.lyingChainId !== null) {
      return { jsonrpc: '2.0', id, result: `0x${this.lyingChainId.toString(16)}` };
    }
    if (method === 'eth_sendRawTransaction') {
      if (this.isLegacy && (call.params[0] as string).startsWith('0x02')) {
        const error = { code: -32_000, message: 'transaction type not supported' };
        return { jsonrpc: '2.0', id, error };
      }
      const refusal = await this.#judgeOffer(call.params[0] as string);
      if (refusal !== null) {
        this.#count('underpriced');
        return { jsonrpc: '2.0', id, error: { code: -32_000, message: refusal } };
      }
    }
    const told = (await this.#forward(this.#asOfThen(call))) as {
      result?: { number?: string; blockNumber?: string } | string | null;
    };
    if (this.isLegacy && method === 'eth_getBlockByNumber' && typeof told.result === 'object') {
      delete (told.result as { baseFeePerGas?: string } | null)?.baseFeePerGas;
    }
    if (this.lagAt !== null) return this.#withoutLater(call, told);
    if (this.headLie > 0) return this.#withLie(call, told);
    return told;
  }

  async #forward(call: Call): Promise<unknown> {
    const response = await fetch(this.options.target(), {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ jsonrpc: '2.0', ...call }),
    });
    return response.json();
  }

  /** The rule of real pools, which anvil does not have. */
  async #judgeOffer(raw: string): Promise<string | null> {
    const { from, nonce, hash, maxFeePerGas, maxPriorityFeePerGas, gasPrice } =
      Transaction.from(raw);
    const key = `${from} ${nonce}`;
    const maxFee = maxFeePerGas ?? gasPrice ?? 0n;
    const tip = maxPriorityFeePerGas ?? gasPrice ?? 0n;
    const offer = this.#offers.get(key);
    if (offer !== undefined && offer.hash !== hash && (await this.#isKnown(offer.hash))) {
      const isBetter = maxFee * 10n >= offer.maxFee * 11n && tip * 10n >= offer.tip * 11n;
      if (!isBetter) return 'replacement transaction underpriced';
    }
    this.#offers.set(key, { hash: hash as string, maxFee, tip });
    return null;
  }

  /** Whether the pool still has a transaction: a chain that was set back may have dropped it. */
  async #isKnown(hash: string): Promise<boolean> {
    const call = { id: 0, method: 'eth_getTransactionByHash', params: [hash] };
    const told = (await this.#forward(call)) as { result?: unknown };
    return told.result !== null;
  }

  /** A node that is behind answers of the past. */
  #asOfThen(call: Call): Call {
    if (this.lagAt === null) return call;
    const then = `0x${this.lagAt.toString(16)}`;
    const isPast = (param: unknown): boolean => param === 'latest' || param === 'pending';
    return { ...call, params: call.params.map((param) => (isPast(param) ? then : param)) };
  }

  #withoutLater(
    { id, method, params }: Call,
    told: { result?: { number?: string; blockNumber?: string } | string | null },
  ): unknown {
    const at = this.lagAt as number;
    if (method === 'eth_blockNumber') return { jsonrpc: '2.0', id, result: `0x${at.toString(16)}` };
    const asked = method === 'eth_getBlockByNumber' ? params[0] : null;
    const isLaterBlock = typeof asked === 'string' && /^0x/.test(asked) && Number(asked) > at;
    const mined = typeof told.result === 'object' ? told.result?.blockNumber : undefined;
    if (isLaterBlock || (mined !== undefined && Number(mined) > at)) {
      return { jsonrpc: '2.0', id, result: null };
    }
    return told;
  }

  #withLie(
    { method, params }: Call,
    told: { result?: { number?: string } | string | null },
  ): unknown {
    const more = (number: string): string => `0x${(Number(number) + this.headLie).toString(16)}`;
    if (method === 'eth_blockNumber' && typeof told.result === 'string') {
      return { ...told, result: more(told.result) };
    }
    const isHead = method === 'eth_getBlockByNumber' && params[0] === 'latest';
    if (isHead && typeof told.result === 'object' && told.result?.number !== undefined) {
      return { ...told, result: { ...told.result, number: more(told.result.number) } };
    }
    return told;
  }
}

function answer(
  response: ServerResponse,
  status: number,
  body: string,
  headers: Record<string, string> = {},
): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers });
  response.end(body);
}
