/**
 * Where the crash tests kill the process: right after each durable or visible step. Does nothing unless
 * WAYSTONE_TEST_CRASH_AT names the point; then SIGKILL, so that nothing gets to clean up.
 */
export function crashPoint(name: string): void {
  if (process.env.WAYSTONE_TEST_CRASH_AT === name) process.kill(process.pid, 'SIGKILL');
}
