import { keyId, parseDid, SESSION_BYTES } from '@waystone/proto';
import { countRows, type FsckContext, rowsOf } from './context.js';
import { isBlob, isCount, isSame, shown } from './values.js';

const CHECK = 'devices';

/** Devices, their sessions, relays and refusals; that references resolve, SQLite has checked. */
export function checkDevices(context: FsckContext): void {
  const { report } = context;
  const devices = 'SELECT id, did, key_id FROM devices';
  type Device = { id: number; did: unknown; key_id: unknown };
  for (const row of rowsOf<Device>(context, CHECK, devices, countRows(context, 'devices'))) {
    report.count(CHECK, 'devices');
    const key = typeof row.did === 'string' ? parseDid(row.did) : null;
    if (key !== null && isSame(row.key_id, keyId(key))) continue;
    const what = key === null ? 'is no did:key' : `has not the key id ${shown(row.key_id)}`;
    report.find(CHECK, 'DEVICE_WRONG', `device ${row.id}, ${shown(row.did)}, ${what}`, {
      device: row.id,
    });
  }
  const sessions = `SELECT sessions.*, devices.id AS known FROM sessions
    LEFT JOIN devices ON devices.id = sessions.device`;
  type Session = {
    id: number;
    device: number;
    session: unknown;
    counter: unknown;
    known: number | null;
  };
  for (const row of rowsOf<Session>(context, CHECK, sessions, countRows(context, 'sessions'))) {
    report.count(CHECK, 'sessions');
    const fault = !isBlob(row.session, SESSION_BYTES)
      ? `has the name ${shown(row.session)}`
      : !isCount(row.counter)
        ? `has the counter ${shown(row.counter)}`
        : row.known === null
          ? `is of device ${row.device}, which is not there`
          : null;
    if (fault === null) continue;
    report.find(CHECK, 'SESSION_WRONG', `session ${row.id} ${fault}`, { session: row.id });
  }
  checkRelays(context);
  // Refusals of who is not enrolled are of device 0.
  const refusals = `SELECT refusals.id, refusals.device FROM refusals
    LEFT JOIN devices ON devices.id = refusals.device WHERE refusals.device <> 0 AND devices.id IS NULL`;
  for (const row of rowsOf<{ id: number; device: number }>(context, CHECK, refusals)) {
    report.find(
      CHECK,
      'REFUSAL_WRONG',
      `refusal ${row.id} is of device ${row.device}, which is not there`,
      {
        refusal: row.id,
        device: row.device,
      },
    );
  }
  report.count(CHECK, 'refusals', countRows(context, 'refusals'));
  report.done(CHECK);
}

function checkRelays(context: FsckContext): void {
  const { report } = context;
  type Relay = { id: number; name: unknown; salt: unknown; secret_hash: unknown; device: unknown };
  const relays = 'SELECT id, name, salt, secret_hash, device FROM relays';
  for (const { id, name, salt, secret_hash, device } of rowsOf<Relay>(context, CHECK, relays)) {
    report.count(CHECK, 'relays');
    const hasSecret =
      isBlob(salt) && salt.length > 0 && isBlob(secret_hash) && secret_hash.length > 0;
    if (typeof name === 'string' && hasSecret !== isCount(device)) continue;
    report.find(CHECK, 'RELAY_WRONG', `relay ${shown(name)} has no way to log in`, { relay: id });
  }
}
