import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { concatBytes, fromHex, toHex } from './bytes.js';
import {
  checkpointFault,
  decodeCheckpoint,
  decodeLogRecord,
  decodeSignedCheckpoint,
  encodeCheckpoint,
  encodeLogRecord,
  encodeSignedCheckpoint,
} from './checkpoint.js';
import { CODES, codeFromNumber } from './codes.js';
import { DatasetSummary } from './dataset-summary.js';
import { enrolmentMessage, rotationMessage } from './enrolment.js';
import { decodeEntry, encodeEntry } from './entry.js';
import { encodeEnvelope, readEnvelope, splitFrames } from './envelope.js';
import {
  decodeConfig,
  decodeFrame,
  decodeHello,
  encodeFrame,
  type Frame,
  frameFault,
  wire,
} from './frame.js';
import { decodeFramesHeader, framesHeaderBytes } from './frames-file.js';
import { sha256 } from './hash.js';
import { encodeLoginToken, loginTokenInput, readLoginToken } from './jwt.js';
import { didFromKey, KEY_TYPES, keyFromDid, keyId, multicodecKey, type PublicKey } from './keys.js';
import { fieldsOf, makeVectors, vectorsText } from './make-vectors.js';
import { decodeManifest, encodeManifest, type Manifest } from './manifest.js';
import { realmOf } from './realm.js';
import {
  decodeReceipt,
  decodeReceiptBody,
  encodeReceipt,
  encodeReceiptBody,
  encodeReceiptHead,
  type Outcome,
  receiptFault,
} from './receipt.js';
import { isLowS, normaliseSignature, verifySignature } from './signature.js';
import { encodeSignedMessage, openSignedMessage, signedMessageInput } from './signed-message.js';
import { encodeStatement, readStatement, type Statement, statementHash } from './statement.js';
import { TAG_BYTES, TAGS, type TagName } from './tags.js';
import { ecdsaCoordinates, testKey } from './test-data/test-signer.js';
import { leafHash, treeRoot, verifyConsistency, verifyInclusion } from './tree.js';

const text = readFileSync(new URL('./vectors/v1.json', import.meta.url), 'utf8');
const vectors = JSON.parse(text) as ReturnType<typeof makeVectors>;

const hex = (bytes: Uint8Array): string => `0x${toHex(bytes)}`;
const bytesOf = (value: string): Uint8Array => fromHex(value.slice(2));
const bytesOfAll = (values: readonly string[]): Uint8Array[] => values.map(bytesOf);

/** Fields as they stand in the file, with every hex string as bytes. */
function revive(value: unknown): unknown {
  if (typeof value === 'string') return value.startsWith('0x') ? bytesOf(value) : value;
  if (Array.isArray(value)) return value.map(revive);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, revive(item)]));
}

/** Checks each field that the file states. Zeros are not on the wire; a decoded message gives them by default. */
function expectFields(got: unknown, expected: unknown): void {
  if (typeof expected !== 'object' || expected === null) {
    expect(fieldsOf(got)).toBe(expected);
    return;
  }
  for (const [name, value] of Object.entries(expected)) {
    expectFields((got as Record<string, unknown>)[name], value);
  }
}

function keyNamed(name: string): PublicKey {
  const entry = vectors.keys[name];
  if (entry === undefined) throw new Error(`no key ${name} in the vectors`);
  return { type: entry.type, bytes: bytesOf(entry.publicKey) };
}

const gateway = keyNamed('gateway');
const gatewayDid = didFromKey(gateway);

