import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import type { HalfOpenReport } from './half-open-process.js';

const VANISHED = 40;
const HEALTHY = 3;

it('forgets peers that vanished without a word, while the others are served', async () => {
  const program = fileURLToPath(new URL('../dist/system/half-open-process.js', import.meta.url));
  // A network namespace of its own, so that its loopback link can go down.
  const { stdout } = await promisify(execFile)('unshare', ['-n', process.execPath, program]);
  const report = JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as HalfOpenReport;
  const { gatewayEnds, clientEnds, left, healthy, lost, twice } = report;
  console.log(
    `half-open: ${gatewayEnds - clientEnds} peers vanished; ${left} connections left; ` +
      `healthy devices: published ${healthy.sent}, acknowledged ${healthy.acknowledged}, ` +
      `receipts ${healthy.stored}\nacked but lost: ${lost}, stored twice: ${twice}`,
  );
  expect({ gatewayEnds, clientEnds }).toEqual({
    gatewayEnds: VANISHED + HEALTHY,
    clientEnds: HEALTHY,
  });
  expect(left).toBe(HEALTHY);
  expect(healthy.sent).toBeGreaterThan(0);
  expect(healthy).toMatchObject({ acknowledged: healthy.sent, stored: healthy.sent });
  expect({ lost, twice }).toEqual({ lost: 0, twice: 0 });
}, 180_000);
