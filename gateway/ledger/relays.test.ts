import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { didFromKey } from '@waystone/proto';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { testKeyNamed } from '../../proto/test-data/test-signer.js';
import type { NewRelay } from '../core/relay.js';
import { RELAYS_MAX } from './relays.js';
import { TestLedger } from './testing.js';

const NOW_US = 1_800_000_000_000_000;
const DIDS = [1, 2, 3].map((k) => didFromKey(testKeyNamed('secp256k1', `carried ${k}`).publicKey));
const SECRET = { salt: new Uint8Array(16).fill(1), hash: new Uint8Array(32).fill(2) };

let folder: string;
let ledger: TestLedger;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'waystone-relays-'));
  ledger = new TestLedger(join(folder, 'ledger.sqlite'));
  for (const did of DIDS) ledger.calls.enrol(did, '', NOW_US);
});
afterEach(() => {
  ledger.db.close();
  rmSync(folder, { recursive: true, force: true });
});

/** As the ledger's thread runs it: undone as a whole when it fails. */
const add = (relay: Partial<NewRelay> & { name: string }) =>
  ledger.db.transaction(() =>
    ledger.calls.addRelay({ login: SECRET, devices: null, ...relay }, NOW_US),
  )();

it('keeps relays of both kinds with what they carry, across a restart', () => {
  const made = [
    add({ name: 'depot', devices: [DIDS[0] as string, DIDS[2] as string, DIDS[0] as string] }),
    add({ name: 'harbour' }),
    add({ name: 'box', login: { did: DIDS[1] as string }, devices: [DIDS[1] as string] }),
  ];
  expect(made).toEqual([
    { id: 1, name: 'depot', login: SECRET, devices: new Set([1, 3]), addedAtUs: NOW_US },
    { id: 2, name: 'harbour', login: SECRET, devices: null, addedAtUs: NOW_US },
    { id: 3, name: 'box', login: { device: 2 }, devices: new Set([2]), addedAtUs: NOW_US },
  ]);
  ledger.db.close();
  ledger = new TestLedger(join(folder, 'ledger.sqlite'));
  expect(ledger.calls.relays()).toEqual(made);
});

it('gives a relay other devices, or keeps those it had when one of them is not enrolled', () => {
  const relay = add({ name: 'depot', devices: [DIDS[0] as string] });
  const set = (devices: readonly string[] | null) =>
    ledger.db.transaction(() => ledger.calls.setRelayDevices('depot', devices))();
  expect(set(DIDS.slice(1))).toEqual({ ...relay, devices: new Set([2, 3]) });
  const stranger = didFromKey(testKeyNamed('secp256k1', 'stranger').publicKey);
  expect(() => set([DIDS[0] as string, stranger])).toThrow(
    expect.objectContaining({ code: 'DEVICE_UNKNOWN' }),
  );
  expect(ledger.calls.relays()).toEqual([{ ...relay, devices: new Set([2, 3]) }]);
  expect(set(null)).toEqual({ ...relay, devices: null });
  expect(ledger.rows('SELECT * FROM relay_devices')).toEqual([]);
  expect(set([DIDS[0] as string])).toEqual(relay);
  expect(() => ledger.calls.setRelayDevices('other', null)).toThrow(
    expect.objectContaining({ code: 'RELAY_UNKNOWN' }),
  );
});

it('removes a relay with what it carried, and knows its name no more', () => {
  const relay = add({ name: 'depot', devices: DIDS });
  expect(ledger.calls.removeRelay('depot')).toEqual(relay);
  expect(ledger.calls.relays()).toEqual([]);
  expect(ledger.rows('SELECT * FROM relay_devices')).toEqual([]);
  expect(() => ledger.calls.removeRelay('depot')).toThrow(
    expect.objectContaining({ code: 'RELAY_UNKNOWN' }),
  );
  expect(add({ name: 'depot' }).devices).toBeNull();
});

it('adds nothing when the name or the device is a relay already, or a device is not enrolled', () => {
  add({ name: 'depot', login: { did: DIDS[0] as string } });
  const before = ledger.calls.relays();
  const stranger = didFromKey(testKeyNamed('secp256k1', 'stranger').publicKey);
  for (const [relay, code] of [
    [{ name: 'depot' }, 'RELAY_EXISTS'],
    [{ name: 'other', login: { did: DIDS[0] as string } }, 'RELAY_EXISTS'],
    [{ name: 'other', login: { did: stranger } }, 'DEVICE_UNKNOWN'],
    [{ name: 'other', devices: [DIDS[1] as string, stranger] }, 'DEVICE_UNKNOWN'],
  ] as const) {
    expect(() => add(relay)).toThrow(expect.objectContaining({ code }));
  }
  expect(ledger.calls.relays()).toEqual(before);
  expect(ledger.rows('SELECT * FROM relay_devices')).toEqual([]);
});

it('keeps a bounded number of them', () => {
  ledger.db.transaction(() => {
    for (let k = 0; k < RELAYS_MAX; k++) add({ name: `relay-${k}` });
  })();
  expect(() => add({ name: 'one-more' })).toThrow(expect.objectContaining({ code: 'RELAY_LIMIT' }));
  expect(ledger.calls.relays()).toHaveLength(RELAYS_MAX);
});
