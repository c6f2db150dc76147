import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  checkpointFault,
  decodeCheckpoint,
  decodeEntry,
  decodeReceipt,
  decodeSignedCheckpoint,
  didFromKey,
  ENVELOPE_HEADER_BYTES,
  encodeSignedCheckpoint,
  equalBytes,
  INGEST_FLAGS,
  leafHash,
  type Outcome,
  readStatement,
  receiptFault,
  rootFromInclusionProof,
  toHex,
} from '@waystone/proto';
import Database from 'better-sqlite3';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { testKeyNamed } from '../../proto/test-data/test-signer.js';
import { batchFile } from '../core/batch-file.js';
import type { Decision } from '../core/ports.js';
import { REFUSAL_ROWS_PER_DEVICE_DAY_MAX } from './committer.js';
import { OPEN_SESSIONS_MAX } from './devices.js';
import { writeLogHead } from './identity.js';
import { prepareLedger } from './schema.js';
import { GATEWAY, makeEnvelope, TestLedger } from './testing.js';

const NOW_US = 1_800_000_000_000_000;
const SESSION = '11'.repeat(16);
const KEY = testKeyNamed('secp256k1', 'ledger device');
const ED25519 = testKeyNamed('Ed25519', 'ledger device');

let folder: string;
let file: string;
const opened: TestLedger[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'waystone-ledger-'));
  file = join(folder, 'ledger.sqlite');
});
afterEach(() => {
  for (const ledger of opened.splice(0)) ledger.crash();
  rmSync(folder, { recursive: true, force: true });
});

function open(limits: ConstructorParameters<typeof TestLedger>[1] = {}): TestLedger {
  const ledger = new TestLedger(file, limits);
  opened.push(ledger);
  return ledger;
}

/** A ledger with one device, number 1, in one session. */
function openWithDevice(limits: ConstructorParameters<typeof TestLedger>[1] = {}): TestLedger {
  const ledger = open(limits);
  ledger.calls.enrol(didFromKey(KEY.publicKey), 'rover', NOW_US);
  ledger.calls.enter(1, SESSION, 1, NOW_US);
  return ledger;
}

const envelope = (first: number, count = 1, salt = 1) =>
  makeEnvelope(KEY, { session: SESSION, first, count, salt });
const item = (first: number, count = 1, salt = 1) => ({
  device: 1,
  payload: envelope(first, count, salt),
});
const outcomeOf = (decision: Decision | undefined): Outcome => {
  const receipt = decodeReceipt(decision?.receipt as Uint8Array);
  expect(receiptFault(receipt, GATEWAY.publicKey)).toBeNull();
  return receipt.body.outcome;
};
const codeOf = (decision: Decision | undefined): string | null => decision?.refusal?.code ?? null;

