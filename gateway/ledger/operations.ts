import { toHex } from '@waystone/proto';
import type Database from 'better-sqlite3';
import type { DeviceRecord, LogHead, SealedDataset, SealingBatch } from '../core/ports.js';
import type { OffenceCode } from '../core/withdrawal.js';
import type { BatchTable } from './batches.js';
import type { Committer } from './committer.js';
import type { Counters } from './counters.js';
import { deviceProofOperations } from './device-proofs.js';
import type { DeviceTable } from './devices.js';
import { forgeDatasetOperations } from './forge-datasets.js';
import { forgeJournalOperations } from './forge-journal.js';
import { lazaiJournalOperations } from './lazai-journal.js';
import { missingStatement, type RangeTable } from './ranges.js';
import { relayOperations } from './relays.js';
import { entryPlaces, withdrawalOperations } from './withdrawals.js';

/** A statement of a device, named by where it begins. */
export interface StatementReference {
  readonly session: string;
  readonly stream: number;
  readonly firstSequence: number;
}

/** What a device is owed for one statement. */
export interface OwedReceipt {
  /** Hash of the statement. */
  readonly statement: Uint8Array;
  readonly stored: Uint8Array;
  readonly batch: number;
  readonly batchIndex: number;
  /** Why its entry gets no DAT, or null. */
  readonly offence: OffenceCode | null;
}

/**
 * What the other threads may ask of the ledger. Each runs in the transaction of the next commit group, in a
 * savepoint of its own, and is answered once that group is on disk.
 */
export function ledgerOperations(deps: {
  db: Database.Database;
  devices: DeviceTable;
  batches: BatchTable;
  committer: Committer;
  counters: Counters;
  ranges: RangeTable;
  logId: Uint8Array;
  dataFolder: string;
}) {
  const { db, devices, batches, committer, counters, ranges } = deps;
  const journal = forgeJournalOperations(db);
  const placeNow = entryPlaces(db);
  return {
    identity: (): { logId: Uint8Array; logSize: number } => ({
      logId: deps.logId,
      logSize: batches.logSize(),
    }),

    devices: (): DeviceRecord[] => devices.all(),
    enrol: (did: string, label: string, nowUs: number): DeviceRecord =>
      devices.enrol(did, label, nowUs),
    revoke: (did: string, reason: string, nowUs: number): DeviceRecord =>
      devices.revoke(did, reason, nowUs),
    /** Makes the devices' counts in the table exact, for who is about to read them. */
    writeCounters: (): void => counters.write(),
    seen: (device: number, atUs: number): void => counters.seen(device, atUs),
    enter: (device: number, session: string, counter: number, nowUs: number) =>
      devices.enter(device, session, counter, nowUs),
    hello: (
      device: number,
      session: string,
      counter: number,
      queued: readonly string[],
      nowUs: number,
    ) => devices.hello(device, session, counter, queued, nowUs),
    owedReceipts: (device: number, references: readonly StatementReference[]): OwedReceipt[] => {
      const keyId = devices.get(device)?.keyId;
      if (keyId === undefined) return [];
      const find = db.prepare(
        'SELECT hash, entry_leaf, grp, grp_index, batch, batch_index FROM statements WHERE id = ?',
      );
      return references.flatMap((reference) => {
        const session = devices.session(device, reference.session);
        if (session === null) return [];
        const id = ranges.at(session.id, reference.stream, reference.firstSequence);
        if (id === null) return [];
        const row = find.get(id) as
          | {
              hash: Buffer;
              entry_leaf: Buffer;
              grp: number;
              grp_index: number;
              batch: number;
              batch_index: number;
            }
          | undefined;
        if (row === undefined) throw missingStatement(id);
        const stored = committer.storedReceipt(keyId, row);
        return [{ statement: row.hash, stored, ...placeNow(row.batch, row.batch_index) }];
      });
    },

    closeDue: (nowUs: number, all: boolean): number[] => batches.closeDue(nowUs, all),
    sealing: (): SealingBatch[] => batches.sealing(),
    freeze: (batch: number, nowUs: number): SealingBatch => batches.freeze(batch, nowUs),
    appendLog: (batch: number, sealed: SealedDataset): LogHead => batches.appendLog(batch, sealed),
    logHead: (batch: number): LogHead => batches.logHead(batch),
    markSealed: (batch: number): void => batches.markSealed(batch),
    markRemoved: (batch: number, nowUs: number): void => batches.markRemoved(batch, nowUs),
    dateForged: (nowUs: number): void => batches.dateForged(nowUs),
    clockMemory: () => batches.clockMemory(),
    keepClockDoubt: (doubtedMs: number): void => batches.keepClockDoubt(doubtedMs),
    /** Key ids are what entries name; whoever reads a dataset needs their keys. */
    didsOf: (batch: number): Record<string, string> =>
      Object.fromEntries(
        batches
          .devicesOf(batch)
          .flatMap((id) => devices.get(id) ?? [])
          .map((device) => [toHex(device.keyId), device.did]),
      ),

    ...forgeDatasetOperations(db),
    ...journal,
    ...lazaiJournalOperations(db, journal),
    ...relayOperations(db),
    ...deviceProofOperations(db),
    ...withdrawalOperations(db, deps.dataFolder),
  };
}

export type LedgerOperations = ReturnType<typeof ledgerOperations>;
