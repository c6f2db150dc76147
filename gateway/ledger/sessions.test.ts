import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { decodeReceipt, didFromKey, type Outcome } from '@waystone/proto';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Decision } from '../core/ports.js';
import { Counters } from './counters.js';
import { DeviceTable } from './devices.js';
import { Pruner, REFUSAL_DAYS_KEPT } from './pruning.js';
import { ledgerQueries } from './queries.js';
import { RangeTable } from './ranges.js';
import { prepareLedger } from './schema.js';
import {
  makeEnvelope,
  quickKey,
  SESSION_LIMITS,
  TestLedger,
  withoutSessionPruning,
} from './testing.js';

const NOW_US = 1_800_000_000_000_000;
const DAY_US = 86_400_000_000;
const MINUTE_US = 60_000_000;
const KEY = quickKey('secp256k1', 'session device');
const DID = didFromKey(KEY.publicKey);
const KEPT = 4;

let folder: string;
let file: string;
const opened: TestLedger[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'waystone-sessions-'));
  file = join(folder, 'ledger.sqlite');
});
afterEach(() => {
  for (const ledger of opened.splice(0)) ledger.crash();
  rmSync(folder, { recursive: true, force: true });
});

type Options = ConstructorParameters<typeof TestLedger>[3];

function open(options: Options = {}): TestLedger {
  const sessions = { closedKept: KEPT, ...options?.sessions };
  const ledger = new TestLedger(file, {}, undefined, { ...options, sessions });
  opened.push(ledger);
  return ledger;
}

/** A ledger with one device, number 1. */
function openWithDevice(options: Options = {}): TestLedger {
  const ledger = open(options);
  ledger.calls.enrol(DID, 'rover', NOW_US);
  return ledger;
}

/** Names that differ in their last byte only, as of firmware that counts. */
const nameOf = (k: number): string => k.toString(16).padStart(32, '0');
const item = (session: number, first = 0) => ({
  device: 1,
  payload: makeEnvelope(KEY, { session: nameOf(session), first }),
});
const codeOf = (decision: Decision | undefined): string | null =>
  decision?.refusal?.code ?? decision?.retryCode ?? null;
const outcomeOf = (decision: Decision | undefined): Outcome =>
  decodeReceipt(decision?.receipt as Uint8Array).body.outcome;

/** Starts of the device, one after the other, each with its hello and two envelopes. */
function start(ledger: TestLedger, ...sessions: number[]): Decision[] {
  return sessions.flatMap((session) => {
    expect(ledger.calls.hello(1, nameOf(session), 1, [], NOW_US)).toBeNull();
    return ledger.commit([item(session, 0), item(session, 1)]);
  });
}

const count = (ledger: TestLedger, table: string): number =>
  ledger.rows<{ n: number }>(`SELECT COUNT(*) AS n FROM ${table}`)[0]?.n as number;
const sessionsOf = (ledger: TestLedger): number[] =>
  ledger
    .rows<{ name: string }>('SELECT hex(session) AS name FROM sessions ORDER BY id')
    .map(({ name }) => Number.parseInt(name, 16));

