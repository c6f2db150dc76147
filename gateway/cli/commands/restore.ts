import { resolve } from 'node:path';
import { loadConfig } from '../../config/index.js';
import { WaystoneError } from '../../core/errors.js';
import type { Call } from '../call.js';
import type { AddCommand } from '../cli.js';
import { count } from '../format.js';

interface RestoreFlags {
  readonly newLog?: boolean;
}

export const addRestore: AddCommand = (program, act) => {
  const command = program
    .command('restore')
    .argument('[folder]', 'a backup')
    .option('--new-log', 'there is no backup: begin an empty ledger with a new log')
    .description('put a backup in place; the gateway must not be running')
    .addHelpText(
      'after',
      `
The restored gateway starts a new log, as its old one may have gone on after the backup. A ledger
that is there already is moved aside, never deleted.

Example:
  waystone restore /mnt/backup/2026-11-22`,
    );
  act<RestoreFlags>(command, restore);
};

async function restore(call: Call<RestoreFlags>, folder?: string): Promise<undefined> {
  const { home, parts } = call;
  const { dataFolder } = loadConfig({ home, environment: call.terminal.environment });
  if ((folder === undefined) === (call.options.newLog !== true)) {
    throw new WaystoneError('USAGE', 'name the folder of a backup, or give --new-log');
  }
  const aside = (movedAside: string | null): string =>
    movedAside === null ? '' : `what was there is in ${movedAside}\n`;
  if (folder === undefined) {
    const begun = await parts.startNewLedger({ dataFolder, home });
    call.print(begun, () => `${aside(begun.movedAside)}Next: waystone start, with a new log\n`);
    return undefined;
  }
  const restored = await parts.restoreBackup({ backup: resolve(folder), dataFolder, home });
  call.print(
    restored,
    () =>
      `restored ${count(restored.datasets)} datasets; the new log is ${restored.logId}\n${aside(restored.movedAside)}Next: waystone start\n`,
  );
  return undefined;
}
