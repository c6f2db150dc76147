import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse } from 'smol-toml';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { WaystoneError } from '../core/errors.js';
import { defaultConfigFile } from './default-file.js';
import { type ConfigSources, homeFolder, loadConfig } from './load-config.js';
import { CONFIG_KEYS, CONFIG_SCHEMA } from './schema.js';

describe('configuration', () => {
  let home: string;
  beforeEach(() => {
    home = mkdtempSync(join(tmpdir(), 'waystone-config-'));
  });
  afterEach(() => rmSync(home, { recursive: true, force: true }));

  const write = (toml: string) => writeFileSync(join(home, 'waystone.toml'), toml);
  const load = (sources: Partial<ConfigSources> = {}) =>
    loadConfig({ home, environment: {}, ...sources });
  const failure = (sources: Partial<ConfigSources> = {}): WaystoneError => {
    try {
      load(sources);
    } catch (error) {
      if (error instanceof WaystoneError) return error;
      throw error;
    }
    throw new Error('the configuration was accepted');
  };

  it('has working defaults without any file', () => {
    expect(load()).toEqual({
      home,
      dataFolder: join(home, 'data'),
      mqtt: {
        host: '127.0.0.1',
        port: 1883,
        connectionsMax: 2000,
        connectionsPerAddressMax: 1000,
        connectsPerSecondMax: 200,
        connectBurstMax: 1000,
        loginsPerMinuteMax: 30,
        inFlightPerConnectionMax: 64,
        inFlightPerConnectionBytesMax: 4_194_304,
        inFlightPerDeviceMax: 128,
        inFlightPerDeviceBytesMax: 8_388_608,
        inFlightMax: 20_000,
        inFlightBytesMax: 67_108_864,
        messagesPerSecondMax: 1000,
        bytesPerSecondMax: 16_777_216,
        burstSeconds: 10,
        unsentBytesMax: 1_048_576,
        slowReaderSeconds: 30,
        keepAliveSecondsMax: 1200,
        connectTimeoutSeconds: 10,
        loginDelaySecondsMax: 10,
      },
      sessions: { newPerDayMax: 288, newBurstMax: 1000, closedKept: 16 },
      http: { host: '127.0.0.1', port: 8484, publicUrl: '', publishFolder: '' },
      streams: [{ id: 1, name: 'drive' }],
      batch: {
        entriesMax: 16_384,
        bytesMax: 67_108_864,
        ageSecondsMax: 600,
        entriesMin: 64,
        bytesMin: 1_048_576,
        quietAgeSecondsMax: 21_600,
      },
      disk: {
        reservedBytes: 268_435_456,
        unsealedBytesMax: 4_294_967_296,
        unforgedBytesMax: 0,
        unforgedHoursMax: 0,
        forgedBytesMax: 0,
        forgedDaysKept: 0,
      },
      chain: {
        network: 'local',
        target: 'waystone',
        rpcUrls: [],
        chainId: 0,
        genesisHash: '',
        factoryAddress: '',
        registryAddress: '',
        datAddress: '',
        datasetForgeAddress: '',
        idaoAddress: '',
        keystoreFile: join(home, 'keys', 'operator.json'),
        passwordFile: '',
        confirmations: 0,
        fees: 'auto',
        feeMaxGwei: 100,
        bumpAfterSeconds: 60,
        bundleDatasetsMax: 16,
        bundleGasMax: 8_000_000,
      },
      lazai: {
        dataRegistryAddress: '',
        verifiedComputingAddress: '',
        tokenAddress: '',
        feeMaxCoins: '0.001',
        spendMaxCoins: '1',
        acceptedKeys: [],
      },
      dat: { quotaCalls: 10_000, shareWeight: 10_000, expiresAfterDays: 0, policyUrl: '' },
      idao: { name: 'Waystone iDAO', description: '' },
      log: { level: 'info' },
    });
  });

  it('lets file win over defaults, environment over file, and flags over environment', () => {
    const environment: Record<string, string> = {};
    expect(load({ environment }).mqtt.port).toBe(1883);
    write('[mqtt]\nport = 2001\n');
    expect(load({ environment }).mqtt.port).toBe(2001);
    environment.WAYSTONE_MQTT_PORT = '2002';
    expect(load({ environment }).mqtt.port).toBe(2002);
    const flags = [{ key: 'mqtt.port', value: '2003', flag: '--mqtt-port' }];
    expect(load({ environment, flags }).mqtt.port).toBe(2003);
    expect(load({ environment, flags, set: ['mqtt.port=2004', 'mqtt.port=2005'] }).mqtt.port).toBe(
      2005,
    );
  });

  it('takes an empty environment variable as not set', () => {
    write('[log]\nlevel = "warn"\n');
    expect(load({ environment: { WAYSTONE_LOG_LEVEL: '' } }).log.level).toBe('warn');
  });

  it('reads streams from file, environment and flag, sorted by id', () => {
    write('[streams]\nlidar = 7\ndrive = 1\n');
    expect(load().streams).toEqual([
      { id: 1, name: 'drive' },
      { id: 7, name: 'lidar' },
    ]);
    expect(load({ environment: { WAYSTONE_STREAMS: 'drive=1, air-quality=3' } }).streams).toEqual([
      { id: 1, name: 'drive' },
      { id: 3, name: 'air-quality' },
    ]);
    expect(load({ set: ['streams=only=9'] }).streams).toEqual([{ id: 9, name: 'only' }]);
  });

  it.each([
    'drive=0',
    'drive=4294967296',
    'Drive=1',
    'drive',
    'drive=1,drive=2',
    'a=1,b=1',
    'a=1=2',
    ',',
  ])('refuses the streams %j', (streams) => {
    const error = failure({ environment: { WAYSTONE_STREAMS: streams } });
    expect(error.code).toBe('CONFIG_INVALID');
    expect(error.message).toContain('environment variable WAYSTONE_STREAMS');
    expect(error.message).toContain('allowed is at least one name = id');
  });

  it.each([
    ['[mqtt]\n\nport = 70000\n', 3, 'mqtt.port is 70000', 'an integer from 0 to 65535'],
    ['[mqtt]\nport = "1883"\n', 2, 'mqtt.port is "1883"', 'an integer from 0 to 65535'],
    ['[mqtt]\nport = 1.5\n', 2, 'mqtt.port is 1.5', 'an integer'],
    ['[mqtt]\nport = nan\n', 2, 'mqtt.port is null', 'an integer'],
    ['[mqtt]\nhost = ""\n', 2, 'mqtt.host is ""', 'a host name or IP address'],
    ['[chain]\nnetwork = "mainnet"\n', 2, 'chain.network is "mainnet"', '"local", "none"'],
    ['[chain]\nrpcUrls = "ftp://a, b"\n', 2, 'chain.rpcUrls is "ftp://a, b"', 'http or https URLs'],
    ['[chain]\ndatAddress = "0x12"\n', 2, 'chain.datAddress is "0x12"', 'an address (0x and 40'],
    ['[chain]\ngenesisHash = "1"\n', 2, 'chain.genesisHash is "1"', 'a hash (0x and 64'],
    ['[chain]\nfeeMaxGwei = 0\n', 2, 'chain.feeMaxGwei is 0', 'an integer from 1'],
    ['[dat]\npolicyUrl = "licence"\n', 2, 'dat.policyUrl is "licence"', 'a URL'],
    ['dataFolder = 5\n', 1, 'dataFolder is 5', 'a path'],
    ['idao.name = ""\n', 1, 'idao.name is ""', 'text of 1 to 64 characters'],
    ['[batch]\nageSecondsMax = 1979-05-27\n', 2, 'batch.ageSecondsMax is', 'an integer'],
    ['[http]\npublicUrl = "gateway.example"\n', 2, 'http.publicUrl is "gateway.example"', 'https'],
    ['[http]\npublicUrl = "https://a/"\n', 2, 'http.publicUrl is "https://a/"', 'slash'],
    ['[http]\npublicUrl = "https://u:p@a"\n', 2, 'http.publicUrl is "https://u:p@a"', 'user'],
    ['[streams]\nDrive = 1\n', 1, 'streams is {"Drive":1}', 'at least one name = id'],
    ['streams = "drive"\n', 1, 'streams is "drive"', 'at least one name = id'],
  ])('names setting, line, value and what is allowed: %j', (toml, line, got, allowed) => {
    write(toml);
    const error = failure();
    expect(error.code).toBe('CONFIG_INVALID');
    expect(error.message).toContain(got);
    expect(error.message).toContain(`${join(home, 'waystone.toml')}:${line}`);
    expect(error.message).toContain(allowed);
  });

  it('names environment variable and flag as the source', () => {
    expect(failure({ environment: { WAYSTONE_HTTP_PORT: '84x' } }).message).toBe(
      'http.port is "84x" (environment variable WAYSTONE_HTTP_PORT), allowed is an integer from 0 to 65535',
    );
    expect(failure({ set: ['http.port=-1'] }).message).toContain('http.port is -1 (flag --set)');
    expect(
      failure({ flags: [{ key: 'log.level', value: 'loud', flag: '--log-level' }] }).message,
    ).toContain('log.level is "loud" (flag --log-level), allowed is one of "trace"');
  });

  it.each([
    ['[mqtt]\nprot = 1\n', 'mqtt.prot', 'did you mean mqtt.port?'],
    ['[mqtt]\nconnections_max = 1\n', 'mqtt.connections_max', 'did you mean mqtt.connectionsMax?'],
    ['[mqqt]\nport = 1\n', 'mqqt', 'did you mean mqtt?'],
    ['[mqtt.tls]\nport = 1\n', 'mqtt.tls', 'is not a setting'],
    ['zebra = 1\n', 'zebra', 'waystone init'],
    ['__proto__ = 1\n', '__proto__', 'is not a setting'],
  ])('suggests the nearest setting for %j', (toml, key, suggestion) => {
    write(toml);
    const error = failure();
    expect(error.code).toBe('CONFIG_INVALID');
    expect(error.message).toContain(key);
    expect(error.message).toContain(suggestion);
  });

  it('suggests the nearest environment variable, and lets those of other uses be', () => {
    expect(failure({ environment: { WAYSTONE_MQQT_PORT: '1' } }).message).toContain(
      'did you mean WAYSTONE_MQTT_PORT?',
    );
    const environment = {
      WAYSTONE_URL: 'http://x',
      WAYSTONE_TOKEN: 'x',
      WAYSTONE_TEST_CRASH_AT: 'x',
      WAYSTONE_SERVICE_HOST: '10.0.0.1',
      WAYSTONE_PORT_1883_TCP: 'tcp://10.0.0.1:1883',
    };
    expect(load({ environment })).toEqual(load());
  });

  it('points at the line of a syntax error', () => {
    write('[mqtt]\nport = = 3\n');
    expect(failure().message).toMatch(/waystone\.toml:2 is not TOML: /);
  });

  it.each(['mqtt = 5\n', 'mqtt = [1]\n'])('wants a table for a section, not %j', (toml) => {
    write(toml);
    expect(failure().message).toContain('must be a table: write [mqtt]');
  });

  it.each(['mqtt.port', '=1', ''])('refuses --set %j', (pair) => {
    expect(failure({ set: [pair] }).message).toContain('--set mqtt.port=1884');
  });

  it('takes LazAI’s contracts on its own networks only, and amounts of coin to the wei', () => {
    const lazai = ['chain.network=lazai-testnet', 'chain.target=lazai'];
    const set = [...lazai, 'lazai.feeMaxCoins=0.000000000000000100'];
    const accepted = `lazai.acceptedKeys=${'ab'.repeat(32)}, ${'cd'.repeat(32)}`;
    const config = load({ set: [...set, accepted] });
    expect(config.chain).toMatchObject({ network: 'lazai-testnet', target: 'lazai' });
    expect(config.lazai).toMatchObject({
      ...{ feeMaxCoins: '0.000000000000000100', spendMaxCoins: '1' },
      acceptedKeys: ['ab'.repeat(32), 'cd'.repeat(32)],
    });
    for (const network of ['local', 'none', 'metis', 'hyperion-testnet']) {
      const { message } = failure({ set: [...lazai, `chain.network=${network}`] });
      expect(message).toContain(`chain.network is "${network}"`);
    }
    for (const wrong of ['', '-1', '1e3', '.5', '1.', '0.0000000000000000001', 'all']) {
      const { message } = failure({ set: [...lazai, `lazai.spendMaxCoins=${wrong}`] });
      expect(message).toContain('an amount of coin in quotes');
    }
    const { message } = failure({ set: [...lazai, 'lazai.acceptedKeys=0xab'] });
    expect(message).toContain('fingerprints (64 hex digits in lower case)');
  });

  it('wants both TLS files or none, relative to the home', () => {
    write('[mqtt]\ntlsKeyFile = "tls/key.pem"\n');
    expect(failure().message).toContain('mqtt.tlsKeyFile');
    write('[mqtt]\ntlsKeyFile = "tls/key.pem"\ntlsCertificateFile = "/etc/waystone.pem"\n');
    expect(load().mqtt).toMatchObject({
      tlsKeyFile: join(home, 'tls/key.pem'),
      tlsCertificateFile: '/etc/waystone.pem',
    });
  });

  it('takes the home from flag, environment, user folder, in this order', () => {
    expect(homeFolder({ home: '/a', environment: { WAYSTONE_HOME: '/b' } })).toBe('/a');
    expect(homeFolder({ environment: { WAYSTONE_HOME: '/b' } })).toBe('/b');
    expect(homeFolder({ environment: {} })).toMatch(/\/\.waystone$/);
  });

  describe('the commented file', () => {
    it('holds the defaults when its settings are switched on', () => {
      const active = defaultConfigFile().replace(/^# ([A-Za-z]+ = .*)$/gm, '$1');
      const tables = parse(active) as Record<string, Record<string, unknown>>;
      for (const key of CONFIG_KEYS) {
        const found = key.section === '' ? tables[key.name] : tables[key.section]?.[key.name];
        expect(found, key.key).toEqual(key.fallback);
      }
      write(active);
      const withFile = load();
      rmSync(join(home, 'waystone.toml'));
      expect(withFile).toEqual(load());
    });

    it('sets nothing as it is', () => {
      write(defaultConfigFile());
      const withFile = load();
      rmSync(join(home, 'waystone.toml'));
      expect(withFile).toEqual(load());
    });

    it('tells the range and the environment variable of every setting', () => {
      const file = defaultConfigFile().replace(/\n# /g, ' ');
      for (const key of CONFIG_KEYS) {
        expect(file).toContain(`Allowed: ${key.allowed}. Environment: ${key.environment}`);
      }
      for (const section of Object.keys(CONFIG_SCHEMA)) {
        if (section !== '') expect(defaultConfigFile()).toContain(`\n[${section}]\n`);
      }
      expect(
        Math.max(
          ...defaultConfigFile()
            .split('\n')
            .map((line) => line.length),
        ),
      ).toBeLessThan(101);
    });
  });

  it('has a default for every setting that passes its own check', () => {
    for (const key of CONFIG_KEYS) {
      expect(key.schema.safeParse(key.fallback).success, key.key).toBe(true);
      expect(key.schema.safeParse({}).success, key.key).toBe(false);
    }
  });
});
