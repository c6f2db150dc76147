import { execFileSync } from 'node:child_process';
import { rmSync, statfsSync, writeFileSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { decodeReceipt } from '@waystone/proto';
import { afterEach, expect, it } from 'vitest';
import { verifyPath } from '../../gateway/audit/verify.js';
import type { DatasetStatus, GatewayStatus } from '../../gateway/core/view.js';
import { frame, TestDevice } from '../harness/device.js';
import { GatewayProcess, makeHome, removeHome } from '../harness/gateway.js';
import { connectPacket, RawClient } from '../harness/mqtt.js';
import { waitFor } from '../harness/wait.js';

/** Real full disks: a small tmpfs under the data folder. Run as root. */

const MIB = 2 ** 20;

let home: string | undefined;
let mount: string | undefined;
let gateway: GatewayProcess | undefined;

afterEach(async () => {
  await gateway?.kill();
  gateway = undefined;
  if (mount !== undefined) execFileSync('umount', ['-l', mount]);
  if (mount !== undefined) rmSync(mount, { recursive: true, force: true });
  if (home !== undefined) await removeHome(home);
  mount = undefined;
  home = undefined;
});

/** Mounts a file system of so many MiB. ext4 lies in a file, so that it can fail as a disk does. */
async function mountOne(type: 'tmpfs' | 'ext4', sizeMib: number): Promise<string> {
  home = await makeHome();
  mount = await mkdtemp(join(tmpdir(), 'waystone-disk-'));
  if (type === 'tmpfs') {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${sizeMib}m`, 'tmpfs', mount]);
  } else {
    const image = join(home, 'image');
    execFileSync('truncate', ['-s', `${sizeMib}M`, image]);
    execFileSync('mkfs.ext4', ['-q', '-F', image]);
    execFileSync('mount', ['-o', 'loop', image, mount]);
  }
  return mount;
}

async function startOn(folder: string, set: readonly string[]): Promise<GatewayProcess> {
  gateway = await GatewayProcess.start(home as string, {
    set: [`dataFolder=${folder}`, 'batch.ageSecondsMax=3600', ...set],
  });
  return gateway;
}

/** Takes all space but so much. */
function fill(leftMib: number): string {
  const file = join(mount as string, 'something-else');
  const disk = statfsSync(mount as string);
  writeFileSync(file, Buffer.alloc(Math.max(0, disk.bavail * disk.bsize - leftMib * MIB), 1));
  return file;
}

/** Publishes envelopes of about 100 kB; knows which have their PUBACK. */
class Publisher {
  readonly device: TestDevice;
  readonly payloads = new Map<number, Uint8Array>();
  readonly acknowledged = new Set<number>();
  #client: RawClient | undefined;
  #lastId = 0;

  constructor(to: GatewayProcess) {
    this.device = new TestDevice(to.did, 'Ed25519');
  }

  async connect(to: GatewayProcess): Promise<void> {
    this.#client?.cut();
    this.#client = await RawClient.open(to.mqttPort);
    this.#client.send(await connectPacket(this.device));
    await this.#client.next('connack', ({ returnCode }) => returnCode === 0);
    const topic = `ws/v1/${this.device.topicId}/receipt`;
    this.#client.send({
      cmd: 'subscribe',
      messageId: 1,
      subscriptions: [{ topic, qos: 1 }],
    });
    await this.#client.next('suback');
  }

  async make(): Promise<number> {
    const id = ++this.#lastId;
    const timeUs = Date.now() * 1000;
    const frames = Array.from({ length: 4 }, () =>
      frame({ timeUs, rawGnss: new Uint8Array(25_000) }),
    );
    this.payloads.set(id, await this.device.envelope({ frames, timeUs }));
    return id;
  }

  /** @returns whether it was acknowledged; else a retry receipt came. */
  async send(id: number): Promise<boolean> {
    const client = this.#client as RawClient;
    const topic = `ws/v1/${this.device.topicId}/up`;
    client.packets.length = 0;
    client.send({
      cmd: 'publish',
      topic,
      qos: 1,
      messageId: id,
      retain: false,
      dup: false,
      payload: Buffer.from(this.payloads.get(id) as Uint8Array),
    });
    const isTaken = await waitFor('an answer', () => {
      for (const packet of client.packets) {
        if (packet.cmd === 'puback') return { taken: true };
        if (packet.cmd !== 'publish') continue;
        const { outcome } = decodeReceipt(packet.payload as Buffer).body;
        if (outcome.kind === 'retry') return { taken: false };
      }
      if (client.isClosed) throw new Error('the gateway closed the connection');
      return null;
    });
    if (isTaken.taken) this.acknowledged.add(id);
    return isTaken.taken;
  }
}

async function status(): Promise<GatewayStatus> {
  return (gateway as GatewayProcess).ask<GatewayStatus>('GET', '/v1/status');
}

it.each([
  ['told to wait by its own limits', 16],
  ['refused space by the file system', 0],
] as const)(
  'a device that is %s comes again once there is room, without a restart',
  async (_what, reservedMib) => {
    const folder = await mountOne('tmpfs', 64);
    const running = await startOn(folder, [`disk.reservedBytes=${reservedMib * MIB}`]);
    const publisher = new Publisher(running);
    await running.enrol(publisher.device.did);
    await publisher.connect(running);
    for (let k = 0; k < 20; k++) expect(await publisher.send(await publisher.make())).toBe(true);

    const other = fill(reservedMib === 0 ? 1 : 12);
    const refused = await waitFor('new data to be refused', async () => {
      const id = await publisher.make();
      if (!(await publisher.send(id))) return id;
      return null;
    });
    if (reservedMib > 0) {
      await waitFor('the alarm', async () => (await status()).box.state === 'degraded');
      expect((await status()).box.why).toMatch(/free some space/);
      expect(await running.metric('waystone_disk_refusing')).toBe(1);
    }

    rmSync(other);
    await waitFor('room', async () => (await status()).box.state === 'ok');
    await waitFor('the refused envelope to be taken', async () => {
      await publisher.connect(running);
      return publisher.send(refused);
    });
    for (let k = 0; k < 5; k++) expect(await publisher.send(await publisher.make())).toBe(true);

    await running.seal();
    const { datasets } = await running.ask<{ datasets: DatasetStatus[] }>('GET', '/v1/datasets');
    let entries = 0;
    for (const dataset of datasets) {
      expect((await verifyPath(dataset.folder, { gatewayDid: running.did })).result).toBe(
        'verified',
      );
      entries += dataset.entries;
    }
    const lost = publisher.acknowledged.size - entries;
    console.log(
      `acknowledged ${publisher.acknowledged.size}, acked but lost: ${Math.max(0, lost)}, stored twice: ${Math.max(0, -lost)}`,
    );
    expect(lost).toBe(0);
  },
);

it('seals what is stored although new data is told to wait', async () => {
  const folder = await mountOne('tmpfs', 64);
  const running = await startOn(folder, [`disk.reservedBytes=${8 * MIB}`]);
  const publisher = new Publisher(running);
  await running.enrol(publisher.device.did);
  await publisher.connect(running);
  await waitFor('the limit', async () => !(await publisher.send(await publisher.make())));
  await running.seal();
  const { datasets } = await running.ask<{ datasets: DatasetStatus[] }>('GET', '/v1/datasets');
  expect(datasets.reduce((sum, { entries }) => sum + entries, 0)).toBe(publisher.acknowledged.size);
});

it('acknowledges nothing once the file system has failed, ends, and goes on after it is mounted again', async () => {
  const folder = join(await mountOne('ext4', 96), 'data');
  const running = await startOn(folder, ['disk.reservedBytes=0']);
  const publisher = new Publisher(running);
  await running.enrol(publisher.device.did);
  await publisher.connect(running);
  for (let k = 0; k < 5; k++) expect(await publisher.send(await publisher.make())).toBe(true);

  // As ext4 does by itself after an error of the disk: every write fails from here on.
  execFileSync('mount', ['-o', 'remount,abort', mount as string]);
  const unanswered = await publisher.make();
  await expect(publisher.send(unanswered)).rejects.toThrow(/closed/);
  const { code } = await running.exited;
  expect(code).not.toBe(0);

  execFileSync('umount', [mount as string]);
  execFileSync('mount', ['-o', 'loop', join(home as string, 'image'), mount as string]);
  const again = await startOn(folder, ['disk.reservedBytes=0']);
  await publisher.connect(again);
  expect(await publisher.send(unanswered)).toBe(true);
  await again.seal();
  const { datasets } = await again.ask<{ datasets: DatasetStatus[] }>('GET', '/v1/datasets');
  const entries = datasets.reduce((sum, dataset) => sum + dataset.entries, 0);
  const lost = publisher.acknowledged.size - entries;
  console.log(
    `acknowledged ${publisher.acknowledged.size}, acked but lost: ${Math.max(0, lost)}, stored twice: ${Math.max(0, -lost)}`,
  );
  expect(lost).toBe(0);
});
