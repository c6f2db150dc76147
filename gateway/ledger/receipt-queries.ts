import {
  ENTRY_BYTES,
  leafHash,
  readStatement,
  STATEMENT_BYTES,
  statementHash,
} from '@waystone/proto';
import type Database from 'better-sqlite3';
import { STATEMENT_AT_OR_BEFORE } from './ranges.js';

/** Compares committed entries with the receipts that their devices were given. */
export function receiptQueries(db: Database.Database) {
  const findStored = db.prepare(
    `SELECT s.hash, s.entry_leaf FROM devices
     JOIN sessions ON sessions.device = devices.id JOIN statements s ON s.id = ${STATEMENT_AT_OR_BEFORE}
     WHERE devices.key_id = @device AND sessions.session = @session`,
  );
  return {
    /**
     * Which of these entries, 280 bytes each in one piece, are not those that a receipt `stored` names. An entry whose row is
     * pruned is not known to differ.
     */
    unlikeReceipt: (entries: Uint8Array): number[] => {
      const found: number[] = [];
      for (let k = 0; k * ENTRY_BYTES < entries.length; k++) {
        const entry = entries.subarray(k * ENTRY_BYTES, (k + 1) * ENTRY_BYTES);
        const { statement } = readStatement(entry.subarray(0, STATEMENT_BYTES));
        if (statement === undefined) continue;
        const { device, session, stream, firstSequence: sequence } = statement;
        const row = findStored.get({ device, session, stream, sequence }) as
          | { hash: Buffer; entry_leaf: Buffer }
          | undefined;
        const isOfIt = row?.hash.equals(statementHash(entry.subarray(0, STATEMENT_BYTES)));
        if (isOfIt === true && row?.entry_leaf.equals(leafHash(entry)) === false) found.push(k);
      }
      return found;
    },
  };
}
