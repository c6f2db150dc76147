import { KEY_TYPES } from '@waystone/proto';
import type { BaseWallet } from 'ethers';
import type { ChainConfig, Config } from '../core/config.js';
import { messageOf } from '../core/errors.js';
import type { ForgeStage } from '../core/forge-stage.js';
import { DEFAULT_IDAO_SALT } from './addresses.js';
import { ChainProvider } from './chain-provider.js';
import { Forger } from './forger.js';
import { codeOf, keyedStage, keyFiles } from './keyed-stage.js';
import { unlockKeystore } from './keystore.js';
import type { PublicNetworkName } from './networks.js';
import type { OpenForgeDeps } from './open-forge.js';
import { type Finding, preflight, stopping } from './preflight.js';
import { describeMissing, publicChain } from './public-chain.js';

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
  const { chainId, contracts, idao, fees, coin } = chain;

  const makeForger = (operator: BaseWallet): Forger =>
    new Forger(
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
        sign: deps.gateway.sign,
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

  return keyedStage(
    {
      ...{ network: chain.name, chainId, idao, contracts: { ...contracts } },
      url: chain.urls[0] as string,
      missing: chain.missing.length === 0 ? '' : describeMissing(chain),
    },
    { settings, logger, makeForger },
  );
}

/**
 * All that must be right before a gateway with these settings can forge, looked at without sending anything.
 */
export async function publicPreflight(config: Config): Promise<Finding[]> {
  const settings = config.chain as PublicConfig;
  const chain = publicChain(settings);
  if (chain.missing.length > 0) {
    return [stopping('FORGE_NO_ADDRESSES', describeMissing(chain))];
  }
  let operator: BaseWallet;
  try {
    operator = await unlockKeystore(keyFiles(settings));
  } catch (error) {
    return [stopping(codeOf(error), messageOf(error))];
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
