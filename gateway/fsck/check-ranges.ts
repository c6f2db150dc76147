import { join } from 'node:path';
import { RANGES_MARK, rebuildRanges } from '../ledger/ranges.js';
import { changeLedger } from './change-ledger.js';
import { LEDGER_FILE } from './check-ledger-file.js';
import { countRows, type FsckContext } from './context.js';
import type { CheckName } from './report.js';
import { isCount, shown } from './values.js';

const CHECK = 'ranges';

/**
 * The table is made of the statements alone, so these must be all there and right: where one is missing, its row here may
 * be the last trace of it. It is missed by its entry, so datasets and batch files must be sound too.
 */
const NEEDS: readonly CheckName[] = [
  'ledger file',
  'batches',
  'statements',
  'batch files',
  'datasets',
];

/** Rows of the table that are not what their statement says. */
const WRONG = `SELECT r.session, r.stream, r.first, r.statement, s.id AS there FROM ranges r
  LEFT JOIN statements s ON s.id = r.statement
  WHERE s.id IS NULL OR s.session IS NOT r.session OR s.stream IS NOT r.stream OR s.first IS NOT r.first`;

/** Statements up to the mark that the table does not lead to. */
const MISSING = `SELECT s.id FROM statements s
  LEFT JOIN ranges r ON r.session = s.session AND r.stream = s.stream AND r.first = s.first
  WHERE s.id <= ? AND r.statement IS NOT s.id`;

/** Rows that lead to no statement, of sessions that are not pruned. */
const UNLED = `SELECT r.session, r.stream, r.first, r.statement FROM ranges r
  JOIN sessions ON sessions.id = r.session AND sessions.prune_after IS NULL
  LEFT JOIN statements s ON s.id = r.statement WHERE s.id IS NULL`;

interface WrongRow {
  readonly session: unknown;
  readonly stream: unknown;
  readonly first: unknown;
  readonly statement: unknown;
  readonly there?: number | null;
}

/**
 * The table that statements are found by, against the statements: exactly-once rests on it. What lies behind its mark
 * may be in it or not, since it is written now and then.
 */
export function checkRanges(context: FsckContext): void {
  const { db, report, dataFolder, progress } = context;
  progress(CHECK, 0, null);
  report.count(CHECK, 'ranges', countRows(context, 'ranges'));
  const newest = db.prepare('SELECT COALESCE(MAX(id), 0) FROM statements').pluck().get() as number;
  const mark = db.prepare('SELECT value FROM meta WHERE key = ?').pluck().get(RANGES_MARK);
  const isMark = isCount(mark) && mark <= newest;
  const wrong = countOf(context, WRONG);
  const missing = isMark ? countOf(context, MISSING, mark) : 0;
  const faults: string[] = [];
  if (!isMark) {
    const is = mark === undefined ? 'not there' : shown(mark);
    faults.push(`its mark is ${is}, and the newest statement ${newest}`);
  }
  if (wrong > 0) {
    const { session, stream, first, statement, there } = db
      .prepare(`${WRONG} LIMIT 1`)
      .get() as WrongRow;
    faults.push(
      `${wrong} rows are not what the statements say: sequence ${shown(first)} of session ${shown(session)}, stream ${shown(stream)} leads to statement ${shown(statement)}, which ${there === null ? 'is not there' : 'begins elsewhere'}`,
    );
  }
  if (missing > 0) {
    const id = db.prepare(`${MISSING} LIMIT 1`).pluck().get(mark) as number;
    faults.push(`no row leads to ${missing} statements that it should hold, ${id} among them`);
  }
  if (wrong > 0) checkTraces(context);
  if (faults.length > 0) {
    const run = (): string => {
      const rows = changeLedger(join(dataFolder, LEDGER_FILE), rebuildRanges);
      return `made the table anew from the statements: ${rows} rows`;
    };
    report.find(
      CHECK,
      'RANGES_WRONG',
      `the table that statements are found by cannot be trusted: ${faults.join('; ')}`,
      { wrong, missing, newest },
      { needs: NEEDS, run },
    );
  }
  report.done(CHECK);
}

/**
 * Entries tell which statements are missing, but those of removed datasets are not there to tell. Then a row that leads
 * to no statement may be all that is left of one.
 */
function checkTraces(context: FsckContext): void {
  const { db, report } = context;
  if (countRows(context, 'batches WHERE removed_at_us IS NOT NULL') === 0) return;
  for (const row of db.prepare(UNLED).iterate() as Iterable<WrongRow>) {
    const { session, stream, first, statement } = row;
    report.find(
      'statements',
      'STATEMENT_MISSING',
      `statement ${shown(statement)} (session ${shown(session)}, stream ${shown(stream)}, sequence ${shown(first)}) is not there, and its entry may have been in a dataset that was removed`,
    );
  }
}

function countOf({ db }: FsckContext, query: string, ...parameters: unknown[]): number {
  return db
    .prepare(`SELECT COUNT(*) FROM (${query})`)
    .pluck()
    .get(...parameters) as number;
}
