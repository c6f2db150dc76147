import { statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { keyFromDid } from '@waystone/proto';
import type { Clock } from './core/clock.js';
import type { Config } from './core/config.js';
import { WaystoneError } from './core/errors.js';
import type { ForgePause } from './core/forge-pause.js';
import type { ForgeStage } from './core/forge-stage.js';
import type { Metrics } from './core/metrics.js';
import type { DeviceRecord } from './core/ports.js';
import type { RelayRecord } from './core/relay.js';
import type { Remote } from './core/rpc.js';
import { VERSION } from './core/version.js';
import type {
  BatchStatus,
  DatasetStatus,
  DeviceStatus,
  ForgeView,
  GatewayStatus,
  GatewayView,
  ProofAnswer,
  RelayRequest,
  RelayStatus,
} from './core/view.js';
import { metadataPath, publishedFolder } from './dataset/published.js';
import type { DiskKeeper } from './disk/disk-keeper.js';
import type { Broker } from './ingest/broker.js';
import type { Ledger } from './ledger/ledger.js';
import type { BatchRecord, DeviceRow, LedgerQueries } from './ledger/queries.js';
import type { Sealer } from './seal/sealer.js';
import type { DatasetOperations } from './seal/worker.js';

export interface LiveViewDeps {
  readonly config: Config;
  readonly clock: Clock;
  readonly gatewayDid: string;
  readonly logId: string;
  /** When it started, ms of the clock's monotonic time. */
  readonly startedAtMs: number;
  readonly ledger: Ledger;
  readonly reader: Remote<LedgerQueries>;
  readonly datasets: Remote<DatasetOperations>;
  readonly broker: Broker;
  readonly sealer: Sealer;
  readonly disk: DiskKeeper;
  readonly forge: ForgeStage;
  readonly forgePause: ForgePause;
  readonly metrics: Metrics;
  readonly duplicates: () => number;
  readonly httpAddress: () => string;
  /** null while the gateway runs as it should. */
  readonly notReady: () => string | null;
  readonly enrol: (did: string, label: string) => Promise<DeviceRecord>;
  readonly revoke: (did: string, reason: string) => Promise<DeviceRecord>;
  readonly relays: () => RelayRecord[];
  /** did:key of an enrolled device. */
  readonly didOf: (device: number) => string;
  readonly addRelay: (
    request: RelayRequest,
  ) => Promise<{ relay: RelayRecord; secret: string | null }>;
  readonly setRelayDevices: (
    name: string,
    devices: readonly string[] | null,
  ) => Promise<RelayRecord>;
  readonly removeRelay: (name: string) => Promise<RelayRecord>;
  readonly backup: (folder: string) => Promise<{ folder: string; datasets: number; bytes: number }>;
}

/** Gas of a dataset on the local chain, commit to DAT, where the journal knows none yet. */
const GAS_PER_DATASET = 225_000;

const DAY_US = 86_400_000_000;

/** Datasets that are looked into for a frame whose place is forgotten; each costs a walk over its entries, some 5 MB. */
const PRUNED_DATASETS_MAX = 200;

/** What a running gateway answers, gathered from its stages. */
export function liveView(deps: LiveViewDeps): GatewayView {
  const { config, clock, reader, broker, sealer, forge } = deps;
  const folderOf = (root: string): string => join(config.dataFolder, 'datasets', root);

  const toBatchStatus = (batch: BatchRecord): BatchStatus => ({
    id: batch.id,
    state: batch.state,
    stream: batch.stream,
    streamName: config.streams.find(({ id }) => id === batch.stream)?.name ?? '',
    signatures: batch.challengeable ? 'challengeable on chain' : 'not challengeable on chain',
    entries: batch.entries,
    frames: batch.frames,
    bytes: batch.bytes,
    devices: batch.devices,
    openedAtUs: batch.openedAtUs,
    lastReceivedAtUs: batch.lastReceivedAtUs,
    ageSeconds: ageSeconds(batch),
    sealedAtUs: batch.sealedAtUs,
    root: batch.root,
    waitsFor: waitsFor(batch),
    dat: batch.dat,
    withdrawal: batch.withdrawal,
  });

  const forgeView = (): ForgeView => ({
    network: forge.network,
    chainId: forge.chainId,
    isPaused: deps.forgePause.isOn,
    ...forge.status(),
  });

  const ageSeconds = (batch: BatchRecord): number =>
    Math.max(0, Math.round((clock.nowUs() - batch.openedAtUs) / 1e6));

  const waitsFor = (batch: BatchRecord): string => {
    switch (batch.state) {
      case 'open': {
        const { ageSecondsMax, quietAgeSecondsMax, entriesMin, bytesMin } = config.batch;
        const isSmall = batch.entries < entriesMin && batch.bytes < bytesMin;
        const ageMax = isSmall ? Math.max(ageSecondsMax, quietAgeSecondsMax) : ageSecondsMax;
        const left = Math.max(0, ageMax - ageSeconds(batch));
        return `more entries: ${batch.entries} of ${config.batch.entriesMax}, or another ${left} s`;
      }
      case 'sealing':
        return sealer.lastError === null
          ? `its dataset folder (sealed because ${batch.dueWhy ?? 'it was due'})`
          : `sealing to succeed: ${sealer.lastError}`;
      case 'sealed':
      case 'committed': {
        const status = forge.status();
        const own = status.datasets.find(
          ({ logId, index }) => logId === batch.logId && index === batch.logIndex,
        );
        return own?.waitsFor || status.why || 'its turn to be forged';
      }
      default:
        return '';
    }
  };

  const toDatasetStatus = (batch: BatchRecord): DatasetStatus => ({
    root: batch.root ?? '',
    batch: batch.id,
    logId: batch.logId ?? '',
    logIndex: batch.logIndex ?? 0,
    manifestHash: batch.manifestHash ?? '',
    entries: batch.entries,
    frames: batch.frames,
    sealedAtUs: batch.sealedAtUs ?? 0,
    state: batch.state,
    waitsFor: waitsFor(batch),
    dat: batch.dat,
    withdrawal: batch.withdrawal,
    removedAtUs: batch.removedAtUs,
    folder: folderOf(batch.root ?? ''),
  });

  const toDeviceStatus = ({ id, ...row }: DeviceRow): DeviceStatus => ({
    ...row,
    keyType: keyFromDid(row.did).type,
    connected: broker.isConnected(id),
  });

  /** On a full disk the counts are those last written: the answer that says so must come. */
  const writeCounters = async (): Promise<void> => {
    try {
      await deps.ledger.calls.writeCounters();
    } catch (error) {
      if (!(error instanceof WaystoneError && error.code === 'DISK_FULL')) throw error;
    }
  };

  /** One device; a fleet that is enrolled one by one must not cost a look at all of it each time. */
  const deviceStatus = async ({ did }: DeviceRecord): Promise<DeviceStatus> => {
    await writeCounters();
    const row = await reader.device(did);
    if (row === null) throw new Error(`device ${did} is not in the ledger`);
    return toDeviceStatus(row);
  };

  const toRelayStatus = ({ id, name, login, devices, addedAtUs }: RelayRecord): RelayStatus => ({
    name,
    did: 'device' in login ? deps.didOf(login.device) : null,
    devices: devices === null ? null : [...devices].map(deps.didOf),
    addedAtUs,
    connected: broker.isRelayConnected(id),
  });

  const box = async (): Promise<GatewayStatus['box']> => {
    const disk = await statfs(config.dataFolder);
    const use = deps.disk.status;
    const { host } = config.mqtt;
    const troubles = [use?.refusal ?? '', sealer.lastError ?? ''].filter((why) => why !== '');
    const notReady = deps.notReady();
    return {
      state: notReady !== null ? 'stopping' : troubles.length > 0 ? 'degraded' : 'ok',
      why: notReady ?? troubles.join('; '),
      mqtt: `${config.mqtt.tlsKeyFile === undefined ? 'mqtt' : 'mqtts'}://${host}:${broker.port}`,
      http: deps.httpAddress(),
      clockTrusted: clock.isTrusted(clock.nowUs()),
      diskFreeBytes: disk.bavail * disk.bsize,
      dataBytes:
        use === null
          ? 0
          : use.ledgerBytes + use.unsealedBytes + use.unforgedBytes + use.forgedBytes,
      memoryBytes: process.memoryUsage.rss(),
      disk: use,
    };
  };

  const gasPerDay = async (): Promise<number | null> => {
    if (forge.network === 'none') return null;
    const [datasets, gas] = await Promise.all([
      reader.sealedWithin(clock.nowUs() - DAY_US, clock.nowUs()),
      reader.gasPerDataset(),
    ]);
    return Math.round(datasets * (gas ?? GAS_PER_DATASET));
  };

  /** @throws WaystoneError DATASET_REMOVED when retention removed the files of this dataset. */
  const requireFiles = ({ root, removedAtUs }: BatchRecord): void => {
    if (removedAtUs === null) return;
    throw new WaystoneError(
      'DATASET_REMOVED',
      `the files of dataset ${root} were removed by retention on ${new Date(removedAtUs / 1000).toISOString()}; its log record and DAT remain`,
    );
  };

  /** A frame whose statement the ledger has pruned is looked for in the datasets of its device. */
  const provePruned = async (
    did: string,
    session: string,
    stream: number,
    sequence: number,
  ): Promise<ProofAnswer> => {
    const datasets = await reader.prunedDatasets(did, session, stream, PRUNED_DATASETS_MAX);
    if (datasets === null) return { state: 'absent' };
    const there = datasets.filter(({ removedAtUs }) => removedAtUs === null);
    for (const { root } of there) {
      const proof = await deps.datasets.prove(root, { device: did, session, stream, sequence });
      if (proof !== null) return { state: 'proved', root, proof };
    }
    throw new WaystoneError(
      'FRAME_FORGOTTEN',
      `session ${session} of ${did} was closed long ago and its places are no longer kept; frame ${sequence} of stream ` +
        `${stream} is in none of the ${there.length} newest dataset folders with entries of this device` +
        (there.length < datasets.length ? ' (retention removed the files of others)' : '') +
        (datasets.length === PRUNED_DATASETS_MAX ? '; older ones were not looked into' : '') +
        ': if it was stored, it is in another dataset of the device, listed by its manifest',
    );
  };

  const view: GatewayView = {
    status: async () => {
      await writeCounters();
      const { batches, ...totals } = await reader.totals();
      const status = forge.status();
      const nowUs = clock.nowUs();
      return {
        version: VERSION,
        gateway: deps.gatewayDid,
        logId: deps.logId,
        // By the time that passed: the clock may have been set since.
        startedAtUs: nowUs - Math.round((clock.monotonicMs() - deps.startedAtMs) * 1000),
        nowUs,
        box: await box(),
        uplink:
          forge.network === 'none'
            ? { state: 'off', why: forge.note }
            : status.reachable
              ? { state: 'ok', why: '' }
              : {
                  state: 'down',
                  why: status.lastError?.message ?? (status.why || 'it is starting'),
                },
        chain: {
          network: forge.network,
          chainId: forge.chainId,
          idao: forge.idao,
          headBlock: status.headBlock,
          note: [forge.note, status.why].filter((part) => part !== '').join('; '),
          contracts: forge.contracts,
          rpcUrl: forge.rpcUrl,
          gasPerDay: await gasPerDay(),
        },
        connections: broker.connections,
        totals: {
          ...totals,
          duplicates: deps.duplicates(),
          datasets: batches.sealed + batches.committed + batches.forged + batches.withdrawn,
          forged: batches.forged,
        },
        batches,
      };
    },

    devices: async (limit, after) => {
      await writeCounters();
      const start = after === null ? 0 : await reader.deviceId(after);
      if (start === null) {
        throw new WaystoneError('DEVICE_UNKNOWN', `device ${after} is not enrolled`);
      }
      return (await reader.devices(limit, start)).map(toDeviceStatus);
    },

    batches: async (limit) => (await reader.batches(limit)).map(toBatchStatus),
    batch: async (id) => {
      const batch = await reader.batch(id);
      return batch === null ? null : toBatchStatus(batch);
    },
    datasets: async (limit) => (await reader.datasets(limit)).map(toDatasetStatus),
    dataset: async (root) => {
      const batch = await reader.dataset(root);
      if (batch === null) return null;
      const manifest = batch.removedAtUs === null ? await deps.datasets.manifest(root) : null;
      return { ...toDatasetStatus(batch), manifest };
    },
    datasetFolder: async (root) => {
      const batch = await reader.dataset(root);
      if (batch === null) return null;
      requireFiles(batch);
      return folderOf(root);
    },

    metadataFile: (tokenId) => metadataPath(publishedFolder(config), tokenId),

    proof: async (did, session, stream, sequence) => {
      const place = await reader.locate(did, session, stream, sequence);
      if (place === null) return provePruned(did, session, stream, sequence);
      const batch = await reader.batch(place.batch);
      if (batch === null) return { state: 'absent' };
      if (place.root === null || batch.state === 'open' || batch.state === 'sealing') {
        return { state: 'waiting', batch: batch.id, waitsFor: waitsFor(batch) };
      }
      requireFiles(batch);
      const proof = await deps.datasets.prove(place.root, {
        device: did,
        session,
        stream,
        sequence,
      });
      return proof === null ? { state: 'absent' } : { state: 'proved', root: place.root, proof };
    },

    refusals: (limit) => reader.refusals(limit),
    enrol: async (did, label) => deviceStatus(await deps.enrol(did, label)),
    revoke: async (did, reason) => deviceStatus(await deps.revoke(did, reason)),
    relays: async () => deps.relays().map(toRelayStatus),
    addRelay: async (request) => {
      const { relay, secret } = await deps.addRelay(request);
      return { ...toRelayStatus(relay), secret };
    },
    setRelayDevices: async (name, devices) =>
      toRelayStatus(await deps.setRelayDevices(name, devices)),
    removeRelay: async (name) => toRelayStatus(await deps.removeRelay(name)),
    forge: async () => forgeView(),
    changeForge: async (change) => {
      if (change !== 'retry') deps.forgePause.set(change === 'pause');
      forge.retry();
      return forgeView();
    },
    sealNow: async () => {
      const closed = await deps.ledger.calls.closeDue(clock.nowUs(), true);
      await sealer.nudge();
      return closed;
    },
    backup: (folder) => deps.backup(folder),
    metrics: async () => {
      const { batches } = await reader.totals();
      for (const [state, count] of Object.entries(batches)) {
        deps.metrics.batches.set({ state }, count);
      }
      const { status } = deps.disk;
      if (status !== null) {
        deps.metrics.diskFree.set(status.freeBytes);
        deps.metrics.diskRefusing.set(status.refusal === '' ? 0 : 1);
        if (status.hoursLeft === null) deps.metrics.outageHours.remove();
        else deps.metrics.outageHours.set(status.hoursLeft);
      }
      deps.metrics.connections.set(broker.connections);
      deps.metrics.waiting.set(broker.waiting);
      return deps.metrics.registry.metrics();
    },
    notReady: deps.notReady,
  };
  return view;
}
