import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { parse, TomlError } from 'smol-toml';
import type { Config } from '../core/config.js';
import { messageOf, WaystoneError } from '../core/errors.js';
import { nearest } from './nearest.js';
import {
  CONFIG_KEYS,
  CONFIG_SCHEMA,
  type ConfigKey,
  environmentName,
  STREAMS_ALLOWED,
  STREAMS_DEFAULT,
  STREAMS_SCHEMA,
  splitList,
} from './schema.js';
import { keyLines } from './toml-lines.js';

export const CONFIG_FILE = 'waystone.toml';

export interface ConfigSources {
  /** Wins over WAYSTONE_HOME. */
  readonly home?: string | undefined;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** `key=value` of each `--set`, the last one wins. */
  readonly set?: readonly string[];
  /** Settings by plain flags: key, value as typed, and the flag's name for messages. */
  readonly flags?: readonly {
    readonly key: string;
    readonly value: string;
    readonly flag: string;
  }[];
}

/** A value and where it came from, as messages name it. */
interface Setting {
  readonly value: unknown;
  readonly from: string;
}

/** `--home`, else `$WAYSTONE_HOME`, else `~/.waystone`; absolute. */
export function homeFolder(sources: Pick<ConfigSources, 'home' | 'environment'>): string {
  const named = sources.home || sources.environment.WAYSTONE_HOME;
  return named ? resolve(named) : join(homedir(), '.waystone');
}

/**
 * Reads the configuration: defaults, then `<home>/waystone.toml` (which may be missing), then WAYSTONE_*
 * variables, then flags; the later wins.
 *
 * @throws WaystoneError CONFIG_INVALID that names the setting, where it came from, what was got and what is
 *   allowed.
 */
export function loadConfig(sources: ConfigSources): Config {
  const home = homeFolder(sources);
  const settings = new Map<string, Setting>();
  readFile(join(home, CONFIG_FILE), settings);
  readEnvironment(sources.environment, settings);
  readFlags(sources, settings);
  return checkSettings(home, settings);
}

function invalid(message: string, options?: { cause?: unknown }): WaystoneError {
  return new WaystoneError('CONFIG_INVALID', message, options);
}

function readFile(path: string, settings: Map<string, Setting>): void {
  let toml: string;
  let tables: Record<string, unknown>;
  try {
    toml = readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw invalid(`${path} cannot be read: ${messageOf(error)}`, { cause: error });
  }
  try {
    tables = parse(toml);
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    const what = error.message.split('\n')[0]?.replace('Invalid TOML document: ', '');
    throw invalid(`${path}:${error.line} is not TOML: ${what}`, { cause: error });
  }
  const lines = keyLines(toml);
  const place = (key: string) => (lines.has(key) ? `${path}:${lines.get(key)}` : path);
  for (const [name, value] of Object.entries(tables)) {
    if (name === 'streams' && isTable(value) && Object.keys(value).length === 0) {
      // The default file has the table with everything in it commented out: nothing is set.
    } else if (name === 'streams') {
      settings.set(name, { value, from: place(name) });
    } else if (Object.hasOwn(CONFIG_SCHEMA, name) && name !== '') {
      if (!isTable(value)) {
        throw invalid(
          `${name} (${place(name)}) must be a table: write [${name}] and its settings below`,
        );
      }
      for (const [inner, innerValue] of Object.entries(value)) {
        addSetting(settings, `${name}.${inner}`, innerValue, place(`${name}.${inner}`));
      }
    } else {
      addSetting(settings, name, value, place(name));
    }
  }
}

/** WAYSTONE_* names that are not settings. */
const OTHER_VARIABLES =
  // Kubernetes adds WAYSTONE_SERVICE_HOST, WAYSTONE_PORT_… for a service that is called waystone.
  /^WAYSTONE_(HOME|URL|TOKEN|TEST_.*|SERVICE_.*|PORT|PORT_.*)$/;

function readEnvironment(
  environment: ConfigSources['environment'],
  settings: Map<string, Setting>,
): void {
  const names = new Map(CONFIG_KEYS.map((key) => [key.environment, key.key]));
  names.set(environmentName('streams'), 'streams');
  for (const [name, value] of Object.entries(environment)) {
    if (!name.startsWith('WAYSTONE_') || OTHER_VARIABLES.test(name)) continue;
    // Compose and systemd files make empty variables of unset ones, so empty means "not set".
    if (value === undefined || value === '') continue;
    const key = names.get(name);
    const from = `environment variable ${name}`;
    if (key === undefined) {
      throw invalid(`${from} is not a setting${didYouMean(name, [...names.keys()])}`);
    }
    addTypedSetting(settings, key, value, from);
  }
}

