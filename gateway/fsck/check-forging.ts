import { toHex } from '@waystone/proto';
import { Transaction } from 'ethers';
import { messageOf } from '../core/errors.js';
import { isLazaiKey } from '../core/forge-ports.js';
import type { LazaiDataset } from '../core/lazai-ports.js';
import { type DatasetPayload, datasetKey, readPayload } from '../forge/dataset-record.js';
import { checkLazai } from './check-lazai.js';
import { type BatchRecord, countRows, type FsckContext, isSealed, rowsOf } from './context.js';
import { isCount, shown } from './values.js';

const CHECK = 'forging';

interface IntentRow {
  readonly key: string;
  readonly chain_id: number;
  readonly kind: string;
  readonly log_id: string | null;
  readonly log_index: number | null;
  readonly payload: string;
  readonly state: string;
  readonly token_id: string | null;
  readonly block_number: number | null;
  readonly block_hash: string | null;
}

interface TransactionRow {
  readonly hash: string;
  readonly chain_id: number;
  readonly account: string;
  readonly nonce: number;
  readonly raw: string;
  readonly state: string;
  readonly block_number: number | null;
}

const INTENT_STATES: ReadonlySet<string> = new Set([
  'intent',
  'committed',
  'finalised',
  'confirmed',
]);
const TRANSACTION_STATES: ReadonlySet<string> = new Set([
  'signed',
  'sent',
  'mined',
  'confirmed',
  'replaced',
  'failed',
  'lost',
]);

/** The forge journal by itself and against the batches; what the chain says is for `waystone verify --rpc`. */
export function checkForging(context: FsckContext): void {
  const sql = 'SELECT * FROM chain_intent ORDER BY key';
  for (const intent of rowsOf<IntentRow>(context, CHECK, sql, countRows(context, 'chain_intent'))) {
    checkIntent(context, intent);
  }
  checkIntentsOnce(context);
  checkForgedBatches(context);
  checkTransactions(context);
  checkLazai(context);
  context.report.done(CHECK);
}

function checkIntent(context: FsckContext, intent: IntentRow): void {
  const { report } = context;
  report.count(CHECK, 'intents');
  const fault = intentFault(intent);
  if (fault !== null) {
    const what = `intent ${shown(intent.key)} ${fault}`;
    report.find(CHECK, 'FORGE_INTENT_WRONG', what, { intent: intent.key });
  } else if (intent.kind === 'dataset') {
    compareWithBatch(context, intent);
  }
}

/** What is wrong with an intent by itself, or null. */
function intentFault(intent: IntentRow): string | null {
  if (!INTENT_STATES.has(intent.state)) return `has the unknown state ${shown(intent.state)}`;
  const isDone = intent.state === 'finalised' || intent.state === 'confirmed';
  if (isDone && (intent.block_number === null || intent.block_hash === null)) {
    return `is ${intent.state} in no block`;
  }
  if (intent.kind === 'setup') return null;
  if (intent.kind !== 'dataset') return `has the unknown kind ${shown(intent.kind)}`;
  if (isDone && intent.token_id === null) return `is ${intent.state} without a token`;
  if (intent.log_id === null || intent.log_index === null) return 'names no dataset';
  try {
    factsOf(intent);
    return null;
  } catch (error) {
    return `has a payload that cannot be read: ${messageOf(error)}`;
  }
}

/** A fact of the dataset as it is journalled, and what it must be: of the intent, or of the batch. */
type Fact = readonly [
  name: string,
  journalled: unknown,
  sealed: (batch: BatchRecord, intent: IntentRow) => unknown,
];

