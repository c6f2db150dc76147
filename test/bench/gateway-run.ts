import { setTimeout as delay } from 'node:timers/promises';
import type { KeyType } from '@waystone/proto';
import { BenchGateway, type GatewaySettings } from './gateway-process.js';
import type { Counts, LoadCalls } from './load/main.js';
import { cpuUsOf, threadCpuUsOf } from './machine.js';
import { CallableProcess } from './process-calls.js';
import { checkStored, type StoredReport } from './stored.js';

/** Statements of a gateway without a chain carry this realm. */
export const NO_REALM = '00'.repeat(32);

export interface IngestOptions {
  readonly keyType: KeyType;
  readonly framesEach: number;
  readonly connections: number;
  /** Envelopes of one connection that may be unanswered. */
  readonly window: number;
  /** Before the clock starts. */
  readonly warmUpSeconds: number;
  readonly seconds: number;
  /** Envelopes that are signed in all; a run that uses them up ends early. */
  readonly envelopes: number;
  readonly gateway?: GatewaySettings;
}

export interface IngestResult {
  readonly framesPerSecond: number;
  readonly envelopesPerSecond: number;
  /** µs of CPU a frame. */
  readonly cpu: { readonly gateway: number; readonly load: number };
  /** µs of CPU a frame of each thread that has a share, in order of their making; the first is the main thread. */
  readonly threads: readonly number[];
  readonly seconds: number;
  readonly outOfOrder: number;
  /** Receipts other than `stored`. */
  readonly otherReceipts: number;
  readonly stored: StoredReport;
}

/** Settings for a fleet on one address, and for devices that send as fast as they can. */
export function openTo(connections: number): string[] {
  const room = connections + 100;
  return [
    `mqtt.connectionsMax=${room}`,
    `mqtt.connectionsPerAddressMax=${room}`,
    'mqtt.connectsPerSecondMax=10000',
    `mqtt.connectBurstMax=${room}`,
    'mqtt.messagesPerSecondMax=0',
    'mqtt.bytesPerSecondMax=0',
  ];
}

export interface LoadOptions {
  readonly keyType: KeyType;
  readonly framesEach: number;
  readonly devices: number;
  readonly envelopesEach: number;
  readonly firstDevice?: number;
  /** Realm of the statements, 32 bytes in hex; that of a gateway without a chain unless it is given. */
  readonly realm?: string;
}

/** A load process whose envelopes are signed. */
interface PreparedLoad {
  readonly load: CallableProcess<LoadCalls>;
  readonly dids: readonly string[];
  /** Mean bytes of the frames of one envelope. */
  readonly frameBytes: number;
}

async function prepareLoad(options: LoadOptions): Promise<PreparedLoad> {
  const load = new CallableProcess<LoadCalls>('load/main.js');
  const prepared = await load.calls.prepare({ firstDevice: 0, realm: NO_REALM, ...options });
  return { load, ...prepared };
}

/** Enrols the devices of a load process and connects them. */
async function connect(gateway: BenchGateway, { load, dids }: PreparedLoad): Promise<void> {
  await gateway.enrol(dids);
  await load.calls.connect({
    port: gateway.mqttPort,
    gateway: gateway.did,
    ca: null,
    parallel: 32,
  });
}

/** A load process whose devices are enrolled and connected. */
export async function connectLoad(
  gateway: BenchGateway,
  options: LoadOptions,
): Promise<PreparedLoad> {
  const prepared = await prepareLoad(options);
  await connect(gateway, prepared);
  return prepared;
}

/**
 * One measured run: a new gateway under as much load as it takes, killed with SIGKILL while the load goes on, and its
 * disk compared with what it acknowledged.
 */
export async function runIngest(options: IngestOptions): Promise<IngestResult> {
  const { connections, framesEach, window, warmUpSeconds, seconds } = options;
  const home = await BenchGateway.makeHome();
  const set = [
    ...openTo(connections),
    `mqtt.inFlightPerConnectionMax=${Math.max(64, window)}`,
    `mqtt.inFlightPerDeviceMax=${Math.max(128, window)}`,
    ...(options.gateway?.set ?? []),
  ];
  const [gateway, prepared] = await Promise.all([
    BenchGateway.start(home, { ...options.gateway, set }),
    prepareLoad({
      keyType: options.keyType,
      framesEach,
      devices: connections,
      envelopesEach: Math.ceil(options.envelopes / connections),
    }),
  ]);
  const { load } = prepared;
  await connect(gateway, prepared);
  try {
    await load.calls.run(window);
    await delay(warmUpSeconds * 1000);
    const begin = await load.calls.count();
    const cpuBegin = cpuUsOf(gateway.pid);
    const threadsBegin = threadCpuUsOf(gateway.pid);
    const end = await countAfter(load, begin, seconds, connections);
    const cpuEnd = cpuUsOf(gateway.pid);
    const threadsEnd = threadCpuUsOf(gateway.pid);
    if (options.gateway?.profileFolder === undefined) await gateway.kill();
    else await gateway.stop();
    await delay(100); // What was on its way to the load.
    const last = await load.calls.count();
    const acknowledged = await load.calls.acknowledged();
    // Opened again by the product, since a part of what is stored is still in its redo file.
    await (await BenchGateway.start(home, { set })).stop();
    const elapsed = (end.atMs - begin.atMs) / 1000;
    const frames = (end.acknowledged - begin.acknowledged) * framesEach;
    return {
      framesPerSecond: frames / elapsed,
      envelopesPerSecond: frames / framesEach / elapsed,
      cpu: { gateway: (cpuEnd - cpuBegin) / frames, load: (end.cpuUs - begin.cpuUs) / frames },
      threads: threadShares(threadsBegin, threadsEnd, frames),
      seconds: elapsed,
      outOfOrder: last.outOfOrder,
      otherReceipts: last.otherReceipts,
      stored: checkStored(`${home}/data`, acknowledged, framesEach),
    };
  } finally {
    load.kill();
    await gateway.remove();
  }
}

function threadShares(
  begin: ReadonlyMap<number, number>,
  end: ReadonlyMap<number, number>,
  frames: number,
): number[] {
  return [...end]
    .sort(([a], [b]) => a - b)
    .map(([thread, us]) => (us - (begin.get(thread) ?? 0)) / frames)
    .filter((us) => us * frames > 10_000)
    .map((us) => Math.round(us * 100) / 100);
}

/** Counts after so many seconds, or sooner when the first connections have sent all they had. */
async function countAfter(
  load: CallableProcess<LoadCalls>,
  begin: Counts,
  seconds: number,
  connections: number,
): Promise<Counts> {
  let before = begin;
  for (;;) {
    const left = begin.atMs + seconds * 1000 - before.atMs;
    await delay(Math.max(1, Math.min(100, left)));
    const now = await load.calls.count();
    if (now.exhausted > connections / 10) return before === begin ? now : before;
    if (now.atMs - begin.atMs >= seconds * 1000) return now;
    before = now;
  }
}
