import { readdir, realpath } from 'node:fs/promises';
import { basename, join } from 'node:path';
import {
  DATASET_FILES,
  decodeFramesHeader,
  decodeManifest,
  ENTRY_BYTES,
  ENVELOPE_BYTES_MAX,
  framesHeaderBytes,
  keyId,
  type Manifest,
  type ManifestFile,
  parseDid,
  sha256,
  toHex,
  verifySignature,
} from '@waystone/proto';
import type { ChainReader } from '../core/chain-view.js';
import { messageOf, WaystoneError } from '../core/errors.js';
import { manifestFault, realmFault } from '../dataset/manifest-fault.js';
import { EntryAudit, type ListedDevice, type VerifySignature } from './entry-audit.js';
import { FileScan } from './file-scan.js';
import { checkListing } from './folder-listing.js';
import { auditLog } from './log-audit.js';
import { type CheckName, Report, type Verification } from './report.js';

export interface VerifyOptions {
  /** did:key of the gateway that must have signed. */
  readonly gatewayDid?: string;
  /** Compares with the chain, and lets the chain say who the signer must be. */
  readonly chain?: ChainReader;
  /** A faster implementation of the same rule; default is the one of `proto`. */
  readonly verifySignature?: VerifySignature;
}

/** Largest manifest, list of devices or checkpoint that is read, in bytes; these are held in memory. */
const SMALL_FILE_BYTES_MAX = 64 * 1024 * 1024;

/** Largest header of a `frames` file that is read, in bytes: 16 million entries. Sparse files cost nothing to claim. */
const FRAMES_HEADER_BYTES_MAX = 128 * 1024 * 1024;

const CHECKS: readonly CheckName[] = [
  'files',
  'manifest',
  'file hashes',
  'devices',
  'entries',
  'statements',
  'device keys',
  'signatures',
  'signature kind',
  'stream and realm',
  'receive times',
  'sequences',
  'frames',
  'frames roots',
  'statements against frames',
  'previous links',
  'summaries',
  'entries tree',
  'checkpoint',
  'gateway',
  'log record',
  'chain',
  'signer',
];

/**
 * Checks a dataset folder with nothing but its own bytes: neither ledger nor keys are needed. Files are read
 * once, from front to back, in bounded memory; after a failure the other checks go on as far as they can.
 *
 * @throws WaystoneError PATH_UNREADABLE when there is no such folder or it cannot be read, DID_INVALID when
 *   `gatewayDid` is no did:key.
 */
export async function verifyDataset(
  path: string,
  options: VerifyOptions = {},
): Promise<Verification> {
  const signer = signerOf(options);
  try {
    return await verifyFolder(path, signer, options);
  } catch (cause) {
    if (!isSystemError(cause)) throw cause;
    throw new WaystoneError('PATH_UNREADABLE', `${path} cannot be read: ${messageOf(cause)}`, {
      cause,
    });
  }
}

/** Key id that the options demand of the signer, or null. @throws WaystoneError DID_INVALID */
export function signerOf({ gatewayDid }: VerifyOptions): Uint8Array | null {
  if (gatewayDid === undefined) return null;
  const key = parseDid(gatewayDid);
  if (key !== null) return keyId(key);
  throw new WaystoneError(
    'DID_INVALID',
    `expected the did:key of a gateway, got ${JSON.stringify(gatewayDid.slice(0, 80))}`,
  );
}

async function verifyFolder(
  path: string,
  signer: Uint8Array | null,
  options: VerifyOptions,
): Promise<Verification> {
  const { chain = null, verifySignature: verify = verifySignature } = options;
  const directory = await realpath(path);
  await readdir(directory); // Not a folder, or not ours to read: the caller's mistake, no failed check.
  const report = new Report(CHECKS);

  const manifestBytes = await readSmall(directory, DATASET_FILES.manifest);
  const manifest = checkManifest(report, directory, manifestBytes);
  await checkListing(report.check('files'), directory, manifest);
  if (manifest === null || manifestBytes === null) return report.conclude('dataset', path, null);

  const listed = new Map(manifest.files.map((file) => [file.name, file]));
  const devices = await checkDevices(report, directory, manifest, listed);
  await checkEntriesAndFrames(report, directory, manifest, listed, devices, verify);
  await checkBlobs(report, directory, manifest);
  report.check('file hashes').pass(`sizes and SHA-256 of ${manifest.files.length} files`);

  const checkpointBytes = await readSmall(directory, DATASET_FILES.checkpoint);
  const files = DATASET_FILES;
  await auditLog(report, { manifest, manifestBytes, checkpointBytes, files, signer, chain });
  return report.conclude('dataset', path, manifest.root);
}

