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

/** A load process whose devices are enrolled and connected. */
export async function connectLoad(
  gateway: BenchGateway,
  options: {
    keyType: KeyType;
    framesEach: number;
    devices: number;
    envelopesEach: number;
    firstDevice?: number;
    parallel?: number;
    ca?: string;
  },
): Promise<{ load: CallableProcess<LoadCalls>; frameBytes: number }> {
  const { keyType, framesEach, devices, envelopesEach, firstDevice = 0, parallel = 32 } = options;
  const load = new CallableProcess<LoadCalls>('load/main.js');
  const { dids, frameBytes } = await load.calls.prepare({
    keyType,
    framesEach,
    firstDevice,
    devices,
    envelopesEach,
    realm: NO_REALM,
  });
  await gateway.enrol(dids);
  const ca = options.ca ?? null;
  await load.calls.connect({ port: gateway.mqttPort, gateway: gateway.did, ca, parallel });
  return { load, frameBytes };
}

/**
 * One measured run: a new gateway under as much load as it takes, killed with SIGKILL while the load goes on, and its
 * disk compared with what it acknowledged.
 */
export async function runIngest(options: IngestOptions): Promise<IngestResult> {
  const { connections, framesEach, window, warmUpSeconds, seconds } = options;
  const home = await BenchGateway.makeHome();
  const gateway = await BenchGateway.start(home, {
    ...options.gateway,
    set: [
      ...openTo(connections),
      `mqtt.inFlightPerConnectionMax=${Math.max(64, window)}`,
      `mqtt.inFlightPerDeviceMax=${Math.max(128, window)}`,
      ...(options.gateway?.set ?? []),
    ],
  });
  const { load } = await connectLoad(gateway, {
    keyType: options.keyType,
    framesEach,
    devices: connections,
    envelopesEach: Math.ceil(options.envelopes / connections),
  });
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
