import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { decodeEntry, didFromKey, INGEST_FLAGS } from '@waystone/proto';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { testKeyNamed } from '../../proto/test-data/test-signer.js';
import { ledgerQueries } from './queries.js';
import { makeEnvelope, TestLedger } from './testing.js';

const SECOND_US = 1_000_000;
const HOUR_US = 3_600 * SECOND_US;
const DAY_US = 24 * HOUR_US;
const NOW_US = 1_800_000_000 * SECOND_US;
const SESSION = '11'.repeat(16);
const KEY = testKeyNamed('secp256k1', 'ledger device');

let folder: string;
let ledger: TestLedger;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'waystone-time-'));
  ledger = new TestLedger(join(folder, 'ledger.sqlite'), { ageSecondsMax: 600 });
  ledger.calls.enrol(didFromKey(KEY.publicKey), '', NOW_US);
  ledger.calls.enter(1, SESSION, 1, NOW_US);
});
afterEach(() => {
  ledger.crash();
  rmSync(folder, { recursive: true, force: true });
});

let sequence = 0;
/** One envelope at each of these times; with a minus sign in front, by a clock that is not trusted. */
function store(...timesUs: number[]): void {
  for (const timeUs of timesUs) {
    const clockTrusted = timeUs > 0;
    const payload = makeEnvelope(KEY, { session: SESSION, first: sequence++ });
    ledger.commit([{ device: 1, payload, receivedAtUs: Math.abs(timeUs), clockTrusted }]);
  }
}

function batches(): { id: number; state: string; why: string | null; entries: number }[] {
  return ledger.rows('SELECT id, state, due_why AS why, entries FROM batches ORDER BY id');
}

/** Takes a due batch to sealed, and its dataset to forged if asked. @returns the time in its checkpoint. */
function seal(id: number, nowUs: number, forgedAtUs?: number | null): number {
  const { sealedAtUs, logId, logIndex } = ledger.calls.freeze(id, nowUs);
  const root = new Uint8Array(32).fill(id);
  ledger.calls.appendLog(id, { root, count: 1, manifestHash: root, minTimeUs: 1, maxTimeUs: 2 });
  ledger.calls.markSealed(id);
  if (forgedAtUs !== undefined) {
    const log = Buffer.from(logId as Uint8Array).toString('hex');
    const token = { chainId: 1, tokenId: '1', classId: '1', owner: '', datasetForge: '', dat: '' };
    ledger.calls.forgeForged(
      {
        logId: log,
        index: logIndex as number,
        root: Buffer.from(root).toString('hex'),
        manifestHash: '',
        transaction: null,
        blockNumber: 1,
        ...token,
      },
      forgedAtUs,
    );
  }
  return sealedAtUs as number;
}

it('closes a batch that the clock leaves behind, at the next entry or at the next look', () => {
  store(NOW_US, NOW_US + HOUR_US, NOW_US + SECOND_US);
  expect(batches()).toEqual([
    { id: 1, state: 'due', why: 'the clock stepped back', entries: 2 },
    { id: 2, state: 'open', why: null, entries: 1 },
  ]);
  // Opened in 2040, and nothing came since: it would be open until 2040.
  store(NOW_US + 4_000 * DAY_US);
  expect(ledger.calls.closeDue(NOW_US, false)).toEqual([2]);
  expect(batches()[1]).toMatchObject({ state: 'due', why: 'the clock stepped back', entries: 2 });
  store(NOW_US + 5 * SECOND_US);
  expect(ledger.calls.closeDue(NOW_US, false)).toEqual([]);
});

it('lets no receive time go back within a batch, whatever the clock does', () => {
  const seconds = [0, 3, 1, -1, 9, 4.5, 100, 96, 20, 21, 7200, 7199, 0, 1];
  store(...seconds.map((s) => NOW_US + s * SECOND_US));
  for (const { id } of batches()) {
    const times = ledger.batchRows(id).map(({ entry }) => decodeEntry(entry).receivedAtUs);
    expect(times).toEqual(times.toSorted((a, b) => a - b));
  }
  expect(batches().reduce((sum, { entries }) => sum + entries, 0)).toBe(seconds.length);
  expect(batches()).toHaveLength(3);
});

it('does not mix entries of a trusted clock with others, and flags those, over a restart too', () => {
  store(-30 * SECOND_US, -31 * SECOND_US);
  ledger.crash();
  ledger = new TestLedger(join(folder, 'ledger.sqlite'));
  store(-32 * SECOND_US, NOW_US, NOW_US + 1, -(NOW_US + 2));
  expect(batches()).toEqual([
    { id: 1, state: 'due', why: 'the clock is trusted now', entries: 3 },
    { id: 2, state: 'due', why: 'the clock is not trusted', entries: 2 },
    { id: 3, state: 'open', why: null, entries: 1 },
  ]);
  const flags = [1, 2, 3].map((id) =>
    ledger.batchRows(id).map(({ entry }) => decodeEntry(entry).flags),
  );
  const flag = INGEST_FLAGS.clockUntrusted;
  expect(flags).toEqual([[flag, flag, flag], [0, 0], [flag]]);
});

it('closes what was begun in 1970 once the clock is right', () => {
  store(-30 * SECOND_US);
  expect(ledger.calls.closeDue(60 * SECOND_US, false)).toEqual([]);
  expect(ledger.calls.closeDue(NOW_US, false)).toEqual([1]);
});

