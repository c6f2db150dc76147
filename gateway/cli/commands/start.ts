import { rm } from 'node:fs/promises';
import {
  homeFolder,
  homePaths,
  initHome,
  isInitialised,
  loadConfig,
  loadToken,
} from '../../config/index.js';
import { createFile } from '../../core/durable.js';
import { WaystoneError } from '../../core/errors.js';
import type { Call } from '../call.js';
import type { AddCommand } from '../cli.js';
import { addressFile, localUrl } from '../endpoint.js';
import { EXIT } from '../exit-code.js';

interface StartOptions {
  readonly init?: boolean;
  readonly set?: readonly string[];
  readonly mqttPort?: string;
  readonly httpPort?: string;
  readonly network?: string;
  readonly dataFolder?: string;
  readonly logLevel?: string;
}

/** Flags for the settings that are changed most; `--set` reaches every other one. */
const FLAGS = [
  ['mqttPort', '--mqtt-port', 'mqtt.port'],
  ['httpPort', '--http-port', 'http.port'],
  ['network', '--network', 'chain.network'],
  ['dataFolder', '--data-folder', 'dataFolder'],
  ['logLevel', '--log-level', 'log.level'],
] as const;

export const addStart: AddCommand = (program, act) => {
  const command = program
    .command('start')
    .description('run the gateway until SIGTERM or SIGINT')
    .option('--init', 'make the home first if it is missing')
    .option(
      '--set <key=value>',
      'change a setting; can be given many times',
      (pair: string, before: readonly string[] = []) => [...before, pair],
    )
    .option('--mqtt-port <port>', 'port for devices, 0 takes a free one')
    .option('--http-port <port>', 'port of API and status page, 0 takes a free one')
    .option('--network <name>', 'where datasets are forged: local, none, or a public network')
    .option('--data-folder <folder>', 'folder of ledger and datasets')
    .option('--log-level <level>', 'trace, debug, info, warn, error or silent')
    .addHelpText(
      'after',
      '\nExample:\n  waystone start --mqtt-port 1884 --set batch.ageSecondsMax=60',
    );
  act<StartOptions>(command, start);
};

async function start(call: Call<StartOptions>): Promise<number> {
  const { options, terminal, parts } = call;
  const home = homeFolder({ home: options.home, environment: terminal.environment });
  if (!(await isInitialised(home))) {
    if (!options.init) {
      throw new WaystoneError(
        'HOME_MISSING',
        `${home} is not initialised; run waystone init, or name another home with --home`,
      );
    }
    await initHome(home);
    terminal.err(`made ${home}; settings are in ${homePaths(home).config}\n`);
  }
  const config = loadConfig({
    home,
    environment: terminal.environment,
    set: options.set ?? [],
    flags: FLAGS.flatMap(([name, flag, key]) => {
      const value = options[name];
      return value === undefined ? [] : [{ key, value, flag }];
    }),
  });
  const { createLogger } = await import('../log-lines.js');
  const logger = createLogger(config.log.level, terminal);

  // From here on a signal is heard, so that one during the start does not kill a half-started gateway.
  let requestStop: (signal: string) => void = () => undefined;
  const stopRequested = new Promise<string>((done) => {
    requestStop = done;
  });
  let signals = 0;
  const removeHandler = parts.onStopSignal((signal) => {
    signals += 1;
    if (signals > 1) parts.exitNow(EXIT.failed);
    requestStop(signal);
  });
  try {
    const onFatal = (error: Error) => {
      // Going on could acknowledge what is not on disk; the service manager starts us again.
      logger.error({ err: error }, 'the gateway must end');
      parts.exitNow(EXIT.failed);
    };
    const gateway = await parts.startGateway(config, { logger, onFatal });
    await announce(call, home, localUrl(config.http.host, gateway.httpPort));

    const signal = await stopRequested;
    logger.info({ signal }, 'stopping');
    await rm(addressFile(home), { force: true });
    await gateway.stop();
    logger.info({}, 'stopped');
    return EXIT.ok;
  } finally {
    removeHandler();
  }
}

/** Leaves the address for the other commands, and on a terminal a link that needs no typing. */
async function announce(call: Call, home: string, url: string): Promise<void> {
  await createFile(addressFile(home), `${url}\n`, 0o600, { replace: true });
  // Never in a log: the link holds the token.
  if (call.terminal.isTty && !call.options.json) {
    call.terminal.out(`\nStatus page: ${url}/#token=${await loadToken(home)}\n\n`);
  }
}
