import {
  ENTRY_BYTES,
  ENVELOPE_HEADER_BYTES,
  encodeReceiptBody,
  equalBytes,
  HASH_BYTES,
  hashInto,
  INGEST_FLAGS,
  leafHash,
  leafHashInto,
  type ReceiptBody,
  readStatement,
  receiptBytes,
  STATEMENT_BYTES,
  type Statement,
  sha256,
  statementBytesOf,
  statementHash,
  toHex,
  writeEntry,
  writeReceipt,
} from '@waystone/proto';
import type Database from 'better-sqlite3';
import { WaystoneError } from '../core/errors.js';
import { DecisionPacker, type PackedDecisions } from '../core/packed.js';
import type { Decision, DeviceRecord, VerifiedBatch } from '../core/ports.js';
import { Answers, type ReceiptMaker, type SignedTree } from '../core/receipt-maker.js';
import { describeRefusal, type Refusal } from '../core/refusal.js';
import type { BatchTable, OpenBatch } from './batches.js';
import type { Counters } from './counters.js';
import type { DeviceTable } from './devices.js';
import { GapTable } from './gaps.js';
import { missingStatement, type RangeTable } from './ranges.js';
import type { RedoGroup, RedoRecorder } from './redo-record.js';

/** Refusal rows kept per device and day (UTC); beyond that refusals are only counted. */
export const REFUSAL_ROWS_PER_DEVICE_DAY_MAX = 1000;

/** Receipt trees of earlier groups kept in memory; a tree has a few thousand leaves at most. */
const TREES_KEPT = 8;

/** Streams of sessions whose highest stored sequence is kept in memory. */
const HIGHEST_KEPT = 100_000;

/** V8 keeps typed arrays up to 64 bytes on its heap, and moves one out when a library asks for its bytes. */
const SCRATCH_BYTES = 128;

const DAY_US = 86_400_000_000;
const STATEMENT_AT = 8;
const SIGNATURE_AT = STATEMENT_AT + STATEMENT_BYTES;

type VerifiedItem = VerifiedBatch['items'][number];

/** What an envelope is stored with. */
interface StoreTo {
  readonly group: number;
  readonly answers: Pick<Answers, 'add'>;
  /** Batches that got entries. */
  readonly grown: Set<OpenBatch>;
  readonly recorder: RedoRecorder | null;
}

interface StatementRow {
  last: number;
  hash: Buffer;
  entry_leaf: Buffer;
  grp: number;
  grp_index: number;
}

/** A decision whose receipt is still to be made. */
interface Judged extends Omit<Decision, 'receipt'> {
  /** Index of its answer in the group's; of a duplicate -1. */
  readonly index: number;
  /** A duplicate's answer, and where it was given first. */
  readonly before: {
    readonly group: number;
    readonly index: number;
    readonly body: Uint8Array;
  } | null;
}

/** A group that is still to be made durable. */
export interface JudgedGroup {
  readonly group: number;
  readonly judged: readonly Judged[];
  /** Of all but duplicates, in order. */
  readonly answers: Answers;
  /** Statements that were stored. */
  readonly stored: number;
}

/**
 * Decides what becomes of verified envelopes, a commit group at a time. {@link judge} runs inside the group's
 * transaction; {@link decisions} after it is on disk.
 */
export class Committer {
  readonly #db: Database.Database;
  readonly #devices: DeviceTable;
  readonly #batches: BatchTable;
  readonly #counters: Counters;
  readonly #ranges: RangeTable;
  readonly #receiptMaker: ReceiptMaker;
  readonly #refusalRows = new Map<string, number>();
  readonly #trees = new Map<number, SignedTree>();
  /** The highest stored sequence, by session and stream: what lies beyond it overlaps nothing. */
  readonly #highest = new Map<string, number>();
  /** Rises while the process lives, so that a kept tree is never taken for another group's. */
  #nextGroup = 1;
  readonly #getStatement: Database.Statement;
  readonly #insertStatement: Database.Statement;
  readonly #gaps: GapTable;
  readonly #insertRefusal: Database.Statement;
  readonly #insertGroup: Database.Statement;
  readonly #getGroup: Database.Statement;
  /** Of the envelope that is being stored. They lie outside of the heap, where SQLite reads them as they are. */
  readonly #entry = new Uint8Array(ENTRY_BYTES);
  readonly #hash = new Uint8Array(SCRATCH_BYTES).subarray(0, HASH_BYTES);
  readonly #entryLeaf = new Uint8Array(SCRATCH_BYTES).subarray(0, HASH_BYTES);

