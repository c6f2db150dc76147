import { readFileSync } from 'node:fs';

/**
 * Where the crash tests kill the process: right after each durable or visible step. Does nothing unless
 * WAYSTONE_TEST_CRASH_AT names the point, or an absolute path of a file that names it by then; then SIGKILL, so that
 * nothing gets to clean up.
 */
export function crashPoint(name: string): void {
  const at = process.env.WAYSTONE_TEST_CRASH_AT;
  if (at === undefined) return;
  if (at === name || (at.startsWith('/') && namedIn(at) === name)) {
    process.kill(process.pid, 'SIGKILL');
  }
}

function namedIn(file: string): string | null {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return null;
  }
}
