import { readFile } from 'node:fs/promises';
import {
  decodeEntry,
  decodeManifest,
  equalBytes,
  FRAME_FORMAT,
  fromHex,
  keyFromDid,
  keyId,
  leafHash,
  type Manifest,
  readStatement,
  type Statement,
  toHex,
  verifyInclusion,
  verifySignature,
} from '@waystone/proto';
import { messageOf, WaystoneError } from '../core/errors.js';
import { manifestFault, realmFault } from '../dataset/manifest-fault.js';
import { decodeProof, type Proof } from '../dataset/proof.js';
import { checkFrame, signatureKind } from './entry-audit.js';
import { auditLog } from './log-audit.js';
import { type CheckName, Report, type Verification } from './report.js';
import { signerOf, type VerifyOptions } from './verify-dataset.js';

const CHECKS: readonly CheckName[] = [
  'proof',
  'manifest',
  'entries',
  'statements',
  'device keys',
  'signatures',
  'signature kind',
  'stream and realm',
  'frames',
  'frames roots',
  'statements against frames',
  'summaries',
  'entries tree',
  'checkpoint',
  'gateway',
  'log record',
  'chain',
  'signer',
];

const FILE = 'proof';

/**
 * Checks a proof file: that one frame was signed by its device, committed by the gateway in this place of this
 * dataset, and that the dataset stands in the gateway's signed log.
 *
 * @throws WaystoneError PATH_UNREADABLE when the file cannot be read, DID_INVALID when `gatewayDid` is no did:key.
 */
export async function verifyProof(
  path: string,
  options: VerifyOptions = {},
): Promise<Verification> {
  let bytes: Uint8Array;
  try {
    bytes = await readFile(path);
  } catch (cause) {
    throw new WaystoneError('PATH_UNREADABLE', `${path} cannot be read: ${messageOf(cause)}`, {
      cause,
    });
  }
  return verifyProofBytes(bytes, options, path);
}

/** As {@link verifyProof}, of the file's bytes. `path` is only for the report. */
export async function verifyProofBytes(
  bytes: Uint8Array,
  options: VerifyOptions = {},
  path = '-',
): Promise<Verification> {
  const signer = signerOf(options);
  const report = new Report(CHECKS);
  let proof: Proof;
  try {
    proof = decodeProof(bytes);
  } catch (error) {
    report.check('proof').fail(messageOf(error), { file: FILE });
    return report.conclude('proof', path, null);
  }
  report.check('proof').pass('well formed, of version 1');
  const manifest = checkManifest(report, proof.manifest);
  if (manifest === null) return report.conclude('proof', path, null);
  checkEntry(report, proof, manifest, options);
  await auditLog(report, {
    manifest,
    manifestBytes: proof.manifest,
    checkpointBytes: proof.checkpoint,
    files: { manifest: FILE, checkpoint: FILE },
    signer,
    chain: options.chain ?? null,
  });
  return report.conclude('proof', path, manifest.root);
}

function checkManifest(report: Report, bytes: Uint8Array): Manifest | null {
  const check = report.check('manifest');
  let fault: string | null;
  try {
    const manifest = decodeManifest(bytes);
    fault = manifestFault(manifest) ?? realmFault(manifest);
    if (fault === null) {
      check.pass('canonical, of version 1');
      return manifest;
    }
  } catch (error) {
    fault = messageOf(error);
  }
  check.fail(fault, { file: FILE });
  return null;
}

function checkEntry(
  report: Report,
  proof: Proof,
  manifest: Manifest,
  { verifySignature: verify = verifySignature }: VerifyOptions,
): void {
  const where = { file: FILE, entry: proof.entryIndex };
  checkTree(report, proof, manifest);
  let signature: Uint8Array;
  let statementBytes: Uint8Array;
  try {
    const entry = decodeEntry(proof.entry);
    ({ signature, statement: statementBytes } = entry);
    checkReceiveTime(report, entry.receivedAtUs, manifest);
  } catch (error) {
    report.check('entries').fail(messageOf(error), where);
    return;
  }
  report.check('entries').pass('readable, received within the time that the manifest states');
  const { statement, fault } = readStatement(statementBytes);
  if (statement === undefined) {
    report.check('statements').fail(`statement cannot be read: ${fault.code}`, where);
    return;
  }
  report.check('statements').pass('readable');

  const key = keyFromDid(proof.device);
  if (!equalBytes(keyId(key), statement.device)) {
    report.check('device keys').fail(`the statement is not of ${proof.device}`, where);
  }
  report.check('device keys').pass(proof.device);
  if (!verify(key, statementBytes, signature)) {
    report.check('signatures').fail(`signature does not match the key of ${proof.device}`, where);
  }
  report.check('signatures').pass('signed by the device, with low S');
  if (signatureKind(key) !== manifest.signatures) {
    report.check('signature kind').fail(`manifest says ${manifest.signatures}`, where);
  }
  report.check('signature kind').pass(manifest.signatures);
  checkBelonging(report, statement, manifest, where);
  checkProvenFrame(report, proof, statement);
  checkSummary(report, proof, statement, manifest);
}

