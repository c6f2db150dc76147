import { join } from 'node:path';
import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import Database from 'better-sqlite3';
import { serveCalls } from '../core/rpc.js';
import { ledgerQueries } from './queries.js';

/** The thread that answers reads: the API and the seal stage never wait for, nor hold up, the writer. */
const { dataFolder, seal } = workerData as { dataFolder: string; seal: MessagePort };
const db = new Database(join(dataFolder, 'ledger.sqlite'), { readonly: true });
const queries = ledgerQueries(db);
serveCalls(seal, queries);
serveCalls(parentPort as MessagePort, {
  ...queries,
  close: () => {
    seal.close();
    db.close();
  },
});
