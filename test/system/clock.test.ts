import { randomInt } from 'node:crypto';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import {
  decodeEntry,
  INGEST_FLAGS,
  type Manifest,
  readStatement,
  realmOf,
  statementHash,
  TIME_BASES,
  toHex,
} from '@waystone/proto';
import { afterEach, expect, it } from 'vitest';
import type { GatewayStatus } from '../../gateway/core/view.js';
import { DatasetReader } from '../../gateway/dataset/folder-reader.js';
import { sealAndForge } from '../faults/at-rest.js';
import { RawPublisher } from '../faults/fleet.js';
import { freePorts } from '../faults/free-ports.js';
import { PublishingRecord } from '../faults/publishing-record.js';
import { randomFrom } from '../faults/random.js';
import { datasetsFolder, namesOfDatasets, proveDatasets } from '../faults/stored-datasets.js';
import { frame, TestDevice } from '../harness/device.js';
import { FakeClock } from '../harness/fake-clock.js';
import { GatewayProcess, makeHome, removeHome } from '../harness/gateway.js';
import { DeviceClient, nameOf } from '../harness/mqtt.js';
import { waitFor } from '../harness/wait.js';

const SEED = Number(process.env.WAYSTONE_CLOCK_SEED ?? randomInt(2 ** 32));

const HOUR = 3600;
const DAY = 24 * HOUR;

/** What the gateway's clock shows may differ so much from what it was set to, µs. */
const CLOCK_SLACK_US = 60_000_000;

let gateway: GatewayProcess | undefined;
let home: string | undefined;
let publishers: RawPublisher[] = [];

afterEach(async () => {
  for (const publisher of publishers) publisher.stopPublishing();
  await gateway?.kill();
  if (home !== undefined) await removeHome(home);
});

interface Entry {
  readonly statement: string;
  readonly line: string;
  readonly firstSequence: number;
  readonly lastSequence: number;
  readonly receivedAtUs: number;
  readonly isFlagged: boolean;
}

/** Manifests and entries of all datasets in log order, from the disk alone. */
async function readDatasets(folder: string): Promise<{ manifest: Manifest; entries: Entry[] }[]> {
  const datasets = [];
  for (const root of await namesOfDatasets(folder)) {
    const reader = await DatasetReader.open(join(datasetsFolder(folder), root));
    const entries: Entry[] = [];
    for await (const [, bytes] of reader.entries()) {
      const entry = decodeEntry(bytes);
      const { statement, fault } = readStatement(entry.statement);
      if (statement === undefined) throw new Error(`an entry of ${root}: ${fault.code}`);
      entries.push({
        statement: toHex(statementHash(entry.statement)),
        line: [toHex(statement.device), toHex(statement.session), statement.stream].join('/'),
        firstSequence: statement.firstSequence,
        lastSequence: statement.firstSequence + statement.count - 1,
        receivedAtUs: entry.receivedAtUs,
        isFlagged: (entry.flags & INGEST_FLAGS.clockUntrusted) !== 0,
      });
    }
    await reader.close();
    datasets.push({ manifest: reader.manifest, entries });
  }
  return datasets.sort((a, b) => a.manifest.logIndex - b.manifest.logIndex);
}

