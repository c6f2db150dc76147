import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  sign,
} from 'node:crypto';
import {
  didFromKey,
  encodeCheckpoint,
  encodeEntry,
  encodeFrame,
  encodeFrames,
  encodeLogRecord,
  encodeSignedCheckpoint,
  encodeStatement,
  FRAME_FORMAT,
  type Frame,
  fromHex,
  type KeyType,
  keyId,
  leafHash,
  MerkleTree,
  normaliseSignature,
  type PublicKey,
  realmOf,
  type Statement,
  sha256,
  statementHash,
  TIME_BASES,
  toHex,
  treeRoot,
} from '@waystone/proto';
import {
  addCheckpoint,
  type DatasetIdentity,
  type DatasetRow,
  type WrittenDataset,
  writeDatasetFolder,
} from './folder-writer.js';

/** Makes real datasets for tests: keys, signed entries, a folder, a log and its signed checkpoint. */

export interface TestKey {
  readonly publicKey: PublicKey;
  /** Key id, 32 bytes. */
  readonly id: Uint8Array;
  readonly did: string;
  /** 64 bytes over `message`, low S. */
  sign(message: Uint8Array): Uint8Array;
}

/** A new key pair of the type. */
export function makeKey(type: KeyType): TestKey {
  const pair =
    type === 'Ed25519'
      ? generateKeyPairSync('ed25519')
      : generateKeyPairSync('ec', { namedCurve: type === 'P-256' ? 'prime256v1' : 'secp256k1' });
  return keyFromPrivate(type, pair.privateKey);
}

/** The key of a PKCS #8 PEM. */
export function keyFromPem(type: KeyType, pem: string): TestKey {
  return keyFromPrivate(type, createPrivateKey(pem));
}

function keyFromPrivate(type: KeyType, privateKey: KeyObject): TestKey {
  const jwk = createPublicKey(privateKey).export({ format: 'jwk' });
  const x = Buffer.from(jwk.x as string, 'base64url');
  const isOdd = jwk.y !== undefined && (Buffer.from(jwk.y, 'base64url').at(-1) as number) % 2 === 1;
  const bytes = type === 'Ed25519' ? x : Buffer.concat([Uint8Array.of(isOdd ? 3 : 2), x]);
  const publicKey: PublicKey = { type, bytes: new Uint8Array(bytes) };
  return {
    publicKey,
    id: keyId(publicKey),
    did: didFromKey(publicKey),
    sign(message) {
      if (type === 'Ed25519') return sign(null, message, privateKey);
      const raw = sign('sha256', message, { key: privateKey, dsaEncoding: 'ieee-p1363' });
      return normaliseSignature(type, raw);
    },
  };
}

export const TEST_CHAIN_ID = 31337;
export const TEST_IDAO = `0x${'1d'.repeat(20)}`;
export const TEST_STREAM = 7;
/** 2024-01-01, µs UTC. */
export const TEST_TIME_US = 1_704_067_200_000_000;

/** A frame with position, inertial sample and wheel speeds, the same for the same number. */
export function makeFrame(number: number, timeUs = TEST_TIME_US + number * 100_000): Frame {
  return {
    salt: sha256(Buffer.from(`salt ${number}`)).subarray(0, 16),
    timeUs,
    position: {
      latitudeE9: 52_000_000_000 + number * 1000,
      longitudeE9: 13_000_000_000 - number * 1000,
      fix: number % 3 === 0 ? 6 : 3,
    },
    imu: [{}],
    ...(number % 2 === 0 ? { wheelSpeeds: [{}] } : {}),
    ...(number % 5 === 4 ? { discarded: { stream: TEST_STREAM, first: 1, last: 2 } } : {}),
  };
}

export interface TestRow extends DatasetRow {
  readonly statementBytes: Uint8Array;
}

