import { z } from 'zod';
import { type Config, NETWORKS, TARGETS } from '../core/config.js';

const MIB = 1024 * 1024;

const integer = (min: number, max: number) => z.int().min(min).max(max);
const text = (charsMax: number) => z.string().max(charsMax);
const host = z
  .string()
  .max(253)
  .regex(/^[A-Za-z0-9.:_-]+$/, 'a host name or IP address');
const file = text(4096);
const address = z
  .string()
  .max(42)
  .regex(/^(0x[0-9a-fA-F]{40})?$/)
  .default('');

/** An amount of coin, exactly. */
const coins = z
  .string()
  .max(31)
  .regex(/^[0-9]{1,12}(\.[0-9]{1,18})?$/);

/** Whether an address names nobody who logs in. */
function isPlain(url: string): boolean {
  const { username, password } = new URL(url);
  return username === '' && password === '';
}

/** Parts of a list that is written with commas. */
export function splitList(value: string): string[] {
  return value
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');
}

/**
 * Every setting: its type, default, range and meaning. The defaults, the checks, the commented file and the
 * names of the environment variables all come from here. Names are those of {@link Config}.
 */
export const CONFIG_SCHEMA = {
  '': {
    about: 'Where things are.',
    keys: {
      dataFolder: file
        .default('')
        .describe(
          'Folder of ledger, datasets and local chain. Empty is the folder "data" of the home; a relative path is relative to the home.',
        ),
    },
  },
  mqtt: {
    about: 'The embedded MQTT broker that devices talk to.',
    keys: {
      host: host
        .default('127.0.0.1')
        .describe(
          'Address to listen on; 0.0.0.0 opens it to the network, and TLS should then be on.',
        ),
      port: integer(0, 65_535).default(1883).describe('TCP port; 0 takes a free one.'),
      tlsCertificateFile: file
        .default('')
        .describe('PEM file of the TLS certificate chain; set it together with tlsKeyFile.'),
      tlsKeyFile: file.default('').describe('PEM file of the TLS private key.'),
      connectionsMax: integer(1, 100_000)
        .default(2000)
        .describe('Connections at once; more are closed at once. Bounds memory.'),
      connectionsPerAddressMax: integer(1, 100_000)
        .default(1000)
        .describe('Connections at once from one address (of IPv6: one /64).'),
      connectsPerSecondMax: integer(1, 100_000)
        .default(200)
        .describe('New connections a second from one address; further ones wait for their turn.'),
      connectBurstMax: integer(1, 100_000)
        .default(1000)
        .describe('New connections from one address that need not wait, after a quiet time.'),
      loginsPerMinuteMax: integer(1, 10_000)
        .default(30)
        .describe(
          'Logins of one device a minute, with three hellos each: what two boxes with one key can cost.',
        ),
      inFlightPerConnectionMax: integer(1, 10_000)
        .default(64)
        .describe(
          'Envelopes of one connection that may wait for their answer; its socket is not read meanwhile.',
        ),
      inFlightPerConnectionBytesMax: integer(MIB, 1024 * MIB)
        .default(4 * MIB)
        .describe('Bytes of such envelopes.'),
      inFlightPerDeviceMax: integer(1, 10_000)
        .default(128)
        .describe('Envelopes of one device that may wait, over all connections they came on.'),
      inFlightPerDeviceBytesMax: integer(MIB, 1024 * MIB)
        .default(8 * MIB)
        .describe('Bytes of such envelopes.'),
      inFlightMax: integer(1, 1_000_000)
        .default(20_000)
        .describe('Envelopes that may wait in the whole gateway. Bounds memory.'),
      inFlightBytesMax: integer(MIB, 4096 * MIB)
        .default(64 * MIB)
        .describe('Bytes of envelopes that may wait in the whole gateway. Bounds memory.'),
      messagesPerSecondMax: integer(0, 1_000_000)
        .default(1000)
        .describe('Envelopes a second of one device; it is read no faster. 0 is no limit.'),
      bytesPerSecondMax: integer(0, 4096 * MIB)
        .default(16 * MIB)
        .describe(
          'Bytes of envelopes a second of one device; it is read no faster. 0 is no limit.',
        ),
      burstSeconds: integer(1, 3600)
        .default(10)
        .describe(
          'How many seconds of those two rates a device may send at once after a quiet time.',
        ),
      unsentBytesMax: integer(64 * 1024, 1024 * MIB)
        .default(MIB)
        .describe(
          'Bytes that a client has not taken beyond which it is not read and gets no further receipts.',
        ),
      slowReaderSeconds: integer(1, 3600)
        .default(30)
        .describe('Seconds without taking any of its bytes after which a client is cut off.'),
      keepAliveSecondsMax: integer(1, 65_535)
        .default(1200)
        .describe(
          'Largest keep-alive. A client that asks for none or more is cut off after 1.5 times this silence.',
        ),
      connectTimeoutSeconds: integer(1, 300)
        .default(10)
        .describe('Seconds that a client may take from connecting to its CONNECT packet.'),
      loginDelaySecondsMax: integer(0, 300)
        .default(10)
        .describe(
          'Longest time that a refused login waits for its answer: each further failure from one address (IPv6: one /64) doubles it. Right logins never wait. 0 turns it off.',
        ),
    },
  },
  sessions: {
    about: 'Sessions: a device opens one each time it starts.',
    keys: {
      newPerDayMax: integer(1, 86_400)
        .default(288)
        .describe(
          'New sessions a day of one device: one every five minutes, a boot loop that goes on.',
        ),
      // A hello may name 64 queued sessions besides its own.
      newBurstMax: integer(65, 1_000_000)
        .default(1000)
        .describe('New sessions that a device may open at once after a quiet time.'),
      // The gaps that are shown are those of the newest four sessions.
      closedKept: integer(4, 10_000)
        .default(16)
        .describe(
          'Closed sessions of a device, the last closed ones, whose receipts are given again when it asks.',
        ),
    },
  },
  http: {
    about: 'The HTTP API and the status page.',
    keys: {
      host: host
        .default('127.0.0.1')
        .describe(
          'Address to listen on. It speaks plain HTTP: put a TLS proxy before any other one.',
        ),
      port: integer(0, 65_535).default(8484).describe('TCP port; 0 takes a free one.'),
      publicUrl: text(120)
        .refine(
          (value) =>
            value === '' ||
            (/^https?:\/\/[^?#]*[^/?#]$/.test(value) && URL.canParse(value) && isPlain(value)),
          'an http or https address without user, query and slash at its end',
        )
        .default('')
        .describe(
          'Address at which others reach this server, for instance that of a TLS proxy. It goes on chain: under it anyone may fetch /entries/<root>, and what cannot be fetched can be challenged.',
        ),
      publishFolder: text(4_096)
        .default('')
        .describe(
          'Folder that a web server gives out under publicUrl: entries/<root> and metadata/<token>.json are put there. Empty: this server gives them out itself.',
        ),
    },
  },
  batch: {
    about: 'When an open batch is sealed: whichever comes first.',
    keys: {
      entriesMax: integer(1, 1_048_576)
        .default(16_384)
        .describe('Entries after which a batch is sealed. Bounds the length of its proofs.'),
      bytesMax: integer(MIB, 1024 * MIB)
        .default(64 * MIB)
        .describe('Bytes of frames after which a batch is sealed.'),
      ageSecondsMax: integer(1, 2_592_000)
        .default(600)
        .describe('Seconds after its first entry when a batch is sealed.'),
      entriesMin: integer(1, 1_048_576)
        .default(64)
        .describe('A batch of fewer entries, and of less than bytesMin, waits longer.'),
      bytesMin: integer(1, 1024 * MIB)
        .default(MIB)
        .describe('A batch of fewer bytes of frames, and of fewer than entriesMin, waits longer.'),
      quietAgeSecondsMax: integer(1, 2_592_000)
        .default(21_600)
        .describe(
          'Seconds after which such a small batch is sealed too: each dataset costs a token on chain.',
        ),
    },
  },
  disk: {
    about: 'How much space data may take. Sizes in bytes; 0 is no limit.',
    keys: {
      reservedBytes: integer(0, 2 ** 50)
        .default(256 * MIB)
        .describe(
          'Free space that new data leaves alone, so that sealing and forging can always finish.',
        ),
      unsealedBytesMax: integer(0, 2 ** 50)
        .default(4096 * MIB)
        .describe('Data that may wait to be sealed; beyond it devices are told to come again.'),
      unforgedBytesMax: integer(0, 2 ** 50)
        .default(0)
        .describe('Data without a DAT, sealed or not; beyond it devices are told to come again.'),
      unforgedHoursMax: integer(0, 87_600)
        .default(0)
        .describe('Hours that data may wait for its DAT before devices are told to come again.'),
      forgedBytesMax: integer(0, 2 ** 50)
        .default(0)
        .describe('Files of datasets with a DAT; beyond it those of the oldest are removed.'),
      forgedDaysKept: integer(0, 36_500)
        .default(0)
        .describe('Days after its DAT when the files of a dataset are removed; 0 keeps them.'),
    },
  },
  chain: {
    about: 'Where datasets are forged.',
    keys: {
      network: z
        .enum(NETWORKS)
        .default('local')
        .describe(
          '"local" is a chain of the gateway\'s own that anchors nothing publicly; "none" seals without forging. The others are public: they need addresses and a key, and forging waits until it has them.',
        ),
      target: z
        .enum(TARGETS)
        .default('waystone')
        .describe(
          '"waystone" forges with Waystone\'s contracts; "lazai" with those that LazAI has deployed itself, on lazai and lazai-testnet.',
        ),
      rpcUrls: text(4096)
        .refine(
          (value) => splitList(value).every((url) => /^https?:\/\//.test(url) && URL.canParse(url)),
          'URLs',
        )
        .default('')
        .describe(
          "Nodes of a public network, the preferred one first; the next is asked when one fails. Empty is the network's own.",
        ),
      chainId: integer(0, Number.MAX_SAFE_INTEGER)
        .default(0)
        .describe("EIP-155 id that the nodes must have; 0 is the network's own."),
      genesisHash: text(66)
        .regex(/^(0x[0-9a-fA-F]{64})?$/)
        .default('')
        .describe(
          'Hash of block 0 that the chain must have; empty takes the one that is seen first. Setting it to another one forges all datasets again on that chain.',
        ),
      factoryAddress: address.describe('IDAOFactory on a public network.'),
      registryAddress: address.describe('DeviceRegistry on a public network.'),
      datAddress: address.describe('DAT on a public network.'),
      datasetForgeAddress: address.describe('DatasetForge on a public network.'),
      idaoAddress: address.describe(
        'The iDAO that owns the DATs on a public network. Set it before devices are enrolled: their statements name it.',
      ),
      keystoreFile: file
        .default('keys/operator.json')
        .describe(
          "Keystore (version 3) of the operator's key, mode 0600; a relative path is relative to the home.",
        ),
      passwordFile: file
        .default('')
        .describe(
          "File with the keystore's password, mode 0600. Empty takes the systemd credential waystone-chain-password.",
        ),
      confirmations: integer(0, 10_000)
        .default(0)
        .describe(
          "Blocks, its own included, that must stand on a block before it counts; 0 is the network's own number.",
        ),
      fees: z
        .enum(['auto', 'eip1559', 'legacy'])
        .default('auto')
        .describe('Kind of fees; "auto" is legacy where blocks have no base fee.'),
      feeMaxGwei: integer(1, 1_000_000)
        .default(100)
        .describe('Most that is offered for a unit of gas; while it costs more, datasets wait.'),
      bumpAfterSeconds: integer(5, 86_400)
        .default(60)
        .describe(
          'Seconds after which a transaction that is not mined is replaced by a dearer one, up to feeMaxGwei.',
        ),
      bundleDatasetsMax: integer(1, 64)
        .default(16)
        .describe('Datasets that one transaction may commit or finalise; 1 bundles nothing.'),
      bundleGasMax: integer(300_000, 100_000_000)
        .default(8_000_000)
        .describe('Gas that such a transaction may take; never more than half a block.'),
    },
  },
  lazai: {
    about: 'LazAI\'s own contracts, for chain.target = "lazai".',
    keys: {
      dataRegistryAddress: address.describe(
        'DataRegistry; empty is the one that LazAI published for the network, if it did.',
      ),
      verifiedComputingAddress: address.describe('VerifiedComputing, likewise.'),
      tokenAddress: address.describe('DataAnchoringToken, likewise.'),
      feeMaxCoins: coins
        .default('0.001')
        .describe(
          "Most that LazAI's node may cost for the proof of one dataset, in coin of the chain; gas comes on top.",
        ),
      spendMaxCoins: coins
        .default('1')
        .describe("Most that goes to LazAI's nodes for all datasets together; then new ones wait."),
      acceptedKeys: text(4096)
        .refine(
          (value) => splitList(value).every((one) => /^[0-9a-f]{64}$/.test(one)),
          'fingerprints',
        )
        .default('')
        .describe('Fingerprints of RSA keys that you accept though another one was seen first.'),
    },
  },
  dat: {
    about: 'Terms of the DATs that are minted from now on.',
    keys: {
      // The contract keeps the quota in 40 bits and the share weight in 16.
      quotaCalls: integer(1, 2 ** 40 - 1)
        .default(10_000)
        .describe("Calls that a new DAT's licence allows."),
      shareWeight: integer(1, 65_535)
        .default(10_000)
        .describe("Share weight of the iDAO's token: what revenue is divided by."),
      expiresAfterDays: integer(0, 36_500)
        .default(0)
        .describe('Days until the licence ends; 0 is never.'),
      policyUrl: text(512)
        .refine((value) => value === '' || URL.canParse(value), 'a URL, or empty')
        .default('')
        .describe('Address of the licence text, kept on chain.'),
    },
  },
  idao: {
    about: 'How the iDAO is called when the gateway creates it.',
    keys: {
      name: text(64).min(1).default('Waystone iDAO').describe('Its name.'),
      description: text(256).default('').describe('What it does, in a sentence.'),
    },
  },
  log: {
    about: 'Logs, one JSON object a line on standard output.',
    keys: {
      level: z
        .enum(['trace', 'debug', 'info', 'warn', 'error', 'silent'])
        .default('info')
        .describe('The least severe level that is written.'),
    },
  },
} as const;

/** Streams, checked apart from the rest because their names are the operator's. */
export const STREAMS_ABOUT =
  'Streams that devices may use, as name = id. Datasets are per stream, so an id must never change its meaning.';
export const STREAMS_ALLOWED =
  'at least one name = id; names of a-z, 0-9 and "-" up to 32, ids integers from 1 to 4294967295, each once';
export const STREAMS_DEFAULT: Readonly<Record<string, number>> = { drive: 1 };

export const STREAMS_SCHEMA = z
  .record(z.string().regex(/^[a-z0-9][a-z0-9-]{0,31}$/), integer(1, 0xffff_ffff))
  .refine((streams) => Object.keys(streams).length >= 1)
  .refine((streams) => new Set(Object.values(streams)).size === Object.keys(streams).length);

/** A setting, as everything but the checks needs it. */
export interface ConfigKey {
  /** Full name: `mqtt.port`. */
  readonly key: string;
  readonly section: string;
  readonly name: string;
  readonly environment: string;
  readonly about: string;
  readonly fallback: string | number;
  /** What is allowed, in words. */
  readonly allowed: string;
  readonly kind: 'integer' | 'text';
  readonly schema: z.ZodType<string | number>;
}

/** All settings in the order of the commented file. */
export const CONFIG_KEYS: readonly ConfigKey[] = Object.entries(CONFIG_SCHEMA).flatMap(
  ([section, { keys }]) =>
    Object.entries(keys).map(([name, schema]) => describeKey(section, name, schema)),
);

/** `mqtt.connectionsMax` → `WAYSTONE_MQTT_CONNECTIONS_MAX`. */
export function environmentName(key: string): string {
  const snake = key.replace(/([a-z0-9])([A-Z])/g, '$1_$2').replaceAll('.', '_');
  return `WAYSTONE_${snake.toUpperCase()}`;
}

interface JsonSchema {
  readonly type?: string;
  readonly enum?: readonly string[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly default?: string | number;
}

function describeKey(
  section: string,
  name: string,
  schema: z.ZodType<string | number> & { description?: string | undefined },
): ConfigKey {
  const json = z.toJSONSchema(schema, { io: 'input' }) as JsonSchema;
  const key = section === '' ? name : `${section}.${name}`;
  if (json.default === undefined || schema.description === undefined) {
    throw new TypeError(`setting ${key} needs a default and a description`);
  }
  return {
    key,
    section,
    name,
    environment: environmentName(key),
    about: schema.description,
    fallback: json.default,
    allowed: describeAllowed(json, key),
    kind: json.type === 'integer' ? 'integer' : 'text',
    schema,
  };
}

function describeAllowed(json: JsonSchema, key: string): string {
  if (json.enum !== undefined) return `one of ${json.enum.map((word) => `"${word}"`).join(', ')}`;
  if (json.type === 'integer') return `an integer from ${json.minimum} to ${json.maximum}`;
  if (key.endsWith('.host')) return 'a host name or IP address in quotes';
  if (key === 'http.publicUrl') {
    return 'an http or https URL in quotes, without user, query and slash at its end, or ""';
  }
  if (key.endsWith('Url')) return 'a URL in quotes, or ""';
  if (key.endsWith('Urls')) return 'http or https URLs in quotes with commas between them, or ""';
  if (key.endsWith('Address')) return 'an address (0x and 40 hex digits) in quotes, or ""';
  if (key.endsWith('Hash')) return 'a hash (0x and 64 hex digits) in quotes, or ""';
  if (key.endsWith('Coins')) return 'an amount of coin in quotes, such as "0.25"';
  if (key.endsWith('Keys')) {
    return 'fingerprints (64 hex digits in lower case) in quotes with commas between them, or ""';
  }
  if (/(File|Folder)$/.test(key)) return 'a path in quotes, or ""';
  return `text of ${json.minLength ?? 0} to ${json.maxLength} characters in quotes`;
}
