import type { BaseWallet } from 'ethers';
import type { LazaiJournal, TransactionJournal } from '../../core/lazai-ports.js';
import type { Logger } from '../../core/logger.js';
import type { FeeRules } from '../fees.js';
import type { LazaiAddresses } from './addresses.js';
import type { LazaiCrashPoint } from './crash-points.js';

/** Someone who may read the dataset: gets its content key, wrapped, on chain. */
export interface LazaiReader {
  readonly account: string;
  /** PEM; null takes the one that the registry shows, for LazAI's own services. */
  readonly publicKey: string | null;
}

export interface LazaiOptions {
  readonly chainId: number;
  /** Hash of block 0; null takes the first one seen. */
  readonly genesisHash: string | null;
  readonly addresses: LazaiAddresses;
  /** Owner of files and tokens. */
  readonly idao: string;
  /** Who is given the content key besides the node that proves; default nobody. */
  readonly readers?: readonly LazaiReader[];
  /** Fingerprints of RSA keys that the operator accepts, though another was seen first; 64 hex digits each. */
  readonly acceptedKeys?: readonly string[];
  /** Most that one file's proof may cost, and all files' together; wei. */
  readonly feeMaxWei: bigint;
  readonly spendMaxWei: bigint;
  /** What is offered for gas; default the chain's own kind of fees, and no ceiling. */
  readonly fees?: FeeRules;
  /** Blocks, its own included, that make a block stay. */
  readonly confirmations: number;
  /** Blocks per eth_getLogs; default 1,000. */
  readonly logRangeBlocks?: number;
  /** eth_getLogs calls per look and kind of event; default 50. */
  readonly logRangesMax?: number;
  /** How long a node may take to answer; it works on afterwards. Default 60 s. */
  readonly nodeTimeoutMs?: number;
  /** Before a node is asked again, doubled each time up to 6 hours; default 10 minutes. */
  readonly askAgainMs?: number;
  /** Longest wait for one transaction in one look; default 30 s. */
  readonly minedWaitMs?: number;
  /** How long a transaction may wait before a dearer one takes its place; default 60 s. */
  readonly bumpAfterMs?: number;
}

export interface LazaiDeps {
  readonly journal: LazaiJournal;
  readonly transactions: TransactionJournal;
  /** Pays and signs; owns nothing of what is forged. */
  readonly wallet: BaseWallet;
  readonly log: Logger;
  readonly signal: AbortSignal;
  /** ms UTC; for tests. */
  readonly nowMs?: () => number;
  readonly crashPoint?: (name: LazaiCrashPoint) => void;
}