describe('a commit group', () => {
  it('stores entry and frames, and answers each with a receipt over its entry', () => {
    const ledger = openWithDevice();
    const decisions = ledger.commit([item(0), item(1, 3), item(4)]);
    expect(decisions.map(({ kind, frames }) => [kind, frames])).toEqual([
      ['stored', 1],
      ['stored', 3],
      ['stored', 1],
    ]);
    const rows = ledger.batchRows(1);
    expect(rows.map(({ frames }) => Buffer.from(frames))).toEqual(
      [envelope(0), envelope(1, 3), envelope(4)].map((bytes) =>
        Buffer.from(bytes.subarray(ENVELOPE_HEADER_BYTES)),
      ),
    );
    for (const [at, row] of rows.entries()) {
      const outcome = outcomeOf(decisions[at]);
      expect(outcome.kind === 'stored' && equalBytes(outcome.entryLeaf, leafHash(row.entry))).toBe(
        true,
      );
      expect(decodeEntry(row.entry)).toMatchObject({ receivedAtUs: NOW_US, flags: 0 });
    }
  });

  it('answers a duplicate with the first receipt, in the same group and in later ones', () => {
    const ledger = openWithDevice();
    const [first, again] = ledger.commit([item(5), item(5), item(6)]);
    const [later] = ledger.commit([item(5)]);
    expect([first?.kind, again?.kind, later?.kind]).toEqual(['stored', 'duplicate', 'duplicate']);
    expect(again?.receipt).toEqual(first?.receipt);
    expect(later?.receipt).toEqual(first?.receipt);
    expect(ledger.batchRows(1)).toHaveLength(2);
  });

  it('answers a duplicate with the first receipt after a restart too', () => {
    const before = openWithDevice();
    const [first] = before.commit([item(5), item(6), item(7)]);
    before.crash();
    expect(open().commit([item(6), item(5)])[1]?.receipt).toEqual(first?.receipt);
  });

  it('keeps no receipt tree for refusals alone', () => {
    const ledger = openWithDevice();
    ledger.commit([{ ...item(0), refusal: { code: 'FRAMES_ROOT_MISMATCH' } }]);
    expect(ledger.rows('SELECT id FROM groups')).toEqual([]);
  });

  it('flags an entry that came while the clock was not trusted', () => {
    const ledger = openWithDevice();
    ledger.commit([{ ...item(0), clockTrusted: false }]);
    const [row] = ledger.batchRows(1);
    expect(decodeEntry(row?.entry as Uint8Array).flags).toBe(INGEST_FLAGS.clockUntrusted);
  });

  it('keeps refusal rows up to the cap of a device and day, and counts on', () => {
    const ledger = openWithDevice();
    const bad = { ...item(0), refusal: { code: 'FRAMES_ROOT_MISMATCH' } as const };
    const all = Array.from({ length: REFUSAL_ROWS_PER_DEVICE_DAY_MAX + 5 }, () => bad);
    expect(ledger.commit(all).every(({ kind }) => kind === 'refused')).toBe(true);
    expect(ledger.rows('SELECT id FROM refusals')).toHaveLength(REFUSAL_ROWS_PER_DEVICE_DAY_MAX);
    ledger.commit([{ ...bad, receivedAtUs: NOW_US + 86_400_000_000 }]);
    expect(ledger.rows('SELECT id FROM refusals')).toHaveLength(
      REFUSAL_ROWS_PER_DEVICE_DAY_MAX + 1,
    );
    ledger.calls.writeCounters();
    expect(ledger.rows('SELECT refused FROM devices')).toEqual([
      { refused: REFUSAL_ROWS_PER_DEVICE_DAY_MAX + 6 },
    ]);
  });
});

describe('sequence ranges', () => {
  it.each([
    ['the same range', 10, 5],
    ['one inside', 12, 1],
    ['one around', 5, 20],
    ['one that ends in it', 8, 3],
    ['one that begins in it', 14, 4],
  ])('refuse another statement over %s', (_what, first, count) => {
    const ledger = openWithDevice();
    ledger.commit([item(10, 5)]);
    const [decision] = ledger.commit([item(first, count, 2)]);
    expect(codeOf(decision)).toBe('RANGE_CONFLICT');
    expect(outcomeOf(decision)).toEqual({ kind: 'refused', code: 'RANGE_CONFLICT' });
    expect(ledger.commit([item(9, 1, 2), item(15, 1, 2)]).map(({ kind }) => kind)).toEqual([
      'stored',
      'stored',
    ]);
  });

  it('conflict only within one device, session and stream', () => {
    const ledger = openWithDevice();
    const other = '22'.repeat(16);
    ledger.calls.enrol(didFromKey(ED25519.publicKey), '', NOW_US);
    ledger.calls.enter(1, other, 2, NOW_US);
    ledger.calls.enter(2, SESSION, 1, NOW_US);
    const kinds = ledger
      .commit([
        item(0),
        { device: 1, payload: makeEnvelope(KEY, { session: SESSION, first: 0, stream: 2 }) },
        { device: 1, payload: makeEnvelope(KEY, { session: other, first: 0 }) },
        { device: 2, payload: makeEnvelope(ED25519, { session: SESSION, first: 0 }) },
      ])
      .map(({ kind }) => kind);
    expect(kinds).toEqual(['stored', 'stored', 'stored', 'stored']);
  });

  it('stay disjoint, and every resend is a duplicate, in whatever order they come', () => {
    const range = fc.record({ first: fc.nat({ max: 30 }), count: fc.integer({ min: 1, max: 6 }) });
    fc.assert(
      fc.property(fc.array(range, { minLength: 1, maxLength: 25 }), (ranges) => {
        const ledger = new TestLedger(':memory:', {}, join(folder, 'no-head'));
        ledger.calls.enrol(didFromKey(KEY.publicKey), '', NOW_US);
        ledger.calls.enter(1, SESSION, 1, NOW_US);
        const taken = new Map<number, string>();
        for (const { first, count } of ranges) {
          const name = `${first}+${count}`;
          const sequences = Array.from({ length: count }, (_, k) => first + k);
          const owners = new Set(sequences.map((sequence) => taken.get(sequence)));
          const isFree = owners.size === 1 && owners.has(undefined);
          const expected = isFree ? 'stored' : owners.has(name) ? 'duplicate' : 'refused';
          expect(ledger.commit([item(first, count)])[0]?.kind).toBe(expected);
          if (isFree) for (const sequence of sequences) taken.set(sequence, name);
        }
        ledger.db.close();
      }),
      { numRuns: 30 },
    );
  });
});

