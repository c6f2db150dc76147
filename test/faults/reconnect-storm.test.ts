import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, expect, it } from 'vitest';
import { GatewayProcess, makeHome, removeHome } from '../harness/gateway.js';
import { waitFor } from '../harness/wait.js';
import { HealthyDevices, UNHURT } from './healthy-device.js';
import { Storm } from './storm.js';

/** Devices that come back at once, with right logins; half as many more come with wrong ones. */
const CLIENTS = Number(process.env.WAYSTONE_STORM_CLIENTS ?? 200);

const HEALTHY = 4;

/** Longest time until all of a storm are answered, ms: far longer than on any machine that works. */
const ANSWERED_WITHIN_MS = 60_000 + CLIENTS * 50;

/** The storm is looked at in so many parts of equal size, each long enough for several commit groups. */
const PARTS = CLIENTS >= 1_000 ? 10 : 2;

let gateway: GatewayProcess | undefined;
let home: string | undefined;
let storm: Storm | undefined;

afterEach(async () => {
  storm?.stop();
  await gateway?.kill();
  if (home !== undefined) await removeHome(home);
});

/** When the sessions of the fleet were opened, µs UTC in order, by storm; `before` others came first. */
function openedSessions(home: string, before: number): number[][] {
  const db = new Database(join(home, 'data', 'ledger.sqlite'), { readonly: true });
  const all = db
    .prepare('SELECT opened_at_us FROM sessions ORDER BY id')
    .pluck()
    .all()
    .slice(before) as number[];
  db.close();
  expect(all).toHaveLength(2 * CLIENTS);
  return [all.slice(0, CLIENTS), all.slice(CLIENTS)].map((one) => one.toSorted((a, b) => a - b));
}

it(
  'answers healthy devices all the while when a whole fleet comes back at once, and others with wrong logins',
  async () => {
    home = await makeHome();
    gateway = await GatewayProcess.start(home, {
      set: [
        `mqtt.connectionsMax=${2 * CLIENTS + 100}`,
        // The wrong ones all come from one address.
        `mqtt.connectionsPerAddressMax=${CLIENTS + 100}`,
        'mqtt.loginDelaySecondsMax=1',
      ],
    });
    const { did, mqttPort } = gateway;
    storm = new Storm();
    const dids = await storm.make(did, CLIENTS);
    for (let at = 0; at < dids.length; at += 16) {
      const { enrol } = gateway;
      await Promise.all(dids.slice(at, at + 16).map((one) => enrol.call(gateway, one)));
    }
    const healthy = await HealthyDevices.start(gateway, HEALTHY);
    const check = (): void => {
      gateway?.check();
      healthy.check();
    };

    const clients = CLIENTS + Math.ceil(CLIENTS / 2);
    for (const round of [1, 2]) {
      const outcomes = await storm.connect(mqttPort, { check, deadlineMs: ANSWERED_WITHIN_MS });
      console.log(`reconnect storm ${round}: ${clients} at once, ${JSON.stringify(outcomes)}`);
      expect(outcomes['logged in']).toBe(CLIENTS);
      // Every wrong one is refused, or not looked at because too many of them were.
      const refusals = ['wrong: refused 4', 'wrong: refused 5', 'wrong: refused 3'];
      const refused = refusals.reduce((sum, how) => sum + (outcomes[how] ?? 0), 0);
      expect(refused).toBe(clients - CLIENTS);
      expect(Object.keys(outcomes).filter((how) => how.startsWith('refused'))).toEqual([]);
      await storm.cut();
    }

    expect(await healthy.finish()).toMatchObject(UNHURT);
    await waitFor('the fleet to be gone', async () => {
      const path = '/v1/status';
      const { connections } = await (gateway as GatewayProcess).ask<{ connections: number }>(
        'GET',
        path,
      );
      return connections === HEALTHY;
    });

    // The healthy devices were answered in between the logins of the fleet, from the first to the last.
    await gateway.stop();
    const answeredAtUs = healthy.all.flatMap((device) => device.answeredAtUs);
    for (const [round, opened] of openedSessions(home, HEALTHY).entries()) {
      const inPart = Array.from({ length: PARTS }, (_, part) => {
        const from = opened[Math.floor((part * CLIENTS) / PARTS)] ?? 0;
        const to = opened[Math.floor(((part + 1) * CLIENTS) / PARTS) - 1] ?? 0;
        return answeredAtUs.filter((us) => us >= from && us <= to).length;
      });
      console.log(
        `receipts of the healthy in each 1/${PARTS} of the logins of storm ${round + 1}: ` +
          inPart.join(', '),
      );
      for (const count of inPart) expect(count).toBeGreaterThan(0);
    }
  },
  2 * ANSWERED_WITHIN_MS + 60_000 + CLIENTS * 50,
);
