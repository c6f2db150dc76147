import { randomInt } from 'node:crypto';
import { realpathSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, expect, it } from 'vitest';
import { endOrphan } from '../../gateway/forge/anvil-process.js';
import { sealAndForge } from '../faults/at-rest.js';
import { freePorts } from '../faults/free-ports.js';
import { expectKept } from '../faults/kept.js';
import { type Random, randomFrom } from '../faults/random.js';
import { pendingRedo } from '../faults/redo-pending.js';
import { proveDatasets } from '../faults/stored-datasets.js';
import { GatewayProcess, makeHome, removeHome } from '../harness/gateway.js';
import { FaultyDisk } from './faulty-disk/faulty-disk.js';
import { FleetOnDisk } from './fleet-on-disk.js';

const ROUNDS = Number(process.env.WAYSTONE_POWER_CUT_ROUNDS ?? 8);
const SEED = Number(process.env.WAYSTONE_POWER_CUT_SEED ?? randomInt(2 ** 32));

/** Latest instant of a cut, ms after the gateway is up, or after it was started. */
const CUT_WITHIN_MS = 1_200;

/** Calls before which the power may fail, and how many of them may pass first. */
const CUT_BEFORE = [
  { call: 'sync', pattern: '*', within: 60 },
  { call: 'sync', pattern: '*/ledger.sqlite-wal', within: 30 },
  { call: 'sync', pattern: '*/ledger.sqlite', within: 2 },
  { call: 'sync', pattern: '*/ledger.redo', within: 30 },
  { call: 'write', pattern: '*/ledger.redo', within: 30 },
  { call: 'sync', pattern: '*/batches*', within: 20 },
  { call: 'sync', pattern: '*/datasets*', within: 16 },
  { call: 'write', pattern: '*/datasets*', within: 12 },
  { call: 'name', pattern: '*', within: 24 },
  { call: 'name', pattern: '*/batches*', within: 4 },
  { call: 'sync', pattern: '*/keys*', within: 4 },
] as const;

const WAYS = ['starting', 'at an instant', 'at a call', 'at a call'] as const;

/** Devices that send on at once, so that most cuts find commit groups that are in the redo file alone. */
const HASTY_DEVICES = 4;

/** While it starts, the power fails before one of the first so many such calls. */
const START_WITHIN = 6;

let gateway: GatewayProcess | undefined;
let home: string | undefined;
let disk: FaultyDisk | undefined;
let fleet: FleetOnDisk | undefined;

afterEach(async () => {
  await fleet?.close();
  await gateway?.kill();
  await disk?.remove();
  if (home !== undefined) await removeHome(home);
  fleet = gateway = disk = home = undefined;
});

type Options = Parameters<typeof GatewayProcess.start>[1];

/** Starts the gateway and lets the power fail, somewhere. @returns where. */
async function runUntilCut(faulty: FaultyDisk, options: Options, random: Random): Promise<string> {
  const atMs = random.below(CUT_WITHIN_MS);
  const before = CUT_BEFORE[random.below(CUT_BEFORE.length)] as (typeof CUT_BEFORE)[number];
  const { call, pattern } = before;
  const fault = { action: 'die', call, pattern, nth: 1 + random.below(before.within) } as const;
  const way = WAYS[random.below(WAYS.length)];
  if (way === 'starting') faulty.arm({ ...fault, nth: 1 + random.below(START_WITHIN) });
  try {
    gateway = await GatewayProcess.start(home as string, options);
  } catch (error) {
    if (faulty.fired === null) throw error;
    return `at the start, before the ${call} of ${faulty.fired}`;
  }
  if (way === 'at a call') faulty.arm(fault);
  await Promise.race([gateway.exited, delay(way === 'at an instant' ? atMs : CUT_WITHIN_MS)]);
  await gateway.kill();
  return faulty.fired === null ? 'at an instant' : `before the ${call} of ${faulty.fired}`;
}

it.each([
  ['none', ROUNDS],
  ['local', Math.ceil(ROUNDS / 4)],
] as const)(
  'keeps each acknowledged envelope in exactly one dataset through power cuts that drop what was not synced (network %s)',
  async (network, rounds) => {
    const seed = (SEED + (network === 'local' ? 1 : 0)) >>> 0;
    console.log(`power cuts, network ${network}: seed ${SEED}, ${rounds} rounds`);
    const random = randomFrom(seed);
    home = realpathSync(await makeHome());
    disk = await FaultyDisk.under(home);
    const [mqttPort = 0, httpPort = 0] = await freePorts(2);
    const options = {
      network,
      set: [
        `mqtt.port=${mqttPort}`,
        `http.port=${httpPort}`,
        'batch.entriesMax=192',
        'batch.ageSecondsMax=1',
      ],
    };
    const faulty = { ...options, environment: disk.environment() };
    gateway = await GatewayProcess.start(home, faulty);
    fleet = await FleetOnDisk.of(gateway, random, { hasty: HASTY_DEVICES });
    fleet.start();
    // The first cut of all comes soon after the data folder was made.
    await delay(random.below(CUT_WITHIN_MS));
    await gateway.kill();
    const total = { pages: 0, pagesDropped: 0, names: 0, namesDropped: 0 };
    let carriedOver = 0;
    // Of fewer cuts none may come while rows wait.
    const isMany = rounds >= 8;
    const mayEnd = (round: number) => !isMany || carriedOver > 0 || round >= 4 * rounds;
    for (let round = 0; round < rounds || !mayEnd(round); round++) {
      const where = round === 0 ? 'soon' : await runUntilCut(disk, faulty, random);
      // The power fails for the chain's node as well.
      await endOrphan(join(home, 'data', 'chain', 'anvil.json'));
      const cut = await disk.cutPower(random);
      for (const name of Object.keys(total) as (keyof typeof total)[]) {
        total[name] += cut[name];
      }
      const pending = pendingRedo(join(home, 'data'));
      carriedOver += pending;
      console.log(
        `cut ${where.replace(home, '')}; kept of content ${cut.keptContent}, of names ${cut.keptNames}; ` +
          `dropped ${cut.pagesDropped} of ${cut.pages} pages, ${cut.namesDropped} of ${cut.names} names; ` +
          `${pending} commit groups in the redo file alone`,
      );
    }
    console.log(
      `${rounds} power cuts dropped ${total.pagesDropped} of ${total.pages} unsynced pages and ` +
        `${total.namesDropped} of ${total.names} unsynced names; ${carriedOver} commit groups were in the redo file alone`,
    );

    gateway = await GatewayProcess.start(home, options);
    await fleet.settle();
    if (network === 'none') {
      await gateway.seal();
    } else {
      const forged = await sealAndForge(gateway);
      const { datasets, minted } = await proveDatasets(gateway);
      expect(forged).toBe(datasets.length);
      for (const one of datasets)
        expect(one).toMatchObject({ verdict: 'verified', chain: 'forged' });
      expect([...minted].sort()).toEqual(datasets.map(({ tokenId }) => tokenId).sort());
    }
    await expectKept(gateway, fleet.record);
    expect(total.pages).toBeGreaterThan(0);
    if (isMany) expect(carriedOver).toBeGreaterThan(0);
  },
  120_000 + ROUNDS * 20_000,
);
