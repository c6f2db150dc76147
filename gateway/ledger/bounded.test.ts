import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { didFromKey } from '@waystone/proto';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { OPEN_SESSIONS_MAX } from './devices.js';
import { makeEnvelope, quickKey, SESSION_LIMITS, type TestItem, TestLedger } from './testing.js';

const NOW_US = 1_800_000_000_000_000;
const SECOND_US = 1_000_000;
const DAY_US = 86_400 * SECOND_US;

/** Only so that a loaded machine gets through: 10 s on an idle one. */
vi.setConfig({ testTimeout: 1_800_000 });

/** `WAYSTONE_DEVICES=1000000 npx vitest run gateway/ledger/bounded.test.ts` takes some minutes. */
const DAYS = Number(process.env.WAYSTONE_SESSION_DAYS ?? 365);
const DEVICES = Number(process.env.WAYSTONE_DEVICES ?? 20_000);

let folder: string;
let ledger: TestLedger;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'waystone-bounded-'));
  ledger = new TestLedger(join(folder, 'ledger.sqlite'));
  // Size and rows are looked at here, not power cuts.
  ledger.db.pragma('synchronous = OFF');
});
afterEach(() => {
  ledger.crash();
  rmSync(folder, { recursive: true, force: true });
});

const nameOf = (k: number): string => k.toString(16).padStart(32, '0');
/** CPU time of this process, which other processes do not lengthen as much. */
const cpuMs = (): number => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
};
const count = (table: string): number =>
  ledger.rows<{ n: number }>(`SELECT COUNT(*) AS n FROM ${table}`)[0]?.n as number;
const fileBytes = (): number => {
  ledger.db.pragma('wal_checkpoint(TRUNCATE)');
  return statSync(join(folder, 'ledger.sqlite')).size;
};

it('a device that opens a session every second for a year leaves a mark of each that it was let open', () => {
  const key = quickKey('secp256k1', 'a device in a boot loop');
  ledger.calls.enrol(didFromKey(key.publicKey), '', NOW_US);
  const everyUs = DAY_US / SESSION_LIMITS.newPerDayMax;
  const emptyBytes = fileBytes();
  let sessions = 0;
  let refused = 0;
  let nowUs = NOW_US;
  let envelopes: TestItem[] = [];
  const attempt = (): boolean => {
    const fault = ledger.calls.enter(1, nameOf(sessions), 1, nowUs);
    if (fault === null) {
      // One in eight stores something before it starts again.
      if (sessions % 8 === 0) {
        const payload = makeEnvelope(key, { session: nameOf(sessions), first: 0 });
        envelopes.push({ device: 1, payload, receivedAtUs: nowUs });
      }
      sessions += 1;
      return true;
    }
    if (fault !== 'SESSIONS_TOO_MANY') throw new Error(`session ${sessions}: ${fault}`);
    refused += 1;
    return false;
  };
  // As many in a commit group as a device may hold open, so that each can still store its envelope.
  const group = (inside: () => void): void => {
    const items = envelopes;
    envelopes = [];
    const stored = ledger.commit(items, () => {
      inside();
      ledger.counters.write();
      // In the time of a group here, some hours, a gateway takes many steps.
      for (let k = 0; k < 4; k++) ledger.pruner.step(nowUs);
    });
    expect(stored.every(({ kind }) => kind === 'stored')).toBe(true);
  };
  // Every second of the first hour: the burst, then one in 300.
  for (let second = 0; second < 3600; second += OPEN_SESSIONS_MAX) {
    group(() => {
      for (let k = 0; k < OPEN_SESSIONS_MAX; k++) {
        attempt();
        nowUs += SECOND_US;
      }
    });
  }
  expect(sessions).toBeGreaterThanOrEqual(SESSION_LIMITS.newBurstMax);
  expect(sessions).toBeLessThan(SESSION_LIMITS.newBurstMax + 3600 / 300 + 2);
  // Then, of each five minutes, the first second that is not refused; now and then one that is, which changes nothing.
  const changes = ledger.db.prepare('SELECT total_changes()').pluck();
  let backlogMax = 0;
  for (let day = 1; day < DAYS; day++) {
    for (let k = 0; k < SESSION_LIMITS.newPerDayMax; ) {
      group(() => {
        const until = Math.min(SESSION_LIMITS.newPerDayMax, k + OPEN_SESSIONS_MAX);
        for (; k < until; k++) {
          nowUs += everyUs;
          if (!attempt()) throw new Error(`session ${sessions} is refused`);
        }
        const before = changes.get();
        expect(attempt()).toBe(false);
        expect(changes.get()).toBe(before);
      });
    }
    backlogMax = Math.max(backlogMax, count('sessions'));
    ledger.sealAll(nowUs);
  }
  ledger.pruneAll(nowUs);
  ledger.pruneAll(nowUs);
  const marks = count('pruned_sessions');
  const rows = {
    sessions: count('sessions'),
    statements: count('statements'),
    groups: count('groups'),
  };
  const bytes = fileBytes() - emptyBytes;
  console.log(
    `${DAYS} days: ${sessions} sessions opened, ${refused} refusals tried; left are ${marks} marks, ` +
      `${JSON.stringify(rows)}, at most ${backlogMax} sessions at a time; ` +
      `the file grew by ${bytes} bytes, ${(bytes / sessions).toFixed(1)} a session`,
  );
  expect(marks + rows.sessions).toBe(sessions);
  expect(rows.sessions).toBeLessThanOrEqual(OPEN_SESSIONS_MAX + SESSION_LIMITS.closedKept);
  expect(rows.statements).toBeLessThanOrEqual(rows.sessions);
  expect(rows.groups).toBeLessThanOrEqual(rows.statements);
  expect(backlogMax).toBeLessThan(SESSION_LIMITS.newBurstMax + 2 * SESSION_LIMITS.newPerDayMax);
  // What the backlog took is used again; beyond it, marks alone.
  expect(bytes).toBeLessThan(1_000_000 + 40 * marks);
  for (let k = 0; k < sessions - rows.sessions; k += 997) {
    expect(ledger.calls.enter(1, nameOf(k), 99, nowUs + DAY_US)).toBe('SESSION_CLOSED');
  }
});

