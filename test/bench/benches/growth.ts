import { setTimeout as delay } from 'node:timers/promises';
import { BenchGateway } from '../gateway-process.js';
import { connectLoad, openTo } from '../gateway-run.js';
import { cpuUsOf } from '../machine.js';
import { ONE_BATCH } from '../stored-run.js';

/** What a frame costs when there is so much of something. */
export interface GrowthPoint {
  readonly count: number;
  readonly cpuUsPerFrame: number;
}

export interface GrowthReport {
  readonly devices: readonly GrowthPoint[];
  readonly storedFrames: readonly GrowthPoint[];
  readonly datasets: readonly GrowthPoint[];
}

/** CPU of the gateway for each frame as devices, stored frames and kept datasets grow. */
export async function benchGrowth(options: {
  quick: boolean;
  /** Most frames stored; 10,000,000 takes some minutes. */
  frames: number;
  say: (line: string) => void;
}): Promise<GrowthReport> {
  const { quick, frames, say } = options;
  const tell = (of: string, point: GrowthPoint): GrowthPoint => {
    say(`growth: ${point.count} ${of}: ${point.cpuUsPerFrame.toFixed(1)} µs of CPU a frame`);
    return point;
  };
  const devices: GrowthPoint[] = [];
  for (const count of quick ? [10, 300] : [10, 100, 1_000, 10_000]) {
    devices.push(tell('devices', await withDevices(count, quick)));
  }
  const storedFrames = await withFrames(quick ? 100_000 : frames, (point) =>
    tell('frames stored', point),
  );
  const datasets = await withDatasets(quick ? [1, 100] : [1, 100, 1_000, 10_000], (point) =>
    tell('datasets kept', point),
  );
  return { devices, storedFrames, datasets };
}

/** Each device on a connection of its own, all of them together always at the same rate. */
async function withDevices(devices: number, quick: boolean): Promise<GrowthPoint> {
  const rate = quick ? 2_000 : 5_000;
  const framesEach = 16;
  // A verifier gets the record of each device once, before its first envelope there.
  const warmUpSeconds = quick ? 2 : 8;
  // Some six datasets are sealed meanwhile.
  const measuredSeconds = quick ? 3 : 20;
  const seconds = warmUpSeconds + measuredSeconds + 1;
  const gateway = await BenchGateway.start(await BenchGateway.makeHome(), { set: openTo(devices) });
  try {
    const { load } = await connectLoad(gateway, {
      keyType: 'Ed25519',
      framesEach,
      devices,
      envelopesEach: Math.ceil((rate * seconds) / devices) + 1,
    });
    const cpuUsPerFrame = async (): Promise<number> => {
      await delay(warmUpSeconds * 1000);
      const cpuBeforeUs = cpuUsOf(gateway.pid);
      const before = await load.calls.count();
      await delay(measuredSeconds * 1000);
      const after = await load.calls.count();
      const frames = (after.acknowledged - before.acknowledged) * framesEach;
      return (cpuUsOf(gateway.pid) - cpuBeforeUs) / frames;
    };
    try {
      const [measured] = await Promise.all([cpuUsPerFrame(), load.calls.pace({ rate, seconds })]);
      return { count: devices, cpuUsPerFrame: measured };
    } finally {
      load.kill();
    }
  } finally {
    await gateway.remove();
  }
}

/** One gateway that is filled, measured over what it takes next after each power of ten. */
async function withFrames(
  most: number,
  tell: (point: GrowthPoint) => GrowthPoint,
): Promise<GrowthPoint[]> {
  const framesEach = 4;
  const devices = 50;
  const gateway = await BenchGateway.start(await BenchGateway.makeHome(), { set: openTo(devices) });
  const points: GrowthPoint[] = [];
  try {
    let stored = 0;
    for (let count = 10_000, firstDevice = 0; count <= most; count *= 10, firstDevice += devices) {
      const measured = Math.min(200_000, count);
      const { load } = await connectLoad(gateway, {
        keyType: 'Ed25519',
        framesEach,
        devices,
        envelopesEach: Math.ceil((count - stored + measured) / framesEach / devices),
        firstDevice,
      });
      await load.calls.run(16);
      await until(load, (count - stored) / framesEach);
      const cpuBeforeUs = cpuUsOf(gateway.pid);
      const before = await load.calls.count();
      await until(load, (count - stored + measured) / framesEach - devices);
      const after = await load.calls.count();
      const frames = (after.acknowledged - before.acknowledged) * framesEach;
      points.push(tell({ count, cpuUsPerFrame: (cpuUsOf(gateway.pid) - cpuBeforeUs) / frames }));
      await load.calls.settle(60_000);
      stored += (await load.calls.count()).acknowledged * framesEach;
      load.kill();
    }
    return points;
  } finally {
    await gateway.remove();
  }
}

/** One gateway that keeps ever more datasets of two envelopes each, measured with ordinary batches each time. */
async function withDatasets(
  counts: readonly number[],
  tell: (point: GrowthPoint) => GrowthPoint,
): Promise<GrowthPoint[]> {
  const framesEach = 16;
  const devices = 50;
  const home = await BenchGateway.makeHome();
  const points: GrowthPoint[] = [];
  let kept = 0;
  let firstDevice = 0;
  const gatewayWith = (set: readonly string[]): Promise<BenchGateway> =>
    BenchGateway.start(home, { set: [...openTo(devices), ...set] });
  const loadFor = (gateway: BenchGateway, envelopesEach: number) => {
    firstDevice += devices;
    const keyType = 'Ed25519';
    return connectLoad(gateway, { keyType, framesEach, devices, envelopesEach, firstDevice });
  };
  let gateway = await gatewayWith(['batch.entriesMax=2']);
  try {
    for (const count of counts) {
      const envelopesEach = Math.ceil(((count - kept) * 2) / devices);
      const filling = await loadFor(gateway, envelopesEach);
      await filling.load.calls.run(16);
      await until(filling.load, envelopesEach * devices);
      filling.load.kill();
      for (;;) {
        const { batches } = await gateway.ask<{ batches: Record<string, number> }>(
          'GET',
          '/v1/status',
        );
        if ((batches.open ?? 0) + (batches.sealing ?? 0) <= 1) break;
        await delay(200);
      }
      kept = count;
      await gateway.stop();

      gateway = await gatewayWith(ONE_BATCH);
      const { load } = await loadFor(gateway, 1_000);
      await load.calls.run(16);
      await until(load, 15_000);
      const cpuBeforeUs = cpuUsOf(gateway.pid);
      const before = await load.calls.count();
      await until(load, 45_000);
      const after = await load.calls.count();
      const frames = (after.acknowledged - before.acknowledged) * framesEach;
      points.push(tell({ count, cpuUsPerFrame: (cpuUsOf(gateway.pid) - cpuBeforeUs) / frames }));
      load.kill();
      await gateway.stop();
      gateway = await gatewayWith(['batch.entriesMax=2']);
    }
    return points;
  } finally {
    await gateway.remove();
  }
}

async function until(
  load: Awaited<ReturnType<typeof connectLoad>>['load'],
  acknowledged: number,
): Promise<void> {
  for (;;) {
    const now = await load.calls.count();
    if (now.acknowledged >= acknowledged) return;
    if (now.closed > 0) throw new Error(`the gateway closed ${now.closed} connections`);
    await delay(20);
  }
}
