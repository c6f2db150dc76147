import { resolve } from 'node:path';
import { loadConfig } from '../../config/index.js';
import type { AddCommand } from '../cli.js';
import { count } from '../format.js';

export const addRestore: AddCommand = (program, act) => {
  const command = program
    .command('restore')
    .argument('<folder>', 'a backup')
    .description('put a backup in place; the gateway must not be running')
    .addHelpText(
      'after',
      '\nThe restored gateway starts a new log, as its old one may have gone on after the backup.\n\nExample:\n  waystone restore /mnt/backup/2026-11-22',
    );
  act(command, async (call, folder = '') => {
    const { home } = call;
    const { dataFolder } = loadConfig({ home, environment: call.terminal.environment });
    const backup = resolve(folder);
    const restored = await call.parts.restoreBackup({ backup, dataFolder, home });
    call.print(
      restored,
      () =>
        `restored ${count(restored.datasets)} datasets; the new log is ${restored.logId}\nNext: waystone start\n`,
    );
    return undefined;
  });
};
