import { fromHex, keyFromDid, keyId, parseDid } from '@waystone/proto';
import type Database from 'better-sqlite3';
import { WaystoneError } from '../core/errors.js';
import type { DeviceRecord } from '../core/ports.js';

/**
 * Sessions of one device that may be open at once; a further one closes the oldest. As many as a hello may
 * name, and the one that it is for.
 */
export const OPEN_SESSIONS_MAX = 65;

export interface SessionRecord {
  readonly id: number;
  closed: boolean;
  counter: number;
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
  readonly #byId = new Map<number, DeviceRecord>();
  readonly #sessions = new Map<string, SessionRecord>();

  constructor(db: Database.Database) {
    this.#db = db;
    this.reload();
  }

  /** Takes everything from the tables again: at start, and after a transaction was undone. */
  reload(): void {
    this.#byId.clear();
    this.#sessions.clear();
    const rows = this.#db.prepare('SELECT id, did, key_id, revoked_at_us FROM devices').all();
    for (const row of rows as DeviceRow[]) this.#byId.set(row.id, toRecord(row));
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
    if (this.#byDid(did) !== undefined) {
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
    this.#byId.set(record.id, record);
    return record;
  }

  /** Revoking twice keeps the first time and reason. @throws WaystoneError DEVICE_UNKNOWN. */
  revoke(did: string, reason: string, nowUs: number): DeviceRecord {
    const known = this.#byDid(did);
    if (known === undefined) {
      throw new WaystoneError('DEVICE_UNKNOWN', `device ${did} is not enrolled`);
    }
    if (known.revokedAtUs !== null) return known;
    this.#db
      .prepare('UPDATE devices SET revoked_at_us = ?, revoke_reason = ? WHERE id = ?')
      .run(nowUs, reason, known.id);
    const record = { ...known, revokedAtUs: nowUs };
    this.#byId.set(record.id, record);
    return record;
  }

  /** The session, or null when no login or hello of this device ever named it. */
  session(device: number, session: string): SessionRecord | null {
    const name = `${device}:${session}`;
    const known = this.#sessions.get(name);
    if (known !== undefined) return known;
    const row = this.#db
      .prepare('SELECT id, closed_at_us, counter FROM sessions WHERE device = ? AND session = ?')
      .get(device, fromHex(session)) as
      | { id: number; closed_at_us: number | null; counter: number }
      | undefined;
    if (row === undefined) return null;
    const record = { id: row.id, closed: row.closed_at_us !== null, counter: row.counter };
    this.#remember(name, record);
    return record;
  }

  /**
   * Opens the session, or takes a further login or hello of it. The counter must rise, so that neither can be
   * replayed.
   *
   * @returns why not, or null.
   */
  enter(
    device: number,
    session: string,
    counter: number,
    nowUs: number,
  ): 'LOGIN_REPLAYED' | 'SESSION_CLOSED' | null {
    const known = this.session(device, session);
    if (known !== null) {
      if (known.closed) return 'SESSION_CLOSED';
      if (counter <= known.counter) return 'LOGIN_REPLAYED';
      this.#db.prepare('UPDATE sessions SET counter = ? WHERE id = ?').run(counter, known.id);
      known.counter = counter;
      return null;
    }
    const { lastInsertRowid } = this.#db
      .prepare('INSERT INTO sessions (device, session, opened_at_us, counter) VALUES (?, ?, ?, ?)')
      .run(device, fromHex(session), nowUs, counter);
    this.#remember(`${device}:${session}`, {
      id: Number(lastInsertRowid),
      closed: false,
      counter,
    });
    this.#closeOldest(device, nowUs);
    return null;
  }

  /** Closes every open session of the device but those in `keep`. */
  closeOthers(device: number, keep: readonly string[], nowUs: number): void {
    const kept = new Set(keep);
    for (const { id, session } of this.#openSessions(device)) {
      if (!kept.has(session)) this.#close(device, id, session, nowUs);
    }
  }

  #openSessions(device: number): { id: number; session: string }[] {
    const rows = this.#db
      .prepare(
        'SELECT id, session FROM sessions WHERE device = ? AND closed_at_us IS NULL ORDER BY id',
      )
      .all(device) as { id: number; session: Buffer }[];
    return rows.map((row) => ({ id: row.id, session: row.session.toString('hex') }));
  }

  #closeOldest(device: number, nowUs: number): void {
    const open = this.#openSessions(device);
    for (const { id, session } of open.slice(0, Math.max(0, open.length - OPEN_SESSIONS_MAX))) {
      this.#close(device, id, session, nowUs);
    }
  }

  #close(device: number, id: number, session: string, nowUs: number): void {
    this.#db.prepare('UPDATE sessions SET closed_at_us = ? WHERE id = ?').run(nowUs, id);
    const known = this.#sessions.get(`${device}:${session}`);
    if (known !== undefined) known.closed = true;
  }

  #byDid(did: string): DeviceRecord | undefined {
    for (const record of this.#byId.values()) if (record.did === did) return record;
    return undefined;
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
  return {
    id: row.id,
    did: row.did,
    keyId: new Uint8Array(row.key_id),
    publicKey: keyFromDid(row.did),
    revokedAtUs: row.revoked_at_us,
  };
}
