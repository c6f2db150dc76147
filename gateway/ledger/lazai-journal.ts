import type Database from 'better-sqlite3';
import { WaystoneError } from '../core/errors.js';
import type { IntentProgress } from '../core/forge-ports.js';
import type {
  LazaiChanges,
  LazaiJournal,
  LazaiRecord,
  NewLazaiRecord,
} from '../core/lazai-ports.js';
import type { ForgeJournalOperations } from './forge-journal.js';

/** Tables of forging on LazAI, part of a schema version. Of the record only what is asked for has columns. */
export const LAZAI_JOURNAL_DDL = `
CREATE TABLE lazai_file (
  key TEXT PRIMARY KEY REFERENCES chain_intent (key),
  chain_id INTEGER NOT NULL,
  state TEXT NOT NULL CHECK (
    state IN ('intent', 'registered', 'requested', 'proven', 'rewarded', 'confirmed')
  ),
  record TEXT NOT NULL
);
CREATE INDEX lazai_file_open ON lazai_file (chain_id) WHERE state <> 'confirmed';

-- Sum of the fees that were set aside for all files of a chain.
CREATE TABLE lazai_spend (chain_id INTEGER PRIMARY KEY, fees_wei TEXT NOT NULL);

-- What was seen first, and is not to change: RSA keys.
CREATE TABLE lazai_pin (subject TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

-- A dataset is journalled for one set of contracts of a chain.
CREATE INDEX chain_intent_by_dataset ON chain_intent (log_id, log_index) WHERE kind = 'dataset';
`;

/** {@link LazaiJournal} without the promises: what the ledger's thread runs. */
export type LazaiJournalOperations = {
  [K in keyof LazaiJournal]: (
    ...args: Parameters<LazaiJournal[K]>
  ) => Awaited<ReturnType<LazaiJournal[K]>>;
};

/** The journal on an open ledger with `foreign_keys` on. Each operation is one SQLite transaction. */
export function lazaiJournalOperations(
  db: Database.Database,
  forge: ForgeJournalOperations,
): LazaiJournalOperations {
  const find = db.prepare<[string], string>('SELECT record FROM lazai_file WHERE key = ?').pluck();
  const insert = db.prepare(
    'INSERT INTO lazai_file (key, chain_id, state, record) VALUES (?, ?, ?, ?)',
  );
  const change = db.prepare('UPDATE lazai_file SET state = ?, record = ? WHERE key = ?');
  const findOpen = db
    .prepare<[number], string>(
      "SELECT record FROM lazai_file WHERE chain_id = ? AND state <> 'confirmed' ORDER BY rowid",
    )
    .pluck();
  const findSpend = db
    .prepare<[number], string>('SELECT fees_wei FROM lazai_spend WHERE chain_id = ?')
    .pluck();
  const setSpend = db.prepare(
    `INSERT INTO lazai_spend VALUES (?, ?) ON CONFLICT DO UPDATE SET fees_wei = excluded.fees_wei`,
  );
  const insertPin = db.prepare('INSERT OR IGNORE INTO lazai_pin VALUES (?, ?)');
  const findPin = db
    .prepare<[string], string>('SELECT value FROM lazai_pin WHERE subject = ?')
    .pluck();

  const read = (key: string): LazaiRecord | null => {
    const text = find.get(key);
    return text === undefined ? null : (JSON.parse(text) as LazaiRecord);
  };

  const reservedWei = (chainId: number): bigint => BigInt(findSpend.get(chainId) ?? '0');

  const add = (record: NewLazaiRecord): LazaiRecord => {
    const { key, chainId, dataset, idao } = record;
    const known = read(key);
    if (known !== null) {
      if (JSON.stringify([known.dataset, known.idao]) === JSON.stringify([dataset, idao])) {
        return known;
      }
      throw new WaystoneError(
        'FORGE_RECORD_MISMATCH',
        `dataset ${dataset.index} of log ${dataset.logId} is journalled with other content; ` +
          'a dataset never changes once its intent is written, so check the data folder with waystone verify',
      );
    }
    const { logId, index } = dataset;
    forge.addIntent({
      ...{ key, chainId, kind: 'dataset', logId, index },
      payload: JSON.stringify(dataset),
    });
    const full: LazaiRecord = {
      ...record,
      state: 'intent',
      urlGeneration: 0,
      feeWei: '0',
      asks: 0,
      askedAtMs: 0,
      token: null,
      waitCode: null,
      waitMessage: null,
    };
    insert.run(key, chainId, full.state, JSON.stringify(full));
    return full;
  };

  const update = (key: string, changes: LazaiChanges): LazaiRecord => {
    const known = read(key);
    if (known === null) throw new RangeError(`the journal has no record ${key}`);
    const changed = { ...known, ...changes };
    change.run(changed.state, JSON.stringify(changed), key);
    const moreWei = BigInt(changed.feeWei) - BigInt(known.feeWei);
    if (moreWei !== 0n) setSpend.run(known.chainId, String(reservedWei(known.chainId) + moreWei));
    const progress = progressOf(changed);
    if (progress !== null && changed.state !== known.state) forge.progress(key, progress);
    return changed;
  };

  return {
    addLazaiFile: db.transaction(add),
    lazaiFile: read,
    openLazaiFiles: (chainId) => findOpen.all(chainId).map((text) => JSON.parse(text)),
    updateLazaiFile: db.transaction(update),
    lazaiReservedWei: reservedWei,
    pinLazai: db.transaction((subject: string, value: string) => {
      insertPin.run(subject, value);
      return findPin.get(subject) as string;
    }),
  };
}

/** What the forge journal is told of a record; null for an intent. */
function progressOf({ state, token }: LazaiRecord): IntentProgress | null {
  if (state === 'intent') return null;
  if (state !== 'rewarded' && state !== 'confirmed') return { state: 'committed' };
  return {
    state: state === 'rewarded' ? 'finalised' : 'confirmed',
    ...(token !== null && {
      tokenId: token.tokenId,
      transaction: token.transaction,
      blockNumber: token.blockNumber,
      blockHash: token.blockHash,
    }),
  };
}
