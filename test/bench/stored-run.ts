import { setTimeout as delay } from 'node:timers/promises';
import { BenchGateway } from './gateway-process.js';
import { connectLoad, openTo } from './gateway-run.js';

/** A gateway with many frames in one open batch, after the load has gone. */
export interface StoredRun {
  readonly gateway: BenchGateway;
  readonly home: string;
  /** Settings that it runs with: one batch takes everything until it is asked to seal. */
  readonly set: readonly string[];
  readonly frames: number;
  /** Bytes of all frames. */
  readonly frameBytes: number;
}

const FRAMES_EACH = 64;
const DEVICES = 50;

/** Settings under which nothing is sealed by itself. */
export const ONE_BATCH = [
  'batch.entriesMax=1048576',
  'batch.bytesMax=1073741824',
  'batch.ageSecondsMax=86400',
];

/** Stores so many frames, 64 an envelope; whoever asks removes the gateway. */
export async function storeFrames(frames: number): Promise<StoredRun> {
  const envelopesEach = Math.ceil(frames / FRAMES_EACH / DEVICES);
  const envelopes = envelopesEach * DEVICES;
  const set = [...openTo(DEVICES), ...ONE_BATCH];
  const home = await BenchGateway.makeHome();
  const gateway = await BenchGateway.start(home, { set });
  try {
    const { load, frameBytes } = await connectLoad(gateway, {
      keyType: 'Ed25519',
      framesEach: FRAMES_EACH,
      devices: DEVICES,
      envelopesEach,
    });
    try {
      await load.calls.run(8);
      while ((await load.calls.count()).acknowledged < envelopes) await delay(50);
    } finally {
      load.kill();
    }
    return {
      gateway,
      home,
      set,
      frames: envelopes * FRAMES_EACH,
      frameBytes: envelopes * frameBytes,
    };
  } catch (error) {
    await gateway.remove();
    throw error;
  }
}