/** An entry and its frames, signed. `change` alters the statement before, `resign` the entry after signing. */
export function makeRow(
  key: TestKey,
  options: {
    frames: readonly Frame[];
    session?: Uint8Array;
    firstSequence?: number;
    receivedAtUs?: number;
    previous?: Uint8Array;
    change?: (statement: Statement) => Statement;
  },
): TestRow {
  const frames = options.frames.map(encodeFrame);
  const times = options.frames.map((frame) => Number(frame.timeUs ?? 0));
  const honest: Statement = {
    realm: realmOf(TEST_CHAIN_ID, TEST_IDAO),
    device: key.id,
    session: options.session ?? sha256(key.id).subarray(0, 16),
    stream: TEST_STREAM,
    format: FRAME_FORMAT,
    timeBase: TIME_BASES.utc,
    flags: 0,
    firstSequence: options.firstSequence ?? 0,
    count: frames.length,
    minTimeUs: Math.min(...times),
    maxTimeUs: Math.max(...times),
    framesRoot: treeRoot(frames.map(leafHash)),
    previous: options.previous ?? new Uint8Array(32),
  };
  const statementBytes = encodeStatement(options.change?.(honest) ?? honest);
  const entry = encodeEntry({
    statement: statementBytes,
    signature: key.sign(statementBytes),
    receivedAtUs: options.receivedAtUs ?? Math.max(...times) + 1_000_000,
    flags: 0,
  });
  return { entry, frames: encodeFrames(frames), statementBytes };
}

/** `envelopes` rows of `framesEach` frames, the keys taking turns, each key's statements linked. */
export function makeRows(
  keys: readonly TestKey[],
  envelopes: number,
  framesEach: number,
): TestRow[] {
  const previous = new Map<TestKey, Uint8Array>();
  return Array.from({ length: envelopes }, (_, at) => {
    const key = keys[at % keys.length] as TestKey;
    const before = previous.get(key);
    const row = makeRow(key, {
      frames: Array.from({ length: framesEach }, (_, k) => makeFrame(at * framesEach + k)),
      firstSequence: Math.floor(at / keys.length) * framesEach,
      ...(before === undefined ? {} : { previous: before }),
    });
    previous.set(key, statementHash(row.statementBytes));
    return row;
  });
}

export interface TestDataset extends WrittenDataset {
  readonly gateway: TestKey;
}

/** Identity fields of a dataset that `gateway` seals. */
export function makeIdentity(gateway: TestKey, logIndex = 0): DatasetIdentity {
  return {
    stream: TEST_STREAM,
    streamName: 'drive',
    realm: toHex(realmOf(TEST_CHAIN_ID, TEST_IDAO)),
    chainId: TEST_CHAIN_ID,
    idao: TEST_IDAO,
    gateway: gateway.did,
    logId: '10'.repeat(16),
    logIndex,
    sealedAtUs: TEST_TIME_US + 3_600_000_000,
  };
}

/** The did:key of a key id among `keys`. */
export function didOfKeys(keys: readonly TestKey[]): (keyId: string) => string {
  const dids = new Map(keys.map((key) => [toHex(key.id), key.did]));
  return (id) => {
    const did = dids.get(id);
    if (did === undefined) throw new RangeError(`no device has key id ${id}`);
    return did;
  };
}

/**
 * Writes a whole dataset: folder and checkpoint, as the record `logIndex` of a log of `logSize` records.
 */
export async function makeDataset(options: {
  parent: string;
  gateway: TestKey;
  keys: readonly TestKey[];
  rows: readonly DatasetRow[];
  logIndex?: number;
  logSize?: number;
  identity?: Partial<DatasetIdentity>;
}): Promise<TestDataset> {
  const { parent, gateway, keys, rows, logIndex = 2, logSize = 5 } = options;
  const identity = { ...makeIdentity(gateway, logIndex), ...options.identity };
  const written = await writeDatasetFolder({ identity, parent, didOf: didOfKeys(keys) }, rows);
  await addCheckpoint(written.directory, makeCheckpoint(gateway, written, logSize));
  return { ...written, gateway };
}

/** The signed checkpoint of a log in which the dataset has its place among records of others. */
export function makeCheckpoint(
  gateway: TestKey,
  dataset: Pick<WrittenDataset, 'root' | 'manifest' | 'manifestHash'>,
  logSize: number,
): Uint8Array {
  const { manifest, root, manifestHash } = dataset;
  const logId = fromHex(manifest.logId);
  const leaves = Array.from({ length: logSize }, (_, index) => {
    const own = index === manifest.logIndex;
    const other = sha256(Buffer.from(`record ${index}`));
    return leafHash(
      encodeLogRecord({
        logId,
        index,
        root: own ? root : other,
        count: own ? manifest.entries : 1,
        manifestHash: own ? manifestHash : other,
      }),
    );
  });
  const log = new MerkleTree(leaves);
  const checkpoint = encodeCheckpoint({
    gateway: gateway.id,
    logId,
    size: logSize,
    root: log.root,
    timeUs: manifest.sealedAtUs,
  });
  const path = log.inclusionProof(manifest.logIndex);
  return encodeSignedCheckpoint(checkpoint, gateway.sign(checkpoint), gateway.publicKey, path);
}
