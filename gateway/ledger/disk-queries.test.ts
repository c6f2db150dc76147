import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { NewTransaction } from '../core/forge-ports.js';
import { diskQueries } from './disk-queries.js';
import { TestLedger } from './testing.js';

let folder: string;
let ledger: TestLedger;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'waystone-disk-queries-'));
  ledger = new TestLedger(join(folder, 'ledger.sqlite'));
});
afterEach(() => {
  ledger.crash();
  rmSync(folder, { recursive: true });
});

const CHAIN = 31337;
let nonce = 0;

/** A transaction that is confirmed, with its intent. */
function confirmed(key: string, purpose: string, gasLimit: number, members?: string[]): void {
  const { calls } = ledger;
  const kind = members === undefined ? 'dataset' : 'setup';
  const payload = JSON.stringify(members === undefined ? {} : { purpose, members });
  calls.addIntent({ key, chainId: CHAIN, kind, logId: null, index: null, payload });
  const transaction: NewTransaction = {
    hash: `0x${(++nonce).toString(16).padStart(64, '0')}`,
    intentKey: key,
    purpose,
    chainId: CHAIN,
    account: '0x01',
    nonce,
    raw: '0x',
    gasLimit,
    maxFeeWei: '1',
    tipWei: '1',
  };
  calls.addTransaction(transaction);
  ledger.db.prepare("UPDATE chain_tx SET state = 'confirmed' WHERE hash = ?").run(transaction.hash);
}

describe('gas of a dataset', () => {
  const gas = () => diskQueries(ledger.db).gasPerDataset();

  it('is not known before one was forged', () => {
    expect(gas()).toBeNull();
  });

  it('is that of its two transactions', () => {
    confirmed('a', 'commit', 100_000);
    confirmed('a', 'finalise', 140_000);
    expect(gas()).toBe(240_000);
  });

  it('is that of its three transactions on LazAI', () => {
    confirmed('a', 'register:1', 300_000);
    confirmed('a', 'request', 150_000);
    confirmed('a', 'reward', 210_000);
    expect(gas()).toBe(660_000);
  });

  it('is its share of the bundles that it was in', () => {
    confirmed('bundle 1', 'commit', 400_000, ['a', 'b', 'c', 'd']);
    confirmed('bundle 2', 'finalise', 160_000, ['a', 'b', 'c', 'd']);
    expect(gas()).toBe(140_000);
    // A dataset by itself raises the mean.
    confirmed('e', 'commit', 100_000);
    confirmed('e', 'finalise', 140_000);
    expect(gas()).toBe((560_000 + 240_000) / 5);
  });

  it('does not count what only sets up', () => {
    confirmed('a', 'commit', 100_000);
    confirmed('a', 'finalise', 140_000);
    confirmed('setup', 'deploy', 9_000_000);
    expect(gas()).toBe(240_000);
  });
});
