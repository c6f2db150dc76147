import { fromHex, toHex } from '@waystone/proto';
import type Database from 'better-sqlite3';
import type { BatchState, DatStatus, DeviceStatus, RefusalRow } from '../core/view.js';
import type { OffenceCode, Withdrawal } from '../core/withdrawal.js';
import { diskQueries } from './disk-queries.js';
import { STATEMENT_AT_OR_BEFORE } from './ranges.js';
import { receiptQueries } from './receipt-queries.js';
import { sessionMark } from './session-mark.js';
import { entryPlaces, unpackOffenders } from './withdrawals.js';

/** Gaps shown per device. */
const GAPS_MAX = 20;

/** Sessions of a device, the newest, whose gaps are shown. */
const SESSIONS_WITH_GAPS = 4;

/** A batch as the ledger knows it; what it waits for is known elsewhere. */
export interface BatchRecord {
  readonly id: number;
  readonly state: BatchState;
  readonly dueWhy: string | null;
  readonly stream: number;
  readonly challengeable: boolean;
  readonly entries: number;
  readonly frames: number;
  readonly bytes: number;
  readonly devices: number;
  readonly openedAtUs: number;
  readonly lastReceivedAtUs: number;
  readonly sealedAtUs: number | null;
  readonly logId: string | null;
  readonly logIndex: number | null;
  readonly root: string | null;
  readonly manifestHash: string | null;
  readonly dat: DatStatus | null;
  /** When retention removed its files, µs. */
  readonly removedAtUs: number | null;
  readonly withdrawal: Withdrawal | null;
}

/** Where a frame is. */
export interface FrameLocation {
  readonly batch: number;
  readonly batchIndex: number;
  readonly state: BatchState;
  readonly root: string | null;
}

interface BatchTableRow {
  id: number;
  state: string;
  due_why: string | null;
  stream: number;
  challengeable: number;
  entries: number;
  frames: number;
  bytes: number;
  opened_at_us: number;
  last_received_at_us: number;
  sealed_at_us: number | null;
  log_id: Buffer | null;
  log_index: number | null;
  root: Buffer | null;
  manifest_hash: Buffer | null;
  token: string | null;
  removed_at_us: number | null;
}

/** A device as the ledger knows it. */
export type DeviceRow = Omit<DeviceStatus, 'keyType' | 'connected'> & { readonly id: number };

interface DeviceTableRow {
  id: number;
  did: string;
  label: string;
  enrolled_at_us: number;
  revoked_at_us: number | null;
  last_seen_us: number | null;
  envelopes: number;
  frames: number;
  refused: number;
  sessions: number;
}

const DEVICE_ROWS = `SELECT devices.*,
  pruned_sessions + (SELECT COUNT(*) FROM sessions WHERE device = devices.id) AS sessions FROM devices`;

