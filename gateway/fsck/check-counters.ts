import { join } from 'node:path';
import Database from 'better-sqlite3';
import { LEDGER_FILE } from './check-ledger-file.js';
import { type FsckContext, rowsOf } from './context.js';
import { mayCountMoreThanRows } from './pruned-sessions.js';
import { isCount, shown } from './values.js';

const CHECK = 'counters';

interface Counted {
  readonly device: number;
  readonly envelopes: number;
  readonly frames: number;
  readonly refused: number;
  readonly rows: number;
  readonly row_frames: number;
  readonly refusal_rows: number;
}

/**
 * Counters of devices against the rows that they count. They count up to a mark; rows beyond it are counted at the next
 * start, so counters that are behind the tables are no fault. Of refusals only some have rows.
 */
export function checkCounters(context: FsckContext): void {
  const { db, report, dataFolder } = context;
  const last = db
    .prepare(
      `SELECT (SELECT COALESCE(MAX(id), 0) FROM statements) AS statements,
              (SELECT COALESCE(MAX(id), 0) FROM refusals) AS refusals`,
    )
    .get() as Marks;
  const marks = readMarks(context);
  const schemaVersion = db.pragma('user_version', { simple: true }) as number;
  const mayBeMore =
    mayCountMoreThanRows(schemaVersion) || report.counted('statements', 'pruned') > 0;
  const areMarksRight =
    marks !== null &&
    (mayBeMore || (marks.statements <= last.statements && marks.refusals <= last.refusals));
  // Counted up to the end of the tables when the marks are of no use.
  const upTo = areMarksRight && marks !== null ? marks : last;
  const file = join(dataFolder, LEDGER_FILE);
  const needs = ['ledger file', 'identity', 'devices', 'statements'] as const;
  if (!areMarksRight) {
    report.find(
      CHECK,
      'COUNTERS_WRONG',
      `the ledger does not say up to where its counters count: ${marks === null ? 'the mark cannot be read' : `the mark is ${shown(marks.statements)}, there are ${last.statements} statements`}`,
      {},
      { needs, run: () => writeMarks(file, last) },
    );
  }
  const sql = `SELECT devices.id AS device, envelopes, frames, refused,
      COALESCE(counted.envelopes_counted, 0) AS rows, COALESCE(counted.frames_counted, 0) AS row_frames,
      COALESCE(refusals_counted, 0) AS refusal_rows
    FROM devices
    LEFT JOIN (SELECT sessions.device AS device, COUNT(*) AS envelopes_counted,
        SUM(last - first + 1) AS frames_counted
      FROM statements JOIN sessions ON sessions.id = statements.session
      WHERE statements.id <= ${upTo.statements} GROUP BY sessions.device) AS counted
      ON counted.device = devices.id
    LEFT JOIN (SELECT device, COUNT(*) AS refusals_counted FROM refusals
      WHERE id <= ${upTo.refusals} GROUP BY device) AS refused ON refused.device = devices.id`;
  for (const row of rowsOf<Counted>(context, CHECK, sql)) {
    report.count(CHECK, 'devices');
    const isRight = (counter: number, rows: number): boolean =>
      isCount(counter) && (counter === rows || (mayBeMore && counter > rows));
    const isRefusedRight = isCount(row.refused) && row.refused >= row.refusal_rows;
    if (isRight(row.envelopes, row.rows) && isRight(row.frames, row.row_frames) && isRefusedRight) {
      continue;
    }
    report.find(
      CHECK,
      'COUNTERS_WRONG',
      `device ${row.device} counts ${shown(row.envelopes)} envelopes, ${shown(row.frames)} frames and ${shown(row.refused)} refusals; its rows are ${row.rows}, ${row.row_frames} and ${row.refusal_rows}`,
      { device: row.device },
      { needs, run: () => writeCounters(file, row) },
    );
  }
  report.done(CHECK);
}

interface Marks {
  readonly statements: number;
  readonly refusals: number;
}

/** Up to where the counters count; nothing is counted yet where there is no mark. Null when it cannot be read. */
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

function write(file: string, sql: string, ...values: unknown[]): void {
  const db = new Database(file, { fileMustExist: true });
  try {
    db.pragma('synchronous = FULL');
    db.prepare(sql).run(...values);
  } finally {
    db.close();
  }
}

function writeMarks(file: string, marks: Marks): string {
  write(
    file,
    "INSERT OR REPLACE INTO meta (key, value) VALUES ('counted', ?)",
    JSON.stringify(marks),
  );
  return `the counters count up to statement ${marks.statements} and refusal ${marks.refusals}`;
}

function writeCounters(file: string, row: Counted): string {
  const refused = isCount(row.refused) ? Math.max(row.refused, row.refusal_rows) : row.refusal_rows;
  write(
    file,
    'UPDATE devices SET envelopes = ?, frames = ?, refused = ? WHERE id = ?',
    row.rows,
    row.row_frames,
    refused,
    row.device,
  );
  return `device ${row.device} counts ${row.rows} envelopes, ${row.row_frames} frames and ${refused} refusals`;
}