describe('sessions', () => {
  it('are admitted only once a login or hello named them', () => {
    const ledger = openWithDevice();
    const session = '33'.repeat(16);
    const payload = makeEnvelope(KEY, { session, first: 0 });
    expect(codeOf(ledger.commit([{ device: 1, payload }])[0])).toBe('SESSION_UNKNOWN');
    ledger.calls.hello(1, SESSION, 2, [session], NOW_US);
    expect(ledger.commit([{ device: 1, payload }])[0]?.kind).toBe('stored');
  });

  it('that are closed take nothing new, and still answer for what they stored', () => {
    const ledger = openWithDevice();
    const [first] = ledger.commit([item(0)]);
    ledger.calls.hello(1, '44'.repeat(16), 1, [], NOW_US);
    const [again, fresh] = ledger.commit([item(0), item(1)]);
    expect(again?.receipt).toEqual(first?.receipt);
    expect(codeOf(fresh)).toBe('SESSION_CLOSED');
    expect(ledger.calls.enter(1, SESSION, 9, NOW_US)).toBe('SESSION_CLOSED');
  });

  it('need a counter that rises', () => {
    const ledger = openWithDevice();
    expect(ledger.calls.enter(1, SESSION, 1, NOW_US)).toBe('LOGIN_REPLAYED');
    expect(ledger.calls.enter(1, SESSION, 5, NOW_US)).toBeNull();
    expect(ledger.calls.hello(1, SESSION, 5, [], NOW_US)).toBe('LOGIN_REPLAYED');
    ledger.crash();
    const again = open();
    expect(again.calls.enter(1, SESSION, 5, NOW_US)).toBe('LOGIN_REPLAYED');
    expect(again.calls.enter(1, SESSION, 6, NOW_US)).toBeNull();
  });

  it('are open up to the limit; one more closes the oldest', () => {
    const ledger = openWithDevice();
    const name = (k: number) => k.toString(16).padStart(32, '0');
    for (let k = 0; k < OPEN_SESSIONS_MAX; k++) ledger.calls.enter(1, name(k), 1, NOW_US);
    const states = ledger.rows<{ closed_at_us: number | null }>(
      'SELECT closed_at_us FROM sessions ORDER BY id',
    );
    expect(states.map(({ closed_at_us }) => closed_at_us !== null).indexOf(false)).toBe(1);
    expect(codeOf(ledger.commit([item(0)])[0])).toBe('SESSION_CLOSED');
  });

  it('that a hello names all stay open, as many as it may name', () => {
    const ledger = openWithDevice();
    const queued = Array.from({ length: 64 }, (_, k) => k.toString(16).padStart(32, '0'));
    for (let k = 0; k < 30; k++) ledger.calls.enter(1, `ff${queued[k]?.slice(2)}`, 1, NOW_US);
    expect(ledger.calls.hello(1, SESSION, 2, queued, NOW_US)).toBeNull();
    const openNow = ledger.rows<{ name: string }>(
      'SELECT lower(hex(session)) AS name FROM sessions WHERE closed_at_us IS NULL',
    );
    expect(openNow.map(({ name }) => name).sort()).toEqual([...queued, SESSION].sort());
  });
});

