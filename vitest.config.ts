import { defineConfig } from 'vitest/config';

// Unit tests load the workspaces' sources; only worker threads and child processes load dist/.
export default defineConfig({
  resolve: { conditions: ['waystone-source'] },
  ssr: { resolve: { conditions: ['waystone-source'] } },
  test: {
    include: ['{proto,device-sdk,firmware-bridge,gateway}/**/*.test.ts', 'test/**/*.test.ts'],
    exclude: ['**/node_modules/**', '**/dist/**', 'test/system/**'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    pool: 'forks',
    maxWorkers: 2,
  },
});