describe('a closed session', () => {
  it('loses its statements and receipts once enough others are closed and its batches are sealed', () => {
    const ledger = openWithDevice();
    start(ledger, 1, 2, 3, 4, 5, 6, 7);
    expect(ledger.pruneAll(NOW_US)).toBe(0);
    ledger.sealAll(NOW_US);
    expect(ledger.pruneAll(NOW_US)).toBeGreaterThan(0);
    // 7 is open, 3 to 6 are the last closed ones.
    expect(sessionsOf(ledger)).toEqual([3, 4, 5, 6, 7]);
    expect(count(ledger, 'statements')).toBe(10);
    expect(count(ledger, 'groups')).toBe(5);
    expect(count(ledger, 'pruned_sessions')).toBe(2);
    expect(ledger.rows('SELECT envelopes, frames, pruned_sessions FROM devices')).toEqual([
      { envelopes: 14, frames: 14, pruned_sessions: 2 },
    ]);
  });

  it('stays whole while any of its batches is not sealed, or with a chain not forged', () => {
    const ledger = openWithDevice({ settledBy: 'forged' });
    start(ledger, 1, 2, 3, 4, 5, 6);
    ledger.sealAll(NOW_US);
    expect(ledger.pruneAll(NOW_US)).toBe(0);
    const id = { logId: Buffer.from(ledger.logId).toString('hex'), index: 0 };
    ledger.calls.forgeCommitted(id);
    expect(ledger.pruneAll(NOW_US)).toBe(0);
    ledger.db.exec("UPDATE batches SET state = 'forged'");
    expect(ledger.pruneAll(NOW_US)).toBeGreaterThan(0);
    expect(sessionsOf(ledger)).toEqual([2, 3, 4, 5, 6]);
  });

  it('that stored nothing waits for no batch', () => {
    const ledger = openWithDevice();
    start(ledger, 1);
    for (let k = 10; k < 20; k++) ledger.calls.hello(1, nameOf(k), 1, [], NOW_US);
    ledger.pruneAll(NOW_US);
    expect(sessionsOf(ledger)).toEqual([1, 15, 16, 17, 18, 19]);
  });

  it('that was open for long is kept as one that was just closed', () => {
    const ledger = openWithDevice();
    start(ledger, 1);
    for (let k = 10; k < 20; k++) {
      ledger.calls.hello(1, nameOf(k), 1, [nameOf(1)], NOW_US + k);
    }
    // The clock went back: what is closed now is closed last all the same.
    ledger.calls.hello(1, nameOf(20), 1, [], NOW_US - DAY_US);
    ledger.sealAll(NOW_US);
    ledger.pruneAll(NOW_US);
    expect(sessionsOf(ledger)).toContain(1);
    expect(ledger.commit([item(1)])[0]?.kind).toBe('duplicate');
  });

  it('that is not pruned gives its receipts byte for byte, after a restart too', () => {
    const ledger = openWithDevice();
    const first = start(ledger, 1, 2, 3, 4, 5, 6, 7);
    ledger.sealAll(NOW_US);
    ledger.pruneAll(NOW_US);
    ledger.crash();
    const again = open().commit([3, 4, 5, 6, 7].flatMap((k) => [item(k, 0), item(k, 1)]));
    expect(again.map(({ receipt }) => receipt)).toEqual(first.slice(4).map((one) => one.receipt));
  });

  it('shows no gaps while it loses its statements, and others show theirs', () => {
    const ledger = openWithDevice();
    ledger.calls.enter(1, nameOf(1), 1, NOW_US);
    ledger.commit(Array.from({ length: 200 }, (_, k) => item(1, k)));
    for (const k of [2, 3, 4, 5, 6]) {
      ledger.calls.hello(1, nameOf(k), 1, [], NOW_US);
      ledger.commit([item(k, 1)]);
    }
    const gaps = () =>
      ledgerQueries(ledger.db)
        .device(DID)
        ?.gaps.map(({ session }) => session);
    expect(gaps()?.sort()).toEqual([3, 4, 5, 6].map(nameOf));
    ledger.sealAll(NOW_US);
    ledger.counters.write();
    ledger.commit([], () => ledger.pruner.step(NOW_US));
    expect(sessionsOf(ledger)).toContain(1);
    expect(count(ledger, 'statements')).toBeLessThan(205);
    expect(gaps()?.sort()).toEqual([3, 4, 5, 6].map(nameOf));
    ledger.pruneAll(NOW_US);
    expect(gaps()?.sort()).toEqual([3, 4, 5, 6].map(nameOf));
    expect(ledgerQueries(ledger.db).device(DID)?.sessions).toBe(6);
  });
});

