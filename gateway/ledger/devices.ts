import { fromHex, keyFromDid, keyId, parseDid } from '@waystone/proto';
import type Database from 'better-sqlite3';
import type { SessionLimits } from '../core/config.js';
import { compactDevice } from '../core/device-record.js';
import { WaystoneError } from '../core/errors.js';
import type { DeviceRecord } from '../core/ports.js';
import type { RangeTable } from './ranges.js';
import { SessionAllowance } from './session-allowance.js';
import { sessionMark } from './session-mark.js';

/**
 * Sessions of one device that may be open at once; a further one closes the oldest. As many as a hello may
 * name, and the one that it is for.
 */
export const OPEN_SESSIONS_MAX = 65;

/** Sessions that one closing hands over to be pruned; more than a closing adds, so that none are left behind. */
const HANDED_OVER_MAX = 256;

/** How long a device that was told to wait may take to say hello again, and how many such are remembered. */
const TOLD_TO_WAIT_US = 3_600_000_000;
const TOLD_TO_WAIT_MAX = 10_000;

/** When an envelope whose session is still to be opened may come again. */
const RETRY_US = 60_000_000;

/** Why a session is not entered. */
export type SessionFault = 'LOGIN_REPLAYED' | 'SESSION_CLOSED' | 'SESSIONS_TOO_MANY';

export interface SessionRecord {
  readonly id: number;
  closed: boolean;
  counter: number;
}

interface OpenSession {
  readonly id: number;
  readonly session: string;
}

interface DeviceRow {
  id: number;
  did: string;
  key_id: Uint8Array;
  revoked_at_us: number | null;
}

/** Enrolled devices and their sessions, with what the committer asks for often kept in memory. */
export class DeviceTable {
  readonly #db: Database.Database;
  readonly #ranges: RangeTable;
  readonly #byId = new Map<number, DeviceRecord>();
  readonly #byDid = new Map<string, DeviceRecord>();
  readonly #sessions = new Map<string, SessionRecord>();
  /** Until when, µs, what a device brings of unknown sessions is not refused for good: its hello is to come again. */
  readonly #toldToWait = new Map<number, number>();
  readonly #closedKept: number;
  readonly #allowance: SessionAllowance;
  readonly #find: Database.Statement;
  readonly #findMark: Database.Statement;
  readonly #insert: Database.Statement;
  readonly #setCounter: Database.Statement;
  readonly #findOpen: Database.Statement;
  readonly #countOpen: Database.Statement;
  readonly #setClosed: Database.Statement;
  readonly #findBeyondKept: Database.Statement;
  readonly #setPrunable: Database.Statement;

