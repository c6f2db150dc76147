import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { NewLazaiRecord } from '../core/lazai-ports.js';
import { type ForgeJournalOperations, forgeJournalOperations } from './forge-journal.js';
import { type LazaiJournalOperations, lazaiJournalOperations } from './lazai-journal.js';
import { prepareLedger, SCHEMA_VERSION } from './schema.js';
import { withoutLazai, withoutSessionPruning } from './testing.js';

const CHAIN = 133_718;
const LOG = '0f'.repeat(16);

let folder: string;
let db: Database.Database;
let forge: ForgeJournalOperations;
let journal: LazaiJournalOperations;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'waystone-lazai-journal-'));
  db = new Database(join(folder, 'ledger.sqlite'));
  prepareLedger(db, folder);
  open();
});

afterEach(() => {
  db.close();
  rmSync(folder, { recursive: true });
});

function open(): void {
  forge = forgeJournalOperations(db, () => 1);
  journal = lazaiJournalOperations(db, forge);
}

const newRecord = (index = 0, registry = '0xaa'): NewLazaiRecord => ({
  key: `lazai:${CHAIN}:${registry}:${index}`,
  chainId: CHAIN,
  dataset: {
    ...{ logId: LOG, index, root: 'ab'.repeat(32), hash: 'cd'.repeat(32) },
    url: 'https://data.example/entries',
  },
  idao: `0x${'1d'.repeat(20)}`,
  contentKey: '01'.repeat(32),
  urlSecret: '02'.repeat(32),
  fromBlock: 7,
});

const token = {
  ...{ tokenId: '5', lazaiScore: '42', fileId: '9', proofIndex: '1', url: 'https://u' },
  ...{ owner: '0x01', dataAnchoringToken: '0x02', transaction: `0x${'03'.repeat(32)}` },
  ...{ blockNumber: 12, blockHash: `0x${'04'.repeat(32)}` },
};

it('a record is written with its intent, keeps its secrets, and never changes its dataset', () => {
  const written = journal.addLazaiFile(newRecord());
  expect(written).toMatchObject({ state: 'intent', feeWei: '0', token: null });
  expect(forge.intent(written.key)).toMatchObject({ kind: 'dataset', logId: LOG, index: 0 });
  expect(journal.addLazaiFile({ ...newRecord(), contentKey: '0b'.repeat(32) })).toEqual(written);
  const other = newRecord();
  const changed = { ...other, dataset: { ...other.dataset, hash: 'ee'.repeat(32) } };
  expect(() => journal.addLazaiFile(changed)).toThrow(
    expect.objectContaining({ code: 'FORGE_RECORD_MISMATCH' }),
  );
  expect(journal.lazaiFile(written.key)).toEqual(written);
});

it('what becomes of a record is told of its intent, and a confirmed one is open no more', () => {
  const { key } = journal.addLazaiFile(newRecord());
  journal.updateLazaiFile(key, { waitCode: 'LAZAI_NO_FUNDS', waitMessage: 'empty' });
  expect(forge.intent(key)?.state).toBe('intent');
  journal.updateLazaiFile(key, { state: 'registered' });
  expect(forge.intent(key)).toMatchObject({ state: 'committed', blockNumber: null });
  journal.updateLazaiFile(key, { state: 'rewarded', token });
  expect(forge.intent(key)).toMatchObject({ state: 'finalised', tokenId: '5', blockNumber: 12 });
  expect(journal.openLazaiFiles(CHAIN)).toHaveLength(1);
  journal.updateLazaiFile(key, { state: 'confirmed' });
  expect(forge.intent(key)).toMatchObject({
    ...{ state: 'confirmed', tokenId: '5', transaction: token.transaction },
    ...{ blockNumber: 12, blockHash: token.blockHash },
  });
  expect(journal.openLazaiFiles(CHAIN)).toEqual([]);
  expect(journal.lazaiFile(key)).toMatchObject({ state: 'confirmed', token });
});

it('fees that were set aside stay counted, and what was seen first stays', () => {
  for (const index of [0, 1, 2]) journal.addLazaiFile(newRecord(index));
  for (const index of [0, 1]) {
    journal.updateLazaiFile(newRecord(index).key, { feeWei: '900000000000000000000' });
  }
  journal.updateLazaiFile(newRecord(0).key, { state: 'confirmed', token });
  expect(journal.lazaiReservedWei(CHAIN)).toBe(1_800_000_000_000_000_000_000n);
  expect(journal.lazaiReservedWei(1)).toBe(0n);
  expect(journal.pinLazai('key:a', 'x')).toBe('x');
  expect(journal.pinLazai('key:a', 'y')).toBe('x');
});

it('a dataset is journalled for one target of a chain', () => {
  const ours = { chainId: CHAIN, kind: 'dataset', logId: LOG, payload: '{}' } as const;
  const refused = expect.objectContaining({ code: 'FORGE_TARGET_CHANGED' });
  const { key } = journal.addLazaiFile(newRecord(0, '0xbb'));
  // Nothing was signed for it: the operator may put the addresses right.
  journal.addLazaiFile(newRecord(0));
  forge.addTransaction({
    ...{ hash: '0xa', intentKey: newRecord(0).key, purpose: 'register:0', chainId: CHAIN },
    ...{ account: '0x1', nonce: 0, raw: '0x', gasLimit: 1, maxFeeWei: '1', tipWei: '1' },
  });
  expect(() => forge.addIntent({ ...ours, key: 'dataset:1', index: 0 })).toThrow(refused);
  expect(() => journal.addLazaiFile(newRecord(0, '0xcc'))).toThrow(refused);
  expect(journal.lazaiFile(key)?.state).toBe('intent');
  forge.addIntent({ ...ours, key: 'dataset:2', index: 1 });
  const bundle = { ...ours, kind: 'setup', logId: null, index: null } as const;
  forge.addIntent({ ...bundle, key: 'bundle:1', payload: '{"members":["dataset:2"]}' });
  expect(() => journal.addLazaiFile(newRecord(1))).toThrow(refused);
  forge.progress('bundle:1', { state: 'confirmed' });
  journal.addLazaiFile(newRecord(1));
  forge.addIntent({ ...ours, key: 'dataset:4', index: 2 });
  forge.progress('dataset:4', { state: 'committed' });
  expect(() => journal.addLazaiFile(newRecord(2))).toThrow(refused);
  // Another chain is another matter.
  forge.addIntent({ ...ours, key: 'dataset:3', chainId: 1, index: 0 });
});

it.each([
  ['6', withoutLazai],
  ['3', withoutSessionPruning],
])('a ledger of schema version %s gets the tables and keeps its intents', (_version, older) => {
  const intent = { chainId: 1, kind: 'dataset', logId: LOG, index: 0, payload: '{}' } as const;
  forge.addIntent({ ...intent, key: 'dataset:1' });
  const tables =
    "SELECT type, name, sql FROM sqlite_master WHERE name GLOB '*lazai*' ORDER BY name";
  const made = db.prepare(tables).all();
  older(db);
  expect(db.prepare(tables).all()).toEqual([]);
  db.close();
  db = new Database(join(folder, 'ledger.sqlite'));
  prepareLedger(db, folder);
  open();
  expect(db.pragma('user_version', { simple: true })).toBe(SCHEMA_VERSION);
  expect(db.prepare(tables).all()).toEqual(made);
  expect(made).not.toEqual([]);
  expect(forge.intent('dataset:1')).toMatchObject(intent);
  journal.addLazaiFile(newRecord(1));
});
