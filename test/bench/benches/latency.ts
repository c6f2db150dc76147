import { BenchGateway } from '../gateway-process.js';
import { connectLoad, openTo } from '../gateway-run.js';
import { fdatasyncP50Ms } from '../machine.js';
import { quantile } from '../statistics.js';

export interface Quantiles {
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

export interface LatencyRow {
  readonly framesEach: number;
  readonly devices: number;
  readonly envelopesPerSecond: number;
  /** ms from the intended instant of sending. */
  readonly acknowledged: Quantiles;
  readonly receipted: Quantiles;
  /** Envelopes that the load itself sent more than 5 ms late. */
  readonly late: number;
  readonly fdatasyncP50Ms: readonly [number, number];
}

/** Open loop: envelopes leave at a fixed rate, whatever is unanswered, so that a stall is not hidden by waiting. */
export async function benchLatency(options: {
  quick: boolean;
  say: (line: string) => void;
}): Promise<LatencyRow[]> {
  const rows: LatencyRow[] = [];
  for (const framesEach of [1, 64]) {
    const seconds = options.quick ? 5 : 20;
    const row = await pacedRun({ framesEach, devices: 500, rate: 1000, seconds });
    rows.push(row);
    options.say(`latency, ${framesEach} frames an envelope: ${describe(row)}`);
  }
  return rows;
}

async function pacedRun(options: {
  framesEach: number;
  devices: number;
  rate: number;
  seconds: number;
}): Promise<LatencyRow> {
  const { framesEach, devices, rate, seconds } = options;
  const before = fdatasyncP50Ms();
  const gateway = await BenchGateway.start(await BenchGateway.makeHome(), { set: openTo(devices) });
  const envelopesEach = Math.ceil((rate * seconds) / devices) + 1;
  const keyType = 'secp256k1';
  const { load } = await connectLoad(gateway, { keyType, framesEach, devices, envelopesEach });
  try {
    const measured = await load.calls.pace({ rate, seconds });
    return {
      framesEach,
      devices,
      envelopesPerSecond: rate,
      acknowledged: quantilesOf(measured.acknowledged),
      receipted: quantilesOf(measured.receipted),
      late: measured.late,
      fdatasyncP50Ms: [before, fdatasyncP50Ms()],
    };
  } finally {
    load.kill();
    await gateway.remove();
  }
}

export function quantilesOf(values: readonly number[]): Quantiles {
  return { p50: quantile(values, 0.5), p99: quantile(values, 0.99), max: quantile(values, 1) };
}

function describe({ acknowledged, receipted, late }: LatencyRow): string {
  const text = ({ p50, p99, max }: Quantiles) =>
    `p50 ${p50.toFixed(1)}, p99 ${p99.toFixed(1)}, max ${max.toFixed(1)} ms`;
  return `PUBACK ${text(acknowledged)}; receipt ${text(receipted)}; sent late ${late}`;
}
