import { chmod, cp, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { verifyPath } from '../../gateway/audit/verify.js';
import type { BatchStatus, DatasetStatus } from '../../gateway/core/view.js';
import { restoreBackup } from '../../gateway/ledger/restore.js';
import { makeHome, removeHome, startInProcess } from '../harness/gateway.js';

const folder = fileURLToPath(new URL('.', import.meta.url));
const releases = (await readdir(folder)).filter((name) => /^v\d/.test(name));

/** Each backup holds three envelopes of one device: two in a sealed dataset, one in an open batch. */
it.each(releases)('a backup that %s wrote, ledger included, is restored and goes on', async (release) => {
  const fixture = join(folder, release, 'backup');
  const { gateway: did, device } = JSON.parse(await readFile(join(fixture, 'expected.json'), 'utf8'));
  const home = await makeHome();
  try {
    const key = join(home, 'keys', 'gateway.key');
    await cp(join(fixture, 'test-only-gateway.key'), key);
    await chmod(key, 0o600);
    const dataFolder = join(home, 'data');
    await restoreBackup({ backup: join(fixture, 'content'), dataFolder, home });
    const gateway = await startInProcess(home);
    try {
      expect(gateway.did).toBe(did);
      expect(await gateway.device(device)).toMatchObject({
        label: 'released',
        envelopes: 3,
        frames: 3,
        sessions: 1,
        gaps: [],
      });
      const { batches } = await gateway.ask<{ batches: BatchStatus[] }>('GET', '/v1/batches');
      expect(batches.map(({ state, entries }) => [state, entries])).toEqual([
        ['open', 1],
        ['sealed', 2],
      ]);
      await gateway.seal();
      const { datasets } = await gateway.ask<{ datasets: DatasetStatus[] }>('GET', '/v1/datasets');
      expect(datasets).toHaveLength(2);
      for (const dataset of datasets) {
        expect((await verifyPath(dataset.folder, { gatewayDid: did })).result).toBe('verified');
      }
    } finally {
      await gateway.stop();
    }
  } finally {
    await removeHome(home);
  }
});
