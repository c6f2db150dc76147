import { loadConfig } from '../../config/index.js';
import type { Finding } from '../../forge/preflight.js';
import type { Call } from '../call.js';
import type { AddCommand } from '../cli.js';
import { EXIT } from '../exit-code.js';

export const addChain: AddCommand = (program, act) => {
  const chain = program
    .command('chain')
    .description('the chain that datasets are forged on')
    .addHelpText('after', '\nExample:\n  waystone chain preflight');
  const command = chain
    .command('preflight')
    .description('look at all that must be right before anything can be forged; sends nothing')
    .addHelpText(
      'after',
      `
Ends with 0 when nothing stands in the way, 1 when something does. It works without a running gateway.

Example:
  waystone chain preflight --json`,
    );
  act(command, preflight);
};

const own = (code: string, what: string): Finding => ({
  ...{ level: 'ok', code, what },
  ...{ facts: {}, todo: '' },
});

/** Networks that nobody has to prepare. */
const OWN: Readonly<Record<string, Finding>> = {
  none: own('CHAIN_NONE', 'no chain is configured: datasets are sealed and wait'),
  local: own('CHAIN_LOCAL', 'the gateway starts its own chain, and sets it up by itself'),
};

async function preflight(call: Call): Promise<number> {
  const { home, parts, terminal } = call;
  const config = loadConfig({ home, environment: terminal.environment });
  const { network } = config.chain;
  const findings = OWN[network] === undefined ? await parts.preflight(config) : [OWN[network]];
  const stops = findings.filter(({ level }) => level === 'stop').length;
  const value = { network, findings };
  call.print(value, () => `${findings.map(describe).join('')}${verdict(stops)}\n`);
  return stops === 0 ? EXIT.ok : EXIT.failed;
}

function describe({ level, code, what, todo }: Finding): string {
  const advice = todo === '' ? '' : `     do: ${todo}\n`;
  return `${level.padEnd(4)} ${what} (${code})\n${advice}`;
}

function verdict(stops: number): string {
  if (stops === 0) return 'nothing stands in the way';
  return stops === 1 ? 'one thing stands in the way' : `${stops} things stand in the way`;
}