describe('a pruned session stays refused', () => {
  const withPruned = (): TestLedger => {
    const ledger = openWithDevice();
    start(ledger, 1, 2, 3, 4, 5, 6, 7);
    ledger.sealAll(NOW_US);
    ledger.pruneAll(NOW_US);
    expect(sessionsOf(ledger)).not.toContain(1);
    return ledger;
  };
  const cases: [string, () => TestLedger][] = [
    ['at once', withPruned],
    [
      'after a restart',
      () => {
        withPruned().crash();
        return open();
      },
    ],
  ];
  describe.each(cases)('%s:', (_when, make) => {
    it('its login, at any counter', () => {
      const ledger = make();
      expect(ledger.calls.enter(1, nameOf(1), 1, NOW_US)).toBe('SESSION_CLOSED');
      expect(ledger.calls.enter(1, nameOf(1), 99, NOW_US)).toBe('SESSION_CLOSED');
    });

    it('its hello', () => {
      const ledger = make();
      expect(ledger.calls.hello(1, nameOf(1), 99, [], NOW_US)).toBe('SESSION_CLOSED');
      // Nothing came of it: the open session is open.
      expect(ledger.commit([item(7, 5)])[0]?.kind).toBe('stored');
    });

    it('its envelopes, stored before or not, for good', () => {
      const ledger = make();
      const decisions = ledger.commit([item(1, 0), item(1, 7)]);
      expect(decisions.map(outcomeOf)).toEqual([
        { kind: 'refused', code: 'SESSION_CLOSED' },
        { kind: 'refused', code: 'SESSION_CLOSED' },
      ]);
    });

    it('a newer hello that lists it as queued is taken, without it', () => {
      const ledger = make();
      const wholeAt = () => ledger.rows('SELECT sessions_whole_at_us FROM devices');
      expect(ledger.calls.hello(1, nameOf(7), 9, [nameOf(1), nameOf(6)], NOW_US)).toBeNull();
      const before = wholeAt();
      expect(codeOf(ledger.commit([item(1, 0)])[0])).toBe('SESSION_CLOSED');
      ledger.calls.hello(1, nameOf(7), 10, [nameOf(1)], NOW_US);
      expect(wholeAt()).toEqual(before);
    });

    it('what was wanted of it is not answered', () => {
      const wanted = [{ session: nameOf(1), stream: 1, firstSequence: 0 }];
      expect(make().calls.owedReceipts(1, wanted)).toEqual([]);
    });
  });

  it('for its own device only', () => {
    const ledger = withPruned();
    const other = quickKey('Ed25519', 'another session device');
    ledger.calls.enrol(didFromKey(other.publicKey), '', NOW_US);
    expect(ledger.calls.enter(2, nameOf(1), 1, NOW_US)).toBeNull();
  });

  it('and its frames can be looked for in the datasets of its device', () => {
    const ledger = withPruned();
    const { locate, prunedDatasets } = ledgerQueries(ledger.db);
    expect(locate(DID, nameOf(1), 1, 0)).toBeNull();
    expect(prunedDatasets(DID, nameOf(1), 1, 10)).toHaveLength(1);
    expect(prunedDatasets(DID, nameOf(1), 2, 10)).toEqual([]);
    expect(prunedDatasets(DID, nameOf(7), 1, 10)).toBeNull();
    expect(prunedDatasets(DID, nameOf(99), 1, 10)).toBeNull();
    expect(prunedDatasets('did:key:zNobody', nameOf(1), 1, 10)).toBeNull();
  });
});