describe('devices', () => {
  it('are enrolled once, and only with the did:key of a valid key', () => {
    const ledger = openWithDevice();
    const enrol = (did: string) => () => ledger.calls.enrol(did, '', NOW_US);
    expect(enrol(didFromKey(KEY.publicKey))).toThrow(
      expect.objectContaining({ code: 'DEVICE_EXISTS' }),
    );
    for (const did of ['', 'did:key:z6', 'did:web:example.org', `did:key:z${'1'.repeat(50)}`]) {
      expect(enrol(did)).toThrow(expect.objectContaining({ code: 'DID_INVALID' }));
    }
  });

  it('that are revoked store nothing more, keep their first reason, and stay revoked', () => {
    const ledger = openWithDevice();
    const [first] = ledger.commit([item(0)]);
    const did = didFromKey(KEY.publicKey);
    expect(ledger.calls.revoke(did, 'stolen', NOW_US).revokedAtUs).toBe(NOW_US);
    expect(ledger.calls.revoke(did, 'again', NOW_US + 1).revokedAtUs).toBe(NOW_US);
    const [again, fresh] = ledger.commit([item(0), item(1)]);
    expect(again?.receipt).toEqual(first?.receipt);
    expect(codeOf(fresh)).toBe('DEVICE_REVOKED');
    ledger.crash();
    const after = open();
    expect(after.calls.devices()).toMatchObject([{ did, revokedAtUs: NOW_US }]);
    expect(after.rows('SELECT revoke_reason FROM devices')).toEqual([{ revoke_reason: 'stolen' }]);
    expect(() => after.calls.revoke('did:key:zNobody', '', NOW_US)).toThrow(
      expect.objectContaining({ code: 'DEVICE_UNKNOWN' }),
    );
  });
});

describe('a group that the disk has no room for', () => {
  it('leaves nothing behind, on disk or in memory, and the next one is as if it never was', () => {
    const ledger = openWithDevice();
    ledger.commit([item(0)]);
    const pages = ledger.db.pragma('page_count', { simple: true }) as number;
    ledger.db.pragma(`max_page_count = ${pages + 100}`);
    const other = didFromKey(ED25519.publicKey);
    const items = Array.from({ length: 8 }, (_, k) => item(1 + k));
    const group = () =>
      ledger.commit([...items, { ...item(90), refusal: { code: 'FRAMES_ROOT_MISMATCH' } }], () => {
        ledger.calls.enrol(other, '', NOW_US);
        ledger.calls.revoke(didFromKey(KEY.publicKey), 'never', NOW_US);
        ledger.calls.enter(1, '55'.repeat(16), 1, NOW_US);
        ledger.calls.writeCounters();
        // Everything before this line found room.
        ledger.db.exec("INSERT INTO meta VALUES ('too much', zeroblob(10000000))");
      });
    expect(group).toThrow(expect.objectContaining({ code: 'SQLITE_FULL' }));

    expect(ledger.rows('SELECT id FROM statements')).toHaveLength(1);
    expect(ledger.calls.devices().map(({ revokedAtUs }) => revokedAtUs)).toEqual([null]);
    expect(ledger.devices.session(1, '55'.repeat(16))).toBeNull();
    ledger.db.pragma('max_page_count = 1000000');
    ledger.calls.writeCounters();
    expect(ledger.rows('SELECT envelopes, frames, refused FROM devices')).toEqual([
      { envelopes: 1, frames: 1, refused: 0 },
    ]);

    expect(ledger.calls.enrol(other, '', NOW_US).id).toBe(2);
    const decisions = ledger.commit(items);
    expect(decisions.every(({ kind }) => kind === 'stored')).toBe(true);
    const sequences = ledger.batchRows(1).map(({ entry }) => decodeEntry(entry).statement);
    expect(sequences.map((bytes) => readStatement(bytes).statement?.firstSequence)).toEqual([
      0, 1, 2, 3, 4, 5, 6, 7, 8,
    ]);
    expect(ledger.rows('SELECT entries, frames FROM batches')).toEqual([{ entries: 9, frames: 9 }]);
  });
});

