import type Database from 'better-sqlite3';
import { WaystoneError } from '../core/errors.js';
import {
  type ChainBlock,
  type ForgeJournal,
  type Intent,
  type IntentKind,
  type IntentProgress,
  isLazaiKey,
  type NewIntent,
  type NewTransaction,
  type Transaction,
} from '../core/forge-ports.js';

/** Tables of the forge journal. The partial index holds the rule that matters most: one nonce, one live transaction. */
export const FORGE_JOURNAL_DDL = `
CREATE TABLE chain_intent (
  key TEXT PRIMARY KEY,
  chain_id INTEGER NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('setup', 'dataset')),
  log_id TEXT,
  log_index INTEGER,
  payload TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('intent', 'committed', 'finalised', 'confirmed')),
  token_id TEXT,
  tx_hash TEXT,
  block_number INTEGER,
  block_hash TEXT,
  attempts INTEGER NOT NULL DEFAULT 0,
  last_error TEXT,
  created_at_us INTEGER NOT NULL,
  updated_at_us INTEGER NOT NULL
);
CREATE INDEX chain_intent_open ON chain_intent (chain_id, kind, log_id, log_index)
  WHERE state <> 'confirmed';

CREATE TABLE chain_account (
  chain_id INTEGER NOT NULL,
  address TEXT NOT NULL,
  next_nonce INTEGER NOT NULL,
  PRIMARY KEY (chain_id, address)
) WITHOUT ROWID;

CREATE TABLE chain_tx (
  hash TEXT PRIMARY KEY,
  intent_key TEXT NOT NULL REFERENCES chain_intent (key),
  purpose TEXT NOT NULL,
  chain_id INTEGER NOT NULL,
  account TEXT NOT NULL,
  nonce INTEGER NOT NULL,
  -- Counts up each time that the same bytes are signed again after they were lost.
  generation INTEGER NOT NULL DEFAULT 0,
  raw TEXT NOT NULL,
  gas_limit INTEGER NOT NULL,
  max_fee_wei TEXT NOT NULL,
  tip_wei TEXT NOT NULL,
  state TEXT NOT NULL CHECK (
    state IN ('signed', 'sent', 'mined', 'confirmed', 'replaced', 'failed', 'lost')
  ),
  block_number INTEGER,
  block_hash TEXT,
  sends INTEGER NOT NULL DEFAULT 0,
  failure TEXT,
  created_at_us INTEGER NOT NULL,
  first_sent_at_us INTEGER,
  last_sent_at_us INTEGER
);
CREATE UNIQUE INDEX chain_tx_live ON chain_tx (chain_id, account, nonce)
  WHERE state IN ('signed', 'sent', 'mined');
CREATE INDEX chain_tx_by_intent ON chain_tx (intent_key);
CREATE INDEX chain_intent_by_block ON chain_intent (chain_id, block_number)
  WHERE block_number IS NOT NULL;
CREATE INDEX chain_tx_by_block ON chain_tx (chain_id, block_number) WHERE block_number IS NOT NULL;
`;

const INTENT_COLUMNS = `key, chain_id AS chainId, kind, log_id AS logId, log_index AS "index", payload,
  state, token_id AS tokenId, tx_hash AS "transaction", block_number AS blockNumber,
  block_hash AS blockHash, attempts, last_error AS lastError`;

const TX_COLUMNS = `hash, intent_key AS intentKey, purpose, chain_id AS chainId, account, nonce, raw,
  gas_limit AS gasLimit, max_fee_wei AS maxFeeWei, tip_wei AS tipWei, state,
  block_number AS blockNumber, block_hash AS blockHash, sends, failure`;

const LIVE = `('signed', 'sent', 'mined')`;

/** Row before the newest 256 transactions. */
const NEWEST = '(SELECT max(rowid) - 256 FROM chain_tx)';

/** {@link ForgeJournal} without the promises: what the ledger's thread runs. */
export type ForgeJournalOperations = {
  [K in keyof ForgeJournal]: (
    ...args: Parameters<ForgeJournal[K]>
  ) => Awaited<ReturnType<ForgeJournal[K]>>;
};

/**
 * The journal on an open ledger with `foreign_keys` on. Each operation is one SQLite transaction.
 *
 * @param nowUs time of the rows, µs UTC
 */
