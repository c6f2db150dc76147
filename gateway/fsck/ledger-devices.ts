import { parseDid } from '@waystone/proto';
import type Database from 'better-sqlite3';
import type { ListedDevice } from '../audit/entry-audit.js';

/** Devices that are kept in memory. */
const KEPT = 20_000;

/** The ledger's devices by key id in hex, read when they are asked for. */
export class LedgerDevices extends Map<string, ListedDevice> {
  readonly #find: Database.Statement;

  constructor(db: Database.Database) {
    super();
    this.#find = db.prepare('SELECT did FROM devices WHERE key_id = ?').pluck();
  }

  override get(keyId: string): ListedDevice | undefined {
    const known = super.get(keyId);
    if (known !== undefined) return known;
    const did = this.#find.get(Buffer.from(keyId, 'hex'));
    const key = typeof did === 'string' ? parseDid(did) : null;
    if (key === null) return undefined;
    const device = { did: did as string, key };
    if (this.size >= KEPT) this.clear();
    this.set(keyId, device);
    return device;
  }
}
