import { decodeCheckpoint, fromHex, LOG_ID_BYTES, toHex } from '@waystone/proto';
import { messageOf } from '../core/errors.js';
import { logHeadFile, readLogHead, type SignedLogHead } from '../ledger/identity.js';
import { countRows, type FsckContext } from './context.js';
import { isBlob, isCount, isHex, shown } from './values.js';

const CHECK = 'identity';

/** Whose ledger it is, which log it carries, and whether that is the one that was last signed. */
export function checkIdentity(context: FsckContext): void {
  const { db, report, key } = context;
  const meta = (name: string): unknown =>
    db.prepare('SELECT value FROM meta WHERE key = ?').pluck().get(name);
  const logId = meta('log_id');
  const gatewayId = meta('gateway_id');
  // Killed before its first commit, a ledger is empty; the next start gives it its identity.
  const isNew =
    logId === undefined && gatewayId === undefined && countRows(context, 'devices') === 0;
  if (!isNew && !isHex(logId, LOG_ID_BYTES)) {
    report.find(CHECK, 'LEDGER_IDENTITY_MISSING', `the ledger names ${shown(logId)} as its log`);
  }
  if (!isNew && !isHex(gatewayId, 32)) {
    report.find(
      CHECK,
      'LEDGER_IDENTITY_MISSING',
      `the ledger names ${shown(gatewayId)} as its gateway`,
    );
  } else if (!isNew && key !== null && gatewayId !== toHex(key.id)) {
    report.find(
      CHECK,
      'LEDGER_FOREIGN',
      `the ledger belongs to gateway ${shown(gatewayId)}, the key of the home is ${toHex(key.id)}`,
      { ledger: String(gatewayId), key: toHex(key.id) },
    );
  }
  if (!isNew && isHex(logId, LOG_ID_BYTES)) checkLogHead(context, logId);
  report.count(CHECK, 'gateway keys', key === null ? 0 : 1);
  report.done(CHECK);
}

function checkLogHead(context: FsckContext, logId: string): void {
  const { home, db, report } = context;
  const file = logHeadFile(home);
  const size = sizeOf(context, logId);
  // Sealing keeps the head before it signs, so at most the last record is ahead of it.
  const signedAtLeast = db
    .prepare(
      `SELECT COUNT(*) FROM batches WHERE log_id = ?
       AND state IN ('sealed', 'committed', 'forged', 'withdrawn')`,
    )
    .pluck()
    .get(fromHex(logId)) as number;
  let head: SignedLogHead | null;
  try {
    head = readLogHead(file);
  } catch (error) {
    report.find(CHECK, 'LOG_HEAD_UNREADABLE', `${file} cannot be read: ${messageOf(error)}`);
    return;
  }
  if (head === null) {
    if (signedAtLeast > 0) {
      report.find(
        CHECK,
        'LOG_HEAD_MISSING',
        `${file} is missing, and ${signedAtLeast} heads of the log were signed`,
      );
    }
    return;
  }
  if (!isHex(head.logId, LOG_ID_BYTES) || !isCount(head.size)) {
    report.find(CHECK, 'LOG_HEAD_UNREADABLE', `${file} holds no signed log head`);
    return;
  }
  report.count(CHECK, 'kept log heads');
  const facts = { signedLog: head.logId, signedSize: head.size, log: logId, size };
  if (head.logId !== logId || head.size > size) {
    report.find(
      CHECK,
      'LEDGER_ROLLED_BACK',
      `this gateway has signed log ${head.logId} up to size ${head.size}, the ledger carries log ${logId} of size ${size}`,
      facts,
    );
    return;
  }
  if (head.size < signedAtLeast) {
    report.find(
      CHECK,
      'LOG_HEAD_BEHIND',
      `the kept log head has size ${head.size}, but heads up to ${signedAtLeast} were signed`,
      facts,
    );
  }
  if (head.size === 0) return;
  const row = db
    .prepare('SELECT checkpoint FROM log WHERE log_id = ? AND log_index = ?')
    .get(fromHex(logId), head.size - 1) as { checkpoint: unknown } | undefined;
  const root = rootOf(row?.checkpoint);
  if (root !== head.root) {
    report.find(
      CHECK,
      'LOG_HEAD_DIFFERS',
      `the head that was signed at size ${head.size} has root ${shown(head.root)}, the ledger says ${root ?? 'nothing that can be read'}`,
      facts,
    );
  }
}

function sizeOf({ db }: FsckContext, logId: string): number {
  return db
    .prepare('SELECT COUNT(*) FROM log WHERE log_id = ?')
    .pluck()
    .get(fromHex(logId)) as number;
}

function rootOf(checkpoint: unknown): string | null {
  if (!isBlob(checkpoint)) return null;
  try {
    return toHex(decodeCheckpoint(checkpoint).root);
  } catch {
    return null;
  }
}
