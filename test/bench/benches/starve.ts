import { setTimeout as delay } from 'node:timers/promises';
import { BenchGateway } from '../gateway-process.js';
import { connectLoad, openTo } from '../gateway-run.js';
import { type Quantiles, quantilesOf } from './latency.js';

export interface StarveRow {
  readonly beside: string;
  /** Part of the offered envelopes that was acknowledged while the other work went on. */
  readonly kept: number;
  readonly acknowledged: Quantiles;
}

/** Ingest at half its peak while other stages work: what they cost it. */
export async function benchStarve(options: {
  quick: boolean;
  say: (line: string) => void;
}): Promise<{ peak: number; rows: StarveRow[] }> {
  const { quick, say } = options;
  const framesEach = 64;
  const devices = 50;
  const seconds = quick ? 3 : 5;
  const set = [
    ...openTo(devices),
    'batch.entriesMax=1048576',
    'batch.bytesMax=1073741824',
    'batch.ageSecondsMax=86400',
  ];
  const gateway = await BenchGateway.start(await BenchGateway.makeHome(), {
    set,
    network: 'local',
  });
  const { load } = await connectLoad(gateway, {
    realm: await gateway.realm(),
    keyType: 'Ed25519',
    framesEach,
    devices,
    // 1.9 GB: three seconds at a peak of 10,000 envelopes/s, and five times five at half of it.
    envelopesEach: quick ? 2000 : 3400,
  });
  try {
    // What seals later, and how fast ingest is alone.
    await load.calls.run(8);
    await delay(1_000);
    const begin = await load.calls.count();
    await delay(quick ? 1_000 : 2_000);
    const end = await load.calls.count();
    await load.calls.hold();
    await load.calls.settle(10_000);
    const peak = ((end.acknowledged - begin.acknowledged) * 1000) / (end.atMs - begin.atMs);
    say(`starve: peak ${peak.toFixed(0)} envelopes/s alone`);
    const rows: StarveRow[] = [];
    const measure = async (beside: string, work: () => Promise<unknown>): Promise<void> => {
      const paced = load.calls.pace({ rate: peak / 2, seconds });
      let isOver = false;
      const over = () => {
        isOver = true;
      };
      // Before anything is waited for: a failure that nobody listens to would end the bench and leave its gateway.
      void paced.then(over, over);
      await delay(1_500);
      await work();
      while (!isOver && beside !== 'nothing') {
        await delay(50);
        if (beside !== 'sealing') await work();
      }
      const { inTime, acknowledged } = await paced;
      const row = {
        beside,
        kept: inTime / Math.floor((peak / 2) * seconds),
        acknowledged: quantilesOf(acknowledged),
      };
      rows.push(row);
      say(
        `starve: beside ${beside}: ${(row.kept * 100).toFixed(0)} % kept, PUBACK p50 ${row.acknowledged.p50.toFixed(1)}, p99 ${row.acknowledged.p99.toFixed(1)} ms`,
      );
    };
    await measure('nothing', async () => undefined);
    await measure('sealing', () => gateway.ask('POST', '/v1/batches/seal'));
    await measure('forging', async () => {
      await gateway.ask('POST', '/v1/batches/seal');
      await delay(1_000);
    });
    await measure('API queries', async () => {
      for (const path of ['/v1/status', '/v1/batches', '/v1/devices', '/metrics']) {
        await gateway.ask('GET', path);
      }
    });
    const { datasets } = await gateway.ask<{ datasets: { folder: string }[] }>(
      'GET',
      '/v1/datasets',
    );
    await measure('verify', () => gateway.verify(datasets[0]?.folder ?? ''));
    return { peak, rows };
  } finally {
    load.kill();
    await gateway.remove();
  }
}
