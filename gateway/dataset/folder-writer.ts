import { mkdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import {
  DATASET_FILES,
  type DatasetFacts,
  DatasetSummary,
  decodeEntry,
  encodeFramesHeader,
  encodeManifest,
  equalBytes,
  FRAME_FORMAT,
  fromHex,
  HASH_BYTES,
  keyTypeOfDid,
  leafHashInto,
  type Manifest,
  type ManifestFile,
  MerkleTree,
  readStatement,
  sha256,
  splitFrames,
  toHex,
} from '@waystone/proto';
import { renameInto, syncFolder, writeSynced } from '../core/durable.js';
import { WaystoneError } from '../core/errors.js';
import { FileSink } from './file-sink.js';

/** The part of a manifest that does not follow from the entries and frames. */
export type DatasetIdentity = Pick<
  Manifest,
  | 'stream'
  | 'streamName'
  | 'realm'
  | 'chainId'
  | 'idao'
  | 'gateway'
  | 'logId'
  | 'logIndex'
  | 'sealedAtUs'
>;

export interface DatasetFolderOptions {
  readonly identity: DatasetIdentity;
  /** Folder of all datasets; the new one appears in it under its root. */
  readonly parent: string;
  /** did:key of a key id in lower-case hex; throws for a key that the gateway does not know. */
  readonly didOf: (keyId: string) => string | Promise<string>;
}

/** One envelope of the batch, in the dataset's order. The bytes are copied before the next row is asked for. */
export interface DatasetRow {
  /** Entry v1, 280 bytes. */
  readonly entry: Uint8Array;
  /** Its frames as they stood in the envelope: length u32 ‖ bytes, `count` times. */
  readonly frames: Uint8Array;
}

/** Rows that can be walked twice, each time the same: the frames' sizes stand before the frames in their file. */
export type DatasetRows = Iterable<DatasetRow>;

export interface WrittenDataset {
  /** Root of the tree over the entries, 32 bytes. */
  readonly root: Uint8Array;
  /** Number of entries. */
  readonly count: number;
  readonly manifest: Manifest;
  readonly manifestBytes: Uint8Array;
  /** SHA-256 of `manifestBytes`. */
  readonly manifestHash: Uint8Array;
  /** The tree over the entries. */
  readonly tree: MerkleTree;
  /** Size in bytes of each entry's frames in the `frames` file. */
  readonly frameSizes: readonly number[];
  /** The folder under its final name. */
  readonly directory: string;
  /** Size in bytes of each file. */
  readonly sizes: Readonly<Record<'manifest' | 'entries' | 'frames' | 'devices', number>>;
}

/** A folder whose files are on disk under a temporary name; {@link publishDatasetFolder} gives it its own. */
export interface PreparedDataset extends WrittenDataset {
  readonly temporary: string;
}

/**
 * Writes a dataset folder: {@link prepareDatasetFolder}, then {@link publishDatasetFolder}. Doing it again
 * with the same input is harmless, wherever the first time stopped.
 */
export async function writeDatasetFolder(
  options: DatasetFolderOptions,
  rows: DatasetRows,
): Promise<WrittenDataset> {
  return publishDatasetFolder(await prepareDatasetFolder(options, rows));
}

/**
 * Writes all files of a dataset but its checkpoint under a temporary name and fsyncs them and their folder.
 * The bytes follow from the input alone. Memory: two buffers of a MiB, and 72 bytes for each entry.
 *
 * @throws WaystoneError DATASET_EMPTY for no rows, DATASET_ROWS_INVALID for a row that no verifier would accept.
 */
export async function prepareDatasetFolder(
  options: DatasetFolderOptions,
  rows: DatasetRows,
): Promise<PreparedDataset> {
  const { identity, parent } = options;
  const frameSizes = Array.from(rows, (row) => row.frames.length);
  if (frameSizes.length === 0) {
    throw new WaystoneError('DATASET_EMPTY', 'a dataset needs at least one entry, got none');
  }
  await mkdir(parent, { recursive: true });
  const temporary = join(parent, `.tmp-${identity.logIndex}`);
  // Left over from a run that died here; nothing refers to it.
  await rm(temporary, { recursive: true, force: true });
  await mkdir(temporary);

  const body = await writeRows(options, frameSizes, rows, temporary);
  const { facts, tree } = body;
  const devices = new TextEncoder().encode(facts.devices.map(({ did }) => `${did}\n`).join(''));
  await writeSynced(join(temporary, DATASET_FILES.devices), devices);

  const { root } = tree;
  const files: ManifestFile[] = [
    { name: DATASET_FILES.devices, bytes: devices.length, sha256: toHex(sha256(devices)) },
    { name: DATASET_FILES.entries, ...body.entries },
    { name: DATASET_FILES.frames, ...body.frames },
  ];
  const manifest: Manifest = {
    type: 'waystone-dataset',
    version: 1,
    root: toHex(root),
    entryVersion: 1,
    frameFormat: FRAME_FORMAT,
    ...pickIdentity(identity),
    signatures: signatureKind(facts),
    ...facts,
    files,
  };
  const manifestBytes = encodeManifest(manifest);
  await writeSynced(join(temporary, DATASET_FILES.manifest), manifestBytes);
  await syncFolder(temporary);
  return {
    root,
    count: facts.entries,
    manifest,
    manifestBytes,
    manifestHash: sha256(manifestBytes),
    tree,
    frameSizes,
    directory: join(parent, manifest.root),
    temporary,
    sizes: {
      manifest: manifestBytes.length,
      devices: devices.length,
      entries: body.entries.bytes,
      frames: body.frames.bytes,
    },
  };
}

/**
 * Gives a prepared folder its name and makes the name durable.
 *
 * @throws WaystoneError DATASET_EXISTS when another dataset has that name already.
 */
export async function publishDatasetFolder(prepared: PreparedDataset): Promise<WrittenDataset> {
  const { temporary, ...written } = prepared;
  const existing = await readIfThere(join(written.directory, DATASET_FILES.manifest));
  if (existing !== null && !equalBytes(existing, written.manifestBytes)) {
    throw new WaystoneError(
      'DATASET_EXISTS',
      `${written.directory} holds another dataset of the same root; move it away and seal again`,
    );
  }
  if (existing !== null) {
    // A run before this one came as far as the rename, and may have failed to make the name durable. A second sync alone
    // would say that it is, so the name is given anew. The manifest holds the hash of every file.
    await rm(temporary, { recursive: true });
    await rename(written.directory, temporary);
  }
  await rename(temporary, written.directory);
  await syncFolder(join(written.directory, '..'));
  return written;
}

/**
 * Puts the signed checkpoint into a published folder, over an older one. A reader sees the old file or the
 * new one, never a part; the temporary file lies beside the folder, so that the folder never holds a file
 * that it does not list.
 */
export async function addCheckpoint(directory: string, bytes: Uint8Array): Promise<void> {
  const temporary = `${directory}.checkpoint.tmp`;
  await writeSynced(temporary, bytes);
  await renameInto(temporary, directory, DATASET_FILES.checkpoint);
}

async function writeRows(
  { didOf, identity }: DatasetFolderOptions,
  frameSizes: readonly number[],
  rows: DatasetRows,
  directory: string,
) {
  const entries = await FileSink.create(join(directory, DATASET_FILES.entries));
  const frames = await FileSink.create(join(directory, DATASET_FILES.frames));
  try {
    await frames.append(encodeFramesHeader(frameSizes));
    const summary = new DatasetSummary();
    const leaves = new Uint8Array(frameSizes.length * HASH_BYTES);
    let index = 0;
    const dids = new Map<string, string>();
    const realm = fromHex(identity.realm);
    for (const row of rows) {
      if (row.frames.length !== frameSizes[index]) {
        throw rowFault(
          index,
          `has ${row.frames.length} bytes of frames, expected ${frameSizes[index]}`,
        );
      }
      try {
        const { entry, statement, frames: rowFrames } = readRow(row, identity, realm);
        const device = toHex(statement.device);
        let did = dids.get(device);
        if (did === undefined) {
          did = await didOf(device);
          dids.set(device, did);
        }
        summary.add(entry, statement, rowFrames, did);
      } catch (cause) {
        throw rowFault(index, cause instanceof Error ? cause.message : String(cause), cause);
      }
      leafHashInto(row.entry, leaves, index * HASH_BYTES);
      index += 1;
      const entryWrite = entries.append(row.entry);
      if (entryWrite !== undefined) await entryWrite;
      const framesWrite = frames.append(row.frames);
      if (framesWrite !== undefined) await framesWrite;
    }
    if (index !== frameSizes.length) {
      throw rowFault(index, `is missing, expected ${frameSizes.length} rows`);
    }
    return {
      facts: summary.facts(),
      tree: new MerkleTree(leaves),
      entries: await entries.finish(),
      frames: await frames.finish(),
    };
  } finally {
    await entries.abandon();
    await frames.abandon();
  }
}

/** A row's entry, statement and frames, after what a dataset demands of every entry alike. @throws RangeError */
function readRow(row: DatasetRow, identity: DatasetIdentity, realm: Uint8Array) {
  const entry = decodeEntry(row.entry);
  const { statement, fault } = readStatement(entry.statement);
  if (statement === undefined) throw new RangeError(`has no readable statement: ${fault.code}`);
  if (statement.stream !== identity.stream) {
    throw new RangeError(`is of stream ${statement.stream}, the dataset of ${identity.stream}`);
  }
  if (!equalBytes(statement.realm, realm)) {
    throw new RangeError(
      `is for realm ${toHex(statement.realm)}, the dataset for ${identity.realm}`,
    );
  }
  const frames = splitFrames(row.frames, statement.count);
  if (frames === null) throw new RangeError(`does not hold exactly ${statement.count} frames`);
  return { entry, statement, frames };
}

/** Only the fields that belong here, whatever else the caller's object carries. */
function pickIdentity(identity: DatasetIdentity): DatasetIdentity {
  const { stream, streamName, realm, chainId, idao, gateway, logId, logIndex, sealedAtUs } =
    identity;
  return { stream, streamName, realm, chainId, idao, gateway, logId, logIndex, sealedAtUs };
}

/** @throws WaystoneError when Ed25519 entries are mixed with others: a contract cannot judge such a dataset. */
function signatureKind(facts: DatasetFacts): Manifest['signatures'] {
  const types = facts.devices.map(({ did }) => keyTypeOfDid(did));
  if (types.every((type) => type !== 'Ed25519')) return 'challengeable on chain';
  if (types.every((type) => type === 'Ed25519')) return 'not challengeable on chain';
  throw new WaystoneError(
    'DATASET_ROWS_INVALID',
    'entries signed with Ed25519 and others must not share a dataset',
  );
}

function rowFault(index: number, what: string, cause?: unknown): WaystoneError {
  return new WaystoneError('DATASET_ROWS_INVALID', `row ${index} of the dataset ${what}`, {
    cause,
  });
}

async function readIfThere(path: string): Promise<Uint8Array | null> {
  try {
    return await readFile(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}