  constructor(
    db: Database.Database,
    deps: {
      devices: DeviceTable;
      batches: BatchTable;
      counters: Counters;
      ranges: RangeTable;
      receiptMaker: ReceiptMaker;
    },
  ) {
    this.#db = db;
    this.#devices = deps.devices;
    this.#batches = deps.batches;
    this.#counters = deps.counters;
    this.#ranges = deps.ranges;
    this.#receiptMaker = deps.receiptMaker;
    this.#getStatement = db.prepare(
      'SELECT last, hash, entry_leaf, grp, grp_index FROM statements WHERE id = ?',
    );
    this.#insertStatement = db.prepare(
      `INSERT INTO statements (session, stream, first, last, hash, entry_leaf, grp, grp_index, batch, batch_index)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    );
    this.#gaps = new GapTable(db);
    this.#insertRefusal = db.prepare(
      'INSERT INTO refusals (at_us, device, code, statement, detail) VALUES (?, ?, ?, ?, ?)',
    );
    this.#insertGroup = db.prepare('INSERT INTO groups (id, log_id, leaves) VALUES (?, ?, ?)');
    this.#getGroup = db.prepare('SELECT log_id, leaves FROM groups WHERE id = ?');
    this.reload();
  }

  /** Forgets what a transaction that was undone may have left in memory. */
  reload(): void {
    this.#trees.clear();
    this.#refusalRows.clear();
    this.#highest.clear();
    this.#nextGroup = this.#db
      .prepare('SELECT COALESCE(MAX(id) + 1, 1) FROM groups')
      .pluck()
      .get() as number;
  }

  /**
   * Writes a group. Throws only when the database does; then nothing of it is on disk.
   *
   * @param recorder is told what was stored, if it is given.
   */
  judge(batches: readonly VerifiedBatch[], recorder: RedoRecorder | null = null): JudgedGroup {
    const group = this.#nextGroup++;
    const judged: Judged[] = [];
    const answers = new Answers(batches.reduce((sum, { items }) => sum + items.length, 0));
    const grown = new Set<OpenBatch>();
    let stored = 0;
    for (const batch of batches) {
      for (const item of batch.items) {
        const payload = new Uint8Array(batch.buffer, item.offset, item.length);
        const answer =
          item.refusal === null
            ? this.#store(item, payload, { group, answers, grown, recorder })
            : this.#refuse(item, payload, item.refusal, answers);
        judged.push(answer);
        // Within the transaction, so that counters written later in it do not mark more than they count.
        this.#count(answer, item.receivedAtUs);
        if (answer.kind === 'stored') stored += 1;
      }
    }
    this.#batches.writeCounts(grown);
    // Refusals alone are not kept: they are judged and answered anew if they come again.
    if (stored > 0) this.#insertGroup.run(group, this.#receiptMaker.logId, answers.leaves);
    return { group, judged, answers, stored };
  }

  /**
   * Writes again what {@link judge} stored, in a transaction.
   *
   * @returns statements that were stored.
   * @throws WaystoneError LEDGER_BROKEN when that is not what comes out now.
   */
  replay({ group, items, leaves }: RedoGroup): number {
    const grown = new Set<OpenBatch>();
    for (const { device, receivedAtUs, clockTrusted, answer, payload } of items) {
      const place = { ticket: 0, device, offset: 0, length: payload.length };
      const item = { ...place, receivedAtUs, clockTrusted, refusal: null };
      const answers = { add: (body: ReceiptBody) => sameAnswer(body, { group, answer, leaves }) };
      const to = { group, answers, grown, recorder: null };
      const judged = this.#store(item, payload, to);
      if (judged.kind !== 'stored') throw notReplayed(group, `${judged.kind}, not stored`);
      this.#count(judged, receivedAtUs);
    }
    this.#batches.writeCounts(grown);
    this.#insertGroup.run(group, this.#receiptMaker.logId, leaves);
    this.#nextGroup = Math.max(this.#nextGroup, group + 1);
    return items.length;
  }

  /** The answers to a group that is on disk. */
  decisions({ judged, answers }: JudgedGroup): PackedDecisions {
    const signed = answers.size === 0 ? null : this.#receiptMaker.sign(answers.leaves);
    const receipts = judged.map(({ index, before }) =>
      before === null
        ? { tree: (signed as SignedTree).tree, index, entry: null }
        : this.#receiptMaker.receipt(this.#tree(before.group), before.index, before.body),
    );
    const sizes = receipts.map((one) =>
      one instanceof Uint8Array ? one.length : receiptBytes(one),
    );
    const packer = new DecisionPacker(
      judged.length,
      sizes.reduce((sum, size) => sum + size, 0),
    );
    for (let k = 0; k < judged.length; k++) {
      const receipt = receipts[k] as (typeof receipts)[number];
      if (receipt instanceof Uint8Array) packer.receipts.set(receipt, packer.receiptAt);
      else {
        const { front } = signed as SignedTree;
        const body = answers.body(receipt.index);
        writeReceipt(packer.receipts, packer.receiptAt, front, body, receipt);
      }
      packer.add(judged[k] as Judged, sizes[k] as number);
    }
    return packer.packed();
  }

  /** The `stored` receipt of a statement that is in the table. */
  storedReceipt(
    device: Uint8Array,
    row: { hash: Uint8Array; entry_leaf: Uint8Array; grp: number; grp_index: number },
  ): Uint8Array {
    const body: ReceiptBody = {
      device,
      statement: row.hash,
      outcome: { kind: 'stored', entryLeaf: row.entry_leaf },
    };
    return this.#receiptMaker.receipt(this.#tree(row.grp), row.grp_index, encodeReceiptBody(body));
  }

  #store(item: VerifiedItem, payload: Uint8Array, to: StoreTo): Judged {
    const { group, answers, grown, recorder } = to;
    const device = this.#devices.get(item.device);
    const statementBytes = payload.subarray(STATEMENT_AT, SIGNATURE_AT);
    const { statement } = readStatement(statementBytes);
    if (device === undefined || statement === undefined) {
      throw new Error(`envelope ${item.ticket} was passed without a device or statement`);
    }
    const hash = this.#hash;
    hashInto(statementBytes, hash, 0);
    const sessionName = toHex(statement.session);
    const session = this.#devices.session(item.device, sessionName);
    if (session === null) {
      return this.#withoutSession(item, payload, device, sessionName, answers);
    }
    const last = statement.firstSequence + statement.count - 1;
    const streamName = `${session.id}:${statement.stream}`;
    const highest = this.#highestOf(streamName, session.id, statement.stream);
    const overlap =
      statement.firstSequence > highest
        ? null
        : this.#statementAtOrBefore(session.id, statement.stream, last);
    if (overlap !== null && overlap.last >= statement.firstSequence) {
      if (equalBytes(overlap.hash, hash)) {
        return this.#duplicate(item, device.keyId, statement, overlap);
      }
      const storedStatement = toHex(overlap.hash);
      const first = statement.firstSequence;
      return this.#refuse(
        item,
        payload,
        { code: 'RANGE_CONFLICT', first, last, storedStatement },
        answers,
      );
    }
    // Only what is stored is remembered; after that the state of device and session counts.
    if (session.closed) {
      const refusal: Refusal = { code: 'SESSION_CLOSED', session: sessionName };
      return this.#refuse(item, payload, refusal, answers);
    }
    if (device.revokedAtUs !== null) {
      const refusal: Refusal = { code: 'DEVICE_REVOKED', did: device.did };
      return this.#refuse(item, payload, refusal, answers);
    }
    const challengeable = device.publicKey.type !== 'Ed25519';
    const kind = { stream: statement.stream, challengeable, clockTrusted: item.clockTrusted };
    const place = this.#batches.place(kind, item.receivedAtUs);
    const entry = this.#entry;
    writeEntry(entry, 0, {
      statement: statementBytes,
      signature: payload.subarray(SIGNATURE_AT, ENVELOPE_HEADER_BYTES),
      receivedAtUs: place.receivedAtUs,
      flags: item.clockTrusted ? 0 : INGEST_FLAGS.clockUntrusted,
    });
    const entryLeaf = this.#entryLeaf;
    leafHashInto(entry, entryLeaf, 0);
    const row = { entry, frames: payload.subarray(ENVELOPE_HEADER_BYTES) };
    const index = this.#batches.append(place.batch, row, {
      device: item.device,
      frames: statement.count,
      receivedAtUs: place.receivedAtUs,
    });
    grown.add(place.batch);
    const answer = answers.add({
      device: device.keyId,
      statement: hash,
      outcome: { kind: 'stored', entryLeaf },
    });
    const { lastInsertRowid } = this.#insertStatement.run(
      session.id,
      statement.stream,
      statement.firstSequence,
      last,
      hash,
      entryLeaf,
      group,
      answer,
      place.batch.id,
      index,
    );
    this.#ranges.add(
      session.id,
      statement.stream,
      statement.firstSequence,
      Number(lastInsertRowid),
    );
    this.#gaps.stored(session.id, statement.stream, statement.firstSequence, last, highest);
    this.#highest.set(streamName, Math.max(highest, last));
    const { receivedAtUs } = place;
    const { clockTrusted } = item;
    recorder?.add({ device: item.device, receivedAtUs, clockTrusted, answer, payload });
    return {
      ticket: item.ticket,
      device: item.device,
      kind: 'stored',
      frames: statement.count,
      refusal: null,
      retryCode: null,
      index: answer,
      before: null,
    };
  }

  /** An envelope of a session that the table does not hold. */
  #withoutSession(
    item: VerifiedItem,
    payload: Uint8Array,
    device: DeviceRecord,
    session: string,
    answers: Pick<Answers, 'add'>,
  ): Judged {
    if (this.#devices.isPruned(item.device, session)) {
      const refusal: Refusal = { code: 'SESSION_CLOSED', session, pruned: true };
      return this.#refuse(item, payload, refusal, answers);
    }
    // The hello that names it may have been told to wait, and what it names must not be lost meanwhile.
    const waitUs = this.#devices.waitForSession(item.device, item.receivedAtUs);
    if (waitUs === 0) {
      return this.#refuse(item, payload, { code: 'SESSION_UNKNOWN', session }, answers);
    }
    const code = 'SESSIONS_TOO_MANY';
    const index = answers.add({
      device: device.keyId,
      statement: statementHash(payload.subarray(STATEMENT_AT, SIGNATURE_AT)),
      outcome: { kind: 'retry', code, afterSeconds: Math.ceil(waitUs / 1e6) },
    });
    return {
      ticket: item.ticket,
      device: item.device,
      kind: 'retry',
      frames: 0,
      refusal: null,
      retryCode: code,
      index,
      before: null,
    };
  }

  #duplicate(
    item: VerifiedItem,
    device: Uint8Array,
    statement: Statement,
    row: StatementRow,
  ): Judged {
    const body: ReceiptBody = {
      device,
      statement: row.hash,
      outcome: { kind: 'stored', entryLeaf: row.entry_leaf },
    };
    return {
      ticket: item.ticket,
      device: item.device,
      kind: 'duplicate',
      frames: statement.count,
      refusal: null,
      retryCode: null,
      index: -1,
      // A duplicate of this same group finds its group in the table too: it is on disk by the time it is answered.
      before: { group: row.grp, index: row.grp_index, body: encodeReceiptBody(body) },
    };
  }

  #refuse(
    item: VerifiedItem,
    payload: Uint8Array,
    refusal: Refusal,
    answers: Pick<Answers, 'add'>,
  ): Judged {
    const device = this.#devices.get(item.device);
    const statementBytes = statementBytesOf(payload);
    const statement = statementBytes === null ? sha256(payload) : statementHash(statementBytes);
    if (this.#mayKeepRefusal(item.device, item.receivedAtUs)) {
      const detail = describeRefusal(refusal);
      this.#insertRefusal.run(item.receivedAtUs, item.device, refusal.code, statement, detail);
    }
    const index = answers.add({
      device: device?.keyId ?? new Uint8Array(32),
      statement,
      outcome: { kind: 'refused', code: refusal.code },
    });
    return {
      ticket: item.ticket,
      device: item.device,
      kind: 'refused',
      frames: 0,
      refusal,
      retryCode: null,
      index,
      before: null,
    };
  }

  /** The receipt tree of a group that is on disk; the last few are kept, since duplicates come in runs. */
  #tree(group: number): SignedTree {
    const known = this.#trees.get(group);
    if (known !== undefined) return known;
    const row = this.#getGroup.get(group) as { log_id: Buffer; leaves: Buffer };
    const signed = this.#receiptMaker.sign(row.leaves, row.log_id);
    if (this.#trees.size >= TREES_KEPT) this.#trees.delete(this.#trees.keys().next().value ?? 0);
    this.#trees.set(group, signed);
    return signed;
  }

  #highestOf(name: string, session: number, stream: number): number {
    const known = this.#highest.get(name);
    if (known !== undefined) return known;
    if (this.#highest.size >= HIGHEST_KEPT) this.#highest.clear();
    // Ranges are disjoint, so the one that begins last ends last.
    return this.#statementAtOrBefore(session, stream, Number.MAX_SAFE_INTEGER)?.last ?? -1;
  }

  #statementAtOrBefore(session: number, stream: number, sequence: number): StatementRow | null {
    const id = this.#ranges.atOrBefore(session, stream, sequence);
    if (id === null) return null;
    const row = this.#getStatement.get(id) as StatementRow | undefined;
    // Without the row it cannot be told whether a range is stored.
    if (row === undefined) throw missingStatement(id);
    return row;
  }

  #count({ device, kind, frames }: Judged, atUs: number): void {
    if (kind === 'stored') this.#counters.stored(device, frames, atUs);
    else if (kind === 'refused') this.#counters.refused(device, atUs);
    else if (kind === 'duplicate') this.#counters.duplicate(device, atUs);
  }

  #mayKeepRefusal(device: number, atUs: number): boolean {
    const day = Math.floor(atUs / DAY_US);
    const name = `${device}:${day}`;
    let kept = this.#refusalRows.get(name);
    if (kept === undefined) {
      if (this.#refusalRows.size > 10_000) this.#refusalRows.clear();
      const row = this.#db
        .prepare(
          'SELECT COUNT(*) AS kept FROM refusals WHERE device = ? AND at_us >= ? AND at_us < ?',
        )
        .get(device, day * DAY_US, (day + 1) * DAY_US) as { kept: number };
      kept = row.kept;
    }
    const may = kept < REFUSAL_ROWS_PER_DEVICE_DAY_MAX;
    this.#refusalRows.set(name, may ? kept + 1 : kept);
    return may;
  }
}

/** @returns the answer's index, where it was given before. */
function sameAnswer(
  body: ReceiptBody,
  { group, answer, leaves }: { group: number; answer: number; leaves: Uint8Array },
): number {
  const given = leaves.subarray(answer * HASH_BYTES, (answer + 1) * HASH_BYTES);
  if (!equalBytes(given, leafHash(encodeReceiptBody(body)))) {
    throw notReplayed(group, 'with another answer than it was given');
  }
  return answer;
}

function notReplayed(group: number, how: string): WaystoneError {
  return new WaystoneError(
    'LEDGER_BROKEN',
    `an envelope of group ${group} in the redo file comes out ${how}: tables and redo file are not of one ledger. Put the right files back, or restore a backup`,
  );
}
