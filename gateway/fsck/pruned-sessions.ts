/**
 * What the ledger may have forgotten. Statement rows make exactly-once hold for sessions that may still send; a
 * session that is closed, or gone from the tables, is refused whatever it sends, so its rows are not needed. The
 * rules of that stand here and nowhere else.
 */

/** What the ledger knows of the session that an entry belongs to; null when there is no row. */
export type KnownSession = { readonly isClosed: boolean } | null;

/**
 * Whether an entry may be without its statement row.
 *
 * @param isSealed whether its batch is a dataset by now: before that, every entry has its row.
 */
export function mayLackStatement(session: KnownSession, isSealed: boolean): boolean {
  return isSealed && (session === null || session.isClosed);
}

/**
 * Whether a device's counters may be higher than its statement rows add up to. Up to schema version 2 no row is ever
 * removed, so they are equal.
 */
export function mayCountMoreThanRows(schemaVersion: number): boolean {
  return schemaVersion > 2;
}
