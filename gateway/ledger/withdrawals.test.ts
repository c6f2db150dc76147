import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { didFromKey, ENTRY_BYTES, toHex } from '@waystone/proto';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { BATCH_FILE_HEADER, batchFile } from '../core/batch-file.js';
import type { BatchRow, RestOfBatch } from '../core/ports.js';
import type { Offender } from '../core/withdrawal.js';
import { ledgerQueries } from './queries.js';
import { makeEnvelope, quickKey, TestLedger } from './testing.js';
import { entryPlaces } from './withdrawals.js';

const SESSION = '07'.repeat(16);
const NOW_US = 1_800_000_000_000_000;
const key = quickKey('secp256k1', 'withdrawn');
const other = quickKey('P-256', 'withdrawn');

let folder: string;
let ledger: TestLedger;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'waystone-withdrawals-'));
  ledger = new TestLedger(join(folder, 'ledger.sqlite'));
});
afterEach(() => {
  ledger.crash();
  rmSync(folder, { recursive: true });
});

/** Stores entries of two devices in turns and seals them. @returns the rows of the batch. */
function seal(entries: number, first = 0): BatchRow[] {
  const ids = [key, other].map(({ publicKey }) => {
    const did = didFromKey(publicKey);
    const known = ledger.calls.devices().find((device) => device.did === did);
    return (known ?? ledger.calls.enrol(did, '', NOW_US)).id;
  });
  ledger.commit([], () => {
    if (first > 0) return;
    for (const id of ids) ledger.calls.enter(id, SESSION, 1, NOW_US);
  });
  ledger.commit(
    Array.from({ length: entries }, (_, at) => ({
      device: ids[at % 2] as number,
      payload: makeEnvelope(at % 2 === 0 ? key : other, { session: SESSION, first: first + at }),
      receivedAtUs: NOW_US + at,
    })),
  );
  ledger.commit([], () => ledger.calls.closeDue(NOW_US, true));
  const [due] = ledger.calls.sealing();
  const rows = ledger.batchRows(due?.id ?? 0).map(copyOf);
  ledger.sealAll(NOW_US + 1000);
  return rows;
}

const copyOf = ({ entry, frames }: BatchRow): BatchRow => ({
  entry: Buffer.from(entry),
  frames: Buffer.from(frames),
});

/** What is left of the rows, written as the dataset thread writes it. */
function restOf(rows: readonly BatchRow[], offenders: readonly Offender[]): RestOfBatch | null {
  const left = rows.filter((_, at) => !offenders.some(({ index }) => index === at));
  if (left.length === 0) return null;
  const file = join(folder, 'rest');
  const records = left.flatMap(({ entry, frames }) => {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(frames.length);
    return [entry, length, frames];
  });
  writeFileSync(file, Buffer.concat([BATCH_FILE_HEADER, ...records]));
  return {
    file,
    entries: left.length,
    frames: left.length,
    bytes: left.reduce((sum, { frames }) => sum + frames.length, 0),
    lastReceivedAtUs: Number(Buffer.from(left.at(-1)?.entry ?? []).readBigUInt64BE(264)),
    devices: [...new Set(left.map(({ entry }) => toHex(entry.subarray(48, 80))))],
  };
}

function withdraw(batch: number, rows: readonly BatchRow[], offenders: Offender[]): number | null {
  let successor: number | null = null;
  ledger.commit([], () => {
    const rest = restOf(rows, offenders);
    successor = ledger.calls.withdraw({ batch, chainId: 1, offenders, rest, atUs: NOW_US + 5 });
  });
  return successor;
}

const offence = (index: number): Offender => ({ index, code: 'DEVICE_REVOKED' });

it('withdraws a dataset, and what is left is a batch like others', () => {
  const rows = seal(6);
  const clock = ledger.calls.clockMemory();
  const successor = withdraw(1, rows, [offence(1), offence(5)]) as number;
  expect(ledger.calls.sealing()).toMatchObject([{ id: successor, state: 'due', entries: 4 }]);
  expect(ledger.batchRows(successor).map(copyOf)).toEqual([0, 2, 3, 4].map((at) => rows[at]));
  expect(ledger.calls.forgeReady(10)).toEqual([]);
  expect(ledger.calls.clockMemory()).toEqual(clock);

  const queries = ledgerQueries(ledger.db);
  expect(queries.totals().batches).toMatchObject({ withdrawn: 1, sealing: 1, sealed: 0 });
  expect(queries.batch(1)).toMatchObject({
    state: 'withdrawn',
    withdrawal: {
      atUs: NOW_US + 5,
      reasons: { DEVICE_REVOKED: 2 },
      successor,
      successorRoot: null,
    },
  });
  expect(queries.batch(successor)).toMatchObject({
    entries: 4,
    devices: 2,
    lastReceivedAtUs: NOW_US + 4,
    dueWhy: 'it is what was left of batch 1, which was withdrawn',
  });

  // Done again it is the same, and the next batch is another one.
  expect(withdraw(1, rows, [offence(0)])).toBe(successor);
  seal(2, 100);
  expect(queries.datasets(10).map(({ id, state }) => [id, state])).toEqual([
    [successor + 1, 'sealed'],
    [successor, 'sealed'],
    [1, 'withdrawn'],
  ]);
  expect(queries.batch(1)?.withdrawal?.successorRoot).toBe(queries.batch(successor)?.root);
});

