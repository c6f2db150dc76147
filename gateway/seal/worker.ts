import { join } from 'node:path';
import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import { leafHash, readStatement, statementHash, toHex } from '@waystone/proto';
import { batchFile, readBatchFile } from '../core/batch-file.js';
import { crashPoint } from '../core/crash-point.js';
import type { SealedDataset, SealingBatch } from '../core/ports.js';
import { serveCalls } from '../core/rpc.js';
import { DatasetReader } from '../dataset/folder-reader.js';
import {
  addCheckpoint,
  type DatasetIdentity,
  prepareDatasetFolder,
  publishDatasetFolder,
} from '../dataset/folder-writer.js';
import { makeProof, proofToJson } from '../dataset/proof.js';

/** One entry of a device in a dataset, with its proof. */
export interface InclusionRow {
  readonly statement: Uint8Array;
  readonly entryLeaf: Uint8Array;
  readonly index: number;
  readonly path: Uint8Array[];
}

const { dataFolder } = workerData as { dataFolder: string };
const datasetsFolder = join(dataFolder, 'datasets');

/** The dataset thread: all work on dataset folders that takes time. */
const operations = {
  /** Step 2 of sealing; doing it again is harmless. */
  write: async (
    batch: SealingBatch,
    identity: DatasetIdentity,
    dids: Record<string, string>,
  ): Promise<SealedDataset> => {
    const didOf = (keyId: string): string => {
      const did = dids[keyId];
      if (did === undefined) throw new Error(`no device has the key id ${keyId}`);
      return did;
    };
    const file = batchFile(dataFolder, batch.id);
    const rows = { [Symbol.iterator]: () => readBatchFile(file, batch) };
    const options = { identity, parent: datasetsFolder, didOf };
    const prepared = await prepareDatasetFolder(options, rows);
    crashPoint('seal:written');
    const { root, count, manifestHash, manifest } = await publishDatasetFolder(prepared);
    const { minUs, maxUs } = manifest.time;
    return { root, count, manifestHash, minTimeUs: minUs, maxTimeUs: maxUs };
  },

  addCheckpoint: (root: string, bytes: Uint8Array): Promise<void> =>
    addCheckpoint(join(datasetsFolder, root), bytes),

  /** Where the entries of a device are in a dataset; of all its entries, or of those at `indexes`. */
  inclusion: async (
    root: string,
    device: string,
    indexes: readonly number[] | null,
  ): Promise<InclusionRow[]> => {
    const dataset = await DatasetReader.open(join(datasetsFolder, root));
    try {
      const wanted = indexes === null ? null : new Set(indexes);
      const tree = await dataset.tree();
      const rows: InclusionRow[] = [];
      for await (const [index, entry] of dataset.entries()) {
        if (wanted !== null && !wanted.has(index)) continue;
        const statementBytes = entry.slice(0, 200);
        const { statement } = readStatement(statementBytes);
        if (statement === undefined || toHex(statement.device) !== device) continue;
        rows.push({
          statement: statementHash(statementBytes),
          entryLeaf: leafHash(entry),
          index,
          path: tree.inclusionProof(index),
        });
      }
      return rows;
    } finally {
      await dataset.close();
    }
  },

  manifest: async (root: string) => {
    const dataset = await DatasetReader.open(join(datasetsFolder, root));
    await dataset.close();
    return dataset.manifest;
  },

  /** The proof of one frame as JSON, or null when the dataset does not hold it. */
  prove: async (
    root: string,
    place: { device: string; session: string; stream: number; sequence: number },
  ) => {
    const dataset = await DatasetReader.open(join(datasetsFolder, root));
    try {
      const proof = await makeProof(dataset, place);
      return proof === null ? null : proofToJson(proof);
    } finally {
      await dataset.close();
    }
  },
};

export type DatasetOperations = typeof operations;

serveCalls(parentPort as MessagePort, operations);
