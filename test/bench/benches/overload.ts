import { setTimeout as delay } from 'node:timers/promises';
import { BenchGateway } from '../gateway-process.js';
import { connectLoad, openTo } from '../gateway-run.js';
import { residentBytesOf } from '../machine.js';

export interface OverloadReport {
  /** Resident MiB of the gateway over time, s. */
  readonly resident: readonly (readonly [seconds: number, mib: number])[];
  readonly envelopesPerSecond: number;
  readonly closed: number;
  readonly retries: number;
}

/** As many devices as can be, each with a full window, so that three times what it takes is always on offer. */
export async function benchOverload(options: {
  seconds: number;
  say: (line: string) => void;
}): Promise<OverloadReport> {
  const { seconds, say } = options;
  const devices = 300;
  const gateway = await BenchGateway.start(await BenchGateway.makeHome(), { set: openTo(devices) });
  const { load } = await connectLoad(gateway, {
    keyType: 'Ed25519',
    framesEach: 16,
    devices,
    envelopesEach: Math.ceil((seconds * 18_000) / devices),
  });
  try {
    await load.calls.run(256);
    const startMs = performance.now();
    const resident: [number, number][] = [];
    for (let at = 0; at < seconds; at = (performance.now() - startMs) / 1000) {
      resident.push([at, residentBytesOf(gateway.pid) / 2 ** 20]);
      await delay(Math.max(250, (seconds * 1000) / 200));
      if ((await load.calls.count()).exhausted === devices) break;
    }
    const { acknowledged, closed, retries, atMs: _ } = await load.calls.count();
    const elapsed = (performance.now() - startMs) / 1000;
    const most = Math.max(...resident.map(([, mib]) => mib));
    say(
      `overload: ${(acknowledged / elapsed).toFixed(0)} envelopes/s for ${elapsed.toFixed(0)} s, at most ${most.toFixed(0)} MiB resident, ${closed} connections closed, ${retries} told to retry`,
    );
    return { resident, envelopesPerSecond: acknowledged / elapsed, closed, retries };
  } finally {
    load.kill();
    await gateway.remove();
  }
}