export function forgeJournalOperations(
  db: Database.Database,
  nowUs: () => number = () => Date.now() * 1000,
): ForgeJournalOperations {
  const findIntent = db.prepare<[string], Intent>(
    `SELECT ${INTENT_COLUMNS} FROM chain_intent WHERE key = ?`,
  );
  // Others that something may be on chain of, alone or in a bundle. One that was only intended is no rival.
  const findRivals = db
    .prepare<[string | null, number | null, number, string], string>(
      `SELECT key FROM chain_intent AS rival
       WHERE kind = 'dataset' AND log_id = ? AND log_index = ? AND chain_id = ? AND key <> ? AND (
         state <> 'intent'
         OR EXISTS (SELECT 1 FROM chain_tx WHERE intent_key = rival.key)
         OR EXISTS (SELECT 1 FROM chain_intent AS bundle WHERE bundle.chain_id = rival.chain_id
           AND bundle.kind = 'setup' AND bundle.state <> 'confirmed' AND instr(bundle.payload, rival.key) > 0))`,
    )
    .pluck();
  const insertIntent = db.prepare(
    `INSERT INTO chain_intent
       (key, chain_id, kind, log_id, log_index, payload, state, created_at_us, updated_at_us)
     VALUES (@key, @chainId, @kind, @logId, @index, @payload, 'intent', @now, @now)`,
  );
  const reopenIntent = db.prepare(
    `UPDATE chain_intent SET state = 'intent', payload = ?, block_number = NULL, block_hash = NULL,
       updated_at_us = ? WHERE key = ?`,
  );
  const findOpen = db.prepare<[number, IntentKind], Intent>(
    `SELECT ${INTENT_COLUMNS} FROM chain_intent
     WHERE chain_id = ? AND kind = ? AND state <> 'confirmed'
     ORDER BY rowid`,
  );
  const updateIntent = db.prepare(
    `UPDATE chain_intent SET state = @state, token_id = coalesce(@tokenId, token_id),
       tx_hash = coalesce(@transaction, tx_hash), block_number = coalesce(@blockNumber, block_number),
       block_hash = coalesce(@blockHash, block_hash), last_error = NULL, updated_at_us = @now
     WHERE key = @key`,
  );
  const confirmTransactions = db.prepare(
    `UPDATE chain_tx SET state = 'confirmed' WHERE intent_key = ? AND state = 'mined'`,
  );
  const noteIntentError = db.prepare(
    `UPDATE chain_intent SET last_error = @error, attempts = attempts + (@error IS NOT NULL),
       updated_at_us = @now WHERE key = @key`,
  );
  const findTransaction = db.prepare<[string], Transaction>(
    `SELECT ${TX_COLUMNS} FROM chain_tx WHERE hash = ?`,
  );
  const insertTransaction = db.prepare(
    `INSERT INTO chain_tx (hash, intent_key, purpose, chain_id, account, nonce, raw, gas_limit,
       max_fee_wei, tip_wei, state, created_at_us)
     VALUES (@hash, @intentKey, @purpose, @chainId, @account, @nonce, @raw, @gasLimit, @maxFeeWei,
       @tipWei, 'signed', @now)`,
  );
  const reviveTransaction = db.prepare(
    `UPDATE chain_tx SET state = 'signed', generation = generation + 1, block_number = NULL,
       block_hash = NULL, failure = NULL, intent_key = @intentKey, purpose = @purpose
     WHERE hash = @hash`,
  );
  const setNonce = db.prepare(
    `INSERT INTO chain_account (chain_id, address, next_nonce) VALUES (?, ?, ?)
     ON CONFLICT DO UPDATE SET next_nonce = max(next_nonce, excluded.next_nonce)`,
  );
  const lowerNonce = db.prepare(
    `UPDATE chain_account SET next_nonce = min(next_nonce, ?) WHERE chain_id = ? AND address = ?`,
  );
  const readNonce = db
    .prepare<[number, string], number>(
      'SELECT next_nonce FROM chain_account WHERE chain_id = ? AND address = ?',
    )
    .pluck();
  const findLive = db.prepare<[string, string], Transaction>(
    `SELECT ${TX_COLUMNS} FROM chain_tx WHERE intent_key = ? AND purpose = ? AND state IN ${LIVE}
     ORDER BY nonce DESC LIMIT 1`,
  );
  const findPending = db.prepare<[number], Transaction>(
    `SELECT ${TX_COLUMNS} FROM chain_tx WHERE chain_id = ? AND state IN ('signed', 'sent')
     ORDER BY account, nonce`,
  );
  const findByIntent = db.prepare<[string], Transaction>(
    `SELECT ${TX_COLUMNS} FROM chain_tx WHERE intent_key = ? ORDER BY rowid`,
  );
  const updateSent = db.prepare(
    `UPDATE chain_tx SET state = CASE state WHEN 'signed' THEN 'sent' ELSE state END,
       sends = sends + 1, first_sent_at_us = coalesce(first_sent_at_us, @now), last_sent_at_us = @now
     WHERE hash = @hash`,
  );
  const updateSettled = db.prepare(
    `UPDATE chain_tx SET state = @state, block_number = @number, block_hash = @hash,
       failure = @failure WHERE hash = @transaction`,
  );
  // No index serves these two, so only the newest rows are looked at.
  const findAt = db.prepare<[number, string, number], Transaction>(
    `SELECT ${TX_COLUMNS} FROM chain_tx WHERE rowid > ${NEWEST} AND chain_id = ? AND account = ? AND +nonce = ?`,
  );
  const findUnexplained = db.prepare<[number], Transaction>(
    `SELECT ${TX_COLUMNS} FROM chain_tx AS one
     WHERE rowid > ${NEWEST} AND chain_id = ? AND state IN ('lost', 'replaced') AND sends > 0 AND NOT EXISTS (
       SELECT 1 FROM chain_tx AS other WHERE other.rowid > ${NEWEST} AND other.chain_id = one.chain_id
         AND other.account = one.account AND other.nonce = one.nonce
         AND other.state IN ('signed', 'sent', 'mined', 'confirmed', 'failed'))
     ORDER BY rowid DESC LIMIT 16`,
  );
  const replaceOthers = db.prepare(
    `UPDATE chain_tx SET state = 'replaced', block_number = NULL, block_hash = NULL
     WHERE chain_id = @chainId AND account = @account AND nonce = @nonce AND hash <> @hash
       AND state IN ${LIVE}`,
  );
  const updateReplaced = db.prepare("UPDATE chain_tx SET state = 'replaced' WHERE hash = ?");
  const updateLost = db.prepare(
    `UPDATE chain_tx SET state = 'lost', block_number = NULL, block_hash = NULL WHERE hash = ?`,
  );
  const findNewest = db.prepare<[number, number], ChainBlock>(
    `SELECT * FROM (
       SELECT * FROM (SELECT block_number AS number, block_hash AS hash FROM chain_tx
         WHERE chain_id = ? AND block_number IS NOT NULL ORDER BY block_number DESC LIMIT 1)
       UNION ALL SELECT * FROM (SELECT block_number, block_hash FROM chain_intent
         WHERE chain_id = ? AND block_number IS NOT NULL ORDER BY block_number DESC LIMIT 1)
     ) ORDER BY number DESC LIMIT 1`,
  );
  const findBlocks = db.prepare<[number, number], ChainBlock>(
    `SELECT number, max(hash) AS hash FROM (
       SELECT block_number AS number, block_hash AS hash FROM chain_tx
         WHERE chain_id = ? AND block_number IS NOT NULL
       UNION SELECT block_number, block_hash FROM chain_intent
         WHERE chain_id = ? AND block_number IS NOT NULL
     ) GROUP BY number ORDER BY number`,
  );
  const findUnconfirmed = db.prepare<[number, number], ChainBlock>(
    `SELECT block_number AS number, block_hash AS hash FROM chain_tx
       WHERE chain_id = ? AND state = 'mined' AND block_number IS NOT NULL
     UNION SELECT block_number, block_hash FROM chain_intent
       WHERE chain_id = ? AND state <> 'confirmed' AND block_number IS NOT NULL
     ORDER BY number DESC LIMIT 64`,
  );
  const findAbove = db.prepare<[number, number], Transaction>(
    `SELECT ${TX_COLUMNS} FROM chain_tx WHERE chain_id = ? AND block_number > ?`,
  );
  const reopenAbove = db.prepare(
    `UPDATE chain_intent SET state = 'intent', block_number = NULL, block_hash = NULL,
       updated_at_us = @now
     WHERE chain_id = @chainId AND block_number > @block AND kind = @kind`,
  );

  const requireTransaction = (hash: string): Transaction => {
    const transaction = findTransaction.get(hash);
    if (transaction === undefined) throw new RangeError(`the journal has no transaction ${hash}`);
    return transaction;
  };

  /** Two targets would give a dataset two tokens, and be paid twice. */
  const requireOneTarget = ({ key, chainId, logId, index }: NewIntent): void => {
    const rival = findRivals
      .all(logId, index, chainId, key)
      .find((other) => isLazaiKey(key) || isLazaiKey(other));
    if (rival === undefined) return;
    throw new WaystoneError(
      'FORGE_TARGET_CHANGED',
      `dataset ${index} of log ${logId} is journalled as ${rival}, and may be on chain as that; it is not forged a second time as ${key}. ` +
        'Set chain.target, its addresses and chain.idaoAddress back until it has its DAT',
    );
  };

  const addIntent = (intent: NewIntent): Intent => {
    const known = findIntent.get(intent.key);
    if (known === undefined) {
      if (intent.kind === 'dataset') requireOneTarget(intent);
      insertIntent.run({ ...intent, now: nowUs() });
    } else if (intent.kind === 'setup') {
      if (known.state === 'confirmed' || known.payload !== intent.payload) {
        reopenIntent.run(intent.payload, nowUs(), intent.key);
      }
    } else if (known.payload !== intent.payload) {
      throw new WaystoneError(
        'FORGE_RECORD_MISMATCH',
        `dataset ${intent.index} of log ${intent.logId} differs from what its journalled intent says; ` +
          'a dataset never changes once its intent is written, so check the data folder with waystone verify',
      );
    }
    return findIntent.get(intent.key) as Intent;
  };

  const progress = (key: string, seen: IntentProgress): void => {
    const { changes } = updateIntent.run({
      key,
      state: seen.state,
      tokenId: seen.tokenId ?? null,
      transaction: seen.transaction ?? null,
      blockNumber: seen.blockNumber ?? null,
      blockHash: seen.blockHash ?? null,
      now: nowUs(),
    });
    if (changes !== 1) throw new RangeError(`the journal has no intent ${key}`);
    if (seen.state === 'confirmed') confirmTransactions.run(key);
  };

  const addTransaction = (transaction: NewTransaction): void => {
    if (findIntent.get(transaction.intentKey) === undefined) {
      throw new RangeError(`no intent ${transaction.intentKey}: it must be written first`);
    }
    const known = findTransaction.get(transaction.hash);
    // Signing is deterministic: after a rewind the same call may give the very same bytes.
    if (known === undefined) insertTransaction.run({ ...transaction, now: nowUs() });
    else if (known.state === 'signed' || known.state === 'sent' || known.state === 'mined') {
      throw new RangeError(`transaction ${transaction.hash} is live already`);
    } else reviveTransaction.run(transaction);
    setNonce.run(transaction.chainId, transaction.account, transaction.nonce + 1);
  };

  const replaceTransaction = (hash: string, by: NewTransaction): void => {
    const old = requireTransaction(hash);
    const isSame =
      old.chainId === by.chainId && old.account === by.account && old.nonce === by.nonce;
    if (!isSame || (old.state !== 'signed' && old.state !== 'sent')) {
      throw new RangeError(
        `transaction ${hash} (${old.state}, nonce ${old.nonce}) cannot be replaced by ${by.hash} with nonce ${by.nonce}`,
      );
    }
    updateReplaced.run(hash);
    addTransaction(by);
  };

  const markLost = (hash: string): void => {
    const { chainId, account, nonce } = requireTransaction(hash);
    updateLost.run(hash);
    lowerNonce.run(nonce, chainId, account);
  };

  const settle = (state: 'mined' | 'failed') => {
    return (transaction: string, block: ChainBlock, failure?: string): void => {
      const { chainId, account, nonce } = requireTransaction(transaction);
      // A nonce is used once: whatever else had it can never come.
      replaceOthers.run({ chainId, account, nonce, hash: transaction });
      updateSettled.run({ transaction, state, ...block, failure: failure ?? null });
    };
  };

  const rewind = (chainId: number, block: number): number => {
    for (const { hash } of findAbove.all(chainId, block)) markLost(hash);
    reopenAbove.run({ chainId, block, kind: 'setup', now: nowUs() });
    return reopenAbove.run({ chainId, block, kind: 'dataset', now: nowUs() }).changes;
  };

  return {
    addIntent: db.transaction(addIntent),
    intent: (key) => findIntent.get(key) ?? null,
    openIntents: (chainId, kind) => findOpen.all(chainId, kind),
    progress: db.transaction(progress),
    noteError: (key, error) => void noteIntentError.run({ key, error, now: nowUs() }),
    addTransaction: db.transaction(addTransaction),
    liveTransaction: (intentKey, purpose) => findLive.get(intentKey, purpose) ?? null,
    pendingTransactions: (chainId) => findPending.all(chainId),
    transactions: (intentKey) => findByIntent.all(intentKey),
    transactionsAt: (chainId, account, nonce) => findAt.all(chainId, account, nonce),
    unexplained: (chainId) => findUnexplained.all(chainId),
    replaceTransaction: db.transaction(replaceTransaction),
    markSent: (hash) => void updateSent.run({ hash, now: nowUs() }),
    markMined: db.transaction(settle('mined')),
    markFailed: db.transaction(settle('failed')),
    markLost: db.transaction(markLost),
    nextNonce: (chainId, account) => readNonce.get(chainId, account) ?? 0,
    newestBlock: (chainId) => findNewest.get(chainId, chainId) ?? null,
    unconfirmedBlocks: (chainId) => findUnconfirmed.all(chainId, chainId),
    seenBlocks: (chainId) => findBlocks.all(chainId, chainId),
    rewind: db.transaction(rewind),
  };
}
