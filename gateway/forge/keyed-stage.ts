import type { BaseWallet } from 'ethers';
import type { ChainConfig } from '../core/config.js';
import { messageOf, WaystoneError } from '../core/errors.js';
import type { ForgeStatus } from '../core/forge-ports.js';
import type { ForgeStage } from '../core/forge-stage.js';
import type { Logger } from '../core/logger.js';
import { unlockKeystore } from './keystore.js';

/** Wait before a key that could not be unlocked is tried again: someone may be putting it right. */
const UNLOCK_AGAIN_MS = 30_000;

/** What forges once its key is there. */
export type KeyedForger = Pick<ForgeStage, 'start' | 'nudge' | 'retry' | 'status' | 'stop'>;

export interface KeyedStageOptions
  extends Pick<ForgeStage, 'network' | 'chainId' | 'idao' | 'contracts'> {
  /** What the chain is worth, in one sentence; default nothing. */
  readonly note?: string;
  /** The preferred node. */
  readonly url: string;
  /** Why nothing can be forged with these settings; "" when it can. */
  readonly missing: string;
}

export interface KeyedStageDeps {
  readonly settings: ChainConfig;
  readonly logger: Logger;
  readonly makeForger: (operator: BaseWallet) => KeyedForger;
}

/**
 * A forge stage that begins once the operator's key is unlocked. Until then, and where settings are missing, it waits and
 * says why; the rest of the gateway does not notice.
 */
export function keyedStage(options: KeyedStageOptions, deps: KeyedStageDeps): ForgeStage {
  const { network, chainId, idao, contracts, missing } = options;
  const { settings, logger, makeForger } = deps;
  let forger: KeyedForger | null = null;
  let retry: NodeJS.Timeout | null = null;
  let unlocking: Promise<void> = Promise.resolve();
  let isStopped = false;
  /** Before there was a forger to tell. */
  let isRetried = false;
  let waits = { code: '', message: 'the operator key is being unlocked' };

  const unlock = (): void => {
    retry = null;
    unlocking = unlockKeystore(keyFiles(settings)).then(
      (operator) => {
        if (isStopped) return;
        logger.info({ network, operator: operator.address }, 'operator key unlocked');
        forger = makeForger(operator);
        forger.start();
        if (isRetried) forger.retry();
      },
      (error) => {
        waits = { code: codeOf(error), message: messageOf(error) };
        logger.warn({ ...waits }, 'forging waits for its key');
        if (!isStopped) retry = setTimeout(unlock, UNLOCK_AGAIN_MS);
      },
    );
  };

  return {
    network,
    chainId,
    idao,
    contracts,
    // Without path and query: a provider's key may be in them.
    rpcUrl: new URL(options.url).origin,
    note: options.note ?? '',
    start: () => {
      if (missing === '') unlock();
      else logger.warn({ code: 'FORGE_NO_ADDRESSES' }, missing);
    },
    nudge: () => forger?.nudge(),
    retry: () => {
      isRetried = true;
      forger?.retry();
      if (retry === null || isStopped) return;
      clearTimeout(retry);
      unlock();
    },
    status: () => {
      const status = forger?.status();
      if (status !== undefined && status.state !== 'stopped') return status;
      return missing === ''
        ? waiting(waits)
        : waiting({ code: 'FORGE_NO_ADDRESSES', message: missing });
    },
    stop: async () => {
      isStopped = true;
      if (retry !== null) clearTimeout(retry);
      await unlocking;
      await forger?.stop();
    },
  };
}

/** Where the operator's key is, and its password. */
export function keyFiles({ keystoreFile, passwordFile }: ChainConfig) {
  return {
    keystoreFile,
    passwordFile,
    credentialsFolder: process.env.CREDENTIALS_DIRECTORY ?? '',
  };
}

export function codeOf(error: unknown): string {
  return error instanceof WaystoneError ? error.code : 'FORGE_FAILED';
}

function waiting({ code, message }: { code: string; message: string }): ForgeStatus {
  return {
    state: 'waiting',
    why: message,
    reachable: false,
    headBlock: null,
    lastError: code === '' ? null : { code, message },
    datasets: [],
  };
}
