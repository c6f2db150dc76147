import { didFromKey } from '@waystone/proto';
import { homePaths, initHome, loadKeys } from '../../config/index.js';
import type { AddCommand } from '../cli.js';
import { pairs } from '../format.js';

export const addInit: AddCommand = (program, act) => {
  const command = program
    .command('init')
    .description('make the home of a gateway: commented configuration, keys and API token')
    .option('--force', 'write the configuration file anew; keys and token are kept')
    .addHelpText('after', '\nExample:\n  waystone init --home /var/lib/waystone');
  act<{ force?: boolean }>(command, async (call) => {
    const { home } = call;
    const { created } = await initHome(home, { force: call.options.force === true });
    const gateway = didFromKey((await loadKeys(home)).gateway.publicKey);
    const paths = homePaths(home);
    call.print(
      { home, gateway, created },
      () =>
        `${pairs([
          ['gateway', gateway],
          ['settings', paths.config],
          ['keys', `${paths.keys} (keep a copy of both off this machine)`],
          ['API token', paths.token],
        ])}\nNext: waystone start\n`,
    );
    return undefined;
  });
};