it('devices that are seen once leave a bounded number of bytes each, and each costs the same', () => {
  const emptyBytes = fileBytes();
  const msOf: number[] = [];
  const GROUP = 500;
  for (let first = 0; first < DEVICES; first += GROUP) {
    const keys = Array.from({ length: GROUP }, (_, k) =>
      quickKey('Ed25519', `seen once ${first + k}`),
    );
    ledger.commit([], () => {
      for (const key of keys) ledger.calls.enrol(didFromKey(key.publicKey), '', NOW_US);
    });
    const began = cpuMs();
    ledger.commit([], () => {
      keys.forEach((_, k) => {
        const device = first + k + 1;
        if (ledger.calls.hello(device, nameOf(first + k), 1, [], NOW_US) !== null) {
          throw new Error(`the hello of device ${device} is refused`);
        }
      });
    });
    msOf.push(cpuMs() - began);
    const items = keys.map((key, k) => ({
      device: first + k + 1,
      payload: makeEnvelope(key, { session: nameOf(first + k), first: 0 }),
    }));
    const decisions = ledger.commit(items, () => ledger.counters.write());
    expect(decisions.every(({ kind }) => kind === 'stored')).toBe(true);
    ledger.commit([], () => ledger.pruner.step(NOW_US));
  }
  ledger.sealAll(NOW_US);
  ledger.pruneAll(NOW_US);
  const bytes = fileBytes() - emptyBytes;
  const tenth = Math.max(1, Math.floor(msOf.length / 10));
  const mean = (of: number[]): string =>
    ((of.reduce((sum, ms) => sum + ms, 0) / of.length / GROUP) * 1000).toFixed(1);
  console.log(
    `${DEVICES} devices seen once: ${(bytes / DEVICES).toFixed(0)} bytes of the ledger each; opening the session of one ` +
      `took ${mean(msOf.slice(0, tenth))} µs among the first, ${mean(msOf.slice(-tenth))} µs among the last`,
  );
  expect(count('sessions')).toBe(DEVICES);
  expect(bytes / DEVICES).toBeLessThan(1_200);
});
