import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import { giveMemoryBackWhenIdle } from '../core/idle-memory.js';
import { serveCalls } from '../core/rpc.js';
import { type Gateway, loginChecks } from './login-checks.js';

giveMemoryBackWhenIdle();

/** The login thread: the broker's thread never waits for a signature. */
serveCalls(parentPort as MessagePort, loginChecks(workerData as Gateway));
