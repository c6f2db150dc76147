import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { IDAO__factory, IDAOFactory__factory } from '../../gateway/contracts/types/index.js';
import { DEFAULT_IDAO_SALT } from '../../gateway/forge/addresses.js';
import { anvilBinary } from '../../gateway/forge/anvil-process.js';
import { connectChain } from '../../gateway/forge/chain-client.js';
import { deployContracts } from '../../gateway/forge/deploy.js';
import { jsonRpc } from '../../gateway/forge/json-rpc.js';
import { type LocalKeys, loadLocalKeys } from '../../gateway/forge/local-keys.js';
import { freePorts } from './free-ports.js';

const BALANCE_WEI = `0x${(10_000n * 10n ** 18n).toString(16)}`;

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
    await deployContracts(provider, deployer, windowSeconds);
    provider.destroy();
    return node;
  }

  rpc(method: string, params: readonly unknown[] = []): Promise<unknown> {
    return jsonRpc(this.url, method, params);
  }

  /** What the owner does with a wallet: the iDAO, and the gateway's key as its operator. */
  async ownerAppoints(): Promise<void> {
    const { owner, operator, contracts, idao } = this.keys;
    const provider = connectChain(this.url, this.#chainId);
    const signer = owner.connect(provider);
    const none = `0x${'00'.repeat(20)}`;
    const factory = IDAOFactory__factory.connect(contracts.factory, signer);
    const created = await factory.create(DEFAULT_IDAO_SALT, {
      ...{ ownerAddress: owner.address, tokenAddress: none, verifiedComputingAddress: none },
      ...{ settlementAddress: none, name: 'test', description: '' },
    });
    await created.wait(1, 10_000);
    const appointed = await IDAO__factory.connect(idao, signer).setOperator(operator.address, true);
    await appointed.wait(1, 10_000);
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
