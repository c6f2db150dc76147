import { join } from 'node:path';
import { changeLedger } from './change-ledger.js';
import { LEDGER_FILE } from './check-ledger-file.js';
import type { FsckContext } from './context.js';
import type { CheckName } from './report.js';

const CHECK = 'counters';

const NEEDS: readonly CheckName[] = ['ledger file', 'batches', 'statements'];

/** What the ledger keeps so that status need not walk its tables, and the walk that it stands for. */
const SUMS = [
  {
    table: 'batch_totals',
    what: 'the sums of batches by state',
    kept: 'SELECT state, is_removed, batches, entries, bytes FROM batch_totals WHERE batches <> 0',
    walked: `SELECT state, removed_at_us IS NOT NULL, COUNT(*), SUM(entries), SUM(bytes)
      FROM batches WHERE state <> 'open' GROUP BY 1, 2`,
    remove: 'DELETE FROM batch_totals',
  },
  {
    table: 'gaps',
    what: 'the missing sequences of sessions',
    // Sessions that are being pruned have lost statements, and nobody is shown their gaps.
    kept: `SELECT session, stream, first, last FROM gaps
      WHERE session IN (SELECT id FROM sessions WHERE prune_after IS NULL)`,
    walked: `SELECT session, stream, before + 1, first - 1 FROM (
        SELECT session, stream, first,
          LAG(last, 1, -1) OVER (PARTITION BY session, stream ORDER BY first) AS before
        FROM statements WHERE session IN (SELECT id FROM sessions WHERE prune_after IS NULL)
      ) WHERE first > before + 1`,
    remove: 'DELETE FROM gaps WHERE session IN (SELECT id FROM sessions WHERE prune_after IS NULL)',
  },
] as const;

/** Sums that are kept against the rows that they sum up. */
export function checkSums({ db, report, dataFolder, progress }: FsckContext): void {
  progress(CHECK, 0, null);
  for (const { table, what, kept, walked, remove } of SUMS) {
    const differing = db
      .prepare(
        `SELECT COUNT(*) FROM (
           SELECT * FROM (${kept} EXCEPT ${walked}) UNION ALL SELECT * FROM (${walked} EXCEPT ${kept}))`,
      )
      .pluck()
      .get() as number;
    if (differing === 0) continue;
    const run = (): string => {
      const rows = changeLedger(join(dataFolder, LEDGER_FILE), (ledger) => {
        ledger.exec(remove);
        return ledger.prepare(`INSERT INTO ${table} ${walked}`).run().changes;
      });
      return `summed up ${what} again: ${rows} rows`;
    };
    report.find(
      CHECK,
      'COUNTERS_WRONG',
      `${what} (table ${table}) differ from the rows in ${differing} places`,
      { table, rows: differing },
      { needs: NEEDS, run },
    );
  }
  report.done(CHECK);
}