function checkManifest(
  report: Report,
  directory: string,
  bytes: Uint8Array | null,
): Manifest | null {
  const check = report.check('manifest');
  const where = { file: DATASET_FILES.manifest };
  if (bytes === null) {
    check.fail('there is no manifest that can be read', where);
    return null;
  }
  let manifest: Manifest;
  try {
    manifest = decodeManifest(bytes);
  } catch (error) {
    check.fail(messageOf(error), where);
    return null;
  }
  const fault = manifestFault(manifest);
  if (fault !== null) {
    check.fail(fault, where);
    return null;
  }
  const realm = realmFault(manifest);
  if (realm !== null) check.fail(realm, where);
  if (basename(directory) !== manifest.root) {
    check.fail(
      `folder is named ${basename(directory)}, its manifest's root is ${manifest.root}`,
      where,
    );
  }
  check.pass(`canonical, of version 1, named by its root, SHA-256 ${toHex(sha256(bytes))}`);
  return manifest;
}

/** Reads the devices file, did:keys in order, one a line. Returns them by key id in hex. */
async function checkDevices(
  report: Report,
  directory: string,
  manifest: Manifest,
  listed: ReadonlyMap<string, ManifestFile>,
): Promise<Map<string, ListedDevice>> {
  const check = report.check('devices');
  const devices = new Map<string, ListedDevice>();
  const bytes = await readSmall(directory, DATASET_FILES.devices);
  if (bytes === null) {
    check.fail('there is no list of devices that can be read', { file: DATASET_FILES.devices });
    return devices;
  }
  compareFile(report, listed.get(DATASET_FILES.devices), {
    bytes: bytes.length,
    sha256: toHex(sha256(bytes)),
  });
  const lines = Buffer.from(bytes).toString('latin1').split('\n');
  if (lines.pop() !== '') check.fail('the last line does not end', { file: DATASET_FILES.devices });
  let before = '';
  let at = 0;
  for (const did of lines) {
    const where = { file: DATASET_FILES.devices, bytes: [at, at + did.length + 1] } as const;
    at += did.length + 1;
    const key = parseDid(did);
    if (key === null) check.fail(`${JSON.stringify(did.slice(0, 80))} is no did:key`, where);
    else devices.set(toHex(keyId(key)), { did, key });
    if (did <= before) check.fail('devices are not sorted or listed twice', where);
    before = did;
  }
  if (lines.length !== manifest.devices.length) {
    check.fail(`${lines.length} devices are listed, the manifest has ${manifest.devices.length}`, {
      file: DATASET_FILES.devices,
    });
  }
  check.pass(`${devices.size} devices with valid keys`);
  return devices;
}

async function checkEntriesAndFrames(
  report: Report,
  directory: string,
  manifest: Manifest,
  listed: ReadonlyMap<string, ManifestFile>,
  devices: ReadonlyMap<string, ListedDevice>,
  verify: VerifySignature,
): Promise<void> {
  const entries = await openScan(report, directory, DATASET_FILES.entries);
  const frames = await openScan(report, directory, DATASET_FILES.frames);
  try {
    const offsets = frames === null ? null : await readOffsets(report, frames, manifest.entries);
    const audit = new EntryAudit(report, manifest, devices, verify);
    if (entries !== null) {
      await walk(report, { entries, frames, offsets, count: manifest.entries }, audit);
    }
    audit.finish(manifest);
    if (entries !== null) {
      compareFile(report, listed.get(DATASET_FILES.entries), await entries.finish());
    }
    if (frames !== null) {
      compareFile(report, listed.get(DATASET_FILES.frames), await frames.finish());
    }
  } finally {
    await entries?.abandon();
    await frames?.abandon();
  }
}

async function walk(
  report: Report,
  {
    entries,
    frames,
    offsets,
    count,
  }: { entries: FileScan; frames: FileScan | null; offsets: number[] | null; count: number },
  audit: EntryAudit,
): Promise<void> {
  const check = report.check('entries');
  if (entries.size !== count * ENTRY_BYTES) {
    const detail = `file has ${entries.size} bytes, the manifest has ${count} entries of ${ENTRY_BYTES}`;
    const end = Math.min(entries.size, count * ENTRY_BYTES);
    check.fail(detail, {
      file: DATASET_FILES.entries,
      bytes: [end, Math.max(entries.size, end + 1)],
    });
  }
  for (let index = 0; index < count; index++) {
    const entry = await entries.take(ENTRY_BYTES);
    if (entry === null) break;
    const part =
      frames === null || offsets === null ? null : await takeFrames(report, frames, offsets, index);
    audit.add(entry, part);
  }
  check.pass(`${count} entries of ${ENTRY_BYTES} bytes`);
}

