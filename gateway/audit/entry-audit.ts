import {
  type DatasetFacts,
  DatasetSummary,
  decodeEntry,
  decodeFrame,
  ENTRY_BYTES,
  type Entry,
  equalBytes,
  FRAME_FORMAT,
  frameFault,
  leafHash,
  type Manifest,
  type PublicKey,
  readStatement,
  type Statement,
  scanFrame,
  splitFrames,
  statementHash,
  TreePeaks,
  toHex,
  treeRootOfData,
} from '@waystone/proto';
import { messageOf } from '../core/errors.js';
import { runKey, SequenceRuns } from '../dataset/sequence-runs.js';
import type { Report, Where } from './report.js';

/** Whether a signature is valid under the rule of `proto`, low S included. Must not throw for bad bytes. */
export type VerifySignature = (
  key: PublicKey,
  message: Uint8Array,
  signature: Uint8Array,
) => boolean;

export interface ListedDevice {
  readonly did: string;
  readonly key: PublicKey;
}

/** What the entries of one dataset have in common. */
export type EntryRules = Pick<Manifest, 'signatures' | 'stream' | 'realm'>;

const ZEROS = new Uint8Array(32);

/**
 * Judges a dataset's entries and frames, one entry at a time, in order. Pure: bytes in, findings in the
 * report. Memory grows with sessions and gaps in their sequences, not with frames.
 */
export class EntryAudit {
  readonly #report: Report;
  readonly #rules: EntryRules;
  readonly #devices: ReadonlyMap<string, ListedDevice>;
  readonly #verifySignature: VerifySignature;
  readonly #tree = new TreePeaks();
  readonly #summary = new DatasetSummary();
  readonly #runs = new SequenceRuns();
  /** Hash of the statement seen last, by device, session and stream. */
  readonly #lastStatements = new Map<string, Uint8Array>();
  readonly #links = { follows: 0, first: 0, elsewhere: 0 };
  #summaryIsWhole = true;
  #entries = 0;
  #frames = 0;
  #receivedAtUs = 0;
  #entriesWithoutFrames = 0;

  /** @param devices by key id in hex. */
  constructor(
    report: Report,
    rules: EntryRules,
    devices: ReadonlyMap<string, ListedDevice>,
    verifySignature: VerifySignature,
  ) {
    this.#report = report;
    this.#rules = rules;
    this.#devices = devices;
    this.#verifySignature = verifySignature;
  }

  /**
   * @param bytes the entry's 280 bytes.
   * @param frames its part of the `frames` file and where that begins, or null when it cannot be found.
   */
  add(bytes: Uint8Array, frames: { bytes: Uint8Array; offset: number } | null): void {
    const index = this.#entries++;
    const where: Where = {
      file: 'entries',
      entry: index,
      bytes: [index * ENTRY_BYTES, (index + 1) * ENTRY_BYTES],
    };
    this.#tree.append(leafHash(bytes));
    const read = this.#read(bytes, where);
    if (read === null) {
      this.#summaryIsWhole = false;
      return;
    }
    const { entry, statement } = read;
    const device = this.#checkDevice(entry, statement, where);
    this.#checkBelonging(statement, where);
    this.#checkReceiveTime(entry, where);
    this.#runs.add(statement, index);
    this.#countLink(entry, statement);
    if (frames === null) this.#entriesWithoutFrames += 1;
    const parts = frames === null ? null : this.#checkFrames(statement, frames, index);
    if (device === undefined || parts === null) this.#summaryIsWhole = false;
    else this.#summary.add(entry, statement, parts, device.did);
  }

