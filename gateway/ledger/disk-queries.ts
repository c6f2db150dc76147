import { statSync } from 'node:fs';
import { toHex } from '@waystone/proto';
import type Database from 'better-sqlite3';
import { type BatchFileExtent, batchFileBytes } from '../core/batch-file.js';
import { WAL_CHECKPOINT_BYTES } from './wal-keeper.js';

/** Bytes of a dataset folder for each entry besides its frames: the entry, and its place in the frames file. */
const FOLDER_BYTES_PER_ENTRY = 290;

/** Bytes of manifest, devices and checkpoint of a small dataset. */
const FOLDER_BYTES = 4096;

/** Datasets given at once for removal; the next look gives more. */
const REMOVABLE_MAX = 100;

const DAY_US = 86_400_000_000;

/** What the keeper of the disk asks of the ledger. */
export function diskQueries(db: Database.Database) {
  const entryBytes = `bytes + entries * ${FOLDER_BYTES_PER_ENTRY}`;
  const folderBytes = `${entryBytes} + ${FOLDER_BYTES}`;
  const unsealed = db.prepare(
    `SELECT state, entries, bytes FROM batches WHERE state IN ('open', 'due', 'frozen', 'logged')`,
  );
  const sums = db.prepare(
    `SELECT
       COALESCE(SUM(size) FILTER (WHERE state IN ('sealed', 'committed')), 0) AS unforged,
       COALESCE(SUM(size) FILTER (WHERE state IN ('forged', 'withdrawn') AND NOT is_removed), 0) AS forged,
       COALESCE(SUM(size) FILTER (WHERE state = 'withdrawn'), 0) AS withdrawn,
       COALESCE(SUM(stored), 0) AS ever
     FROM (
       SELECT state, is_removed, ${entryBytes} AS stored, ${entryBytes} + batches * ${FOLDER_BYTES} AS size
       FROM batch_totals
     )`,
  );
  // The first one that was begun; that is told by its number, whatever the clock was then.
  const oldest = db
    .prepare(
      `SELECT opened_at_us FROM batches INDEXED BY batches_unforged
       WHERE state IN ('open', 'due', 'frozen', 'logged', 'sealed', 'committed') AND clock_trusted = 1
       ORDER BY id LIMIT 1`,
    )
    .pluck();
  const oldestKept = db.prepare(
    `SELECT id, root, ${folderBytes} AS size FROM batches INDEXED BY batches_kept
     WHERE state = 'forged' AND removed_at_us IS NULL ORDER BY id LIMIT ?`,
  );
  const keptSince = db.prepare(
    `SELECT id, root FROM batches INDEXED BY batches_kept_by_age
     WHERE state = 'forged' AND removed_at_us IS NULL AND forged_at_us < ? ORDER BY forged_at_us LIMIT ?`,
  );
  const undated = db
    .prepare(
      `SELECT 1 FROM batches INDEXED BY batches_kept_by_age
         WHERE state = 'forged' AND removed_at_us IS NULL AND forged_at_us IS NULL
       UNION ALL SELECT 1 FROM batches INDEXED BY batches_kept_by_age
         WHERE state = 'forged' AND removed_at_us IS NULL AND forged_at_us > ? LIMIT 1`,
    )
    .pluck();
  const isRemoved = db
    .prepare('SELECT 1 FROM batches WHERE root = ? AND removed_at_us IS NOT NULL')
    .pluck();

  const use = () => {
    const files = unsealed.all() as (BatchFileExtent & { state: string })[];
    const sum = sums.get() as Record<'unforged' | 'forged' | 'withdrawn' | 'ever', number>;
    const open = files.filter(({ state }) => state === 'open');
    const walBytes = statSync(`${db.name}-wal`, { throwIfNoEntry: false })?.size ?? 0;
    const pages = db.pragma('page_count', { simple: true }) as number;
    return {
      unsealedBytes: files.reduce((bytes, extent) => bytes + batchFileBytes(extent), 0),
      unforgedBytes: sum.unforged,
      oldestUnforgedUs: (oldest.get() as number | undefined) ?? null,
      forgedBytes: sum.forged,
      withdrawnBytes: sum.withdrawn,
      ledgerBytes: pages * (db.pragma('page_size', { simple: true }) as number),
      walRoomBytes: Math.max(0, WAL_CHECKPOINT_BYTES - walBytes),
      everBytes: open.reduce(
        (bytes, extent) => bytes + extent.bytes + extent.entries * FOLDER_BYTES_PER_ENTRY,
        sum.ever,
      ),
    };
  };

  return {
    /** The space that data takes, in bytes. Sizes of folders are estimated, a little high. */
    diskUse: use,

    /**
     * Forged datasets whose files are not to be kept, some at a time: those beyond `forgedBytesMax` in the order in
     * which they were begun, and those forged more than `forgedDaysKept` days ago. Limits of 0 are none.
     */
    removable: (
      limits: { forgedBytesMax: number; forgedDaysKept: number },
      nowUs: number,
    ): { batch: number; root: string }[] => {
      const { forgedBytesMax, forgedDaysKept } = limits;
      const found = new Map<number, Buffer>();
      if (forgedDaysKept > 0) {
        const before = nowUs - forgedDaysKept * DAY_US;
        const rows = keptSince.all(before, REMOVABLE_MAX) as { id: number; root: Buffer }[];
        for (const { id, root } of rows) found.set(id, root);
      }
      // What was withdrawn stays, and takes no room from what was forged.
      const { forgedBytes, withdrawnBytes } = use();
      let surplus = forgedBytesMax > 0 ? forgedBytes - withdrawnBytes - forgedBytesMax : 0;
      if (surplus > 0) {
        const rows = oldestKept.all(REMOVABLE_MAX) as { id: number; root: Buffer; size: number }[];
        for (const { id, root, size } of rows) {
          if (surplus <= 0) break;
          surplus -= size;
          found.set(id, root);
        }
      }
      return [...found]
        .sort(([a], [b]) => a - b)
        .map(([batch, root]) => ({ batch, root: toHex(root) }));
    },

    /** Whether forged datasets have no date, or one that is still to come: forged while the clock was wrong. */
    hasUndated: (nowUs: number): boolean => undated.get(nowUs) !== undefined,

    /** Which of these datasets' files are removed, or were about to be. @param roots in hex. */
    removedAmong: (roots: readonly string[]): string[] =>
      roots.filter((root) => isRemoved.get(Buffer.from(root, 'hex')) !== undefined),

    /** Datasets sealed from one time to another, µs. */
    sealedWithin: (fromUs: number, toUs: number): number =>
      db
        .prepare('SELECT COUNT(*) FROM batches WHERE sealed_at_us BETWEEN ? AND ?')
        .pluck()
        .get(fromUs, toUs) as number,

    /**
     * Gas that the transactions of a dataset may have taken at most, in the mean of the newest ones; null when none is
     * known. Each dataset is committed and finalised, alone or with others in a bundle; on LazAI it takes three transactions.
     */
    gasPerDataset: (): number | null =>
      db
        .prepare(
          `SELECT 1.0 * SUM(gas_limit * CASE WHEN purpose IN ('commit', 'finalise') THEN 2 ELSE 3 END) / SUM(COALESCE(json_array_length(payload, '$.members'), 1))
           FROM chain_tx CROSS JOIN chain_intent ON chain_intent.key = chain_tx.intent_key
           WHERE chain_tx.rowid > (SELECT MAX(rowid) FROM chain_tx) - 500
             AND chain_tx.state = 'confirmed' AND (purpose IN ('commit', 'finalise', 'request', 'reward') OR purpose GLOB 'register:*')`,
        )
        .pluck()
        .get() as number | null,
  };
}
