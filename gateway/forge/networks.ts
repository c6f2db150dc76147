/** A public chain that datasets can be forged on. Every value can be set otherwise. */
export interface PublicNetwork {
  /** EIP-155. */
  readonly chainId: number;
  readonly rpcUrls: readonly string[];
  /** Name of the coin that pays for gas. */
  readonly coin: string;
  /** Blocks, its own included, that must stand on a block before it counts. */
  readonly confirmations: number;
}

/**
 * Public networks by name. Ids and URLs are those that chain lists and the networks' own libraries publish; the node's
 * own answer is checked before anything is sent. Five blocks is what bridges wait for on Andromeda; the others follow it.
 */
export const PUBLIC_NETWORKS = {
  lazai: {
    chainId: 52_924,
    rpcUrls: ['https://mainnet.lazai.network'],
    coin: 'METIS',
    confirmations: 5,
  },
  'lazai-testnet': {
    chainId: 133_718,
    rpcUrls: ['https://testnet.lazai.network', 'https://lazai-testnet.metisdevops.link'],
    coin: 'LAZAI',
    confirmations: 5,
  },
  'hyperion-testnet': {
    chainId: 133_717,
    rpcUrls: ['https://hyperion-testnet.metisdevops.link'],
    coin: 'tMETIS',
    confirmations: 5,
  },
  metis: {
    chainId: 1_088,
    rpcUrls: ['https://andromeda.metis.io/?owner=1088'],
    coin: 'METIS',
    confirmations: 5,
  },
  'metis-sepolia': {
    chainId: 59_902,
    rpcUrls: ['https://sepolia.metisdevops.link'],
    coin: 'tMETIS',
    confirmations: 5,
  },
} as const satisfies Readonly<Record<string, PublicNetwork>>;

export type PublicNetworkName = keyof typeof PUBLIC_NETWORKS;
