import { type JsonRpcPayload, JsonRpcProvider, type JsonRpcResult, toQuantity } from 'ethers';
import { WaystoneError } from '../core/errors.js';
import type { ChainBlock } from '../core/forge-ports.js';
import { EndpointFault, type RpcAnswer, RpcEndpoint } from './rpc-endpoint.js';

/** Blocks that a node may be behind the foremost one and still be asked. */
const LAG_BLOCKS_MAX = 3;

/** Tries of one question over all nodes before it is given up for now. */
const ROUNDS_MAX = 3;

/** Longest wait for a resting node within one question, ms. */
const WAIT_MAX_MS = 2_000;

export interface ChainProviderOptions {
  /** How long a node may take for one answer; default 10 s. */
  readonly timeoutMs?: number;
  /** First and longest rest of a node after a fault; default 250 ms and 30 s. */
  readonly restMinMs?: number;
  readonly restMaxMs?: number;
}

/** What a node is good for, found by {@link ChainProvider.look}. */
export interface NodeView {
  readonly name: string;
  /** null when it did not answer. */
  readonly chainId: number | null;
  readonly genesisHash: string | null;
  readonly head: ChainBlock | null;
  /** Why it is not asked; "" when it is. */
  readonly setAside: string;
}

/** What became of a transaction that was handed to all nodes. */
export interface Broadcast {
  /** Some node took it, or has it already. */
  readonly isTaken: boolean;
  /** What those said that did not take it. */
  readonly refusals: readonly string[];
  /** Some node gave no answer, and may have taken it. */
  readonly isUnheard: boolean;
}

interface Node {
  readonly endpoint: RpcEndpoint;
  chainId: number | null;
  genesisHash: string | null;
  head: ChainBlock | null;
  setAside: { readonly code: string; readonly why: string } | null;
}

/**
 * A chain behind several nodes, of which any may be slow, down, behind, or not what it should be. Questions go to the
 * first sound one and on to the next when it fails, so that one pass sees one chain as far as possible; transactions go
 * to all. A missing answer is an error here, never a value.
 */
export class ChainProvider extends JsonRpcProvider {
  readonly #chainId: number;
  readonly #nodes: readonly Node[];
  #genesisHash: string | null = null;
  #retryAfterMs = 0;

