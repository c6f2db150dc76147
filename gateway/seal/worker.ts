import { readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import { toHex } from '@waystone/proto';
import { batchFile, readBatchFile } from '../core/batch-file.js';
import { crashPoint } from '../core/crash-point.js';
import { syncFolder } from '../core/durable.js';
import type { EntryProof } from '../core/forge-ports.js';
import { GatewayKey } from '../core/gateway-key.js';
import { giveMemoryBackWhenIdle } from '../core/idle-memory.js';
import type { SealedDataset, SealingBatch } from '../core/ports.js';
import { ReceiptMaker } from '../core/receipt-maker.js';
import { serveCalls } from '../core/rpc.js';
import { yieldToOthers } from '../core/thread-priority.js';
import type { Offender } from '../core/withdrawal.js';
import { EntriesReader } from '../dataset/entries-reader.js';
import { DatasetReader } from '../dataset/folder-reader.js';
import {
  addCheckpoint,
  type DatasetIdentity,
  prepareDatasetFolder,
  publishDatasetFolder,
} from '../dataset/folder-writer.js';
import { makeProof, proofToJson } from '../dataset/proof.js';
import { publishEntries } from '../dataset/published.js';
import type { DatasetThreadData } from './dataset-thread.js';
import { DatasetTrees } from './dataset-trees.js';
import {
  type DatasetPlace,
  type IncludedChunk,
  includedReceipts,
  withdrawnReceipts,
} from './included-receipts.js';
import { type Inspection, type InspectionFacts, inspectDataset } from './inspect-dataset.js';
import { checkServed, lookAtPublic } from './published-entries.js';
import { REST_PREFIX, writeRest } from './rest-file.js';

const { dataFolder, privateKey, logId } = workerData as DatasetThreadData;
const receiptMaker = new ReceiptMaker(new GatewayKey(privateKey), logId);
/**
 * Below the threads that devices wait for. Higher, and a PUBACK waits for its turn behind the sealing of a large batch;
 * lower, and sealing does not keep up with devices that send as fast as they can.
 */
const NICENESS = 5;
/** A dataset folder on its way out. */
const REMOVED_PREFIX = '.removed-';

const included = new Map<number, AsyncGenerator<IncludedChunk>>();
let lastIncluded = 0;
const trees = new DatasetTrees();
const datasetsFolder = join(dataFolder, 'datasets');
const placeOf = (root: string): DatasetPlace => ({ folder: join(datasetsFolder, root), root });

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
    const { root, count, manifestHash, manifest, tree } = await publishDatasetFolder(prepared);
    trees.keep(tree);
    const { minUs, maxUs } = manifest.time;
    return { root, count, manifestHash, minTimeUs: minUs, maxTimeUs: maxUs };
  },

  addCheckpoint: (root: string, bytes: Uint8Array): Promise<void> =>
    addCheckpoint(join(datasetsFolder, root), bytes),

  /**
   * Begins to make the `included` receipts of a dataset for devices (key ids, one after the other); of all their entries,
   * or of those at `indexes`. @returns its number, for {@link nextIncluded}.
   */
  openIncluded: (root: string, devices: Uint8Array, indexes: readonly number[] | null): number => {
    const number = ++lastIncluded;
    included.set(
      number,
      includedReceipts(placeOf(root), { receiptMaker, trees }, { devices, indexes }),
    );
    return number;
  },

  /** Likewise the `final` receipts of entries that get no DAT. */
  openWithdrawn: (
    root: string,
    devices: Uint8Array,
    offenders: readonly Offender[],
    chainId: number,
  ): number => {
    const number = ++lastIncluded;
    const withdrawn = { offenders, chainId };
    included.set(number, withdrawnReceipts(placeOf(root), receiptMaker, devices, withdrawn));
    return number;
  },

  /** The next receipts, or null after the last ones. */
  nextIncluded: async (number: number): Promise<IncludedChunk | null> => {
    const next = await included.get(number)?.next();
    if (next?.done === false) return next.value;
    included.delete(number);
    return null;
  },

  /** Ends a walk that nobody listens to any more. */
  closeIncluded: async (number: number): Promise<void> => {
    await included.get(number)?.return(undefined);
    included.delete(number);
  },

  /** Removes the files of a dataset, in one step for whoever looks; done again, it is harmless. */
  remove: async (root: string): Promise<void> => {
    const aside = join(datasetsFolder, `${REMOVED_PREFIX}${root}`);
    try {
      await rename(join(datasetsFolder, root), aside);
      await syncFolder(datasetsFolder);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
    await rm(aside, { recursive: true, force: true });
  },

  /** Finishes removals and withdrawals that a stop interrupted; a withdrawal begins anew. @returns roots of all folders that are left. */
  finishRemovals: async (): Promise<string[]> => {
    const names = await readdir(datasetsFolder);
    for (const name of names) {
      if (name.startsWith(REMOVED_PREFIX) || name.startsWith(REST_PREFIX)) {
        await rm(join(datasetsFolder, name), { recursive: true, force: true });
      }
    }
    return names.filter((name) => /^[0-9a-f]{64}$/.test(name));
  },

  /** Judges every entry, before anything is committed. @throws WaystoneError DATASET_DAMAGED. */
  inspect: (root: string, facts: InspectionFacts): Promise<Inspection> =>
    inspectDataset(join(datasetsFolder, root), root, facts),

  /** What is left of a dataset that is withdrawn, as a batch file. */
  writeRest: (root: string, batch: number, without: readonly number[]) =>
    writeRest(datasetsFolder, root, batch, without),

  checkServed,
  lookAtPublic,

  /** @throws RangeError when the dataset has fewer entries; WaystoneError DATASET_NOT_FOUND or DATASET_DAMAGED. */
  entry: async (root: string, index: number): Promise<EntryProof> => {
    const entries = await EntriesReader.open(join(datasetsFolder, root));
    try {
      const entry = await entries.entry(index);
      const path = (await trees.of(root, entries)).inclusionProof(index);
      return { entry: toHex(entry), path: path.map(toHex) };
    } finally {
      await entries.close();
    }
  },

  /** Copies a dataset's entries to where others read them. @throws WaystoneError PUBLISH_FAILED, DATASET_DAMAGED. */
  publish: (root: string, published: string): Promise<void> =>
    publishEntries(published, join(datasetsFolder, root), root),

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

giveMemoryBackWhenIdle();
yieldToOthers(NICENESS);
serveCalls(parentPort as MessagePort, operations);
