import type { Manifest } from '@waystone/proto';
import type { ForgeStatus, LazaiFileFacts } from './forge-ports.js';
import type { Withdrawal } from './withdrawal.js';

/**
 * What the answers (HTTP API, status page, CLI, metrics) may ask a running gateway and tell it to do.
 * Ids and hashes are lower-case hex, times µs UTC. Everything here can be written as JSON.
 */
export interface GatewayView {
  status(): Promise<GatewayStatus>;
  /**
   * In the order in which they were enrolled, behind the one named by `after`.
   * @throws WaystoneError DEVICE_UNKNOWN.
   */
  devices(limit: number, after: string | null): Promise<DeviceStatus[]>;
  /** Newest first. */
  batches(limit: number): Promise<BatchStatus[]>;
  batch(id: number): Promise<BatchStatus | null>;
  /** Sealed datasets, newest first. */
  datasets(limit: number): Promise<DatasetStatus[]>;
  /** Its manifest is null when retention removed its files. */
  dataset(root: string): Promise<(DatasetStatus & { manifest: Manifest | null }) | null>;
  /** Folder of a sealed dataset, or null. */
  datasetFolder(root: string): Promise<string | null>;
  /** File with the metadata of a token (decimal); it may not be there. */
  metadataFile(tokenId: string): string;
  /** Where a frame is: its batch, and the proof once its batch is sealed. */
  proof(did: string, session: string, stream: number, sequence: number): Promise<ProofAnswer>;
  /** Refusals, newest first. */
  refusals(limit: number): Promise<RefusalRow[]>;
  /** @throws WaystoneError DEVICE_EXISTS or DID_INVALID. */
  enrol(did: string, label: string): Promise<DeviceStatus>;
  /** @throws WaystoneError DEVICE_UNKNOWN. */
  revoke(did: string, reason: string): Promise<DeviceStatus>;
  relays(): Promise<RelayStatus[]>;
  /**
   * Adds a relay; its secret, if it logs in with one, is told this once.
   * @throws WaystoneError RELAY_EXISTS, RELAY_LIMIT or DEVICE_UNKNOWN.
   */
  addRelay(request: RelayRequest): Promise<RelayStatus & { readonly secret: string | null }>;
  /** Gives a relay other devices. @throws WaystoneError RELAY_UNKNOWN or DEVICE_UNKNOWN. */
  setRelayDevices(name: string, devices: readonly string[] | null): Promise<RelayStatus>;
  /** Removes a relay and ends its connection. @throws WaystoneError RELAY_UNKNOWN. */
  removeRelay(name: string): Promise<RelayStatus>;
  /** How datasets go on chain. */
  forge(): Promise<ForgeView>;
  /** Tries again at once, pauses, or goes on. */
  changeForge(change: 'retry' | 'pause' | 'resume'): Promise<ForgeView>;
  /** Closes every open batch now, whatever its age. @returns ids of the batches. */
  sealNow(): Promise<number[]>;
  /** Writes a backup into a new folder. @throws WaystoneError BACKUP_EXISTS. */
  backup(folder: string): Promise<{ folder: string; datasets: number; bytes: number }>;
  /** Metrics in Prometheus text format. */
  metrics(): Promise<string>;
  /** Why the gateway is not ready for devices, or null when it is. */
  notReady(): string | null;
}

/** The forge stage, as an operator sees it. */
export interface ForgeView extends ForgeStatus {
  readonly network: string;
  /** EIP-155, or 0 without a chain. */
  readonly chainId: number;
  /** New datasets are held back. */
  readonly isPaused: boolean;
}

export type BatchState = 'open' | 'sealing' | 'sealed' | 'committed' | 'forged' | 'withdrawn';

export interface GatewayStatus {
  readonly version: string;
  readonly gateway: string;
  readonly logId: string;
  readonly startedAtUs: number;
  readonly nowUs: number;
  /** The box: ingest, ledger, disk. */
  readonly box: {
    readonly state: 'ok' | 'degraded' | 'starting' | 'stopping';
    readonly why: string;
    readonly mqtt: string;
    readonly http: string;
    readonly clockTrusted: boolean;
    readonly diskFreeBytes: number;
    readonly dataBytes: number;
    readonly memoryBytes: number;
    /** null before the disk was looked at. */
    readonly disk: DiskStatus | null;
  };
  /** The way to the chain's node. */
  readonly uplink: { readonly state: 'ok' | 'down' | 'off'; readonly why: string };
  readonly chain: {
    readonly network: string;
    readonly chainId: number;
    readonly idao: string;
    readonly headBlock: number | null;
    /** One line: what this chain is worth, and what forging waits for. */
    readonly note: string;
    readonly contracts: Readonly<Record<string, string>>;
    /** About how much gas forging takes a day, from the datasets of the last day; null without a chain. */
    readonly gasPerDay: number | null;
    /** RPC address of the chain's node as the gateway reaches it, or "". */
    readonly rpcUrl: string;
  };
  readonly connections: number;
  readonly totals: {
    readonly devices: number;
    readonly envelopes: number;
    readonly frames: number;
    readonly duplicates: number;
    readonly refused: number;
    readonly datasets: number;
    readonly forged: number;
  };
  readonly batches: Readonly<Record<BatchState, number>>;
}