  constructor(urls: readonly string[], chainId: number, options: ChainProviderOptions = {}) {
    super(urls[0], chainId, {
      // Without the chain id every call would hang while the node is down.
      staticNetwork: true,
      // A nonce that is 250 ms old is wrong.
      cacheTimeout: -1,
      // One bad answer must not be shared by other calls.
      batchMaxCount: 1,
    });
    if (urls.length === 0) throw new RangeError('a chain needs at least one URL');
    const { timeoutMs = 10_000, restMinMs = 250, restMaxMs = 30_000 } = options;
    this.#chainId = chainId;
    this.#nodes = urls.map((url) => ({
      endpoint: new RpcEndpoint(url, { timeoutMs, restMinMs, restMaxMs }),
      chainId: null,
      genesisHash: null,
      head: null,
      setAside: null,
    }));
  }

  /** Hash of block 0; null while no node has told it. */
  get genesisHash(): string | null {
    return (
      this.#nodes.find((node) => isUsable(node) && node.genesisHash !== null)?.genesisHash ?? null
    );
  }

  /** Head of the node that is asked first, as of the last look. */
  get head(): ChainBlock | null {
    return this.#nodes.find((node) => isUsable(node) && node.head !== null)?.head ?? null;
  }

  /** How long the nodes asked to be left alone when last none of them answered, ms. */
  get retryAfterMs(): number {
    return this.#retryAfterMs;
  }

  /** From now on, nodes with another block 0 are set aside. */
  expectGenesis(hash: string): void {
    this.#genesisHash = hash;
    for (const node of this.#nodes) this.#judge(node);
  }

  view(): NodeView[] {
    return this.#nodes.map(({ endpoint, chainId, genesisHash, head, setAside }) => ({
      ...{ name: endpoint.name, chainId, genesisHash, head },
      setAside: setAside?.why ?? endpoint.fault?.message ?? '',
    }));
  }

  /**
   * Looks at every node anew: the chain that it is on, its block 0, its head. Those on another chain, those behind, and
   * those whose head is not there when it is asked for are set aside until the next look.
   *
   * @throws WaystoneError CHAIN_WRONG, CHAIN_GENESIS_DIFFERS, CHAIN_URL_REFUSED or CHAIN_UNREACHABLE when none is left.
   */
  async look(): Promise<void> {
    await Promise.all(this.#nodes.map((node) => this.#examine(node)));
    const heads = this.#nodes.flatMap((node) =>
      node.setAside === null && node.head !== null ? [node.head.number] : [],
    );
    const foremost = Math.max(...heads);
    for (const node of this.#nodes) {
      if (node.setAside !== null || node.head === null) continue;
      const behind = foremost - node.head.number;
      if (behind <= LAG_BLOCKS_MAX) continue;
      const why = `${node.endpoint.name} is ${behind} blocks behind another node`;
      node.setAside = { code: 'CHAIN_BEHIND', why };
    }
    if (!this.#nodes.some((node) => isUsable(node) && node.head !== null)) throw this.#noneLeft();
  }

  /**
   * The same question to every node that is on the right chain, whatever else is wrong with it: for what one may know and
   * another not.
   */
  async askAll(method: string, params: readonly unknown[]): Promise<unknown[]> {
    const answers = await Promise.allSettled(
      this.#nodes
        .filter((node) => node.setAside === null || node.setAside.code === 'CHAIN_BEHIND')
        .map((node) => node.endpoint.call(method, params)),
    );
    return answers.flatMap((answer) =>
      answer.status === 'fulfilled' && 'result' in answer.value ? [answer.value.result] : [],
    );
  }

  /** Hands a signed transaction to all nodes; resolves with the first that takes it, or with all that they said. */
  async broadcast(raw: string, isKnown: (message: string) => boolean): Promise<Broadcast> {
    const nodes = this.#nodes.filter(
      (node) => node.setAside === null || node.setAside.code === 'CHAIN_BEHIND',
    );
    const awake = nodes.filter((node) => node.endpoint.restMs === 0);
    const refusals: string[] = [];
    const sends = (awake.length > 0 ? awake : nodes).map(async ({ endpoint }) => {
      const answer = await endpoint.call('eth_sendRawTransaction', [raw]);
      if ('result' in answer || isKnown(answer.error.message)) return;
      refusals.push(answer.error.message);
      throw new EndpointFault('refused', answer.error.message);
    });
    try {
      await Promise.any(sends);
      return { isTaken: true, refusals, isUnheard: false };
    } catch {
      // The answer may be lost though the transaction was taken; only its receipt tells.
      return { isTaken: false, refusals, isUnheard: refusals.length < sends.length };
    }
  }

  override async _send(payload: JsonRpcPayload | JsonRpcPayload[]): Promise<JsonRpcResult[]> {
    const calls = Array.isArray(payload) ? payload : [payload];
    return Promise.all(
      calls.map(async ({ id, method, params }) => ({
        id,
        ...(await this.#ask(method, params)),
      })),
    ) as Promise<JsonRpcResult[]>;
  }

  async #ask(method: string, params: unknown): Promise<RpcAnswer> {
    for (let round = 0; round < ROUNDS_MAX; round++) {
      for (const node of this.#nodes) {
        if (node.setAside !== null || node.endpoint.restMs > 0) continue;
        try {
          const answer = await node.endpoint.call(method, params);
          this.#retryAfterMs = 0;
          return answer;
        } catch (error) {
          if (!(error instanceof EndpointFault)) throw error;
        }
      }
      const rests = this.#nodes
        .filter((node) => node.setAside === null)
        .map((node) => node.endpoint.restMs);
      if (rests.length === 0 || Math.min(...rests) > WAIT_MAX_MS) break;
      await new Promise((resolve) => setTimeout(resolve, Math.min(...rests) + 1));
    }
    throw this.#noneLeft();
  }

  async #examine(node: Node): Promise<void> {
    const { endpoint } = node;
    if (endpoint.restMs > WAIT_MAX_MS) return;
    if (endpoint.restMs > 0) {
      // A node that just stumbled is looked at once it has rested, if that is soon.
      await new Promise((resolve) => setTimeout(resolve, endpoint.restMs + 1));
    }
    try {
      node.chainId = Number(await this.#one(node, 'eth_chainId', []));
      node.genesisHash ??= (await this.#block(node, 0))?.hash ?? null;
      node.head = await this.#block(node, 'latest');
      this.#judge(node);
      if (node.setAside !== null || node.head === null) return;
      // Whoever says where the chain ends must have that block.
      const { number } = node.head;
      const again = await this.#block(node, number);
      if (again?.number !== number) {
        const why = `${endpoint.name} says that the chain is at block ${number} but does not have it`;
        node.setAside = { code: 'CHAIN_HEAD_FALSE', why };
      }
    } catch (error) {
      if (!(error instanceof EndpointFault)) throw error;
      node.head = null;
    }
  }

  #judge(node: Node): void {
    const { chainId, genesisHash, endpoint } = node;
    node.setAside = null;
    if (chainId !== null && chainId !== this.#chainId) {
      const why = `the node ${endpoint.name} is on chain ${chainId}, this gateway forges on chain ${this.#chainId}; check the network and its URL`;
      node.setAside = { code: 'CHAIN_WRONG', why };
      // Another chain's block 0 says nothing about ours.
      node.genesisHash = null;
    } else if (
      this.#genesisHash !== null &&
      genesisHash !== null &&
      genesisHash !== this.#genesisHash
    ) {
      const why = `the chain behind ${endpoint.name} has id ${chainId} but begins with ${genesisHash}, not with ${this.#genesisHash}: it was begun anew, or it is another chain. Nothing is sent; if it is meant, set chain.genesisHash to that hash, and all datasets are forged on it again`;
      node.setAside = { code: 'CHAIN_GENESIS_DIFFERS', why };
      node.genesisHash = null;
    }
  }

  async #one(node: Node, method: string, params: readonly unknown[]): Promise<unknown> {
    const answer = await node.endpoint.call(method, params);
    if ('result' in answer) return answer.result;
    const fault = new EndpointFault(
      'unreachable',
      `${node.endpoint.name} refuses ${method}: ${answer.error.message}`,
    );
    node.endpoint.rest(fault);
    throw fault;
  }

  async #block(node: Node, which: number | 'latest'): Promise<ChainBlock | null> {
    const tag = which === 'latest' ? which : toQuantity(which);
    const block = (await this.#one(node, 'eth_getBlockByNumber', [tag, false])) as {
      number?: string;
      hash?: string;
    } | null;
    if (typeof block?.number !== 'string' || typeof block.hash !== 'string') return null;
    return { number: Number(block.number), hash: block.hash };
  }

  /** Why no node answers. Another chain is the clearest reason, silence the least clear one. */
  #noneLeft(): WaystoneError {
    const told = (code: string) => this.#nodes.find((node) => node.setAside?.code === code);
    for (const code of ['CHAIN_GENESIS_DIFFERS', 'CHAIN_WRONG', 'CHAIN_HEAD_FALSE']) {
      const node = told(code);
      const isAll = this.#nodes.every(
        ({ setAside, endpoint }) => setAside !== null || endpoint.fault !== null,
      );
      if (node?.setAside && isAll) return new WaystoneError(code, node.setAside.why);
    }
    const faults = this.#nodes.flatMap(({ endpoint }) => endpoint.fault ?? []);
    this.#retryAfterMs = Math.min(...this.#nodes.map(({ endpoint }) => endpoint.restMs));
    const all = faults.map((fault) => fault.message).join('; ') || 'no node answers';
    if (faults.length > 0 && faults.every((fault) => fault.kind === 'refused')) {
      return new WaystoneError(
        'CHAIN_URL_REFUSED',
        `${all}; check chain.rpcUrls and the keys in them. Datasets wait, forging goes on by itself`,
      );
    }
    return new WaystoneError('CHAIN_UNREACHABLE', all);
  }
}

function isUsable(node: Node): boolean {
  return node.setAside === null && node.endpoint.fault === null;
}