describe('counters', () => {
  const counted = (ledger: TestLedger) =>
    ledger.rows('SELECT envelopes, frames, refused FROM devices');

  it('are exact after a crash, wherever they were last written', () => {
    const ledger = openWithDevice();
    ledger.commit([item(0, 2)]);
    ledger.calls.writeCounters();
    ledger.commit([item(2, 3), { ...item(9), refusal: { code: 'FRAMES_ROOT_MISMATCH' } }]);
    ledger.crash();
    const after = open();
    after.calls.writeCounters();
    expect(counted(after)).toEqual([{ envelopes: 2, frames: 5, refused: 1 }]);
  });

  it('are exact after a crash when they were written in the group that they count', () => {
    const ledger = openWithDevice();
    ledger.commit([item(0, 2)]);
    ledger.commit([item(2, 3), { ...item(9), refusal: { code: 'FRAMES_ROOT_MISMATCH' } }], () =>
      ledger.calls.writeCounters(),
    );
    ledger.crash();
    const after = open();
    after.calls.writeCounters();
    expect(counted(after)).toEqual([{ envelopes: 2, frames: 5, refused: 1 }]);
  });

  it('count nothing twice, however often they are written', () => {
    const ledger = openWithDevice();
    for (let k = 0; k < 5; k++) {
      ledger.commit([item(k)], () => ledger.calls.writeCounters());
      ledger.calls.writeCounters();
    }
    expect(counted(ledger)).toEqual([{ envelopes: 5, frames: 5, refused: 0 }]);
  });

  it('say when a device was last seen, and nothing when that is not known', () => {
    const ledger = openWithDevice();
    ledger.commit([item(0)]);
    ledger.crash();
    const after = open();
    after.calls.writeCounters();
    expect(after.rows('SELECT last_seen_us AS at FROM devices')).toEqual([{ at: null }]);
    after.commit([{ ...item(0), receivedAtUs: NOW_US + 7 }]);
    after.calls.writeCounters();
    expect(after.rows('SELECT last_seen_us AS at FROM devices')).toEqual([{ at: NOW_US + 7 }]);
  });
});

describe('batches', () => {
  const states = (ledger: TestLedger) =>
    ledger.rows<{ state: string; due_why: string | null; entries: number }>(
      'SELECT state, due_why, entries FROM batches ORDER BY id',
    );

  it('are closed when they are full', () => {
    const ledger = openWithDevice({ entriesMax: 2 });
    ledger.commit([item(0), item(1), item(2)]);
    expect(states(ledger)).toMatchObject([
      { state: 'due', due_why: 'it is full', entries: 2 },
      { state: 'open', entries: 1 },
    ]);
  });

  it('are closed when they are old, or when the operator asks', () => {
    const ledger = openWithDevice({ ageSecondsMax: 10 });
    ledger.commit([item(0)]);
    expect(ledger.calls.closeDue(NOW_US + 9_999_999, false)).toEqual([]);
    expect(ledger.calls.closeDue(NOW_US + 10_000_000, false)).toEqual([1]);
    ledger.commit([item(1)]);
    expect(ledger.calls.closeDue(NOW_US, true)).toEqual([2]);
    expect(ledger.calls.closeDue(NOW_US, true)).toEqual([]);
  });

  it('may grow older while they are small in entries and bytes', () => {
    const ledger = openWithDevice({
      ageSecondsMax: 10,
      entriesMin: 3,
      bytesMin: 2000,
      quietAgeSecondsMax: 100,
    });
    const due = (seconds: number) => ledger.calls.closeDue(NOW_US + seconds * 1e6, false);
    ledger.commit([item(0), item(1)]);
    expect([due(10), due(99), due(100)]).toEqual([[], [], [1]]);
    ledger.commit([item(2), item(3), item(4)]);
    expect(due(10)).toEqual([2]);
    ledger.commit([item(5, 100)]);
    expect(due(10)).toEqual([3]);
  });

  it('keep Ed25519 entries apart', () => {
    const ledger = openWithDevice();
    ledger.calls.enrol(didFromKey(ED25519.publicKey), '', NOW_US);
    ledger.calls.enter(2, SESSION, 1, NOW_US);
    const payload = makeEnvelope(ED25519, { session: SESSION, first: 0 });
    ledger.commit([item(0), { device: 2, payload }]);
    const kinds = ledger.rows('SELECT challengeable FROM batches ORDER BY id');
    expect(kinds).toEqual([{ challengeable: 1 }, { challengeable: 0 }]);
  });

  it('never let receive time fall: a small disorder is levelled, a step back closes them', () => {
    const ledger = openWithDevice();
    const at = (first: number, offsetUs: number) => ({
      ...item(first),
      receivedAtUs: NOW_US + offsetUs,
    });
    ledger.commit([at(0, 0), at(1, 100), at(2, 40), at(3, 200)]);
    ledger.commit([at(4, -3_600_000_000), at(5, -3_599_000_000)]);
    expect(states(ledger)).toMatchObject([
      { state: 'due', due_why: 'the clock stepped back', entries: 4 },
      { state: 'open', entries: 2 },
    ]);
    const times = [1, 2]
      .flatMap((batch) => ledger.batchRows(batch))
      .map(({ entry }) => decodeEntry(entry).receivedAtUs - NOW_US);
    expect(times).toEqual([0, 100, 100, 200, -3_600_000_000, -3_599_000_000]);
  });

  it('go on where they were after a crash', () => {
    const before = openWithDevice();
    before.commit([item(0), item(1)]);
    before.crash();
    const after = open();
    after.commit([item(2)]);
    expect(states(after)).toMatchObject([{ state: 'open', entries: 3 }]);
    expect(after.rows('SELECT * FROM batch_devices')).toHaveLength(1);
  });
});

