import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  checkpointFault,
  DATASET_FILES,
  decodeManifest,
  decodeSignedCheckpoint,
  didFromKey,
  framesHeaderBytes,
  type Manifest,
  sha256,
  toHex,
} from '@waystone/proto';
import type { Check } from '../audit/report.js';
import { verifyDataset } from '../audit/verify-dataset.js';
import { messageOf } from '../core/errors.js';
import { verifyNative } from '../core/native-signature.js';
import { DatasetReader } from '../dataset/folder-reader.js';
import { checkpointAt } from './check-log.js';
import type { BatchRecord, FsckContext } from './context.js';
import { hashesFault } from './dataset-hashes.js';
import type { EntryRows, EntryTotals } from './entry-rows.js';
import { isSame, shown } from './values.js';

const CHECK = 'datasets';

/** Checks that need a checkpoint: while a dataset is being sealed it has none. */
const NEED_CHECKPOINT: ReadonlySet<string> = new Set([
  'checkpoint',
  'gateway',
  'log record',
  'signer',
]);

export function datasetsFolder({ dataFolder }: Pick<FsckContext, 'dataFolder'>): string {
  return join(dataFolder, 'datasets');
}

/**
 * Checks one dataset folder by its own bytes, with the existing verifier or by hashes.
 *
 * @param mayLackCheckpoint it is being sealed.
 * @returns its manifest when nothing is wrong.
 */
export async function checkFolder(
  context: FsckContext,
  folder: string,
  mayLackCheckpoint: boolean,
): Promise<Manifest | null> {
  const { report, isQuick } = context;
  const damaged = (what: string): null => {
    report.find(CHECK, 'DATASET_DAMAGED', `${folder}: ${what}`, { folder });
    return null;
  };
  report.count(CHECK, 'folders');
  let manifest: Manifest;
  try {
    manifest = decodeManifest(await readFile(join(folder, DATASET_FILES.manifest)));
  } catch (error) {
    return damaged(`its manifest cannot be read: ${messageOf(error)}`);
  }
  const isWithout = mayLackCheckpoint && !existsSync(join(folder, DATASET_FILES.checkpoint));
  if (!isWithout) {
    const fault = await checkpointFaultOf(folder);
    if (fault !== null) return damaged(`checkpoint: ${fault}`);
  }
  const fault = isQuick
    ? await hashesFault(folder, manifest)
    : await verifierFault(context, folder, isWithout);
  report.count(CHECK, 'entries', manifest.entries);
  return fault === null ? manifest : damaged(fault);
}

/** What `waystone verify` says against the folder, or null. @param isWithout its checkpoint is still to come. */
async function verifierFault(
  { key }: FsckContext,
  folder: string,
  isWithout: boolean,
): Promise<string | null> {
  let checks: readonly Check[];
  try {
    ({ checks } = await verifyDataset(folder, {
      verifySignature: verifyNative,
      ...(key !== null && { gatewayDid: didFromKey(key.publicKey) }),
    }));
  } catch (error) {
    return messageOf(error);
  }
  const failed = checks.filter(
    ({ name, status, where }) =>
      status === 'failed' &&
      !(isWithout && (NEED_CHECKPOINT.has(name) || where?.file === DATASET_FILES.checkpoint)),
  );
  const [first] = failed;
  if (first === undefined) return null;
  return `${failed.map(({ name }) => name).join(', ')} failed; ${first.name}: ${first.detail}`;
}

/** The signature is part of what was promised, whether or not the frames are looked at. */
async function checkpointFaultOf(folder: string): Promise<string | null> {
  try {
    return checkpointFault(
      decodeSignedCheckpoint(await readFile(join(folder, DATASET_FILES.checkpoint))),
    );
  } catch (error) {
    return messageOf(error);
  }
}

/**
 * Checks the dataset of a batch: the folder by itself, then against what the ledger says.
 *
 * @returns what its entries add up to, or null when something is wrong with the folder.
 */
export async function checkDataset(
  context: FsckContext,
  batch: BatchRecord,
  rows: EntryRows,
): Promise<EntryTotals | null> {
  const { progress } = context;
  const folder = join(datasetsFolder(context), toHex(batch.root as Buffer));
  progress(CHECK, batch.id, null);
  const totals = rows.begin(batch);
  // A folder that is damaged, or another dataset, says nothing about the statement rows.
  if (!(await isDatasetOf(context, batch, folder))) {
    rows.end(batch, false);
    return null;
  }
  const dataset = await DatasetReader.open(folder);
  try {
    for await (const [, entry] of dataset.entries()) rows.add(batch, totals, entry);
  } finally {
    await dataset.close();
  }
  rows.end(batch, true);
  return totals;
}

/** Whether the folder is whole and the very dataset that the ledger says. */
export async function isDatasetOf(
  context: FsckContext,
  batch: BatchRecord,
  folder: string,
): Promise<boolean> {
  const { report } = context;
  const facts = { batch: batch.id, folder };
  if (!existsSync(folder)) {
    report.find(
      CHECK,
      'DATASET_MISSING',
      `${folder} is missing, batch ${batch.id} is ${batch.state}`,
      facts,
    );
    return false;
  }
  const isBeingSealed = batch.state === 'logged';
  const manifest = await checkFolder(context, folder, isBeingSealed);
  if (manifest === null) return false;
  const wrong: string[] = [];
  const manifestBytes = await readFile(join(folder, DATASET_FILES.manifest));
  if (!isSame(batch.manifest_hash, sha256(manifestBytes))) {
    wrong.push(
      `its manifest has hash ${toHex(sha256(manifestBytes))}, the ledger says ${shown(batch.manifest_hash)}`,
    );
  }
  if (!isBeingSealed || existsSync(join(folder, DATASET_FILES.checkpoint))) {
    const { checkpoint, checkpointBytes } = decodeSignedCheckpoint(
      await readFile(join(folder, DATASET_FILES.checkpoint)),
    );
    const stored = checkpointAt(context, checkpoint.logId, checkpoint.size);
    if (!isSame(stored, checkpointBytes)) wrong.push('its checkpoint is not the one in the ledger');
  }
  for (const what of wrong) report.find(CHECK, 'DATASET_DIFFERS', `${folder}: ${what}`, facts);
  for (const what of rowFaults(batch, manifest)) {
    report.find('batches', 'BATCH_DIFFERS', `batch ${batch.id} ${what}`, facts);
  }
  return wrong.length === 0;
}

/** What the batch's row says that its manifest does not. */
function rowFaults(batch: BatchRecord, manifest: Manifest): string[] {
  const frames = manifest.files.find(({ name }) => name === DATASET_FILES.frames)?.bytes ?? 0;
  const pairs: readonly (readonly [name: string, row: unknown, manifest: unknown])[] = [
    ['stream', batch.stream, manifest.stream],
    ['entries', batch.entries, manifest.entries],
    ['frames', batch.frames, manifest.frames],
    ['bytes', batch.bytes, frames - framesHeaderBytes(manifest.entries)],
    ['log', batch.log_id === null ? null : toHex(batch.log_id), manifest.logId],
    ['log index', batch.log_index, manifest.logIndex],
    ['sealing time', batch.sealed_at_us, manifest.sealedAtUs],
    ['first time', batch.min_time_us, manifest.time.minUs],
    ['last time', batch.max_time_us, manifest.time.maxUs],
    ['kind', batch.challengeable === 1, manifest.signatures === 'challengeable on chain'],
  ];
  return pairs
    .filter(([, row, stated]) => row !== stated)
    .map(([name, row, stated]) => `has ${name} ${shown(row)}, its manifest ${shown(stated)}`);
}