function readFlags(sources: ConfigSources, settings: Map<string, Setting>): void {
  for (const { key, value, flag } of sources.flags ?? []) {
    addTypedSetting(settings, key, value, `flag ${flag}`);
  }
  for (const pair of sources.set ?? []) {
    const at = pair.indexOf('=');
    if (at < 1) throw invalid(`flag --set ${pair} must look like --set mqtt.port=1884`);
    addTypedSetting(settings, pair.slice(0, at).trim(), pair.slice(at + 1).trim(), 'flag --set');
  }
}

/** Adds a setting that came as text, turned into the kind that its key has. */
function addTypedSetting(
  settings: Map<string, Setting>,
  key: string,
  typed: string,
  from: string,
): void {
  if (key === 'streams') {
    settings.set(key, { value: parseStreams(typed), from });
    return;
  }
  const isInteger = CONFIG_KEYS.find((known) => known.key === key)?.kind === 'integer';
  const value = isInteger && /^-?\d{1,15}$/.test(typed) ? Number(typed) : typed;
  addSetting(settings, key, value, from);
}

function addSetting(
  settings: Map<string, Setting>,
  key: string,
  value: unknown,
  from: string,
): void {
  if (!CONFIG_KEYS.some((known) => known.key === key)) {
    const all = [
      ...CONFIG_KEYS.map((known) => known.key),
      ...Object.keys(CONFIG_SCHEMA),
      'streams',
    ];
    throw invalid(`${key} (${from}) is not a setting${didYouMean(key, all.filter(Boolean))}`);
  }
  settings.set(key, { value, from });
}

/** `drive=1,lidar=2`; anything that is not of this form is left for the check to refuse. */
function parseStreams(typed: string): unknown {
  const streams: Record<string, unknown> = {};
  for (const pair of typed.split(',')) {
    const [name = '', id = '', ...rest] = pair.split('=').map((part) => part.trim());
    if (rest.length > 0 || !/^\d{1,10}$/.test(id) || Object.hasOwn(streams, name)) return typed;
    streams[name] = Number(id);
  }
  return streams;
}

function didYouMean(word: string, candidates: readonly string[]): string {
  const guess = nearest(word, candidates);
  return guess === null
    ? '; "waystone init" writes a file with all settings'
    : `; did you mean ${guess}?`;
}