it('seals no batch before its last entry came, and orders the log by its index alone', () => {
  store(NOW_US + 4_000 * DAY_US, NOW_US, -SECOND_US);
  ledger.calls.closeDue(NOW_US, true);
  const due = ledger.calls.sealing().map(({ id }) => id);
  expect(due).toEqual([1, 2, 3]);
  const times = due.map((id) => seal(id, SECOND_US * 30));
  expect(times).toEqual([NOW_US + 4_000 * DAY_US, NOW_US, 30 * SECOND_US]);
  const log = ledger.rows<{ log_index: number; id: number }>(
    'SELECT id, log_index FROM batches ORDER BY log_index',
  );
  expect(log).toEqual(due.map((id, at) => ({ id, log_index: at })));
});

it('says of a device when it was last seen, and not the latest time that a clock ever showed', () => {
  store(NOW_US + 4_000 * DAY_US);
  ledger.calls.writeCounters();
  store(NOW_US);
  ledger.calls.writeCounters();
  expect(ledgerQueries(ledger.db).devices(10, 0)[0]).toMatchObject({ lastSeenUs: NOW_US });
});

it('remembers the newest time of a trusted clock, and for how long it was doubted', () => {
  expect(ledger.calls.clockMemory()).toEqual({ believedUs: null, doubtedMs: 0 });
  store(NOW_US + DAY_US, -(NOW_US + 4_000 * DAY_US), -30 * SECOND_US);
  expect(ledger.calls.clockMemory()).toEqual({ believedUs: NOW_US + DAY_US, doubtedMs: 0 });
  ledger.calls.keepClockDoubt(600_000);
  expect(ledger.calls.clockMemory()).toEqual({ believedUs: NOW_US + DAY_US, doubtedMs: 600_000 });
  // The doubt was about that time alone.
  store(NOW_US + 2 * DAY_US);
  expect(ledger.calls.clockMemory()).toEqual({ believedUs: NOW_US + 2 * DAY_US, doubtedMs: 0 });
});

it('intends in the order in which it was asked, whatever the clock showed', () => {
  const clock = { nowUs: NOW_US };
  const intents = ['a', 'b', 'c'].map((key, index) => ({
    key,
    chainId: 1,
    kind: 'dataset' as const,
    logId: key === 'a' ? 'ff' : '00',
    index,
    payload: key,
  }));
  const insert = ledger.db.prepare('UPDATE chain_intent SET created_at_us = ? WHERE key = ?');
  for (const intent of intents) {
    ledger.calls.addIntent(intent);
    clock.nowUs -= DAY_US;
    insert.run(clock.nowUs, intent.key);
  }
  expect(ledger.calls.openIntents(1, 'dataset').map(({ key }) => key)).toEqual(['a', 'b', 'c']);
});

it('keeps a forged dataset its days from when a clock could tell that it was forged', () => {
  const queries = ledgerQueries(ledger.db);
  const limits = { forgedBytesMax: 0, forgedDaysKept: 3 };
  const removable = (nowUs: number) => queries.removable(limits, nowUs).map(({ batch }) => batch);
  for (const timeUs of [NOW_US, NOW_US + DAY_US, NOW_US + 2 * DAY_US]) {
    store(timeUs);
    ledger.calls.closeDue(timeUs, true);
  }
  seal(1, NOW_US, NOW_US);
  seal(2, NOW_US, null);
  seal(3, NOW_US, NOW_US + 900 * DAY_US);
  expect(removable(NOW_US + 2 * DAY_US)).toEqual([]);
  expect(removable(NOW_US + 4 * DAY_US)).toEqual([1]);
  expect(queries.hasUndated(NOW_US + 4 * DAY_US)).toBe(true);
  ledger.calls.dateForged(NOW_US + 4 * DAY_US);
  expect(queries.hasUndated(NOW_US + 4 * DAY_US)).toBe(false);
  expect(removable(NOW_US + 6 * DAY_US)).toEqual([1]);
  expect(removable(NOW_US + 8 * DAY_US)).toEqual([1, 2, 3]);
  ledger.calls.markRemoved(1, NOW_US);
  expect(removable(NOW_US + 8 * DAY_US)).toEqual([2, 3]);
  expect(queries.removedAmong(['01'.repeat(32), '02'.repeat(32)])).toEqual(['01'.repeat(32)]);
});

it('removes for their bytes those first that were begun first, whatever their dates', () => {
  const queries = ledgerQueries(ledger.db);
  for (const timeUs of [NOW_US, NOW_US, NOW_US]) {
    store(timeUs);
    ledger.calls.closeDue(timeUs, true);
  }
  seal(1, NOW_US, NOW_US + 900 * DAY_US);
  seal(2, NOW_US, null);
  seal(3, NOW_US, SECOND_US);
  const { forgedBytes } = queries.diskUse();
  const removable = (forgedBytesMax: number) =>
    queries.removable({ forgedBytesMax, forgedDaysKept: 0 }, NOW_US).map(({ batch }) => batch);
  expect(removable(forgedBytes)).toEqual([]);
  expect(removable(forgedBytes - 1)).toEqual([1]);
  expect(removable(Math.floor(forgedBytes / 2))).toEqual([1, 2]);
  expect(removable(1)).toEqual([1, 2, 3]);
});

it('counts the age of what is not forged from the first batch of a trusted clock', () => {
  const queries = ledgerQueries(ledger.db);
  expect(queries.diskUse().oldestUnforgedUs).toBeNull();
  store(-30 * SECOND_US);
  expect(queries.diskUse().oldestUnforgedUs).toBeNull();
  store(NOW_US, NOW_US - DAY_US);
  expect(queries.diskUse().oldestUnforgedUs).toBe(NOW_US);
  ledger.calls.closeDue(NOW_US, true);
  seal(1, NOW_US, null);
  seal(2, NOW_US, NOW_US);
  expect(queries.diskUse().oldestUnforgedUs).toBe(NOW_US - DAY_US);
});
