import type { Config } from '../core/config.js';
import type { ForgeDatasets, ForgeJournal } from '../core/forge-ports.js';
import { type ForgeStage, noForge } from '../core/forge-stage.js';
import type { LazaiJournal } from '../core/lazai-ports.js';
import type { Logger } from '../core/logger.js';

const NONE_NOTE = 'no chain is configured (chain.network = "none"); datasets are sealed and wait';

export interface OpenForgeDeps {
  readonly logger: Logger;
  /** The gateway's key: its key id and compressed secp256k1 key, in hex. */
  readonly gateway: {
    readonly id: string;
    readonly publicKey: string;
    /** 64 bytes over SHA-256 of the message. */
    readonly sign: (message: Uint8Array) => Uint8Array;
  };
  /** Asked for once forging starts. */
  readonly journal: () => ForgeJournal & LazaiJournal;
  readonly datasets: ForgeDatasets;
  /** Whether new datasets are held back. */
  readonly isPaused: () => boolean;
}

/**
 * The forge stage for the configured network. What a chain needs, ethers first of all, is loaded with one only: it takes
 * 25 MB.
 */
export async function openForge(config: Config, deps: OpenForgeDeps): Promise<ForgeStage> {
  if (config.chain.network === 'none') return noForge(NONE_NOTE);
  if (config.chain.network === 'local') {
    const { openLocalForge } = await import('./open-local-forge.js');
    return openLocalForge(config, deps);
  }
  if (config.chain.target === 'lazai') {
    const { openLazaiForge } = await import('./open-lazai-forge.js');
    return openLazaiForge(config, deps);
  }
  const { openPublicForge } = await import('./open-public-forge.js');
  return openPublicForge(config, deps);
}
