import {
  DATASET_FILES,
  equalBytes,
  fromHex,
  LOCAL_REALM,
  type Manifest,
  parseDid,
  realmOf,
} from '@waystone/proto';

/**
 * What is wrong with the values of a manifest of good shape, or null: fixed values, hex of the right length,
 * numbers that cannot be negative, a gateway with a secp256k1 key, and the list of files.
 */
export function manifestFault(manifest: Manifest): string | null {
  const { root, realm, logId, idao, gateway, signatures, time } = manifest;
  if (manifest.entryVersion !== 1) return `entryVersion must be 1, got ${manifest.entryVersion}`;
  if (manifest.frameFormat !== 1) return `frameFormat must be 1, got ${manifest.frameFormat}`;
  if (!isHex(root, 32)) return 'root must be 64 lower-case hex digits';
  if (!isHex(realm, 32)) return 'realm must be 64 lower-case hex digits';
  if (!isHex(logId, 16)) return 'logId must be 32 lower-case hex digits';
  if (idao !== '' && !/^0x[0-9a-fA-F]{40}$/.test(idao)) return 'idao must be an address or ""';
  if (parseDid(gateway)?.type !== 'secp256k1') return 'gateway must be a secp256k1 did:key';
  if (manifest.entries < 1) return `entries must be at least 1, got ${manifest.entries}`;
  for (const field of ['frames', 'frameBytes', 'stream', 'chainId', 'logIndex'] as const) {
    if (manifest[field] < 0) return `${field} must not be negative, got ${manifest[field]}`;
  }
  if (manifest.sealedAtUs < 0) return `sealedAtUs must not be negative, got ${manifest.sealedAtUs}`;
  if (!SIGNATURE_KINDS.has(signatures)) {
    return `signatures must be one of ${[...SIGNATURE_KINDS].join(', ')}, got ${signatures}`;
  }
  if (time.base !== 'utc' && time.base !== 'received') return `time.base is ${String(time.base)}`;
  return filesFault(manifest);
}

/** Why the manifest's realm is not the one of its chain and iDAO, or null. */
export function realmFault({ realm, chainId, idao }: Manifest): string | null {
  const expected = idao === '' ? LOCAL_REALM : realmOf(chainId, idao);
  if (equalBytes(fromHex(realm), expected)) return null;
  return idao === ''
    ? `realm must be zeros where no iDAO is named, got ${realm}`
    : `realm is not that of chain ${chainId} and iDAO ${idao}`;
}

/** Name of a blob's file: its SHA-256 under `blobs/`. */
const BLOB_NAME = /^blobs\/([0-9a-f]{64})$/;

function filesFault({ files }: Manifest): string | null {
  const always = [DATASET_FILES.devices, DATASET_FILES.entries, DATASET_FILES.frames] as string[];
  let before = '';
  for (const { name, bytes, sha256 } of files) {
    // One order, so that no file is listed twice and a manifest has one form.
    if (name <= before) return `files must be sorted by name, got ${name} after ${before}`;
    before = name;
    if (!isHex(sha256, 32)) return `sha256 of ${name} must be 64 lower-case hex digits`;
    if (bytes < 0) return `bytes of ${name} must not be negative, got ${bytes}`;
    const blob = BLOB_NAME.exec(name);
    if (blob === null && !always.includes(name)) return `files lists ${JSON.stringify(name)}`;
    if (blob !== null && blob[1] !== sha256) return `${name} is not named by its SHA-256`;
  }
  const missing = always.find((name) => !files.some((file) => file.name === name));
  return missing === undefined ? null : `files does not list ${missing}`;
}

const SIGNATURE_KINDS: ReadonlySet<string> = new Set<Manifest['signatures']>([
  'challengeable on chain',
  'not challengeable on chain',
]);

function isHex(text: string, bytes: number): boolean {
  return text.length === 2 * bytes && /^[0-9a-f]*$/.test(text);
}
