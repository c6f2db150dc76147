import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

/**
 * Path of a thread's compiled file. Node 20 cannot load TypeScript in a worker, so threads run from `dist/`
 * also when the caller runs from source.
 *
 * @param here the caller's import.meta.url; the thread's file lies beside it.
 */
export function threadFile(here: string, name: string): string {
  const caller = fileURLToPath(here);
  if (!caller.endsWith('.ts')) return join(dirname(caller), name);
  const root = dirname(dirname(fileURLToPath(import.meta.url)));
  return join(root, 'dist', relative(root, dirname(caller)), name);
}