describe('pruning', () => {
  it('goes on where a crash left it, a bounded number of rows at a time', () => {
    const ledger = openWithDevice();
    ledger.calls.enter(1, nameOf(1), 1, NOW_US);
    ledger.commit(Array.from({ length: 200 }, (_, k) => item(1, k)));
    start(ledger, 2, 3, 4, 5, 6);
    ledger.sealAll(NOW_US);
    ledger.counters.write();
    let before = ledger;
    for (let left = count(ledger, 'statements'); left > 10; ) {
      before.commit([], () => before.pruner.step(NOW_US));
      const now = count(before, 'statements');
      expect(left - now).toBeGreaterThan(0);
      expect(left - now).toBeLessThanOrEqual(32);
      left = now;
      before.crash();
      before = open();
      expect(codeOf(before.commit([item(1, 900)])[0])).toBe('SESSION_CLOSED');
    }
    expect(sessionsOf(before)).toEqual([2, 3, 4, 5, 6]);
    before.calls.writeCounters();
    expect(before.rows('SELECT envelopes FROM devices')).toEqual([{ envelopes: 210 }]);
  });

  it('takes nothing that the devices do not count yet', () => {
    const ledger = openWithDevice();
    start(ledger, 1, 2, 3, 4, 5, 6);
    ledger.sealAll(NOW_US);
    ledger.commit([], () => ledger.pruner.step(NOW_US));
    expect(count(ledger, 'statements')).toBe(12);
    ledger.crash();
    const after = open();
    after.pruneAll(NOW_US);
    expect(count(after, 'statements')).toBe(10);
    expect(after.rows('SELECT envelopes FROM devices')).toEqual([{ envelopes: 12 }]);
  });

  it('gives no number of a statement, group, session or refusal out twice', () => {
    const ledger = openWithDevice();
    start(ledger, 1);
    // Session 1 holds the newest statement, and is the only one with any.
    for (let k = 10; k < 20; k++) ledger.calls.hello(1, nameOf(k), 1, [], NOW_US);
    ledger.commit([{ ...item(19), refusal: { code: 'FRAMES_ROOT_MISMATCH' } }]);
    ledger.sealAll(NOW_US);
    const tables = ['statements', 'groups', 'sessions', 'refusals'];
    const newest = () => tables.map((name) => ledger.rows(`SELECT MAX(id) AS id FROM ${name}`)[0]);
    const before = newest();
    ledger.pruneAll(NOW_US + 1000 * DAY_US);
    expect(newest()).toEqual(before);
    start(ledger, 30);
    ledger.sealAll(NOW_US);
    ledger.pruneAll(NOW_US + 1000 * DAY_US);
    expect(sessionsOf(ledger)).not.toContain(1);
    expect(count(ledger, 'statements')).toBe(2);
  });

  it('keeps a receipt tree until the last of its statements goes', () => {
    const ledger = openWithDevice();
    for (const k of [1, 2]) ledger.calls.hello(1, nameOf(k), 1, [nameOf(1)], NOW_US);
    // One group of both, between groups of their own.
    ledger.commit([item(1, 0)]);
    const [, shared] = ledger.commit([item(1, 1), item(2, 1)]);
    ledger.commit([item(2, 2)]);
    ledger.calls.hello(1, nameOf(3), 1, [nameOf(2)], NOW_US);
    for (const k of [4, 5, 6, 7]) ledger.calls.hello(1, nameOf(k), 1, [nameOf(2)], NOW_US);
    start(ledger, 8);
    ledger.sealAll(NOW_US);
    ledger.pruneAll(NOW_US);
    expect(sessionsOf(ledger)).not.toContain(1);
    expect(ledger.rows('SELECT id FROM groups')).toEqual([{ id: 2 }, { id: 3 }, { id: 4 }]);
    expect(ledger.commit([item(2, 1)])[0]?.receipt).toEqual(shared?.receipt);
  });

  it('leaves nothing behind when its group is undone', () => {
    const ledger = openWithDevice();
    const first = start(ledger, 1, 2, 3, 4, 5, 6);
    ledger.sealAll(NOW_US);
    ledger.counters.write();
    const failing = () =>
      ledger.commit([], () => {
        ledger.pruner.step(NOW_US);
        expect(sessionsOf(ledger)).not.toContain(1);
        throw new Error('no room');
      });
    expect(failing).toThrow('no room');
    expect(ledger.commit([item(1)])[0]?.receipt).toEqual(first[0]?.receipt);
    expect(ledger.calls.enter(1, nameOf(1), 9, NOW_US)).toBe('SESSION_CLOSED');
  });

  it('takes refusals once they are old', () => {
    const ledger = openWithDevice();
    const at = (days: number) => ({
      ...item(1),
      receivedAtUs: NOW_US + days * DAY_US,
      refusal: { code: 'FRAMES_ROOT_MISMATCH' } as const,
    });
    for (let day = 0; day < 4; day++) ledger.commit(Array.from({ length: 100 }, () => at(day)));
    expect(ledger.pruneAll(NOW_US + REFUSAL_DAYS_KEPT * DAY_US)).toBe(0);
    ledger.pruneAll(NOW_US + (REFUSAL_DAYS_KEPT + 2) * DAY_US);
    expect(count(ledger, 'refusals')).toBe(200);
    ledger.pruneAll(NOW_US + 1000 * DAY_US);
    expect(count(ledger, 'refusals')).toBe(1);
    ledger.calls.writeCounters();
    expect(ledger.rows('SELECT refused FROM devices')).toEqual([{ refused: 400 }]);
  });

  it('takes the oldest refusals when there are too many, however young they are', () => {
    const ledger = openWithDevice();
    const bad = { ...item(1), refusal: { code: 'FRAMES_ROOT_MISMATCH' } as const };
    ledger.commit([bad, bad, bad]);
    ledger.db.exec('UPDATE refusals SET id = 500002 WHERE id = 3');
    ledger.pruneAll(NOW_US);
    expect(ledger.rows('SELECT id FROM refusals')).toEqual([{ id: 500002 }]);
  });

  it('works on what schema version 3 left: sessions closed before count as others do', () => {
    const ledger = openWithDevice();
    start(ledger, 1, 2, 3, 4, 5, 6);
    ledger.sealAll(NOW_US);
    ledger.calls.writeCounters();
    withoutSessionPruning(ledger.db);
    ledger.crash();
    const after = open();
    expect(after.pruneAll(NOW_US)).toBe(0);
    start(after, 7);
    after.sealAll(NOW_US);
    after.pruneAll(NOW_US);
    expect(sessionsOf(after)).toEqual([3, 4, 5, 6, 7]);
  });
});

