import type Database from 'better-sqlite3';
import { sessionMark } from '../ledger/session-mark.js';

/**
 * What the ledger may have forgotten. Statement rows make exactly-once hold for sessions that may still send; a
 * session that is pruned is refused for ever, whatever it sends, so its rows are not needed. The rules of that stand
 * here and nowhere else.
 */
export class PrunedSessions {
  readonly #find: Database.Statement;

  constructor(db: Database.Database) {
    this.#find = db
      .prepare(
        `SELECT EXISTS (SELECT 1 FROM sessions
             WHERE device = devices.id AND session = @session AND prune_after IS NOT NULL)
           OR EXISTS (SELECT 1 FROM pruned_sessions WHERE device = devices.id AND mark = @mark)
         FROM devices WHERE key_id = @device`,
      )
      .pluck();
  }

  /** Whether a session may lack statement rows: it is being pruned, or only its mark is left. */
  has(device: Uint8Array, session: string): boolean {
    const found = this.#find.get({
      device: Buffer.from(device),
      session: Buffer.from(session, 'hex'),
      mark: sessionMark(session),
    });
    return found === 1;
  }
}