/** @throws when the payload cannot be read. */
function factsOf(intent: IntentRow): readonly Fact[] {
  if (isLazaiKey(intent.key)) {
    // Its key is compared with its record, which knows the iDAO.
    const { logId, index, root } = JSON.parse(intent.payload) as LazaiDataset;
    return [
      ['log', logId, (_, { log_id }) => log_id],
      ['index', index, (_, { log_index }) => log_index],
      ['root', `0x${root}`, (batch) => hex(batch.root)],
    ];
  }
  const payload = readPayload(intent.payload);
  const { record } = payload;
  return [
    ['key', intent.key, (_, { chain_id }) => `dataset:${chain_id}:${keyOf(payload)}`],
    ['log', record.logId, (_, { log_id }) => `0x${log_id}`],
    ['index', record.index, (_, { log_index }) => log_index],
    ['root', record.root, (batch) => hex(batch.root)],
    ['entries', record.count, (batch) => batch.entries],
    ['manifest hash', record.manifestHash, (batch) => hex(batch.manifest_hash)],
    ['first time', record.minTime, (batch) => batch.min_time_us],
    ['last time', record.maxTime, (batch) => batch.max_time_us],
  ];
}

function compareWithBatch({ db, report }: FsckContext, intent: IntentRow): void {
  const facts = { intent: intent.key };
  const batch = db
    .prepare('SELECT * FROM batches WHERE log_id = ? AND log_index = ?')
    .get(Buffer.from(intent.log_id ?? '', 'hex'), intent.log_index) as BatchRecord | undefined;
  const name = `dataset ${intent.log_index} of log ${intent.log_id}`;
  if (batch === undefined || !isSealed(batch)) {
    const what = `intent ${intent.key} is for ${name}, which is not sealed`;
    report.find(CHECK, 'FORGE_INTENT_DIFFERS', what, facts);
    return;
  }
  if (batch.state === 'withdrawn') {
    const what = `intent ${intent.key} is for ${name}, which was withdrawn`;
    report.find(CHECK, 'FORGE_INTENT_DIFFERS', what, facts);
  }
  for (const [field, journalled, sealedOf] of factsOf(intent)) {
    const sealed = sealedOf(batch, intent);
    if (journalled === sealed) continue;
    report.find(
      CHECK,
      'FORGE_INTENT_DIFFERS',
      `the intent of ${name} has ${field} ${shown(journalled)}, the dataset ${shown(sealed)}`,
      facts,
    );
  }
}

function hex(bytes: Uint8Array | null): string {
  return bytes === null ? 'nothing' : `0x${toHex(bytes)}`;
}

function keyOf({ record }: DatasetPayload): string {
  try {
    return datasetKey(record.idao, record.logId, record.index);
  } catch {
    return 'of no dataset';
  }
}

/**
 * Another iDAO on the same chain would give a dataset a second intent, and a second token. Where LazAI's contracts took
 * its place, or ours theirs, what was never begun counts for nothing.
 */
function checkIntentsOnce({ db, report }: FsckContext): void {
  const twice = db
    .prepare(
      `SELECT chain_id, log_id, log_index, COUNT(*) AS intents FROM chain_intent AS one WHERE kind = 'dataset'
       AND NOT (state = 'intent' AND NOT EXISTS (SELECT 1 FROM chain_tx WHERE intent_key = one.key)
         AND EXISTS (SELECT 1 FROM chain_intent AS other WHERE other.kind = 'dataset'
           AND other.log_id = one.log_id AND other.log_index = one.log_index
           AND other.chain_id = one.chain_id AND other.key <> one.key
           AND 'lazai:' IN (substr(one.key, 1, 6), substr(other.key, 1, 6))))
       GROUP BY chain_id, log_id, log_index HAVING COUNT(*) > 1`,
    )
    .all() as { chain_id: number; log_id: string; log_index: number; intents: number }[];
  for (const row of twice) {
    report.find(
      CHECK,
      'FORGE_INTENT_TWICE',
      `dataset ${row.log_index} of log ${row.log_id} has ${row.intents} intents on chain ${row.chain_id}`,
      { log: row.log_id, index: row.log_index },
    );
  }
}

