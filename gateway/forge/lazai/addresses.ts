/** Where LazAI's contracts are on one chain. */
export interface LazaiAddresses {
  readonly dataRegistry: string;
  readonly verifiedComputing: string;
  readonly dataAnchoringToken: string;
}

/** A network on which LazAI runs. */
export interface LazaiNetwork {
  readonly chainId: number;
  readonly rpcUrl: string;
  /** null where none are published: the operator must name them. */
  readonly addresses: LazaiAddresses | null;
}

/**
 * Defaults. The testnet's addresses are those of LazAI's own client library (`alith`, since July 2025); its website
 * has an older, contradicting list. A preflight asks the contracts themselves before anything is sent.
 */
export const LAZAI_NETWORKS: Readonly<Record<'lazai' | 'lazai-testnet', LazaiNetwork>> = {
  lazai: { chainId: 52_924, rpcUrl: 'https://mainnet.lazai.network', addresses: null },
  'lazai-testnet': {
    chainId: 133_718,
    rpcUrl: 'https://testnet.lazai.network',
    addresses: {
      dataRegistry: '0xE7753EeBCA82849D6b19E6689B350f87318A8998',
      verifiedComputing: '0x87E43F24Efc2284fd2BBF11CC80d6fcF3E0AD474',
      dataAnchoringToken: '0xD59CDFFEb65aCc539994e41D0B40efF61bE37118',
    },
  },
};
