import { join } from 'node:path';
import {
  DATASET_FILES,
  didFromKey,
  ENVELOPE_BYTES_MAX,
  type EnrolmentPlace,
  LOCAL_REALM,
  realmOf,
  toHex,
} from '@waystone/proto';
import { startHttp } from './answers/index.js';
import { loadKeys, loadToken } from './config/index.js';
import { type Clock, SystemClock } from './core/clock.js';
import { ClockWatch } from './core/clock-watch.js';
import type { Config } from './core/config.js';
import { compactDevice } from './core/device-record.js';
import { makeFolder } from './core/durable.js';
import { messageOf, WaystoneError } from './core/errors.js';
import { ForgePause } from './core/forge-pause.js';
import { GatewayKey } from './core/gateway-key.js';
import type { Logger } from './core/logger.js';
import { makeMetrics } from './core/metrics.js';
import type { Decision, DeviceRecord } from './core/ports.js';
import { ReceiptMaker } from './core/receipt-maker.js';
import type { RelayRecord } from './core/relay.js';
import type { GatewayView } from './core/view.js';
import { publishedFolder, publishMetadata } from './dataset/published.js';
import { DeviceConfigs, DeviceProofs } from './device-config.js';
import { DiskKeeper } from './disk/disk-keeper.js';
import { openForge } from './forge/open-forge.js';
import { Broker } from './ingest/broker.js';
import { LoginThread } from './ingest/login-thread.js';
import { makeRelaySecret } from './ingest/relay-secret.js';
import { writeBackup } from './ledger/backup.js';
import { keepLogHead, logHeadFile } from './ledger/identity.js';
import { Ledger } from './ledger/ledger.js';
import { LedgerReader } from './ledger/reader.js';
import { liveView } from './live-view.js';
import { ReceiptSender } from './receipts/receipt-sender.js';
import { DatasetThread } from './seal/dataset-thread.js';
import type { IncludedChunk } from './seal/included-receipts.js';
import { DatasetInspector } from './seal/inspector.js';
import { Sealer } from './seal/sealer.js';
import { VerifierPool } from './verify/pool.js';

export interface GatewayDeps {
  readonly logger: Logger;
  readonly clock?: Clock;
  /** Called when the state on disk is unknown; the process must end. */
  readonly onFatal: (error: Error) => void;
}

export interface RunningGateway {
  readonly view: GatewayView;
  readonly did: string;
  readonly mqttPort: number;
  readonly httpPort: number;
  /** RPC address of the chain's node, or "". */
  readonly rpcUrl: string;
  /** Takes nothing new, finishes what is in flight, closes everything. */
  stop(): Promise<void>;
}

/** How often batches are looked at, ms: a batch is sealed at most so long after it is due. */
const SEAL_EVERY_MS = 1_000;

/** How often it is kept for how long the clock has been doubted, ms: a restart forgets no more. */
const DOUBT_KEPT_EVERY_MS = 600_000;

/** How often the space on disk, and the clock, are looked at. */
const DISK_EVERY_MS = 2_000;

/** Receipts that one call asks the ledger for: each may take a signature, and commit groups wait behind it. */
const RECEIPTS_PER_CALL = 64;

/** Verifier threads: one core is left to the broker and the ledger, but two verifiers pay on two cores. */
const VERIFIERS = 2;

/**
 * Builds the stages in the data's order, starts them, and stops them in reverse:
 * ingest → verify → ledger → seal → forge, with receipts going back and the answers reading alongside.
 *
 * @throws WaystoneError when the home, the data folder, a port or the ledger is not as it must be.
 */
