import { resolve } from 'node:path';
import { LONG_TIMEOUT_MS } from '../api-client.js';
import type { AddCommand } from '../cli.js';
import { count, size } from '../format.js';

export const addBackup: AddCommand = (program, act) => {
  const command = program
    .command('backup')
    .argument('<folder>', "new folder on the gateway's machine")
    .description('have the running gateway write a backup of ledger and datasets')
    .addHelpText(
      'after',
      '\nKeys are not in it.\n\nExample:\n  waystone backup /mnt/backup/2026-11-22',
    );
  act(command, async (call, folder = '') => {
    const { body } = await (await call.api()).ask<{
      folder: string;
      datasets: number;
      bytes: number;
    }>('POST', '/v1/backup', { body: { folder: resolve(folder) }, timeoutMs: LONG_TIMEOUT_MS });
    call.print(
      body,
      () => `wrote ${count(body.datasets)} datasets, ${size(body.bytes)}, to ${body.folder}\n`,
    );
    return undefined;
  });
};