describe('vectors/v1.json', () => {
  it('is what make-vectors makes, byte for byte', () => {
    expect(vectors).toEqual(JSON.parse(JSON.stringify(makeVectors())));
    expect(vectorsText() === text).toBe(true);
  });

  it('lists every tag and every code', () => {
    expect(Object.keys(vectors.tags)).toEqual(Object.keys(TAGS));
    for (const [name, tag] of Object.entries(vectors.tags)) {
      expect(bytesOf(tag)).toEqual(TAGS[name as TagName]);
      expect(bytesOf(tag)).toHaveLength(TAG_BYTES);
    }
    expect(vectors.codes).toEqual(CODES);
    for (const [name, number] of Object.entries(vectors.codes)) {
      expect(codeFromNumber(number)).toBe(name);
    }
  });

  it.each(Object.entries(vectors.keys))('has the forms of key %s', (name, entry) => {
    const key = keyNamed(name);
    const pair = testKey(entry.type, bytesOf(entry.testOnlyPrivateKey));
    expect(hex(pair.publicKey.bytes)).toBe(entry.publicKey);
    expect(entry.typeNumber).toBe(KEY_TYPES[entry.type]);
    expect(hex(multicodecKey(key))).toBe(entry.multicodec);
    expect(didFromKey(key)).toBe(entry.did);
    expect(keyFromDid(entry.did)).toEqual(key);
    expect(hex(sha256(bytesOf(entry.multicodec)))).toBe(entry.keyId);
    if (entry.type === 'Ed25519') return;
    const { x, y } = ecdsaCoordinates(key);
    expect(entry).toMatchObject({ x: hex(x), y: hex(y) });
  });

  it.each(vectors.realms)('has the realm of $chainId and $idao', ({ chainId, idao, realm }) => {
    expect(hex(realmOf(chainId, idao))).toBe(realm);
    expect(hex(realmOf(chainId, idao.toUpperCase().replace('0X', '0x')))).toBe(realm);
  });

  it.each(vectors.enrolments)('has the enrolment of $key', (vector) => {
    const { key, kind, expiry, bytes, signature } = vector;
    const publicKey = keyNamed(key);
    const message = enrolmentMessage(vector, keyId(publicKey), kind as 'device', expiry);
    expect(hex(message)).toBe(bytes);
    expect(message).toHaveLength(105);
    expect(verifySignature(publicKey, message, bytesOf(signature))).toBe(true);
  });

  it('has a rotation that both keys signed', () => {
    const { rotation } = vectors;
    const [from, to] = [keyNamed(rotation.oldKey), keyNamed(rotation.newKey)];
    const ids = { oldKeyId: keyId(from), newKeyId: keyId(to) };
    const message = rotationMessage(rotation, { ...rotation, ...ids });
    expect(hex(message)).toBe(rotation.bytes);
    expect(message).toHaveLength(144);
    expect(verifySignature(from, message, bytesOf(rotation.oldSignature))).toBe(true);
    expect(verifySignature(to, message, bytesOf(rotation.newSignature))).toBe(true);
  });

  it('refuses places that are no addresses', () => {
    const place = { chainId: 1, registry: '0x12', idao: `0x${'00'.repeat(20)}` };
    expect(() => enrolmentMessage(place, new Uint8Array(32), 'device', 1)).toThrow(TypeError);
  });

  it.each(vectors.frames)('has frame $name', ({ fields, bytes, leaf }) => {
    const frame = decodeFrame(bytesOf(bytes));
    expect(frameFault(frame)).toBeNull();
    expect(hex(encodeFrame(revive(fields) as Frame))).toBe(bytes);
    expect(hex(encodeFrame(frame))).toBe(bytes);
    expectFields(frame, fields);
    expect(hex(leafHash(bytesOf(bytes)))).toBe(leaf);
  });

  it('has the trees of Certificate Transparency', () => {
    const leaves = bytesOfAll(vectors.trees.leafData).map(leafHash);
    expect(leaves.map(hex)).toEqual(vectors.trees.leaves);
    for (const [k, root] of vectors.trees.roots.entries()) {
      expect(hex(treeRoot(leaves.slice(0, k + 1)))).toBe(root);
    }
    // The root of all eight as Certificate Transparency's reference implementation publishes it.
    expect(vectors.trees.roots[7]).toBe(
      '0x5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328',
    );
  });

  const runs = [...vectors.runs, ...vectors.dataset.entries];

  it('shows each key type in a run of its own', () => {
    expect(vectors.runs.map((run) => keyNamed(run.key).type)).toEqual(Object.keys(KEY_TYPES));
    expect(runs).toHaveLength(8);
  });

  it.each(runs)('has a run of $key from frames to entry: $statementHash', (run) => {
    const key = keyNamed(run.key);
    const frames = bytesOfAll(run.frames);
    const statement = revive(run.statement) as Statement;
    const statementBytes = encodeStatement(statement);
    expect(run.publicKey).toBe(hex(key.bytes));
    expect(hex(statementBytes)).toBe(run.statementBytes);
    expect(statementBytes).toHaveLength(200);
    expect(readStatement(bytesOf(run.statementBytes)).statement).toEqual(statement);
    expect(hex(statementHash(statementBytes))).toBe(run.statementHash);

    expect(frames.map((frame) => hex(leafHash(frame)))).toEqual(run.frameLeaves);
    expect(treeRoot(bytesOfAll(run.frameLeaves))).toEqual(statement.framesRoot);
    const times = frames.map((frame) => Number(decodeFrame(frame).timeUs));
    expect([Math.min(...times), Math.max(...times)]).toEqual([
      statement.minTimeUs,
      statement.maxTimeUs,
    ]);
    expect(statement.count).toBe(frames.length);
    expect(keyId(key)).toEqual(statement.device);

    const signature = bytesOf(run.signature);
    expect(verifySignature(key, statementBytes, signature)).toBe(true);
    expect(isLowS(key.type, signature)).toBe(true);
    const pair = testKey(key.type, bytesOf(vectors.keys[run.key]?.testOnlyPrivateKey as string));
    expect(hex(pair.sign(statementBytes))).toBe(run.signature);
    if (key.type === 'Ed25519') {
      expect('highSignature' in run).toBe(false);
    } else {
      const high = bytesOf((run as { highSignature: string }).highSignature);
      expect(verifySignature(key, statementBytes, high)).toBe(false);
      expect(hex(normaliseSignature(key.type, high))).toBe(run.signature);
    }

    expect(hex(encodeEnvelope(statementBytes, signature, frames))).toBe(run.envelope);
    expect(readEnvelope(bytesOf(run.envelope)).envelope).toEqual({
      statementBytes,
      statement,
      signature,
      frames,
    });

    const { receivedAtUs, flags } = run;
    const entry = { statement: statementBytes, signature, receivedAtUs, flags };
    expect(hex(encodeEntry(entry))).toBe(run.bytes);
    expect(decodeEntry(bytesOf(run.bytes))).toEqual(entry);
    expect(bytesOf(run.bytes)).toHaveLength(280);
    expect(hex(leafHash(bytesOf(run.bytes)))).toBe(run.leaf);
  });

  it('has the dataset with its root and all inclusion proofs', () => {
    const { dataset } = vectors;
    expect(dataset.entries).toHaveLength(dataset.size);
    expect(dataset.leaves).toEqual(dataset.entries.map((entry) => entry.leaf));
    expect(hex(treeRoot(bytesOfAll(dataset.leaves)))).toBe(dataset.root);
    expect(dataset.proofs).toHaveLength(dataset.size);
    for (const [k, proof] of dataset.proofs.entries()) {
      expect(proof.index).toBe(k);
      const leaf = bytesOf(dataset.leaves[k] as string);
      const path = bytesOfAll(proof.path);
      expect(verifyInclusion(leaf, k, dataset.size, path, bytesOf(dataset.root))).toBe(true);
    }
    // Statements of one device and session are chained.
    const [a0, b0, a1, b1] = dataset.entries;
    expect(a1?.statement).toMatchObject({ previous: a0?.statementHash });
    expect(b1?.statement).toMatchObject({ previous: b0?.statementHash });
  });

  it('has the frames file, from which every frame is found again', () => {
    const { dataset } = vectors;
    const file = bytesOf(dataset.framesFile);
    const header = file.subarray(0, framesHeaderBytes(dataset.size));
    const offsets = decodeFramesHeader(header, dataset.size, file.length);
    for (const [k, entry] of dataset.entries.entries()) {
      const part = file.subarray(offsets[k], offsets[k + 1]);
      const frames = splitFrames(part, entry.frames.length) as Uint8Array[];
      expect(frames.map(hex)).toEqual(entry.frames);
    }
  });

  it('has the manifest, and it says what entries and frames say', () => {
    const { dataset } = vectors;
    const bytes = bytesOf(dataset.manifestBytes);
    const manifest = JSON.parse(JSON.stringify(dataset.manifest)) as Manifest;
    expect(hex(encodeManifest(manifest))).toBe(dataset.manifestBytes);
    expect(decodeManifest(bytes)).toEqual(manifest);
    expect(hex(sha256(bytes))).toBe(dataset.manifestHash);

    const dids = new Map(Object.values(vectors.keys).map((key) => [key.keyId.slice(2), key.did]));
    const summary = new DatasetSummary();
    for (const entry of dataset.entries) {
      const decoded = decodeEntry(bytesOf(entry.bytes));
      const { statement } = readStatement(decoded.statement);
      if (statement === undefined) throw new Error('an entry of the vectors has no statement');
      const did = dids.get(toHex(statement.device)) as string;
      summary.add(decoded, statement, bytesOfAll(entry.frames), did);
    }
    expect(manifest).toMatchObject(summary.facts());
    const entriesFile = concatBytes(...dataset.entries.map((entry) => bytesOf(entry.bytes)));
    const framesFile = bytesOf(dataset.framesFile);
    expect(manifest.files).toEqual([
      { name: 'entries', bytes: entriesFile.length, sha256: toHex(sha256(entriesFile)) },
      { name: 'frames', bytes: framesFile.length, sha256: toHex(sha256(framesFile)) },
    ]);
  });

  it('has the log: records, roots, inclusion and consistency proofs', () => {
    const { log } = vectors;
    for (const record of log.records) {
      const fields = revive(record.fields) as ReturnType<typeof decodeLogRecord>;
      expect(hex(encodeLogRecord(fields))).toBe(record.bytes);
      expect(decodeLogRecord(bytesOf(record.bytes))).toEqual(fields);
      expect(hex(leafHash(bytesOf(record.bytes)))).toBe(record.leaf);
    }
    const leaves = log.records.map((record) => bytesOf(record.leaf));
    const roots = bytesOfAll(log.roots);
    for (const [k, root] of roots.entries()) {
      expect(treeRoot(leaves.slice(0, k + 1))).toEqual(root);
    }
    const last = roots[leaves.length - 1] as Uint8Array;
    for (const { index, path } of log.proofs) {
      const leaf = leaves[index] as Uint8Array;
      expect(verifyInclusion(leaf, index, leaves.length, bytesOfAll(path), last)).toBe(true);
    }
    expect(log.consistency).toHaveLength(15);
    for (const { oldSize, newSize, path } of log.consistency) {
      const [before, after] = [roots[oldSize - 1], roots[newSize - 1]] as [Uint8Array, Uint8Array];
      expect(verifyConsistency(oldSize, newSize, bytesOfAll(path), before, after)).toBe(true);
    }
  });

  it('has the checkpoint, plain and signed', () => {
    const { checkpoint, log } = vectors;
    const fields = revive(checkpoint.fields) as ReturnType<typeof decodeCheckpoint>;
    const bytes = bytesOf(checkpoint.bytes);
    const signature = bytesOf(checkpoint.signature);
    const path = bytesOfAll(checkpoint.path);
    expect(hex(encodeCheckpoint(fields))).toBe(checkpoint.bytes);
    expect(decodeCheckpoint(bytes)).toEqual(fields);
    expect(hex(fields.root)).toBe(log.roots[fields.size - 1]);
    expect(verifySignature(gateway, bytes, signature)).toBe(true);
    expect(hex(encodeSignedCheckpoint(bytes, signature, gateway, path))).toBe(
      checkpoint.signedBytes,
    );
    const signed = decodeSignedCheckpoint(bytesOf(checkpoint.signedBytes));
    expect(checkpointFault(signed)).toBeNull();
    expect(signed.gatewayKey).toEqual(gateway);
    const leaf = bytesOf(log.records[checkpoint.record]?.leaf as string);
    const { root, size } = signed.checkpoint;
    expect(verifyInclusion(leaf, checkpoint.record, size, signed.path, root)).toBe(true);
  });

  it('has receipts of all five kinds', () => {
    const { receipts } = vectors;
    const head = revive(receipts.head) as Parameters<typeof encodeReceiptHead>[0];
    expect(hex(encodeReceiptHead(head))).toBe(receipts.headBytes);
    const kinds: string[] = [];
    for (const entry of receipts.list) {
      const body = revive(entry.body) as { outcome: { tokenId?: string } };
      const { tokenId } = body.outcome;
      const outcome =
        tokenId === undefined ? body.outcome : { ...body.outcome, tokenId: BigInt(tokenId) };
      const whole = { ...body, outcome } as unknown as ReturnType<typeof decodeReceiptBody>;
      kinds.push((outcome as Outcome).kind);
      expect(hex(encodeReceiptBody(whole))).toBe(entry.bodyBytes);
      expect(decodeReceiptBody(bytesOf(entry.bodyBytes))).toEqual(whole);
      expect(hex(leafHash(bytesOf(entry.bodyBytes)))).toBe(entry.leaf);
      const made = encodeReceipt({
        headBytes: bytesOf(receipts.headBytes),
        signature: bytesOf(receipts.signature),
        bodyBytes: bytesOf(entry.bodyBytes),
        index: entry.index,
        path: bytesOfAll(entry.path),
        entryPath: bytesOfAll(entry.entryPath),
      });
      expect(hex(made)).toBe(entry.bytes);
      expect(receiptFault(decodeReceipt(bytesOf(entry.bytes)), gateway)).toBeNull();
    }
    expect(kinds).toEqual(['stored', 'refused', 'retry', 'included', 'final']);
    expect(hex(treeRoot(receipts.list.map((entry) => bytesOf(entry.leaf))))).toBe(hex(head.root));
  });

  it.each(['hello', 'config'] as const)('has a signed %s', (kind) => {
    const message = vectors[kind];
    const sender = keyNamed(message.sender);
    const receiver = keyNamed(message.receiver);
    const fields = revive(message.fields) as object;
    const body = (kind === 'hello' ? wire.Hello : wire.Config).encode(fields).finish();
    expect(hex(body)).toBe(message.body);
    const signed = signedMessageInput(kind, keyId(sender), keyId(receiver), body);
    expect(hex(signed)).toBe(message.signed);
    const signature = bytesOf(message.signature);
    expect(hex(encodeSignedMessage(kind, body, signature))).toBe(message.bytes);
    const opened = openSignedMessage(kind, bytesOf(message.bytes), sender, receiver);
    expect(hex(opened)).toBe(message.body);
    expectFields(kind === 'hello' ? decodeHello(opened) : decodeConfig(opened), message.fields);
  });

  it.each(vectors.logins)('has a login of $key', ({ key: name, fields, input, jwt }) => {
    const key = keyNamed(name);
    const token = revive(fields) as Parameters<typeof loginTokenInput>[1];
    expect(Buffer.from(loginTokenInput(key.type, token)).toString('ascii')).toBe(input);
    const entry = vectors.keys[name];
    const pair = testKey(key.type, bytesOf(entry?.testOnlyPrivateKey as string));
    const signature = pair.sign(Buffer.from(input, 'ascii'));
    expect(encodeLoginToken(Buffer.from(input, 'ascii'), signature)).toBe(jwt);
    expect(readLoginToken(jwt, key, gatewayDid)).toEqual({ token });
  });
});
