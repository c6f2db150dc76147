import { join } from 'node:path';
import {
  type MessagePort,
  parentPort,
  receiveMessageOnPort,
  workerData,
} from 'node:worker_threads';
import { sha256, statementBytesOf, statementHash } from '@waystone/proto';
import Database from 'better-sqlite3';
import { GatewayKey } from '../core/gateway-key.js';
import { giveMemoryBackWhenIdle } from '../core/idle-memory.js';
import {
  type PackedBatch,
  type PackedDecisions,
  packDecisions,
  unpackBatch,
} from '../core/packed.js';
import type { Decision, EnvelopeItem, VerifiedBatch } from '../core/ports.js';
import { ReceiptMaker } from '../core/receipt-maker.js';
import { type Call, isCall } from '../core/rpc.js';
import { BatchFiles } from './batch-files.js';
import { BatchTable } from './batches.js';
import { Committer } from './committer.js';
import { Counters } from './counters.js';
import { DeviceTable } from './devices.js';
import { explained, isDiskFull } from './disk-errors.js';
import { GroupWriter, REDO_LIMITS } from './group-writer.js';
import { loadIdentity } from './identity.js';
import type { LedgerWorkerData, RetryCode } from './ledger.js';
import { lockDataFolder } from './lock.js';
import { ledgerOperations } from './operations.js';
import { Pruner } from './pruning.js';
import { RangeTable } from './ranges.js';
import { Room } from './room.js';
import { prepareLedger } from './schema.js';
import { UnsyncedTable } from './unsynced.js';
import { WalKeeper } from './wal-keeper.js';

/** Counters are written at most this often. */
const COUNTERS_EVERY_MS = 5_000;

/** What is no longer needed goes at most this often, a few rows at a time; looking for it costs 0.03 ms. */
const PRUNE_EVERY_MS = 50;
const PRUNE_AFTER_FULL_MS = 10_000;

/** Seconds after which a device may try again when there is no room. */
const RETRY_SECONDS = 30;

/** What whoever asks for something is told that there is no room for. */
const DISK_FULL = {
  code: 'DISK_FULL',
  message: 'the disk is full; free space and try again',
} as const;

/**
 * The ledger's thread: the only writing connection. It takes verified envelopes straight from the verifiers
 * and calls from the main thread, commits everything that waits in one transaction, and answers after it.
 */
