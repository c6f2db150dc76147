/**
 * Makes vectors/v1.json, the published test vectors. Everything in it follows from the constants below,
 * signatures included, so it can be made again byte for byte:
 *
 *   npx tsc -b proto && node proto/dist/make-vectors.js [--check]
 *
 * The file is frozen with the formats it shows: a change to it means that a format changed.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { concatBytes, toHex } from './bytes.js';
import {
  encodeCheckpoint,
  encodeLogRecord,
  encodeSignedCheckpoint,
  type LogRecord,
} from './checkpoint.js';
import { CODES } from './codes.js';
import { DatasetSummary } from './dataset-summary.js';
import { enrolmentMessage, rotationMessage } from './enrolment.js';
import { decodeEntry, encodeEntry } from './entry.js';
import { encodeEnvelope, encodeFrames } from './envelope.js';
import { encodeFrame, type Frame, wire } from './frame.js';
import { encodeFramesHeader } from './frames-file.js';
import { sha256 } from './hash.js';
import { encodeLoginToken, loginTokenInput } from './jwt.js';
import { didFromKey, KEY_TYPES, keyId, multicodecKey } from './keys.js';
import { encodeManifest, type Manifest } from './manifest.js';
import { realmOf } from './realm.js';
import {
  encodeReceipt,
  encodeReceiptBody,
  encodeReceiptHead,
  type Outcome,
  type ReceiptBody,
} from './receipt.js';
import {
  encodeSignedMessage,
  type SignedMessageKind,
  signedMessageInput,
} from './signed-message.js';
import {
  encodeStatement,
  FRAME_FORMAT,
  readStatement,
  type Statement,
  statementHash,
} from './statement.js';
import { TAGS } from './tags.js';
import { ecdsaCoordinates, flipS, type TestKey, testKeyNamed } from './test-data/test-signer.js';
import { consistencyProof, leafHash, MerkleTree, treeRoot } from './tree.js';

/** Byte strings stand in the file as lower-case hex with `0x`, as Foundry and ethers read them. */
const hex = (bytes: Uint8Array): string => `0x${toHex(bytes)}`;
const hexes = (list: readonly Uint8Array[]): string[] => list.map(hex);
const ascii = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'ascii'));
/** Bytes that look random and need no table: the front of SHA-256 of a label. */
const filler = (label: string, size: number): Uint8Array => sha256(ascii(label)).slice(0, size);

const KEYS = {
  secp256k1: testKeyNamed('secp256k1', 'device secp256k1'),
  secp256k1b: testKeyNamed('secp256k1', 'device secp256k1 b'),
  p256: testKeyNamed('P-256', 'device P-256'),
  ed25519: testKeyNamed('Ed25519', 'device Ed25519'),
  gateway: testKeyNamed('secp256k1', 'gateway'),
  gatewayNext: testKeyNamed('secp256k1', 'gateway next'),
} as const;
type KeyName = keyof typeof KEYS;

const CHAIN_ID = 31337;
const IDAO = '0x5fbdb2315678afecb367f032d93f642f64180aa3';
const STREAM = 7;
const LOG_ID = filler('log id', 16);

/** A registry, and when proofs for it end. */
const ENROLMENT = { chainId: CHAIN_ID, registry: `0x${'7e'.repeat(20)}`, idao: IDAO };
const EXPIRY = 1_900_000_000;

function makeRotation() {
  const [from, to] = [KEYS.secp256k1, KEYS.p256];
  const [oldKeyId, newKeyId] = [keyId(from.publicKey), keyId(to.publicKey)];
  const times = { drainUntil: EXPIRY - 86_400, expiry: EXPIRY };
  const bytes = rotationMessage(ENROLMENT, { oldKeyId, newKeyId, ...times });
  return {
    ...{ oldKey: 'secp256k1', newKey: 'p256', ...ENROLMENT, ...times, bytes: hex(bytes) },
    ...{ oldSignature: hex(from.sign(bytes)), newSignature: hex(to.sign(bytes)) },
  };
}
/** 2018-07-27T06:40:00Z, the year of the drive that the demo replays. */
const TIME_US = 1_532_673_600_000_000;

