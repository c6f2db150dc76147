import { messageOf } from '../core/errors.js';
import { isLazaiKey } from '../core/forge-ports.js';
import type { LazaiRecord } from '../core/lazai-ports.js';
import { lazaiKey } from '../forge/lazai/journal-key.js';
import { countRows, type FsckContext, rowsOf } from './context.js';
import { shown } from './values.js';

const CHECK = 'forging';

interface FileRow {
  readonly key: string;
  readonly chain_id: number;
  readonly state: string;
  readonly record: string;
  readonly intent_state: string | null;
  readonly payload: string | null;
  readonly token_id: string | null;
}

/** State of the intent for each state of a file. */
const INTENT_STATES: Readonly<Record<string, string>> = {
  intent: 'intent',
  registered: 'committed',
  requested: 'committed',
  proven: 'committed',
  rewarded: 'finalised',
  confirmed: 'confirmed',
};

/** The journal of forging on LazAI, by itself and against the intents. */
export function checkLazai(context: FsckContext): void {
  const { db, report } = context;
  const fees = new Map<number, bigint>();
  const sql = `SELECT lazai_file.*, chain_intent.state AS intent_state, payload, token_id
    FROM lazai_file LEFT JOIN chain_intent USING (key) ORDER BY key`;
  for (const row of rowsOf<FileRow>(context, CHECK, sql, countRows(context, 'lazai_file'))) {
    report.count(CHECK, 'LazAI files');
    const read = readRecord(row.record);
    const fault = typeof read === 'string' ? read : recordFault(row, read);
    if (typeof read !== 'string') {
      fees.set(row.chain_id, (fees.get(row.chain_id) ?? 0n) + BigInt(read.feeWei));
    }
    if (fault === null) continue;
    report.find(CHECK, 'LAZAI_FILE_WRONG', `the LazAI file ${shown(row.key)} ${fault}`, {
      file: row.key,
    });
  }
  const without = db
    .prepare(
      `SELECT key FROM chain_intent WHERE kind = 'dataset' AND substr(key, 1, 6) = 'lazai:'
       AND key NOT IN (SELECT key FROM lazai_file) ORDER BY key`,
    )
    .pluck()
    .all() as string[];
  for (const key of without) {
    report.find(CHECK, 'LAZAI_FILE_WRONG', `the LazAI file of the intent ${key} is gone`, {
      file: key,
    });
  }
  const kept = new Map(
    (db.prepare('SELECT * FROM lazai_spend').all() as { chain_id: number; fees_wei: string }[]).map(
      (row) => [row.chain_id, row.fees_wei],
    ),
  );
  for (const chain of new Set([...fees.keys(), ...kept.keys()])) {
    const [sum, noted] = [String(fees.get(chain) ?? 0n), kept.get(chain) ?? '0'];
    if (sum === noted) continue;
    report.find(
      CHECK,
      'LAZAI_SPEND_WRONG',
      `${shown(noted)} wei are noted as set aside on chain ${chain}, the files of it sum up to ${sum}`,
      { chain },
    );
  }
}

/** The record, or what is wrong with it. */
function readRecord(text: string): LazaiRecord | string {
  try {
    const record = JSON.parse(text) as LazaiRecord;
    const { dataset, feeWei, contentKey, urlSecret } = record;
    if (!/^[0-9]+$/.test(feeWei)) return `has the fee ${shown(feeWei)}`;
    if (![contentKey, urlSecret].every((secret) => /^[0-9a-f]{64}$/.test(secret))) {
      return 'has lost its secrets';
    }
    return typeof dataset.root === 'string' ? record : 'names no root';
  } catch (error) {
    return `cannot be read: ${messageOf(error)}`;
  }
}

function recordFault(row: FileRow, record: LazaiRecord): string | null {
  const { state, token, dataset } = record;
  if (row.intent_state === null) return 'has no intent';
  if (!isLazaiKey(row.key) || record.key !== row.key || !isOwnKey(record)) {
    return `is the record of ${shown(record.key)}`;
  }
  if (state !== row.state || record.chainId !== row.chain_id) {
    return `is ${shown(row.state)} on chain ${row.chain_id}, its record ${shown(state)} on chain ${shown(record.chainId)}`;
  }
  if (INTENT_STATES[state] !== row.intent_state) {
    return `is ${shown(state)}, its intent ${shown(row.intent_state)}`;
  }
  if (JSON.stringify(dataset) !== row.payload) return 'is of another dataset than its intent';
  const isDone = state === 'rewarded' || state === 'confirmed';
  if (isDone && (token === null || token.tokenId !== row.token_id)) {
    return `has token ${shown(token?.tokenId ?? null)}, its intent ${shown(row.token_id)}`;
  }
  return null;
}

/** The registry is only known from the key. */
function isOwnKey({ key, chainId, idao, dataset }: LazaiRecord): boolean {
  const dataRegistry = key.split(':')[2] ?? '';
  try {
    return key === lazaiKey({ chainId, dataRegistry, idao }, dataset);
  } catch {
    return false;
  }
}
