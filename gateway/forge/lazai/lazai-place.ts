import { parseEther } from 'ethers';
import type { ChainConfig, Config } from '../../core/config.js';
import { checked, type PublicChain, publicChain } from '../public-chain.js';
import { LAZAI_NETWORKS, type LazaiAddresses } from './addresses.js';

/** A network of LazAI's as it is configured, with what it needs to be forged on by LazAI's own contracts. */
export interface LazaiPlace
  extends Pick<
    PublicChain,
    'chainId' | 'urls' | 'coin' | 'confirmations' | 'fees' | 'missing' | 'idao'
  > {
  readonly name: 'lazai' | 'lazai-testnet';
  /** Those that are known, else ""; all of them when nothing is missing. */
  readonly addresses: LazaiAddresses;
  readonly feeMaxWei: bigint;
  readonly spendMaxWei: bigint;
  readonly acceptedKeys: readonly string[];
}

/** @throws WaystoneError CONFIG_INVALID when an address has a wrong checksum. */
export function lazaiPlace({ chain, lazai }: Pick<Config, 'chain' | 'lazai'>): LazaiPlace {
  const settings = chain as ChainConfig & { network: LazaiPlace['name'] };
  const name = settings.network;
  const { chainId, urls, coin, confirmations, fees, idao } = publicChain(settings);
  const known = LAZAI_NETWORKS[name].addresses;
  const given = {
    'lazai.dataRegistryAddress': lazai.dataRegistryAddress || (known?.dataRegistry ?? ''),
    'lazai.verifiedComputingAddress':
      lazai.verifiedComputingAddress || (known?.verifiedComputing ?? ''),
    'lazai.tokenAddress': lazai.tokenAddress || (known?.dataAnchoringToken ?? ''),
  };
  const address = (setting: keyof typeof given): string => checked(setting, given[setting]);
  return {
    ...{ name, chainId, urls, coin, confirmations, fees, idao },
    addresses: {
      dataRegistry: address('lazai.dataRegistryAddress'),
      verifiedComputing: address('lazai.verifiedComputingAddress'),
      dataAnchoringToken: address('lazai.tokenAddress'),
    },
    feeMaxWei: parseEther(lazai.feeMaxCoins),
    spendMaxWei: parseEther(lazai.spendMaxCoins),
    acceptedKeys: lazai.acceptedKeys,
    missing: Object.entries({ ...given, 'chain.idaoAddress': idao })
      .filter(([, value]) => value === '')
      .map(([setting]) => setting),
  };
}

/** Why nothing can be forged yet; "" when all is set. */
export function describeMissingPlace({ name, missing }: LazaiPlace): string {
  if (missing.length === 0) return '';
  return (
    `chain.target "lazai" on network ${name} needs ${missing.join(', ')}: LazAI names its contracts, your iDAO is your own. ` +
    'Until then datasets are sealed and wait'
  );
}
