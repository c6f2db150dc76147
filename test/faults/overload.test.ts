import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, expect, it } from 'vitest';
import type { DeviceStatus } from '../../gateway/core/view.js';
import { openTo } from '../bench/gateway-run.js';
import { residentBytesOf } from '../bench/machine.js';
import { TestDevice } from '../harness/device.js';
import { GatewayProcess, makeHome, removeHome } from '../harness/gateway.js';
import { DeviceClient } from '../harness/mqtt.js';
import { waitFor } from '../harness/wait.js';
import { HealthyDevices, UNHURT } from './healthy-device.js';
import { type Load, startLoad } from './loads.js';

const SECONDS = Number(process.env.WAYSTONE_OVERLOAD_SECONDS ?? 4);

const DEVICES = 60;

/** Envelopes that may wait in the gateway; three times as many are always on offer. */
const IN_FLIGHT_MAX = 400;
const WINDOW = 64;

const HEALTHY = 2;

/** Far above what it takes with these limits, far below what the offered load would take. */
const RESIDENT_MIB_MAX = 500;

const mib = (bytes: number): number => Math.round(bytes / 2 ** 20);

let gateway: GatewayProcess | undefined;
let home: string | undefined;
let load: Load | undefined;

afterEach(async () => {
  load?.kill();
  await gateway?.kill();
  if (home !== undefined) await removeHome(home);
});

it(
  'takes what it can of three times as much, keeps its memory, answers all of it, and recovers',
  async () => {
    home = await makeHome();
    const running = await GatewayProcess.start(home, {
      set: [...openTo(DEVICES), `mqtt.inFlightMax=${IN_FLIGHT_MAX}`],
    });
    gateway = running;
    const pid = running.process.pid as number;
    const waiting = (): Promise<number> => running.metric('waystone_envelopes_waiting');
    load = await startLoad(running, {
      keyType: 'Ed25519',
      framesEach: 4,
      devices: DEVICES,
      envelopesEach: SECONDS * 150,
      firstDevice: 0,
    });
    const healthy = await HealthyDevices.start(running, HEALTHY);
    const before = residentBytesOf(pid);

    await load.calls.run(WINDOW);
    let most = before;
    let waitingMost = 0;
    let offeredMost = 0;
    const endMs = performance.now() + SECONDS * 1000;
    while (performance.now() < endMs) {
      healthy.check();
      const { sent, acknowledged, exhausted } = await load.calls.count();
      if (exhausted > 0) break;
      offeredMost = Math.max(offeredMost, sent - acknowledged);
      waitingMost = Math.max(waitingMost, await waiting());
      most = Math.max(most, residentBytesOf(pid));
      await delay(50);
    }
    // A device that comes meanwhile is let in and served too.
    const late = new TestDevice(running.did);
    await running.enrol(late.did);
    const client = await DeviceClient.open(running, late);
    await client.deliver(await late.envelope());

    // The load ends; whatever was sent has its answer.
    await load.calls.hold();
    expect(await load.calls.settle(60_000)).toBe(true);
    const { sent, acknowledged, stored, otherReceipts, closed, outOfOrder } =
      await load.calls.count();
    const each = (await load.calls.acknowledged()).map(({ envelopes }) => envelopes);
    console.log(
      `overload: at most ${offeredMost} on offer and ${waitingMost} in the gateway; sent ${sent}, ` +
        `acknowledged ${acknowledged}, stored ${stored}, other receipts ${otherReceipts}, ` +
        `connections closed ${closed}; of a device ${Math.min(...each)} to ${Math.max(...each)}\n` +
        `overload: resident ${mib(before)} MiB before, at most ${mib(most)}`,
    );
    expect(offeredMost).toBeGreaterThanOrEqual(3 * IN_FLIGHT_MAX);
    // Each connection may bring one more before it is stopped.
    expect(waitingMost).toBeLessThanOrEqual(IN_FLIGHT_MAX + DEVICES + HEALTHY + 1);
    expect(mib(most)).toBeLessThan(RESIDENT_MIB_MAX);
    expect({ acknowledged, outOfOrder, closed }).toEqual({
      acknowledged: sent,
      outOfOrder: 0,
      closed: 0,
    });
    expect(Math.min(...each)).toBeGreaterThan(0);

    // It is as before, without a restart.
    await waitFor('nothing to wait', async () => (await waiting()) <= HEALTHY);
    const receipted = healthy.receipted;
    await waitFor('receipts afterwards', () => {
      healthy.check();
      return healthy.receipted > receipted + HEALTHY;
    });
    const { receipt } = await client.deliver(await late.envelope());
    expect(receipt.body.outcome.kind).toBe('stored');
    let lost = 0;
    let twice = 0;
    const { devices } = await running.ask<{ devices: DeviceStatus[] }>('GET', '/v1/devices');
    const inLedger = new Map(devices.map((device) => [device.did, device.envelopes]));
    for (const { did, envelopes } of await load.calls.acknowledged()) {
      lost += Math.max(0, envelopes - (inLedger.get(did) ?? 0));
      twice += Math.max(0, (inLedger.get(did) ?? 0) - envelopes);
    }
    console.log(`the load: acked but lost: ${lost}, stored twice: ${twice}`);
    expect({ lost, twice }).toEqual({ lost: 0, twice: 0 });
    expect(await healthy.finish()).toMatchObject(UNHURT);
  },
  180_000 + SECONDS * 2_000,
);