  /** Concludes the checks over all entries, against their manifest. Call once, after the last entry. */
  finish(manifest: Manifest): void {
    this.#checkRoot(manifest);
    this.#checkSummaries(manifest);
    if (this.#entries === 0) return;
    const entries = `${this.#entries} entries`;
    for (const { detail, entry, sequence } of this.#runs.overlaps()) {
      const bytes = [entry * ENTRY_BYTES, (entry + 1) * ENTRY_BYTES] as const;
      this.#report.check('sequences').fail(detail, { file: 'entries', entry, sequence, bytes });
    }
    this.#report
      .check('sequences')
      .pass('no sequence of a device, session and stream is in two entries');
    this.#report.check('statements').pass(`${entries} hold a readable statement`);
    this.#report.check('device keys').pass(`each entry is of one of ${this.#devices.size} devices`);
    this.#report.check('signatures').pass(`${entries} signed by their device, all with low S`);
    this.#report.check('signature kind').pass(this.#rules.signatures);
    this.#report
      .check('stream and realm')
      .pass(`${entries} of stream ${this.#rules.stream} and the manifest's realm`);
    this.#report.check('receive times').pass('never fall from entry to entry');
    const { follows, first, elsewhere } = this.#links;
    this.#report
      .check('previous links')
      .pass(
        `${follows} follow the entry before, ${first} begin a session, ${elsewhere} point elsewhere (allowed)`,
      );
    this.#concludeFrames();
  }

  #read(bytes: Uint8Array, where: Where): { entry: Entry; statement: Statement } | null {
    let entry: Entry;
    try {
      entry = decodeEntry(bytes);
    } catch (error) {
      this.#report.check('entries').fail(messageOf(error), where);
      return null;
    }
    const { statement, fault } = readStatement(entry.statement);
    if (statement !== undefined) return { entry, statement };
    const what =
      fault.code === 'STATEMENT_INVALID'
        ? `${fault.field} is ${fault.got}, allowed is ${fault.allowed}`
        : `its tag is ${fault.got}`;
    this.#report.check('statements').fail(`statement cannot be read: ${what}`, where);
    return null;
  }

  #checkDevice(entry: Entry, statement: Statement, where: Where): ListedDevice | undefined {
    const keyId = toHex(statement.device);
    const device = this.#devices.get(keyId);
    if (device === undefined) {
      this.#report.check('device keys').fail(`no listed device has key id ${keyId}`, where);
      return undefined;
    }
    if (!this.#verifySignature(device.key, entry.statement, entry.signature)) {
      const detail = `signature does not match the statement and the key of ${device.did}`;
      this.#report.check('signatures').fail(detail, where);
    }
    const kind = signatureKind(device.key);
    if (kind !== this.#rules.signatures) {
      this.#report
        .check('signature kind')
        .fail(
          `manifest says ${this.#rules.signatures}, a ${device.key.type} key is ${kind}`,
          where,
        );
    }
    return device;
  }

  #checkBelonging(statement: Statement, where: Where): void {
    const check = this.#report.check('stream and realm');
    const { stream, realm } = this.#rules;
    if (statement.stream !== stream) {
      check.fail(`entry is of stream ${statement.stream}, the dataset of ${stream}`, where);
    }
    if (toHex(statement.realm) !== realm) {
      check.fail(`entry is for realm ${toHex(statement.realm)}, the dataset for ${realm}`, where);
    }
    if (statement.format !== FRAME_FORMAT) {
      check.fail(`entry has frame format ${statement.format}, the dataset ${FRAME_FORMAT}`, where);
    }
  }

  #checkReceiveTime(entry: Entry, where: Where): void {
    if (entry.receivedAtUs < this.#receivedAtUs) {
      const detail = `receive time falls from ${this.#receivedAtUs} to ${entry.receivedAtUs} µs`;
      this.#report.check('receive times').fail(detail, where);
    }
    this.#receivedAtUs = Math.max(this.#receivedAtUs, entry.receivedAtUs);
  }

  #countLink(entry: Entry, statement: Statement): void {
    const key = runKey(statement);
    const before = this.#lastStatements.get(key);
    if (before !== undefined && equalBytes(before, statement.previous)) this.#links.follows += 1;
    else if (equalBytes(statement.previous, ZEROS)) this.#links.first += 1;
    else this.#links.elsewhere += 1;
    this.#lastStatements.set(key, statementHash(entry.statement));
  }

  /** The frames of an entry, or null when they cannot all be read. */
  #checkFrames(
    statement: Statement,
    { bytes, offset }: { bytes: Uint8Array; offset: number },
    index: number,
  ): Uint8Array[] | null {
    const where: Where = { file: 'frames', entry: index, bytes: [offset, offset + bytes.length] };
    const frames = splitFrames(bytes, statement.count);
    if (frames === null) {
      const detail = `${bytes.length} bytes are not exactly the ${statement.count} frames of the statement`;
      this.#report.check('frames').fail(detail, where);
      return null;
    }
    this.#frames += frames.length;
    if (!equalBytes(treeRootOfData(frames), statement.framesRoot)) {
      const detail = 'the frames are not those that the statement commits to';
      this.#report.check('frames roots').fail(detail, where);
    }
    const times = { min: Number.POSITIVE_INFINITY, max: 0 };
    let areReadable = true;
    for (const [frame, part] of frames.entries()) {
      const start = offset + part.byteOffset - bytes.byteOffset;
      const fault = checkFrame(part, times);
      if (fault === null) continue;
      areReadable = false;
      this.#report.check('frames').fail(fault, {
        ...where,
        frame,
        sequence: statement.firstSequence + frame,
        bytes: [start, start + part.length],
      });
    }
    if (!areReadable) return null;
    const check = this.#report.check('statements against frames');
    if (times.min !== statement.minTimeUs) {
      check.fail(
        `statement says minTime ${statement.minTimeUs}, its frames ${times.min} µs`,
        where,
      );
    }
    if (times.max !== statement.maxTimeUs) {
      check.fail(
        `statement says maxTime ${statement.maxTimeUs}, its frames ${times.max} µs`,
        where,
      );
    }
    return frames;
  }

  #concludeFrames(): void {
    const outcomes = {
      frames: `${this.#frames} frames present and readable`,
      'frames roots': 'the frames are those that were signed',
      'statements against frames': 'counts and times are those of the frames',
    } as const;
    for (const [name, detail] of Object.entries(outcomes)) {
      const check = this.#report.check(name as keyof typeof outcomes);
      if (this.#entriesWithoutFrames === 0) check.pass(detail);
      else check.skip(`the frames of ${this.#entriesWithoutFrames} entries cannot be found`);
    }
  }

  #checkRoot(manifest: Manifest): void {
    const check = this.#report.check('entries tree');
    if (this.#entries === 0) {
      check.fail('there are no entries', { file: 'entries' });
      return;
    }
    const root = toHex(this.#tree.root());
    if (root !== manifest.root) {
      const detail = `the entries' root is ${root}, the manifest says ${manifest.root}`;
      check.fail(detail, { file: 'entries' });
    }
    check.pass(`root ${root}`);
  }

  #checkSummaries(manifest: Manifest): void {
    const check = this.#report.check('summaries');
    if (!this.#summaryIsWhole || this.#entries === 0) {
      check.skip('cannot be made again, since not all entries and frames can be read');
      return;
    }
    const facts = this.#summary.facts();
    const fields = Object.keys({ coverage: 0, ...facts }) as (keyof DatasetFacts)[];
    for (const field of fields) {
      const difference = firstDifference(manifest[field], facts[field], field);
      if (difference !== null) check.fail(difference, { file: 'manifest.json' });
    }
    check.pass('the manifest says of entries and frames what they say themselves');
  }
}