describe('sealing', () => {
  const sealed = (root: number) => ({
    root: new Uint8Array(32).fill(root),
    count: 1,
    manifestHash: new Uint8Array(32).fill(root + 100),
    minTimeUs: 1,
    maxTimeUs: 2,
  });
  const dueBatch = (ledger: TestLedger, first: number): number => {
    ledger.commit([item(first)]);
    return ledger.calls.closeDue(NOW_US, true)[0] as number;
  };

  it('takes each step once, and done again it gives the same', () => {
    const ledger = openWithDevice();
    const batch = dueBatch(ledger, 0);
    expect(ledger.calls.freeze(batch, NOW_US)).toMatchObject({ logIndex: 0, sealedAtUs: NOW_US });
    const head = ledger.calls.appendLog(batch, sealed(1));
    expect(ledger.calls.appendLog(batch, sealed(1))).toEqual(head);
    expect(ledger.calls.logHead(batch)).toEqual(head);
    expect(ledger.rows('SELECT log_index FROM log')).toHaveLength(1);
    ledger.commit([], () => ledger.calls.markSealed(batch));
    expect(existsSync(batchFile(folder, batch))).toBe(false);
    expect(ledger.rows('SELECT id FROM statements')).toHaveLength(1);
  });

  it('refuses steps out of their order', () => {
    const ledger = openWithDevice();
    const batch = dueBatch(ledger, 0);
    const broken = expect.objectContaining({ code: 'LEDGER_BROKEN' });
    expect(() => ledger.calls.appendLog(batch, sealed(1))).toThrow(broken);
    expect(() => ledger.calls.markSealed(batch)).toThrow(broken);
    ledger.calls.freeze(batch, NOW_US);
    expect(() => ledger.calls.freeze(batch, NOW_US)).toThrow(broken);
    expect(() => ledger.calls.markSealed(batch)).toThrow(broken);
    expect(() => ledger.calls.freeze(99, NOW_US)).toThrow(broken);
  });

  it('removes the file of its own batch alone', () => {
    const ledger = openWithDevice();
    const batch = dueBatch(ledger, 0);
    ledger.commit([item(1), item(2)]);
    ledger.calls.freeze(batch, NOW_US);
    ledger.calls.appendLog(batch, sealed(1));
    ledger.commit([], () => ledger.calls.markSealed(batch));
    expect(ledger.batchRows(2)).toHaveLength(2);
  });

  it('gives checkpoints whose paths lead from each new record to the root', () => {
    const ledger = openWithDevice();
    for (let k = 0; k < 9; k++) {
      const batch = dueBatch(ledger, k);
      ledger.calls.freeze(batch, NOW_US + k);
      const { checkpoint, path, logIndex } = ledger.calls.appendLog(batch, sealed(k));
      expect(logIndex).toBe(k);
      expect(decodeCheckpoint(checkpoint)).toMatchObject({ size: k + 1, timeUs: NOW_US + k });
      const signed = decodeSignedCheckpoint(
        encodeSignedCheckpoint(checkpoint, GATEWAY.sign(checkpoint), GATEWAY.publicKey, path),
      );
      const [{ record } = { record: Buffer.alloc(0) }] = ledger.rows<{ record: Buffer }>(
        'SELECT record FROM log WHERE log_index = ?',
        k,
      );
      expect(checkpointFault(signed)).toBeNull();
      const root = rootFromInclusionProof(leafHash(record), k, k + 1, path);
      expect(root !== null && equalBytes(root, signed.checkpoint.root)).toBe(true);
      ledger.calls.markSealed(batch);
    }
    expect(ledger.calls.identity().logSize).toBe(9);
  });

  it('never seals a batch before its last entry came, whatever the clock says', () => {
    const ledger = openWithDevice();
    const batch = dueBatch(ledger, 0);
    expect(ledger.calls.freeze(batch, NOW_US - 1_000_000).sealedAtUs).toBe(NOW_US);
  });

  it('works first on what has its place in the log', () => {
    const ledger = openWithDevice();
    const first = dueBatch(ledger, 0);
    const second = dueBatch(ledger, 1);
    const third = dueBatch(ledger, 2);
    ledger.calls.freeze(third, NOW_US);
    ledger.calls.freeze(first, NOW_US);
    expect(ledger.calls.sealing().map(({ id }) => id)).toEqual([third, first, second]);
  });
});

