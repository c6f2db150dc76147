import { toHex } from '@waystone/proto';
import type Database from 'better-sqlite3';
import { type BatchFileExtent, batchFileBytes } from '../core/batch-file.js';

/** Bytes of a dataset folder for each entry besides its frames: the entry, and its place in the frames file. */
const FOLDER_BYTES_PER_ENTRY = 290;

/** Bytes of manifest, devices and checkpoint of a small dataset. */
const FOLDER_BYTES = 4096;

/** A dataset that has just been forged is still being told of. */
const FORGED_AT_LEAST_US = 60_000_000;

const DAY_US = 86_400_000_000;

/** What the keeper of the disk asks of the ledger. */
export function diskQueries(db: Database.Database) {
  const folderBytes = `bytes + entries * ${FOLDER_BYTES_PER_ENTRY} + ${FOLDER_BYTES}`;
  return {
    /** The space that data takes, in bytes. Sizes of folders are estimated, a little high. */
    diskUse: () => {
      const unsealed = db
        .prepare(
          `SELECT entries, bytes FROM batches WHERE state IN ('open', 'due', 'frozen', 'logged')`,
        )
        .all() as BatchFileExtent[];
      const sums = db
        .prepare(
          `SELECT
             COALESCE(SUM(${folderBytes}) FILTER (WHERE state IN ('sealed', 'committed')), 0) AS unforged,
             COALESCE(SUM(${folderBytes}) FILTER (
               WHERE state IN ('forged', 'withdrawn') AND removed_at_us IS NULL), 0) AS forged,
             MIN(opened_at_us) FILTER (WHERE state NOT IN ('forged', 'withdrawn')) AS oldest,
             COALESCE(SUM(bytes + entries * ${FOLDER_BYTES_PER_ENTRY}), 0) AS ever
           FROM batches`,
        )
        .get() as { unforged: number; forged: number; oldest: number | null; ever: number };
      const pages = db.pragma('page_count', { simple: true }) as number;
      return {
        unsealedBytes: unsealed.reduce((sum, extent) => sum + batchFileBytes(extent), 0),
        unforgedBytes: sums.unforged,
        oldestUnforgedUs: sums.oldest,
        forgedBytes: sums.forged,
        ledgerBytes: pages * (db.pragma('page_size', { simple: true }) as number),
        everBytes: sums.ever,
      };
    },

    /** Forged datasets whose files are not to be kept, oldest first. Limits of 0 are none. */
    removable: (
      limits: { forgedBytesMax: number; forgedDaysKept: number },
      nowUs: number,
    ): { batch: number; root: string }[] => {
      const { forgedBytesMax, forgedDaysKept } = limits;
      if (forgedBytesMax === 0 && forgedDaysKept === 0) return [];
      const rows = db
        .prepare(
          `SELECT id, root, ${folderBytes} AS size, COALESCE(forged_at_us, sealed_at_us) AS forged
           FROM batches WHERE state = 'forged' AND removed_at_us IS NULL ORDER BY forged DESC, id DESC`,
        )
        .all() as { id: number; root: Buffer; size: number; forged: number }[];
      let kept = 0;
      const removable = rows.filter(({ size, forged }) => {
        kept += size;
        const isTooMuch = forgedBytesMax > 0 && kept > forgedBytesMax;
        const isTooOld = forgedDaysKept > 0 && nowUs - forged > forgedDaysKept * DAY_US;
        return (isTooMuch || isTooOld) && nowUs - forged > FORGED_AT_LEAST_US;
      });
      return removable.reverse().map(({ id, root }) => ({ batch: id, root: toHex(root) }));
    },

    /** Roots of datasets whose files are removed, or were about to be. */
    removedRoots: (): string[] =>
      db
        .prepare('SELECT lower(hex(root)) FROM batches WHERE removed_at_us IS NOT NULL')
        .pluck()
        .all() as string[],

    /** Datasets sealed since a time, µs. */
    sealedSince: (sinceUs: number): number =>
      db
        .prepare('SELECT COUNT(*) FROM batches WHERE sealed_at_us >= ?')
        .pluck()
        .get(sinceUs) as number,

    /** Gas that the transactions of a dataset may have taken at most, over the newest hundred; null when none is known. */
    gasPerDataset: (): number | null =>
      db
        .prepare(
          `SELECT AVG(gas) FROM (
             SELECT SUM(gas_limit) AS gas FROM chain_tx
             WHERE state = 'confirmed' AND intent_key IN (
               SELECT key FROM chain_intent WHERE kind = 'dataset' AND state = 'confirmed'
               ORDER BY created_at_us DESC LIMIT 100)
             GROUP BY intent_key)`,
        )
        .pluck()
        .get() as number | null,
  };
}
