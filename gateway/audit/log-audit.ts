import {
  checkpointFault,
  decodeSignedCheckpoint,
  encodeLogRecord,
  equalBytes,
  fromHex,
  keyFromDid,
  keyId,
  type LogRecord,
  leafHash,
  type Manifest,
  type SignedCheckpoint,
  sha256,
  toHex,
  verifyInclusion,
} from '@waystone/proto';
import type { ChainReader } from '../core/chain-view.js';
import { messageOf } from '../core/errors.js';
import type { Report } from './report.js';

export interface LogAuditInput {
  readonly manifest: Manifest;
  readonly manifestBytes: Uint8Array;
  /** Bytes of the signed checkpoint, or null when there is none. */
  readonly checkpointBytes: Uint8Array | null;
  /** Names of the files for the report: in a proof both are "proof". */
  readonly files: { readonly manifest: string; readonly checkpoint: string };
  /** Key id that the signer must have, where the caller says so; 32 bytes. */
  readonly signer: Uint8Array | null;
  readonly chain: ChainReader | null;
}

/** Checks the way from a manifest to the gateway's signed log, to the chain, and to whoever is expected to sign. */
export async function auditLog(report: Report, input: LogAuditInput): Promise<void> {
  const { manifest, manifestBytes } = input;
  const record: LogRecord = {
    logId: fromHex(manifest.logId),
    index: manifest.logIndex,
    root: fromHex(manifest.root),
    count: manifest.entries,
    manifestHash: sha256(manifestBytes),
  };
  const signed = checkCheckpoint(report, input);
  if (signed !== null) {
    checkGateway(report, input, signed);
    checkRecord(report, input, signed, record);
  }
  const byChain = await checkChain(report, input, record);
  checkSigner(report, input, signed, byChain);
}

function checkCheckpoint(report: Report, input: LogAuditInput): SignedCheckpoint | null {
  const check = report.check('checkpoint');
  const where = { file: input.files.checkpoint };
  if (input.checkpointBytes === null) {
    check.fail('there is no checkpoint that can be read', where);
    return null;
  }
  let signed: SignedCheckpoint;
  try {
    signed = decodeSignedCheckpoint(input.checkpointBytes);
  } catch (error) {
    check.fail(messageOf(error), where);
    return null;
  }
  const fault = checkpointFault(signed);
  if (fault !== null) check.fail(fault, where);
  const { size, timeUs } = signed.checkpoint;
  check.pass(`signed head of a log of ${size}, made ${isoTime(timeUs)}`);
  return signed;
}

function checkGateway(report: Report, input: LogAuditInput, signed: SignedCheckpoint): void {
  const check = report.check('gateway');
  const { gateway } = input.manifest;
  if (!equalBytes(keyId(keyFromDid(gateway)), signed.checkpoint.gateway)) {
    const detail = `manifest names ${gateway}, the checkpoint is of key id ${toHex(signed.checkpoint.gateway)}`;
    check.fail(detail, { file: input.files.checkpoint });
  }
  check.pass(`manifest and checkpoint name ${gateway}`);
}

function checkRecord(
  report: Report,
  { manifest, files }: LogAuditInput,
  { checkpoint, path }: SignedCheckpoint,
  record: LogRecord,
): void {
  const check = report.check('log record');
  const { size, root, logId } = checkpoint;
  if (!equalBytes(logId, record.logId)) {
    const detail = `manifest is of log ${manifest.logId}, the checkpoint of ${toHex(logId)}`;
    check.fail(detail, { file: files.manifest });
  }
  const leaf = leafHash(encodeLogRecord(record));
  if (!verifyInclusion(leaf, record.index, size, path, root)) {
    // Which of the two was changed cannot be told from here; the other checks say more.
    const detail = `${files.manifest} (as record ${record.index}) is not in the log of ${size} by the path in ${files.checkpoint}`;
    check.fail(detail, { file: files.manifest });
  }
  check.pass(`the manifest's hash is record ${record.index} of ${size} in log ${manifest.logId}`);
}

/** Checks the dataset against the chain. Resolves to the key id of the gateway that the chain vouches for. */
async function checkChain(
  report: Report,
  { manifest, chain }: LogAuditInput,
  record: LogRecord,
): Promise<Uint8Array | null> {
  const check = report.check('chain');
  if (chain === null) {
    check.skip('not asked for; give --rpc <url>');
    return null;
  }
  if (manifest.idao === '') {
    check.fail('the manifest names no iDAO, so the dataset is on no chain');
    return null;
  }
  const name = `dataset ${record.index} of log ${manifest.logId} of iDAO ${manifest.idao} on chain ${manifest.chainId}`;
  let view: Awaited<ReturnType<ChainReader['datasetOnChain']>>;
  try {
    view = await chain.datasetOnChain(manifest, record);
  } catch (error) {
    check.fail(`the chain cannot be read: ${messageOf(error)}`);
    return null;
  }
  if (view.status === 'absent') {
    check.fail(`the chain has no ${name}: it is not committed yet, or was withdrawn before it was`);
    return null;
  }
  const compare = (field: string, stated: string | number, onChain: string | number): void => {
    if (stated !== onChain) check.fail(`chain says ${field} ${onChain}, the dataset ${stated}`);
  };
  compare('root', manifest.root, toHex(view.root));
  compare('entries', manifest.entries, view.count);
  compare('manifest hash', toHex(record.manifestHash), toHex(view.manifestHash));
  compare('gateway', toHex(keyId(keyFromDid(manifest.gateway))), toHex(view.gateway));
  compare('min time', manifest.time.minUs, view.minTimeUs);
  compare('max time', manifest.time.maxUs, view.maxTimeUs);
  if (view.status === 'void')
    check.fail(`${name} is void: a fault of it was upheld, it has no DAT`);
  const dat =
    view.status === 'forged'
      ? `forged as DAT ${view.tokenId ?? '?'}, owned by ${view.owner ?? '?'}`
      : 'committed, its DAT is not forged yet';
  check.pass(`${name} is ${dat}`);
  return check.hasPassed ? view.gateway : null;
}

function checkSigner(
  report: Report,
  { signer }: LogAuditInput,
  signed: SignedCheckpoint | null,
  byChain: Uint8Array | null,
): void {
  const check = report.check('signer');
  const actual = signed?.checkpoint.gateway;
  if (actual === undefined) {
    check.skip('there is no checkpoint');
    return;
  }
  if (signer !== null) {
    if (!equalBytes(signer, actual)) {
      check.fail(`expected key id ${toHex(signer)}, the checkpoint is of ${toHex(actual)}`);
    }
    check.pass('the signer is the given gateway');
  } else if (byChain !== null && equalBytes(byChain, actual)) {
    check.pass('the chain vouches for the signer');
  } else {
    check.skip('not pinned: nothing says who the gateway should be');
  }
}

function isoTime(timeUs: number): string {
  const date = new Date(timeUs / 1000);
  return Number.isNaN(date.getTime()) ? `${timeUs} µs` : date.toISOString();
}