describe('a ledger is not opened', () => {
  const openWithHead = (head: { size: number; logId?: string }): (() => TestLedger) => {
    const logHeadFile = join(folder, 'log-head.json');
    const ledger = new TestLedger(file, {}, logHeadFile);
    const logId = head.logId ?? toHex(ledger.logId);
    ledger.crash();
    writeLogHead(logHeadFile, { logId, size: head.size, root: '' });
    return () => {
      const again = new TestLedger(file, {}, logHeadFile);
      opened.push(again);
      return again;
    };
  };

  it('when the gateway signed a longer log than it holds', () => {
    expect(openWithHead({ size: 1 })).toThrow(
      expect.objectContaining({
        code: 'LEDGER_ROLLED_BACK',
        message: expect.stringContaining('waystone restore'),
      }),
    );
  });

  it('when the gateway signed a log that it does not hold at all', () => {
    expect(openWithHead({ size: 1, logId: 'ab'.repeat(16) })).toThrow(
      expect.objectContaining({ code: 'LEDGER_ROLLED_BACK' }),
    );
  });

  it('unless it holds all that was signed', () => {
    expect(openWithHead({ size: 0 })).not.toThrow();
  });

  it('with another gateway key', () => {
    openWithDevice().db.exec("UPDATE meta SET value = 'aa' WHERE key = 'gateway_id'");
    expect(() => open()).toThrow(expect.objectContaining({ code: 'LEDGER_FOREIGN' }));
  });

  it('when a newer release wrote it', () => {
    const db = new Database(file);
    prepareLedger(db, folder);
    db.pragma('user_version = 99');
    expect(() => prepareLedger(db, folder)).toThrow(
      expect.objectContaining({ code: 'LEDGER_TOO_NEW' }),
    );
    db.close();
  });
});

it('answers for wanted statements with the first receipt, and for others not at all', () => {
  const ledger = openWithDevice();
  const [first] = ledger.commit([item(0), item(1, 4)]);
  const owed = ledger.calls.owedReceipts(1, [
    { session: SESSION, stream: 1, firstSequence: 0 },
    { session: SESSION, stream: 1, firstSequence: 2 },
    { session: SESSION, stream: 2, firstSequence: 0 },
    { session: '99'.repeat(16), stream: 1, firstSequence: 0 },
  ]);
  const { statement } = decodeReceipt(first?.receipt as Uint8Array).body;
  expect(owed.map((one) => ({ ...one, statement: new Uint8Array(one.statement) }))).toEqual([
    {
      ...{ statement: new Uint8Array(statement), stored: first?.receipt },
      ...{ batch: 1, batchIndex: 0, offence: null },
    },
  ]);
  expect(ledger.calls.owedReceipts(7, [{ session: SESSION, stream: 1, firstSequence: 0 }])).toEqual(
    [],
  );
});
