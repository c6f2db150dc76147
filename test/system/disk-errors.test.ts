import { randomInt } from 'node:crypto';
import { realpathSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { DeviceKey } from '@waystone/device-sdk';
import { afterEach, expect, it } from 'vitest';
import type { BatchStatus, GatewayStatus } from '../../gateway/core/view.js';
import { freePorts } from '../faults/free-ports.js';
import { expectKept } from '../faults/kept.js';
import { randomFrom } from '../faults/random.js';
import { pendingRedo } from '../faults/redo-pending.js';
import { BulkPublisher } from '../harness/bulk-publisher.js';
import { GatewayProcess, makeHome, removeHome } from '../harness/gateway.js';
import { waitFor } from '../harness/wait.js';
import { type DiskFault, FaultyDisk } from './faulty-disk/faulty-disk.js';
import { KEEPS_NOTHING, type PowerCut } from './faulty-disk/power-cut.js';
import { FleetOnDisk } from './fleet-on-disk.js';

/**
 * Errors of the disk, one file after another. Power cuts follow that drop everything whose sync failed, so whatever was
 * acknowledged on the strength of a sync that was only tried again is lost.
 */

const SEED = Number(process.env.WAYSTONE_DISK_ERRORS_SEED ?? randomInt(2 ** 32));

/** Acknowledgements that show that the gateway is at work again. */
const PROMISED_AGAIN = 20;

/** How often the redo file has no room for a commit group. */
const REDO_FULL_TIMES = 9;

/** While sealing waits for its next try, a second each time, a few envelopes show that devices are served. */
const SEALING_PAUSE_MAX_MS = 120;

/** Devices that send on at once, so that commit groups follow one another and their rows wait. */
const HASTY_DEVICES = 4;

/** A fault comes at one of the first so many calls. */
const NTH_MAX = 6;

type Fault = Pick<DiskFault, 'action' | 'call' | 'pattern'>;

/**
 * Errors after which the gateway must end by itself, in pairs: the power fails after the second. So the run that meets
 * the second builds on what the first has left in the system's memory, where it looks as if it were on disk.
 */
const LEDGER_FAULTS: readonly (readonly [Fault, Fault])[] = [
  [
    { action: 'eio', call: 'sync', pattern: '*/ledger.sqlite-wal' },
    { action: 'eio', call: 'write', pattern: '*/batches/*' },
  ],
  [
    { action: 'eio', call: 'sync', pattern: '*/batches/*' },
    { action: 'eio', call: 'write', pattern: '*/ledger.sqlite-wal' },
  ],
  [
    { action: 'eio', call: 'sync', pattern: '*/batches' },
    { action: 'eio', call: 'name', pattern: '*/batches/*' },
  ],
  [
    { action: 'eio', call: 'sync', pattern: '*/ledger.redo' },
    { action: 'eio', call: 'write', pattern: '*/ledger.redo' },
  ],
  [
    { action: 'eio', call: 'sync', pattern: '*/ledger.redo' },
    { action: 'eio', call: 'sync', pattern: '*/ledger.sqlite-wal' },
  ],
];

/** Errors after which sealing says why it waits, and goes on by itself. */
const SEALING_FAULTS: readonly Fault[] = [
  { action: 'dead', call: 'name', pattern: '*/datasets/.tmp-*' },
  { action: 'dead', call: 'write', pattern: '*/datasets/.tmp-*/frames' },
  { action: 'dead', call: 'sync', pattern: '*/datasets/.tmp-*/entries' },
  { action: 'dead', call: 'sync', pattern: '*/datasets/.tmp-*/manifest.json' },
  { action: 'dead', call: 'sync', pattern: '*/datasets/.tmp-?' },
  { action: 'dead', call: 'sync', pattern: '*.checkpoint.tmp' },
  { action: 'dead', call: 'write', pattern: '*/log-head.json.tmp' },
  { action: 'dead', call: 'sync', pattern: '*/log-head.json.tmp' },
  { action: 'eio', call: 'sync', pattern: '*/keys' },
  { action: 'dead', call: 'sync', pattern: '*/datasets' },
  // Last, since a later change in the folder would make its name durable after all.
  { action: 'eio', call: 'sync', pattern: '*/datasets' },
];

let gateway: GatewayProcess | undefined;
let home: string | undefined;
let disk: FaultyDisk | undefined;
let fleet: FleetOnDisk | undefined;

afterEach(async () => {
  await fleet?.close();
  await gateway?.kill();
  await disk?.remove();
  if (home !== undefined) await removeHome(home);
  fleet = gateway = disk = home = undefined;
});

/** A gateway on a disk that can fail. */
async function startOnFaultyDisk(seed: number, set: readonly string[]) {
  const random = randomFrom(seed);
  home = realpathSync(await makeHome());
  const faulty = await FaultyDisk.under(home);
  disk = faulty;
  const [mqttPort = 0, httpPort = 0] = await freePorts(2);
  const options = { set: [`mqtt.port=${mqttPort}`, `http.port=${httpPort}`, ...set] };
  const start = async (): Promise<GatewayProcess> => {
    gateway = await GatewayProcess.start(home as string, {
      ...options,
      environment: faulty.environment(),
    });
    return gateway;
  };
  return { random, disk: faulty, start, first: await start(), data: join(home, 'data') };
}

/** With a fleet that publishes. */
async function setUp(
  seed: number,
  set: readonly string[],
  fleetOptions: Parameters<typeof FleetOnDisk.of>[2] = {},
) {
  const parts = await startOnFaultyDisk(seed, set);
  const devices = await FleetOnDisk.of(parts.first, parts.random, fleetOptions);
  fleet = devices;
  devices.start();
  const promisedAgain = async (count = PROMISED_AGAIN): Promise<void> => {
    const before = devices.promised;
    await waitFor('acknowledgements', () => devices.promised >= before + count);
  };
  return { ...parts, fleet: devices, promisedAgain };
}

it('acknowledges nothing after an error under the ledger, ends, says why, and goes on after a restart', async () => {
  console.log(`errors under the ledger: seed ${SEED}, ${LEDGER_FAULTS.length} pairs of faults`);
  const set = ['batch.entriesMax=24', 'batch.ageSecondsMax=1'];
  const { random, disk, fleet, start, promisedAgain, first, data } = await setUp(SEED, set, {
    hasty: HASTY_DEVICES,
  });
  let running = first;
  let carriedOver = 0;
  for (const pair of LEDGER_FAULTS) {
    for (const fault of pair) {
      await promisedAgain();
      disk.arm({ ...fault, nth: 1 + random.below(NTH_MAX) });
      const { code } = await running.exited;
      expect(disk.fired).not.toBeNull();
      disk.arm(null);
      expect(code).toBe(1);
      expectReason(running);
      if (fault !== pair[0]) continue;
      carriedOver += pendingRedo(data);
      running = await start();
    }
    const cut = await disk.cutPower(random, KEEPS_NOTHING);
    carriedOver += pendingRedo(data);
    console.log(`${pair.map(nameOf).join(', ')}: it ended; ${dropped(cut)}`);
    running = await start();
  }
  console.log(`${carriedOver} commit groups were in the redo file alone`);
  expect(carriedOver).toBeGreaterThan(0);
  await fleet.settle();
  await running.seal();
  await expectKept(running, fleet.record);
});

it('ends when the database cannot be written, although SQLite goes on with its WAL', async () => {
  const { random, disk, fleet, start, promisedAgain, first } = await setUp(SEED + 1, []);
  disk.arm({ action: 'dead', call: 'write', pattern: '*/ledger.sqlite' });
  const { code } = await Promise.race([first.exited, delay(60_000, { code: null })]);
  expect(code).toBe(1);
  expectReason(first);
  disk.arm(null);
  await disk.cutPower(random, KEEPS_NOTHING);
  const again = await start();
  await promisedAgain();
  await fleet.settle();
  await again.seal();
  await expectKept(again, fleet.record);
});

it('tells devices to come again while the redo file has no room, and goes on by itself', async () => {
  console.log(`no room for the redo file: seed ${SEED}, ${REDO_FULL_TIMES} times`);
  const set = ['batch.entriesMax=24', 'batch.ageSecondsMax=1'];
  const { random, disk, fleet, start, promisedAgain, first, data } = await setUp(SEED + 3, set, {
    hasty: HASTY_DEVICES,
  });
  let running = first;
  let carriedOver = 0;
  for (let k = 1; k <= REDO_FULL_TIMES; k++) {
    await promisedAgain();
    const call = random.below(2) === 0 ? 'write' : 'sync';
    disk.arm({ action: 'full', call, pattern: '*/ledger.redo', nth: k });
    await waitFor('the fault', () => disk.fired);
    disk.arm(null);
    await promisedAgain();
    if (k % 3 > 0) continue;
    await running.kill();
    await disk.cutPower(random);
    carriedOver += pendingRedo(data);
    running = await start();
  }
  console.log(`${carriedOver} commit groups were in the redo file alone`);
  await fleet.settle();
  await running.seal();
  await expectKept(running, fleet.record);
});

it('stores once what was written into the redo file and could not be synced, when it comes again', async () => {
  const { disk, start, first, data } = await startOnFaultyDisk(SEED + 4, []);
  let running = first;
  const large = await BulkPublisher.of(running);
  const small = await BulkPublisher.of(running, { record: large.record, frameBytes: 10 });
  for (let round = 0; round < 3; round++) {
    disk.arm({ action: 'full', call: 'sync', pattern: '*/ledger.redo' });
    let number = 0;
    let answer = 'taken';
    for (let tries = 0; answer === 'taken'; tries++) {
      expect(tries).toBeLessThan(1000);
      number = await small.make();
      // A group that comes right behind one that was committed is the first one to be deferred.
      const { did } = DeviceKey.generate('Ed25519');
      [answer] = await Promise.all([small.send(number), running.enrol(did)]);
    }
    expect(answer).toBe('DISK_FULL');
    disk.arm(null);
    // A group of so many bytes is committed, and no record is written over that one.
    expect(await large.send(await large.make())).toBe('taken');
    await running.kill();
    // It counts no more, or it would be stored beside what came meanwhile.
    expect(pendingRedo(data)).toBe(0);
    running = await start();
    await large.connect(running);
    await small.connect(running);
    expect(await small.send(number)).toBe('taken');
  }
  await running.seal();
  await expectKept(running, large.record);
});

it('says why sealing waits after an error in a dataset folder or beside the key, and seals once it is gone', async () => {
  console.log(`errors while sealing: seed ${SEED}, ${SEALING_FAULTS.length} faults`);
  const set = ['batch.entriesMax=1000000', 'batch.ageSecondsMax=3600'];
  const { random, disk, fleet, start, promisedAgain, first } = await setUp(SEED + 2, set, {
    pauseMaxMs: SEALING_PAUSE_MAX_MS,
  });
  let running = first;
  const box = async () => (await running.ask<GatewayStatus>('GET', '/v1/status')).box;
  for (const fault of SEALING_FAULTS) {
    await promisedAgain();
    const { batches } = await running.ask<{ batches: BatchStatus[] }>('GET', '/v1/batches');
    const due = new Set(batches.filter(({ state }) => state === 'open').map(({ id }) => id));
    const tries = failures(running);
    disk.arm(fault);
    await running.ask('POST', '/v1/batches/seal');
    await waitFor('the fault', () => disk.fired);
    await waitFor('sealing to say why', () => failures(running) > tries);
    if (fault.action === 'dead') {
      expect(await box()).toMatchObject({ state: 'degraded', why: expect.stringMatching(/EIO/) });
      // Devices are none the wiser.
      await promisedAgain();
    }
    disk.arm(null);
    await waitFor('the batches to be sealed', async () => {
      const { batches } = await running.ask<{ batches: BatchStatus[] }>('GET', '/v1/batches');
      return batches.every(({ id, state }) => !due.has(id) || !/^(open|sealing)$/.test(state));
    });
    expect((await box()).state).toBe('ok');
    console.log(`${nameOf(fault)}: it waited, and was sealed`);
  }
  await running.kill();
  console.log(dropped(await disk.cutPower(random, KEEPS_NOTHING)));
  running = await start();
  await fleet.settle();
  await running.seal();
  await expectKept(running, fleet.record);
});

function nameOf({ action, call, pattern }: Fault): string {
  return `${action} on ${call} of ${pattern}`;
}

function dropped({ pages, pagesDropped, names, namesDropped }: PowerCut): string {
  return `the power cut dropped ${pagesDropped} of ${pages} pages, ${namesDropped} of ${names} names`;
}

function expectReason({ logs }: GatewayProcess): void {
  const last = logs.find(({ msg }) => msg === 'the gateway must end');
  expect(JSON.stringify(last?.err)).toMatch(/the disk failed under the ledger: .*look at the disk/);
}

function failures({ logs }: GatewayProcess): number {
  return logs.filter(({ msg }) => msg.startsWith('sealing failed')).length;
}
