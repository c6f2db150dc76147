import { type EnrolmentPlace, enrolmentMessage, fromHex, KEY_TYPES, toHex } from '@waystone/proto';
import { type BaseWallet, id, type JsonRpcProvider } from 'ethers';
import { WaystoneError } from '../core/errors.js';
import type { ForgeJournal, ForgeKey, KeyProof } from '../core/forge-ports.js';
import type { Logger } from '../core/logger.js';
import { type ForgeContracts, KEY_KINDS } from './forge-contracts.js';
import { CallRefused, type Submitter } from './submitter.js';

/** Gas that one transaction of keys may take, within any block. */
const GAS_PER_TRANSACTION = 6_000_000;

/** Gas of a key alone, and what its proof adds; P-256 is dear where the chain has no precompile for it. */
const GAS_PER_KEY = 40_000;
const GAS_PER_PROOF: Readonly<Record<number, number>> = {
  [KEY_TYPES.secp256k1]: 22_000,
  [KEY_TYPES['P-256']]: 350_000,
};

/** A proof that ends sooner may be over when it is mined. */
const PROOF_MARGIN_SECONDS = 600;
const OWN_PROOF_SECONDS = 86_400;

const PURPOSE = 'setup';

export interface ChainSetupOptions {
  readonly chainId: number;
  readonly idaoSalt: string;
  readonly idaoName: string;
  readonly idaoDescription: string;
  /** Where the metadata of its datasets is, said once by the gateway where it has the owner's key; "" leaves that. */
  readonly metadataBase: string;
  /** The gateway's own key: it signs checkpoints and receipts. */
  readonly gateway: ForgeKey;
  /** Signs with it, 64 bytes over SHA-256 of the message; null leaves its registration without a proof. */
  readonly sign: ((message: Uint8Array) => Uint8Array) | null;
}

export interface ChainSetupDeps {
  readonly journal: ForgeJournal;
  readonly submitter: Submitter;
  readonly proofs: (deviceIds: readonly string[]) => Promise<KeyProof[]>;
  readonly log: Logger;
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
    const { metadataBase } = this.#options;
    if (owner !== null && metadataBase !== '') {
      const before = await contracts.metadataBase();
      if (before !== metadataBase) {
        const call = contracts.setMetadataBase(metadataBase);
        // With what was there: it may come back to that.
        await this.#do(provider, owner, `metadata:${before} ${metadataBase}`, call);
      }
    }
    await this.#register(provider, contracts, [this.#options.gateway], KEY_KINDS.gateway);
    this.#isReady = true;
  }

  /**
   * Registers those devices that are not yet.
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
      // A key revoked since is still known: what it signed before is judged by the times.
      if (standing === 'absent') missing.push(key);
      else this.#registered.add(key.deviceId);
    }
    const proofs = await this.#proofs(provider, contracts, missing, kind);
    for (const part of partsOf(missing, proofs)) {
      await this.#registerPart(provider, contracts, part, kind, proofs);
      for (const key of part) this.#registered.add(key.deviceId);
    }
  }

  /** Registers keys in one transaction; without their proofs, should the contract not take one. */
  async #registerPart(
    provider: JsonRpcProvider,
    contracts: ForgeContracts,
    keys: readonly ForgeKey[],
    kind: number,
    proofs: ReadonlyMap<string, KeyProof>,
  ): Promise<void> {
    const names = id(
      keys
        .map((key) => key.deviceId)
        .sort()
        .join(),
    );
    const given = new Map(
      [...proofs].filter(([name]) => keys.some((key) => key.deviceId === name)),
    );
    if (given.size > 0) {
      const call = contracts.registerKeys(keys, kind, given);
      try {
        // Proofs come and go; each set of them is a call of its own.
        return await this.#do(provider, this.#deps.operator, `keys:${id(call.data)}`, call);
      } catch (error) {
        if (!(error instanceof CallRefused)) throw error;
        this.#deps.log.warn({ error: error.message }, 'keys are registered without their proofs');
      }
    }
    const call = contracts.registerKeys(keys, kind);
    await this.#do(provider, this.#deps.operator, `keys:${names}`, call);
  }

  /** Proofs that count for a while yet, by key id. */
  async #proofs(
    provider: JsonRpcProvider,
    contracts: ForgeContracts,
    keys: readonly ForgeKey[],
    kind: number,
  ): Promise<ReadonlyMap<string, KeyProof>> {
    if (keys.length === 0) return new Map();
    const now = (await provider.getBlock('latest'))?.timestamp ?? 0;
    const place = {
      chainId: this.#options.chainId,
      registry: contracts.addresses.registry,
      idao: contracts.idao,
    };
    const found =
      kind === KEY_KINDS.device
        ? await this.#deps.proofs(keys.map(({ deviceId }) => deviceId))
        : this.#ownProof(place, now);
    const lasting = found.filter(({ expiry }) => expiry > now + PROOF_MARGIN_SECONDS);
    return new Map(lasting.map((proof) => [proof.deviceId, proof]));
  }

  /** The gateway holds its key, so it can always show it. */
  #ownProof(place: EnrolmentPlace, now: number): KeyProof[] {
    const { gateway, sign } = this.#options;
    if (sign === null) return [];
    const { deviceId } = gateway;
    const expiry = now + OWN_PROOF_SECONDS;
    const signature = sign(enrolmentMessage(place, fromHex(deviceId), 'gateway', expiry));
    return [{ deviceId, expiry, signature: toHex(signature) }];
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

/** Keys in as many transactions as their gas asks for. */
function partsOf(
  keys: readonly ForgeKey[],
  proofs: ReadonlyMap<string, KeyProof>,
): readonly (readonly ForgeKey[])[] {
  const parts: ForgeKey[][] = [];
  let gas = Number.POSITIVE_INFINITY;
  for (const key of keys) {
    const own = GAS_PER_KEY + (proofs.has(key.deviceId) ? (GAS_PER_PROOF[key.keyType] ?? 0) : 0);
    if (gas + own > GAS_PER_TRANSACTION) {
      parts.push([]);
      gas = 0;
    }
    parts.at(-1)?.push(key);
    gas += own;
  }
  return parts;
}
