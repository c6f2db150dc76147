import type Database from 'better-sqlite3';
import { WaystoneError } from '../core/errors.js';
import type { NewRelay, RelayRecord } from '../core/relay.js';

/** Relays of one gateway; each may hold a connection and is looked at on every start. */
export const RELAYS_MAX = 1_000;

/** Part of schema version 2. A relay logs in with its secret, or as the device that it is. */
export const RELAYS_DDL = `
CREATE TABLE relays (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  salt BLOB,
  secret_hash BLOB,
  device INTEGER UNIQUE REFERENCES devices,
  carries_all INTEGER NOT NULL,
  added_at_us INTEGER NOT NULL,
  CHECK ((device IS NULL) = (secret_hash IS NOT NULL) AND (device IS NULL) = (salt IS NOT NULL))
);

-- What a relay carries that does not carry all.
CREATE TABLE relay_devices (
  relay INTEGER NOT NULL REFERENCES relays,
  device INTEGER NOT NULL REFERENCES devices,
  PRIMARY KEY (relay, device)
) WITHOUT ROWID;
`;

interface RelayRow {
  id: number;
  name: string;
  salt: Buffer | null;
  secret_hash: Buffer | null;
  device: number | null;
  carries_all: number;
  added_at_us: number;
}

/** What the other threads may ask of the ledger about relays. */
export function relayOperations(db: Database.Database) {
  const toRecord = (value: unknown): RelayRecord => {
    const row = value as RelayRow;
    const devices =
      row.carries_all === 1
        ? null
        : db.prepare('SELECT device FROM relay_devices WHERE relay = ?').pluck().all(row.id);
    return {
      id: row.id,
      name: row.name,
      login:
        row.salt !== null && row.secret_hash !== null
          ? { salt: new Uint8Array(row.salt), hash: new Uint8Array(row.secret_hash) }
          : { device: row.device as number },
      devices: devices === null ? null : new Set(devices as number[]),
      addedAtUs: row.added_at_us,
    };
  };

  const find = (name: string): RelayRecord | null => {
    const row = db.prepare('SELECT * FROM relays WHERE name = ?').get(name);
    return row === undefined ? null : toRecord(row);
  };

  const known = (name: string): RelayRecord => {
    const relay = find(name);
    if (relay === null) throw new WaystoneError('RELAY_UNKNOWN', `there is no relay ${name}`);
    return relay;
  };

  /** @throws WaystoneError DEVICE_UNKNOWN. */
  const deviceId = (did: string): number => {
    const id = db.prepare('SELECT id FROM devices WHERE did = ?').pluck().get(did);
    if (id === undefined)
      throw new WaystoneError('DEVICE_UNKNOWN', `device ${did} is not enrolled`);
    return id as number;
  };

  const carry = (relay: number, devices: readonly string[] | null): void => {
    const insert = db.prepare('INSERT INTO relay_devices (relay, device) VALUES (?, ?)');
    for (const did of new Set(devices)) insert.run(relay, deviceId(did));
  };

  /** @throws WaystoneError RELAY_EXISTS, RELAY_LIMIT or DEVICE_UNKNOWN; then nothing of it is kept. */
  const addRelay = (relay: NewRelay, nowUs: number): RelayRecord => {
    const { name, login } = relay;
    if (find(name) !== null) {
      throw new WaystoneError('RELAY_EXISTS', `relay ${name} is there already; remove it first`);
    }
    if ((db.prepare('SELECT COUNT(*) FROM relays').pluck().get() as number) >= RELAYS_MAX) {
      throw new WaystoneError('RELAY_LIMIT', `there are ${RELAYS_MAX} relays already`);
    }
    const device = 'did' in login ? deviceId(login.did) : null;
    const taken = db.prepare('SELECT name FROM relays WHERE device = ?').pluck().get(device);
    if (taken !== undefined) {
      throw new WaystoneError('RELAY_EXISTS', `the device is relay ${taken} already`);
    }
    const secret = 'did' in login ? null : login;
    const { lastInsertRowid } = db
      .prepare(
        `INSERT INTO relays (name, salt, secret_hash, device, carries_all, added_at_us)
         VALUES (?, ?, ?, ?, ?, ?)`,
      )
      .run(name, secret?.salt, secret?.hash, device, relay.devices === null ? 1 : 0, nowUs);
    carry(Number(lastInsertRowid), relay.devices);
    return known(name);
  };

  return {
    relays: (): RelayRecord[] => db.prepare('SELECT * FROM relays ORDER BY id').all().map(toRecord),
    addRelay,
    /**
     * Gives a relay other devices; its login stays.
     * @throws WaystoneError RELAY_UNKNOWN or DEVICE_UNKNOWN; then it keeps those it had.
     */
    setRelayDevices: (name: string, devices: readonly string[] | null): RelayRecord => {
      const relay = known(name);
      db.prepare('UPDATE relays SET carries_all = ? WHERE id = ?').run(
        devices === null ? 1 : 0,
        relay.id,
      );
      db.prepare('DELETE FROM relay_devices WHERE relay = ?').run(relay.id);
      carry(relay.id, devices);
      return known(name);
    },
    /** @returns what it was. @throws WaystoneError RELAY_UNKNOWN. */
    removeRelay: (name: string): RelayRecord => {
      const relay = known(name);
      db.prepare('DELETE FROM relay_devices WHERE relay = ?').run(relay.id);
      db.prepare('DELETE FROM relays WHERE id = ?').run(relay.id);
      return relay;
    },
  };
}