export async function startGateway(config: Config, deps: GatewayDeps): Promise<RunningGateway> {
  const { logger, onFatal } = deps;
  const systemClock = new SystemClock();
  const clock = deps.clock ?? systemClock;
  const keys = await loadKeys(config.home);
  const key = new GatewayKey(keys.gateway.privateKey);
  const did = didFromKey(key.publicKey);
  const nextKeyId = new GatewayKey(keys.next.privateKey).id;
  const datasetsFolder = join(config.dataFolder, 'datasets');
  const headFile = logHeadFile(config.home);
  makeFolder(config.dataFolder);
  makeFolder(datasetsFolder);
  const startedAtMs = clock.monotonicMs();
  const metrics = makeMetrics();
  const stops: (() => Promise<void>)[] = [];
  let stopping: string | null = 'the gateway is starting';

  try {
    // The chain's addresses are known before the chain runs, and with them the realm.
    const forgePause = new ForgePause(config.dataFolder);
    const { publishFolder } = config.http;
    const published = publishedFolder(config);
    const forge = await openForge(config, {
      logger,
      isPaused: () => forgePause.isOn,
      gateway: {
        id: toHex(key.id),
        publicKey: toHex(key.publicKey.bytes),
        sign: (message) => key.sign(message),
      },
      journal: () => ledger.calls,
      datasets: {
        ready: async (limit) =>
          (await ledger.calls.forgeReady(limit)).map((dataset) => ({
            ...dataset,
            url: `${config.http.publicUrl || httpAddress()}/entries/${dataset.root}`,
          })),
        inspect: (id, devices) => inspector.inspect(id, devices),
        entry: (root, index) => datasets.calls.entry(root, index),
        proofs: async (deviceIds) =>
          place === null ? [] : ledger.calls.proofsOf(place, deviceIds),
        publish: async (root) => {
          // Without a folder the gateway serves them itself, from where they were sealed.
          if (publishFolder !== '') await datasets.calls.publish(root, publishFolder);
        },
        describe: async (tokenId, metadata) => publishMetadata(published, tokenId, metadata),
        entriesHash: async (root) => {
          const { files } = await datasets.calls.manifest(root);
          return files.find(({ name }) => name === DATASET_FILES.entries)?.sha256 ?? '';
        },
        committed: (id) => ledger.calls.forgeCommitted(id),
        forged: async (result) => {
          const { nowUs, doubt } = watch.look();
          await ledger.calls.forgeForged(result, doubt === '' ? nowUs : null);
          disk.forged(result.root);
          metrics.datasets.inc({ step: 'forged' });
          const batch = await reader.calls.dataset(result.root);
          if (batch?.dat) {
            const { devices } = await datasets.calls.manifest(result.root);
            await receipts.forged(result.root, batch.dat, new Set(devices.map((one) => one.did)));
          }
        },
      },
    });
    // LazAI's contracts know no devices.
    const { registry } = forge.contracts;
    const place: EnrolmentPlace | null =
      registry === undefined || registry === '' || forge.idao === ''
        ? null
        : { chainId: forge.chainId, registry, idao: forge.idao };
    const realm = forge.idao === '' ? LOCAL_REALM : realmOf(forge.chainId, forge.idao);
    const httpAddress = (): string => `http://${hostInUrl(config.http.host)}:${http.port}`;

    const devices = new Map<string, DeviceRecord>();
    const byId = new Map<number, DeviceRecord>();

    // verify
    const verifiers = new VerifierPool(
      { threads: VERIFIERS, realm, streams: config.streams.map(({ id }) => id) },
      (id) => byId.get(id) as DeviceRecord,
      onFatal,
    );
    stops.push(() => verifiers.stop());

    // ledger
    const ledger = await Ledger.open(
      {
        dataFolder: config.dataFolder,
        logHeadFile: headFile,
        privateKey: key.exportPrivateKey(),
        limits: config.batch,
        sessions: config.sessions,
        settledBy: config.chain.network === 'none' ? 'sealed' : 'forged',
        verifiers: verifiers.ledgerPorts,
      },
      (decisions) => decide(decisions),
      onFatal,
    );
    stops.push(() => ledger.stop());
    const { logId } = await ledger.calls.identity();
    const { believedUs, doubtedMs } = await ledger.calls.clockMemory();
    systemClock.remember(believedUs ?? 0, doubtedMs);
    const watch = new ClockWatch(clock, logger, believedUs);
    let doubtKeptMs = doubtedMs;
    const keepDoubt = async (): Promise<void> => {
      if (systemClock.doubtedMs - doubtKeptMs < DOUBT_KEPT_EVERY_MS) return;
      doubtKeptMs = systemClock.doubtedMs;
      await ledger.calls.keepClockDoubt(doubtKeptMs);
    };
    const know = (received: DeviceRecord): void => {
      const device = compactDevice(received);
      devices.set(device.did, device);
      byId.set(device.id, device);
      verifiers.changed(device);
    };
    for (const device of await ledger.calls.devices()) know(device);
    const relays = new Map<string, RelayRecord>();
    for (const relay of await ledger.calls.relays()) relays.set(relay.name, relay);
    const reader = new LedgerReader(config.dataFolder, () => ledger.settled(), onFatal);
    stops.push(() => reader.stop());

    // seal
    const datasets = new DatasetThread(
      { dataFolder: config.dataFolder, privateKey: key.exportPrivateKey(), logId },
      onFatal,
    );
    stops.push(() => datasets.stop());
    const sealer = new Sealer(
      { streams: config.streams, chainId: forge.chainId, idao: forge.idao, everyMs: SEAL_EVERY_MS },
      {
        ledger: ledger.calls,
        clock,
        logger,
        key,
        write: datasets.calls.write,
        addCheckpoint: datasets.calls.addCheckpoint,
        keepLogHead: (head) => keepLogHead(headFile, head),
        onSealed: (_batch, root) => {
          metrics.datasets.inc({ step: 'sealed' });
          forge.nudge();
          void receipts.sealed(root);
        },
      },
    );

    const inspector = new DatasetInspector(
      {
        realm: toHex(realm),
        chainId: forge.chainId,
        datasetsFolder,
        servedAt: (root) => `${httpAddress()}/entries/${root}`,
        publicAt: (root) =>
          config.http.publicUrl === '' ? '' : `${config.http.publicUrl}/entries/${root}`,
      },
      {
        ledger: ledger.calls,
        datasets: datasets.calls,
        unlikeReceipt: (entries) => reader.calls.unlikeReceipt(entries),
        clock,
        logger,
        onWithdrawn: (root, offenders) => {
          metrics.datasets.inc({ step: 'withdrawn' });
          void sealer.nudge();
          void receipts.withdrawn(root, offenders);
        },
      },
    );

    // disk
    for (const root of await reader.calls.removedAmong(await datasets.calls.finishRemovals())) {
      await datasets.calls.remove(root);
    }
    const disk: DiskKeeper = new DiskKeeper(config.disk, {
      time: () => {
        // Only a restart's memory: what fails now is kept at the next look.
        keepDoubt().catch((error) => logger.warn({ error: messageOf(error) }, 'clock not kept'));
        return watch.look();
      },
      monotonicMs: () => clock.monotonicMs(),
      logger,
      dataFolder: config.dataFolder,
      use: () => reader.calls.diskUse(),
      takeNew: (bytes, code) => ledger.takeNew(bytes, code),
      hasUndated: (nowUs) => reader.calls.hasUndated(nowUs),
      dateForged: (nowUs) => ledger.calls.dateForged(nowUs),
      removable: (limits, nowUs) => reader.calls.removable(limits, nowUs),
      remove: async ({ batch, root }, nowUs) => {
        await ledger.calls.markRemoved(batch, nowUs);
        await datasets.calls.remove(root);
      },
    });
    stops.push(() => disk.stop());
    await disk.start(DISK_EVERY_MS);

    // receipts
    const receipts: ReceiptSender = new ReceiptSender({
      logger,
      receiptMaker: new ReceiptMaker(key, logId),
      send: (device, receipt) => broker.sendReceipt(device, receipt),
      connected: () => broker.connectedDevices().flatMap((id) => byId.get(id) ?? []),
      chainId: forge.chainId,
      included: (root, ids, indexes) =>
        chunksOf(datasets.calls, datasets.calls.openIncluded(root, ids, indexes)),
      withdrawn: (root, ids, offenders) =>
        chunksOf(datasets.calls, datasets.calls.openWithdrawn(root, ids, offenders, forge.chainId)),
      batch: async (id) => {
        const batch = await reader.calls.batch(id);
        if (batch === null) return null;
        const isSealed =
          batch.state !== 'open' && batch.state !== 'sealing' && batch.removedAtUs === null;
        return { root: batch.root, entries: batch.entries, isSealed, dat: batch.dat };
      },
    });

    // ingest
    let duplicates = 0;
    const decide = (decisions: readonly Decision[]): void => {
      const counts = { stored: 0, duplicate: 0, refused: 0, retry: 0 };
      let storedFrames = 0;
      for (const { device, kind, frames } of decisions) {
        verifiers.decided(device);
        counts[kind] += 1;
        if (kind === 'stored') storedFrames += frames;
      }
      for (const [outcome, count] of Object.entries(counts)) {
        if (count > 0) metrics.envelopes.inc({ outcome }, count);
      }
      metrics.frames.inc(storedFrames);
      duplicates += counts.duplicate;
      broker.decide(decisions);
    };
    const settings = {
      realm,
      streams: [...config.streams],
      envelopeBytesMax: ENVELOPE_BYTES_MAX,
      gateway: did,
      nextKeyHash: nextKeyId,
    };
    const proofs = place === null ? null : await DeviceProofs.load(place, ledger.calls, clock);
    const configs = new DeviceConfigs(key, settings, proofs);
    const logins = new LoginThread({ did, publicKey: key.publicKey, enrolment: place }, onFatal);
    stops.push(() => logins.stop());
    const broker = await Broker.start(config.mqtt, {
      logger,
      clock,
      login: {
        checks: logins.calls,
        find: (name) => devices.get(name),
        findRelay: (name) => relays.get(name),
        relayOf: (device) =>
          [...relays.values()].find(({ login }) => 'device' in login && login.device === device),
        enter: (device, session, counter) =>
          ledger.calls.enter(device, session, counter, clock.nowUs()),
      },
      submit: (envelope) => verifiers.submit(envelope),
      hello: async (device, hello) => {
        if (!hello.isOnline) return null;
        const { session, counter, queuedSessions } = hello;
        const now = clock.nowUs();
        const fault = await ledger.calls.hello(device.id, session, counter, queuedSessions, now);
        if (fault === null && hello.enrolment !== null)
          await proofs?.keep(device.id, hello.enrolment);
        if (fault !== null || hello.wantedReceipts.length === 0) return fault;
        const wanted = hello.wantedReceipts;
        const owed = [];
        for (let at = 0; at < wanted.length; at += RECEIPTS_PER_CALL) {
          const some = wanted.slice(at, at + RECEIPTS_PER_CALL);
          owed.push(...(await ledger.calls.owedReceipts(device.id, some)));
        }
        void receipts.owed(device, owed);
        return null;
      },
      config: (device) => configs.for(device),
      refusalReceipt: (device, payload, code, kind) =>
        receipts.refusal(device, payload, code, kind),
      count: (code) => metrics.refusals.inc({ code }),
    });
    stops.push(() => broker.stop());

    // answers
    const view = liveView({
      config,
      clock,
      gatewayDid: did,
      logId: toHex(logId),
      startedAtMs,
      ledger,
      reader: reader.calls,
      datasets: datasets.calls,
      broker,
      sealer,
      disk,
      forge,
      forgePause,
      metrics,
      duplicates: () => duplicates,
      httpAddress,
      notReady: () => stopping,
      enrol: async (name, label) => {
        const device = await ledger.calls.enrol(name, label, clock.nowUs());
        know(device);
        logger.info({ device: device.did }, 'device enrolled');
        return device;
      },
      revoke: async (name, reason) => {
        const device = await ledger.calls.revoke(name, reason, clock.nowUs());
        know(device);
        broker.disconnect(device.id);
        logger.info({ device: device.did, reason }, 'device revoked');
        return device;
      },
      relays: () => [...relays.values()],
      didOf: (device) => byId.get(device)?.did ?? '',
      addRelay: async ({ name, did, devices }) => {
        const made = did === null ? await makeRelaySecret() : null;
        const login = made?.kept ?? { did: did as string };
        const relay = await ledger.calls.addRelay({ name, login, devices }, clock.nowUs());
        relays.set(name, relay);
        // It comes back as what it is now.
        if ('device' in relay.login) broker.disconnect(relay.login.device);
        logger.info({ relay: name }, 'relay added');
        return { relay, secret: made?.secret ?? null };
      },
      setRelayDevices: async (name, devices) => {
        const relay = await ledger.calls.setRelayDevices(name, devices);
        relays.set(name, relay);
        broker.changeRelay(relay);
        logger.info({ relay: name }, 'relay carries other devices');
        return relay;
      },
      removeRelay: async (name) => {
        const relay = await ledger.calls.removeRelay(name);
        relays.delete(name);
        broker.disconnectRelay(relay.id);
        logger.info({ relay: name }, 'relay removed');
        return relay;
      },
      backup: (folder) =>
        writeBackup({ folder, dataFolder: config.dataFolder, ledger, gateway: did }),
    });
    const { host, port, publicUrl } = config.http;
    const token = await loadToken(config.home);
    const http = await startHttp({ host, port, publicUrl, token, view, logger });
    stops.push(() => http.close());

    sealer.start();
    stops.push(() => sealer.stop());
    forge.start();
    stops.push(() => forge.stop());
    stopping = null;
    logger.info(
      { gateway: did, mqtt: broker.port, http: http.port, network: forge.network },
      'gateway is up',
    );

    let stopped: Promise<void> | null = null;
    return {
      view,
      did,
      mqttPort: broker.port,
      httpPort: http.port,
      get rpcUrl() {
        return forge.rpcUrl;
      },
      stop: () => {
        stopping = 'the gateway is stopping';
        stopped ??= stopAll(stops, logger);
        return stopped;
      },
    };
  } catch (error) {
    await stopAll(stops, logger);
    throw error;
  }
}

/** Stops the stages in reverse of the order in which they were started. */
async function stopAll(stops: readonly (() => Promise<void>)[], logger: Logger): Promise<void> {
  for (const stop of [...stops].reverse()) {
    try {
      await stop();
    } catch (error) {
      if (!(error instanceof WaystoneError)) throw error;
      logger.warn({ code: error.code, error: error.message }, 'a stage did not stop cleanly');
    }
  }
}

function hostInUrl(host: string): string {
  return host.includes(':') ? `[${host}]` : host;
}

/** The receipts of a walk through a dataset, a chunk at a time; the walk ends with whoever stops listening. */
async function* chunksOf(
  datasets: DatasetThread['calls'],
  walk: Promise<number>,
): AsyncGenerator<IncludedChunk> {
  const number = await walk;
  try {
    for (;;) {
      const chunk = await datasets.nextIncluded(number);
      if (chunk === null) return;
      yield chunk;
    }
  } finally {
    await datasets.closeIncluded(number);
  }
}