function checkTree(report: Report, proof: Proof, manifest: Manifest): void {
  const check = report.check('entries tree');
  const { entry, entryIndex, entryPath } = proof;
  const { entries, root } = manifest;
  if (!verifyInclusion(leafHash(entry), entryIndex, entries, entryPath, fromHex(root))) {
    const detail = `entry is not number ${entryIndex} of ${entries} under root ${root} by its path`;
    check.fail(detail, { file: FILE, entry: entryIndex });
  }
  check.pass(`entry ${entryIndex} of ${entries} under root ${root}`);
}

/** @throws RangeError */
function checkReceiveTime(report: Report, receivedAtUs: number, { received }: Manifest): void {
  if (receivedAtUs < received.minUs || receivedAtUs > received.maxUs) {
    const detail = `receive time ${receivedAtUs} µs is outside the manifest's ${received.minUs}..${received.maxUs}`;
    report.check('entries').fail(detail, { file: FILE });
  }
}

function checkBelonging(
  report: Report,
  statement: Statement,
  { stream, realm }: Manifest,
  where: { file: string; entry: number },
): void {
  const check = report.check('stream and realm');
  if (statement.stream !== stream || statement.format !== FRAME_FORMAT) {
    check.fail(`entry is of stream ${statement.stream}, format ${statement.format}`, where);
  }
  if (toHex(statement.realm) !== realm) {
    check.fail(`entry is for realm ${toHex(statement.realm)}, the dataset for ${realm}`, where);
  }
  check.pass(`stream ${stream} and the manifest's realm`);
}

function checkProvenFrame(report: Report, proof: Proof, statement: Statement): void {
  const { frame, frameIndex, framePath } = proof;
  const sequence = statement.firstSequence + frameIndex;
  const where = { file: FILE, entry: proof.entryIndex, frame: frameIndex, sequence };
  const leaf = leafHash(frame);
  if (!verifyInclusion(leaf, frameIndex, statement.count, framePath, statement.framesRoot)) {
    report.check('frames roots').fail('frame is not in the statement by its place and path', where);
  }
  report
    .check('frames roots')
    .pass(`frame ${frameIndex} of ${statement.count}, sequence ${sequence}`);

  const times = { min: Number.POSITIVE_INFINITY, max: 0 };
  const fault = checkFrame(frame, times);
  if (fault !== null) {
    report.check('frames').fail(fault, where);
    return;
  }
  report.check('frames').pass(`${frame.length} bytes, readable`);
  if (times.min < statement.minTimeUs || times.max > statement.maxTimeUs) {
    const detail = `frame time ${times.min} µs is outside the statement's ${statement.minTimeUs}..${statement.maxTimeUs}`;
    report.check('statements against frames').fail(detail, where);
  }
  report.check('statements against frames').pass('the time is within that of the statement');
}

/** One entry cannot prove the sums, but it can contradict what the manifest says of its device. */
function checkSummary(
  report: Report,
  proof: Proof,
  statement: Statement,
  manifest: Manifest,
): void {
  const check = report.check('summaries');
  const { firstSequence, count } = statement;
  const session = manifest.devices
    .find(({ did }) => did === proof.device)
    ?.sessions.find(({ session }) => session === toHex(statement.session));
  const isListed = session?.sequences.some(
    ([first, last]) => first <= firstSequence && firstSequence + count - 1 <= last,
  );
  if (isListed !== true) {
    const detail = `manifest does not list sequences ${firstSequence}..${firstSequence + count - 1} of this device and session`;
    check.fail(detail, { file: FILE, entry: proof.entryIndex });
  }
  check.pass('the manifest lists device, session and sequences of the entry');
}
