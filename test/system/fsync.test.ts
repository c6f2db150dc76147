import { realpathSync } from 'node:fs';
import { mkdtemp, readdir, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import type { KeyType } from '@waystone/proto';
import { realmOf, statementHash, topicOf } from '@waystone/proto';
import { afterEach, describe, expect, it } from 'vitest';
import type { GatewayStatus } from '../../gateway/core/view.js';
import { sealAndForge } from '../faults/at-rest.js';
import { frame, TestDevice } from '../harness/device.js';
import { GatewayProcess, makeHome, removeHome } from '../harness/gateway.js';
import { connectPacket, RawClient } from '../harness/mqtt.js';
import { waitFor } from '../harness/wait.js';
import {
  acknowledgementFaults,
  deferredAmong,
  renameFaults,
  type TracedEnvelope,
} from './durability.js';
import { parseTrace, type SystemCall, traceCommand } from './trace.js';

/** Where the device's signature begins in an envelope: header 8, statement 200. Its first half is kept as it is. */
const SIGNATURE_AT = 208;

let home: string | undefined;
let scratch: string | undefined;
let gateway: GatewayProcess | undefined;

afterEach(async () => {
  await gateway?.kill();
  gateway = undefined;
  for (const folder of [home, scratch]) if (folder !== undefined) await removeHome(folder);
});

/** Starts a gateway under strace. @returns a function that stops it and reads its trace. */
async function startTraced(network: 'none' | 'local'): Promise<{
  traced: GatewayProcess;
  home: string;
  stop: () => Promise<SystemCall[]>;
}> {
  home = realpathSync(await makeHome());
  scratch = await mkdtemp(join(tmpdir(), 'waystone-test-'));
  const file = join(scratch, 'trace');
  const traced = await GatewayProcess.start(home, {
    network,
    // Batches close only when the test asks, so nothing is stored while they are sealed.
    set: ['batch.ageSecondsMax=3600'],
    under: traceCommand(file),
    // File operations through io_uring would be no system calls.
    environment: { UV_USE_IO_URING: '0' },
  });
  gateway = traced;
  const pid = traced.process.pid;
  const stop = async (): Promise<SystemCall[]> => {
    await traced.stop();
    gateway = undefined;
    const text = await waitFor('the trace to end', async () => {
      const written = await readFile(file, 'latin1');
      return new RegExp(`^${pid} +\\+\\+\\+ `, 'm').test(written) ? written : null;
    });
    return parseTrace(text);
  };
  return { traced, home, stop };
}

/** A device that publishes and listens to nothing, so that its socket carries PUBACKs alone. */
class QuietClient {
  readonly #client: RawClient;
  readonly #device: TestDevice;
  readonly #realm: Uint8Array;

  constructor(client: RawClient, device: TestDevice, realm: Uint8Array) {
    this.#client = client;
    this.#device = device;
    this.#realm = realm;
  }

  static async open(
    to: GatewayProcess,
    type: KeyType,
    realm: Uint8Array = new Uint8Array(32),
  ): Promise<QuietClient> {
    const device = new TestDevice(to.did, type);
    await to.enrol(device.did);
    const client = await RawClient.open(to.mqttPort);
    client.send(await connectPacket(device));
    await client.next('connack', ({ returnCode }) => returnCode === 0);
    return new QuietClient(client, device, realm);
  }

  async publish(messageId: number, frames: number): Promise<TracedEnvelope> {
    const timeUs = (Date.now() - 10_000) * 1000;
    const payload = await this.#device.envelope({
      frames: Array.from({ length: frames }, () => frame({ timeUs })),
      statement: { realm: this.#realm, minTimeUs: timeUs, maxTimeUs: timeUs },
    });
    const topic = topicOf(this.#device.topicId, 'up');
    const packet = { cmd: 'publish', topic, qos: 1, retain: false, dup: false } as const;
    this.#client.send({ ...packet, messageId, payload: Buffer.from(payload) });
    const marker = payload.slice(SIGNATURE_AT, SIGNATURE_AT + 32);
    return { messageId, marker, row: statementHash(payload.subarray(8, SIGNATURE_AT)) };
  }

  async acknowledged({ messageId }: TracedEnvelope): Promise<void> {
    await this.#client.next('puback', (packet) => packet.messageId === messageId);
  }
}

const ALONE = 30;
const PIPELINED = 200;

it('syncs batch file and WAL, or redo file, between the write of an envelope and its PUBACK, and each folder after a rename', async () => {
  const { traced, home, stop } = await startTraced('none');
  const clients = [
    await QuietClient.open(traced, 'secp256k1'),
    await QuietClient.open(traced, 'P-256'),
    await QuietClient.open(traced, 'Ed25519'),
  ];
  const envelopes: TracedEnvelope[] = [];
  const next = (at: number, frames: number) =>
    (clients[at % clients.length] as QuietClient).publish(envelopes.length + 1, frames);
  for (let at = 0; at < ALONE; at++) {
    const envelope = await next(at, 1 + (at % 3) * 60);
    envelopes.push(envelope);
    await clients[at % clients.length]?.acknowledged(envelope);
  }
  await traced.seal();
  const pipelined: [QuietClient, TracedEnvelope][] = [];
  for (let at = 0; at < PIPELINED; at++) {
    const envelope = await next(at, 1);
    envelopes.push(envelope);
    pipelined.push([clients[at % clients.length] as QuietClient, envelope]);
  }
  for (const [client, envelope] of pipelined) await client.acknowledged(envelope);
  await traced.seal();

  const calls = await stop();
  expect(acknowledgementFaults(calls, envelopes)).toEqual([]);
  const data = (name: string) => join(home, 'data', name);
  const folders = [data('datasets'), data('ledger.redo'), join(home, 'keys')];
  const { renames, faults } = renameFaults(calls, folders);
  expect(faults).toEqual([]);
  // Challengeable or not, sealed twice: four folders, four checkpoints, four heads.
  const named = (name: RegExp) => renames.filter((path) => name.test(basename(path))).length;
  expect([named(/^[0-9a-f]{64}$/), named(/^checkpoint$/), named(/^log-head/)]).toEqual([4, 4, 4]);
  expect(named(/^ledger\.redo$/)).toBe(1);
  const deferred = deferredAmong(calls, envelopes);
  expect(deferred).toBeGreaterThan(0);
  expect(deferred).toBeLessThan(envelopes.length);
  const syncs = (file: RegExp) =>
    calls.filter(({ name, target }) => /sync$/.test(name) && file.test(target)).length;
  console.log(
    `${envelopes.length} envelopes, ${deferred} of them deferred, ${syncs(/-wal$/)} syncs of the WAL, ` +
      `${syncs(/\.redo$/)} of the redo file, ${renames.length} renames: all in order`,
  );
});

it("syncs the chain's folder after each rename, before anything builds on it", async () => {
  const { traced, home, stop } = await startTraced('local');
  const chainFolder = join(home, 'data', 'chain');
  const isDumped = async () =>
    (await readdir(chainFolder)).some((name) => /^state-\d+\.gz$/.test(name));
  await waitFor('the chain to be set up', isDumped, 60_000);
  const { chain } = await traced.ask<GatewayStatus>('GET', '/v1/status');
  const client = await QuietClient.open(traced, 'secp256k1', realmOf(chain.chainId, chain.idao));
  const envelope = await client.publish(1, 3);
  await client.acknowledged(envelope);
  expect(await sealAndForge(traced)).toBe(1);

  const calls = await stop();
  expect(acknowledgementFaults(calls, [envelope])).toEqual([]);
  const folders = [join(home, 'data', 'datasets'), join(home, 'keys'), chainFolder];
  const { renames, faults } = renameFaults(calls, folders);
  expect(faults).toEqual([]);
  const dumps = renames.filter((path) => /\/state-\d+\.gz$/.test(path));
  expect(dumps.length).toBeGreaterThanOrEqual(2);
  console.log(
    `${renames.length} renames, ${dumps.length} of them dumps of the chain: all in order`,
  );
});

describe('the check of a trace', () => {
  const marker = Buffer.from('5a'.repeat(32), 'hex');
  const row = Buffer.from('c3'.repeat(32), 'hex');
  const envelope = { marker, row, messageId: 7 };
  const hex = (bytes: Uint8Array) =>
    [...bytes].map((byte) => `\\x${byte.toString(16).padStart(2, '0')}`).join('');
  const around = (bytes: Uint8Array) =>
    hex(Buffer.concat([Buffer.alloc(100), bytes, Buffer.alloc(50)]));
  const header = (commit: number) =>
    hex(Buffer.from(`00000002${commit.toString(16).padStart(8, '0')}${'ab'.repeat(16)}`, 'hex'));
  const wal = '21</h/data/ledger.sqlite-wal>';
  const file = '22</h/data/batches/3>';
  const write = (to: string, bytes: string) =>
    `10 pwrite64(${to}, "${bytes}", ${bytes.length / 4}, 0) = ${bytes.length / 4}`;
  const frameOf = (commit: number, page: string) => [write(wal, header(commit)), write(wal, page)];
  const other = hex(Buffer.alloc(64, 1));
  const record = write(file, around(marker));
  const created = `10 openat(AT_FDCWD</h>, "/h/data/batches/3", O_WRONLY|O_CREAT, 0600) = ${file}`;
  const name = '10 fsync(23</h/data/batches>) = 0';
  const fileSync = `10 fdatasync(${file}) = 0`;
  const stored = [created, name, record, fileSync];
  const rows = around(row);
  const sync = `10 fdatasync(${wal}) = 0`;
  const puback =
    '11 write(30<TCP:[127.0.0.1:1883->127.0.0.1:5000]>, "\\x40\\x02\\x00\\x07", 4) = 4';
  const redo = '24</h/data/ledger.redo>';
  const redoAt = (at: number, bytes: string) => write(redo, bytes).replace(', 0) =', `, ${at}) =`);
  const redoSync = `10 fdatasync(${redo}) = 0`;
  const check = (...lines: string[]) =>
    acknowledgementFaults(parseTrace(lines.join('\n')), [envelope]);

  it('passes a sync between commit and PUBACK, also one that another thread interrupts', () => {
    expect(check(...stored, ...frameOf(0, rows), ...frameOf(9, other), sync, puback)).toEqual([]);
    const halves = [`10 fdatasync(${wal} <unfinished ...>`, '10 <... fdatasync resumed>) = 0'];
    const [begun = '', ended = ''] = halves;
    const interrupted = [begun, '12 fsync(4</x>) = 0', ended];
    expect(check(...stored, ...frameOf(9, rows), ...interrupted, puback)).toEqual([]);
    const vector = puback
      .replace('write(', 'writev(')
      .replace(
        /"(.*)", 4/,
        '[{iov_base="\\x40\\x02\\x00\\x06", iov_len=4}, {iov_base="$1", iov_len=4}], 2',
      );
    expect(check(...stored, ...frameOf(9, rows), sync, vector)).toEqual([]);
  });

  it('passes a record that is in the WAL as well, cut in two or not', () => {
    const unsynced = [created, name, record];
    const before = frameOf(9, other);
    const pages = [...frameOf(0, around(marker)), ...frameOf(0, rows), ...frameOf(9, other)];
    expect(check(...unsynced, ...before, ...pages, sync, puback)).toEqual([]);
    const cut = [hex(marker.subarray(0, 20)), hex(marker.subarray(20))] as const;
    const halves = [...frameOf(0, rows), ...frameOf(0, other + cut[0]), ...frameOf(9, cut[1])];
    expect(check(...unsynced, ...before, ...halves, sync, puback)).toEqual([]);
  });

  const deferred = [redoAt(88, around(marker)), redoSync, puback];
  const committed = [...stored, ...frameOf(9, rows), sync];

  it('passes a PUBACK after the sync of the redo file, over which nothing is written before the commit', () => {
    expect(check(...deferred, ...committed)).toEqual([]);
    // Behind it, and over it once that is done.
    const behind = redoAt(88 + 182, other);
    expect(check(...deferred, behind, redoSync, ...committed, redoAt(88, other))).toEqual([]);
  });

  it.each([
    ['a PUBACK before the sync of the redo file', [redoAt(88, around(marker)), puback, redoSync]],
    ['no sync of the redo file', [redoAt(88, around(marker)), puback]],
    ['a sync before the record', [redoSync, redoAt(88, around(marker)), puback]],
    [
      'a sync of the redo file that failed',
      [redoAt(88, around(marker)), redoSync.replace('= 0', '= -1 EIO'), puback],
    ],
    ['a record of another envelope', [redoAt(88, other), redoSync, puback]],
    ['a record that is written over', [...deferred, redoAt(88, other)]],
    ['a record whose end is written over', [...deferred, redoAt(88 + 181, other)]],
  ])('fails for %s', (_, lines) => {
    expect(check(...lines, ...committed)).toHaveLength(1);
  });

  it('fails for a deferred envelope that is never committed as it must be', () => {
    expect(check(...deferred)).toHaveLength(1);
    expect(check(...deferred, ...stored, ...frameOf(9, rows))).toHaveLength(1);
    expect(check(...deferred, created, name, record, ...frameOf(9, rows), sync)).toHaveLength(1);
    expect(check(...deferred, ...committed.filter((line) => line !== name))).toHaveLength(1);
    expect(
      check(...deferred, ...stored, ...frameOf(9, rows), redoAt(88, other), sync),
    ).toHaveLength(1);
  });

  it.each([
    ['a PUBACK before the sync', [...stored, ...frameOf(9, rows), puback, sync]],
    ['no sync', [...stored, ...frameOf(9, rows), puback]],
    [
      'a sync that failed',
      [...stored, ...frameOf(9, rows), sync.replace('= 0', '= -1 EIO'), puback],
    ],
    ['a sync before the row', [...stored, sync, ...frameOf(9, rows), puback]],
    [
      'a sync before the commit',
      [...stored, ...frameOf(0, rows), sync, ...frameOf(9, other), puback],
    ],
    ['no commit', [...stored, ...frameOf(0, rows), sync, puback]],
    ['a sync of another file', [...stored, ...frameOf(9, rows), sync.replace('-wal', ''), puback]],
    [
      'a PUBACK while the sync runs',
      [
        ...stored,
        ...frameOf(9, rows),
        `10 fdatasync(${wal} <unfinished ...>`,
        puback,
        '10 <... fdatasync resumed>) = 0',
      ],
    ],
    ['a record that was not written', [...frameOf(9, rows), sync, puback]],
    [
      'a record that is in the transaction before',
      [created, name, record, ...frameOf(9, around(marker)), ...frameOf(9, rows), sync, puback],
    ],
    [
      'a record that is in the transaction after',
      [created, name, record, ...frameOf(9, rows), ...frameOf(9, around(marker)), sync, puback],
    ],
    ['a record that was not synced', [created, name, record, ...frameOf(9, rows), sync, puback]],
    [
      'a record that was synced after its row',
      [created, name, record, ...frameOf(9, rows), fileSync, sync, puback],
    ],
    [
      'a file whose name was not synced',
      [created, record, fileSync, ...frameOf(9, rows), sync, puback],
    ],
    [
      'a file whose name was synced last',
      [created, record, fileSync, ...frameOf(9, rows), sync, name, puback],
    ],
    [
      'a name that was synced before it was there',
      [name, created, record, fileSync, ...frameOf(9, rows), sync, puback],
    ],
    ['a row that was not written', [...stored, ...frameOf(9, other), sync, puback]],
    ['an envelope that was not acknowledged', [...stored, ...frameOf(9, rows), sync]],
  ])('fails for %s', (_, lines) => {
    expect(check(...lines)).toHaveLength(1);
  });

  const rename = '13 rename("/h/data/datasets/.tmp-0", "/h/data/datasets/ab") = 0';
  const syncFolder = '13 fsync(25</h/data/datasets>) = 0';
  const checkRenames = (...lines: string[]) =>
    renameFaults(parseTrace(lines.join('\n')), ['/h/data/datasets', '/h/keys']);

  it('passes a rename whose folder is synced before the next step', () => {
    const report = checkRenames(rename, syncFolder, ...frameOf(9, other));
    expect(report).toEqual({ renames: ['/h/data/datasets/ab'], faults: [] });
    expect(checkRenames('13 rename("/h/a", "/h/b") = 0').renames).toEqual([]);
  });

  it.each([
    ['no sync of the folder', [rename, ...frameOf(9, other)]],
    ['a sync of the folder before the rename', [syncFolder, rename]],
    ['a ledger that is written first', [rename, ...frameOf(9, other), syncFolder]],
    [
      'a checkpoint that is written first',
      [rename, '13 write(26</h/data/datasets/ab.checkpoint.tmp>, "x", 1) = 1', syncFolder],
    ],
    ['a sync of another folder', [rename, '13 fsync(25</h/keys>) = 0', sync]],
  ])('fails for a rename with %s', (_, lines) => {
    expect(checkRenames(...lines).faults).toHaveLength(1);
  });
});
