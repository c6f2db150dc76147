import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { DeviceKey } from '@waystone/device-sdk';
import { keyId, realmOf, toHex } from '@waystone/proto';
import { afterEach, expect, it } from 'vitest';
import type { GatewayStatus } from '../../gateway/core/view.js';
import { TestDevice } from '../harness/device.js';
import { GatewayProcess, makeHome, removeHome } from '../harness/gateway.js';
import { waitFor } from '../harness/wait.js';
import { sealAndForge } from './at-rest.js';
import { RawPublisher, SdkPublisher } from './fleet.js';
import { freePorts } from './free-ports.js';
import { PublishingRecord } from './publishing-record.js';
import { randomFrom } from './random.js';
import { pendingRedo } from './redo-pending.js';
import {
  framesOf,
  listDatasets,
  namesOfDatasets,
  proveDatasets,
  readEntries,
} from './stored-datasets.js';

const ROUNDS = Number(process.env.WAYSTONE_KILL_ROUNDS ?? 12);
const SEED = Number(process.env.WAYSTONE_KILL_SEED ?? randomInt(2 ** 32));

/** Latest instant of a kill, ms after the gateway is up. */
const KILL_WITHIN_MS = 1_500;

/** One in so many kills comes while the gateway starts. */
const KILL_STARTING_EVERY = 4;

/** One in so many rounds, a device starts anew as well. */
const DEVICE_ANEW_EVERY = 5;

/** One device of each line; the default type twice, so that a dataset holds several devices of it. */
const KEY_TYPES = ['secp256k1', 'secp256k1', 'P-256', 'Ed25519'] as const;

/**
 * Devices that send on without a pause, so that commit groups follow one another at once: then their rows wait, and most
 * kills find some that are in the redo file alone.
 */
const HASTY_DEVICES = 6;
const HASTY_PAUSE_MAX_MS = 3;

let gateway: GatewayProcess | undefined;
let home: string | undefined;
let closing: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const close of closing) await close();
  closing = [];
  await gateway?.kill();
  if (home !== undefined) await removeHome(home);
});

/** Starts the gateway and kills it so many ms later, whether it is up by then or not. */
async function startAndKill(
  home: string,
  options: Parameters<typeof GatewayProcess.start>[1] & { killMs: number },
): Promise<void> {
  let exited: Promise<unknown[]> | undefined;
  const starting = GatewayProcess.start(home, {
    ...options,
    onSpawn: (process) => {
      exited = once(process, 'exit');
      setTimeout(() => process.kill('SIGKILL'), options.killMs);
    },
  }).catch(() => undefined); // It was killed before it was up, or ended by itself: the exit tells.
  await starting;
  expect(await exited).toEqual([null, 'SIGKILL']);
}

