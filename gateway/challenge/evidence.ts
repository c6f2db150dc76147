import { readFile, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import {
  DATASET_FILES,
  decodeManifest,
  decodeReceipt,
  decodeSignedCheckpoint,
  encodeLogRecord,
  fromHex,
  keyId,
  leafHash,
  type Manifest,
  type PublicKey,
  parseDid,
  type Receipt,
  type SignedCheckpoint,
  sha256,
  toHex,
  verifyInclusion,
} from '@waystone/proto';
import { messageOf, WaystoneError } from '../core/errors.js';
import type { ChallengeClient, CommittedDataset } from '../forge/challenge-client.js';
import { EntriesFile } from './entries-file.js';

/** Largest manifest, list of devices, checkpoint or receipt that is read, in bytes. */
const SMALL_FILE_BYTES_MAX = 64 * 1024 * 1024;

/** A signed checkpoint that shows what is at one place of a log. */
export interface LogPlace {
  readonly signed: SignedCheckpoint;
  readonly index: number;
  /** Hash of the log record there, 32 bytes. */
  readonly leaf: Uint8Array;
  /** Where it was read, for people. */
  readonly path: string;
}

/** A dataset as somebody has it, beside what the chain says of it. */
export interface Evidence {
  /** Folder, or the entries file alone. */
  readonly path: string;
  /** Root of the entries in hand, hex. */
  readonly root: string;
  readonly entries: EntriesFile;
  /** Keys that the folder lists, by key id in hex; nobody's word is taken for them, the ids are hashed here. */
  readonly keys: ReadonlyMap<string, PublicKey>;
  /** Where its checkpoint puts it in the log; null without a checkpoint that can be read. */
  readonly place: LogPlace | null;
  /** What was committed under the folder's name or these entries' root; null where nothing was. */
  readonly dataset: CommittedDataset | null;
  /** Why the entries in hand cannot be held against the committed dataset; null when they can. */
  readonly mismatch: string | null;
}

/**
 * Reads a dataset folder, or an entries file alone, and finds it on chain: by the name that the manifest gives, else by
 * the root.
 *
 * @throws WaystoneError PATH_UNREADABLE, and what the chain's node says.
 */
export async function openEvidence(path: string, client: ChallengeClient): Promise<Evidence> {
  const isFolder = await isDirectory(path);
  const entries = await openEntries(path, isFolder);
  try {
    await entries.read(() => undefined);
    const root = toHex(entries.tree.root);
    const folder = isFolder ? await readFolder(path) : null;
    const dataset = await findDataset(client, root, folder?.manifest ?? null);
    return {
      ...{ path, root, entries, dataset },
      keys: folder?.keys ?? new Map(),
      place: folder?.place ?? null,
      mismatch: mismatchOf(dataset, root, entries.count, client.chainId, folder?.manifest ?? null),
    };
  } catch (error) {
    await entries.close();
    throw error;
  }
}

/** Root of the entries in hand, hex. @throws WaystoneError PATH_UNREADABLE. */
export async function rootOf(path: string): Promise<string> {
  const entries = await openEntries(path, await isDirectory(path));
  try {
    await entries.read(() => undefined);
    return toHex(entries.tree.root);
  } finally {
    await entries.close();
  }
}

/** Reads a receipt as it came over MQTT: its bytes, or their hex digits. @throws WaystoneError PATH_UNREADABLE. */
export async function readReceipt(path: string): Promise<Receipt> {
  const bytes = await readGiven(path);
  const text = Buffer.from(bytes).toString('latin1').trim();
  try {
    return decodeReceipt(/^([0-9a-f]{2})+$/i.test(text) ? fromHex(text.toLowerCase()) : bytes);
  } catch (cause) {
    throw new WaystoneError('PATH_UNREADABLE', `${path} is no receipt: ${messageOf(cause)}`, {
      cause,
    });
  }
}

/** Reads the `checkpoint` file of a dataset folder. @throws WaystoneError PATH_UNREADABLE. */
export async function readCheckpoint(path: string): Promise<SignedCheckpoint> {
  try {
    return decodeSignedCheckpoint(await readGiven(path));
  } catch (cause) {
    if (cause instanceof WaystoneError) throw cause;
    throw new WaystoneError('PATH_UNREADABLE', `${path} is no checkpoint: ${messageOf(cause)}`, {
      cause,
    });
  }
}

const openEntries = (path: string, isFolder: boolean): Promise<EntriesFile> =>
  EntriesFile.open(isFolder ? join(path, DATASET_FILES.entries) : path);

interface Folder {
  readonly manifest: Manifest | null;
  readonly keys: ReadonlyMap<string, PublicKey>;
  readonly place: LogPlace | null;
}

/** All that helps; a folder of a cheat may hold anything, and the entries alone are enough. */
async function readFolder(path: string): Promise<Folder> {
  const manifestBytes = await readOptional(join(path, DATASET_FILES.manifest));
  const manifest = attempt(() => (manifestBytes === null ? null : decodeManifest(manifestBytes)));
  const keys = new Map<string, PublicKey>();
  const add = (did: string): void => {
    const key = parseDid(did);
    if (key !== null) keys.set(toHex(keyId(key)), key);
  };
  const devices = await readOptional(join(path, DATASET_FILES.devices));
  for (const did of Buffer.from(devices ?? [])
    .toString('latin1')
    .split('\n'))
    add(did);
  if (manifest !== null) add(manifest.gateway);
  const checkpoint = await readOptional(join(path, DATASET_FILES.checkpoint));
  const signed = attempt(() => (checkpoint === null ? null : decodeSignedCheckpoint(checkpoint)));
  if (signed !== null) keys.set(toHex(keyId(signed.gatewayKey)), signed.gatewayKey);
  const place =
    manifest === null || manifestBytes === null || signed === null
      ? null
      : placeOf(path, manifest, manifestBytes, signed);
  return { manifest, keys, place };
}

/** Where a folder's checkpoint has the folder; null where its path does not lead there. */
function placeOf(
  path: string,
  manifest: Manifest,
  manifestBytes: Uint8Array,
  signed: SignedCheckpoint,
): LogPlace | null {
  const leaf = leafHash(
    encodeLogRecord({
      logId: fromHex(manifest.logId),
      index: manifest.logIndex,
      root: fromHex(manifest.root),
      count: manifest.entries,
      manifestHash: sha256(manifestBytes),
    }),
  );
  const { size, root } = signed.checkpoint;
  if (!verifyInclusion(leaf, manifest.logIndex, size, signed.path, root)) return null;
  return { signed, index: manifest.logIndex, leaf, path };
}

async function findDataset(
  client: ChallengeClient,
  root: string,
  manifest: Manifest | null,
): Promise<CommittedDataset | null> {
  if (manifest !== null && manifest.idao !== '' && manifest.chainId === client.chainId) {
    const { idao, logId, logIndex: index } = manifest;
    const named = await client.dataset({ idao, logId, index });
    if (named !== null) return named;
  }
  const found = await client.datasetsOf(root);
  return found.find(({ isOpen }) => isOpen) ?? found[0] ?? null;
}

function mismatchOf(
  dataset: CommittedDataset | null,
  root: string,
  count: number,
  chainId: number,
  manifest: Manifest | null,
): string | null {
  if (dataset === null) {
    const other =
      manifest === null || manifest.chainId === chainId
        ? ''
        : `; its manifest names chain ${manifest.chainId}`;
    return `nothing with root ${root} was committed on chain ${chainId}${other}`;
  }
  const { record } = dataset;
  if (record.root === `0x${root}` && record.count === BigInt(count)) return null;
  return `the entries in hand (${count}, root ${root}) are not those that were committed (${record.count}, root ${record.root.slice(2)}); if those are published nowhere, ask for one of them`;
}

async function isDirectory(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch (cause) {
    throw new WaystoneError('PATH_UNREADABLE', `${path} cannot be read: ${messageOf(cause)}`, {
      cause,
    });
  }
}

async function readGiven(path: string): Promise<Uint8Array> {
  const bytes = await readOptional(path);
  if (bytes !== null) return bytes;
  throw new WaystoneError(
    'PATH_UNREADABLE',
    `there is no file ${basename(path)} in ${dirname(path)} that can be read`,
  );
}

/** A whole small file; null when there is none, it is too large or no regular file. */
async function readOptional(path: string): Promise<Uint8Array | null> {
  try {
    const { size } = await stat(path);
    if (size > SMALL_FILE_BYTES_MAX) return null;
    return new Uint8Array(await readFile(path));
  } catch {
    return null;
  }
}

function attempt<T>(read: () => T | null): T | null {
  try {
    return read();
  } catch {
    return null;
  }
}
