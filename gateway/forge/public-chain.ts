import { getAddress } from 'ethers';
import type { ChainConfig } from '../core/config.js';
import { WaystoneError } from '../core/errors.js';
import type { ContractAddresses } from './addresses.js';
import type { FeeRules } from './fees.js';
import { PUBLIC_NETWORKS, type PublicNetworkName } from './networks.js';

/** A public network as it is configured, with what it needs to be forged on. */
export interface PublicChain {
  readonly name: PublicNetworkName;
  readonly chainId: number;
  readonly urls: readonly string[];
  readonly coin: string;
  readonly confirmations: number;
  readonly fees: FeeRules;
  /** Settings that are missing for forging, by name. */
  readonly missing: readonly string[];
  /** Those that are set; all of them when nothing is missing. */
  readonly contracts: ContractAddresses;
  readonly idao: string;
}

const GWEI = 1_000_000_000n;

/** @throws WaystoneError CONFIG_INVALID when an address has a wrong checksum. */
export function publicChain(config: ChainConfig & { network: PublicNetworkName }): PublicChain {
  const network = PUBLIC_NETWORKS[config.network];
  const addresses = {
    factory: checked('chain.factoryAddress', config.factoryAddress),
    registry: checked('chain.registryAddress', config.registryAddress),
    dat: checked('chain.datAddress', config.datAddress),
    datasetForge: checked('chain.datasetForgeAddress', config.datasetForgeAddress),
    idao: checked('chain.idaoAddress', config.idaoAddress),
  };
  const { idao, ...contracts } = addresses;
  return {
    name: config.network,
    chainId: config.chainId || network.chainId,
    urls: config.rpcUrls.length > 0 ? config.rpcUrls : network.rpcUrls,
    coin: network.coin,
    confirmations: config.confirmations || network.confirmations,
    fees: { kind: config.fees, ceilingWei: BigInt(config.feeMaxGwei) * GWEI },
    missing: Object.entries(addresses)
      .filter(([, address]) => address === '')
      .map(([name]) => `chain.${name}Address`),
    contracts,
    idao,
  };
}

/** Why nothing can be forged yet. */
export function describeMissing({ name, missing }: PublicChain): string {
  return (
    `network ${name} needs ${missing.join(', ')}: set what its contracts were deployed with. ` +
    'Until then datasets are sealed and wait'
  );
}

/** @throws WaystoneError CONFIG_INVALID when an address has a wrong checksum. */
export function checked(setting: string, address: string): string {
  if (address === '') return '';
  try {
    return getAddress(address);
  } catch (cause) {
    throw new WaystoneError(
      'CONFIG_INVALID',
      `${setting} is "${address}", whose capitals are not those of its checksum (EIP-55): a digit may be wrong. Copy it again, or write it in lower case if you are sure`,
      { cause },
    );
  }
}
