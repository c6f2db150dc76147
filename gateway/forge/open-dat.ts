import { join } from 'node:path';
import type { BaseWallet } from 'ethers';
import type { ChainConfig, Config } from '../core/config.js';
import { WaystoneError } from '../core/errors.js';
import { DatClient, type DatPlace } from './dat-client.js';
import { unlockKeystore } from './keystore.js';
import { LOCAL_CHAIN_ID, LocalChain } from './local-chain.js';
import { type LocalKeys, loadLocalKeys } from './local-keys.js';
import type { PublicNetworkName } from './networks.js';
import { describeMissing, publicChain } from './public-chain.js';

export interface OpenDatOptions {
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
 * @throws WaystoneError CHAIN_NONE, CHAIN_UNREACHABLE, FORGE_NO_ADDRESSES, and what {@link unlockKeystore} throws.
 */
export async function openDat(config: Config, options: OpenDatOptions): Promise<DatClient> {
  const { network } = config.chain;
  if (network === 'none') {
    throw new WaystoneError(
      'CHAIN_NONE',
      'no chain is configured, so there are no tokens; set chain.network',
    );
  }
  const { keystoreFile, passwordFile, credentialsFolder } = options;
  const signer =
    keystoreFile === ''
      ? null
      : await unlockKeystore({ keystoreFile, passwordFile, credentialsFolder });
  return network === 'local' ? openLocal(config, options, signer) : openPublic(config, signer);
}

function openLocal(config: Config, { localUrl }: OpenDatOptions, signer: BaseWallet | null) {
  if (localUrl === '') {
    throw new WaystoneError(
      'CHAIN_UNREACHABLE',
      'the local chain is not up; waystone status says why',
    );
  }
  const keys = loadLocalKeys(LocalChain.keyFile(join(config.dataFolder, 'chain')));
  return new DatClient(localDatPlace(keys, localUrl), signer ?? keys.owner);
}

/** The tokens of a gateway's own chain. */
export function localDatPlace({ contracts }: LocalKeys, url: string): DatPlace {
  return {
    urls: [url],
    chainId: LOCAL_CHAIN_ID,
    dat: contracts.dat,
    fees: { kind: 'auto', ceilingWei: null },
    confirmations: 1,
  };
}

function openPublic(config: Config, signer: BaseWallet | null) {
  const chain = publicChain(config.chain as ChainConfig & { network: PublicNetworkName });
  if (chain.contracts.dat === '') {
    throw new WaystoneError('FORGE_NO_ADDRESSES', describeMissing(chain));
  }
  const { urls, chainId, contracts, fees, confirmations } = chain;
  return new DatClient({ urls, chainId, dat: contracts.dat, fees, confirmations }, signer);
}
