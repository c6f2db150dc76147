import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { keyFromDid, keyId } from '@waystone/proto';
import Database from 'better-sqlite3';

const ENTRY_BYTES = 280;
const BATCH_FILE_HEADER_BYTES = 8;

export interface StoredReport {
  readonly acknowledged: number;
  /** Acknowledged envelopes whose row, entry or frames are not on disk as they must be. */
  readonly lost: number;
  /** Entries that are on disk more than once. */
  readonly twice: number;
}

/**
 * Looks at a killed gateway's disk with no code of the gateway: each acknowledged envelope must have its row in the
 * database, and the entry that the row names must be, once, in a batch file (with its frames) or a dataset folder.
 */
export function checkStored(
  dataFolder: string,
  acknowledged: readonly { did: string; session: string; envelopes: number }[],
  framesEach: number,
): StoredReport {
  const db = new Database(join(dataFolder, 'ledger.sqlite'));
  try {
    const entries = entriesOnDisk(db, dataFolder);
    const rows = rowsOf(db);
    const find = db
      .prepare(
        `SELECT sessions.id FROM sessions JOIN devices ON devices.id = device
         WHERE key_id = ? AND session = ?`,
      )
      .pluck();
    let lost = 0;
    let total = 0;
    for (const { did, session, envelopes } of acknowledged) {
      const id = find.get(keyId(keyFromDid(did)), Buffer.from(session, 'hex')) as number;
      const leaves = rows.get(id);
      total += envelopes;
      for (let k = 0; k < envelopes; k++) {
        const leaf = leaves?.get(k * framesEach);
        if (leaf === undefined || !entries.has(leaf)) lost += 1;
      }
    }
    const twice = [...entries.values()].filter((count) => count > 1).length;
    return { acknowledged: total, lost, twice };
  } finally {
    db.close();
  }
}

/** Entry leaves of the rows of stream 1, by session and first sequence. One walk: the rows themselves have no index. */
function rowsOf(db: Database.Database): Map<number, Map<number, string>> {
  const sessions = new Map<number, Map<number, string>>();
  const rows = db.prepare('SELECT session, first, entry_leaf FROM statements WHERE stream = 1');
  for (const row of rows.iterate()) {
    const {
      session,
      first,
      entry_leaf: leaf,
    } = row as {
      session: number;
      first: number;
      entry_leaf: Buffer;
    };
    let leaves = sessions.get(session);
    if (leaves === undefined) {
      leaves = new Map();
      sessions.set(session, leaves);
    }
    leaves.set(first, leaf.toString('base64'));
  }
  return sessions;
}

/** How often each entry is on disk, by its leaf hash. */
function entriesOnDisk(db: Database.Database, dataFolder: string): Map<string, number> {
  const counts = new Map<string, number>();
  const add = (entry: Buffer): void => {
    const leaf = createHash('sha256').update(Uint8Array.of(0)).update(entry).digest('base64');
    counts.set(leaf, (counts.get(leaf) ?? 0) + 1);
  };
  const unsealed = db
    .prepare(
      `SELECT id, entries FROM batches WHERE state IN ('open', 'due', 'frozen', 'logged') AND entries > 0`,
    )
    .all() as { id: number; entries: number }[];
  for (const { id, entries } of unsealed) {
    const file = readFileSync(join(dataFolder, 'batches', `${id}`));
    let at = BATCH_FILE_HEADER_BYTES;
    for (let k = 0; k < entries && at + ENTRY_BYTES + 4 <= file.length; k++) {
      const end = at + ENTRY_BYTES + 4 + file.readUInt32BE(at + ENTRY_BYTES);
      if (end > file.length) break;
      add(file.subarray(at, at + ENTRY_BYTES));
      at = end;
    }
  }
  const sealed = new Set(
    db
      .prepare(
        `SELECT lower(hex(root)) FROM batches WHERE state IN ('sealed', 'committed', 'forged')`,
      )
      .pluck()
      .all() as string[],
  );
  for (const root of readdirSync(join(dataFolder, 'datasets'))) {
    if (!sealed.has(root)) continue;
    const file = readFileSync(join(dataFolder, 'datasets', root, 'entries'));
    for (let at = 0; at + ENTRY_BYTES <= file.length; at += ENTRY_BYTES) {
      add(file.subarray(at, at + ENTRY_BYTES));
    }
  }
  return counts;
}