  constructor(db: Database.Database, limits: SessionLimits, deps: { readonly ranges: RangeTable }) {
    this.#db = db;
    this.#ranges = deps.ranges;
    this.#closedKept = limits.closedKept;
    this.#allowance = new SessionAllowance(db, limits);
    this.#find = db.prepare(
      'SELECT id, closed_at_us, counter FROM sessions WHERE device = ? AND session = ?',
    );
    this.#findMark = db.prepare('SELECT 1 FROM pruned_sessions WHERE device = ? AND mark = ?');
    this.#insert = db.prepare(
      'INSERT INTO sessions (device, session, opened_at_us, counter) VALUES (?, ?, ?, ?)',
    );
    this.#setCounter = db.prepare('UPDATE sessions SET counter = ? WHERE id = ?');
    this.#findOpen = db.prepare(
      `SELECT id, session FROM sessions WHERE device = ? AND closed_at_us IS NULL
       ORDER BY id LIMIT ?`,
    );
    this.#countOpen = db
      .prepare('SELECT COUNT(*) FROM sessions WHERE device = ? AND closed_at_us IS NULL')
      .pluck();
    // Closing times rise within a device, whatever the clock does: they are what orders its sessions.
    this.#setClosed = db.prepare(
      `UPDATE sessions SET closed_at_us = MAX(@nowUs, COALESCE((
         SELECT MAX(closed_at_us) + 1 FROM sessions
         WHERE device = @device AND closed_at_us IS NOT NULL AND prune_after IS NULL), 0))
       WHERE id = @id`,
    );
    this.#findBeyondKept = db
      .prepare(
        `SELECT id FROM sessions WHERE device = ? AND closed_at_us IS NOT NULL AND prune_after IS NULL
         ORDER BY closed_at_us DESC, id DESC LIMIT ${HANDED_OVER_MAX} OFFSET ?`,
      )
      .pluck();
    // All statements of a closed session are in batches that exist by now.
    this.#setPrunable = db.prepare(
      `UPDATE sessions SET prune_after = CASE @hasStatements
         WHEN 1 THEN (SELECT MAX(id) FROM batches) ELSE 0 END
       WHERE id = @id`,
    );
    this.reload();
  }

  /** Takes everything from the tables again: at start, and after a transaction was undone. */
  reload(): void {
    this.#byId.clear();
    this.#byDid.clear();
    this.#sessions.clear();
    const rows = this.#db.prepare('SELECT id, did, key_id, revoked_at_us FROM devices').all();
    for (const row of rows as DeviceRow[]) this.#know(toRecord(row));
  }

  get(id: number): DeviceRecord | undefined {
    return this.#byId.get(id);
  }

  all(): DeviceRecord[] {
    return [...this.#byId.values()];
  }

  /** @throws WaystoneError DID_INVALID or DEVICE_EXISTS. */
  enrol(did: string, label: string, nowUs: number): DeviceRecord {
    const key = parseDid(did);
    if (key === null) {
      throw new WaystoneError(
        'DID_INVALID',
        `${JSON.stringify(did.slice(0, 80))} is not the did:key of a secp256k1, P-256 or Ed25519 key`,
      );
    }
    if (this.#byDid.has(did)) {
      throw new WaystoneError('DEVICE_EXISTS', `device ${did} is already enrolled`);
    }
    const { lastInsertRowid } = this.#db
      .prepare('INSERT INTO devices (did, key_id, label, enrolled_at_us) VALUES (?, ?, ?, ?)')
      .run(did, keyId(key), label, nowUs);
    const record = toRecord({
      id: Number(lastInsertRowid),
      did,
      key_id: keyId(key),
      revoked_at_us: null,
    });
    this.#know(record);
    return record;
  }

  /** Revoking twice keeps the first time and reason. @throws WaystoneError DEVICE_UNKNOWN. */
  revoke(did: string, reason: string, nowUs: number): DeviceRecord {
    const known = this.#byDid.get(did);
    if (known === undefined) {
      throw new WaystoneError('DEVICE_UNKNOWN', `device ${did} is not enrolled`);
    }
    if (known.revokedAtUs !== null) return known;
    this.#db
      .prepare('UPDATE devices SET revoked_at_us = ?, revoke_reason = ? WHERE id = ?')
      .run(nowUs, reason, known.id);
    const record = { ...known, revokedAtUs: nowUs };
    this.#know(record);
    return record;
  }

  /** The session, or null when no login or hello of this device ever named it, or it was pruned. */
  session(device: number, session: string): SessionRecord | null {
    const name = `${device}:${session}`;
    const known = this.#sessions.get(name);
    if (known !== undefined) return known;
    const row = this.#find.get(device, fromHex(session)) as
      | { id: number; closed_at_us: number | null; counter: number }
      | undefined;
    if (row === undefined) return null;
    const record = { id: row.id, closed: row.closed_at_us !== null, counter: row.counter };
    this.#remember(name, record);
    return record;
  }

  /** Whether the session was closed and has since been pruned: it stays refused for ever. */
  isPruned(device: number, session: string): boolean {
    return this.#findMark.get(device, sessionMark(session)) !== undefined;
  }

  /**
   * µs for which an envelope of a session that is not known is to wait, since the device may not open it now or was
   * told so lately; 0 when it is refused.
   */
  waitForSession(device: number, nowUs: number): number {
    const waitUs = this.#allowance.wait(device, 1, nowUs);
    if (waitUs > 0) return waitUs;
    return nowUs < (this.#toldToWait.get(device) ?? 0) ? RETRY_US : 0;
  }

  /**
   * Opens the session, or takes a further login or hello of it. The counter must rise, so that neither can be
   * replayed.
   *
   * @returns why not, or null.
   */
  enter(device: number, session: string, counter: number, nowUs: number): SessionFault | null {
    const fault = this.#faultOf(device, session, counter);
    if (fault !== null) return fault;
    if (this.#mayBeNew(device, session) && this.#mustWait(device, 1, nowUs)) {
      return 'SESSIONS_TOO_MANY';
    }
    this.#enter(device, session, counter, nowUs);
    return null;
  }

  /**
   * Takes a hello: enters its session, closes every other one that it does not name, and opens those that it names
   * and that are new, since a device that starts anew without a login may still bring envelopes of the sessions that
   * it queued. All or nothing: what a hello names must not be refused for good because of how much it names.
   *
   * @returns why not, or null.
   */
  hello(
    device: number,
    session: string,
    counter: number,
    queued: readonly string[],
    nowUs: number,
  ): SessionFault | null {
    const fault = this.#faultOf(device, session, counter);
    if (fault !== null) return fault;
    const fresh = new Set([session, ...queued].filter((name) => this.#mayBeNew(device, name)));
    if (fresh.size > 0 && this.#mustWait(device, fresh.size, nowUs)) return 'SESSIONS_TOO_MANY';
    this.#toldToWait.delete(device);
    this.#enter(device, session, counter, nowUs);
    // First, so that no session that it names has to make room for another one.
    this.#closeOthers(device, new Set([session, ...queued]), nowUs);
    for (const name of fresh) if (name !== session) this.#enter(device, name, 0, nowUs);
    return null;
  }

  /** A session was pruned. */
  forget(device: number, session: string): void {
    this.#sessions.delete(`${device}:${session}`);
  }

  /** Why a login or hello of this session is never taken. */
  #faultOf(device: number, session: string, counter: number): SessionFault | null {
    const known = this.session(device, session);
    if (known === null) return this.isPruned(device, session) ? 'SESSION_CLOSED' : null;
    if (known.closed) return 'SESSION_CLOSED';
    return counter <= known.counter ? 'LOGIN_REPLAYED' : null;
  }

  #mustWait(device: number, sessions: number, nowUs: number): boolean {
    const waitUs = this.#allowance.wait(device, sessions, nowUs);
    if (waitUs === 0) return false;
    this.#toldToWait.delete(device);
    if (this.#toldToWait.size >= TOLD_TO_WAIT_MAX) {
      const oldest = this.#toldToWait.keys().next().value;
      if (oldest !== undefined) this.#toldToWait.delete(oldest);
    }
    this.#toldToWait.set(device, nowUs + waitUs + TOLD_TO_WAIT_US);
    return true;
  }

  #mayBeNew(device: number, session: string): boolean {
    return this.session(device, session) === null && !this.isPruned(device, session);
  }

  /** After {@link #faultOf} and the allowance had nothing against it. */
  #enter(device: number, session: string, counter: number, nowUs: number): void {
    const known = this.session(device, session);
    if (known !== null) {
      this.#setCounter.run(counter, known.id);
      known.counter = counter;
      return;
    }
    this.#allowance.take(device, 1, nowUs);
    const { lastInsertRowid } = this.#insert.run(device, fromHex(session), nowUs, counter);
    this.#remember(`${device}:${session}`, {
      id: Number(lastInsertRowid),
      closed: false,
      counter,
    });
    const open = this.#countOpen.get(device) as number;
    if (open > OPEN_SESSIONS_MAX) {
      this.#close(device, this.#openSessions(device, open - OPEN_SESSIONS_MAX), nowUs);
    }
  }

  #closeOthers(device: number, kept: ReadonlySet<string>, nowUs: number): void {
    const others = this.#openSessions(device).filter(({ session }) => !kept.has(session));
    this.#close(device, others, nowUs);
  }

  /** Oldest first. */
  #openSessions(device: number, limit = -1): OpenSession[] {
    const rows = this.#findOpen.all(device, limit) as { id: number; session: Buffer }[];
    return rows.map((row) => ({ id: row.id, session: row.session.toString('hex') }));
  }

  /** Closes sessions, and hands over to the pruner what is then more than the device keeps. */
  #close(device: number, sessions: readonly OpenSession[], nowUs: number): void {
    if (sessions.length === 0) return;
    for (const { id, session } of sessions) {
      this.#setClosed.run({ id, device, nowUs });
      const known = this.#sessions.get(`${device}:${session}`);
      if (known !== undefined) known.closed = true;
    }
    for (const id of this.#findBeyondKept.all(device, this.#closedKept) as number[]) {
      this.#setPrunable.run({ id, hasStatements: this.#ranges.has(id) ? 1 : 0 });
    }
  }

  #know(record: DeviceRecord): void {
    this.#byId.set(record.id, record);
    this.#byDid.set(record.did, record);
  }

  /** Bounded: what falls out is read again from the table. */
  #remember(name: string, record: SessionRecord): void {
    if (this.#sessions.size >= SESSIONS_IN_MEMORY_MAX) {
      const oldest = this.#sessions.keys().next().value;
      if (oldest !== undefined) this.#sessions.delete(oldest);
    }
    this.#sessions.set(name, record);
  }
}

const SESSIONS_IN_MEMORY_MAX = 20_000;

function toRecord(row: DeviceRow): DeviceRecord {
  return compactDevice({
    id: row.id,
    did: row.did,
    keyId: row.key_id,
    publicKey: keyFromDid(row.did),
    revokedAtUs: row.revoked_at_us,
  });
}