/** Every field of a frame, with negative coordinates and values at the ends of their ranges. */
function fullFrame(): Frame {
  return {
    salt: filler('salt full', 16),
    timeUs: TIME_US,
    clock: { source: wire.TimeSource.TIME_SOURCE_GNSS, leapSeconds: 18, accuracyNs: 25 },
    position: {
      latitudeE9: -33_856_784_123,
      longitudeE9: -151_215_297_456,
      heightEllipsoidMm: -12_345,
      heightMslMm: 10_155,
      geoidSeparationMm: -22_500,
      fix: wire.FixType.FIX_TYPE_RTK_FIXED,
      positionCovarianceMm2: [196, 0.5, -0.25, 0.5, 225, 1.5, -0.25, 1.5, 784],
      covarianceType: wire.CovarianceType.COVARIANCE_TYPE_KNOWN,
      hdopE2: 71,
      satellitesUsed: 23,
      correctionAgeMs: 1_200,
      crs: 'EPSG:7843',
      epochMilliyear: 2_018_583,
      sensorFrame: 'gnss_antenna',
    },
    motion: {
      groundSpeedMmS: 27_777,
      courseE5: 35_999_999,
      velocityEastMmS: -1,
      velocityNorthMmS: 27_776,
      velocityUpMmS: -130,
      rollE5: -125_000,
      pitchE5: 250_000,
      headingE5: 0,
    },
    imu: [
      {
        offsetUs: -9_600,
        accelerationMS2: [0.125, -9.8125, 0.5],
        angularRateRadS: [0.015625, -0.25, 0],
        magneticFieldUt: [22.5, -5.25, 42],
        sensorFrame: 'imu_forward_right_down',
      },
      { offsetUs: 0, accelerationMS2: [0, -9.75, 0.25] },
    ],
    wheelSpeeds: [
      {
        offsetUs: -5_000,
        frontLeftMmS: 27_700,
        frontRightMmS: 27_710,
        rearLeftMmS: 27_690,
        rearRightMmS: -1,
      },
    ],
    can: [{ offsetUs: -4_000, id: 0x1fffffff, extended: true, data: filler('can', 8), bus: 1 }],
    blobs: [
      {
        sha256: sha256(ascii('a picture')),
        sizeBytes: 1_048_577,
        mediaType: 'image/jpeg',
        sensorFrame: 'camera_front',
        offsetUs: -33_000,
      },
    ],
    integrity: {
      jammingIndicator: 12,
      spoofing: wire.Integrity.SpoofingState.SPOOFING_STATE_NONE,
    },
    rawGnss: ascii('$GNGGA,064000.00*00\r\n'),
  };
}

/** A small frame, as most are. */
function plainFrame(label: string, timeUs: number, latitudeE9: number, longitudeE9: number): Frame {
  return {
    salt: filler(`salt ${label}`, 16),
    timeUs,
    position: { latitudeE9, longitudeE9, fix: wire.FixType.FIX_TYPE_3D },
  };
}

const FRAMES: Record<string, Frame> = {
  full: fullFrame(),
  southPole: plainFrame('south pole', 0, -90_000_000_000, -180_000_000_000),
  northPole: plainFrame('north pole', Number.MAX_SAFE_INTEGER, 90_000_000_000, 180_000_000_000),
  saltOnly: { salt: filler('salt only', 16) },
  discarded: {
    salt: filler('salt discarded', 16),
    timeUs: TIME_US + 9,
    discarded: {
      stream: STREAM,
      first: 4_294_967_296,
      last: Number.MAX_SAFE_INTEGER,
      reason: wire.Discarded.Reason.REASON_STORAGE_FULL,
    },
  },
};

/** JSON form of a message's fields: bytes as hex, the rest as it is. */
export function fieldsOf(value: unknown): unknown {
  if (value instanceof Uint8Array) return hex(value);
  if (Array.isArray(value)) return value.map(fieldsOf);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, fieldsOf(item)]));
}

interface RunInput {
  key: KeyName;
  session: string;
  firstSequence: number;
  frames: Frame[];
  previous: Uint8Array;
  receivedAtUs: number;
  flags: number;
}

const REALM = realmOf(CHAIN_ID, IDAO);

