import { runIngest } from '../gateway-run.js';

export interface GrowthRow {
  readonly devices: number;
  readonly cpuUsPerFrame: number;
  readonly framesPerSecond: number;
}

/** CPU a frame as the number of devices grows; each on its own connection up to a thousand of them at a time. */
export async function benchGrowth(options: {
  quick: boolean;
  say: (line: string) => void;
}): Promise<GrowthRow[]> {
  const { quick, say } = options;
  const rows: GrowthRow[] = [];
  for (const devices of quick ? [10, 300] : [10, 100, 1_000, 5_000]) {
    const result = await runIngest({
      keyType: 'Ed25519',
      framesEach: 16,
      connections: devices,
      window: Math.max(1, Math.min(32, Math.round(800 / devices))),
      warmUpSeconds: 2,
      seconds: quick ? 3 : 6,
      envelopes: Math.max(devices * 8, quick ? 30_000 : 60_000),
    });
    const row = {
      devices,
      cpuUsPerFrame: result.cpu.gateway,
      framesPerSecond: result.framesPerSecond,
    };
    rows.push(row);
    say(
      `growth: ${devices} devices: ${row.cpuUsPerFrame.toFixed(1)} µs of CPU a frame, ${row.framesPerSecond.toFixed(0)} frames/s`,
    );
  }
  return rows;
}
