import Database from 'better-sqlite3';

/** Changes a ledger in one transaction that is on disk when this returns. */
export function changeLedger<T>(file: string, run: (db: Database.Database) => T): T {
  const db = new Database(file, { fileMustExist: true });
  try {
    db.pragma('synchronous = FULL');
    return db.transaction(run)(db);
  } finally {
    db.close();
  }
}