/** One run of frames on its way from statement to entry. */
function makeRun(input: RunInput) {
  const key: TestKey = KEYS[input.key];
  const frames = input.frames.map(encodeFrame);
  const leaves = frames.map(leafHash);
  const times = input.frames.map((frame) => Number(frame.timeUs));
  const statement: Statement = {
    realm: REALM,
    device: keyId(key.publicKey),
    session: filler(`session ${input.session}`, 16),
    stream: STREAM,
    format: FRAME_FORMAT,
    timeBase: 1,
    flags: 0,
    firstSequence: input.firstSequence,
    count: frames.length,
    minTimeUs: Math.min(...times),
    maxTimeUs: Math.max(...times),
    framesRoot: treeRoot(leaves),
    previous: input.previous,
  };
  const statementBytes = encodeStatement(statement);
  const signature = key.sign(statementBytes);
  const entry = encodeEntry({
    statement: statementBytes,
    signature,
    receivedAtUs: input.receivedAtUs,
    flags: input.flags,
  });
  return {
    raw: { statementBytes, entry, frames },
    json: {
      key: input.key,
      publicKey: hex(key.publicKey.bytes),
      frames: hexes(frames),
      frameLeaves: hexes(leaves),
      statement: fieldsOf(statement),
      statementBytes: hex(statementBytes),
      statementHash: hex(statementHash(statementBytes)),
      signature: hex(signature),
      ...(key.publicKey.type === 'Ed25519'
        ? {}
        : { highSignature: hex(flipS(key.publicKey.type, signature)) }),
      envelope: hex(encodeEnvelope(statementBytes, signature, frames)),
      receivedAtUs: input.receivedAtUs,
      flags: input.flags,
      bytes: hex(entry),
      leaf: hex(leafHash(entry)),
    },
  };
}

const NO_PREVIOUS = new Uint8Array(32);

function makeDataset() {
  const frame = (label: string, step: number): Frame =>
    plainFrame(label, TIME_US + step * 100_000, 37_770_000_000 + step * 9_000, -122_420_000_000);
  const a0 = makeRun({
    key: 'secp256k1',
    session: 'a',
    firstSequence: 0,
    frames: [fullFrame(), frame('a1', 1), frame('a2', 2)],
    previous: NO_PREVIOUS,
    receivedAtUs: TIME_US + 1_000_000,
    flags: 0,
  });
  const b0 = makeRun({
    key: 'p256',
    session: 'b',
    firstSequence: 10,
    frames: [frame('b10', 3), frame('b11', 4)],
    previous: NO_PREVIOUS,
    receivedAtUs: TIME_US + 1_000_001,
    flags: 0,
  });
  const a1 = makeRun({
    key: 'secp256k1',
    session: 'a',
    firstSequence: 3,
    frames: [frame('a3', 5)],
    previous: statementHash(a0.raw.statementBytes),
    receivedAtUs: TIME_US + 2_000_000,
    flags: 0,
  });
  const b1 = makeRun({
    key: 'p256',
    session: 'b',
    firstSequence: 13,
    frames: [frame('b13', 7), frame('b14', 6)],
    previous: statementHash(b0.raw.statementBytes),
    receivedAtUs: TIME_US + 2_000_000,
    flags: 1,
  });
  const c0 = makeRun({
    key: 'secp256k1b',
    session: 'c',
    firstSequence: Number.MAX_SAFE_INTEGER - 1,
    frames: [FRAMES.discarded as Frame],
    previous: NO_PREVIOUS,
    receivedAtUs: TIME_US + 3_000_000,
    flags: 0,
  });
  const runs = [a0, b0, a1, b1, c0];
  const tree = new MerkleTree(runs.map((run) => leafHash(run.raw.entry)));
  const entriesFile = concatBytes(...runs.map((run) => run.raw.entry));
  const bodies = runs.map((run) => encodeFrames(run.raw.frames));
  const framesFile = concatBytes(encodeFramesHeader(bodies.map((body) => body.length)), ...bodies);
  const summary = new DatasetSummary();
  const dids = new Map(
    Object.values(KEYS).map((key) => [toHex(keyId(key.publicKey)), didFromKey(key.publicKey)]),
  );
  for (const run of runs) {
    const entry = decodeEntry(run.raw.entry);
    const { statement } = readStatement(entry.statement);
    if (statement === undefined) throw new Error('a run has no readable statement');
    summary.add(entry, statement, run.raw.frames, dids.get(toHex(statement.device)) as string);
  }
  const file = (name: string, bytes: Uint8Array) => ({
    name,
    bytes: bytes.length,
    sha256: toHex(sha256(bytes)),
  });
  const manifest: Manifest = {
    type: 'waystone-dataset',
    version: 1,
    root: toHex(tree.root),
    entryVersion: 1,
    frameFormat: 1,
    stream: STREAM,
    streamName: 'gnss',
    realm: toHex(REALM),
    chainId: CHAIN_ID,
    idao: IDAO,
    gateway: didFromKey(KEYS.gateway.publicKey),
    logId: toHex(LOG_ID),
    logIndex: 2,
    sealedAtUs: TIME_US + 4_000_000,
    signatures: 'challengeable on chain',
    ...summary.facts(),
    files: [file('entries', entriesFile), file('frames', framesFile)],
  };
  return { runs, tree, framesFile, manifest, manifestBytes: encodeManifest(manifest) };
}

