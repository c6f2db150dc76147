import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Device, DeviceKey } from '@waystone/device-sdk';
import { keyId, toHex } from '@waystone/proto';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { fsck } from '../../gateway/fsck/fsck.js';
import { WITHDRAW_CRASH_POINTS } from '../../gateway/seal/inspector.js';
import { SEAL_CRASH_POINTS } from '../../gateway/seal/sealer.js';
import { GatewayProcess, makeHome, removeHome } from '../harness/gateway.js';
import { allForged, sealAndForge } from './at-rest.js';
import { revokedDaysAgo } from './revoked-on-chain.js';
import {
  framesOf,
  listDatasets,
  namesOfDatasets,
  proveDatasets,
  readEntries,
} from './stored-datasets.js';

const OPTIONS = { network: 'local' as const, set: ['batch.ageSecondsMax=3600'] };

/** Its owner revoked it on chain days ago, and the gateway does not know: nothing that it signs now may be committed. */
const revoked = DeviceKey.generate('P-256');
const ours = DeviceKey.generate('secp256k1');
const ENVELOPES = 3;

/** A home with one dataset forged and one withdrawn. */
let prepared: string;
let scratch: string;
/** Names the point at which the gateway is to die; see crash-point.ts. */
let crashAt: string;
let home: string | undefined;
let gateway: GatewayProcess | undefined;
let hasPassed = false;

const start = (at: string): Promise<GatewayProcess> =>
  GatewayProcess.start(at, { ...OPTIONS, environment: { WAYSTONE_TEST_CRASH_AT: crashAt } });

beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'waystone-test-'));
  crashAt = join(scratch, 'crash at');
  prepared = await makeHome();
  const first = await GatewayProcess.start(prepared, OPTIONS);
  try {
    for (const key of [ours, revoked]) await first.enrol(key.did);
    // The contracts are there once something is forged.
    await publish(first);
    await sealAndForge(first);
    await revokedDaysAgo(first, keyId(revoked.publicKey));
    // The chain's answers are kept for a minute, which is nothing beside a day's grace, but much here.
    await first.ask('POST', '/v1/forge/retry');
    await publish(first);
    expect(await sealAndForge(first)).toBe(2);
  } finally {
    await first.stop();
  }
});

afterAll(async () => {
  await tearDown();
  await removeHome(prepared);
  await rm(scratch, { recursive: true, force: true });
});

// What a point left that was not passed is no ground for the next one.
afterEach(async () => {
  await rm(crashAt, { force: true });
  if (!hasPassed) await tearDown();
});

async function tearDown(): Promise<void> {
  await gateway?.kill();
  if (home !== undefined) await removeHome(home);
  gateway = home = undefined;
}

/** The devices publish in turns. @returns the frames' names, in order. */
async function publish(to: GatewayProcess, keys = [ours, revoked]): Promise<string[]> {
  const names: string[] = [];
  const devices = keys.map((signer) => ({
    id: toHex(keyId(signer.publicKey)),
    device: new Device({ url: to.mqttUrl, gateway: to.did, signer }),
  }));
  for (const { device } of devices) await device.connect();
  for (let k = 0; k < ENVELOPES; k++) {
    for (const { id, device } of devices) {
      const timeUs = (Date.now() - 10_000) * 1000;
      for (const envelope of await device.publish('drive', [{ timeUs }, { timeUs: timeUs + 1 }])) {
        const { stream, firstSequence, count } = envelope;
        const session = toHex(envelope.session);
        names.push(...framesOf({ device: id, session, stream, firstSequence, count }));
      }
    }
  }
  for (const { device } of devices) await device.close();
  return names;
}

const isRevoked = (frame: string): boolean => frame.startsWith(toHex(keyId(revoked.publicKey)));

async function change(forging: 'pause' | 'resume'): Promise<void> {
  // The answer may be cut off by the very crash that is asked for.
  await gateway?.ask('POST', `/v1/forge/${forging}`).catch(() => undefined);
}

describe.each([...WITHDRAW_CRASH_POINTS, ...SEAL_CRASH_POINTS])(
  'a gateway that is killed at %s, withdrawing a dataset',
  (point) => {
    it('comes back with one successor, each frame in its place, and one DAT', async () => {
      hasPassed = false;
      if (home === undefined) {
        home = await mkdtemp(join(tmpdir(), 'waystone-test-'));
        await cp(prepared, home, { recursive: true });
      }
      gateway ??= await start(home);
      const before = await listDatasets(gateway);
      await change('pause');
      const published = await publish(gateway);
      await gateway.seal();
      await writeFile(crashAt, point);
      await change('resume');
      expect(await gateway.exited).toEqual({ code: null, signal: 'SIGKILL' });
      await rm(crashAt);

      const { findings } = await fsck({ home, dataFolder: join(home, 'data') });
      expect(findings.filter(({ severity }) => severity === 'fault')).toEqual([]);
      gateway = await start(home);
      const forged = before.filter(({ state }) => state === 'forged').length;
      expect(await allForged(gateway)).toBe(forged + 1);

      const listed = await listDatasets(gateway);
      const [withdrawn, rest] = listed.slice(before.length);
      expect(listed).toHaveLength(before.length + 2);
      expect(listed.map(({ logIndex }) => logIndex)).toEqual([...listed.keys()]);
      expect(await namesOfDatasets(home)).toEqual(listed.map(({ root }) => root).sort());
      expect(withdrawn).toMatchObject({
        state: 'withdrawn',
        entries: 2 * ENVELOPES,
        withdrawal: {
          reasons: { DEVICE_REVOKED: ENVELOPES },
          successor: rest?.batch,
          successorRoot: rest?.root,
        },
      });
      const entries = await readEntries(home);
      const framesIn = (root = ''): string[] =>
        entries.filter((entry) => entry.root === root).flatMap(framesOf);
      expect(framesIn(withdrawn?.root)).toEqual(published);
      expect(framesIn(rest?.root)).toEqual(published.filter((frame) => !isRevoked(frame)));

      const { datasets, minted } = await proveDatasets(gateway);
      expect(datasets.at(-1)).toMatchObject({ verdict: 'verified', chain: 'forged' });
      expect(datasets.at(-2)).toMatchObject({ chain: 'absent' });
      expect(minted).toHaveLength(forged + 1);
      hasPassed = true;
    });
  },
);

it('leaves nothing but the withdrawn dataset when no entry is in order', async () => {
  gateway ??= await start(home ?? prepared);
  const before = await listDatasets(gateway);
  const published = await publish(gateway, [revoked]);
  await sealAndForge(gateway);
  const listed = await listDatasets(gateway);
  expect(listed).toHaveLength(before.length + 1);
  expect(listed.at(-1)).toMatchObject({
    state: 'withdrawn',
    withdrawal: { reasons: { DEVICE_REVOKED: ENVELOPES }, successor: null, successorRoot: null },
  });
  const root = listed.at(-1)?.root ?? '';
  const kept = (await readEntries(gateway.home)).filter((entry) => entry.root === root);
  expect(kept.flatMap(framesOf)).toEqual(published);
});