describe('new sessions', () => {
  const limits = { newPerDayMax: 288, newBurstMax: 100 };
  const enter = (ledger: TestLedger, session: number, atUs: number) =>
    ledger.calls.enter(1, nameOf(session), 1, atUs);
  const spend = (ledger: TestLedger) => {
    for (let k = 0; k < 100; k++) expect(enter(ledger, k, NOW_US)).toBeNull();
  };

  it('are opened in a burst, then one every five minutes', () => {
    const ledger = openWithDevice({ sessions: limits });
    spend(ledger);
    const before = ledger.rows('SELECT total_changes() AS n');
    expect(enter(ledger, 100, NOW_US)).toBe('SESSIONS_TOO_MANY');
    expect(enter(ledger, 100, NOW_US + 5 * MINUTE_US - 1)).toBe('SESSIONS_TOO_MANY');
    expect(ledger.rows('SELECT total_changes() AS n')).toEqual(before);
    expect(enter(ledger, 100, NOW_US + 5 * MINUTE_US)).toBeNull();
    expect(enter(ledger, 101, NOW_US + 5 * MINUTE_US)).toBe('SESSIONS_TOO_MANY');
    const later = NOW_US + 365 * DAY_US;
    for (let k = 200; k < 300; k++) expect(enter(ledger, k, later)).toBeNull();
    expect(enter(ledger, 300, later)).toBe('SESSIONS_TOO_MANY');
  });

  it('are not given anew by a restart', () => {
    const ledger = openWithDevice({ sessions: limits });
    spend(ledger);
    ledger.crash();
    expect(enter(open({ sessions: limits }), 100, NOW_US)).toBe('SESSIONS_TOO_MANY');
  });

  it('cost no replay, further login or refusal anything', () => {
    const ledger = openWithDevice({ sessions: limits });
    spend(ledger);
    const later = NOW_US + 5 * MINUTE_US;
    expect(ledger.calls.enter(1, nameOf(99), 2, later)).toBeNull();
    expect(ledger.calls.enter(1, nameOf(99), 2, later)).toBe('LOGIN_REPLAYED');
    expect(enter(ledger, 0, later)).toBe('SESSION_CLOSED');
    expect(enter(ledger, 100, later)).toBeNull();
  });

  it('that a hello names are all opened or none, and the hello comes again', () => {
    const ledger = openWithDevice({ sessions: limits });
    for (let k = 0; k < 98; k++) enter(ledger, k, NOW_US);
    const queued = [200, 201, 97].map(nameOf);
    const hello = (atUs: number) => ledger.calls.hello(1, nameOf(199), 1, queued, atUs);
    expect(hello(NOW_US)).toBe('SESSIONS_TOO_MANY');
    expect(sessionsOf(ledger)).not.toContain(199);
    expect(sessionsOf(ledger)).not.toContain(200);
    // It closed nothing either.
    expect(ledger.commit([item(97)])[0]?.kind).toBe('stored');
    expect(hello(NOW_US + 5 * MINUTE_US)).toBeNull();
    expect(ledger.commit([item(200), item(201)]).map(({ kind }) => kind)).toEqual([
      'stored',
      'stored',
    ]);
  });

  it('whose hello has to wait keep what they have: their envelopes are told to wait too', () => {
    const ledger = openWithDevice({ sessions: limits });
    spend(ledger);
    const [decision] = ledger.commit([{ ...item(100), receivedAtUs: NOW_US + MINUTE_US }]);
    expect(decision).toMatchObject({ kind: 'retry', retryCode: 'SESSIONS_TOO_MANY' });
    expect(outcomeOf(decision)).toEqual({
      kind: 'retry',
      code: 'SESSIONS_TOO_MANY',
      afterSeconds: 240,
    });
    expect(count(ledger, 'refusals')).toBe(0);
    const at = (atUs: number) => codeOf(ledger.commit([{ ...item(100), receivedAtUs: atUs }])[0]);
    // Nobody told it to wait: it may have opened the session by now.
    expect(at(NOW_US + 5 * MINUTE_US)).toBe('SESSION_UNKNOWN');
    const hello = (atUs: number) => ledger.calls.hello(1, nameOf(100), 1, [nameOf(101)], atUs);
    expect(hello(NOW_US + 6 * MINUTE_US)).toBe('SESSIONS_TOO_MANY');
    // It comes again a while after it may.
    expect(at(NOW_US + 6 * MINUTE_US)).toBe('SESSIONS_TOO_MANY');
    expect(at(NOW_US + 60 * MINUTE_US)).toBe('SESSIONS_TOO_MANY');
    expect(hello(NOW_US + 61 * MINUTE_US)).toBeNull();
    expect(ledger.commit([{ ...item(100), receivedAtUs: NOW_US + 61 * MINUTE_US }])[0]?.kind).toBe(
      'stored',
    );
  });

  it('are not held up by a clock that once was far ahead, or begins in 1970', () => {
    const ledger = openWithDevice({ sessions: limits });
    const ahead = NOW_US + 10 * 365 * DAY_US;
    for (let k = 0; k < 100; k++) enter(ledger, k, ahead);
    expect(enter(ledger, 100, NOW_US)).toBeNull();
    expect(enter(ledger, 101, 1_000_000)).toBeNull();
    expect(enter(ledger, 102, NOW_US)).toBeNull();
  });
});

