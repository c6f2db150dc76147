import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { decodeEntry, didFromKey, keyId, readStatement, toHex } from '@waystone/proto';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Decision } from '../core/ports.js';
import { makeEnvelope, quickKey, randomFrom, TestLedger } from './testing.js';

/** Courses and steps of each: `WAYSTONE_MODEL_ROUNDS=2000 npx vitest run gateway/ledger/session-model.test.ts`. */
const ROUNDS = Number(process.env.WAYSTONE_MODEL_ROUNDS ?? 20);
const STEPS = 160;
const SEED = Number(process.env.WAYSTONE_MODEL_SEED ?? Date.now() % 1_000_000);

const NOW_US = 1_800_000_000_000_000;
const LIMITS = { newPerDayMax: 288, newBurstMax: 70, closedKept: 2 };
const KEYS = ['model device 1', 'model device 2'].map((label) => quickKey('Ed25519', label));
/** Few, so that both devices use the same, and old ones come again. */
const NAMES = Array.from({ length: 12 }, (_, k) => k.toString(16).padStart(32, '0'));

/** What the model knows of a session. */
interface ModelSession {
  readonly device: number;
  readonly name: string;
  counter: number;
  isOpen: boolean;
  /** Sessions of its device that were closed after it. */
  closedAfter: number;
}

interface Sent {
  readonly device: number;
  readonly name: string;
  readonly first: number;
  readonly last: number;
  readonly payload: Uint8Array;
  /** Once it is stored. */
  receipt: Uint8Array | null;
  isSealed: boolean;
}

const counts = { steps: 0, stored: 0, again: 0, pruned: 0, refused: 0, conflicts: 0, restarts: 0 };
let storedTwice = 0;
let lost = 0;

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'waystone-model-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

it('stores no range twice and forgets no receipt before its time, in whatever order things come', () => {
  console.log(`seed ${SEED}: WAYSTONE_MODEL_SEED=${SEED} repeats it`);
  for (let round = 0; round < ROUNDS; round++)
    course(SEED + round, mkdtempSync(join(folder, 'ledger-')));
  console.log(`${JSON.stringify(counts)}, acked but lost: ${lost}, stored twice: ${storedTwice}`);
  expect({ lost, storedTwice }).toEqual({ lost: 0, storedTwice: 0 });
  // Each of the things that the courses are about has come about.
  for (const [what, times] of Object.entries(counts)) expect(times, what).toBeGreaterThan(0);
});

