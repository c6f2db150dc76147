import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Device, DeviceKey } from '@waystone/device-sdk';
import { DRIVE_FOLDER, loadDrive, pace, publishFrames } from '@waystone/firmware-bridge';
import { verifyPath } from '../audit/verify.js';
import { initHome, loadConfig, loadToken } from '../config/index.js';
import { messageOf, WaystoneError } from '../core/errors.js';
import type { Logger } from '../core/logger.js';
import { verifyNative } from '../core/native-signature.js';
import type { DatasetStatus } from '../core/view.js';
import { RpcChainReader } from '../forge/chain-reader.js';
import { type RunningGateway, startGateway } from '../gateway.js';
import { type MarketResult, useToken } from './market.js';
import type { DemoScreen } from './screen.js';

export interface DemoOptions {
  /** How many times faster than the drive was; 30 s of driving take 30 / speed seconds. */
  readonly speed: number;
  readonly framesPerEnvelope: number;
}

/** What the demo found; the last line of `--json`. */
export interface DemoResult {
  readonly frames: number;
  readonly envelopes: number;
  readonly datasets: readonly {
    readonly root: string;
    readonly manifestHash: string;
    readonly tokenId: string;
    readonly owner: string;
    readonly chainId: number;
    readonly transaction: string;
  }[];
  /** What the first dataset's token was good for; null when there is none. */
  readonly market: MarketResult | null;
  /** Whether every dataset passed every check, the chain's included. */
  readonly verified: boolean;
  readonly seconds: number;
}

export interface RunningDemo {
  readonly result: DemoResult;
  readonly gateway: RunningGateway;
  /** Address of the status page, with the token that it asks for. */
  readonly statusPage: string;
  /** Stops the gateway and removes its folders. */
  stop(): Promise<void>;
}

/** Envelopes of one dataset in the demo; small, so that a drive becomes a few datasets. */
const ENTRIES_PER_DATASET = 16;

/** How long forging may take before the demo gives up, ms: a slow box deploys contracts in some seconds. */
const FORGE_TIMEOUT_MS = 120_000;

/**
 * The whole way with real parts: a gateway with its broker and local chain, a device that is enrolled at it, and
 * a recorded drive that the device replays; then every dataset is checked as a buyer would check it.
 *
 * @throws WaystoneError DEMO_FAILED when a step does not come to its end, or what the gateway throws.
 */