it('asks the tables for nothing that grows with devices or sessions, but at start', () => {
  const db = new Database(file);
  prepareLedger(db, folder);
  const statements: string[] = [];
  const recording = new Proxy(db, {
    get(target, name) {
      if (name === 'prepare') {
        return (sql: string) => {
          statements.push(sql);
          return target.prepare(sql);
        };
      }
      const value = Reflect.get(target, name);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
  const ranges = new RangeTable(recording);
  const devices = new DeviceTable(recording, SESSION_LIMITS, { ranges });
  const counters = new Counters(db);
  new Pruner(recording, { settledBy: 'forged' }, { devices, counters, ranges });
  const scans = statements.flatMap((sql) =>
    (db.prepare(`EXPLAIN QUERY PLAN ${sql}`).all(...argumentsOf(sql)) as { detail: string }[])
      .map(({ detail }) => detail)
      .filter((detail) => /^SCAN|TEMP B-TREE/.test(detail))
      .map((detail) => `${detail} in: ${sql}`),
  );
  expect(statements.length).toBeGreaterThan(20);
  expect(scans.filter((scan) => !isBounded(scan))).toEqual([]);
  db.close();
});

/** As many arguments as a statement has. */
function argumentsOf(sql: string): unknown[] {
  const names = [...new Set(sql.match(/@\w+/g) ?? [])];
  if (names.length > 0) return [Object.fromEntries(names.map((name) => [name.slice(1), 1]))];
  return (sql.match(/\?/g) ?? []).map(() => 1);
}

/** All devices at start; the first or last row of a table; the rows of a step. */
function isBounded(scan: string): boolean {
  return (
    scan.includes('FROM devices') ||
    /LIMIT (1|@rows)\b/.test(scan) ||
    /SCAN (sessions|statements|batches|refusals)\b.*SELECT COALESCE\(MAX\(id\), 0\)/s.test(scan)
  );
}
