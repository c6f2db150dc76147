import { afterEach, expect, it } from 'vitest';
import { openTo } from '../bench/gateway-run.js';
import { residentBytesOf } from '../bench/machine.js';
import { GatewayProcess, makeHome, removeHome } from '../harness/gateway.js';
import { waitFor } from '../harness/wait.js';
import { HealthyDevices, UNHURT } from './healthy-device.js';
import { connectLoad, enrolBefore, type Load, openFilesMax, prepareLoad } from './loads.js';

const WANTED = Number(process.env.WAYSTONE_IDLE_CONNECTIONS ?? 2_000);

/** Files that the gateway needs beside its connections. */
const OTHER_FILES = 300;

const HEALTHY = 3;

/** Generous: some 20 KiB a connection were seen. */
const KIB_PER_CONNECTION_MAX = 100;

const mib = (bytes: number): number => Math.round(bytes / 2 ** 20);

let gateway: GatewayProcess | undefined;
let home: string | undefined;
const loads: Load[] = [];

afterEach(async () => {
  for (const load of loads.splice(0)) load.kill();
  await gateway?.kill();
  if (home !== undefined) await removeHome(home);
});

it(
  'serves healthy devices beside thousands that are logged in and silent, and counts them rightly',
  async () => {
    const count = Math.min(WANTED, openFilesMax() - OTHER_FILES);
    if (count < WANTED) {
      console.log(`idle: ${count} connections, not ${WANTED}: ulimit -Hn is ${openFilesMax()}`);
    }
    home = await makeHome();
    const half = Math.floor(count / 2);
    for (const part of [0, 1]) {
      const options = { keyType: 'secp256k1', framesEach: 1, devices: half } as const;
      const firstDevice = part * half;
      const { load, dids } = await prepareLoad({ ...options, envelopesEach: 0, firstDevice });
      loads.push(load);
      await enrolBefore(home, dids);
    }
    gateway = await GatewayProcess.start(home, { set: openTo(count) });
    const { metric } = gateway;
    const connections = (): Promise<number> => metric.call(gateway, 'waystone_mqtt_connections');
    const healthy = await HealthyDevices.start(gateway, HEALTHY);
    const pid = gateway.process.pid as number;
    const before = residentBytesOf(pid);

    for (const load of loads) await connectLoad(load, gateway);
    healthy.check();
    expect(await connections()).toBe(2 * half + HEALTHY);
    const receipted = healthy.receipted;
    await waitFor('receipts beside them', () => {
      healthy.check();
      return healthy.receipted > receipted + 5 * HEALTHY;
    });
    const after = residentBytesOf(pid);
    for (const load of loads) expect((await load.calls.count()).closed).toBe(0);
    console.log(
      `idle: ${2 * half} connections, resident ${mib(before)} MiB before, ${mib(after)} with them, ` +
        `${((after - before) / 1024 / (2 * half)).toFixed(1)} KiB each`,
    );
    expect((after - before) / 1024 / (2 * half)).toBeLessThan(KIB_PER_CONNECTION_MAX);

    // One process says goodbye, the other dies.
    await loads[0]?.calls.close();
    await waitFor('half of them to be gone', async () => (await connections()) === half + HEALTHY);
    loads[1]?.kill();
    await waitFor('all of them to be gone', async () => (await connections()) === HEALTHY);
    expect(await healthy.finish()).toMatchObject(UNHURT);
  },
  120_000 + WANTED * 60,
);
