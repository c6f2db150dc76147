import { join } from 'node:path';
import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import Database from 'better-sqlite3';
import { giveMemoryBackWhenIdle } from '../core/idle-memory.js';
import { serveCalls } from '../core/rpc.js';
import { ledgerQueries } from './queries.js';

/** The thread that answers reads: the API never waits for, nor holds up, the writer. */
const { dataFolder } = workerData as { dataFolder: string };
const db = new Database(join(dataFolder, 'ledger.sqlite'), { readonly: true });
giveMemoryBackWhenIdle();
serveCalls(parentPort as MessagePort, {
  ...ledgerQueries(db),
  close: () => {
    db.close();
  },
});
