import { type EnrolmentPlace, fromHex, toHex } from '@waystone/proto';
import type Database from 'better-sqlite3';
import type { KeyProof } from '../core/forge-ports.js';

/** Part of schema version 8: what devices signed so that the registry can say that they hold their keys. */
export const DEVICE_PROOFS_DDL = `
CREATE TABLE device_proofs (
  device INTEGER PRIMARY KEY REFERENCES devices,
  place TEXT NOT NULL,
  expiry INTEGER NOT NULL,
  signature BLOB NOT NULL
);
`;

/** A chain's registry and an iDAO, in one word. */
const nameOf = ({ chainId, registry, idao }: EnrolmentPlace): string =>
  `${chainId}/${registry}/${idao}`.toLowerCase();

/** What the other threads may ask of the ledger about proofs of devices; the newest of each is kept. */
export function deviceProofOperations(db: Database.Database) {
  return {
    /** @param signature 64 bytes. */
    keepProof: (
      device: number,
      place: EnrolmentPlace,
      expiry: number,
      signature: Uint8Array,
    ): void => {
      db.prepare(
        `INSERT INTO device_proofs (device, place, expiry, signature) VALUES (?, ?, ?, ?)
         ON CONFLICT (device) DO UPDATE SET place = excluded.place, expiry = excluded.expiry,
         signature = excluded.signature`,
      ).run(device, nameOf(place), expiry, signature);
    },

    /** Devices with a proof for this place, and when it ends, Unix seconds. */
    provenDevices: (place: EnrolmentPlace): [device: number, expiry: number][] =>
      db
        .prepare('SELECT device, expiry FROM device_proofs WHERE place = ?')
        .raw()
        .all(nameOf(place)) as [number, number][],

    /** Proofs of these keys (key ids in hex) for a place; those that have none are left out. */
    proofsOf: (place: EnrolmentPlace, keyIds: readonly string[]): KeyProof[] => {
      const find = db.prepare<[Buffer, string], { expiry: number; signature: Buffer }>(
        `SELECT expiry, signature FROM device_proofs JOIN devices ON devices.id = device
         WHERE key_id = ? AND place = ?`,
      );
      return keyIds.flatMap((deviceId) => {
        const row = find.get(Buffer.from(fromHex(deviceId)), nameOf(place));
        return row === undefined
          ? []
          : [{ deviceId, expiry: row.expiry, signature: toHex(row.signature) }];
      });
    },
  };
}