export async function runDemo(options: DemoOptions, screen: DemoScreen): Promise<RunningDemo> {
  const startedAtMs = performance.now();
  const home = await mkdtemp(join(tmpdir(), 'waystone-demo-'));
  let gateway: RunningGateway | null = null;
  const stop = async (): Promise<void> => {
    await gateway?.stop();
    await rm(home, { recursive: true, force: true });
  };
  try {
    await initHome(home);
    const set = [
      'mqtt.port=0',
      'http.port=0',
      `batch.entriesMax=${ENTRIES_PER_DATASET}`,
      'idao.name=Demo iDAO',
    ];
    const config = loadConfig({ home, environment: {}, set });
    gateway = await startGateway(config, {
      logger: failuresTo(screen),
      onFatal: (error) => screen.fail(messageOf(error)),
    });
    screen.step('gateway', `${gateway.did} is up, broker on port ${gateway.mqttPort}`);

    const sent = await replay(gateway, options, screen);
    await gateway.view.sealNow();
    const datasets = await forged(gateway, screen);
    const verified = await verifyAll(gateway, datasets, screen);
    const market = await useToken(gateway, config.dataFolder, datasets[0], screen);
    const result: DemoResult = {
      frames: sent.storedFrames,
      envelopes: sent.storedEnvelopes,
      datasets: datasets.map(({ root, manifestHash, dat }) => ({
        root,
        manifestHash,
        tokenId: dat?.tokenId ?? '',
        owner: dat?.owner ?? '',
        chainId: dat?.chainId ?? 0,
        transaction: dat?.transaction ?? '',
      })),
      market,
      verified: verified && sent.refusedEnvelopes === 0,
      seconds: Math.round((performance.now() - startedAtMs) / 100) / 10,
    };
    const token = await loadToken(home);
    const statusPage = `http://127.0.0.1:${gateway.httpPort}/#token=${token}`;
    return { result, gateway, statusPage, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Enrols a new device and lets it publish the drive. */
async function replay(gateway: RunningGateway, options: DemoOptions, screen: DemoScreen) {
  const key = DeviceKey.generate('secp256k1');
  await gateway.view.enrol(key.did, 'demo car');
  const status = await gateway.view.status();
  screen.step('device', `${key.did} enrolled; its iDAO is ${status.chain.idao}`);
  const { frames } = await loadDrive(DRIVE_FOLDER);
  const device = new Device({
    url: `mqtt://127.0.0.1:${gateway.mqttPort}`,
    signer: key,
    gateway: gateway.did,
    software: 'waystone demo',
  });
  try {
    await device.connect();
    screen.step('drive', `${frames.length} frames of a car in San Francisco, 2018-08-02, replayed`);
    let stored = 0;
    const sent = await publishFrames(device, 'drive', pace(frames, { speed: options.speed }), {
      framesPerEnvelope: options.framesPerEnvelope,
      onStored: () => {
        stored += 1;
        screen.progress(
          stored / Math.ceil(frames.length / options.framesPerEnvelope),
          `${stored} envelopes signed, sent, stored and receipted`,
        );
      },
    });
    screen.step(
      'stored',
      `${sent.storedFrames} frames in ${sent.storedEnvelopes} envelopes, each with a signed receipt`,
    );
    if (sent.refusedEnvelopes > 0) screen.fail(`${sent.refusedEnvelopes} envelopes were refused`);
    return sent;
  } finally {
    await device.close();
  }
}

/** Waits until every dataset has its token. */
async function forged(gateway: RunningGateway, screen: DemoScreen): Promise<DatasetStatus[]> {
  const deadline = performance.now() + FORGE_TIMEOUT_MS;
  for (;;) {
    const batches = await gateway.view.batches(1000);
    const done = batches.filter(({ state }) => state === 'forged').length;
    const waiting = batches.find(({ state }) => state !== 'forged');
    screen.progress(
      done / Math.max(1, batches.length),
      waiting === undefined ? 'forged' : `batch ${waiting.id} waits for ${waiting.waitsFor}`,
    );
    if (waiting === undefined && batches.length > 0) break;
    if (performance.now() > deadline) {
      throw new WaystoneError(
        'DEMO_FAILED',
        `batch ${waiting?.id} is still ${waiting?.state} after ${FORGE_TIMEOUT_MS / 1000} s; it waits for ${waiting?.waitsFor}`,
      );
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  const datasets = (await gateway.view.datasets(1000)).reverse();
  for (const { root, dat } of datasets) {
    screen.step(
      'forged',
      `dataset ${root.slice(0, 16)}… is DAT ${short(dat?.tokenId)} of ${dat?.owner}`,
    );
  }
  return datasets;
}

/** Checks every dataset folder offline and against the chain, as a buyer would. */
async function verifyAll(
  gateway: RunningGateway,
  datasets: readonly DatasetStatus[],
  screen: DemoScreen,
): Promise<boolean> {
  const { chain } = await gateway.view.status();
  const reader = new RpcChainReader({
    url: chain.rpcUrl,
    datasetForge: chain.contracts.datasetForge ?? '',
  });
  try {
    let verified = datasets.length > 0;
    for (const { folder, root } of datasets) {
      const verification = await verifyPath(folder, {
        gatewayDid: gateway.did,
        chain: reader,
        verifySignature: verifyNative,
      });
      const passed = verification.checks.filter(({ status }) => status === 'passed').length;
      if (verification.result === 'verified') {
        screen.step(
          'verified',
          `${root.slice(0, 16)}… passed ${passed} checks, offline and on chain`,
        );
      } else {
        verified = false;
        screen.fail(`dataset ${root} is not verified: ${verification.verdict}`);
      }
    }
    return verified;
  } finally {
    reader.close();
  }
}

/** The gateway's log is not the demo's output, but its failures are. */
function failuresTo(screen: DemoScreen): Logger {
  const quiet = (): void => {};
  const loud = (fields: object, message: string): void => {
    screen.fail(`${message} ${JSON.stringify(fields)}`);
  };
  return { trace: quiet, debug: quiet, info: quiet, warn: quiet, error: loud };
}

function short(tokenId = ''): string {
  return tokenId.length > 12 ? `${tokenId.slice(0, 8)}…${tokenId.slice(-4)}` : tokenId;
}
