import { TextDecoder } from 'node:util';
import canonicalize from 'canonicalize';

/** Names of the files of a dataset folder v1. */
export const DATASET_FILES = {
  manifest: 'manifest.json',
  entries: 'entries',
  frames: 'frames',
  devices: 'devices',
  checkpoint: 'checkpoint',
} as const;

/**
 * What a dataset is: the content of `manifest.json`, as canonical JSON (RFC 8785) of integers and strings.
 * Its SHA-256 goes on chain and never changes once the dataset is sealed. Hashes and ids are lower-case hex,
 * times are µs UTC, coordinates 1e-9 degree.
 */
export interface Manifest {
  readonly type: 'waystone-dataset';
  readonly version: 1;
  /** Root of the RFC 9162 tree over the entries; also the folder's name. */
  readonly root: string;
  readonly entryVersion: 1;
  readonly entries: number;
  readonly frames: number;
  /** Sum of the frames' own bytes. */
  readonly frameBytes: number;
  readonly frameFormat: 1;
  readonly stream: number;
  readonly streamName: string;
  readonly realm: string;
  readonly chainId: number;
  /** The owning iDAO's address, or "" where the gateway has no chain. */
  readonly idao: string;
  /** did:key of the gateway that sealed the dataset. */
  readonly gateway: string;
  readonly logId: string;
  /** Place of the dataset in the gateway's log. */
  readonly logIndex: number;
  readonly sealedAtUs: number;
  /** Whether a contract can check the device signatures at a bearable price. */
  readonly signatures: 'challengeable on chain' | 'not challengeable on chain';
  /** Range of the frames' times, or of the receive times where no statement has UTC times. */
  readonly time: {
    readonly base: 'utc' | 'received';
    readonly minUs: number;
    readonly maxUs: number;
  };
  readonly received: { readonly minUs: number; readonly maxUs: number };
  /** Bounding box of all positions; absent where there is none. */
  readonly coverage?: {
    readonly southE9: number;
    readonly westE9: number;
    readonly northE9: number;
    readonly eastE9: number;
  };
  readonly devices: readonly ManifestDevice[];
  readonly quality: ManifestQuality;
  readonly files: readonly ManifestFile[];
}

export interface ManifestDevice {
  readonly did: string;
  readonly entries: number;
  readonly frames: number;
  readonly sessions: readonly {
    readonly session: string;
    /** Sequences in this dataset, merged: first and last of each run, both included. */
    readonly sequences: readonly (readonly [number, number])[];
  }[];
}

export interface ManifestQuality {
  readonly positions: number;
  /** Positions by fix type, named as in `FixType` without prefix, in lower case. */
  readonly fixes: Readonly<Record<string, number>>;
  readonly imuSamples: number;
  readonly wheelSpeeds: number;
  readonly canFrames: number;
  readonly blobs: number;
  /** Frames in which a device reports that it lost data. */
  readonly lossReports: number;
  /** Entries whose receive time the gateway did not trust. */
  readonly clockUntrusted: number;
}

export interface ManifestFile {
  readonly name: string;
  readonly bytes: number;
  readonly sha256: string;
}

/** Canonical bytes of a manifest; their SHA-256 is the manifest hash. */
export function encodeManifest(manifest: Manifest): Uint8Array {
  return new TextEncoder().encode(canonicalize(manifest) as string);
}

/**
 * Reads a manifest. Only shape and canonical form are judged here; whether it tells the truth about its
 * dataset is found by making it again from the files and comparing.
 *
 * @throws RangeError when the bytes are not canonical JSON of a `waystone-dataset` version 1.
 */
export function decodeManifest(bytes: Uint8Array): Manifest {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (cause) {
    throw new RangeError('manifest is not JSON in UTF-8', { cause });
  }
  const manifest = value as Manifest;
  if (manifest?.type !== 'waystone-dataset') {
    throw new RangeError('manifest has no type "waystone-dataset"');
  }
  if (manifest.version !== 1) {
    throw new RangeError(`manifest version is ${String(manifest.version)}, this release reads 1`);
  }
  requireShape(value, MANIFEST_SHAPE, 'manifest');
  if (Buffer.compare(encodeManifest(manifest), bytes) !== 0) {
    throw new RangeError('manifest is not in canonical form (RFC 8785)');
  }
  return manifest;
}

type Shape = 'integer' | 'text' | 'counts' | 'run' | { list: Shape } | { [field: string]: Shape };

const MANIFEST_SHAPE: Shape = {
  type: 'text',
  version: 'integer',
  root: 'text',
  entryVersion: 'integer',
  entries: 'integer',
  frames: 'integer',
  frameBytes: 'integer',
  frameFormat: 'integer',
  stream: 'integer',
  streamName: 'text',
  realm: 'text',
  chainId: 'integer',
  idao: 'text',
  gateway: 'text',
  logId: 'text',
  logIndex: 'integer',
  sealedAtUs: 'integer',
  signatures: 'text',
  time: { base: 'text', minUs: 'integer', maxUs: 'integer' },
  received: { minUs: 'integer', maxUs: 'integer' },
  'coverage?': { southE9: 'integer', westE9: 'integer', northE9: 'integer', eastE9: 'integer' },
  devices: {
    list: {
      did: 'text',
      entries: 'integer',
      frames: 'integer',
      sessions: { list: { session: 'text', sequences: { list: 'run' } } },
    },
  },
  quality: {
    positions: 'integer',
    fixes: 'counts',
    imuSamples: 'integer',
    wheelSpeeds: 'integer',
    canFrames: 'integer',
    blobs: 'integer',
    lossReports: 'integer',
    clockUntrusted: 'integer',
  },
  files: { list: { name: 'text', bytes: 'integer', sha256: 'text' } },
};

function requireShape(value: unknown, shape: Shape, path: string): void {
  const fail = (expected: string): never => {
    throw new RangeError(`${path} must be ${expected}`);
  };
  if (shape === 'integer') {
    if (!Number.isSafeInteger(value)) fail('an integer');
  } else if (shape === 'text') {
    if (typeof value !== 'string') fail('a string');
  } else if (shape === 'run') {
    if (!Array.isArray(value) || value.length !== 2 || !value.every(Number.isSafeInteger)) {
      fail('a pair of integers');
    }
  } else if (typeof value !== 'object' || value === null) {
    fail('an object or array');
  } else if (shape === 'counts') {
    for (const [name, count] of Object.entries(value))
      requireShape(count, 'integer', `${path}.${name}`);
  } else if ('list' in shape) {
    if (!Array.isArray(value)) fail('an array');
    for (const [at, item] of (value as unknown[]).entries()) {
      requireShape(item, shape.list as Shape, `${path}[${at}]`);
    }
  } else {
    const object = value as Record<string, unknown>;
    const known = new Set<string>();
    for (const [key, fieldShape] of Object.entries(shape)) {
      const field = key.replace(/\?$/, '');
      known.add(field);
      if (field !== key && object[field] === undefined) continue;
      requireShape(object[field], fieldShape as Shape, `${path}.${field}`);
    }
    for (const field of Object.keys(object)) {
      if (!known.has(field)) throw new RangeError(`${path} has the unknown field "${field}"`);
    }
  }
}
