import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker, type WorkerOptions } from 'node:worker_threads';

/**
 * Young generation of a thread that only answers now and then, MB. V8 lets it grow to 48 MB in a burst, of logins for
 * instance, and gives back little of that afterwards.
 */
export const SMALL_THREAD = { resourceLimits: { maxYoungGenerationSizeMb: 6 } };

/**
 * Starts a thread of the gateway. Node 20 cannot load TypeScript in a worker, so threads run from `dist/` also
 * when the caller runs from source.
 *
 * @param here the caller's import.meta.url; the thread's file lies beside it.
 */
export function startThread(here: string, name: string, options: WorkerOptions): Worker {
  const caller = fileURLToPath(here);
  if (!caller.endsWith('.ts')) return new Worker(join(dirname(caller), name), options);
  const root = dirname(dirname(fileURLToPath(import.meta.url)));
  const file = join(root, 'dist', relative(root, dirname(caller)), name);
  // A test runner's flags make packages resolve to their sources, which `dist/` cannot load.
  return new Worker(file, { ...options, execArgv: [] });
}
