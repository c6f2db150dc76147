import { dirname } from 'node:path';
import type { SystemCall } from './trace.js';

/** An envelope on its way. */
export interface TracedEnvelope {
  /** Bytes that only its record in a batch file has. */
  readonly marker: Uint8Array;
  /** Bytes that only its row in the ledger has: the statement's hash. */
  readonly row: Uint8Array;
  /** Packet id of its PUBLISH. */
  readonly messageId: number;
}

const WAL = /\/ledger\.sqlite-wal$/;
const REDO_FILE = /\/ledger\.redo$/;
const BATCH_FILE = /\/batches\/\d+$/;
const WRITES = new Set(['write', 'writev', 'pwrite64', 'pwritev', 'sendto', 'sendmsg']);
const SYNCS = new Set(['fdatasync', 'fsync']);
const RENAMES = new Set(['rename', 'renameat', 'renameat2']);

/** Size of the header before each page in a WAL (SQLite file format §4.1); its bytes 4 to 7 mark a commit. */
const FRAME_HEADER_BYTES = 24;

/**
 * What is wrong with the way from each envelope to its PUBACK. Its record must be in its batch's file and the name of
 * that file synced; before its row goes into the WAL, the file must be synced, or the record be in the WAL too; row and
 * commit must be in the WAL, and the WAL be synced, before the PUBACK is written; or the envelope must be in the redo
 * file, and that be synced, before the PUBACK is, and nothing be written over it before all the rest has come about.
 * Empty when all is right.
 */
export function acknowledgementFaults(
  calls: readonly SystemCall[],
  envelopes: readonly TracedEnvelope[],
): string[] {
  const wal = calls.filter(({ name, target }) => WRITES.has(name) && WAL.test(target));
  const files = calls.filter(({ name, target }) => WRITES.has(name) && BATCH_FILE.test(target));
  const syncs = calls.filter(({ name, result }) => SYNCS.has(name) && result === 0);
  const acknowledgements = readAcknowledgements(calls);
  return envelopes.flatMap(({ marker, row, messageId }) => {
    const fault = (what: string) => [`envelope ${messageId}: ${what}`];
    const acknowledged = acknowledgements.get(messageId);
    if (acknowledged === undefined) return fault('no PUBACK was written');
    const record = files.find((call) => holds(call, marker));
    if (record === undefined) return fault('it was never written to a batch file');
    const at = wal.findIndex((call) => holds(call, row));
    if (at < 0) return fault('its row was never written to the WAL');
    // The header of its own page stands before it; that of the commit may be the same.
    const commitAt = wal.findIndex((call, index) => index >= at - 1 && isCommitHeader(call));
    const committed = wal[commitAt + 1];
    if (commitAt < 0 || committed === undefined)
      return fault('its transaction was never committed');
    const recordSynced = syncs.find(
      ({ target, start }) => target === record.target && start > record.end,
    );
    const before = wal.slice(0, at - 1).findLastIndex(isCommitHeader);
    const transaction = wal.slice(before < 0 ? 0 : before + 2, commitAt + 2);
    const isInWal = transaction.some((call) => holdsPart(call, marker));
    if (recordSynced === undefined && !isInWal) {
      return fault('its batch file was never synced after it');
    }
    const created = calls.find(
      ({ name, strings, result }) =>
        name === 'openat' && result >= 0 && strings[0]?.toString() === record.target,
    );
    const named = syncs.find(
      ({ target, start }) =>
        target === dirname(record.target) && created !== undefined && start > created.end,
    );
    const rowStart = (wal[at] as SystemCall).start;
    if (named === undefined || named.end >= rowStart) {
      return fault('the name of its batch file was not synced first');
    }
    if (!isInWal && rowStart <= (recordSynced?.end ?? Number.POSITIVE_INFINITY)) {
      return fault('its row was written before its batch file was synced');
    }
    const synced = syncs.find(({ target, start }) => WAL.test(target) && start > committed.end);
    if (synced === undefined) return fault('the WAL was never synced after it');
    if (synced.end < acknowledged.start) return [];
    const why = redoFault(calls, marker, { acknowledged, committed: synced });
    return why === null ? [] : fault(why);
  });
}

/** Envelopes that were acknowledged on the strength of the redo file: the sync of the WAL came later. */
export function deferredAmong(
  calls: readonly SystemCall[],
  envelopes: readonly TracedEnvelope[],
): number {
  const redo = calls.filter(isRedoWrite);
  return envelopes.filter(({ marker }) => redo.some((call) => holds(call, marker))).length;
}