function isTable(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function checkSettings(home: string, settings: ReadonlyMap<string, Setting>): Config {
  const checked = new Map(CONFIG_KEYS.map((key) => [key.key, checkSetting(key, settings)]));
  const number = (key: string) => checked.get(key) as number;
  const text = (key: string) => checked.get(key) as string;
  const path = (key: string) => resolve(home, text(key));

  const hasCertificate = text('mqtt.tlsCertificateFile') !== '';
  if (hasCertificate !== (text('mqtt.tlsKeyFile') !== '')) {
    const given = hasCertificate ? 'mqtt.tlsCertificateFile' : 'mqtt.tlsKeyFile';
    throw invalid(
      `${given} (${settings.get(given)?.from}) is set alone; TLS needs mqtt.tlsCertificateFile and mqtt.tlsKeyFile`,
    );
  }

  if (text('chain.target') === 'lazai' && !text('chain.network').startsWith('lazai')) {
    throw invalid(
      `chain.target is "lazai" (${settings.get('chain.target')?.from}) and chain.network is "${text('chain.network')}"; ` +
        'LazAI\'s contracts are on the networks "lazai" and "lazai-testnet"',
    );
  }

  return {
    home,
    dataFolder: text('dataFolder') === '' ? join(home, 'data') : path('dataFolder'),
    mqtt: {
      host: text('mqtt.host'),
      port: number('mqtt.port'),
      ...(hasCertificate && {
        tlsCertificateFile: path('mqtt.tlsCertificateFile'),
        tlsKeyFile: path('mqtt.tlsKeyFile'),
      }),
      connectionsMax: number('mqtt.connectionsMax'),
      connectionsPerAddressMax: number('mqtt.connectionsPerAddressMax'),
      connectsPerSecondMax: number('mqtt.connectsPerSecondMax'),
      connectBurstMax: number('mqtt.connectBurstMax'),
      loginsPerMinuteMax: number('mqtt.loginsPerMinuteMax'),
      inFlightPerConnectionMax: number('mqtt.inFlightPerConnectionMax'),
      inFlightPerConnectionBytesMax: number('mqtt.inFlightPerConnectionBytesMax'),
      inFlightPerDeviceMax: number('mqtt.inFlightPerDeviceMax'),
      inFlightPerDeviceBytesMax: number('mqtt.inFlightPerDeviceBytesMax'),
      inFlightMax: number('mqtt.inFlightMax'),
      inFlightBytesMax: number('mqtt.inFlightBytesMax'),
      messagesPerSecondMax: number('mqtt.messagesPerSecondMax'),
      bytesPerSecondMax: number('mqtt.bytesPerSecondMax'),
      burstSeconds: number('mqtt.burstSeconds'),
      unsentBytesMax: number('mqtt.unsentBytesMax'),
      slowReaderSeconds: number('mqtt.slowReaderSeconds'),
      keepAliveSecondsMax: number('mqtt.keepAliveSecondsMax'),
      connectTimeoutSeconds: number('mqtt.connectTimeoutSeconds'),
      loginDelaySecondsMax: number('mqtt.loginDelaySecondsMax'),
    },
    sessions: {
      newPerDayMax: number('sessions.newPerDayMax'),
      newBurstMax: number('sessions.newBurstMax'),
      closedKept: number('sessions.closedKept'),
    },
    http: {
      host: text('http.host'),
      port: number('http.port'),
      publicUrl: text('http.publicUrl'),
      publishFolder: text('http.publishFolder'),
    },
    streams: checkStreams(settings.get('streams')),
    batch: {
      entriesMax: number('batch.entriesMax'),
      bytesMax: number('batch.bytesMax'),
      ageSecondsMax: number('batch.ageSecondsMax'),
      entriesMin: number('batch.entriesMin'),
      bytesMin: number('batch.bytesMin'),
      quietAgeSecondsMax: number('batch.quietAgeSecondsMax'),
    },
    disk: {
      reservedBytes: number('disk.reservedBytes'),
      unsealedBytesMax: number('disk.unsealedBytesMax'),
      unforgedBytesMax: number('disk.unforgedBytesMax'),
      unforgedHoursMax: number('disk.unforgedHoursMax'),
      forgedBytesMax: number('disk.forgedBytesMax'),
      forgedDaysKept: number('disk.forgedDaysKept'),
    },
    chain: {
      network: text('chain.network') as Config['chain']['network'],
      target: text('chain.target') as Config['chain']['target'],
      rpcUrls: splitList(text('chain.rpcUrls')),
      chainId: number('chain.chainId'),
      genesisHash: text('chain.genesisHash').toLowerCase(),
      factoryAddress: text('chain.factoryAddress'),
      registryAddress: text('chain.registryAddress'),
      datAddress: text('chain.datAddress'),
      datasetForgeAddress: text('chain.datasetForgeAddress'),
      idaoAddress: text('chain.idaoAddress'),
      keystoreFile: path('chain.keystoreFile'),
      passwordFile: text('chain.passwordFile') === '' ? '' : path('chain.passwordFile'),
      confirmations: number('chain.confirmations'),
      fees: text('chain.fees') as Config['chain']['fees'],
      feeMaxGwei: number('chain.feeMaxGwei'),
      bumpAfterSeconds: number('chain.bumpAfterSeconds'),
      bundleDatasetsMax: number('chain.bundleDatasetsMax'),
      bundleGasMax: number('chain.bundleGasMax'),
    },
    lazai: {
      dataRegistryAddress: text('lazai.dataRegistryAddress'),
      verifiedComputingAddress: text('lazai.verifiedComputingAddress'),
      tokenAddress: text('lazai.tokenAddress'),
      feeMaxCoins: text('lazai.feeMaxCoins'),
      spendMaxCoins: text('lazai.spendMaxCoins'),
      acceptedKeys: splitList(text('lazai.acceptedKeys')),
    },
    dat: {
      quotaCalls: number('dat.quotaCalls'),
      shareWeight: number('dat.shareWeight'),
      expiresAfterDays: number('dat.expiresAfterDays'),
      policyUrl: text('dat.policyUrl'),
    },
    idao: { name: text('idao.name'), description: text('idao.description') },
    log: { level: text('log.level') as Config['log']['level'] },
  };
}

function checkSetting(key: ConfigKey, settings: ReadonlyMap<string, Setting>): string | number {
  const setting = settings.get(key.key);
  const result = key.schema.safeParse(setting?.value);
  if (result.success) return result.data;
  throw invalid(
    `${key.key} is ${shown(setting?.value)} (${setting?.from}), allowed is ${key.allowed}`,
  );
}

function checkStreams(setting: Setting | undefined): Config['streams'] {
  const result = STREAMS_SCHEMA.safeParse(setting?.value ?? STREAMS_DEFAULT);
  if (!result.success) {
    throw invalid(
      `streams is ${shown(setting?.value)} (${setting?.from}), allowed is ${STREAMS_ALLOWED}`,
    );
  }
  return Object.entries(result.data)
    .map(([name, id]) => ({ id, name }))
    .sort((left, right) => left.id - right.id);
}

/** A value for a message: JSON, cut at a length that leaves the message readable. */
function shown(value: unknown): string {
  const json =
    JSON.stringify(value, (_, item) => (typeof item === 'bigint' ? String(item) : item)) ??
    String(value);
  return json.length > 120 ? `${json.slice(0, 120)}…` : json;
}