async function takeFrames(
  report: Report,
  frames: FileScan,
  offsets: readonly number[],
  index: number,
): Promise<{ bytes: Uint8Array; offset: number } | null> {
  const offset = offsets[index] as number;
  const size = (offsets[index + 1] as number) - offset;
  const where = {
    file: DATASET_FILES.frames,
    entry: index,
    bytes: [offset, offset + size],
  } as const;
  if (size > ENVELOPE_BYTES_MAX) {
    const detail = `frames of one entry take ${size} bytes, an envelope has ${ENVELOPE_BYTES_MAX} at most`;
    report.check('frames').fail(detail, where);
    await frames.skip(size);
    return null;
  }
  const bytes = await frames.take(size);
  if (bytes === null) report.check('frames').fail('file ends inside the frames', where);
  return bytes === null ? null : { bytes, offset };
}

async function readOffsets(
  report: Report,
  frames: FileScan,
  count: number,
): Promise<number[] | null> {
  const size = framesHeaderBytes(count);
  const where = { file: DATASET_FILES.frames, bytes: [0, size] } as const;
  // Compared before it is read: the count is the manifest's word, and the buffer grows to it.
  if (size > FRAMES_HEADER_BYTES_MAX) {
    const detail = `${count} entries are more than this release checks`;
    report.check('frames').fail(detail, { file: DATASET_FILES.frames });
    return null;
  }
  const header = size > frames.size ? null : await frames.take(size);
  if (header === null) {
    report.check('frames').fail(`file ends inside its header of ${size} bytes`, where);
    return null;
  }
  try {
    return decodeFramesHeader(header, count, frames.size);
  } catch (error) {
    report.check('frames').fail(messageOf(error), where);
    return null;
  }
}

async function checkBlobs(report: Report, directory: string, manifest: Manifest): Promise<void> {
  for (const file of manifest.files) {
    if (!file.name.startsWith('blobs/')) continue;
    const scan = await openScan(report, directory, file.name);
    if (scan !== null) compareFile(report, file, await scan.finish());
  }
}

function compareFile(
  report: Report,
  listed: ManifestFile | undefined,
  found: { bytes: number; sha256: string },
): void {
  if (listed === undefined) return; // The manifest was refused for it.
  const check = report.check('file hashes');
  const where = { file: listed.name };
  if (found.bytes !== listed.bytes) {
    check.fail(`${listed.name} has ${found.bytes} bytes, the manifest says ${listed.bytes}`, where);
  } else if (found.sha256 !== listed.sha256) {
    check.fail(`${listed.name} has SHA-256 ${found.sha256}, not the one in the manifest`, where);
  }
}

/** Opens a file of the folder; one that is missing or no regular file is a failed check, not an error. */
async function openScan(report: Report, directory: string, name: string): Promise<FileScan | null> {
  const scan = await tryOpen(directory, name);
  if (scan === null) report.check('file hashes').fail(`${name} cannot be opened`, { file: name });
  return scan;
}

/** ELOOP is what a symlink gives, ENXIO a socket, ENOTDIR a file in the place of a folder. */
const NOT_A_FILE: ReadonlySet<string | undefined> = new Set([
  'ENOENT',
  'ELOOP',
  'ENXIO',
  'ENOTDIR',
  'EISDIR',
]);

async function tryOpen(directory: string, name: string): Promise<FileScan | null> {
  try {
    return await FileScan.open(join(directory, name));
  } catch (error) {
    if (error instanceof RangeError || NOT_A_FILE.has((error as NodeJS.ErrnoException).code)) {
      return null;
    }
    throw error;
  }
}

/** A whole small file; null when it is missing, too large or no regular file. */
async function readSmall(directory: string, name: string): Promise<Uint8Array | null> {
  const scan = await tryOpen(directory, name);
  if (scan === null) return null;
  try {
    if (scan.size > SMALL_FILE_BYTES_MAX) return null;
    const bytes = await scan.take(scan.size);
    return bytes === null ? null : bytes.slice();
  } finally {
    await scan.abandon();
  }
}

function isSystemError(error: unknown): boolean {
  return error instanceof Error && typeof (error as NodeJS.ErrnoException).errno === 'number';
}