/** What is wrong with the way of an envelope whose PUBACK did not wait for the sync of the WAL; null when nothing is. */
function redoFault(
  calls: readonly SystemCall[],
  marker: Uint8Array,
  { acknowledged, committed }: { acknowledged: SystemCall; committed: SystemCall },
): string | null {
  const redo = calls.filter(isRedoWrite);
  const record = redo.find((call) => holds(call, marker));
  if (record === undefined) {
    return `PUBACK on line ${acknowledged.start}, before the sync that ends on line ${committed.end}`;
  }
  const synced = calls.find(
    ({ name, target, start, result }) =>
      SYNCS.has(name) && target === record.target && start > record.end && result === 0,
  );
  if (synced === undefined || synced.end >= acknowledged.start) {
    return `PUBACK on line ${acknowledged.start}, before the redo file was synced`;
  }
  const over = redo.find(
    (call) =>
      call.start > record.end &&
      call.position < record.position + record.result &&
      record.position < call.position + call.result,
  );
  if (over !== undefined && over.start <= committed.end) {
    return `its record was written over on line ${over.start}, before the sync that ends on line ${committed.end}`;
  }
  return null;
}

function isRedoWrite({ name, target }: SystemCall): boolean {
  return WRITES.has(name) && REDO_FILE.test(target);
}

function holds({ strings }: SystemCall, bytes: Uint8Array): boolean {
  return strings.some((string) => string.includes(Buffer.from(bytes)));
}

/** Whether a call wrote either half of some bytes: a page may end within them. */
function holdsPart(call: SystemCall, bytes: Uint8Array): boolean {
  const half = bytes.length / 2;
  return holds(call, bytes.subarray(0, half)) || holds(call, bytes.subarray(half));
}

function isCommitHeader({ strings }: SystemCall): boolean {
  const [bytes] = strings;
  return bytes?.length === FRAME_HEADER_BYTES && bytes.readUInt32BE(4) !== 0;
}

/** PUBACKs (MQTT 3.1.1 §3.4: 0x40 0x02 and the packet id) by packet id, the first of each. */
function readAcknowledgements(calls: readonly SystemCall[]): Map<number, SystemCall> {
  const found = new Map<number, SystemCall>();
  for (const call of calls) {
    if (!WRITES.has(call.name) || !/^(TCP|socket):/.test(call.target)) continue;
    const bytes = Buffer.concat(call.strings);
    for (let at = 0; at + 4 <= bytes.length; at += 4) {
      // Clients of this test subscribe to nothing, so PUBACKs come alone or in a row.
      if (bytes.readUInt16BE(at) !== 0x4002) break;
      const messageId = bytes.readUInt16BE(at + 2);
      if (!found.has(messageId)) found.set(messageId, call);
    }
  }
  return found;
}

export interface RenameReport {
  /** Renames that were looked at, by the folder of the new name. */
  readonly renames: readonly string[];
  readonly faults: readonly string[];
}

/**
 * What is wrong with renames under the given folders: the folder of each new name must be synced before
 * anything is written that may build on it: the ledger or any file in one of the folders.
 *
 * @param folders or single files.
 */
export function renameFaults(
  calls: readonly SystemCall[],
  folders: readonly string[],
): RenameReport {
  const isWithin = (path: string) =>
    folders.some((folder) => path === folder || path.startsWith(`${folder}/`));
  const renames: string[] = [];
  const faults: string[] = [];
  for (const call of calls) {
    const path = call.strings.at(-1)?.toString() ?? '';
    if (!RENAMES.has(call.name) || call.result !== 0 || !isWithin(path)) continue;
    const parent = dirname(path);
    renames.push(path);
    const synced = calls.find(
      ({ name, target, start, result }) =>
        SYNCS.has(name) && target === parent && start > call.end && result === 0,
    );
    if (synced === undefined) {
      faults.push(`${path}: its folder was never synced after the rename`);
      continue;
    }
    const hasty = calls.find(
      ({ name, target, start }) =>
        WRITES.has(name) &&
        start > call.end &&
        start < synced.end &&
        (WAL.test(target) || isWithin(target)),
    );
    if (hasty !== undefined) {
      faults.push(`${path}: ${hasty.target} was written before the rename was durable`);
    }
  }
  return { renames, faults };
}
