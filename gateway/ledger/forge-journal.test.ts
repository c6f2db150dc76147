import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { NewIntent, NewTransaction } from '../core/forge-ports.js';
import {
  FORGE_JOURNAL_DDL,
  type ForgeJournalOperations,
  forgeJournalOperations,
} from './forge-journal.js';

const CHAIN = 31_337;
const ACCOUNT = '0x00000000000000000000000000000000000000aa';

let folder: string;
let db: Database.Database;
let journal: ForgeJournalOperations;
let now = 0;

function open(create: boolean): void {
  db = new Database(join(folder, 'ledger.sqlite'));
  db.pragma('journal_mode = WAL');
  db.pragma('synchronous = FULL');
  db.pragma('foreign_keys = ON');
  if (create) db.exec(FORGE_JOURNAL_DDL);
  journal = forgeJournalOperations(db, () => ++now);
}

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'waystone-journal-'));
  open(true);
});

afterEach(() => {
  db.close();
  rmSync(folder, { recursive: true });
});

function datasetIntent(index: number, payload = '{}'): NewIntent {
  return { key: `d${index}`, chainId: CHAIN, kind: 'dataset', logId: 'aa', index, payload };
}

function setupIntent(payload = '{}'): NewIntent {
  return { key: 's', chainId: CHAIN, kind: 'setup', logId: null, index: null, payload };
}

function transaction(hash: string, nonce: number, intentKey = 'd0'): NewTransaction {
  return {
    ...{ hash, intentKey, purpose: 'commit', chainId: CHAIN, account: ACCOUNT, nonce },
    ...{ raw: '0x02', gasLimit: 1, maxFeeWei: '1', tipWei: '1' },
  };
}

const block = (number: number): { number: number; hash: string } => ({
  number,
  hash: `0x${number}`,
});

describe('intents', () => {
  it('are written once and never change', () => {
    const written = journal.addIntent(datasetIntent(0, 'a'));
    expect(written).toMatchObject({ state: 'intent', payload: 'a', attempts: 0, tokenId: null });
    expect(journal.addIntent(datasetIntent(0, 'a'))).toEqual(written);
    expect(() => journal.addIntent(datasetIntent(0, 'b'))).toThrow(
      expect.objectContaining({ code: 'FORGE_RECORD_MISMATCH' }),
    );
    expect(journal.intent('d0')?.payload).toBe('a');
  });

  it('of setting up open again when they are intended anew', () => {
    journal.addIntent(setupIntent());
    journal.progress('s', { state: 'confirmed', blockNumber: 3, blockHash: '0x3' });
    expect(journal.openIntents(CHAIN, 'setup')).toEqual([]);
    expect(journal.addIntent(setupIntent()).state).toBe('intent');
    expect(journal.addIntent(setupIntent('{"a":1}')).payload).toBe('{"a":1}');
  });

  it('come back in log order until they are confirmed, one chain at a time', () => {
    for (const index of [0, 1, 2]) journal.addIntent(datasetIntent(index));
    journal.addIntent({ ...datasetIntent(0), key: 'other', chainId: 1088 });
    journal.progress('d1', { state: 'confirmed' });
    expect(journal.openIntents(CHAIN, 'dataset').map(({ key }) => key)).toEqual(['d0', 'd2']);
  });

  it('keep what was seen when a later step says less', () => {
    journal.addIntent(datasetIntent(0));
    journal.progress('d0', { state: 'finalised', tokenId: '7', transaction: '0xa', ...blockOf(5) });
    journal.progress('d0', { state: 'confirmed' });
    expect(journal.intent('d0')).toMatchObject({
      ...{ state: 'confirmed', tokenId: '7', transaction: '0xa', blockNumber: 5 },
    });
  });

  it('count their failures and keep the last one', () => {
    journal.addIntent(datasetIntent(0));
    journal.noteError('d0', 'down');
    journal.noteError('d0', 'still down');
    expect(journal.intent('d0')).toMatchObject({ attempts: 2, lastError: 'still down' });
    journal.progress('d0', { state: 'committed' });
    expect(journal.intent('d0')).toMatchObject({ attempts: 2, lastError: null });
  });

  it('must exist to make progress', () => {
    expect(() => journal.progress('nothing', { state: 'committed' })).toThrow(RangeError);
  });
});

function blockOf(number: number): { blockNumber: number; blockHash: string } {
  return { blockNumber: number, blockHash: `0x${number}` };
}