/** The file's content; plain JSON values only. */
export function makeVectors() {
  const gateway = KEYS.gateway;
  const gatewayId = keyId(gateway.publicKey);
  const dataset = makeDataset();
  const manifestHash = sha256(dataset.manifestBytes);
  const size = dataset.runs.length;

  const records: LogRecord[] = [0, 1, 2, 3, 4].map((index) =>
    index === dataset.manifest.logIndex
      ? { logId: LOG_ID, index, root: dataset.tree.root, count: size, manifestHash }
      : {
          logId: LOG_ID,
          index,
          root: filler(`dataset root ${index}`, 32),
          count: 4_096 + index,
          manifestHash: filler(`manifest ${index}`, 32),
        },
  );
  const recordLeaves = records.map((record) => leafHash(encodeLogRecord(record)));
  const log = new MerkleTree(recordLeaves);
  const sizes = recordLeaves.map((_, k) => k + 1);
  const checkpoint = {
    gateway: gatewayId,
    logId: LOG_ID,
    size: log.size,
    root: log.root,
    timeUs: TIME_US + 5_000_000,
  };
  const checkpointBytes = encodeCheckpoint(checkpoint);
  const checkpointSignature = gateway.sign(checkpointBytes);
  const recordPath = log.inclusionProof(dataset.manifest.logIndex);

  return {
    about:
      'Waystone test vectors, version 1. Byte strings are hex with 0x. Every private key here is public: use none.',
    version: 1,
    tags: Object.fromEntries(Object.entries(TAGS).map(([name, tag]) => [name, hex(tag)])),
    codes: CODES,
    keys: Object.fromEntries(
      Object.entries(KEYS).map(([name, key]) => [
        name,
        {
          type: key.publicKey.type,
          typeNumber: KEY_TYPES[key.publicKey.type],
          testOnlyPrivateKey: hex(key.privateKey),
          publicKey: hex(key.publicKey.bytes),
          ...(key.publicKey.type === 'Ed25519' ? {} : coordinates(key)),
          multicodec: hex(multicodecKey(key.publicKey)),
          did: didFromKey(key.publicKey),
          keyId: hex(keyId(key.publicKey)),
        },
      ]),
    ),
    realms: (
      [
        [CHAIN_ID, IDAO],
        [1, '0x0000000000000000000000000000000000000001'],
        [133_718, '0xffffffffffffffffffffffffffffffffffffffff'],
        [Number.MAX_SAFE_INTEGER, IDAO],
      ] as const
    ).map(([chainId, idao]) => ({ chainId, idao, realm: hex(realmOf(chainId, idao)) })),
    enrolments: (['secp256k1', 'p256', 'gateway'] as const).map((name) => {
      const key: TestKey = KEYS[name];
      const kind = name === 'gateway' ? 'gateway' : 'device';
      const bytes = enrolmentMessage(ENROLMENT, keyId(key.publicKey), kind, EXPIRY);
      return {
        key: name,
        ...ENROLMENT,
        ...{ kind, expiry: EXPIRY, bytes: hex(bytes), signature: hex(key.sign(bytes)) },
      };
    }),
    rotation: makeRotation(),
    frames: Object.entries(FRAMES).map(([name, frame]) => {
      const bytes = encodeFrame(frame);
      return { name, fields: fieldsOf(frame), bytes: hex(bytes), leaf: hex(leafHash(bytes)) };
    }),
    trees: makeTrees(),
    runs: (['secp256k1', 'p256', 'ed25519'] as const).map(
      (key) =>
        makeRun({
          key,
          session: `alone ${key}`,
          firstSequence: 41,
          frames: [fullFrame(), FRAMES.southPole as Frame],
          previous: filler(`previous ${key}`, 32),
          receivedAtUs: TIME_US + 123_456,
          flags: 0,
        }).json,
    ),
    dataset: {
      size,
      root: hex(dataset.tree.root),
      entries: dataset.runs.map((run) => run.json),
      leaves: hexes(dataset.runs.map((run) => leafHash(run.raw.entry))),
      proofs: dataset.runs.map((_, index) => ({
        index,
        path: hexes(dataset.tree.inclusionProof(index)),
      })),
      framesFile: hex(dataset.framesFile),
      manifest: dataset.manifest,
      manifestBytes: hex(dataset.manifestBytes),
      manifestHash: hex(manifestHash),
    },
    log: {
      records: records.map((record) => ({
        fields: fieldsOf(record),
        bytes: hex(encodeLogRecord(record)),
        leaf: hex(leafHash(encodeLogRecord(record))),
      })),
      roots: sizes.map((count) => hex(treeRoot(recordLeaves.slice(0, count)))),
      proofs: sizes.map((_, index) => ({ index, path: hexes(log.inclusionProof(index)) })),
      consistency: sizes.flatMap((newSize) =>
        sizes.slice(0, newSize).map((oldSize) => ({
          oldSize,
          newSize,
          path: hexes(consistencyProof(recordLeaves.slice(0, newSize), oldSize)),
        })),
      ),
    },
    checkpoint: {
      fields: fieldsOf(checkpoint),
      bytes: hex(checkpointBytes),
      key: 'gateway',
      signature: hex(checkpointSignature),
      record: dataset.manifest.logIndex,
      path: hexes(recordPath),
      signedBytes: hex(
        encodeSignedCheckpoint(checkpointBytes, checkpointSignature, gateway.publicKey, recordPath),
      ),
    },
    receipts: makeReceipts(dataset),
    hello: makeMessage('hello', 'secp256k1', 'gateway', {
      state: wire.Hello.State.STATE_ONLINE,
      session: filler('session a', 16),
      counter: 4_294_967_297,
      queuedSessions: [filler('session y', 16), filler('session z', 16)],
      wantedReceipts: [
        { session: filler('session a', 16), stream: STREAM, firstSequence: 0 },
        { session: filler('session z', 16), stream: STREAM, firstSequence: 8_589_934_592 },
      ],
      software: 'vector-fw 1.0.0',
    }),
    config: makeMessage('config', 'gateway', 'secp256k1', {
      realm: REALM,
      streams: [
        { id: STREAM, name: 'gnss' },
        { id: 0xffffffff, name: 'imu' },
      ],
      envelopeBytesMax: 262_144,
      gateway: didFromKey(gateway.publicKey),
      nextKeyHash: sha256(multicodecKey(KEYS.gatewayNext.publicKey)),
    }),
    logins: (['secp256k1', 'p256', 'ed25519'] as const).map((key, at) => {
      const token = {
        device: didFromKey(KEYS[key].publicKey),
        gateway: didFromKey(gateway.publicKey),
        session: filler(`session alone ${key}`, 16),
        counter: [1, 42, Number.MAX_SAFE_INTEGER][at] as number,
      };
      const input = loginTokenInput(KEYS[key].publicKey.type, token);
      return {
        key,
        fields: fieldsOf(token),
        input: Buffer.from(input).toString('ascii'),
        jwt: encodeLoginToken(input, KEYS[key].sign(input)),
      };
    }),
  };
}

