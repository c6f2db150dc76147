import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { copyFile, mkdir, open, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { BATCH_FILES_FOLDER } from '../core/batch-file.js';
import { replaceFile, syncFolderNow } from '../core/durable.js';
import { WaystoneError } from '../core/errors.js';
import type { Ledger } from './ledger.js';

/** Name of the file that makes a folder a backup; it is written last. */
export const BACKUP_FILE = 'backup.json';
export const BACKUP_LEDGER = 'ledger.sqlite';
export const BACKUP_DATASETS = 'datasets';

/** Content of `backup.json`. Version 1 had no batch files: what they hold was in the ledger. */
export interface BackupDescription {
  readonly type: 'waystone-backup';
  readonly version: 1 | 2;
  /** did:key of the gateway; its keys are not in the backup. */
  readonly gateway: string;
  readonly createdAtUs: number;
  readonly ledger: { readonly bytes: number; readonly sha256: string };
  /** Files of the batches that were not sealed. */
  readonly batches?: readonly BackupFile[];
  /** Roots of the dataset folders. */
  readonly datasets: readonly string[];
}

export interface BackupFile {
  readonly name: string;
  readonly bytes: number;
  readonly sha256: string;
}

/**
 * Writes a backup of the running gateway into a new folder: a consistent copy of the ledger, the batch
 * files, then every dataset folder (those that the copy names are all there, since a folder exists before the ledger says so).
 *
 * @throws WaystoneError BACKUP_EXISTS when `folder` exists.
 */
export async function writeBackup(options: {
  readonly folder: string;
  readonly dataFolder: string;
  readonly ledger: Ledger;
  readonly gateway: string;
}): Promise<{ folder: string; datasets: number; bytes: number }> {
  const { folder, dataFolder, ledger, gateway } = options;
  const datasetsFolder = join(dataFolder, BACKUP_DATASETS);
  try {
    await mkdir(folder, { mode: 0o700 });
  } catch (cause) {
    const code = (cause as { code?: string }).code;
    if (code === 'EEXIST') {
      throw new WaystoneError('BACKUP_EXISTS', `${folder} exists; name a new folder`, { cause });
    }
    throw new WaystoneError(
      'BACKUP_FAILED',
      `${folder} cannot be created (${code}); the folder above it must exist and be writable for the gateway`,
      { cause },
    );
  }
  const copy = join(folder, BACKUP_LEDGER);
  const batches: BackupFile[] = [];
  await ledger.backup(copy, async () => {
    const target = join(folder, BATCH_FILES_FOLDER);
    await copyFolder(join(dataFolder, BATCH_FILES_FOLDER), target);
    for (const name of await readdir(target)) batches.push(await describe(target, name));
  });
  const names = await readdir(datasetsFolder);
  const datasets = names.filter((name) => /^[0-9a-f]{64}$/.test(name)).sort();
  await mkdir(join(folder, BACKUP_DATASETS), { mode: 0o700 });
  let bytes = (await stat(copy)).size + batches.reduce((sum, file) => sum + file.bytes, 0);
  for (const root of datasets) {
    const target = join(folder, BACKUP_DATASETS, root);
    await copyFolder(join(datasetsFolder, root), target);
    for (const name of await readdir(target)) bytes += (await stat(join(target, name))).size;
  }
  syncFolderNow(join(folder, BACKUP_DATASETS));
  const description: BackupDescription = {
    type: 'waystone-backup',
    version: 2,
    gateway,
    createdAtUs: Date.now() * 1000,
    ledger: { bytes: (await stat(copy)).size, sha256: await fileHash(copy) },
    batches,
    datasets,
  };
  replaceFile(join(folder, BACKUP_FILE), `${JSON.stringify(description, null, 2)}\n`);
  return { folder, datasets: datasets.length, bytes };
}

async function describe(folder: string, name: string): Promise<BackupFile> {
  const file = join(folder, name);
  return { name, bytes: (await stat(file)).size, sha256: await fileHash(file) };
}

/** Copies the files of a folder into a new one, durably. */
export async function copyFolder(from: string, to: string): Promise<void> {
  await mkdir(to, { recursive: true, mode: 0o700 });
  for (const name of await readdir(from)) await copySynced(join(from, name), join(to, name));
  syncFolderNow(to);
}

/** Copies a file and fsyncs the copy; its name is durable once its folder is synced. */
export async function copySynced(from: string, to: string): Promise<void> {
  await copyFile(from, to);
  const handle = await open(to, 'r+');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** SHA-256 of a file in hex. */
export async function fileHash(file: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(file)) hash.update(chunk as Buffer);
  return hash.digest('hex');
}
