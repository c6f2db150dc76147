import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { storeFrames } from '../stored-run.js';

export interface DiskReport {
  readonly frames: number;
  /** Mean bytes of a frame. */
  readonly bytesPerFrame: number;
  /** Ledger, its WAL and dataset folders after sealing, over the frames' own bytes. */
  readonly ratio: number;
}

/** Weighs the data folder after so many frames were sealed. */
export async function benchDisk(options: {
  frames: number;
  say: (line: string) => void;
}): Promise<DiskReport> {
  const { gateway, home, frames, frameBytes } = await storeFrames(options.frames);
  try {
    await gateway.ask('POST', '/v1/batches/seal');
    await gateway.stop();
    const data = join(home, 'data');
    const database = new Database(join(data, 'ledger.sqlite'));
    database.pragma('wal_checkpoint(TRUNCATE)');
    database.close();
    const report = {
      frames,
      bytesPerFrame: frameBytes / frames,
      ratio: bytesBelow(data) / frameBytes,
    };
    options.say(
      `disk: ${report.ratio.toFixed(3)} × the bytes of ${frames} frames of ${report.bytesPerFrame.toFixed(0)} bytes`,
    );
    return report;
  } finally {
    await gateway.remove();
  }
}

function bytesBelow(folder: string): number {
  return readdirSync(folder, { withFileTypes: true }).reduce((sum, entry) => {
    const path = join(folder, entry.name);
    return sum + (entry.isDirectory() ? bytesBelow(path) : statSync(path).size);
  }, 0);
}
