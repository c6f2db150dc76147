import { join } from 'node:path';
import { changeLedger } from './change-ledger.js';
import { LEDGER_FILE } from './check-ledger-file.js';
import { countRows, type FsckContext } from './context.js';
import type { CheckName } from './report.js';
import { isCount, shown } from './values.js';

const CHECK = 'counters';

/** What the counters are counted again from. */
const NEEDS: readonly CheckName[] = ['ledger file', 'identity', 'devices', 'statements'];

/** Up to which row of each table the counters count. */
interface Marks {
  readonly statements: number;
  readonly refusals: number;
}

interface WrongCounters {
  readonly device: number;
  readonly envelopes: unknown;
  readonly frames: unknown;
  readonly refused: unknown;
  readonly envelope_rows: number;
  readonly frame_rows: number;
  readonly refusal_rows: number;
}

/**
 * Counters of devices against the rows that they count. They count up to a mark; rows beyond it are counted at the next
 * start, so counters that are behind the tables are no fault. Of refusals only some have rows.
 */
export function checkCounters(context: FsckContext): void {
  const { db, report, dataFolder, progress } = context;
  progress(CHECK, 0, null);
  report.count(CHECK, 'devices', countRows(context, 'devices'));
  const last = db
    .prepare(
      `SELECT (SELECT COALESCE(MAX(id), 0) FROM statements) AS statements,
              (SELECT COALESCE(MAX(id), 0) FROM refusals) AS refusals`,
    )
    .get() as Marks;
  // Pruned statements are counted still.
  const mayBeMore =
    countRows(context, 'pruned_sessions') > 0 ||
    countRows(context, 'sessions WHERE prune_after IS NOT NULL') > 0;
  const file = join(dataFolder, LEDGER_FILE);
  const marks = readMarks(context);
  const isPast = marks !== null && !mayBeMore && isBeyond(marks, last);
  if (marks === null || isPast) {
    const why =
      marks === null
        ? 'the mark cannot be read'
        : `the mark is statement ${marks.statements} and refusal ${marks.refusals}, the last are ${last.statements} and ${last.refusals}`;
    report.find(
      CHECK,
      'COUNTERS_WRONG',
      `it is not known up to where they count: ${why}`,
      {},
      {
        needs: NEEDS,
        run: () => writeMarks(file, last),
      },
    );
  }
  // Where the marks are of no use, all rows are counted.
  const upTo = marks === null || isPast ? last : marks;
  const wrong = wrongCounters(upTo, mayBeMore);
  const devices = db.prepare(`SELECT COUNT(*) FROM (${wrong})`).pluck().get() as number;
  if (devices > 0) {
    const first = db.prepare(`${wrong} LIMIT 1`).get() as WrongCounters;
    report.find(
      CHECK,
      'COUNTERS_WRONG',
      `${devices} devices count wrong; device ${first.device} counts ${shown(first.envelopes)} envelopes, ${shown(first.frames)} frames and ${shown(first.refused)} refusals, and has rows of ${first.envelope_rows}, ${first.frame_rows} and ${first.refusal_rows}`,
      { devices, device: first.device },
      { needs: NEEDS, run: () => countAgain(file, wrong) },
    );
  }
  report.done(CHECK);
}

/** A query of the devices whose counters are not what their rows add up to. */
function wrongCounters(upTo: Marks, mayBeMore: boolean): string {
  const isWrong = (counter: string, rows: string, more: boolean): string =>
    `(typeof(${counter}) <> 'integer' OR ${counter} ${more ? '<' : '<>'} ${rows})`;
  return `SELECT * FROM (
    SELECT devices.id AS device, envelopes, frames, refused,
      COALESCE(stored.envelope_rows, 0) AS envelope_rows,
      COALESCE(stored.frame_rows, 0) AS frame_rows,
      COALESCE(denied.refusal_rows, 0) AS refusal_rows
    FROM devices
    LEFT JOIN (
      SELECT sessions.device AS device, COUNT(*) AS envelope_rows, SUM(last - first + 1) AS frame_rows
      FROM statements JOIN sessions ON sessions.id = statements.session
      WHERE statements.id <= ${upTo.statements} GROUP BY sessions.device
    ) AS stored ON stored.device = devices.id
    LEFT JOIN (
      SELECT device, COUNT(*) AS refusal_rows FROM refusals
      WHERE id <= ${upTo.refusals} GROUP BY device
    ) AS denied ON denied.device = devices.id
  ) WHERE ${isWrong('envelopes', 'envelope_rows', mayBeMore)}
    OR ${isWrong('frames', 'frame_rows', mayBeMore)}
    OR ${isWrong('refused', 'refusal_rows', true)}`;
}

/** Up to where the counters count: nothing is counted yet where there is no mark. Null when it cannot be read. */
function readMarks({ db }: FsckContext): Marks | null {
  const value = db.prepare("SELECT value FROM meta WHERE key = 'counted'").pluck().get();
  if (value === undefined) return { statements: 0, refusals: 0 };
  try {
    const { statements, refusals } = JSON.parse(value as string) as Marks;
    return isCount(statements) && isCount(refusals) ? { statements, refusals } : null;
  } catch {
    return null;
  }
}

function isBeyond(marks: Marks, last: Marks): boolean {
  return marks.statements > last.statements || marks.refusals > last.refusals;
}

function writeMarks(file: string, marks: Marks): string {
  const sql = "INSERT OR REPLACE INTO meta (key, value) VALUES ('counted', ?)";
  changeLedger(file, (db) => db.prepare(sql).run(JSON.stringify(marks)).changes);
  return `the counters count up to statement ${marks.statements} and refusal ${marks.refusals}`;
}

/** Refusals beyond the rows that are kept were counted only, so their counter never falls. */
function countAgain(file: string, wrong: string): string {
  const devices = changeLedger(
    file,
    (db) =>
      db
        .prepare(
          `UPDATE devices SET envelopes = right.envelope_rows, frames = right.frame_rows,
             refused = MAX(CASE typeof(devices.refused) WHEN 'integer' THEN devices.refused ELSE 0 END,
               right.refusal_rows)
           FROM (${wrong}) AS right WHERE right.device = devices.id`,
        )
        .run().changes,
  );
  return `counted the rows of ${devices} devices again`;
}
