import { KEY_TYPES } from '@waystone/proto';
import type { DatasetPayload } from './dataset-record.js';

/** What the chain says of a dataset's token when it is minted, beside its record. */
export interface DatFacts {
  readonly chainId: number;
  readonly tokenId: string;
  readonly datasetForge: string;
  /** Seconds in which faults could be shown. */
  readonly windowSeconds: number;
  /** The iDAO's bond in wei, decimal. */
  readonly bondWei: string;
  /** Lowest attestation level among the dataset's devices; 0: nothing is proven of where keys live. */
  readonly attestationLevel: number;
}

/** Class of datasets in LazAI's list (`0x02` models, `0x03` agents). */
const LAZAI_CLASS_DATASET = '0x01';

/**
 * Metadata of a dataset's token in the schema of LazAI's DAT specification, with what a buyer must know beside it. Amounts
 * and times are those of the mint; calls left, owner and pending revenue are asked of the contract.
 */
export function datMetadata({ record, params, devices }: DatasetPayload, facts: DatFacts): string {
  const { chainId, tokenId, datasetForge, windowSeconds, bondWei, attestationLevel } = facts;
  const isChallengeable = devices.every(({ keyType }) => keyType !== KEY_TYPES.Ed25519);
  const expiresAt =
    params.expireAt === 0 ? null : new Date(params.expireAt * 1_000).toISOString().slice(0, 10);
  const metadata = {
    name: `Waystone dataset ${record.root.slice(2, 18)}`,
    class: LAZAI_CLASS_DATASET,
    value: params.value,
    proof: { type: 'OP', hash: record.manifestHash, verifiedBy: datasetForge },
    usagePolicy: { maxCalls: params.value, expiresAt },
    revenueShare: { totalShares: params.shareRatio, holderShare: params.shareRatio },
    rights: { license: params.policyURI, canTransfer: true },
    waystone: {
      version: 1,
      ...{ chainId, tokenId, idao: record.idao },
      gateway: record.gateway,
      ...{ logId: record.logId, logIndex: record.index },
      ...{ root: record.root, entries: record.count, entriesUrl: record.url },
      time: { minUs: record.minTime, maxUs: record.maxTime },
      ...{ windowSeconds, bondWei, attestationLevel },
      signatures: isChallengeable ? 'challengeable on chain' : 'not challengeable on chain',
    },
  };
  return `${JSON.stringify(metadata, null, 2)}\n`;
}
