import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import {
  decodeEntry,
  leafHash,
  type Manifest,
  readStatement,
  statementHash,
  toHex,
} from '@waystone/proto';
import { verifyPath } from '../../gateway/audit/verify.js';
import { DAT__factory } from '../../gateway/contracts/types/index.js';
import type { DatasetStatus, GatewayStatus } from '../../gateway/core/view.js';
import { DatasetReader } from '../../gateway/dataset/folder-reader.js';
import { connectChain } from '../../gateway/forge/chain-client.js';
import { RpcChainReader } from '../../gateway/forge/chain-reader.js';
import type { TestGateway } from '../harness/gateway.js';

/** One entry as a dataset folder holds it; hashes and ids are lower-case hex. */
export interface StoredEntry {
  readonly root: string;
  readonly statement: string;
  readonly entryLeaf: string;
  readonly device: string;
  readonly session: string;
  readonly stream: number;
  readonly firstSequence: number;
  readonly count: number;
}

/** Names in the datasets folder, in order: of finished datasets roots in hex, and whatever else lies there. */
export async function namesOfDatasets(home: string): Promise<string[]> {
  return (await readdir(datasetsFolder(home))).sort();
}

export function datasetsFolder(home: string): string {
  return join(home, 'data', 'datasets');
}

/** Every entry of every dataset folder, read from the disk alone. */
export async function readEntries(home: string): Promise<StoredEntry[]> {
  const stored: StoredEntry[] = [];
  for (const root of await namesOfDatasets(home)) {
    const dataset = await DatasetReader.open(join(datasetsFolder(home), root));
    try {
      for await (const [, bytes] of dataset.entries()) {
        const entry = decodeEntry(bytes);
        const { statement, fault } = readStatement(entry.statement);
        if (statement === undefined) throw new Error(`an entry of ${root}: ${fault.code}`);
        stored.push({
          root,
          statement: toHex(statementHash(entry.statement)),
          entryLeaf: toHex(leafHash(bytes)),
          device: toHex(statement.device),
          session: toHex(statement.session),
          stream: statement.stream,
          firstSequence: statement.firstSequence,
          count: statement.count,
        });
      }
    } finally {
      await dataset.close();
    }
  }
  return stored;
}

/** Names of the frames of an entry, or of a published envelope. */
export function framesOf(
  entry: Pick<StoredEntry, 'device' | 'session' | 'stream' | 'firstSequence' | 'count'>,
): string[] {
  const { device, session, stream, firstSequence, count } = entry;
  return Array.from({ length: count }, (_, k) =>
    [device, session, stream, firstSequence + k].join('/'),
  );
}

export interface DatasetProof {
  readonly root: string;
  readonly logIndex: number;
  /** `verified`, or what does not hold. */
  readonly verdict: string;
  readonly chain: 'absent' | 'committed' | 'forged' | 'void';
  readonly owner: string | null;
  readonly tokenId: string | null;
}

/** What offline checks, the gateway's list and the chain say of all datasets. */
export interface DatasetsProof {
  readonly datasets: readonly DatasetProof[];
  /** Token ids of every mint that the chain's log knows, in order. */
  readonly minted: readonly string[];
  /** Address of the iDAO. */
  readonly idao: string;
}

/** Checks every dataset folder of a running gateway against its signer and its chain. */
export async function proveDatasets(gateway: TestGateway): Promise<DatasetsProof> {
  const { chain } = await gateway.ask<GatewayStatus>('GET', '/v1/status');
  const { datasetForge = '', dat = '' } = chain.contracts;
  const reader = new RpcChainReader({ url: chain.rpcUrl, datasetForge });
  const provider = connectChain(chain.rpcUrl, chain.chainId);
  try {
    const datasets: DatasetProof[] = [];
    for (const root of await namesOfDatasets(gateway.home)) {
      const folder = join(datasetsFolder(gateway.home), root);
      const verification = await verifyPath(folder, { gatewayDid: gateway.did, chain: reader });
      const failed = verification.checks.find(({ status }) => status === 'failed');
      const dataset = await DatasetReader.open(folder);
      await dataset.close();
      const { logId, logIndex } = dataset.manifest satisfies Manifest;
      const record = { logId: Buffer.from(logId, 'hex'), index: logIndex };
      const onChain = await reader.datasetOnChain(dataset.manifest, record);
      datasets.push({
        root,
        logIndex,
        verdict: failed === undefined ? verification.result : `${failed.name}: ${failed.detail}`,
        chain: onChain.status,
        owner: onChain.status === 'absent' ? null : onChain.owner,
        tokenId: onChain.status === 'absent' ? null : onChain.tokenId,
      });
    }
    const contract = DAT__factory.connect(dat, provider);
    const mints = await contract.queryFilter(contract.filters.Minted(), 0);
    return {
      datasets: datasets.sort((a, b) => a.logIndex - b.logIndex),
      minted: mints.map(({ args }) => String(args.tokenId)),
      idao: chain.idao,
    };
  } finally {
    provider.destroy();
    reader.close();
  }
}

/** The gateway's own list of datasets, in log order. */
export async function listDatasets(gateway: TestGateway): Promise<DatasetStatus[]> {
  const { datasets } = await gateway.ask<{ datasets: DatasetStatus[] }>(
    'GET',
    '/v1/datasets?limit=1000',
  );
  return datasets.sort((a, b) => a.logIndex - b.logIndex);
}
