import type { ForgeStatus } from './forge-ports.js';

/** The forge stage and its chain, as the rest of the gateway sees them. */
export interface ForgeStage {
  readonly network: string;
  /** EIP-155 chain id, or 0 without a chain. */
  readonly chainId: number;
  /** Address of the owning iDAO, or "". */
  readonly idao: string;
  /** Contract addresses by name. */
  readonly contracts: Readonly<Record<string, string>>;
  /** RPC address of the chain's node, or "". */
  readonly rpcUrl: string;
  /** What this chain is worth, in one sentence. */
  readonly note: string;
  /** Begins to forge; does not wait for the chain. */
  start(): void;
  /** A dataset was sealed. */
  nudge(): void;
  /** Tries again now, whatever the wait was. */
  retry(): void;
  status(): ForgeStatus;
  stop(): Promise<void>;
}

/** For boxes without a chain: datasets are sealed and wait. */
export function noForge(why: string): ForgeStage {
  return {
    network: 'none',
    chainId: 0,
    idao: '',
    contracts: {},
    rpcUrl: '',
    note: why,
    start: () => {},
    nudge: () => {},
    retry: () => {},
    status: () => ({
      state: 'waiting',
      why,
      reachable: false,
      headBlock: null,
      lastError: null,
      datasets: [],
    }),
    stop: async () => {},
  };
}
