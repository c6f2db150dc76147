import { resolve } from 'node:path';
import { loadConfig } from '../../config/index.js';
import type { KeyPlaces } from '../../keys/key-backup.js';
import type { Call } from '../call.js';
import type { AddCommand } from '../cli.js';

interface KeysFlags {
  readonly passwordFile: string;
}

export const addKeys: AddCommand = (program, act) => {
  const keys = program.command('keys').description('encrypted backup of the keys');
  const withPassword = (name: string) =>
    keys
      .command(name)
      .argument('<file>', 'the encrypted file')
      .requiredOption(
        '--password-file <file>',
        'file (mode 0600) whose first line is the password',
      );

  const backup = withPassword('backup')
    .description("write the gateway's keys, the local chain's and the operator's into one file")
    .addHelpText(
      'after',
      `
Each key is a keystore of version 3 under this password; the operator's keeps the password that it has.
Datasets and ledger are another backup: waystone backup.

Example:
  waystone keys backup /mnt/usb/keys.json --password-file /mnt/usb2/password`,
    );
  act<KeysFlags>(backup, async (call, file = '') => {
    const { passwordFile } = call.options;
    const written = await call.parts.backUpKeys(placesOf(call), {
      file: resolve(file),
      passwordFile: resolve(passwordFile),
    });
    call.print(
      written,
      () => `wrote ${written.keys.join(', ')} of ${written.gateway} to ${written.file}\n`,
    );
    return undefined;
  });

  const restore = withPassword('restore')
    .description('put the keys of a backup in place; none replaces another')
    .addHelpText(
      'after',
      `
On a new box: restore the keys first, then waystone init, then waystone restore.

Example:
  waystone keys restore /mnt/usb/keys.json --password-file /mnt/usb2/password`,
    );
  act<KeysFlags>(restore, async (call, file = '') => {
    const { passwordFile } = call.options;
    const done = await call.parts.restoreKeys(placesOf(call), {
      file: resolve(file),
      passwordFile: resolve(passwordFile),
    });
    call.print(
      done,
      () =>
        `keys of ${done.gateway}: restored ${list(done.restored)}, there already ${list(done.kept)}\n`,
    );
    return undefined;
  });
};

function list(names: readonly string[]): string {
  return names.length === 0 ? 'none' : names.join(', ');
}

function placesOf({ home, terminal }: Call): KeyPlaces {
  const { dataFolder, chain } = loadConfig({ home, environment: terminal.environment });
  return { home, dataFolder, keystoreFile: chain.keystoreFile };
}
