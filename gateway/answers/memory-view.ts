import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Manifest, parseDid } from '@waystone/proto';
import { WaystoneError } from '../core/errors.js';
import type {
  BatchStatus,
  DatasetStatus,
  DeviceStatus,
  ForgeView,
  GatewayStatus,
  GatewayView,
  ProofAnswer,
  RefusalRow,
  RelayRequest,
  RelayStatus,
} from '../core/view.js';

/** A time that the fake gateway's clock shows: 2026-11-22 12:00 UTC. */
export const NOW_US = 1_795_348_800_000_000;

/** A {@link GatewayView} in memory, for tests of what asks one. It keeps the port's rules. */
export class MemoryGatewayView implements GatewayView {
  readonly deviceRows = new Map<string, DeviceStatus>();
  readonly relayRows = new Map<string, RelayStatus>();
  batchRows: BatchStatus[] = [];
  datasetRows: DatasetStatus[] = [];
  metadataFolder = '/nowhere';
  refusalRows: RefusalRow[] = [];
  readonly proofs = new Map<string, ProofAnswer>();
  statusRow: GatewayStatus = exampleStatus();
  unready: string | null = null;
  forgeRow: ForgeView = {
    ...{ network: 'local', chainId: 31_337, isPaused: false, state: 'idle', why: '' },
    ...{ reachable: true, headBlock: 12, lastError: null, datasets: [] },
  };
  /** Thrown by every question until it is taken away. */
  failure: Error | null = null;

  async status(): Promise<GatewayStatus> {
    return this.#answer(this.statusRow);
  }

  async devices(limit: number, after: string | null): Promise<DeviceStatus[]> {
    requireLimit(limit);
    const rows = [...this.deviceRows.values()];
    const from = after === null ? 0 : rows.findIndex(({ did }) => did === after) + 1;
    if (after !== null && from === 0) {
      throw new WaystoneError('DEVICE_UNKNOWN', `device ${after} is not enrolled`);
    }
    return this.#answer(rows.slice(from, from + limit));
  }

  async batches(limit: number): Promise<BatchStatus[]> {
    requireLimit(limit);
    return this.#answer(this.batchRows.toSorted((a, b) => b.id - a.id).slice(0, limit));
  }

  async batch(id: number): Promise<BatchStatus | null> {
    return this.#answer(this.batchRows.find((row) => row.id === id) ?? null);
  }

