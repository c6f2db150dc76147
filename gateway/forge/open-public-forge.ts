import { KEY_TYPES } from '@waystone/proto';
import type { BaseWallet } from 'ethers';
import type { ChainConfig, Config } from '../core/config.js';
import { messageOf, WaystoneError } from '../core/errors.js';
import type { ForgeStatus } from '../core/forge-ports.js';
import type { ForgeStage } from '../core/forge-stage.js';
import { DEFAULT_IDAO_SALT } from './addresses.js';
import { ChainProvider } from './chain-provider.js';
import { Forger } from './forger.js';
import { unlockKeystore } from './keystore.js';
import type { PublicNetworkName } from './networks.js';
import type { OpenForgeDeps } from './open-forge.js';
import { type Finding, preflight } from './preflight.js';
import { describeMissing, publicChain } from './public-chain.js';

/** Wait before a key that could not be unlocked is tried again: someone may be putting it right. */
const UNLOCK_AGAIN_MS = 30_000;

/** How long nodes must say that a nonce is used, and show no receipt, before a transaction counts as lost. */
const LOST_AFTER_MS = 30_000;

/** Longest wait for one transaction before the others get a look. */
const MINED_WAIT_MS = 60_000;

type PublicConfig = ChainConfig & { network: PublicNetworkName };

/**
 * The forge stage for a public network. Whatever is missing or wrong, addresses, key, coin or the chain itself, it waits
 * and says why; the rest of the gateway does not notice.
 *
 * @throws WaystoneError CONFIG_INVALID for addresses that cannot be right.
 */
export function openPublicForge(config: Config, deps: OpenForgeDeps): ForgeStage {
  const { logger } = deps;
  const settings = config.chain as PublicConfig;
  const chain = publicChain(settings);
  let forger: Forger | null = null;
  let retry: NodeJS.Timeout | null = null;
  let unlocking: Promise<void> = Promise.resolve();
  let isStopped = false;
  let waits = { code: '', message: 'the operator key is being unlocked' };

  const begin = (operator: BaseWallet): void => {
    const { chainId, contracts, idao, fees, coin } = chain;
    logger.info({ network: chain.name, operator: operator.address }, 'operator key unlocked');
    forger = new Forger(
      {
        ...{ chainId, contracts, idao },
        idaoSalt: DEFAULT_IDAO_SALT,
        idaoName: config.idao.name,
        idaoDescription: config.idao.description,
        gateway: {
          deviceId: deps.gateway.id,
          keyType: KEY_TYPES.secp256k1,
          publicKey: deps.gateway.publicKey,
        },
        terms: config.dat,
        confirmation: { kind: 'depth', blocks: chain.confirmations },
        genesisHash: settings.genesisHash,
        bundle: { datasetsMax: settings.bundleDatasetsMax, gasMax: settings.bundleGasMax },
        submit: {
          fees,
          minedWaitMs: MINED_WAIT_MS,
          bumpAfterMs: settings.bumpAfterSeconds * 1_000,
          lostAfterMs: LOST_AFTER_MS,
        },
      },
      {
        journal: deps.journal(),
        datasets: deps.datasets,
        chain: { url: chain.urls[0] as string, urls: chain.urls },
        operator,
        // The owner's key is no business of a gateway on a public network.
        owner: null,
        log: logger,
        isPaused: deps.isPaused,
        preflight: (provider) =>
          preflight(provider, {
            ...{ chainId, contracts, idao, operator, fees, coin },
            publicUrl: config.http.publicUrl,
          }),
      },
    );
    forger.start();
  };

  const unlock = (): void => {
    retry = null;
    unlocking = unlockKeystore(keyFiles(settings)).then(
      (operator) => {
        if (!isStopped) begin(operator);
      },
      (error) => {
        waits = { code: codeOf(error), message: messageOf(error) };
        logger.warn({ ...waits }, 'forging waits for its key');
        if (!isStopped) retry = setTimeout(unlock, UNLOCK_AGAIN_MS);
      },
    );
  };

  return {
    network: chain.name,
    chainId: chain.chainId,
    idao: chain.idao,
    contracts: { ...chain.contracts },
    // Without path and query: a provider's key may be in them.
    rpcUrl: new URL(chain.urls[0] as string).origin,
    note: '',
    start: () => {
      if (chain.missing.length === 0) unlock();
      else logger.warn({ missing: chain.missing }, describeMissing(chain));
    },
    nudge: () => forger?.nudge(),
    retry: () => {
      forger?.retry();
      if (retry === null || isStopped) return;
      clearTimeout(retry);
      unlock();
    },
    status: () => {
      const status = forger?.status();
      if (status !== undefined && status.state !== 'stopped') return status;
      return chain.missing.length > 0
        ? waiting({ code: 'FORGE_NO_ADDRESSES', message: describeMissing(chain) })
        : waiting(waits);
    },
    stop: async () => {
      isStopped = true;
      if (retry !== null) clearTimeout(retry);
      await unlocking;
      await forger?.stop();
    },
  };
}

/**
 * All that must be right before a gateway with these settings can forge, looked at without sending anything.
 */
export async function publicPreflight(config: Config): Promise<Finding[]> {
  const settings = config.chain as PublicConfig;
  const chain = publicChain(settings);
  if (chain.missing.length > 0) {
    return [stop('FORGE_NO_ADDRESSES', describeMissing(chain))];
  }
  let operator: BaseWallet;
  try {
    operator = await unlockKeystore(keyFiles(settings));
  } catch (error) {
    return [stop(codeOf(error), messageOf(error))];
  }
  const { chainId, contracts, idao, fees, coin, urls } = chain;
  const provider = new ChainProvider(urls, chainId);
  if (settings.genesisHash !== '') provider.expectGenesis(settings.genesisHash);
  try {
    const { publicUrl } = config.http;
    return await preflight(provider, {
      ...{ chainId, contracts, idao, operator, fees, coin, publicUrl },
    });
  } finally {
    provider.destroy();
  }
}

function keyFiles({ keystoreFile, passwordFile }: ChainConfig) {
  return {
    keystoreFile,
    passwordFile,
    credentialsFolder: process.env.CREDENTIALS_DIRECTORY ?? '',
  };
}

function stop(code: string, what: string): Finding {
  return { level: 'stop', code, what, facts: {}, todo: '' };
}

function codeOf(error: unknown): string {
  return error instanceof WaystoneError ? error.code : 'FORGE_FAILED';
}

function waiting({ code, message }: { code: string; message: string }): ForgeStatus {
  return {
    state: 'waiting',
    why: message,
    reachable: false,
    headBlock: null,
    lastError: code === '' ? null : { code, message },
    datasets: [],
  };
}
