import { join } from 'node:path';
import type { BaseWallet } from 'ethers';
import type { ChainConfig, Config } from '../core/config.js';
import { messageOf, WaystoneError } from '../core/errors.js';
import type { ChainPlace } from './chain-sender.js';
import { ChallengeClient } from './challenge-client.js';
import { DatClient, type DatPlace } from './dat-client.js';
import { IdaoClient, type IdaoPlace } from './idao-client.js';
import { jsonRpc } from './json-rpc.js';
import { unlockKeystore } from './keystore.js';
import { LOCAL_CHAIN_ID, LocalChain } from './local-chain.js';
import { type LocalKeys, loadLocalKeys } from './local-keys.js';
import { PUBLIC_NETWORKS, type PublicNetworkName } from './networks.js';
import { describeMissing, publicChain } from './public-chain.js';

/** Blocks that must stand on a transaction on a chain that is not known by name. */
const CONFIRMATIONS = 5;

export interface ClientOptions {
  /** Where the local chain's node answers; "" on other networks. */
  readonly localUrl: string;
  /** Keystore of whoever signs; "" takes the local chain's owner, and on other networks nobody. */
  readonly keystoreFile: string;
  readonly passwordFile: string;
  /** `$CREDENTIALS_DIRECTORY`, or "". */
  readonly credentialsFolder: string;
}

/**
 * The tokens of the configured network.
 *
 * @throws WaystoneError DAT_OF_LAZAI, CHAIN_NONE, CHAIN_UNREACHABLE, FORGE_NO_ADDRESSES, and what {@link unlockKeystore} throws.
 */
export async function openDat(config: Config, options: ClientOptions): Promise<DatClient> {
  if (config.chain.target === 'lazai') {
    throw new WaystoneError(
      'DAT_OF_LAZAI',
      'chain.target is "lazai": LazAI\'s tokens have neither licences nor revenue; waystone datasets show tells what they have',
    );
  }
  const { place, signer, missing } = await look(config, options);
  if (place.dat === '') throw new WaystoneError('FORGE_NO_ADDRESSES', missing);
  return new DatClient(place, signer);
}

/** The iDAO of the configured network. @throws WaystoneError as {@link openDat}. */
export async function openIdao(config: Config, options: ClientOptions): Promise<IdaoClient> {
  const { place, signer, missing } = await look(config, options);
  // On LazAI's own contracts the iDAO holds tokens, and has no bond.
  const needsForge = config.chain.target !== 'lazai';
  if (place.factory === '' || (needsForge && place.datasetForge === '')) {
    throw new WaystoneError('FORGE_NO_ADDRESSES', missing);
  }
  return new IdaoClient(place, signer);
}

/** Datasets of the configured network, to be challenged. @throws WaystoneError as {@link openDat}. */
export async function openChallenges(
  config: Config,
  options: ClientOptions,
): Promise<ChallengeClient> {
  const { place, signer, missing } = await look(config, options);
  if (place.datasetForge === '') throw new WaystoneError('FORGE_NO_ADDRESSES', missing);
  return new ChallengeClient(place, signer);
}

/**
 * Datasets of any chain that there is a node of: whoever checks a dataset needs no gateway and no settings.
 *
 * @throws WaystoneError CHAIN_UNREACHABLE, and what {@link unlockKeystore} throws.
 */
export async function openChallengesAt(
  at: { readonly rpcUrl: string; readonly forge: string },
  options: Omit<ClientOptions, 'localUrl'>,
): Promise<ChallengeClient> {
  const { rpcUrl, forge: datasetForge } = at;
  const signer = options.keystoreFile === '' ? null : await unlockKeystore(options);
  let chainId: number;
  try {
    chainId = Number(await jsonRpc(rpcUrl, 'eth_chainId'));
  } catch (cause) {
    throw new WaystoneError(
      'CHAIN_UNREACHABLE',
      `the node at ${rpcUrl} does not answer: ${messageOf(cause)}`,
      { cause },
    );
  }
  const known = Object.values(PUBLIC_NETWORKS).find((network) => network.chainId === chainId);
  const confirmations = known?.confirmations ?? (chainId === LOCAL_CHAIN_ID ? 1 : CONFIRMATIONS);
  const fees = { kind: 'auto', ceilingWei: null } as const;
  return new ChallengeClient(
    { urls: [rpcUrl], chainId, fees, confirmations, datasetForge },
    signer,
  );
}

/** The tokens of a gateway's own chain. */
export function localDatPlace({ contracts }: LocalKeys, url: string): DatPlace {
  return { ...localChain(url), dat: contracts.dat };
}

async function look(
  config: Config,
  options: ClientOptions,
): Promise<{ place: IdaoPlace; signer: BaseWallet | null; missing: string }> {
  const { network } = config.chain;
  if (network === 'none') {
    throw new WaystoneError(
      'CHAIN_NONE',
      'no chain is configured, so there are neither tokens nor an iDAO; set chain.network',
    );
  }
  const { localUrl, keystoreFile, passwordFile, credentialsFolder } = options;
  const given =
    keystoreFile === ''
      ? null
      : await unlockKeystore({ keystoreFile, passwordFile, credentialsFolder });
  if (network !== 'local') {
    const chain = publicChain(config.chain as ChainConfig & { network: PublicNetworkName });
    const { urls, chainId, contracts, idao, fees, confirmations } = chain;
    const place = { urls, chainId, fees, confirmations, ...contracts, idao };
    return { place, signer: given, missing: describeMissing(chain) };
  }
  if (localUrl === '') {
    throw new WaystoneError(
      'CHAIN_UNREACHABLE',
      'the local chain is not up; waystone status says why',
    );
  }
  const keys = loadLocalKeys(LocalChain.keyFile(join(config.dataFolder, 'chain')));
  const place = { ...localChain(localUrl), ...keys.contracts, idao: keys.idao };
  return { place, signer: given ?? keys.owner, missing: '' };
}

function localChain(url: string): ChainPlace {
  return {
    urls: [url],
    chainId: LOCAL_CHAIN_ID,
    fees: { kind: 'auto', ceilingWei: null },
    confirmations: 1,
  };
}
