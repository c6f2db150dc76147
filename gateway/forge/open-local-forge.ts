import { join } from 'node:path';
import { KEY_TYPES } from '@waystone/proto';
import type { Config } from '../core/config.js';
import { messageOf, WaystoneError } from '../core/errors.js';
import { type ForgeStage, noForge } from '../core/forge-stage.js';
import { DEFAULT_IDAO_SALT } from './addresses.js';
import { anvilBinary } from './anvil-process.js';
import { Forger } from './forger.js';
import { LOCAL_CHAIN_ID, LocalChain } from './local-chain.js';
import type { OpenForgeDeps } from './open-forge.js';

const LOCAL_NOTE =
  "this is the gateway's own local chain: tokens are real there, but nothing is anchored publicly";

/** Wait before a local chain that did not start is tried again. */
const RESTART_MS = 10_000;

/**
 * The forge stage for the gateway's own chain. Its addresses are known at once; the chain itself is started in the
 * background by `start`, and a chain that does not come up leaves the rest of the gateway untouched.
 */
export function openLocalForge(config: Config, deps: OpenForgeDeps): ForgeStage {
  const { logger } = deps;
  try {
    anvilBinary();
  } catch (error) {
    if (!(error instanceof WaystoneError)) throw error;
    logger.warn({ code: error.code }, error.message);
    return noForge(error.message);
  }
  const chain = new LocalChain({ folder: join(config.dataFolder, 'chain') }, { log: logger });
  const { contracts, idao, operator, owner } = chain.keys;
  let forger: Forger | null = null;
  let retry: NodeJS.Timeout | null = null;
  let starting: Promise<void> = Promise.resolve();
  let isStopped = false;
  let failure = 'the local chain is starting';

  const startChain = (): void => {
    retry = null;
    starting = chain.start().then(
      () => {
        if (!isStopped) forger?.start();
      },
      (error) => {
        failure = messageOf(error);
        logger.error({ error: failure }, 'the local chain does not start; it is tried again');
        if (!isStopped) retry = setTimeout(startChain, RESTART_MS);
      },
    );
  };

  return {
    network: 'local',
    chainId: LOCAL_CHAIN_ID,
    idao,
    contracts: { ...contracts },
    get rpcUrl() {
      return chain.status().url ?? '';
    },
    get note() {
      const { dumpsAside, lastError } = chain.status();
      const parts = [LOCAL_NOTE];
      if (dumpsAside.length > 0) {
        parts.push(
          `states of it that could not be loaded were put aside, see the log and remove them when done: ${dumpsAside.join(', ')}`,
        );
      }
      if (lastError !== null) parts.push(lastError);
      return parts.join('; ');
    },
    start: () => {
      forger = new Forger(
        {
          chainId: LOCAL_CHAIN_ID,
          contracts,
          idao,
          idaoSalt: DEFAULT_IDAO_SALT,
          idaoName: config.idao.name,
          idaoDescription: config.idao.description,
          metadataBase: config.http.publicUrl && `${config.http.publicUrl}/metadata/`,
          gateway: {
            deviceId: deps.gateway.id,
            keyType: KEY_TYPES.secp256k1,
            publicKey: deps.gateway.publicKey,
          },
          sign: deps.gateway.sign,
          terms: config.dat,
          confirmation: { kind: 'durable' },
          bundle: {
            datasetsMax: config.chain.bundleDatasetsMax,
            gasMax: config.chain.bundleGasMax,
          },
        },
        {
          journal: deps.journal(),
          datasets: deps.datasets,
          chain,
          operator,
          owner,
          log: logger,
          isPaused: deps.isPaused,
        },
      );
      startChain();
    },
    nudge: () => forger?.nudge(),
    retry: () => {
      forger?.retry();
      if (retry === null || isStopped) return;
      clearTimeout(retry);
      startChain();
    },
    status: () => {
      const status = forger?.status();
      if (status !== undefined && status.state !== 'stopped') return status;
      return {
        state: 'waiting',
        why: failure,
        reachable: false,
        headBlock: null,
        lastError: null,
        datasets: [],
      };
    },
    stop: async () => {
      isStopped = true;
      if (retry !== null) clearTimeout(retry);
      await starting;
      await forger?.stop();
      await chain.stop();
    },
  };
}
