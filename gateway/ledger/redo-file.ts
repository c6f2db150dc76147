import { createHash, createHmac, randomBytes } from 'node:crypto';
import { closeSync, fdatasyncSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { LOG_ID_BYTES, toHex } from '@waystone/proto';
import { replaceFile, writeFully } from '../core/durable.js';
import { WaystoneError } from '../core/errors.js';

/** Name of the file in the data folder. */
export const REDO_FILE = 'ledger.redo';

/** Part of a schema version: the epoch whose records the tables hold, all of them. */
export const REDO_DDL = `INSERT INTO meta (key, value) VALUES ('redo_epoch', 0);`;

/** Size of the file: what a transaction that stays open may hold. */
const FILE_BYTES = 1024 * 1024;

const MAGIC = Buffer.from('WSREDO01');
const KEY_BYTES = 32;
const SHA256_BYTES = 32;
const HEAD_BYTES = MAGIC.length + LOG_ID_BYTES + KEY_BYTES + SHA256_BYTES;

/** Before a record: its length, epoch and index; after it its authentication code. */
const RECORD_HEAD_BYTES = 14;
const RECORD_FRAME_BYTES = RECORD_HEAD_BYTES + SHA256_BYTES;

/**
 * What is stored but in no committed transaction yet: records of small commit groups, one behind the other, each
 * synced before its group is answered. The rows of many groups are then committed together, and the file is written
 * over from its front under the next epoch. A group so takes one small write to blocks that the file has already, and
 * one sync, where SQLite writes some eight pages and syncs a file that grows.
 *
 * Which epoch the tables hold stands in `meta` and moves in the transaction that commits it, so what counts here is
 * the records of the epoch after that, and nothing once it is committed. What lies behind them is left from earlier
 * epochs and may hold anything that a device sent; so each record is authenticated, with its epoch and index, under a
 * key that does not leave the file.
 *
 * | bytes | what |
 * | --- | --- |
 * | 8, 16, 32, 32 | "WSREDO01", log id, key, SHA-256 of these |
 * | for each record 4, 6, 4, n, 32 | length, epoch, index in the epoch, record, HMAC-SHA-256 of all these |
 */
export class RedoFile {
  readonly #path: string;
  readonly #logId: Uint8Array;
  readonly #fd: number;
  readonly #key: Buffer;
  #epoch: number;
  #index = 0;
  #at = HEAD_BYTES;
  #isEmpty = true;

  private constructor(path: string, logId: Uint8Array, key: Buffer, epoch: number) {
    this.#path = path;
    this.#logId = logId;
    this.#fd = openSync(path, 'r+');
    this.#key = key;
    this.#epoch = epoch;
  }

  /**
   * Opens the file, or makes it where there is none.
   *
   * @param committed the epoch that the tables hold.
   * @throws WaystoneError LEDGER_BROKEN when it is damaged, of another ledger or ahead of the tables: it may hold what
   *   was acknowledged.
   */
  static open(
    dataFolder: string,
    { logId, committed }: { logId: Uint8Array; committed: number },
  ): { file: RedoFile; pending: Buffer[] } {
    const path = join(dataFolder, REDO_FILE);
    const { key, records } = readWhole(path, logId) ?? make(path, logId);
    const pending = pendingAfter(committed, { path, key, records });
    const file = new RedoFile(path, logId, key, committed + 1);
    file.#isEmpty = pending.length === 0;
    return { file, pending };
  }

  /** Bytes that a record may still have. */
  get room(): number {
    return FILE_BYTES - this.#at - RECORD_FRAME_BYTES;
  }

  /**
   * Whether no record of the present epoch can be in it. One that could not be synced may be, though nobody was told so:
   * then the epoch ends with the next transaction all the same, or the next start would store it beside that.
   */
  get isEmpty(): boolean {
    return this.#isEmpty;
  }

  /** The present epoch: the tables hold all before it. */
  get epoch(): number {
    return this.#epoch;
  }

  /** Adds a record and makes it durable. */
  append(record: Uint8Array): void {
    const framed = Buffer.allocUnsafe(RECORD_FRAME_BYTES + record.length);
    framed.writeUInt32BE(record.length, 0);
    framed.writeUIntBE(this.#epoch, 4, 6);
    framed.writeUInt32BE(this.#index, 10);
    framed.set(record, RECORD_HEAD_BYTES);
    const end = RECORD_HEAD_BYTES + record.length;
    framed.set(codeOf(this.#key, framed.subarray(0, end)), end);
    this.#isEmpty = false;
    writeFully(this.#fd, framed, this.#at);
    fdatasyncSync(this.#fd);
    this.#index += 1;
    this.#at += framed.length;
  }

  /** The records of the present epoch, from the disk: their transaction was undone. */
  records(): Buffer[] {
    const whole = readWhole(this.#path, this.#logId);
    const found = whole === null ? [] : pendingOf(whole.records, this.#key, this.#epoch);
    if (found.length < this.#index) {
      throw broken(this.#path, `has ${found.length} of ${this.#index} records`);
    }
    return found;
  }

  /** The records of the present epoch are in the tables. */
  committed(): void {
    this.#epoch += 1;
    this.#index = 0;
    this.#at = HEAD_BYTES;
    this.#isEmpty = true;
  }

  close(): void {
    closeSync(this.#fd);
  }
}

/**
 * How many records of the epoch after `committed` the file holds, for whoever looks at a ledger that is not open; 0
 * when there is no file.
 *
 * @throws WaystoneError LEDGER_BROKEN as {@link RedoFile.open}.
 */
export function pendingRecords(
  dataFolder: string,
  { logId, committed }: { logId: Uint8Array; committed: number },
): number {
  const path = join(dataFolder, REDO_FILE);
  const whole = readWhole(path, logId);
  return whole === null ? 0 : pendingAfter(committed, { path, ...whole }).length;
}

interface WholeFile {
  readonly key: Buffer;
  /** All behind the head. */
  readonly records: Buffer;
}

function readWhole(path: string, logId: Uint8Array): WholeFile | null {
  let bytes: Buffer;
  try {
    bytes = readFileSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
  const keyAt = MAGIC.length + LOG_ID_BYTES;
  const head = bytes.subarray(0, keyAt + KEY_BYTES);
  const sum = bytes.subarray(head.length, HEAD_BYTES);
  if (bytes.length !== FILE_BYTES || !head.subarray(0, MAGIC.length).equals(MAGIC)) {
    throw broken(path, 'is no redo file');
  }
  if (!createHash('sha256').update(head).digest().equals(sum)) {
    throw broken(path, 'is damaged');
  }
  const owner = head.subarray(MAGIC.length, keyAt);
  if (!owner.equals(logId)) throw broken(path, `is of log ${toHex(owner)}`);
  return { key: head.subarray(keyAt), records: bytes.subarray(HEAD_BYTES) };
}

/** Writes all of its blocks, so that none has to be found for a record. */
function make(path: string, logId: Uint8Array): WholeFile {
  const bytes = Buffer.alloc(FILE_BYTES);
  const key = randomBytes(KEY_BYTES);
  const head = Buffer.concat([MAGIC, logId, key]);
  Buffer.concat([head, createHash('sha256').update(head).digest()]).copy(bytes);
  replaceFile(path, bytes, 0o600);
  return { key, records: bytes.subarray(HEAD_BYTES) };
}

/**
 * What the tables do not hold yet. An epoch begins once the one before it is committed, so tables that are further behind
 * have lost commits, or are an old copy.
 */
function pendingAfter(
  committed: number,
  { path, key, records }: WholeFile & { readonly path: string },
): Buffer[] {
  const epoch = records.readUIntBE(4, 6);
  if (epoch > committed + 1 && pendingOf(records, key, epoch).length > 0) {
    throw broken(path, `is of epoch ${epoch}, and the ledger holds ${committed} of them`);
  }
  return pendingOf(records, key, committed + 1);
}

function pendingOf(bytes: Buffer, key: Buffer, epoch: number): Buffer[] {
  const records: Buffer[] = [];
  for (let at = 0; at + RECORD_FRAME_BYTES <= bytes.length; ) {
    const end = at + RECORD_HEAD_BYTES + bytes.readUInt32BE(at);
    if (end + SHA256_BYTES > bytes.length) break;
    const isNext =
      bytes.readUIntBE(at + 4, 6) === epoch && bytes.readUInt32BE(at + 10) === records.length;
    const code = bytes.subarray(end, end + SHA256_BYTES);
    if (!isNext || !code.equals(codeOf(key, bytes.subarray(at, end)))) break;
    records.push(bytes.subarray(at + RECORD_HEAD_BYTES, end));
    at = end + SHA256_BYTES;
  }
  return records;
}

function codeOf(key: Buffer, bytes: Uint8Array): Buffer {
  return createHmac('sha256', key).update(bytes).digest();
}

function broken(path: string, what: string): WaystoneError {
  return new WaystoneError(
    'LEDGER_BROKEN',
    `${path} ${what}, and envelopes that were acknowledged may be in it; put the right file back, or restore a backup`,
  );
}