function main(): void {
  const port = parentPort as MessagePort;
  const data = workerData as LedgerWorkerData;
  const key = new GatewayKey(data.privateKey);
  const lock = lockDataFolder(data.dataFolder);
  const db = new Database(join(data.dataFolder, 'ledger.sqlite'));
  prepareLedger(db, data.dataFolder);
  // What a run before this one failed to sync may still be read here though no disk has it, and a second sync would not
  // write it. A WAL checkpoint writes whatever was read anew, so nothing is built on it before it is durable.
  db.pragma('wal_checkpoint(TRUNCATE)');
  const identity = loadIdentity(db, { gateway: key, logHeadFile: data.logHeadFile });
  const ranges = new RangeTable(db);
  const devices = new DeviceTable(db, data.sessions, { ranges });
  const files = new BatchFiles(data.dataFolder, new UnsyncedTable(db));
  const batches = new BatchTable(db, {
    limits: data.limits,
    gatewayId: key.id,
    logId: identity.logId,
    files,
  });
  files.reconcile(batches.unsealed());
  const counters = new Counters(db);
  const receiptMaker = new ReceiptMaker(key, identity.logId);
  const committer = new Committer(db, { devices, batches, counters, ranges, receiptMaker });
  const pruner = new Pruner(db, { settledBy: data.settledBy }, { devices, counters, ranges });
  const wal = new WalKeeper(db);
  const parts = { devices, batches, ranges, counters, committer, files };
  const writer = new GroupWriter(db, { dataFolder: data.dataFolder, logId: identity.logId }, parts);
  const operations: Record<string, (...args: never[]) => unknown> = ledgerOperations({
    db,
    devices,
    batches,
    committer,
    counters,
    ranges,
    logId: identity.logId,
    dataFolder: data.dataFolder,
  });

  let verified: VerifiedBatch[] = [];
  let calls: Call[] = [];
  const room = new Room();
  let isScheduled = false;
  let countersWrittenAtMs = performance.now();
  let pruneAfterMs = 0;
  let storedSincePruned = 0;
  /** When the last group was done. */
  let doneAtMs = 0;
  /** Runs while rows wait; once it has ended they must be committed. */
  let settling: NodeJS.Timeout | null = null;
  let isSettlingDue = false;
  let isStopped = false;

  const schedule = (): void => {
    if (isScheduled) return;
    isScheduled = true;
    setImmediate(commit);
  };

  const commit = (): void => {
    isScheduled = false;
    if (isStopped) return;
    for (const verifier of data.verifiers) {
      for (let next = receiveMessageOnPort(verifier); next; next = receiveMessageOnPort(verifier)) {
        verified.push(unpackBatch(next.message as PackedBatch));
      }
    }
    const { fitting: group, tooMuch } = room.take(verified);
    if (tooMuch.length > 0) answer(refuseForNow(tooMuch, room.code));
    const asked = calls;
    verified = [];
    calls = [];
    const answers: object[] = [];
    const nowMs = performance.now();
    const isDeferred =
      asked.length === 0 &&
      !isSettlingDue &&
      nowMs - doneAtMs < REDO_LIMITS.pauseMsMax &&
      writer.mayDefer(group);
    try {
      const judged = isDeferred ? writer.defer(group) : writer.commit(group, inside, prune);
      storedSincePruned += judged.stored;
      // Durable from here on.
      if (judged.judged.length > 0) answer(committer.decisions(judged));
      for (const answer of answers) port.postMessage(answer);
    } catch (error) {
      // Whatever was in the transaction is undone. A full disk passes; anything else ends the process.
      if (!isDiskFull(error)) throw explained(error);
      // What there is room for is the devices' now.
      pruneAfterMs = performance.now() + PRUNE_AFTER_FULL_MS;
      answer(refuseForNow(group, 'DISK_FULL'));
      for (const call of asked) {
        port.postMessage({ answer: call.call, error: DISK_FULL });
      }
    }
    keepSettled();
    doneAtMs = performance.now();

    // First: what a duplicate is answered with is looked up after the transaction.
    function prune(): void {
      if (performance.now() < pruneAfterMs) return;
      pruneAfterMs = performance.now() + PRUNE_EVERY_MS;
      pruner.step(Date.now() * 1000, storedSincePruned);
      storedSincePruned = 0;
    }

    function inside(): void {
      for (const call of asked) answers.push(run(call));
      if (performance.now() - countersWrittenAtMs >= COUNTERS_EVERY_MS) {
        countersWrittenAtMs = performance.now();
        counters.write();
      }
    }
  };

  /** Rows that wait are committed in time; between transactions the WAL is kept bounded. */
  const keepSettled = (): void => {
    if (writer.isOpen) {
      settling ??= setTimeout(() => {
        isSettlingDue = true;
        schedule();
      }, REDO_LIMITS.openMsMax);
      return;
    }
    if (settling !== null) clearTimeout(settling);
    settling = null;
    isSettlingDue = false;
    unlessFull(() => wal.check());
  };

  /** Work that a full disk leaves for later, or for the next run: nothing is lost by it. */
  const unlessFull = (work: () => void): void => {
    try {
      work();
    } catch (error) {
      if (!isDiskFull(error)) throw explained(error);
    }
  };

  const answer = (decisions: PackedDecisions): void => {
    port.postMessage({ decisions, isDeferred: writer.isOpen }, [
      decisions.numbers.buffer,
      decisions.receipts.buffer,
    ]);
  };

  const run = (call: Call): object => {
    try {
      const operation = Object.hasOwn(operations, call.name) ? operations[call.name] : undefined;
      if (operation === undefined) throw new TypeError(`the ledger has no operation ${call.name}`);
      const value = db.transaction(() => operation(...(call.args as never[])))();
      return { answer: call.call, value };
    } catch (error) {
      const { message, code } = error as { message: string; code?: string };
      if (code?.startsWith('SQLITE_') === true) throw error;
      return { answer: call.call, error: code === undefined ? { message } : { message, code } };
    }
  };

  const refuseForNow = (batches: readonly VerifiedBatch[], code: RetryCode): PackedDecisions => {
    const refuse = (buffer: ArrayBuffer, item: EnvelopeItem): Decision => {
      const payload = new Uint8Array(buffer, item.offset, item.length);
      const statement = statementBytesOf(payload);
      const receipt = receiptMaker.forBody({
        device: devices.get(item.device)?.keyId ?? new Uint8Array(32),
        statement: statement === null ? sha256(payload) : statementHash(statement),
        outcome: { kind: 'retry', code, afterSeconds: RETRY_SECONDS },
      });
      const { ticket, device } = item;
      return { ticket, device, kind: 'retry', frames: 0, receipt, refusal: null, retryCode: code };
    };
    return packDecisions(
      batches.flatMap(({ buffer, items }) => items.map((item) => refuse(buffer, item))),
    );
  };

  for (const verifier of data.verifiers) {
    verifier.on('message', (message: PackedBatch) => {
      verified.push(unpackBatch(message));
      schedule();
    });
  }
  port.on('message', (message: unknown) => {
    if (!isCall(message)) return;
    if (message.name === 'backup') {
      const [file] = message.args as [string];
      // The copy is to hold what was acknowledged until now.
      try {
        writer.settle();
      } catch (error) {
        if (!isDiskFull(error)) throw explained(error);
        port.postMessage({ answer: message.call, error: DISK_FULL });
        return;
      }
      // The copy names batch files, which the caller copies next.
      files.hold();
      db.backup(file).then(
        () => port.postMessage({ answer: message.call, value: null }),
        (error: Error) =>
          port.postMessage({ answer: message.call, error: { message: error.message } }),
      );
      return;
    }
    if (message.name === 'takeNew') {
      room.set(...(message.args as [number, RetryCode]));
      port.postMessage({ answer: message.call, value: null });
      return;
    }
    if (message.name === 'settle') {
      unlessFull(() => writer.settle());
      port.postMessage({ answer: message.call, value: null });
      return;
    }
    if (message.name === 'releaseFiles') {
      files.release();
      port.postMessage({ answer: message.call, value: null });
      return;
    }
    if (message.name === 'stop') {
      commit();
      isStopped = true;
      if (settling !== null) clearTimeout(settling);
      unlessFull(() => {
        writer.commit([], () => {
          counters.write();
          files.sync();
        });
        db.transaction(() => ranges.writeAll())();
        db.pragma('wal_checkpoint(TRUNCATE)');
      });
      db.close();
      writer.close();
      files.close();
      lock.release();
      port.postMessage({ answer: message.call, value: null });
      port.close();
      for (const verifier of data.verifiers) verifier.close();
      return;
    }
    calls.push(message);
    schedule();
  });
  giveMemoryBackWhenIdle();
  port.postMessage({ ready: true });
}

try {
  main();
} catch (error) {
  // An uncaught error would reach the main thread without its code.
  const { message, code = 'LEDGER_UNREADABLE' } = isDiskFull(error)
    ? DISK_FULL
    : (error as { message: string; code?: string });
  (parentPort as MessagePort).postMessage({ failed: { message, code } });
}
