import { type BaseWallet, id, type JsonRpcProvider } from 'ethers';
import { WaystoneError } from '../core/errors.js';
import type { ForgeJournal, ForgeKey } from '../core/forge-ports.js';
import { type ForgeContracts, KEY_KINDS } from './forge-contracts.js';
import type { Submitter } from './submitter.js';

/** Keys registered by one transaction: about 50,000 gas each, within any block. */
const KEYS_PER_TRANSACTION = 100;

const PURPOSE = 'setup';

export interface ChainSetupOptions {
  readonly chainId: number;
  readonly idaoSalt: string;
  readonly idaoName: string;
  readonly idaoDescription: string;
  /** The gateway's own key: it signs checkpoints and receipts. */
  readonly gateway: ForgeKey;
}

export interface ChainSetupDeps {
  readonly journal: ForgeJournal;
  readonly submitter: Submitter;
  readonly operator: BaseWallet;
  /** Owner of the iDAO, where the gateway has that key; null leaves creating and appointing to the owner. */
  readonly owner: BaseWallet | null;
}

/**
 * What must be on chain before a dataset can be: iDAO, operator, keys. Each is looked up first and done through the
 * same journal as datasets when it is missing, so that a rewound chain heals by itself.
 */
export class ChainSetup {
  readonly #options: ChainSetupOptions;
  readonly #deps: ChainSetupDeps;
  /** Keys seen on chain since the last {@link forget}. */
  readonly #registered = new Set<string>();
  #isReady = false;

  constructor(options: ChainSetupOptions, deps: ChainSetupDeps) {
    this.#options = options;
    this.#deps = deps;
  }

  /** Everything is to be looked up again: the chain may have gone back. */
  forget(): void {
    this.#isReady = false;
    this.#registered.clear();
  }

  /** The key was seen to be registered to the iDAO: it need not be looked up again. */
  know(deviceId: string): void {
    this.#registered.add(deviceId);
  }

  /**
   * iDAO, operator and gateway key.
   *
   * @throws WaystoneError FORGE_NO_IDAO or FORGE_NOT_OPERATOR when only the owner can help.
   */
  async ensure(provider: JsonRpcProvider, contracts: ForgeContracts): Promise<void> {
    if (this.#isReady) return;
    await contracts.check();
    const { operator, owner } = this.#deps;
    if (!(await contracts.idaoExists())) {
      if (owner === null) {
        throw new WaystoneError(
          'FORGE_NO_IDAO',
          `there is no iDAO at ${contracts.idao}; its owner creates it, forging goes on by itself`,
        );
      }
      const { idaoSalt, idaoName: name, idaoDescription: description } = this.#options;
      const call = contracts.createIdao(owner, idaoSalt, { name, description });
      await this.#do(provider, owner, 'idao', call);
    }
    if (!(await contracts.canForge(operator.address))) {
      if (owner === null) {
        throw new WaystoneError(
          'FORGE_NOT_OPERATOR',
          `${operator.address} is no operator of the iDAO ${contracts.idao}; its owner appoints it, forging goes on by itself`,
        );
      }
      const call = contracts.setOperator(operator.address);
      await this.#do(provider, owner, `operator:${operator.address}`, call);
    }
    await this.#register(provider, contracts, [this.#options.gateway], KEY_KINDS.gateway);
    this.#isReady = true;
  }

  /**
   * Registers those devices that are not yet.
   *
   * @throws WaystoneError FORGE_KEY_FOREIGN when another iDAO has the key.
   */
  async ensureDevices(
    provider: JsonRpcProvider,
    contracts: ForgeContracts,
    devices: readonly ForgeKey[],
  ): Promise<void> {
    await this.#register(provider, contracts, devices, KEY_KINDS.device);
  }

  async #register(
    provider: JsonRpcProvider,
    contracts: ForgeContracts,
    keys: readonly ForgeKey[],
    kind: number,
  ): Promise<void> {
    const missing: ForgeKey[] = [];
    for (const key of keys) {
      if (this.#registered.has(key.deviceId)) continue;
      const standing = await contracts.standingOf(key.deviceId);
      if (standing === 'foreign') {
        throw new WaystoneError(
          'FORGE_KEY_FOREIGN',
          `key ${key.deviceId} is registered to another iDAO; its datasets cannot be forged by ${contracts.idao}`,
        );
      }
      // A key revoked since is still known: what it signed before is judged by the times.
      if (standing === 'absent') missing.push(key);
      else this.#registered.add(key.deviceId);
    }
    for (let from = 0; from < missing.length; from += KEYS_PER_TRANSACTION) {
      const part = missing.slice(from, from + KEYS_PER_TRANSACTION);
      const ids = part.map((key) => key.deviceId).sort();
      const call = contracts.registerKeys(part, kind);
      await this.#do(provider, this.#deps.operator, `keys:${id(ids.join())}`, call);
      for (const key of part) this.#registered.add(key.deviceId);
    }
  }

  async #do(
    provider: JsonRpcProvider,
    wallet: BaseWallet,
    what: string,
    call: { to: string; data: string },
  ): Promise<void> {
    const { journal, submitter } = this.#deps;
    const { chainId } = this.#options;
    const intentKey = `setup:${chainId}:${call.to}:${what}`;
    const payload = JSON.stringify({ from: wallet.address, ...call });
    await journal.addIntent({
      key: intentKey,
      chainId,
      kind: 'setup',
      logId: null,
      index: null,
      payload,
    });
    const { hash, block } = await submitter.submit(provider, wallet, {
      intentKey,
      purpose: PURPOSE,
      ...call,
    });
    await journal.progress(intentKey, {
      state: 'finalised',
      transaction: hash,
      blockNumber: block.number,
      blockHash: block.hash,
    });
  }
}
