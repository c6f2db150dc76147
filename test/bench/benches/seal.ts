import { storeFrames } from '../stored-run.js';

export interface SealReport {
  readonly frames: number;
  /** From asking to seal to the signed checkpoint, all frames in one dataset, s. */
  readonly sealSeconds: number;
  /** `waystone verify` of that dataset: every signature, tree and hash, s. */
  readonly verifySeconds: number;
}

/** Seals so many frames into one dataset, then verifies it. What sealing costs ingest is the bench `starve`. */
export async function benchSeal(options: {
  frames: number;
  say: (line: string) => void;
}): Promise<SealReport> {
  const { gateway, frames } = await storeFrames(options.frames);
  try {
    const startMs = performance.now();
    await gateway.ask('POST', '/v1/batches/seal');
    const sealSeconds = (performance.now() - startMs) / 1000;
    const { datasets } = await gateway.ask<{ datasets: { folder: string }[] }>(
      'GET',
      '/v1/datasets',
    );
    const verifySeconds = await gateway.verify(datasets[0]?.folder ?? '');
    options.say(
      `${frames} frames: sealed in ${sealSeconds.toFixed(2)} s, verified in ${verifySeconds.toFixed(1)} s`,
    );
    return { frames, sealSeconds, verifySeconds };
  } finally {
    await gateway.remove();
  }
}