it('knows where each entry is now, however often its dataset was withdrawn', () => {
  const rows = seal(6);
  const second = withdraw(1, rows, [offence(1)]) as number;
  ledger.sealAll(NOW_US + 2000);
  const left = rows.filter((_, at) => at !== 1);
  const third = withdraw(second, left, [offence(0), offence(4)]) as number;
  const placeNow = entryPlaces(ledger.db);
  expect(rows.map((_, at) => placeNow(1, at))).toEqual([
    { batch: second, batchIndex: 0, offence: 'DEVICE_REVOKED' },
    { batch: 1, batchIndex: 1, offence: 'DEVICE_REVOKED' },
    { batch: third, batchIndex: 0, offence: null },
    { batch: third, batchIndex: 1, offence: null },
    { batch: third, batchIndex: 2, offence: null },
    { batch: second, batchIndex: 4, offence: 'DEVICE_REVOKED' },
  ]);
  const queries = ledgerQueries(ledger.db);
  expect(queries.locate(didFromKey(key.publicKey), SESSION, 1, 2)).toMatchObject({
    batch: third,
    batchIndex: 0,
  });
  const reference = { session: SESSION, stream: 1, firstSequence: 1 };
  const device = ledger.calls.devices().find(({ did }) => did === didFromKey(other.publicKey))
    ?.id as number;
  expect(ledger.calls.owedReceipts(device, [reference])).toMatchObject([
    { batch: 1, batchIndex: 1, offence: 'DEVICE_REVOKED' },
  ]);
});

it('leaves no batch behind when every entry offends', () => {
  const rows = seal(2);
  expect(withdraw(1, rows, [offence(0), offence(1)])).toBeNull();
  expect(ledger.calls.sealing()).toEqual([]);
  expect(ledgerQueries(ledger.db).batch(1)?.withdrawal).toMatchObject({ successor: null });
});

it('is undone with its transaction: the file of a batch that never came to be goes at the next start', () => {
  const rows = seal(4);
  const rest = restOf(rows, [offence(0)]);
  const request = { batch: 1, chainId: 1, offenders: [offence(0)], rest, atUs: NOW_US };
  expect(() =>
    ledger.commit([], () => {
      ledger.calls.withdraw(request);
      throw new Error('the disk is full');
    }),
  ).toThrow('the disk is full');
  expect(existsSync(batchFile(folder, 2))).toBe(true);
  expect(ledger.calls.forgeReady(10)).toHaveLength(1);
  ledger.crash();
  ledger = new TestLedger(join(folder, 'ledger.sqlite'));
  expect(existsSync(batchFile(folder, 2))).toBe(false);
  expect(withdraw(1, rows, [offence(0)])).toBe(2);
  // And one that did come to be is there after a start.
  ledger.crash();
  ledger = new TestLedger(join(folder, 'ledger.sqlite'));
  expect(ledger.batchRows(2).map(copyOf)).toEqual(rows.slice(1));
});

it('closes an intent for it, and refuses when a transaction may be on chain', () => {
  const rows = seal(2);
  const [ready] = ledger.calls.forgeReady(1);
  const { logId, index } = ready as { logId: string; index: number };
  const intent = {
    key: 'dataset:1:0xab',
    chainId: 1,
    kind: 'dataset',
    logId,
    index,
    payload: '{}',
  };
  const tx = {
    ...{ hash: '0x01', purpose: 'commit', chainId: 1, account: '0xaa', nonce: 3, raw: '0x' },
    ...{ gasLimit: 1, maxFeeWei: '1', tipWei: '1' },
  };
  const bundle = { ...intent, kind: 'setup', logId: null, index: null, key: 'bundle:1:commit:0x2' };
  const payload = JSON.stringify({ purpose: 'commit', members: [intent.key, 'dataset:1:0xcd'] });
  ledger.calls.addIntent(intent as never);
  ledger.calls.addIntent({ ...bundle, payload } as never);
  ledger.calls.addTransaction({ ...tx, intentKey: bundle.key });
  const begun = expect.objectContaining({ code: 'FORGE_INTENT_BEGUN' });
  expect(() => withdraw(1, rows, [offence(0)])).toThrow(begun);
  ledger.calls.markLost('0x01');
  expect(() => withdraw(1, rows, [offence(0)])).toThrow(begun);
  expect(ledger.calls.intent(intent.key)).not.toBeNull();
  // Something else has its nonce for good, so that it can never come.
  ledger.calls.addTransaction({ ...tx, hash: '0x02', intentKey: bundle.key, purpose: 'setup' });
  ledger.calls.markMined('0x02', { number: 7, hash: '0xbb' });
  expect(withdraw(1, rows, [offence(0)])).toBe(2);
  expect(ledger.calls.intent(intent.key)).toBeNull();
});

it('compares entries with the receipts that were given for them', () => {
  const rows = seal(3);
  const { unlikeReceipt } = ledgerQueries(ledger.db);
  const entries = rows.map(({ entry }) => Buffer.from(entry));
  expect(unlikeReceipt(Buffer.concat(entries))).toEqual([]);
  const changed = Buffer.from(entries[1] ?? []);
  changed.writeBigUInt64BE(1n, ENTRY_BYTES - 16);
  expect(unlikeReceipt(Buffer.concat(entries.with(1, changed)))).toEqual([1]);
});
