import { CommanderError } from 'commander';
import { messageOf, WaystoneError } from '../core/errors.js';
import { exitCodeOf } from './exit-code.js';
import { plain } from './format.js';
import type { Terminal } from './terminal.js';

/**
 * Says why a command did not do its work: one line on standard error, or with --json one object on standard output.
 *
 * @returns the exit code that belongs to it.
 */
export function reportError(
  error: unknown,
  flags: { readonly json?: boolean; readonly verbose?: boolean },
  terminal: Terminal,
): number {
  const { code, message } = describe(error);
  if (flags.json === true) {
    terminal.out(`${JSON.stringify({ error: { code, message } }, null, 2)}\n`);
  } else {
    terminal.err(`${code}: ${plain(message)}\n`);
  }
  if (flags.verbose === true && error instanceof Error) terminal.err(`${stackOf(error)}\n`);
  return exitCodeOf(code);
}

function describe(error: unknown): { code: string; message: string } {
  if (error instanceof WaystoneError) return error;
  if (error instanceof CommanderError) {
    const message = error.message.replace(/^error: /, '').replace(/\s*\n\s*/g, ' ');
    return { code: 'USAGE', message: `${message} (waystone --help shows what there is)` };
  }
  return { code: 'INTERNAL', message: messageOf(error) };
}

function stackOf(error: Error): string {
  const cause = error.cause instanceof Error ? `\ncaused by ${stackOf(error.cause)}` : '';
  return `${error.stack ?? error.message}${cause}`;
}
