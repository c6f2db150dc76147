import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Device, DeviceKey } from '@waystone/device-sdk';
import { keyFromDid, keyId, toHex } from '@waystone/proto';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { DatasetReader } from '../../gateway/dataset/folder-reader.js';
import { writeDatasetFolder } from '../../gateway/dataset/folder-writer.js';
import { FORGE_CRASH_POINTS } from '../../gateway/forge/crash-points.js';
import { SEAL_CRASH_POINTS } from '../../gateway/seal/sealer.js';
import { GatewayProcess, makeHome, removeHome } from '../harness/gateway.js';
import { allForged, sealAndForge } from './at-rest.js';
import {
  datasetsFolder,
  framesOf,
  listDatasets,
  namesOfDatasets,
  proveDatasets,
  readEntries,
} from './stored-datasets.js';

/** Batches close only when the test asks, so that each point is reached by exactly one of them. */
const OPTIONS = { network: 'local' as const, set: ['batch.ageSecondsMax=3600'] };

/** Both keys' entries go into one dataset. */
const KEYS = [DeviceKey.generate('secp256k1'), DeviceKey.generate('P-256')];
const ENVELOPES = 5;
const FRAMES = 3;

/** A home in which one dataset is forged: setting up the chain is no longer in the way of the points. */
let prepared: string;
let scratch: string;
/** Names the point at which the gateway is to die; see crash-point.ts. */
let crashAt: string;
let home: string | undefined;
/** Came back from the point before and is at rest, so that no start is needed for the next one. */
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
    for (const key of KEYS) await first.enrol(key.did);
    await publish(first);
    await sealAndForge(first);
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

/** Publishes one batch and waits for its receipts. @returns the frames' names. */
async function publish(to: GatewayProcess): Promise<string[]> {
  const names: string[] = [];
  for (const signer of KEYS) {
    const device = new Device({ url: to.mqttUrl, gateway: to.did, signer });
    await device.connect();
    const id = toHex(keyId(signer.publicKey));
    for (let k = 0; k < ENVELOPES; k++) {
      const timeUs = (Date.now() - 10_000) * 1000;
      const made = Array.from({ length: FRAMES }, (_, index) => ({ timeUs: timeUs + index }));
      for (const envelope of await device.publish('drive', made)) {
        const { stream, firstSequence, count } = envelope;
        const session = toHex(envelope.session);
        names.push(...framesOf({ device: id, session, stream, firstSequence, count }));
      }
    }
    await device.close();
  }
  return names;
}

/** Every file of a folder, by name. */
async function bytesOf(folder: string): Promise<Record<string, string>> {
  const files: Record<string, string> = {};
  for (const name of (await readdir(folder)).sort()) {
    files[name] = (await readFile(join(folder, name))).toString('hex');
  }
  return files;
}

/** What a seal of the same batch writes, into a place of its own; without the checkpoint. */
async function sealAgain(root: string, from: string): Promise<Record<string, string>> {
  const dataset = await DatasetReader.open(join(from, root));
  const parent = await mkdtemp(join(scratch, 'again-'));
  try {
    const dids = new Map(
      (await dataset.devices()).map((did) => [toHex(keyId(keyFromDid(did))), did]),
    );
    const rows: { entry: Uint8Array; frames: Uint8Array }[] = [];
    for await (const [index, entry] of dataset.entries()) {
      rows.push({ entry: entry.slice(), frames: await dataset.frameBytes(index) });
    }
    const { directory } = await writeDatasetFolder(
      { identity: dataset.manifest, parent, didOf: (id) => dids.get(id) ?? '' },
      rows,
    );
    return await bytesOf(directory);
  } finally {
    await dataset.close();
  }
}

/** What lay on the disk of the batch's dataset when the gateway died: the files of a finished or temporary folder. */
async function leftBehind(parent: string, known: readonly string[]) {
  const names = (await readdir(parent, { withFileTypes: true }))
    .filter((entry) => entry.isDirectory() && !known.includes(entry.name))
    .map((entry) => entry.name);
  expect(names.length).toBeLessThanOrEqual(1);
  return names[0] === undefined ? null : await bytesOf(join(parent, names[0]));
}

describe.each([...SEAL_CRASH_POINTS, ...FORGE_CRASH_POINTS])(
  'a gateway that is killed at %s',
  (point) => {
    it('comes back with the batch sealed once, verified, and one DAT for it', async () => {
      hasPassed = false;
      if (home === undefined) {
        home = await mkdtemp(join(tmpdir(), 'waystone-test-'));
        await cp(prepared, home, { recursive: true });
      }
      const parent = datasetsFolder(home);
      const before = await namesOfDatasets(home);
      gateway ??= await start(home);
      const published = await publish(gateway);
      await writeFile(crashAt, point);
      // The answer may be cut off by the very crash that is asked for.
      await gateway.ask('POST', '/v1/batches/seal').catch(() => undefined);
      expect(await gateway.exited).toEqual({ code: null, signal: 'SIGKILL' });
      await rm(crashAt);
      const atDeath = await leftBehind(parent, before);

      gateway = await start(home);
      const count = before.length + 1;
      expect(await allForged(gateway)).toBe(count);

      const listed = await listDatasets(gateway);
      expect(listed.map(({ logIndex }) => logIndex)).toEqual([...Array(count).keys()]);
      expect(await namesOfDatasets(home)).toEqual(listed.map(({ root }) => root).sort());
      const root = listed.at(-1)?.root ?? '';

      const entries = (await readEntries(home)).filter((entry) => entry.root === root);
      expect(entries.flatMap(framesOf).sort()).toEqual(published.sort());

      const { checkpoint, ...files } = await bytesOf(join(parent, root));
      expect(checkpoint).toBeDefined();
      expect(await sealAgain(root, parent)).toEqual(files);
      // What was there already is what is there now.
      expect(atDeath === null).toBe(point === 'seal:frozen');
      if (atDeath !== null) expect({ checkpoint, ...files }).toMatchObject(atDeath);

      const proof = await proveDatasets(gateway);
      console.log(
        `killed at ${point}: datasets: ${proof.datasets.length}, DATs: ${proof.minted.length}`,
      );
      for (const dataset of proof.datasets) {
        expect(dataset).toMatchObject({ verdict: 'verified', chain: 'forged' });
        expect(dataset.owner?.toLowerCase()).toBe(proof.idao.toLowerCase());
      }
      expect([...proof.minted].sort()).toEqual(proof.datasets.map(({ tokenId }) => tokenId).sort());
      hasPassed = true;
    });
  },
);
