import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fromHex, LOG_ID_BYTES, toHex } from '@waystone/proto';
import type Database from 'better-sqlite3';
import { replaceFile } from '../core/durable.js';
import { WaystoneError } from '../core/errors.js';
import type { GatewayKey } from '../core/gateway-key.js';

/** The last head of its present log that the gateway signed; kept beside its key, outside backups. */
export interface SignedLogHead {
  readonly logId: string;
  readonly size: number;
  readonly root: string;
}

/**
 * Which log this ledger carries. A new ledger starts a new one.
 *
 * @throws WaystoneError LEDGER_ROLLED_BACK when the gateway has signed a log head that this ledger is behind:
 *   it was copied back from a backup, and going on would fork the log.
 * @throws WaystoneError LEDGER_FOREIGN when the ledger belongs to another gateway key.
 */
export function loadIdentity(
  db: Database.Database,
  options: { gateway: GatewayKey; logHeadFile: string },
): { logId: Uint8Array } {
  const gatewayId = toHex(options.gateway.id);
  const get = (key: string): string | undefined =>
    (db.prepare('SELECT value FROM meta WHERE key = ?').get(key) as { value: string } | undefined)
      ?.value;
  if (get('log_id') === undefined) {
    const set = db.prepare('INSERT INTO meta (key, value) VALUES (?, ?)');
    db.transaction(() => {
      set.run('log_id', randomBytes(LOG_ID_BYTES).toString('hex'));
      set.run('gateway_id', gatewayId);
    })();
  }
  if (get('gateway_id') !== gatewayId) {
    throw new WaystoneError(
      'LEDGER_FOREIGN',
      `the ledger belongs to gateway ${get('gateway_id')}, the key is ${gatewayId}; put the right key back, or name another data folder`,
    );
  }
  const logId = get('log_id') as string;
  const head = readLogHead(options.logHeadFile);
  if (head !== null) {
    const { size } = db
      .prepare('SELECT COALESCE(MAX(log_index) + 1, 0) AS size FROM log WHERE log_id = ?')
      .get(fromHex(head.logId)) as { size: number };
    if (head.logId !== logId || size < head.size) {
      throw new WaystoneError(
        'LEDGER_ROLLED_BACK',
        `this gateway has signed log ${head.logId} up to size ${head.size}, but the ledger carries log ${logId} and holds ${size} of those; ` +
          'is the right disk mounted? If so, run waystone restore with a backup, or with --new-log if there is none',
      );
    }
  }
  return { logId: fromHex(logId) };
}

/** The last signed head, or null when none was signed yet. */
export function readLogHead(file: string): SignedLogHead | null {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as { code?: string }).code === 'ENOENT') return null;
    throw error;
  }
  return JSON.parse(text) as SignedLogHead;
}

/** The ledger's place for it, below the gateway's home. */
export function logHeadFile(home: string): string {
  return join(home, 'keys', 'log-head.json');
}

/**
 * Keeps a head that is about to be signed, unless it is of a log that a restore has ended: a dataset that had its
 * record there before the backup is finished with the very bytes of then, and the head of the present log stays, or the
 * next start would take the ledger for one that was rolled back.
 */
export function keepLogHead(file: string, head: SignedLogHead): void {
  const kept = readLogHead(file);
  if (kept === null || kept.logId === head.logId) writeLogHead(file, head);
}

/** Durable before the signature leaves the gateway. */
export function writeLogHead(file: string, head: SignedLogHead): void {
  replaceFile(file, `${JSON.stringify(head)}\n`, 0o600);
}