function course(seed: number, folder: string): void {
  const random = randomFrom(seed);
  const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)] as T;
  const open = (): TestLedger => {
    const ledger = new TestLedger(join(folder, 'ledger.sqlite'), { entriesMax: 40 }, undefined, {
      sessions: LIMITS,
      // So that at any time some statements wait, and often some of them are being written.
      ranges: { pendingMax: 1 + (seed % 16), stepRows: 2, stepStreams: 1 },
    });
    // Power cuts are another test's subject.
    ledger.db.pragma('synchronous = OFF');
    return ledger;
  };
  let ledger = open();
  KEYS.forEach((key, k) => {
    ledger.calls.enrol(didFromKey(key.publicKey), `${k}`, NOW_US);
  });
  let nowUs = NOW_US;
  const sessions = new Map<string, ModelSession>();
  const sent: Sent[] = [];
  const entries: Uint8Array[] = [];

  const sessionOf = (device: number, name: string) => sessions.get(`${device}:${name}`);
  const opened = (device: number, name: string, counter: number): void => {
    sessions.set(`${device}:${name}`, { device, name, counter, isOpen: true, closedAfter: 0 });
  };
  const close = (session: ModelSession): void => {
    session.isOpen = false;
    for (const other of sessions.values()) {
      if (other.device === session.device && !other.isOpen) other.closedAfter += 1;
    }
    session.closedAfter = 0;
  };
  const expected = (device: number, name: string, counter: number): string | null => {
    const known = sessionOf(device, name);
    if (known === undefined) return null;
    if (!known.isOpen) return 'SESSION_CLOSED';
    return counter <= known.counter ? 'LOGIN_REPLAYED' : null;
  };

  const enter = (): void => {
    const device = pick([1, 2]);
    const name = pick(NAMES);
    const counter = 1 + Math.floor(random() * 20);
    const fault = expected(device, name, counter);
    expect(ledger.calls.enter(device, name, counter, nowUs)).toBe(fault);
    if (fault !== null) return;
    const known = sessionOf(device, name);
    if (known === undefined) opened(device, name, counter);
    else known.counter = counter;
  };

  const hello = (): void => {
    const device = pick([1, 2]);
    const name = pick(NAMES);
    const counter = 1 + Math.floor(random() * 20);
    const queued = NAMES.filter(() => random() < 0.2);
    const fault = expected(device, name, counter);
    expect(ledger.calls.hello(device, name, counter, queued, nowUs)).toBe(fault);
    if (fault !== null) return;
    const known = sessionOf(device, name);
    if (known === undefined) opened(device, name, counter);
    else known.counter = counter;
    for (const session of [...sessions.values()]) {
      const isKept = session.name === name || queued.includes(session.name);
      if (session.device === device && session.isOpen && !isKept) close(session);
    }
    for (const one of queued) {
      if (sessionOf(device, one) === undefined) opened(device, one, 0);
    }
  };

  const fresh = (): Sent => {
    const device = pick([1, 2]);
    const name = pick(NAMES);
    const first = Math.floor(random() * 40);
    const count = 1 + Math.floor(random() * 4);
    const salt = 1 + Math.floor(random() * 200);
    const key = KEYS[device - 1] as (typeof KEYS)[number];
    const payload = makeEnvelope(key, { session: name, first, count, salt });
    const same = sent.find((one) => Buffer.compare(one.payload, payload) === 0);
    if (same !== undefined) return same;
    const one = { device, name, first, last: first + count - 1, payload };
    const envelope: Sent = { ...one, receipt: null, isSealed: false };
    sent.push(envelope);
    return envelope;
  };

  const judge = (envelope: Sent, decision: Decision): void => {
    const session = sessionOf(envelope.device, envelope.name);
    const code = decision.refusal?.code ?? null;
    if (decision.kind === 'stored') {
      counts.stored += 1;
      if (envelope.receipt !== null) storedTwice += 1;
      expect(session?.isOpen).toBe(true);
      for (const other of sent) {
        if (other.receipt === null || other.device !== envelope.device) continue;
        if (other.name !== envelope.name) continue;
        if (other.first <= envelope.last && envelope.first <= other.last) storedTwice += 1;
      }
      envelope.receipt = decision.receipt;
    } else if (decision.kind === 'duplicate') {
      counts.again += 1;
      expect(Buffer.from(decision.receipt)).toEqual(Buffer.from(envelope.receipt ?? []));
    } else if (envelope.receipt !== null) {
      // Its receipt is forgotten, which it may be only once enough others are closed and its batch is sealed.
      expect(code).toBe('SESSION_CLOSED');
      expect(session?.isOpen).toBe(false);
      expect(session?.closedAfter).toBeGreaterThanOrEqual(LIMITS.closedKept);
      expect(envelope.isSealed).toBe(true);
      counts.pruned += 1;
    } else {
      counts.refused += 1;
      if (session === undefined) expect(code).toBe('SESSION_UNKNOWN');
      else if (session.isOpen) expect(code).toBe('RANGE_CONFLICT');
      else expect(['SESSION_CLOSED', 'RANGE_CONFLICT']).toContain(code);
      if (code === 'RANGE_CONFLICT') counts.conflicts += 1;
    }
  };

  const deliver = (): void => {
    const group = Array.from({ length: 1 + Math.floor(random() * 8) }, () =>
      sent.length > 0 && random() < 0.5 ? pick(sent) : fresh(),
    );
    const items = group.map(({ device, payload }) => ({ device, payload, receivedAtUs: nowUs }));
    const prunes = random() < 0.3;
    const decisions = ledger.commit(
      items,
      () => {
        if (random() < 0.3) ledger.counters.write();
      },
      () => {
        if (prunes) ledger.pruner.step(nowUs);
      },
    );
    group.forEach((envelope, at) => {
      judge(envelope, decisions[at] as Decision);
    });
  };

  const seal = (): void => {
    for (const { id } of ledger.batches.unsealed()) {
      entries.push(...ledger.batchRows(id).map(({ entry }) => new Uint8Array(entry)));
    }
    ledger.sealAll(nowUs);
    for (const envelope of sent) envelope.isSealed = envelope.receipt !== null;
  };

  const restart = (): void => {
    ledger.crash();
    ledger = open();
    counts.restarts += 1;
  };

  const actions: [number, () => void][] = [
    [3, enter],
    [3, hello],
    [10, deliver],
    [1, seal],
    [2, () => ledger.pruneAll(nowUs)],
    [1, () => ledger.commit([], () => ledger.pruner.step(nowUs))],
    [1, restart],
  ];
  const bag = actions.flatMap(([weight, action]) => Array<() => void>(weight).fill(action));
  for (let step = 0; step < STEPS; step++) {
    counts.steps += 1;
    nowUs += Math.floor((random() - 0.1) * 120_000_000);
    pick(bag)();
  }

  // What was stored is in the batches, each range once.
  seal();
  const kept = entries.map((entry) => {
    const { statement } = readStatement(decodeEntry(entry).statement);
    if (statement === undefined) throw new Error('an entry has no statement');
    const { device, session, firstSequence } = statement;
    return `${toHex(device)}:${toHex(session)}:${firstSequence}`;
  });
  const distinct = new Set(kept);
  storedTwice += kept.length - distinct.size;
  for (const { device, name, first, receipt } of sent) {
    const key = KEYS[device - 1] as (typeof KEYS)[number];
    const isKept = distinct.has(`${toHex(keyId(key.publicKey))}:${name}:${first}`);
    if (receipt !== null && !isKept) lost += 1;
  }
  // And nothing that the model has closed is open, however much was pruned.
  ledger.pruneAll(nowUs);
  for (const { device, name, isOpen } of sessions.values()) {
    if (!isOpen) expect(ledger.calls.enter(device, name, 99, nowUs)).toBe('SESSION_CLOSED');
  }
  ledger.crash();
}
