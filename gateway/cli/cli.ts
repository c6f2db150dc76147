import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { Call } from './call.js';
import { addBackup } from './commands/backup.js';
import { addBatches } from './commands/batches.js';
import { addChain } from './commands/chain.js';
import { addChallenge } from './commands/challenge.js';
import { addDat } from './commands/dat.js';
import { addDatasets } from './commands/datasets.js';
import { addDemo } from './commands/demo.js';
import { addDevices } from './commands/devices.js';
import { addForge } from './commands/forge.js';
import { addFsck } from './commands/fsck.js';
import { addIdao } from './commands/idao.js';
import { addInit } from './commands/init.js';
import { addKeys } from './commands/keys.js';
import { addProve } from './commands/prove.js';
import { addRelays } from './commands/relays.js';
import { addRestore } from './commands/restore.js';
import { addStart } from './commands/start.js';
import { addStatus } from './commands/status.js';
import { addVerify } from './commands/verify.js';
import { EXIT } from './exit-code.js';
import type { Parts } from './parts.js';
import { reportError } from './report-error.js';
import type { Terminal } from './terminal.js';

/** Gives a command what it does; the number that it returns is the exit code, 0 by default. */
export type AddAction = <Options extends object = object>(
  command: Command,
  action: (call: Call<Options>, ...positional: string[]) => Promise<number | undefined>,
) => Command;

/** A file of `commands/`: adds its command, or group of commands, to the program. */
export type AddCommand = (program: Command, act: AddAction) => void;

/** In the order of `waystone --help`. */
const COMMANDS: readonly AddCommand[] = [
  addInit,
  addStart,
  addStatus,
  addDevices,
  addRelays,
  addBatches,
  addDatasets,
  addProve,
  addVerify,
  addChallenge,
  addForge,
  addIdao,
  addDat,
  addChain,
  addFsck,
  addBackup,
  addRestore,
  addKeys,
  addDemo,
];

/**
 * Runs one command line.
 *
 * @param args Without `node` and the script's name.
 * @returns The exit code: 0 done, 1 failed, 2 wrong usage or configuration, 3 only from `verify`.
 */
export async function runCli(
  args: readonly string[],
  terminal: Terminal,
  parts: Parts,
): Promise<number> {
  let exitCode: number = EXIT.ok;
  const act: AddAction = (command, action) =>
    command.action(async () => {
      exitCode = (await action(new Call(command, terminal, parts), ...command.args)) ?? EXIT.ok;
    });

  const program = buildProgram(terminal);
  for (const add of COMMANDS) add(program, act);
  try {
    await program.parseAsync(args, { from: 'user' });
    return exitCode;
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return EXIT.ok;
    // Help that was shown because a command is missing is its own message.
    if (error instanceof CommanderError && error.code === 'commander.help') return EXIT.usage;
    const flags = { json: args.includes('--json'), verbose: args.includes('--verbose') };
    return reportError(error, flags, terminal);
  }
}

function buildProgram(terminal: Terminal): Command {
  return new Command('waystone')
    .description('Turns signed sensor frames into datasets that anyone can check.')
    .version(version(), '-V, --version', 'show the version')
    .option('--home <folder>', 'home of the gateway (default: $WAYSTONE_HOME, else ~/.waystone)')
    .option('--url <url>', "the running gateway's API (default: $WAYSTONE_URL, else from the home)")
    .option('--json', 'answer with JSON')
    .option('--verbose', 'show the stack of an error')
    .helpOption('-h, --help', 'show this help')
    .helpCommand(false)
    .configureHelp({ showGlobalOptions: true })
    .configureOutput({
      writeOut: (text) => terminal.out(text),
      writeErr: (text) => terminal.err(text),
      // Said once, in our own form, by reportError().
      outputError: () => undefined,
    })
    .exitOverride()
    .addHelpText(
      'after',
      `
Exit codes: 0 done, 1 failed, 2 wrong usage or configuration,
            3 from verify: consistent, but the signer was not pinned.
            From verify and fsck, 2 is also: it cannot be read.
A gateway on another machine: WAYSTONE_URL and WAYSTONE_TOKEN.

Example:
  waystone init && waystone start`,
    );
}

function version(): string {
  // One folder up in the sources, two in dist/.
  for (const up of ['../package.json', '../../package.json']) {
    try {
      return JSON.parse(readFileSync(new URL(up, import.meta.url), 'utf8')).version;
    } catch {}
  }
  return 'unknown';
}