describe('transactions', () => {
  it('need their intent first', () => {
    expect(() => journal.addTransaction(transaction('0xa', 0))).toThrow(/intent/);
    expect(journal.pendingTransactions(CHAIN)).toEqual([]);
  });

  it('never share a nonce while they are live', () => {
    journal.addIntent(datasetIntent(0));
    journal.addTransaction(transaction('0xa', 0));
    for (const step of [
      () => undefined,
      () => journal.markSent('0xa'),
      () => journal.markMined('0xa', block(1)),
    ]) {
      step();
      expect(() => journal.addTransaction(transaction('0xb', 0))).toThrow(/UNIQUE/);
    }
    journal.addTransaction(transaction('0xc', 1));
    // Another account or chain counts by itself.
    journal.addTransaction({ ...transaction('0xd', 0), account: '0xbb' });
    journal.addTransaction({ ...transaction('0xe', 0), chainId: 1088 });
    expect(journal.nextNonce(CHAIN, ACCOUNT)).toBe(2);
    expect(journal.nextNonce(CHAIN, '0xcc')).toBe(0);
  });

  it('that are refused change nothing', () => {
    journal.addIntent(datasetIntent(0));
    journal.addTransaction(transaction('0xa', 4));
    expect(() => journal.addTransaction(transaction('0xb', 4))).toThrow();
    expect(() => journal.addTransaction(transaction('0xa', 4))).toThrow(/live/);
    expect(journal.nextNonce(CHAIN, ACCOUNT)).toBe(5);
    expect(journal.transactions('d0').map(({ hash }) => hash)).toEqual(['0xa']);
  });

  it('go from signed to sent to mined to confirmed', () => {
    journal.addIntent(datasetIntent(0));
    journal.addTransaction(transaction('0xa', 0));
    const state = (): string | undefined => journal.transactions('d0')[0]?.state;
    expect(state()).toBe('signed');
    journal.markSent('0xa');
    journal.markSent('0xa');
    expect(journal.transactions('d0')[0]).toMatchObject({ state: 'sent', sends: 2 });
    journal.markMined('0xa', block(9));
    expect(journal.pendingTransactions(CHAIN)).toEqual([]);
    journal.markSent('0xa');
    expect(journal.transactions('d0')[0]).toMatchObject({ state: 'mined', blockNumber: 9 });
    journal.progress('d0', { state: 'confirmed' });
    expect(state()).toBe('confirmed');
    expect(journal.liveTransaction('d0', 'commit')).toBeNull();
  });

  it('that are lost give their nonce back, and may come again as the same bytes', () => {
    journal.addIntent(datasetIntent(0));
    journal.addTransaction(transaction('0xa', 3));
    journal.markLost('0xa');
    expect(journal.nextNonce(CHAIN, ACCOUNT)).toBe(3);
    journal.addTransaction(transaction('0xa', 3));
    expect(journal.liveTransaction('d0', 'commit')).toMatchObject({ hash: '0xa', state: 'signed' });
  });

  it('that failed leave their nonce used', () => {
    journal.addIntent(datasetIntent(0));
    journal.addTransaction(transaction('0xa', 3));
    journal.markFailed('0xa', block(2), 'AlreadyCommitted');
    expect(journal.nextNonce(CHAIN, ACCOUNT)).toBe(4);
    expect(journal.liveTransaction('d0', 'commit')).toBeNull();
    journal.addTransaction(transaction('0xb', 4));
  });

  it('are replaced under their nonce, and whichever is mined makes the others replaced', () => {
    journal.addIntent(datasetIntent(0));
    journal.addTransaction(transaction('0xa', 3));
    journal.addTransaction(transaction('0xz', 4));
    journal.markSent('0xa');
    journal.replaceTransaction('0xa', transaction('0xb', 3));
    journal.replaceTransaction('0xb', transaction('0xc', 3));
    const states = (): string[] =>
      journal.transactionsAt(CHAIN, ACCOUNT, 3).map(({ hash, state }) => `${hash} ${state}`);
    expect(states().sort()).toEqual(['0xa replaced', '0xb replaced', '0xc signed']);
    // The nonces given out since stay given out.
    expect(journal.nextNonce(CHAIN, ACCOUNT)).toBe(5);
    journal.markMined('0xa', block(7));
    expect(states().sort()).toEqual(['0xa mined', '0xb replaced', '0xc replaced']);
    expect(journal.pendingTransactions(CHAIN).map(({ hash }) => hash)).toEqual(['0xz']);
  });

  it('are replaced by nothing else than their like', () => {
    journal.addIntent(datasetIntent(0));
    journal.addTransaction(transaction('0xa', 3));
    expect(() => journal.replaceTransaction('0xa', transaction('0xb', 4))).toThrow(/nonce 4/);
    expect(() => journal.replaceTransaction('0xq', transaction('0xb', 3))).toThrow(RangeError);
    journal.markMined('0xa', block(7));
    expect(() => journal.replaceTransaction('0xa', transaction('0xb', 3))).toThrow(/mined/);
    expect(journal.transactions('d0').map(({ hash }) => hash)).toEqual(['0xa']);
  });

  it('that were given up are unexplained until something is known to have had their nonce', () => {
    journal.addIntent(datasetIntent(0));
    for (const [hash, nonce] of [['0xa', 3] as const, ['0xb', 4] as const]) {
      journal.addTransaction(transaction(hash, nonce));
      journal.markSent(hash);
    }
    for (const hash of ['0xb', '0xa']) journal.markLost(hash);
    expect(journal.unexplained(CHAIN).map(({ hash }) => hash)).toEqual(['0xb', '0xa']);
    expect(journal.unexplained(1088)).toEqual([]);
    journal.addTransaction(transaction('0xc', 3));
    expect(journal.unexplained(CHAIN).map(({ hash }) => hash)).toEqual(['0xb']);
    journal.markMined('0xb', block(4));
    expect(journal.unexplained(CHAIN)).toEqual([]);
  });

  it('that are unknown are an error, not silence', () => {
    expect(() => journal.markMined('0xzz', block(1))).toThrow(RangeError);
    expect(() => journal.markLost('0xzz')).toThrow(RangeError);
  });
});

