import { WaystoneError } from '../../core/errors.js';
import { demoScreen } from '../../demo/screen.js';
import type { AddCommand } from '../cli.js';
import { EXIT } from '../exit-code.js';

interface DemoFlags {
  readonly once?: boolean;
  readonly speed?: string;
  readonly json?: boolean;
}

/** Frames that share a signature in the demo: a second of driving at 10 fixes a second. */
const FRAMES_PER_ENVELOPE = 10;

export const addDemo: AddCommand = (program, act) => {
  const command = program
    .command('demo')
    .description('replay a recorded drive through a gateway of its own, forge it, check it')
    .option('--once', 'end after the check instead of staying up')
    .option('--speed <factor>', 'times faster than the drive was', '10')
    .addHelpText('after', '\nExample:\n  waystone demo --once --json');
  act<DemoFlags>(command, async ({ options, terminal, parts }) => {
    const columns = process.stderr.isTTY === true ? (process.stderr.columns ?? 80) : 0;
    const screen = demoScreen((text) => terminal.err(text), columns);
    terminal.err('\nWaystone demo: a recorded drive becomes datasets with an owner\n\n');
    const speed = parseSpeed(options.speed ?? '10');
    const demo = await parts.runDemo({ speed, framesPerEnvelope: FRAMES_PER_ENVELOPE }, screen);
    try {
      const { result } = demo;
      if (!options.once) {
        terminal.err(
          `\n${result.verified ? 'Everything was verified.' : 'Not everything was verified.'} Look around, then press Ctrl-C:\n\n  ${demo.statusPage}\n\n`,
        );
        await new Promise<void>((resolve) => {
          parts.onStopSignal(() => resolve());
        });
      }
      if (options.json) terminal.out(`${JSON.stringify(result)}\n`);
      else {
        terminal.out(
          `${result.verified ? 'verified' : 'NOT VERIFIED'}: ${result.frames} frames, ${result.envelopes} envelopes, ${result.datasets.length} datasets, ${result.seconds} s\n`,
        );
      }
      return result.verified ? EXIT.ok : EXIT.failed;
    } finally {
      await demo.stop();
    }
  });
};

/** @throws WaystoneError USAGE for anything that is no positive number. */
function parseSpeed(text: string): number {
  const speed = Number(text);
  if (!(speed > 0))
    throw new WaystoneError('USAGE', `--speed must be a number above 0, got ${text}`);
  return speed;
}