function coordinates(key: TestKey): { x: string; y: string } {
  const { x, y } = ecdsaCoordinates(key.publicKey);
  return { x: hex(x), y: hex(y) };
}

/** Trees over the eight leaves that Certificate Transparency's own tests use. */
function makeTrees() {
  const data = [
    '',
    '00',
    '10',
    '2021',
    '3031',
    '40414243',
    '5051525354555657',
    '606162636465666768696a6b6c6d6e6f',
  ].map((text) => new Uint8Array(Buffer.from(text, 'hex')));
  const leaves = data.map(leafHash);
  return {
    leafData: hexes(data),
    leaves: hexes(leaves),
    roots: leaves.map((_, k) => hex(treeRoot(leaves.slice(0, k + 1)))),
  };
}

/** All five kinds, as the leaves of one receipt tree. */
function makeReceipts(dataset: ReturnType<typeof makeDataset>) {
  const gateway = KEYS.gateway;
  const root = dataset.tree.root;
  const leafOf = (at: number) => leafHash((dataset.runs[at] as (typeof dataset.runs)[0]).raw.entry);
  const outcomes: Outcome[] = [
    { kind: 'stored', entryLeaf: leafOf(0) },
    { kind: 'refused', code: 'RANGE_CONFLICT' },
    { kind: 'retry', code: 'OVERLOADED', afterSeconds: 30 },
    { kind: 'included', entryLeaf: leafOf(3), root, index: 3, count: dataset.runs.length },
    { kind: 'final', root, tokenId: 2n ** 255n + 12_345n, chainId: CHAIN_ID },
  ];
  const bodies = outcomes.map((outcome, at): ReceiptBody => {
    const run = dataset.runs[at] as (typeof dataset.runs)[0];
    return {
      device: keyId(KEYS[run.json.key].publicKey),
      statement: statementHash(run.raw.statementBytes),
      outcome,
    };
  });
  const bytes = bodies.map(encodeReceiptBody);
  const tree = new MerkleTree(bytes.map(leafHash));
  const head = {
    gateway: keyId(gateway.publicKey),
    logId: LOG_ID,
    size: tree.size,
    root: tree.root,
  };
  const headBytes = encodeReceiptHead(head);
  const signature = gateway.sign(headBytes);
  return {
    key: 'gateway',
    head: fieldsOf(head),
    headBytes: hex(headBytes),
    signature: hex(signature),
    list: bodies.map((body, index) => {
      const entryPath = body.outcome.kind === 'included' ? dataset.tree.inclusionProof(3) : [];
      const path = tree.inclusionProof(index);
      const bodyBytes = bytes[index] as Uint8Array;
      const { outcome } = body;
      return {
        // A u256 does not fit a JSON number, so the token id is a decimal string.
        body: fieldsOf({
          ...body,
          outcome:
            outcome.kind === 'final' ? { ...outcome, tokenId: `${outcome.tokenId}` } : outcome,
        }),
        bodyBytes: hex(bodyBytes),
        leaf: hex(leafHash(bodyBytes)),
        index,
        path: hexes(path),
        entryPath: hexes(entryPath),
        bytes: hex(encodeReceipt({ headBytes, signature, bodyBytes, index, path, entryPath })),
      };
    }),
  };
}

