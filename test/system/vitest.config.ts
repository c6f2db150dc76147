import { defineConfig } from 'vitest/config';

// Tests that need outside parts from Debian; `.ci/run` installs them.
export default defineConfig({
  resolve: { conditions: ['waystone-source'] },
  ssr: { resolve: { conditions: ['waystone-source'] } },
  test: {
    include: ['test/system/**/*.test.ts'],
    testTimeout: 180_000,
    hookTimeout: 60_000,
    pool: 'forks',
    // Each waits for disks, clocks and networks for much of its time.
    maxWorkers: 2,
  },
});
