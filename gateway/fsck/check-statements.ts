import {
  encodeReceiptBody,
  FRAMES_PER_STATEMENT_MAX,
  LOG_ID_BYTES,
  leafHash,
} from '@waystone/proto';
import { countRows, type FsckContext, rowsOf } from './context.js';
import { isBlob, isCount, isSame, shown } from './values.js';

interface StatementRow {
  readonly id: number;
  readonly session: number;
  readonly stream: number;
  readonly first: number;
  readonly last: number;
  readonly hash: Buffer;
  readonly entry_leaf: Buffer;
  readonly grp: number;
  readonly grp_index: number;
  readonly key_id: Buffer | null;
}

/**
 * Statement rows by themselves: ranges that are possible and disjoint, sessions that are there, and the receipt that
 * each device was given.
 */
export function checkStatements(context: FsckContext): void {
  checkDisjoint(context);
  checkReceipts(context);
}

/** Sorts all ranges, whatever the table says that they are found by. */
function checkDisjoint(context: FsckContext): void {
  const { report } = context;
  const total = countRows(context, 'statements');
  const sql =
    'SELECT id, session, stream, first, last FROM statements ORDER BY session, stream, first';
  let before: StatementRow | null = null;
  for (const row of rowsOf<StatementRow>(context, 'statements', sql, total)) {
    report.count('statements', 'statements');
    const facts = { statement: row.id, session: row.session, stream: row.stream };
    const count = row.last - row.first + 1;
    if (
      !isCount(row.first) ||
      !isCount(row.last) ||
      count < 1 ||
      count > FRAMES_PER_STATEMENT_MAX
    ) {
      report.find(
        'statements',
        'STATEMENT_RANGE_WRONG',
        `statement ${row.id} covers sequences ${shown(row.first)} to ${shown(row.last)}`,
        facts,
      );
    }
    const isSameRun = before?.session === row.session && before?.stream === row.stream;
    if (before !== null && isSameRun && row.first <= before.last) {
      report.find(
        'statements',
        'STATEMENT_OVERLAP',
        `statements ${before.id} and ${row.id} of session ${row.session}, stream ${row.stream} both cover sequence ${row.first}`,
        { ...facts, other: before.id },
      );
    }
    if (before === null || !isSameRun || row.last > before.last) before = row;
  }
}

/** Rows come in the order of their groups, so each group's leaves are read once. */
function checkReceipts(context: FsckContext): void {
  const { db, report } = context;
  const findGroup = db.prepare('SELECT log_id, leaves FROM groups WHERE id = ?');
  let group: { id: number; leaves: unknown } | null = null;
  const sql = `SELECT statements.*, devices.key_id FROM statements
    LEFT JOIN sessions ON sessions.id = statements.session
    LEFT JOIN devices ON devices.id = sessions.device ORDER BY statements.id`;
  const total = countRows(context, 'statements');
  for (const row of rowsOf<StatementRow>(context, 'receipts', sql, total)) {
    const facts = { statement: row.id, session: row.session, group: row.grp };
    if (row.key_id === null) {
      report.find(
        'statements',
        'STATEMENT_SESSION_MISSING',
        `statement ${row.id} is of session ${row.session}, which is not there`,
        facts,
      );
      continue;
    }
    if (group === null || group.id !== row.grp) {
      const found = findGroup.get(row.grp) as { log_id: unknown; leaves: unknown } | undefined;
      group = { id: row.grp, leaves: found?.leaves };
      if (found !== undefined) checkGroup(context, row.grp, found);
    }
    if (group.leaves === undefined) {
      report.find(
        'receipts',
        'RECEIPT_GROUP_MISSING',
        `statement ${row.id} was answered in group ${row.grp}, which is not there`,
        facts,
      );
      continue;
    }
    report.count('receipts', 'receipts');
    if (!holdsReceipt(row, group.leaves)) {
      report.find(
        'receipts',
        'RECEIPT_LEAF_WRONG',
        `leaf ${row.grp_index} of group ${row.grp} is not the receipt of statement ${row.id}`,
        facts,
      );
    }
  }
  report.done('statements');
  report.done('receipts');
}

function checkGroup(
  { report }: FsckContext,
  id: number,
  { log_id, leaves }: { log_id: unknown; leaves: unknown },
): void {
  report.count('receipts', 'groups');
  const isWhole = isBlob(leaves) && leaves.length > 0 && leaves.length % 32 === 0;
  if (isWhole && isBlob(log_id, LOG_ID_BYTES)) return;
  report.find('receipts', 'RECEIPT_GROUP_WRONG', `group ${id} holds no leaf hashes of a log`, {
    group: id,
  });
}

function holdsReceipt(row: StatementRow, leaves: unknown): boolean {
  if (!isBlob(leaves) || !isBlob(row.hash, 32) || !isBlob(row.entry_leaf, 32)) return false;
  if (!isBlob(row.key_id, 32) || !isCount(row.grp_index)) return false;
  const leaf = leafHash(
    encodeReceiptBody({
      device: row.key_id,
      statement: row.hash,
      outcome: { kind: 'stored', entryLeaf: row.entry_leaf },
    }),
  );
  return isSame(leaves.subarray(row.grp_index * 32, row.grp_index * 32 + 32), leaf);
}
