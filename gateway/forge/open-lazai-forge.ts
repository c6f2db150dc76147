import type { BaseWallet } from 'ethers';
import type { Config } from '../core/config.js';
import { messageOf } from '../core/errors.js';
import type { ForgeStage } from '../core/forge-stage.js';
import { ChainProvider } from './chain-provider.js';
import { codeOf, keyedStage, keyFiles } from './keyed-stage.js';
import { unlockKeystore } from './keystore.js';
import { LazaiForger } from './lazai/lazai-forger.js';
import { describeMissingPlace, type LazaiPlace, lazaiPlace } from './lazai/lazai-place.js';
import { preflight } from './lazai/preflight.js';
import type { OpenForgeDeps } from './open-forge.js';
import { type Finding, lookAround, stopping } from './preflight.js';

const NOTE =
  "datasets are forged with LazAI's own contracts: no root, quota, revenue or challenge is on chain, and a token's amount is LazAI's score, which says nothing of quality";

/**
 * The forge stage for LazAI's own contracts. Whatever is missing or wrong, it waits and says why; the rest of the gateway
 * does not notice.
 *
 * @throws WaystoneError CONFIG_INVALID for addresses that cannot be right.
 */
export function openLazaiForge(config: Config, deps: OpenForgeDeps): ForgeStage {
  const place = lazaiPlace(config);
  const { name, chainId, addresses, idao, urls, fees, confirmations } = place;
  const { feeMaxWei, spendMaxWei, acceptedKeys } = place;
  const { logger, datasets, isPaused } = deps;
  const { publicUrl } = config.http;
  const { genesisHash } = config.chain;

  const makeForger = (operator: BaseWallet): LazaiForger =>
    new LazaiForger(
      {
        ...{ chainId, addresses, idao, urls, fees, confirmations, genesisHash },
        ...{ feeMaxWei, spendMaxWei, acceptedKeys },
        bumpAfterMs: config.chain.bumpAfterSeconds * 1_000,
      },
      {
        ...{ journal: deps.journal(), datasets, operator, log: logger, isPaused },
        preflight: (provider) => findingsAt(provider, place, operator.address, publicUrl),
      },
    );

  return keyedStage(
    {
      ...{ network: name, chainId, idao, contracts: { ...addresses } },
      note: NOTE,
      url: urls[0] as string,
      missing: describeMissingPlace(place),
    },
    { settings: config.chain, logger, makeForger },
  );
}

/** All that must be right before a gateway with these settings can forge, looked at without sending anything. */
export async function lazaiPreflight(config: Config): Promise<Finding[]> {
  const place = lazaiPlace(config);
  if (place.missing.length > 0) {
    return [stopping('FORGE_NO_ADDRESSES', describeMissingPlace(place))];
  }
  let operator: BaseWallet;
  try {
    operator = await unlockKeystore(keyFiles(config.chain));
  } catch (error) {
    return [stopping(codeOf(error), messageOf(error))];
  }
  const provider = new ChainProvider(place.urls, place.chainId);
  const { genesisHash } = config.chain;
  if (genesisHash !== '') provider.expectGenesis(genesisHash);
  try {
    return await findingsAt(provider, place, operator.address, config.http.publicUrl);
  } finally {
    provider.destroy();
  }
}

async function findingsAt(
  provider: ChainProvider,
  place: LazaiPlace,
  account: string,
  publicUrl: string,
): Promise<Finding[]> {
  const { findings, isReached } = await lookAround(provider, publicUrl);
  if (!isReached) return findings;
  const { chainId, addresses, idao, feeMaxWei, name } = place;
  // Block 0 was compared when the nodes were looked at.
  const options = { chainId, genesisHash: null, addresses, idao, feeMaxWei, account };
  const found = await preflight(provider, options);
  if (found.length === 0) {
    findings.push({
      level: 'ok',
      code: 'LAZAI_SOUND',
      what: `LazAI's contracts on ${name} answer as they should, and ${account} has coin to forge with`,
      facts: { ...addresses, idao, account },
      todo: '',
    });
  }
  findings.push(...found.map(({ code, message }) => stopping(code, message)));
  return findings;
}
