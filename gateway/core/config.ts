/** What the sessions of one device may cost. */
export interface SessionLimits {
  /** New sessions a day in the long run, and at once after a quiet time. */
  readonly newPerDayMax: number;
  readonly newBurstMax: number;
  /** Closed sessions, the last closed ones, that keep their statements once these are settled. */
  readonly closedKept: number;
}

/** Networks that datasets can be forged on; all but the first two are public. */
export const NETWORKS = [
  'local',
  'none',
  'lazai',
  'lazai-testnet',
  'hyperion-testnet',
  'metis',
  'metis-sepolia',
] as const;

/** Whose contracts forge: Waystone's, or those that LazAI has deployed itself. */
export const TARGETS = ['waystone', 'lazai'] as const;

/** Where and how datasets are forged. All but `network` and the bundles is for public networks. */
export interface ChainConfig {
  /** `local`: a chain of the gateway's own, nothing is anchored publicly; `none`: seal but do not forge. */
  readonly network: (typeof NETWORKS)[number];
  /** `lazai` is for networks on which LazAI runs. */
  readonly target: (typeof TARGETS)[number];
  /** URLs of nodes, the preferred one first; none takes the network's own. */
  readonly rpcUrls: readonly string[];
  /** 0 is the network's own. */
  readonly chainId: number;
  /** Hash of the chain's block 0; "" takes the one that is seen first. */
  readonly genesisHash: string;
  /** Addresses, or "" while they are not known. */
  readonly factoryAddress: string;
  readonly registryAddress: string;
  readonly datAddress: string;
  readonly datasetForgeAddress: string;
  readonly idaoAddress: string;
  /** Keystore of the operator's key. */
  readonly keystoreFile: string;
  /** Its password; "" takes the systemd credential. */
  readonly passwordFile: string;
  /** Blocks, its own included, that stand on a block that counts; 0 is the network's own number. */
  readonly confirmations: number;
  readonly fees: 'auto' | 'eip1559' | 'legacy';
  /** Most that is offered for a unit of gas. */
  readonly feeMaxGwei: number;
  /** Seconds after which a transaction that is not mined is replaced by a dearer one. */
  readonly bumpAfterSeconds: number;
  /** Datasets and gas of one transaction. */
  readonly bundleDatasetsMax: number;
  readonly bundleGasMax: number;
}

/** What forging with LazAI's own contracts needs besides {@link ChainConfig}. */
export interface LazaiConfig {
  /** Addresses, or "" for the network's own. */
  readonly dataRegistryAddress: string;
  readonly verifiedComputingAddress: string;
  readonly tokenAddress: string;
  /** Most that LazAI's nodes may cost, in coin, decimal: for one dataset, and for all of a chain together. */
  readonly feeMaxCoins: string;
  readonly spendMaxCoins: string;
  /** Fingerprints of RSA keys that are accepted though another was seen first; 64 hex digits each. */
  readonly acceptedKeys: readonly string[];
}

/** Everything that an operator can set; `config/` reads it from file, environment and flags. */
export interface Config {
  /** Folder of keys and API token, and of the data folder unless that is set. */
  readonly home: string;
  /** Folder of ledger, datasets and local chain; one running gateway holds it. */
  readonly dataFolder: string;
  readonly mqtt: {
    readonly host: string;
    /** 0 takes a free port. */
    readonly port: number;
    /** PEM files; set both for TLS. */
    readonly tlsCertificateFile?: string;
    readonly tlsKeyFile?: string;
    /** Connections at once: of all, and from one address. */
    readonly connectionsMax: number;
    readonly connectionsPerAddressMax: number;
    /** New connections from one address: a second, and at once after a quiet time. */
    readonly connectsPerSecondMax: number;
    readonly connectBurstMax: number;
    /** Logins of one device a minute. */
    readonly loginsPerMinuteMax: number;
    /** Envelopes that may wait for their answer: of one connection, of one device, of all; and their bytes. */
    readonly inFlightPerConnectionMax: number;
    readonly inFlightPerConnectionBytesMax: number;
    readonly inFlightPerDeviceMax: number;
    readonly inFlightPerDeviceBytesMax: number;
    readonly inFlightMax: number;
    readonly inFlightBytesMax: number;
    /** Envelopes and their bytes a second of one device; 0 is no limit. */
    readonly messagesPerSecondMax: number;
    readonly bytesPerSecondMax: number;
    /** Seconds of these rates that may come at once after a quiet time. */
    readonly burstSeconds: number;
    /** Bytes that a client has not taken beyond which it is not read and gets no further receipts. */
    readonly unsentBytesMax: number;
    /** Seconds without taking any of its bytes after which a client is cut off. */
    readonly slowReaderSeconds: number;
    /** Largest keep-alive in seconds. */
    readonly keepAliveSecondsMax: number;
    /** Seconds that a client may take from connecting to its CONNECT packet. */
    readonly connectTimeoutSeconds: number;
    /** Longest time in seconds that a refused login waits for its answer, after repeated failures; 0 is never. */
    readonly loginDelaySecondsMax: number;
  };
  readonly sessions: SessionLimits;
  readonly http: {
    readonly host: string;
    /** 0 takes a free port. */
    readonly port: number;
    /** Address at which others reach it, without a slash at its end; "" for none. */
    readonly publicUrl: string;
    /** Where what others may read is put for a web server; "" serves it from here. */
    readonly publishFolder: string;
  };
  /** Streams that devices may use; at least one. */
  readonly streams: readonly { readonly id: number; readonly name: string }[];
  readonly batch: {
    /** Entries after which a batch is sealed. */
    readonly entriesMax: number;
    /** Bytes of frames after which a batch is sealed. */
    readonly bytesMax: number;
    /** Seconds after its first entry when a batch is sealed. */
    readonly ageSecondsMax: number;
    /** A batch with fewer entries and fewer bytes than these is sealed after `quietAgeSecondsMax` only. */
    readonly entriesMin: number;
    readonly bytesMin: number;
    readonly quietAgeSecondsMax: number;
  };
  /** Limits on the space that data takes, in bytes; 0 is none. */
  readonly disk: {
    readonly reservedBytes: number;
    readonly unsealedBytesMax: number;
    readonly unforgedBytesMax: number;
    readonly unforgedHoursMax: number;
    readonly forgedBytesMax: number;
    readonly forgedDaysKept: number;
  };
  readonly chain: ChainConfig;
  readonly lazai: LazaiConfig;
  readonly dat: {
    /** Calls that the licence of a new DAT allows. */
    readonly quotaCalls: number;
    /** Share weight of the iDAO's token. */
    readonly shareWeight: number;
    /** Days until the DAT's licence ends; 0 is never. */
    readonly expiresAfterDays: number;
    /** Address of the licence text, kept on chain. */
    readonly policyUrl: string;
  };
  readonly idao: {
    readonly name: string;
    readonly description: string;
  };
  readonly log: {
    readonly level: 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'silent';
  };
}