describe('a rewound chain', () => {
  beforeEach(() => {
    for (const index of [0, 1, 2]) {
      journal.addIntent(datasetIntent(index));
      journal.addTransaction(transaction(`0x${index}`, index, `d${index}`));
      journal.markMined(`0x${index}`, block(10 + index));
      journal.progress(`d${index}`, {
        ...{ state: 'finalised', tokenId: String(index), ...blockOf(10 + index) },
      });
    }
    journal.progress('d0', { state: 'confirmed' });
    journal.progress('d1', { state: 'confirmed' });
  });

  it('is noticed by the newest block', () => {
    expect(journal.newestBlock(CHAIN)).toEqual(block(12));
    expect(journal.newestBlock(1088)).toBeNull();
    expect(journal.seenBlocks(CHAIN)).toEqual([block(10), block(11), block(12)]);
  });

  it('is noticed by each block of what is not confirmed, though a newer one was seen after it', () => {
    expect(journal.unconfirmedBlocks(CHAIN)).toEqual([block(12)]);
    journal.addIntent(datasetIntent(3));
    journal.addTransaction(transaction('0x3', 3, 'd3'));
    journal.markMined('0x3', { number: 12, hash: '0xother' });
    expect(journal.unconfirmedBlocks(CHAIN)).toHaveLength(2);
    expect(journal.unconfirmedBlocks(1088)).toEqual([]);
  });

  it('opens all that it lost and nothing else', () => {
    expect(journal.rewind(CHAIN, 10)).toBe(2);
    expect(journal.openIntents(CHAIN, 'dataset').map(({ key, state }) => [key, state])).toEqual([
      ['d1', 'intent'],
      ['d2', 'intent'],
    ]);
    expect(journal.intent('d1')).toMatchObject({ tokenId: '1', blockNumber: null });
    expect(journal.nextNonce(CHAIN, ACCOUNT)).toBe(1);
    expect(journal.seenBlocks(CHAIN)).toEqual([block(10)]);
    journal.addTransaction(transaction('0x1', 1, 'd1'));
  });

  it('of which nothing is left opens everything', () => {
    expect(journal.rewind(CHAIN, -1)).toBe(3);
    expect(journal.nextNonce(CHAIN, ACCOUNT)).toBe(0);
    expect(journal.newestBlock(CHAIN)).toBeNull();
  });
});

it('is the same after the file is opened again', () => {
  journal.addIntent(datasetIntent(0, 'a'));
  journal.addTransaction(transaction('0xa', 0));
  db.close();
  open(false);
  expect(journal.intent('d0')?.payload).toBe('a');
  expect(journal.pendingTransactions(CHAIN)).toHaveLength(1);
  expect(journal.nextNonce(CHAIN, ACCOUNT)).toBe(1);
});
