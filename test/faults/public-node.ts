import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { type JsonRpcProvider, ZeroAddress } from 'ethers';
import {
  DatasetForge__factory,
  IDAO__factory,
  IDAOFactory__factory,
} from '../../gateway/contracts/types/index.js';
import { DEFAULT_IDAO_SALT } from '../../gateway/forge/addresses.js';
import { anvilBinary } from '../../gateway/forge/anvil-process.js';
import { connectChain } from '../../gateway/forge/chain-client.js';
import { deployContracts } from '../../gateway/forge/deploy.js';
import { jsonRpc } from '../../gateway/forge/json-rpc.js';
import { type LocalKeys, loadLocalKeys } from '../../gateway/forge/local-keys.js';
import { freePorts } from './free-ports.js';

const BALANCE_WEI = `0x${(10_000n * 10n ** 18n).toString(16)}`;

const ETHER = 10n ** 18n;

/** Blocks upon what was set up: more than any test takes back, since nobody would set it up again. */
const BURIED_BELOW = 64;

/** As the contracts want them where something is at stake. */
const PUBLIC_TERMS = {
  responseSeconds: 7 * 86_400,
  minimumBond: 10n * ETHER,
  slice: ETHER,
  deposit: ETHER / 100n,
  attester: ZeroAddress,
} as const;

export interface PublicNodeOptions {
  readonly chainId: number;
  /** Where its keys are kept. */
  readonly keyFile: string;
  readonly windowSeconds: number;
}

/**
 * A node as public networks have them: it keeps the past, and blocks come by themselves, so that transactions wait in its
 * pool. Our contracts are on it.
 */
export class PublicNode {
  readonly url: string;
  readonly keys: LocalKeys;
  readonly #chainId: number;
  readonly #process: ChildProcess;
  #mining: Promise<void> = Promise.resolve();
  #isMining = false;

  private constructor(url: string, chainId: number, keys: LocalKeys, process: ChildProcess) {
    this.#chainId = chainId;
    this.url = url;
    this.keys = keys;
    this.#process = process;
  }

  static async start(options: PublicNodeOptions): Promise<PublicNode> {
    const [port = 0] = await freePorts(1);
    const { chainId, windowSeconds } = options;
    const child = spawn(
      anvilBinary(),
      [
        ...['--host', '127.0.0.1', '--port', String(port), '--chain-id', String(chainId)],
        ...['--accounts', '0', '--quiet', '--no-request-size-limit'],
      ],
      { stdio: 'ignore' },
    );
    const node = new PublicNode(
      `http://127.0.0.1:${port}`,
      chainId,
      loadLocalKeys(options.keyFile),
      child,
    );
    for (let tries = 0; ; tries++) {
      try {
        await node.rpc('eth_chainId');
        break;
      } catch (error) {
        if (tries > 400) throw error;
        await delay(25);
      }
    }
    const { deployer, owner, operator } = node.keys;
    for (const { address } of [deployer, owner, operator]) {
      await node.rpc('anvil_setBalance', [address, BALANCE_WEI]);
    }
    const provider = connectChain(node.url, chainId);
    await deployContracts(provider, deployer, { ...PUBLIC_TERMS, windowSeconds });
    await node.#begin(provider);
    await node.rpc('anvil_mine', [`0x${BURIED_BELOW.toString(16)}`]);
    provider.destroy();
    return node;
  }

  rpc(method: string, params: readonly unknown[] = []): Promise<unknown> {
    return jsonRpc(this.url, method, params);
  }

  /** What the owner does with a wallet: the iDAO, and its bond. */
  async #begin(provider: JsonRpcProvider): Promise<void> {
    const { owner, contracts, idao } = this.keys;
    const signer = owner.connect(provider);
    const none = `0x${'00'.repeat(20)}`;
    const factory = IDAOFactory__factory.connect(contracts.factory, signer);
    const created = await factory.create(DEFAULT_IDAO_SALT, {
      ...{ ownerAddress: owner.address, tokenAddress: none, verifiedComputingAddress: none },
      ...{ settlementAddress: none, name: 'test', description: '' },
    });
    await mined(provider, created);
    const forge = DatasetForge__factory.connect(contracts.datasetForge, signer);
    const bonded = await forge.depositBond(idao, { value: PUBLIC_TERMS.minimumBond });
    await mined(provider, bonded);
  }

  /** Makes the gateway's key an operator of the iDAO. */
  async ownerAppoints(): Promise<void> {
    const { owner, operator, idao } = this.keys;
    const provider = connectChain(this.url, this.#chainId);
    const signer = owner.connect(provider);
    const appointed = await IDAO__factory.connect(idao, signer).setOperator(operator.address, true);
    await mined(provider, appointed);
    provider.destroy();
  }

  /** Asks all of the bond back, or pays it in again. */
  async ownerMovesBond(way: 'out' | 'in'): Promise<void> {
    const { owner, contracts, idao } = this.keys;
    const provider = connectChain(this.url, this.#chainId);
    const forge = DatasetForge__factory.connect(contracts.datasetForge, owner.connect(provider));
    const value = PUBLIC_TERMS.minimumBond;
    const moved = await (way === 'out'
      ? forge.requestBond(idao, value)
      : forge.depositBond(idao, { value }));
    await mined(provider, moved);
    provider.destroy();
  }

  /** From now on a block comes every so often, and none by itself. */
  async mineEvery(ms: number): Promise<void> {
    await this.rpc('evm_setAutomine', [false]);
    this.#isMining = true;
    this.#mining = (async () => {
      while (this.#isMining) {
        await delay(ms);
        // While the chain is set back it may refuse.
        if (this.#isMining) await this.rpc('evm_mine').catch(() => undefined);
      }
    })();
  }

  /** Blocks come no more until {@link mineEvery}. */
  async pauseMining(): Promise<void> {
    this.#isMining = false;
    await this.#mining;
  }

  async stop(): Promise<void> {
    this.#isMining = false;
    await this.#mining;
    const exited = once(this.#process, 'exit');
    this.#process.kill('SIGKILL');
    await exited;
  }
}

/** ethers' own wait polls on after the provider is closed. */
async function mined(provider: JsonRpcProvider, { hash }: { hash: string }): Promise<void> {
  for (let tries = 0; ; tries++) {
    const receipt = await provider.getTransactionReceipt(hash);
    if (receipt?.status === 1) return;
    if (receipt !== null || tries > 400) throw new Error(`transaction ${hash} came to nothing`);
    await delay(25);
  }
}
