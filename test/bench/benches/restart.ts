import { BenchGateway } from '../gateway-process.js';
import { storeFrames } from '../stored-run.js';

export interface RestartReport {
  readonly frames: number;
  /** From the start of the process after a SIGKILL to when MQTT and /readyz answer, s. */
  readonly seconds: number;
}

/** Kills a gateway that holds so many frames unsealed, and starts it again. */
export async function benchRestart(options: {
  frames: number;
  say: (line: string) => void;
}): Promise<RestartReport> {
  const { gateway, home, set, frames } = await storeFrames(options.frames);
  let running = gateway;
  try {
    await gateway.kill();
    const startMs = performance.now();
    running = await BenchGateway.start(home, { set });
    await running.ask('GET', '/readyz');
    const seconds = (performance.now() - startMs) / 1000;
    options.say(`restart after SIGKILL with ${frames} frames stored: ${seconds.toFixed(2)} s`);
    return { frames, seconds };
  } finally {
    await running.remove();
  }
}