function makeMessage(kind: SignedMessageKind, from: KeyName, to: KeyName, fields: object) {
  const body = (kind === 'hello' ? wire.Hello.encode(fields) : wire.Config.encode(fields)).finish();
  const sender = KEYS[from];
  const input = signedMessageInput(kind, keyId(sender.publicKey), keyId(KEYS[to].publicKey), body);
  const signature = sender.sign(input);
  return {
    sender: from,
    receiver: to,
    fields: fieldsOf(fields),
    body: hex(body),
    signed: hex(input),
    signature: hex(signature),
    bytes: hex(encodeSignedMessage(kind, body, signature)),
  };
}

/** The file's exact text. */
export function vectorsText(): string {
  return `${JSON.stringify(makeVectors(), null, 2)}\n`;
}

const self = fileURLToPath(import.meta.url);
if (process.argv[1] === self) {
  const folder = dirname(self);
  const workspace = basename(folder) === 'dist' ? dirname(folder) : folder;
  const target = join(workspace, 'vectors/v1.json');
  const text = vectorsText();
  if (!process.argv.includes('--check')) {
    writeFileSync(target, text);
  } else if (readFileSync(target, 'utf8') !== text) {
    console.error(
      'proto/vectors/v1.json differs from what make-vectors makes; did a format change?',
    );
    process.exitCode = 1;
  }
}