/** Reads for the answers, on a read-only connection of their own with short transactions. */
export function ledgerQueries(db: Database.Database) {
  const placeNow = entryPlaces(db);
  const findWithdrawal = db.prepare(
    `SELECT at_us, offenders, successor, batches.root FROM withdrawals
     LEFT JOIN batches ON batches.id = successor WHERE batch = ?`,
  );
  const withdrawalOf = (batch: number): Withdrawal | null => {
    const row = findWithdrawal.get(batch) as
      | { at_us: number; offenders: Buffer; successor: number | null; root: Buffer | null }
      | undefined;
    if (row === undefined) return null;
    const reasons: Partial<Record<OffenceCode, number>> = {};
    for (const { code } of unpackOffenders(row.offenders)) reasons[code] = (reasons[code] ?? 0) + 1;
    const successorRoot = row.root === null ? null : toHex(row.root);
    return { atUs: row.at_us, reasons, successor: row.successor, successorRoot };
  };

  const toBatch = (row: BatchTableRow): BatchRecord => ({
    id: row.id,
    state: shownState(row.state),
    dueWhy: row.due_why,
    stream: row.stream,
    challengeable: row.challengeable === 1,
    entries: row.entries,
    frames: row.frames,
    bytes: row.bytes,
    devices: db
      .prepare('SELECT COUNT(*) FROM batch_devices WHERE batch = ?')
      .pluck()
      .get(row.id) as number,
    openedAtUs: row.opened_at_us,
    lastReceivedAtUs: row.last_received_at_us,
    sealedAtUs: row.sealed_at_us,
    logId: row.log_id === null ? null : toHex(row.log_id),
    logIndex: row.log_index,
    root: row.root === null ? null : toHex(row.root),
    manifestHash: row.manifest_hash === null ? null : toHex(row.manifest_hash),
    dat: row.token === null ? null : readToken(row.token),
    removedAtUs: row.removed_at_us,
    withdrawal: row.state === 'withdrawn' ? withdrawalOf(row.id) : null,
  });

  const toDevice = (value: unknown): DeviceRow => {
    const row = value as DeviceTableRow;
    return {
      id: row.id,
      did: row.did,
      label: row.label,
      enrolledAtUs: row.enrolled_at_us,
      revokedAtUs: row.revoked_at_us,
      lastSeenUs: row.last_seen_us,
      envelopes: row.envelopes,
      frames: row.frames,
      refused: row.refused,
      sessions: row.sessions,
      gaps: gapsOf(db, row.id),
    };
  };

  return {
    /** In the order in which they were enrolled, behind the one named by `after`. */
    devices: (limit: number, after: number): DeviceRow[] =>
      db.prepare(`${DEVICE_ROWS} WHERE id > ? ORDER BY id LIMIT ?`).all(after, limit).map(toDevice),

    deviceId: (did: string): number | null =>
      (db.prepare('SELECT id FROM devices WHERE did = ?').pluck().get(did) as number | undefined) ??
      null,

    device: (did: string): DeviceRow | null => {
      const row = db.prepare(`${DEVICE_ROWS} WHERE did = ?`).get(did);
      return row === undefined ? null : toDevice(row);
    },

    batches: (limit: number): BatchRecord[] => {
      const rows = db
        .prepare('SELECT * FROM batches WHERE id < ? ORDER BY id DESC LIMIT ?')
        .all(Number.MAX_SAFE_INTEGER, limit);
      return (rows as BatchTableRow[]).map(toBatch);
    },

    batch: (id: number): BatchRecord | null => {
      const row = db.prepare('SELECT * FROM batches WHERE id = ?').get(id);
      return row === undefined ? null : toBatch(row as BatchTableRow);
    },

    datasets: (limit: number): BatchRecord[] => {
      const rows = db
        .prepare(
          // The plus: by number, and not by state and then sorted.
          `SELECT * FROM batches
           WHERE id < ? AND +state IN ('sealed', 'committed', 'forged', 'withdrawn')
           ORDER BY id DESC LIMIT ?`,
        )
        .all(Number.MAX_SAFE_INTEGER, limit);
      return (rows as BatchTableRow[]).map(toBatch);
    },

    dataset: (root: string): BatchRecord | null => {
      const row = db
        .prepare(
          `SELECT * FROM batches WHERE root = ? AND state IN ('sealed', 'committed', 'forged', 'withdrawn')`,
        )
        .get(fromHex(root));
      return row === undefined ? null : toBatch(row as BatchTableRow);
    },

    locate: (
      did: string,
      session: string,
      stream: number,
      sequence: number,
    ): FrameLocation | null => {
      const row = db
        .prepare(
          `SELECT s.last, s.batch, s.batch_index FROM devices d
           JOIN sessions ON sessions.device = d.id JOIN statements s ON s.id = ${STATEMENT_AT_OR_BEFORE}
           WHERE d.did = @did AND sessions.session = @session`,
        )
        .get({ did, session: fromHex(session), stream, sequence }) as
        | { last: number; batch: number; batch_index: number }
        | undefined;
      if (row === undefined || row.last < sequence) return null;
      const { batch, batchIndex } = placeNow(row.batch, row.batch_index);
      const at = db.prepare('SELECT state, root FROM batches WHERE id = ?').get(batch) as
        | { state: string; root: Buffer | null }
        | undefined;
      if (at === undefined) return null;
      const root = at.root === null ? null : toHex(at.root);
      return { batch, batchIndex, state: shownState(at.state), root };
    },

    /**
     * Where the statements of a pruned session may be: datasets with entries of the device in this stream, newest first.
     *
     * @returns null when the session was not pruned.
     */
    prunedDatasets: (
      did: string,
      session: string,
      stream: number,
      limit: number,
    ): { root: string; removedAtUs: number | null }[] | null => {
      const device = db.prepare('SELECT id FROM devices WHERE did = ?').pluck().get(did) as
        | number
        | undefined;
      if (device === undefined) return null;
      const isPruned = db
        .prepare(
          `SELECT EXISTS (SELECT 1 FROM pruned_sessions WHERE device = @device AND mark = @mark)
           OR EXISTS (SELECT 1 FROM sessions
             WHERE device = @device AND session = @session AND prune_after IS NOT NULL)`,
        )
        .pluck()
        .get({ device, mark: sessionMark(session), session: fromHex(session) });
      if (isPruned !== 1) return null;
      const rows = db
        .prepare(
          `SELECT root, removed_at_us FROM batches WHERE stream = ?
           AND state IN ('sealed', 'committed', 'forged', 'withdrawn')
           AND EXISTS (SELECT 1 FROM batch_devices WHERE batch = batches.id AND device = ?)
           ORDER BY id DESC LIMIT ?`,
        )
        .all(stream, device, limit) as { root: Buffer; removed_at_us: number | null }[];
      return rows.map((row) => ({ root: toHex(row.root), removedAtUs: row.removed_at_us }));
    },

    refusals: (limit: number): RefusalRow[] => {
      const rows = db
        .prepare(
          `SELECT at_us, devices.did AS did, code, statement, detail FROM refusals
           LEFT JOIN devices ON devices.id = refusals.device
           WHERE refusals.id < ? ORDER BY refusals.id DESC LIMIT ?`,
        )
        .all(Number.MAX_SAFE_INTEGER, limit) as {
        at_us: number;
        did: string | null;
        code: string;
        statement: Buffer;
        detail: string;
      }[];
      return rows.map((row) => ({
        atUs: row.at_us,
        did: row.did ?? '',
        code: row.code,
        statement: toHex(row.statement),
        detail: row.detail,
      }));
    },

    totals: () => {
      const counts = db
        .prepare(
          `SELECT COUNT(*) AS devices, COALESCE(SUM(envelopes), 0) AS envelopes,
           COALESCE(SUM(frames), 0) AS frames, COALESCE(SUM(refused), 0) AS refused FROM devices`,
        )
        .get() as { devices: number; envelopes: number; frames: number; refused: number };
      const states = db
        .prepare(
          `SELECT state, SUM(batches) AS count FROM batch_totals GROUP BY state
           UNION ALL SELECT 'open', COUNT(*) FROM batches WHERE state = 'open'`,
        )
        .all() as { state: string; count: number }[];
      const batches: Record<BatchState, number> = {
        open: 0,
        sealing: 0,
        sealed: 0,
        committed: 0,
        forged: 0,
        withdrawn: 0,
      };
      for (const { state, count } of states) batches[shownState(state)] += count;
      return { ...counts, batches };
    },

    ...diskQueries(db),
    ...receiptQueries(db),
  };
}

export type LedgerQueries = ReturnType<typeof ledgerQueries>;

/** The steps of sealing are one state for people. */
function shownState(state: string): BatchState {
  return state === 'due' || state === 'frozen' || state === 'logged'
    ? 'sealing'
    : (state as BatchState);
}

/** Sequences that are missing before stored ones of the device's newest sessions. */
function gapsOf(db: Database.Database, device: number): DeviceStatus['gaps'] {
  const rows = db
    .prepare(
      `SELECT hex(newest.session) AS session, stream, first, last FROM (
         SELECT id, session FROM sessions WHERE device = ? ORDER BY id DESC LIMIT ${SESSIONS_WITH_GAPS}
       ) AS newest JOIN gaps ON gaps.session = newest.id LIMIT ?`,
    )
    .all(device, GAPS_MAX) as { session: string; stream: number; first: number; last: number }[];
  return rows.map((row) => ({ ...row, session: row.session.toLowerCase() }));
}

/** A stored token. Those of earlier releases do not name their target; there was one. */
function readToken(text: string): DatStatus {
  const stored = JSON.parse(text) as Omit<DatStatus, 'target'> & Partial<Pick<DatStatus, 'target'>>;
  return { ...stored, target: stored.target ?? 'waystone' };
}