  async datasets(limit: number): Promise<DatasetStatus[]> {
    requireLimit(limit);
    return this.#answer(
      this.datasetRows.toSorted((a, b) => b.logIndex - a.logIndex).slice(0, limit),
    );
  }

  async dataset(root: string): Promise<(DatasetStatus & { manifest: Manifest }) | null> {
    requireLowerHex('root', root, 32);
    const row = this.datasetRows.find((candidate) => candidate.root === root);
    return this.#answer(row ? { ...row, manifest: exampleManifest(row) } : null);
  }

  async datasetFolder(root: string): Promise<string | null> {
    requireLowerHex('root', root, 32);
    return this.#answer(this.datasetRows.find((row) => row.root === root)?.folder ?? null);
  }

  metadataFile(tokenId: string): string {
    return `${this.metadataFolder}/${tokenId}.json`;
  }

  async proof(
    did: string,
    session: string,
    stream: number,
    sequence: number,
  ): Promise<ProofAnswer> {
    requireLowerHex('session', session, 16);
    if (parseDid(did) === null) throw new TypeError(`not a did:key: ${did}`);
    if (!Number.isSafeInteger(sequence) || !Number.isSafeInteger(stream)) {
      throw new RangeError('stream and sequence must be safe integers');
    }
    const key = [did, session, stream, sequence].join('/');
    return this.#answer(this.proofs.get(key) ?? { state: 'absent' });
  }

  async refusals(limit: number): Promise<RefusalRow[]> {
    requireLimit(limit);
    return this.#answer(this.refusalRows.toSorted((a, b) => b.atUs - a.atUs).slice(0, limit));
  }

  async enrol(did: string, label: string): Promise<DeviceStatus> {
    const key = parseDid(did);
    if (key === null) throw new WaystoneError('DID_INVALID', `${did} is no did:key`);
    if (this.deviceRows.has(did)) throw new WaystoneError('DEVICE_EXISTS', `${did} is enrolled`);
    const row: DeviceStatus = {
      did,
      label,
      keyType: key.type,
      enrolledAtUs: NOW_US,
      revokedAtUs: null,
      connected: false,
      lastSeenUs: null,
      envelopes: 0,
      frames: 0,
      refused: 0,
      sessions: 0,
      gaps: [],
    };
    this.deviceRows.set(did, row);
    return this.#answer(row);
  }

  async revoke(did: string, _reason: string): Promise<DeviceStatus> {
    const row = this.deviceRows.get(did);
    if (row === undefined) throw new WaystoneError('DEVICE_UNKNOWN', `${did} is not enrolled`);
    const revoked = { ...row, revokedAtUs: row.revokedAtUs ?? NOW_US };
    this.deviceRows.set(did, revoked);
    return this.#answer(revoked);
  }

  async relays(): Promise<RelayStatus[]> {
    return this.#answer([...this.relayRows.values()]);
  }

  async addRelay(request: RelayRequest): Promise<RelayStatus & { secret: string | null }> {
    const { name, did, devices } = request;
    if (this.relayRows.has(name)) throw new WaystoneError('RELAY_EXISTS', `${name} is there`);
    for (const one of [...(devices ?? []), ...(did === null ? [] : [did])]) {
      if (!this.deviceRows.has(one)) throw new WaystoneError('DEVICE_UNKNOWN', `no ${one}`);
    }
    const row = { name, did, devices, addedAtUs: NOW_US, connected: false };
    this.relayRows.set(name, row);
    return this.#answer({ ...row, secret: did === null ? 's'.repeat(43) : null });
  }

  async setRelayDevices(name: string, devices: readonly string[] | null): Promise<RelayStatus> {
    const row = this.relayRows.get(name);
    if (row === undefined) throw new WaystoneError('RELAY_UNKNOWN', `there is no relay ${name}`);
    const unknown = devices?.find((did) => !this.deviceRows.has(did));
    if (unknown !== undefined) throw new WaystoneError('DEVICE_UNKNOWN', `no ${unknown}`);
    this.relayRows.set(name, { ...row, devices });
    return this.#answer({ ...row, devices });
  }

  async removeRelay(name: string): Promise<RelayStatus> {
    const row = this.relayRows.get(name);
    if (row === undefined) throw new WaystoneError('RELAY_UNKNOWN', `there is no relay ${name}`);
    this.relayRows.delete(name);
    return this.#answer(row);
  }

  async forge(): Promise<ForgeView> {
    return this.#answer(this.forgeRow);
  }

  async changeForge(change: 'retry' | 'pause' | 'resume'): Promise<ForgeView> {
    if (change !== 'retry') this.forgeRow = { ...this.forgeRow, isPaused: change === 'pause' };
    return this.forge();
  }

  async sealNow(): Promise<number[]> {
    const open = this.batchRows.filter((row) => row.state === 'open').map((row) => row.id);
    this.batchRows = this.batchRows.map((row) =>
      row.state === 'open' ? { ...row, state: 'sealing', waitsFor: 'its folder is written' } : row,
    );
    return this.#answer(open);
  }

  async backup(folder: string): Promise<{ folder: string; datasets: number; bytes: number }> {
    try {
      await mkdir(folder);
    } catch (cause) {
      throw new WaystoneError('BACKUP_EXISTS', `${folder} exists already`, { cause });
    }
    await writeFile(join(folder, 'ledger'), 'ledger');
    return this.#answer({ folder, datasets: this.datasetRows.length, bytes: 6 });
  }

  async metrics(): Promise<string> {
    return this.#answer('# TYPE frames_total counter\nframes_total 128\n');
  }

  notReady(): string | null {
    return this.unready;
  }

  #answer<T>(value: T): T {
    if (this.failure !== null) throw this.failure;
    return value;
  }
}

function requireLimit(limit: number): void {
  if (!Number.isInteger(limit) || limit < 1)
    throw new RangeError(`limit must be 1 or more: ${limit}`);
}

function requireLowerHex(name: string, text: string, bytes: number): void {
  if (!new RegExp(`^[0-9a-f]{${2 * bytes}}$`).test(text)) {
    throw new TypeError(`${name} must be ${bytes} bytes in lower-case hex, got ${text}`);
  }
}