/** The space that data takes, and how long it lasts. Sizes in bytes. */
export interface DiskStatus {
  readonly freeBytes: number;
  readonly totalBytes: number;
  /** Batch files. */
  readonly unsealedBytes: number;
  /** Folders of sealed datasets without a DAT. */
  readonly unforgedBytes: number;
  /** Folders of datasets that are forged or were withdrawn. */
  readonly forgedBytes: number;
  readonly ledgerBytes: number;
  /** Data stored a second, over the last minutes. */
  readonly bytesPerSecond: number;
  /** Hours of data at that rate that still fit while nothing is forged; null while no data comes. */
  readonly hoursLeft: number | null;
  /** Why new data is told to wait, or "". */
  readonly refusal: string;
  /** Why no forged dataset is removed for its age now, or "". */
  readonly retentionWaits: string;
}

export interface DeviceStatus {
  readonly did: string;
  readonly label: string;
  readonly keyType: string;
  readonly enrolledAtUs: number;
  readonly revokedAtUs: number | null;
  readonly connected: boolean;
  readonly lastSeenUs: number | null;
  readonly envelopes: number;
  readonly frames: number;
  readonly refused: number;
  readonly sessions: number;
  /** Sequences that are missing between those stored, per session and stream; the newest sessions first. */
  readonly gaps: readonly {
    readonly session: string;
    readonly stream: number;
    readonly first: number;
    readonly last: number;
  }[];
}

/** A relay to add; devices are named by did:key. */
export interface RelayRequest {
  readonly name: string;
  /** The enrolled device as which it logs in; null for a secret of its own. */
  readonly did: string | null;
  /** null for every device of this gateway, those to come included. */
  readonly devices: readonly string[] | null;
}

/** Who may publish for other devices. */
export interface RelayStatus {
  /** Its MQTT user name. */
  readonly name: string;
  /** The device as which it logs in, or null when it has a secret. */
  readonly did: string | null;
  /** The devices that it carries, or null for every one. */
  readonly devices: readonly string[] | null;
  readonly addedAtUs: number;
  readonly connected: boolean;
}

export interface BatchStatus {
  readonly id: number;
  readonly state: BatchState;
  readonly stream: number;
  readonly streamName: string;
  readonly signatures: 'challengeable on chain' | 'not challengeable on chain';
  readonly entries: number;
  readonly frames: number;
  readonly bytes: number;
  readonly devices: number;
  readonly openedAtUs: number;
  readonly lastReceivedAtUs: number;
  readonly ageSeconds: number;
  readonly sealedAtUs: number | null;
  readonly root: string | null;
  /** What it waits for and why, in one sentence; "" when it is done. */
  readonly waitsFor: string;
  readonly dat: DatStatus | null;
  /** Why it is never committed, and where the rest of its entries is; null unless it is withdrawn. */
  readonly withdrawal: Withdrawal | null;
}

export interface DatStatus {
  /** Whose contracts forged it. */
  readonly target: 'waystone' | 'lazai';
  readonly tokenId: string;
  /** "" on LazAI, whose tokens have no class. */
  readonly classId: string;
  readonly owner: string;
  readonly chainId: number;
  readonly contract: string;
  readonly transaction: string;
  /** On LazAI: its file. Its score says nothing of quality. */
  readonly lazai?: LazaiFileFacts;
}

export interface DatasetStatus {
  readonly root: string;
  readonly batch: number;
  readonly logId: string;
  readonly logIndex: number;
  readonly manifestHash: string;
  readonly entries: number;
  readonly frames: number;
  readonly sealedAtUs: number;
  readonly state: BatchState;
  readonly waitsFor: string;
  readonly dat: DatStatus | null;
  readonly withdrawal: Withdrawal | null;
  /** When retention removed its files, µs UTC, or null. */
  readonly removedAtUs: number | null;
  readonly folder: string;
}

export type ProofAnswer =
  | { readonly state: 'absent' }
  | { readonly state: 'waiting'; readonly batch: number; readonly waitsFor: string }
  | { readonly state: 'proved'; readonly root: string; readonly proof: unknown };

export interface RefusalRow {
  readonly atUs: number;
  readonly did: string;
  readonly code: string;
  readonly statement: string;
  readonly detail: string;
}
