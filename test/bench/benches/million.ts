import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import Database from 'better-sqlite3';
import { BenchGateway } from '../gateway-process.js';
import { connectLoad, openTo } from '../gateway-run.js';

export interface MillionReport {
  readonly frames: number;
  readonly frameBytes: number;
  /** From SIGKILL with all frames stored to the moment when MQTT and /readyz answer, s. */
  readonly restartSeconds: number;
  /** All frames in one batch. */
  readonly sealSeconds: number;
  /** Ledger, its WAL, batch files and dataset folders after sealing, over the frames' own bytes. */
  readonly diskRatio: number;
  readonly verifySeconds: number;
}

/** Stores so many frames (64 an envelope) in one open batch, then restarts, seals, and weighs the data folder. */
export async function benchMillion(options: {
  frames: number;
  say: (line: string) => void;
}): Promise<MillionReport> {
  const { frames, say } = options;
  const framesEach = 64;
  const devices = 50;
  const envelopes = Math.ceil(frames / framesEach / devices) * devices;
  const set = [
    ...openTo(devices),
    'batch.entriesMax=1048576',
    'batch.bytesMax=1073741824',
    'batch.ageSecondsMax=86400',
  ];
  const home = await BenchGateway.makeHome();
  let gateway = await BenchGateway.start(home, { set });
  const { load, frameBytes } = await connectLoad(gateway, {
    keyType: 'Ed25519',
    framesEach,
    devices,
    envelopesEach: envelopes / devices,
  });
  try {
    await load.calls.run(8);
    while ((await load.calls.count()).acknowledged < envelopes) await delay(50);
    load.kill();
    await gateway.kill();
    const killedMs = performance.now();
    gateway = await BenchGateway.start(home, { set });
    await gateway.ask('GET', '/readyz');
    const restartSeconds = (performance.now() - killedMs) / 1000;
    const sealMs = performance.now();
    await gateway.ask('POST', '/v1/batches/seal');
    const sealSeconds = (performance.now() - sealMs) / 1000;
    const { datasets } = await gateway.ask<{ datasets: { folder: string }[] }>(
      'GET',
      '/v1/datasets',
    );
    await gateway.stop();
    const database = new Database(join(home, 'data', 'ledger.sqlite'));
    database.pragma('wal_checkpoint(TRUNCATE)');
    database.close();
    const data = join(home, 'data');
    const bytes = bytesBelow(data);
    const total = envelopes * frameBytes;
    const verifySeconds = await gateway.verify(datasets[0]?.folder ?? '');
    const report = {
      frames: envelopes * framesEach,
      frameBytes: total,
      restartSeconds,
      sealSeconds,
      diskRatio: bytes / total,
      verifySeconds,
    };
    say(
      `${report.frames} frames of ${(total / report.frames).toFixed(0)} bytes: restart ${restartSeconds.toFixed(2)} s, ` +
        `seal ${sealSeconds.toFixed(2)} s, disk ${report.diskRatio.toFixed(3)} × their bytes, verify ${verifySeconds.toFixed(1)} s`,
    );
    return report;
  } finally {
    load.kill();
    await gateway.remove();
  }
}

function bytesBelow(folder: string): number {
  return readdirSync(folder, { withFileTypes: true }).reduce((sum, entry) => {
    const path = join(folder, entry.name);
    return sum + (entry.isDirectory() ? bytesBelow(path) : statSync(path).size);
  }, 0);
}