/** A gateway that is well and has one batch in every state. */
export function exampleStatus(): GatewayStatus {
  return {
    version: '0.1.0',
    gateway: 'did:key:zQ3shokFTS3brHcDQrn82RUDfCZESWL1ZdCEJwekUDPQiYBme',
    logId: '5f'.repeat(16),
    startedAtUs: NOW_US - 7_500_000_000,
    nowUs: NOW_US,
    box: {
      state: 'ok',
      why: '',
      mqtt: 'mqtt://127.0.0.1:1883',
      http: 'http://127.0.0.1:8484',
      clockTrusted: true,
      diskFreeBytes: 52_000_000_000,
      dataBytes: 1_250_000,
      memoryBytes: 96_000_000,
      disk: {
        freeBytes: 52_000_000_000,
        totalBytes: 64_000_000_000,
        unsealedBytes: 410_000,
        unforgedBytes: 420_000,
        forgedBytes: 420_000,
        ledgerBytes: 98_304,
        bytesPerSecond: 2_400,
        hoursLeft: 5_900,
        refusal: '',
        retentionWaits: '',
      },
    },
    uplink: { state: 'ok', why: '' },
    chain: {
      network: 'local',
      chainId: 31_337,
      idao: '0x00000000000000000000000000000000000000aa',
      headBlock: 12,
      note: 'a chain of this gateway alone: nothing is anchored publicly',
      contracts: { DatasetForge: '0x00000000000000000000000000000000000000bb' },
      rpcUrl: 'http://127.0.0.1:8545',
      gasPerDay: 1_350_000,
    },
    connections: 1,
    totals: {
      devices: 1,
      envelopes: 42,
      frames: 1280,
      duplicates: 1,
      refused: 2,
      datasets: 1,
      forged: 1,
    },
    batches: { open: 1, sealing: 0, sealed: 1, committed: 0, forged: 1, withdrawn: 0 },
  };
}

export function exampleBatch(changes: Partial<BatchStatus> = {}): BatchStatus {
  return {
    id: 1,
    state: 'open',
    stream: 1,
    streamName: 'drive',
    signatures: 'challengeable on chain',
    entries: 20,
    frames: 1280,
    bytes: 410_000,
    devices: 1,
    openedAtUs: NOW_US - 42_000_000,
    lastReceivedAtUs: NOW_US - 1_000_000,
    ageSeconds: 42,
    sealedAtUs: null,
    root: null,
    waitsFor: '16,364 more entries or 9 min 18 s, whichever comes first',
    dat: null,
    withdrawal: null,
    ...changes,
  };
}

export function exampleDataset(changes: Partial<DatasetStatus> = {}): DatasetStatus {
  return {
    root: 'ab'.repeat(32),
    batch: 0,
    logId: '5f'.repeat(16),
    logIndex: 0,
    manifestHash: 'cd'.repeat(32),
    entries: 20,
    frames: 1280,
    sealedAtUs: NOW_US - 3_600_000_000,
    state: 'forged',
    waitsFor: '',
    dat: {
      tokenId: '1',
      target: 'waystone',
      classId: '1',
      owner: '0x00000000000000000000000000000000000000aa',
      chainId: 31_337,
      contract: '0x00000000000000000000000000000000000000cc',
      transaction: `0x${'ee'.repeat(32)}`,
    },
    withdrawal: null,
    removedAtUs: null,
    folder: '/nowhere',
    ...changes,
  };
}

export function exampleManifest(dataset: DatasetStatus): Manifest {
  const { root, entries, frames, logId, logIndex, sealedAtUs } = dataset;
  const times = { minUs: sealedAtUs - 600_000_000, maxUs: sealedAtUs - 1_000_000 };
  return {
    type: 'waystone-dataset',
    version: 1,
    root,
    entryVersion: 1,
    entries,
    frames,
    frameBytes: 410_000,
    frameFormat: 1,
    stream: 1,
    streamName: 'drive',
    realm: '00'.repeat(32),
    chainId: 31_337,
    idao: '0x00000000000000000000000000000000000000aa',
    gateway: exampleStatus().gateway,
    logId,
    logIndex,
    sealedAtUs,
    signatures: 'challengeable on chain',
    time: { base: 'utc', ...times },
    received: times,
    devices: [{ did: exampleStatus().gateway, entries, frames, sessions: [] }],
    quality: {
      positions: frames,
      fixes: {},
      imuSamples: 0,
      wheelSpeeds: 0,
      canFrames: 0,
      blobs: 0,
      lossReports: 0,
      clockUntrusted: 0,
    },
    files: [],
  };
}