/** How a dataset of entries by such a key must be marked. */
export function signatureKind(key: PublicKey): Manifest['signatures'] {
  return key.type === 'Ed25519' ? 'not challengeable on chain' : 'challengeable on chain';
}

/** What is wrong with a frame's bytes, or null; widens `times` (µs) by the frame's time. */
export function checkFrame(bytes: Uint8Array, times: { min: number; max: number }): string | null {
  const scannedUs = scanFrame(bytes);
  if (scannedUs >= 0) {
    times.min = Math.min(times.min, scannedUs);
    times.max = Math.max(times.max, scannedUs);
    return null;
  }
  try {
    const frame = decodeFrame(bytes);
    const timeUs = Number(frame.timeUs ?? 0);
    times.min = Math.min(times.min, timeUs);
    times.max = Math.max(times.max, timeUs);
    return frameFault(frame);
  } catch (error) {
    return `frame cannot be read: ${messageOf(error)}`;
  }
}

/** Where two JSON values differ first, in words, or null when they are equal. */
function firstDifference(stated: unknown, found: unknown, path: string): string | null {
  if (isObject(stated) && isObject(found)) {
    for (const key of new Set([...Object.keys(stated), ...Object.keys(found)])) {
      const inner = firstDifference(stated[key], found[key], `${path}.${key}`);
      if (inner !== null) return inner;
    }
    return null;
  }
  if (stated === found) return null;
  return `manifest says ${path} = ${brief(stated)}, the files say ${brief(found)}`;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

function brief(value: unknown): string {
  const text = value === undefined ? 'nothing' : JSON.stringify(value);
  return text.length > 80 ? `${text.slice(0, 80)}…` : text;
}