it(
  'stores each acknowledged envelope in exactly one dataset with exactly one DAT, however often it is killed',
  async () => {
    console.log(`kill test: seed ${SEED}, ${ROUNDS} rounds`);
    const random = randomFrom(SEED);
    const record = new PublishingRecord();
    home = await makeHome();
    const [mqttPort = 0, httpPort = 0] = await freePorts(2);
    const options = {
      network: 'local' as const,
      set: [
        `mqtt.port=${mqttPort}`,
        `http.port=${httpPort}`,
        'batch.entriesMax=192',
        'batch.ageSecondsMax=2',
      ],
    };
    gateway = await GatewayProcess.start(home, options);
    const { did } = gateway;
    const { chain } = await gateway.ask<GatewayStatus>('GET', '/v1/status');
    const realm = realmOf(chain.chainId, chain.idao);

    const keys = KEY_TYPES.map((type) => DeviceKey.generate(type));
    const hasty = Array.from({ length: HASTY_DEVICES }, () => new TestDevice(did));
    for (const key of [...keys, ...hasty.map(({ key }) => key)]) await gateway.enrol(key.did);
    const url = gateway.mqttUrl;
    const devices = keys.map(
      (key) =>
        new SdkPublisher(
          { url, gateway: did, key },
          { record, random: randomFrom(random.below(2 ** 32)) },
        ),
    );
    const raw = hasty.map(
      (device) =>
        new RawPublisher(
          { gateway: { mqttPort }, realm, device, pauseMaxMs: HASTY_PAUSE_MAX_MS },
          { record, random: randomFrom(random.below(2 ** 32)) },
        ),
    );
    closing = devices.map((device) => () => device.close());
    const running = [...devices, ...raw].map((publisher) => publisher.run());

    let undecided = 0;
    let carriedOver = 0;
    let killsWithPending = 0;
    // Until at least one kill has come while rows waited, which is soon.
    const mayEnd = (rounds: number) => carriedOver > 0 || rounds >= 4 * ROUNDS;
    for (let round = 0; round < ROUNDS || !mayEnd(round); round++) {
      const killMs = random.below(KILL_WITHIN_MS);
      if (random.below(KILL_STARTING_EVERY) === 0) {
        await gateway.kill();
        await startAndKill(home, { ...options, killMs });
      } else {
        await delay(killMs);
        await gateway.kill();
      }
      undecided += devices.reduce((sum, { unreceipted }) => sum + unreceipted, 0);
      const pending = pendingRedo(join(home, 'data'));
      carriedOver += pending;
      if (pending > 0) killsWithPending += 1;
      gateway = await GatewayProcess.start(home, options);
      if (random.below(DEVICE_ANEW_EVERY) === 0) {
        await devices[random.below(devices.length)]?.startAnew();
      }
    }

    for (const publisher of [...devices, ...raw]) publisher.stopPublishing();
    await Promise.all(running);
    await waitFor('every envelope to have its receipt', () =>
      devices.every(({ unreceipted }) => unreceipted === 0),
    );
    const forged = await sealAndForge(gateway);
    const proof = await proveDatasets(gateway);
    const listed = await listDatasets(gateway);

    const entries = await readEntries(home);
    const stored = new Map(entries.map((entry) => [entry.statement, entry]));
    const frames = entries.flatMap(framesOf);
    const acknowledged = [...record.receipted.keys(), ...record.acknowledged];
    const lost = acknowledged.filter((statement) => !stored.has(statement));
    console.log(
      `published: ${record.published.size} envelopes, receipted: ${record.receipted.size}, ` +
        `PUBACKed without the SDK: ${record.acknowledged.size}, undecided at a kill: ${undecided}, ` +
        `receipts again: ${record.repeats}\n` +
        `commit groups in the redo file alone: ${carriedOver}, after ${killsWithPending} of the kills\n` +
        `acked but lost: ${lost.length}, stored twice: ${frames.length - new Set(frames).size}, ` +
        `datasets: ${proof.datasets.length}, DATs: ${proof.minted.length}`,
    );

    expect(carriedOver).toBeGreaterThan(0);
    expect(lost).toEqual([]);
    expect(frames.length - new Set(frames).size).toBe(0);
    expect(stored.size).toBe(entries.length);
    expect(record.refused).toEqual([]);
    expect(record.changed).toEqual([]);
    // What came is what was published, and what was receipted is the very entry that is there.
    for (const { root: _root, entryLeaf, ...entry } of entries) {
      expect(record.published.get(entry.statement)).toEqual(entry);
      const receipt = record.receipted.get(entry.statement);
      if (receipt !== undefined) expect(receipt.entryLeaf).toBe(entryLeaf);
    }
    // The SDK's devices were answered for everything, so everything of theirs is there.
    const unheard = new Set(raw.map(({ key }) => toHex(keyId(key.publicKey))));
    const unanswered = [...record.published.values()].filter(
      ({ device, statement }) => !unheard.has(device) && !record.receipted.has(statement),
    );
    expect(unanswered).toEqual([]);

    expect(await namesOfDatasets(home)).toEqual(listed.map(({ root }) => root).sort());
    expect(listed.map(({ logIndex }) => logIndex)).toEqual(listed.map((_, index) => index));
    expect(forged).toBe(listed.length);
    for (const dataset of proof.datasets) {
      expect(dataset).toMatchObject({ verdict: 'verified', chain: 'forged' });
      expect(dataset.owner?.toLowerCase()).toBe(proof.idao.toLowerCase());
    }
    expect([...proof.minted].sort()).toEqual(proof.datasets.map(({ tokenId }) => tokenId).sort());
  },
  60_000 + ROUNDS * 20_000,
);
