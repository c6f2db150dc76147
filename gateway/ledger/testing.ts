import { rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import {
  encodeEnvelope,
  encodeFrame,
  encodeStatement,
  FRAME_FORMAT,
  type KeyType,
  keyId,
  LOCAL_REALM,
  leafHash,
  sha256,
  treeRoot,
} from '@waystone/proto';
import Database from 'better-sqlite3';
import { type TestKey, testKeyNamed } from '../../proto/test-data/test-signer.js';
import { batchFile, readBatchFile } from '../core/batch-file.js';
import type { SessionLimits } from '../core/config.js';
import { GatewayKey } from '../core/gateway-key.js';
import { unpackDecisions } from '../core/packed.js';
import type { BatchRow, Decision, VerifiedBatch } from '../core/ports.js';
import { ReceiptMaker } from '../core/receipt-maker.js';
import type { Refusal } from '../core/refusal.js';
import { BatchFiles } from './batch-files.js';
import { type BatchLimits, BatchTable } from './batches.js';
import { Committer } from './committer.js';
import { Counters } from './counters.js';
import { DeviceTable } from './devices.js';
import { GroupWriter } from './group-writer.js';
import { loadIdentity } from './identity.js';
import { ledgerOperations } from './operations.js';
import { Pruner, type SettledBy } from './pruning.js';
import { RANGE_LIMITS, type RangeLimits, RangeTable } from './ranges.js';
import { REDO_FILE } from './redo-file.js';
import { prepareLedger } from './schema.js';
import { UnsyncedTable } from './unsynced.js';

export const GATEWAY = new GatewayKey(testKeyNamed('secp256k1', 'ledger gateway').privateKey);

/** Batches that close only when a test wants it. */
export const BATCH_LIMITS: BatchLimits = {
  entriesMax: 1000,
  bytesMax: 2 ** 30,
  ageSecondsMax: 600,
  entriesMin: 1,
  bytesMin: 1,
  quietAgeSecondsMax: 3600,
};

/** The defaults of a gateway. */
export const SESSION_LIMITS: SessionLimits = {
  newPerDayMax: 288,
  newBurstMax: 1000,
  closedKept: 16,
};

/** One verified envelope for {@link TestLedger.commit}. */
export interface TestItem {
  readonly device: number;
  readonly payload: Uint8Array;
  readonly receivedAtUs?: number;
  readonly clockTrusted?: boolean;
  readonly refusal?: Refusal | null;
}

/** A key whose signatures are made at once and are none: the ledger does not look at them. */
export function quickKey(type: KeyType, label: string): TestKey {
  return { ...testKeyNamed(type, label), sign: () => new Uint8Array(64).fill(1) };
}

/** A signed envelope of small frames, with the same bytes every time. */
export function makeEnvelope(
  key: TestKey,
  place: { session: string; first: number; count?: number; stream?: number; salt?: number },
): Uint8Array {
  const { session, first, count = 1, stream = 1, salt = 1 } = place;
  const frames = Array.from({ length: count }, (_, k) =>
    encodeFrame({ salt: new Uint8Array(16).fill(salt), timeUs: first + k + 1 }),
  );
  const statement = encodeStatement({
    realm: LOCAL_REALM,
    device: keyId(key.publicKey),
    session: Buffer.from(session, 'hex'),
    stream,
    format: FRAME_FORMAT,
    timeBase: 0,
    flags: 0,
    firstSequence: first,
    count,
    minTimeUs: first + 1,
    maxTimeUs: first + count,
    framesRoot: treeRoot(frames.map(leafHash)),
    previous: new Uint8Array(32),
  });
  return encodeEnvelope(statement, key.sign(statement), frames);
}

/** The ledger's tables on a real file, put together and committed as the ledger's thread does it. */
export class TestLedger {
  readonly db: Database.Database;
  readonly files: BatchFiles;
  readonly devices: DeviceTable;
  readonly batches: BatchTable;
  readonly counters: Counters;
  readonly ranges: RangeTable;
  readonly committer: Committer;
  readonly pruner: Pruner;
  readonly writer: GroupWriter;
  readonly logId: Uint8Array;
  readonly calls: ReturnType<typeof ledgerOperations>;
  readonly #dataFolder: string;
  #lastTicket = 0;

  constructor(
    file: string,
    limits: Partial<BatchLimits> = {},
    logHeadFile = `${file}.head`,
    options: {
      sessions?: Partial<SessionLimits>;
      settledBy?: SettledBy;
      ranges?: Partial<RangeLimits>;
    } = {},
  ) {
    this.db = new Database(file);
    // A database in memory still has batch files.
    const dataFolder = dirname(file === ':memory:' ? logHeadFile : file);
    this.#dataFolder = dataFolder;
    // So does it have a redo file, of which nothing outlives it.
    if (file === ':memory:') rmSync(join(dataFolder, REDO_FILE), { force: true });
    prepareLedger(this.db, dataFolder);
    this.files = new BatchFiles(dataFolder, new UnsyncedTable(this.db));
    this.logId = loadIdentity(this.db, { gateway: GATEWAY, logHeadFile }).logId;
    this.ranges = new RangeTable(this.db, { ...RANGE_LIMITS, ...options.ranges });
    this.devices = new DeviceTable(
      this.db,
      { ...SESSION_LIMITS, ...options.sessions },
      { ranges: this.ranges },
    );
    this.batches = new BatchTable(this.db, {
      limits: { ...BATCH_LIMITS, ...limits },
      gatewayId: GATEWAY.id,
      logId: this.logId,
      files: this.files,
    });
    this.files.reconcile(this.batches.unsealed());
    this.counters = new Counters(this.db);
    this.committer = new Committer(this.db, {
      devices: this.devices,
      batches: this.batches,
      counters: this.counters,
      ranges: this.ranges,
      receiptMaker: new ReceiptMaker(GATEWAY, this.logId),
    });
    const { devices, batches, ranges, counters, committer, files } = this;
    this.writer = new GroupWriter(
      this.db,
      { dataFolder, logId: this.logId },
      { devices, batches, ranges, counters, committer, files },
    );
    const settledBy = options.settledBy ?? 'sealed';
    this.pruner = new Pruner(
      this.db,
      { settledBy },
      { devices: this.devices, counters: this.counters, ranges: this.ranges },
    );
    this.calls = ledgerOperations({
      db: this.db,
      devices: this.devices,
      batches: this.batches,
      committer: this.committer,
      counters: this.counters,
      ranges: this.ranges,
      logId: this.logId,
      dataFolder,
    });
  }

  /** One commit group; `inside` runs in its transaction after the envelopes, `before` before them. */
  commit(
    items: readonly TestItem[],
    inside: () => void = () => {},
    before: () => void = () => {},
  ): Decision[] {
    const batch = packed(items, () => ++this.#lastTicket);
    const judged = this.writer.commit([batch], inside, before);
    return unpackDecisions(this.committer.decisions(judged));
  }

  /** Whether {@link defer} may take the group. */
  mayDefer(items: readonly TestItem[]): boolean {
    return this.writer.mayDefer([packed(items, () => 0)]);
  }

  /** One commit group whose rows wait for a later transaction. */
  defer(items: readonly TestItem[]): Decision[] {
    const batch = packed(items, () => ++this.#lastTicket);
    if (!this.writer.mayDefer([batch])) throw new Error('the group may not be deferred');
    return unpackDecisions(this.committer.decisions(this.writer.defer([batch])));
  }

  /** Closes every open batch and takes it through the steps of sealing, with a root of its own. */
  sealAll(nowUs: number): void {
    this.commit([], () => this.calls.closeDue(nowUs, true));
    for (const { id } of this.calls.sealing()) {
      this.commit([], () => {
        this.calls.freeze(id, nowUs);
        const root = sha256(Buffer.from(`root of batch ${id}`));
        this.calls.appendLog(id, {
          root,
          count: 1,
          manifestHash: root,
          minTimeUs: 1,
          maxTimeUs: 2,
        });
        this.calls.markSealed(id);
      });
    }
  }

  /** Prunes, a step in a commit group, until nothing is left to be pruned. @returns rows taken away. */
  pruneAll(nowUs: number): number {
    let rows = 0;
    for (let before = -1; before !== rows; ) {
      before = rows;
      this.commit([], () => {
        this.counters.write();
        rows += this.pruner.step(nowUs);
      });
    }
    return rows;
  }

  /** As when the process dies: nothing that is only in memory is written. */
  crash(): void {
    if (!this.db.open) return;
    this.db.close();
    this.writer.close();
    this.files.close();
  }

  /** Entries and frames of an unsealed batch, from its file. */
  batchRows(batch: number): BatchRow[] {
    const extent = this.batches.unsealed().find(({ id }) => id === batch);
    if (extent === undefined) throw new Error(`batch ${batch} is not unsealed`);
    return [...readBatchFile(batchFile(this.#dataFolder, batch), extent)];
  }

  rows<T>(sql: string, ...parameters: unknown[]): T[] {
    return this.db.prepare(sql).all(...parameters) as T[];
  }
}

function packed(items: readonly TestItem[], nextTicket: () => number): VerifiedBatch {
  const bytes = new Uint8Array(items.reduce((sum, { payload }) => sum + payload.length, 0));
  let offset = 0;
  return {
    buffer: bytes.buffer,
    items: items.map((item) => {
      bytes.set(item.payload, offset);
      const placed = {
        ticket: nextTicket(),
        device: item.device,
        offset,
        length: item.payload.length,
        receivedAtUs: item.receivedAtUs ?? 1_800_000_000_000_000,
        clockTrusted: item.clockTrusted ?? true,
        refusal: item.refusal ?? null,
      };
      offset += item.payload.length;
      return placed;
    }),
  };
}

/** Numbers from 0 to below 1 that follow from the seed (mulberry32). */
export function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Makes the tables those of schema version 6, which knew no LazAI. */
export function withoutLazai(db: Database.Database): void {
  db.exec(
    `DELETE FROM meta WHERE key = 'redo_epoch';
     DROP TABLE withdrawals; ALTER TABLE batches DROP COLUMN inspected_at_us;
     DROP TABLE device_proofs; DROP TABLE lazai_file; DROP TABLE lazai_pin; DROP TABLE lazai_spend; DROP INDEX chain_intent_by_dataset;
     PRAGMA user_version = 6`,
  );
}

/** Makes the tables those of schema version 4, which wrote every statement into an index at once. */
export function withoutRanges(db: Database.Database): void {
  withoutLazai(db);
  db.exec(
    `CREATE UNIQUE INDEX statements_by_range ON statements (session, stream, first);
     DROP TABLE ranges; DELETE FROM meta WHERE key = 'ranges_upto'; DROP TABLE unsynced;
     PRAGMA user_version = 4`,
  );
}

/** Makes the tables those of schema version 3, which kept every session. */
export function withoutSessionPruning(db: Database.Database): void {
  withoutRanges(db);
  db.exec(
    `DROP INDEX sessions_open; DROP INDEX sessions_kept; DROP INDEX sessions_prunable;
     ALTER TABLE sessions DROP COLUMN prune_after; DROP TABLE pruned_sessions;
     ALTER TABLE devices DROP COLUMN sessions_whole_at_us;
     ALTER TABLE devices DROP COLUMN pruned_sessions;
     PRAGMA user_version = 3`,
  );
}