function checkForgedBatches(context: FsckContext): void {
  const { db, report } = context;
  // A gateway that moved to another chain may have intents on both.
  const find = db.prepare(
    `SELECT * FROM chain_intent WHERE kind = 'dataset' AND log_id = ? AND log_index = ?
     ORDER BY chain_id = ? DESC, state = 'intent' LIMIT 1`,
  );
  const sql = "SELECT * FROM batches WHERE state IN ('committed', 'forged') ORDER BY id";
  for (const batch of rowsOf<BatchRecord>(context, CHECK, sql)) {
    const facts = { batch: batch.id };
    const logId = batch.log_id === null ? null : toHex(batch.log_id);
    const token = readToken(batch.token);
    const intent = find.get(logId, batch.log_index, token?.chainId ?? null) as
      | IntentRow
      | undefined;
    if (intent === undefined) {
      const what = `batch ${batch.id} is ${batch.state} without an intent`;
      report.find(CHECK, 'FORGE_INTENT_MISSING', what, facts);
      continue;
    }
    if (batch.state !== 'forged') continue;
    report.count(CHECK, 'tokens');
    // A chain that went back opens the intent again; the token comes out the same.
    if (token === null || token.chainId !== intent.chain_id || token.tokenId !== intent.token_id) {
      report.find(
        CHECK,
        'FORGE_TOKEN_WRONG',
        `batch ${batch.id} has token ${shown(batch.token)}, its intent ${shown(intent.token_id)} on chain ${intent.chain_id}`,
        facts,
      );
    }
  }
}

function readToken(text: string | null): { chainId: number; tokenId: unknown } | null {
  try {
    const token = JSON.parse(text ?? 'null') as { chainId: unknown; tokenId: unknown } | null;
    return isCount(token?.chainId) ? { chainId: token.chainId, tokenId: token.tokenId } : null;
  } catch {
    return null;
  }
}

function checkTransactions(context: FsckContext): void {
  const { db, report } = context;
  const sql = 'SELECT * FROM chain_tx ORDER BY hash';
  for (const row of rowsOf<TransactionRow>(context, CHECK, sql, countRows(context, 'chain_tx'))) {
    report.count(CHECK, 'transactions');
    const fault = transactionFault(row);
    if (fault === null) continue;
    report.find(CHECK, 'FORGE_TRANSACTION_WRONG', `transaction ${shown(row.hash)} ${fault}`, {
      transaction: row.hash,
    });
  }
  const twice = db
    .prepare(
      `SELECT chain_id, account, nonce, COUNT(*) AS transactions FROM chain_tx
       WHERE state IN ('signed', 'sent', 'mined', 'confirmed')
       GROUP BY chain_id, account, nonce HAVING COUNT(*) > 1`,
    )
    .all() as { chain_id: number; account: string; nonce: number; transactions: number }[];
  for (const { chain_id, account, nonce, transactions } of twice) {
    report.find(
      CHECK,
      'FORGE_NONCE_TWICE',
      `${transactions} transactions of ${account} on chain ${chain_id} hold nonce ${nonce}`,
      { account, nonce },
    );
  }
}

/** The signed bytes say everything about a transaction; the row must say the same. */
function transactionFault(row: TransactionRow): string | null {
  if (!TRANSACTION_STATES.has(row.state)) return `has the unknown state ${shown(row.state)}`;
  if ((row.state === 'mined' || row.state === 'failed') && !isCount(row.block_number)) {
    return `is ${row.state} in no block`;
  }
  try {
    const signed = Transaction.from(row.raw);
    if (signed.hash !== row.hash) return `has bytes of hash ${signed.hash}`;
    if (signed.nonce !== row.nonce) return `has nonce ${row.nonce}, its bytes ${signed.nonce}`;
    if (Number(signed.chainId) !== row.chain_id) {
      return `is for chain ${row.chain_id}, its bytes for ${signed.chainId}`;
    }
    if (signed.from?.toLowerCase() !== row.account.toLowerCase()) {
      return `is of ${row.account}, its bytes are signed by ${signed.from}`;
    }
    return null;
  } catch (error) {
    return `has bytes that are no transaction: ${messageOf(error)}`;
  }
}