/** Devices know the true time all along; only the gateway's clock, and its chain's, is set. */
it('loses, reorders and mis-seals nothing, whatever its clock is set to while it runs and while it is away', async () => {
  console.log(`clock test: seed ${SEED}`);
  const random = randomFrom(SEED);
  home = await makeHome();
  const clock = new FakeClock(home);
  const [mqttPort = 0, httpPort = 0] = await freePorts(2);
  const options = {
    network: 'local' as const,
    environment: clock.environment,
    set: [
      `mqtt.port=${mqttPort}`,
      `http.port=${httpPort}`,
      'batch.entriesMax=64',
      // Both are days by the clock: they must not go by its jumps.
      'disk.forgedDaysKept=3',
      'disk.unforgedHoursMax=24',
    ],
  };
  const statusOf = (): Promise<GatewayStatus> =>
    (gateway as GatewayProcess).ask<GatewayStatus>('GET', '/v1/status');
  const startedAtUs = Date.now() * 1000;

  clock.set('1970-01-01T00:00:30Z');
  gateway = await GatewayProcess.start(home, options);
  const { chain, box } = await statusOf();
  expect(box.clockTrusted).toBe(false);
  const realm = realmOf(chain.chainId, chain.idao);

  const record = new PublishingRecord();
  const flagsWanted = new Map<string, boolean>();
  const utc = new TestDevice(gateway.did, 'Ed25519');
  const counting = new TestDevice(gateway.did, 'P-256');
  const background = [new TestDevice(gateway.did), new TestDevice(gateway.did)];
  for (const device of [utc, counting, ...background]) await gateway.enrol(device.did);
  publishers = background.map(
    (device) =>
      new RawPublisher(
        { gateway: { mqttPort }, realm, device },
        { record, random: randomFrom(random.below(2 ** 32)) },
      ),
  );
  const running = publishers.map((publisher) => publisher.run());

  let sessionUs = 0;
  const makers = [
    { device: utc, make: () => utc.envelope({ timeUs: Date.now() * 1000, statement: { realm } }) },
    {
      device: counting,
      make: () => {
        sessionUs += 1_000_000;
        return counting.envelope({
          frames: [frame({ timeUs: sessionUs })],
          statement: {
            realm,
            timeBase: TIME_BASES.sessionStart,
            minTimeUs: sessionUs,
            maxTimeUs: sessionUs,
          },
        });
      },
    },
  ];
  /** Each device delivers a few envelopes and is told that they are stored. */
  const deliver = async (isTrusted: boolean): Promise<void> => {
    for (const { device, make } of makers) {
      const client = await DeviceClient.open(gateway as GatewayProcess, device);
      for (let i = 0; i < 3; i++) {
        const payload = await make();
        const { receipt } = await client.deliver(payload);
        expect(receipt.body.outcome).toMatchObject({ kind: 'stored' });
        const statement = toHex(nameOf(payload));
        record.acknowledged.add(statement);
        flagsWanted.set(statement, !isTrusted);
      }
      await client.end();
    }
  };
  /** Waits until the running gateway shows what its clock was set to, and whether it believes it. */
  const shown = async (isTrusted: boolean): Promise<void> => {
    await waitFor(`the gateway's clock to be ${isTrusted ? '' : 'not '}trusted`, async () => {
      const { nowUs, box } = await statusOf();
      const isSet = Math.abs(nowUs - clock.nowUs) < CLOCK_SLACK_US;
      return isSet && box.clockTrusted === isTrusted;
    });
    await deliver(isTrusted);
    // Time for the background to publish, and for the gateway's timers to see the clock.
    await delay(1_200);
  };
  const seal = () => (gateway as GatewayProcess).ask('POST', '/v1/batches/seal');

  await deliver(false);
  clock.setOffset(0);
  await shown(true);
  // A device whose clock is a day ahead is told so, now that times are judged; this is what a gateway that believed a
  // clock set back would tell all others.
  const ahead = await DeviceClient.open(gateway, utc);
  const early = await utc.envelope({
    timeUs: (Date.now() + DAY * 1000) * 1000,
    statement: { realm, firstSequence: 1_000_000 },
  });
  utc.sequence = 3 + 3;
  expect((await ahead.deliver(early)).receipt.body.outcome).toMatchObject({
    kind: 'refused',
    code: 'TIME_IN_FUTURE',
  });
  await ahead.end();

  clock.setOffset(-HOUR);
  await shown(false);
  await seal();
  clock.setOffset(-DAY);
  await shown(false);
  clock.set('1970-01-01T00:00:30Z');
  await shown(false);
  await seal();
  clock.set('2040-06-01T00:00:00Z');
  await shown(false);
  await seal();
  // The chain's blocks are of 2040 as well then, and must not fall back afterwards.
  await waitFor('datasets to be forged in 2040', async () => (await statusOf()).totals.forged >= 3);
  const { box: later } = await statusOf();
  expect(later.disk).toMatchObject({ refusal: '', retentionWaits: 'the clock is not trusted' });

  clock.setOffset(0);
  await shown(true);
  await gateway.kill();
  // As a box without RTC that saved its clock an hour ago.
  clock.setOffset(-HOUR);
  gateway = await GatewayProcess.start(home, options);
  await shown(false);
  await gateway.kill();
  clock.setOffset(0);
  gateway = await GatewayProcess.start(home, options);
  await shown(true);

  for (const publisher of publishers) publisher.stopPublishing();
  await Promise.all(running);
  const forged = await sealAndForge(gateway);
  const proof = await proveDatasets(gateway);
  const datasets = await readDatasets(home);
  const entries = datasets.flatMap((dataset) => dataset.entries);
  const stored = new Map(entries.map((entry) => [entry.statement, entry]));
  const lost = [...record.acknowledged].filter((statement) => !stored.has(statement));
  const flagged = entries.filter(({ isFlagged }) => isFlagged).length;
  console.log(
    `acknowledged: ${record.acknowledged.size}, flagged: ${flagged} of ${entries.length}, ` +
      `datasets: ${datasets.length}, DATs: ${proof.minted.length}\n` +
      `acked but lost: ${lost.length}, stored twice: ${entries.length - stored.size}`,
  );

  expect(lost).toEqual([]);
  expect(entries.length - stored.size).toBe(0);
  for (const [statement, isFlagged] of flagsWanted) {
    expect(stored.get(statement)).toMatchObject({ isFlagged });
  }
  // What is not flagged came when it says.
  for (const { isFlagged, receivedAtUs } of entries) {
    if (isFlagged) continue;
    expect(receivedAtUs).toBeGreaterThan(startedAtUs - CLOCK_SLACK_US);
    expect(receivedAtUs).toBeLessThan(Date.now() * 1000 + CLOCK_SLACK_US);
  }
  const last = new Map<string, number>();
  for (const { manifest, entries: own } of datasets) {
    expect(
      manifest.quality.clockUntrusted === 0 || manifest.quality.clockUntrusted === own.length,
    ).toBe(true);
    let receivedAtUs = 0;
    for (const entry of own) {
      expect(entry.receivedAtUs).toBeGreaterThanOrEqual(receivedAtUs);
      receivedAtUs = entry.receivedAtUs;
      // Datasets lie in the log as their entries came.
      expect(entry.firstSequence).toBeGreaterThan(last.get(entry.line) ?? -1);
      last.set(entry.line, entry.lastSequence);
    }
    expect(manifest.sealedAtUs).toBeGreaterThanOrEqual(receivedAtUs);
  }
  expect(datasets.map(({ manifest }) => manifest.logIndex)).toEqual(datasets.map((_, at) => at));
  expect(forged).toBe(datasets.length);
  for (const dataset of proof.datasets) {
    expect(dataset).toMatchObject({ verdict: 'verified', chain: 'forged' });
  }
  expect([...proof.minted].sort()).toEqual(proof.datasets.map(({ tokenId }) => tokenId).sort());
});
