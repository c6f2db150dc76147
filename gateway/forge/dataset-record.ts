import { AbiCoder, keccak256, ParamType } from 'ethers';
import { z } from 'zod';
import { DatasetForge__factory } from '../contracts/types/index.js';
import type { ForgeDataset, ForgeKey } from '../core/forge-ports.js';

const DAY_SECONDS = 86_400;

/** Names of the record's fields are those of the contract; bytes are hex with 0x. */
const Record = z.strictObject({
  idao: z.string(),
  gateway: z.string(),
  logId: z.string(),
  index: z.number(),
  root: z.string(),
  count: z.number(),
  manifestHash: z.string(),
  minTime: z.number(),
  maxTime: z.number(),
  url: z.string(),
});

const Params = z.strictObject({
  value: z.number(),
  shareRatio: z.number(),
  expireAt: z.number(),
  metadataURI: z.string(),
  policyURI: z.string(),
});

const Key = z.strictObject({ deviceId: z.string(), keyType: z.number(), publicKey: z.string() });

const Payload = z.strictObject({ record: Record, params: Params, devices: z.array(Key) });

export type DatasetRecord = z.infer<typeof Record>;
export type DatParams = z.infer<typeof Params>;

/** All that a dataset's calls are made from, as its intent keeps it. */
export interface DatasetPayload {
  readonly record: DatasetRecord;
  readonly params: DatParams;
  readonly devices: readonly ForgeKey[];
}

/** What each DAT is minted with. */
export interface DatTerms {
  readonly quotaCalls: number;
  readonly shareWeight: number;
  /** 0 is never. */
  readonly expiresAfterDays: number;
  readonly policyUrl: string;
}

const RECORD_TYPE = ParamType.from(
  DatasetForge__factory.createInterface().getFunction('hashOf').inputs[0] as ParamType,
);

/** The dataset as the contract wants it. */
export function datasetRecord(
  dataset: ForgeDataset,
  idao: string,
  gatewayId: string,
): DatasetRecord {
  return {
    idao,
    gateway: `0x${gatewayId}`,
    logId: `0x${dataset.logId}`,
    index: dataset.index,
    root: `0x${dataset.root}`,
    count: dataset.count,
    manifestHash: `0x${dataset.manifestHash}`,
    minTime: dataset.minTimeUs,
    maxTime: dataset.maxTimeUs,
    url: dataset.url,
  };
}

/** Quota, share and expiry of a DAT that is minted now. */
export function datParams(terms: DatTerms, nowUs: number): DatParams {
  const days = terms.expiresAfterDays;
  return {
    value: terms.quotaCalls,
    shareRatio: terms.shareWeight,
    expireAt: days === 0 ? 0 : Math.floor(nowUs / 1e6) + days * DAY_SECONDS,
    metadataURI: '',
    policyURI: terms.policyUrl,
  };
}

/** Name of a dataset on chain: keccak256(abi.encode(idao, bytes16 logId, uint64 index)), hex with 0x. */
export function datasetKey(idao: string, logId: string, index: number | bigint): string {
  return keccak256(
    AbiCoder.defaultAbiCoder().encode(
      ['address', 'bytes16', 'uint64'],
      [idao, logId.startsWith('0x') ? logId : `0x${logId}`, index],
    ),
  );
}

/** What the contract stores for a record: keccak256 of its ABI encoding as one tuple, hex with 0x. */
export function recordHash(record: unknown): string {
  return keccak256(AbiCoder.defaultAbiCoder().encode([RECORD_TYPE], [record]));
}

export function writePayload(payload: DatasetPayload): string {
  return JSON.stringify(payload);
}

/** @throws ZodError when the journal holds something else. */
export function readPayload(payload: string): DatasetPayload {
  return Payload.parse(JSON.parse(payload));
}
