import { setTimeout as delay } from 'node:timers/promises';
import { BenchGateway } from '../gateway-process.js';
import { connectLoad, openTo } from '../gateway-run.js';
import { residentBytesOf } from '../machine.js';

export interface IdleReport {
  readonly devices: number;
  readonly residentMib: { readonly before: number; readonly after: number };
  readonly connectSeconds: number;
}

/** Long enough for threads to give back what the burst of logins left. */
const SILENCE_MS = 75_000;

/** Devices that are logged in, subscribed to receipts and settings, and silent; from two load processes. */
export async function benchIdle(options: {
  devices: number;
  say: (line: string) => void;
}): Promise<IdleReport> {
  const { devices, say } = options;
  const gateway = await BenchGateway.start(await BenchGateway.makeHome(), { set: openTo(devices) });
  const loads = [];
  try {
    const before = residentBytesOf(gateway.pid);
    const startMs = performance.now();
    for (const part of [0, 1]) {
      const half = devices / 2;
      const { load } = await connectLoad(gateway, {
        keyType: 'secp256k1',
        framesEach: 1,
        devices: half,
        envelopesEach: 0,
        firstDevice: part * half,
      });
      loads.push(load);
    }
    const connectSeconds = (performance.now() - startMs) / 1000;
    await delay(SILENCE_MS);
    const report = {
      devices,
      residentMib: {
        before: before / 2 ** 20,
        after: residentBytesOf(gateway.pid) / 2 ** 20,
      },
      connectSeconds,
    };
    say(
      `idle: ${devices} devices, ${report.residentMib.after.toFixed(0)} MiB resident (${report.residentMib.before.toFixed(0)} without), enrolled and connected in ${connectSeconds.toFixed(1)} s`,
    );
    return report;
  } finally {
    for (const load of loads) load.kill();
    await gateway.remove();
  }
}
