import { execFileSync } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { mkdirSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { realmOf } from '@waystone/proto';
import { afterEach, expect, it } from 'vitest';
import type { GatewayStatus } from '../../gateway/core/view.js';
import { sealAndForge } from '../faults/at-rest.js';
import { freePorts } from '../faults/free-ports.js';
import { expectKept } from '../faults/kept.js';
import { randomFrom } from '../faults/random.js';
import { pendingRedo } from '../faults/redo-pending.js';
import { BULK_BYTES, BulkPublisher } from '../harness/bulk-publisher.js';
import { GatewayProcess, makeHome, removeHome } from '../harness/gateway.js';
import { waitFor } from '../harness/wait.js';
import { FleetOnDisk } from './fleet-on-disk.js';

/** Real file systems that are full, fail or cannot be written, under the data folder. Run as root. */

const MIB = 2 ** 20;

/** Devices that send on at once, so that commit groups follow one another and their rows wait. */
const HASTY_DEVICES = 4;

let home: string | undefined;
let mounts: string[] = [];
let gateway: GatewayProcess | undefined;
let fleet: FleetOnDisk | undefined;

afterEach(async () => {
  await fleet?.close();
  await gateway?.kill();
  fleet = gateway = undefined;
  for (const mount of [...mounts].reverse()) execFileSync('umount', ['-l', mount]);
  if (mounts[0] !== undefined) rmSync(mounts[0], { recursive: true, force: true });
  if (home !== undefined) await removeHome(home);
  mounts = [];
  home = undefined;
});

/** Mounts a file system of so many MiB; by default at a new folder. ext4 lies in a file, so that it can fail as a disk. */
async function mountOne(type: 'tmpfs' | 'ext4', sizeMib: number, at?: string): Promise<string> {
  home ??= await makeHome();
  const mount = at ?? (await mkdtemp(join(tmpdir(), 'waystone-disk-')));
  if (type === 'tmpfs') {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${sizeMib}m`, 'tmpfs', mount]);
  } else {
    const image = imageOf(home);
    execFileSync('truncate', ['-s', `${sizeMib}M`, image]);
    execFileSync('mkfs.ext4', ['-q', '-F', image]);
    execFileSync('mount', ['-o', 'loop', image, mount]);
  }
  mounts.push(mount);
  return mount;
}

function imageOf(home: string): string {
  return join(home, 'image');
}

/** Starts a gateway whose data is in the folder `data` of a mounted one. */
async function startOn(
  mount: string,
  set: readonly string[],
  network: 'none' | 'local' = 'none',
): Promise<GatewayProcess> {
  gateway = await GatewayProcess.start(home as string, {
    network,
    set: [`dataFolder=${join(mount, 'data')}`, 'batch.ageSecondsMax=3600', ...set],
  });
  return gateway;
}

/** Takes all space but so much. @returns the file that takes it. */
function fill(mount: string, leftMib: number): string {
  const file = join(mount, 'something-else');
  const disk = statfsSync(mount);
  try {
    writeFileSync(file, Buffer.alloc(Math.max(0, disk.bavail * disk.bsize - leftMib * MIB), 1));
  } catch (error) {
    // A gateway at work took some meanwhile; then all is taken as well.
    if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
  }
  return file;
}

async function promisedMore(devices: FleetOnDisk, count = 100): Promise<void> {
  const before = devices.promised;
  await waitFor('acknowledgements', () => devices.promised > before + count);
}

/** Whether a device was told to come again for want of room. */
function isTold({ msg, code }: GatewayProcess['logs'][number]): boolean {
  return msg === 'envelope not taken now' && code === 'DISK_FULL';
}

async function box(): Promise<GatewayStatus['box']> {
  const status = await (gateway as GatewayProcess).ask<GatewayStatus>('GET', '/v1/status');
  return status.box;
}

it.each([
  ['told to wait by its own limits', 16],
  ['refused space by the file system', 0],
] as const)(
  'a device that is %s comes again once there is room, without a restart',
  async (_what, reservedMib) => {
    const mount = await mountOne('tmpfs', 64);
    const running = await startOn(mount, [`disk.reservedBytes=${reservedMib * MIB}`]);
    const publisher = await BulkPublisher.of(running);
    for (let k = 0; k < 20; k++) expect(await publisher.send(await publisher.make())).toBe('taken');

    const other = fill(mount, reservedMib === 0 ? 0 : 12);
    const refused = await publisher.sendUntilRefused();
    expect(refused.code).toBe('DISK_FULL');
    const before = publisher.acknowledged;
    // Sealing may find it first, and says it in other words.
    await waitFor('the alarm', async () => {
      const { state, why } = await box();
      return state === 'degraded' && /free some space/.test(why);
    });
    expect(await running.metric('waystone_disk_refusing')).toBe(1);

    rmSync(other);
    await waitFor('room', async () => (await box()).state === 'ok');
    await publisher.sendUntilTaken(running, refused.number);
    for (let k = 0; k < 5; k++) expect(await publisher.send(await publisher.make())).toBe('taken');
    expect(publisher.acknowledged).toBe(before + 6);

    await running.seal();
    await expectKept(running, publisher.record, mount);
  },
);

it.each([
  ['killed', 'SIGKILL'],
  ['stopped', 'SIGTERM'],
] as const)(
  'loses nothing that waits in the redo file when the file system is full and the gateway is %s',
  async (_how, signal) => {
    const mount = await mountOne('tmpfs', 64);
    const data = join(mount, 'data');
    const [mqttPort = 0, httpPort = 0] = await freePorts(2);
    const set = [`mqtt.port=${mqttPort}`, `http.port=${httpPort}`, 'disk.reservedBytes=0'];
    const seed = randomInt(2 ** 32);
    console.log(`seed ${seed}`);
    let running = await startOn(mount, set);
    fleet = await FleetOnDisk.of(running, randomFrom(seed), { hasty: HASTY_DEVICES });
    fleet.start();
    let other = '';
    let pending = 0;
    // The disk may also be full in a moment in which nothing waits.
    for (let tries = 0; pending === 0; tries++) {
      expect(tries).toBeLessThan(20);
      if (tries > 0) {
        rmSync(other);
        running = await startOn(mount, set);
      }
      await promisedMore(fleet);
      other = fill(mount, 0);
      await waitFor('devices to be told to wait', () => running.logs.some(isTold));
      running.process.kill(signal);
      const { code } = await running.exited;
      if (signal === 'SIGTERM') expect(code).toBe(0);
      pending = pendingRedo(data);
    }
    console.log(`${pending} commit groups in the redo file alone`);

    // Without room a start says so, and changes nothing.
    await expect(startOn(mount, set)).rejects.toThrow(/DISK_FULL: the disk is full; free space/);
    expect(pendingRedo(data)).toBe(pending);
    rmSync(other);
    // At ports that no device knows, or more would wait already.
    const unseen = await startOn(mount, ['disk.reservedBytes=0']);
    expect(pendingRedo(data)).toBe(0);
    await unseen.stop();
    const again = await startOn(mount, set);
    await fleet.settle();
    await again.seal();
    await expectKept(again, fleet.record, mount);
  },
);

it('seals and forges what is stored although new data is told to wait, and takes no more than can be', async () => {
  const mount = await mountOne('tmpfs', 64);
  const running = await startOn(mount, [`disk.reservedBytes=${8 * MIB}`], 'local');
  const { chain } = await running.ask<GatewayStatus>('GET', '/v1/status');
  const publisher = await BulkPublisher.of(running, { realm: realmOf(chain.chainId, chain.idao) });
  expect((await publisher.sendUntilRefused()).code).toBe('DISK_FULL');
  const disk = statfsSync(mount);
  const stored = publisher.acknowledged * BULK_BYTES;
  expect(disk.bavail * disk.bsize).toBeGreaterThan(8 * MIB + stored - MIB);
  expect(stored).toBeGreaterThan(16 * MIB);
  expect(await sealAndForge(running)).toBe(1);
  await expectKept(running, publisher.record, mount);
});

it('acknowledges nothing once the file system has failed, ends, and goes on after it is mounted again', async () => {
  const mount = await mountOne('ext4', 96);
  const running = await startOn(mount, ['disk.reservedBytes=0']);
  const publisher = await BulkPublisher.of(running);
  for (let k = 0; k < 5; k++) expect(await publisher.send(await publisher.make())).toBe('taken');

  // As ext4 does by itself after an error of the disk: it is read-only from here on.
  execFileSync('mount', ['-o', 'remount,abort', mount]);
  const unanswered = await publisher.make();
  await expect(publisher.send(unanswered)).rejects.toThrow(/closed/);
  expect((await running.exited).code).toBe(1);
  const last = running.logs.find(({ msg }) => msg === 'the gateway must end');
  expect(JSON.stringify(last?.err)).toMatch(/the disk failed under the ledger: .*look at the disk/);

  // While it stays read-only, a start says so and changes nothing.
  await expect(startOn(mount, ['disk.reservedBytes=0'])).rejects.toThrow(/EROFS|read-?only/i);

  execFileSync('umount', [mount]);
  execFileSync('mount', ['-o', 'loop', imageOf(home as string), mount]);
  const again = await startOn(mount, ['disk.reservedBytes=0']);
  await publisher.connect(again);
  expect(await publisher.send(unanswered)).toBe('taken');
  await again.seal();
  await expectKept(again, publisher.record, mount);
});

it('goes on taking data while the file system of the datasets is read-only, says why, and seals once it is not', async () => {
  const mount = await mountOne('tmpfs', 64);
  const datasets = join(mount, 'data', 'datasets');
  mkdirSync(datasets, { recursive: true });
  await mountOne('ext4', 64, datasets);
  rmSync(join(datasets, 'lost+found'), { recursive: true });
  const running = await startOn(mount, [`disk.reservedBytes=${8 * MIB}`]);
  const publisher = await BulkPublisher.of(running);
  for (let k = 0; k < 5; k++) expect(await publisher.send(await publisher.make())).toBe('taken');

  execFileSync('mount', ['-o', 'remount,ro', datasets]);
  await running.ask('POST', '/v1/batches/seal');
  await waitFor('the alarm', async () => (await box()).state === 'degraded');
  expect((await box()).why).toMatch(/EROFS|read-only/);
  for (let k = 0; k < 5; k++) expect(await publisher.send(await publisher.make())).toBe('taken');

  execFileSync('mount', ['-o', 'remount,rw', datasets]);
  await running.seal();
  await waitFor('all to be well', async () => (await box()).state === 'ok');
  await expectKept(running, publisher.record, mount);
});
