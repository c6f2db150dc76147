import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  CODES,
  type Code,
  checkpointFault,
  decodeCheckpoint,
  decodeConfig,
  decodeEntry,
  decodeFrame,
  decodeFramesHeader,
  decodeHello,
  decodeLogRecord,
  decodeManifest,
  decodeReceipt,
  decodeSignedCheckpoint,
  didFromKey,
  framesHeaderBytes,
  keyFromDid,
  leafHash,
  openSignedMessage,
  type PublicKey,
  readEnvelope,
  readLoginToken,
  readStatement,
  receiptFault,
  sha256,
  splitFrames,
  statementHash,
  toHex,
  treeRoot,
  verifySignature,
} from '@waystone/proto';
import { describe, expect, it } from 'vitest';

/**
 * What each release wrote must load for ever. A release's folder holds one file per frozen wire format and an
 * `expected.json`: the keys that signed, and what each fixture says. Fixtures are never changed and never
 * made again; a new format gets a loader here and a fixture in the folder of the release that brings it.
 */
interface Expected {
  device: string;
  gateway: string;
  fixtures: Record<string, unknown>;
}

interface Signers {
  device: PublicKey;
  gateway: PublicKey;
}

/** Reads a fixture and gives the facts that `expected.json` states about it. */
type Loader = (path: string, signers: Signers) => unknown;

const LOADERS: Record<string, Loader> = {
  statement: (path) => {
    const bytes = readFileSync(path);
    return { fields: readStatement(bytes).statement, hash: statementHash(bytes) };
  },
  entry: (path, { device }) => {
    const bytes = readFileSync(path);
    const { receivedAtUs, flags, statement, signature } = decodeEntry(bytes);
    return {
      statement: statementHash(statement),
      receivedAtUs,
      flags,
      signed: verifySignature(device, statement, signature),
      leaf: leafHash(bytes),
    };
  },
  envelope: (path, { device }) => {
    const { envelope, fault } = readEnvelope(readFileSync(path));
    if (envelope === undefined) throw new Error(`envelope is refused: ${fault.code}`);
    const { statementBytes, signature, frames } = envelope;
    return {
      statement: statementHash(statementBytes),
      signed: verifySignature(device, statementBytes, signature),
      framesRoot: treeRoot(frames.map(leafHash)),
      times: frames.map((frame) => decodeFrame(frame).timeUs),
      latitudes: frames.map((frame) => decodeFrame(frame).position?.latitudeE9),
    };
  },
  hello: (path, { device, gateway }) => {
    const hello = decodeHello(openSignedMessage('hello', readFileSync(path), device, gateway));
    return {
      state: hello.state,
      session: hello.session,
      counter: hello.counter,
      queuedSessions: hello.queuedSessions,
      wantedReceipts: hello.wantedReceipts.map(({ session, stream, firstSequence }) => ({
        session,
        stream,
        firstSequence: firstSequence ?? 0,
      })),
      software: hello.software,
    };
  },
  config: (path, { device, gateway }) => {
    const config = decodeConfig(openSignedMessage('config', readFileSync(path), gateway, device));
    return {
      realm: config.realm,
      streams: config.streams.map(({ id, name }) => ({ id, name })),
      envelopeBytesMax: config.envelopeBytesMax,
      gateway: config.gateway,
      nextKeyHash: config.nextKeyHash,
    };
  },
  'receipt-stored': loadReceipt,
  'receipt-refused': loadReceipt,
  'receipt-retry': loadReceipt,
  'receipt-included': loadReceipt,
  'receipt-final': loadReceipt,
  checkpoint: (path) => decodeCheckpoint(readFileSync(path)),
  'signed-checkpoint': (path) => {
    const signed = decodeSignedCheckpoint(readFileSync(path));
    return {
      fault: checkpointFault(signed),
      size: signed.checkpoint.size,
      root: signed.checkpoint.root,
      path: signed.path,
    };
  },
  'log-record': (path) => decodeLogRecord(readFileSync(path)),
  'manifest.json': (path) => {
    const bytes = readFileSync(path);
    const { root, entries, frames, time, coverage, devices, files } = decodeManifest(bytes);
    return { hash: sha256(bytes), root, entries, frames, time, coverage, devices, files };
  },
  frames: (path) => {
    const bytes = readFileSync(path);
    const entries = bytes.readUInt32BE(8);
    const offsets = decodeFramesHeader(
      bytes.subarray(0, framesHeaderBytes(entries)),
      entries,
      bytes.length,
    );
    const first = splitFrames(bytes.subarray(offsets[0], offsets[1]), 3);
    return { offsets, firstRoot: first === null ? null : treeRoot(first.map(leafHash)) };
  },
  'login.jwt': (path, { device, gateway }) => {
    const text = readFileSync(path, 'utf8');
    return readLoginToken(text, device, didFromKey(gateway));
  },
  /** Old codes keep name and number; a later release may only add to them. */
  'codes.json': (path) => {
    const names = Object.keys(JSON.parse(readFileSync(path, 'utf8'))) as Code[];
    return Object.fromEntries(names.map((name) => [name, CODES[name]]));
  },
};

function loadReceipt(path: string, { gateway }: Signers): unknown {
  const receipt = decodeReceipt(readFileSync(path));
  const { head, body, index } = receipt;
  return { fault: receiptFault(receipt, gateway), size: head.size, logId: head.logId, index, body };
}

/** JSON form: bytes as hex, bigints as decimal strings. */
function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return toHex(value);
  if (typeof value === 'bigint') return value.toString();
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, plain(item)]));
}

const folder = fileURLToPath(new URL('.', import.meta.url));
const releases = readdirSync(folder, { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map((entry) => entry.name);

it('has the fixtures of every release so far', () => {
  expect(releases).toContain('v0.1');
});

describe.each(releases)('what %s wrote', (release) => {
  const expected = JSON.parse(
    readFileSync(join(folder, release, 'expected.json'), 'utf8'),
  ) as Expected;
  const signers = { device: keyFromDid(expected.device), gateway: keyFromDid(expected.gateway) };
  // Folders (datasets, ledgers, backups) are loaded by the tests of the stage that writes them.
  const fixtures = readdirSync(join(folder, release), { withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name !== 'expected.json')
    .map((entry) => entry.name);

  it('is all listed in its expected.json, and nothing is missing', () => {
    expect(fixtures.toSorted()).toEqual(Object.keys(expected.fixtures).toSorted());
  });

  it.each(fixtures)('loads: %s', (name) => {
    const load = LOADERS[name];
    if (load === undefined) throw new Error(`no loader for ${name}; add one to LOADERS`);
    expect(plain(load(join(folder, release, name), signers))).toEqual(expected.fixtures[name]);
  });
});
