import { loadConfig } from '../../config/index.js';
import { WaystoneError } from '../../core/errors.js';
import type { Call } from '../call.js';
import type { AddCommand } from '../cli.js';
import { EXIT } from '../exit-code.js';
import { count } from '../format.js';
import { reportError } from '../report-error.js';

interface FsckFlags {
  readonly repair?: boolean;
  readonly quick?: boolean;
}

/** How often the line of progress changes, ms. */
const PROGRESS_EVERY_MS = 200;

export const addFsck: AddCommand = (program, act) => {
  const command = program
    .command('fsck')
    .description('check ledger, batch files, datasets and journal; the gateway must not be running')
    .option('--repair', 'mend what is provably safe; without it nothing is changed')
    .option('--quick', 'check datasets by the hashes in their manifests, not by device signatures')
    .addHelpText(
      'after',
      `
Ends with 0 when there is no fault (leftovers of a stop at the wrong moment are none), 1 when faults
are left, 2 when there is nothing that can be read, or a gateway runs.

Example:
  waystone fsck --repair`,
    );
  act<FsckFlags>(command, check);
};

async function check(call: Call<FsckFlags>): Promise<number> {
  const { home, options, parts, terminal } = call;
  const progress = progressLine(call);
  try {
    const { dataFolder } = loadConfig({ home, environment: terminal.environment });
    const result = await parts.fsck({
      home,
      dataFolder,
      repair: options.repair === true,
      quick: options.quick === true,
      onProgress: progress.show,
    });
    progress.clear();
    const { renderFsck } = await import('../../fsck/render.js');
    call.print(result, () => `${renderFsck(result)}\n`);
    return result.exitCode;
  } catch (error) {
    progress.clear();
    if (!(error instanceof WaystoneError)) throw error;
    // As from verify: 1 would say that faults were found, and nothing was looked at.
    reportError(error, options, terminal);
    return EXIT.usage;
  }
}

/** One line on standard error that changes, where people look at it. */
function progressLine({ terminal, options }: Call<FsckFlags>) {
  const isShown = terminal.isTty && options.json !== true;
  let shownAtMs = 0;
  return {
    show: (check: string, done: number, total: number | null): void => {
      if (!isShown || terminal.nowMs() - shownAtMs < PROGRESS_EVERY_MS) return;
      shownAtMs = terminal.nowMs();
      const of = total === null ? '' : ` of ${count(total)}`;
      terminal.err(`\r\u001b[K${check}: ${count(done)}${of}`);
    },
    clear: (): void => {
      if (shownAtMs > 0) terminal.err('\r\u001b[K');
    },
  };
}
