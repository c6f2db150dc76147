import {
  appendFile,
  cp,
  mkdir,
  mkdtemp,
  readFile,
  rename,
  rm,
  symlink,
  truncate,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import {
  DATASET_FILES,
  type Manifest,
  type PublicKey,
  sha256,
  toHex,
  verifySignature,
} from '@waystone/proto';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { ChainReader, DatasetOnChain } from '../core/chain-view.js';
import {
  makeDataset,
  makeFrame,
  makeKey,
  makeRow,
  makeRows,
  TEST_TIME_US,
  type TestDataset,
} from '../dataset/testing.js';
import { renderVerification } from './render.js';
import { checkOf, copyFolder, failedChecks, forgeFolder, namesFile } from './testing.js';
import { verifyDataset } from './verify-dataset.js';

const gateway = makeKey('secp256k1');
const keys = [makeKey('secp256k1'), makeKey('P-256')] as const;
const edKey = makeKey('Ed25519');
const pinned = { gatewayDid: gateway.did };
const FILES = Object.values(DATASET_FILES);

let home: string;
let dataset: TestDataset;
let edDataset: TestDataset;

beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'waystone-audit-'));
  const parent = join(home, 'datasets');
  dataset = await makeDataset({ parent, gateway, keys, rows: makeRows(keys, 4, 2) });
  const rows = makeRows([edKey], 2, 2);
  edDataset = await makeDataset({ parent, gateway, keys: [edKey], rows, logIndex: 0, logSize: 1 });
});
afterAll(() => rm(home, { recursive: true }));

/** A folder of its own for one test. */
const place = () => mkdtemp(join(home, 'case-'));
const copyOf = async ({ directory }: TestDataset) => copyFolder(directory, await place());

describe('a dataset as the gateway wrote it', () => {
  it('is verified when the signer is the given gateway', async () => {
    for (const { directory } of [dataset, edDataset]) {
      const verification = await verifyDataset(directory, pinned);
      expect(failedChecks(verification)).toEqual([]);
      expect(verification).toMatchObject({ result: 'verified', exitCode: 0 });
      const skipped = verification.checks.filter(({ status }) => status === 'skipped');
      expect(skipped.map(({ name }) => name)).toEqual(['chain']);
    }
  });

  it('is only consistent while nobody says who the signer should be', async () => {
    const verification = await verifyDataset(dataset.directory);
    expect(verification).toMatchObject({ result: 'consistent', exitCode: 3 });
    expect(verification.verdict).toContain('consistent, signer not pinned');
  });

  it('fails for another gateway, and refuses what is no did:key', async () => {
    const other = await verifyDataset(dataset.directory, { gatewayDid: makeKey('secp256k1').did });
    expect(failedChecks(other)).toEqual(['signer']);
    await expect(verifyDataset(dataset.directory, { gatewayDid: 'me' })).rejects.toMatchObject({
      code: 'DID_INVALID',
    });
  });

  it('says what was checked, one line each, the verdict last', async () => {
    const lines = renderVerification(await verifyDataset(dataset.directory, pinned)).split('\n');
    expect(lines).toContain('✓ frames: 8 frames present and readable');
    expect(lines).toContain('– chain: not asked for; give --rpc <url>');
    expect(lines).toContain(
      '✓ previous links: 2 follow the entry before, 2 begin a session, 0 point elsewhere (allowed)',
    );
    expect(lines.at(-1)).toBe('dataset verified');
  });

  it('is told apart from a path that cannot be read', async () => {
    for (const path of [join(home, 'nothing'), join(dataset.directory, 'entries')]) {
      await expect(verifyDataset(path)).rejects.toMatchObject({ code: 'PATH_UNREADABLE' });
    }
  });

  it('is read in pieces: entries and frames of many buffers', async () => {
    const rows = Array.from({ length: 20 }, (_, at) =>
      makeRow(keys[0], {
        frames: [{ ...makeFrame(at), rawGnss: new Uint8Array(200_000).fill(at) }],
        firstSequence: at,
      }),
    );
    const large = await makeDataset({ parent: await place(), gateway, keys, rows });
    expect((await verifyDataset(large.directory, pinned)).result).toBe('verified');
  });
});

describe('any changed byte', () => {
  /** The rule is pure, so each signature is worked out once; thousands of folders differ in one byte. */
  const memory = new Map<string, boolean>();
  const remembered = (key: PublicKey, message: Uint8Array, signature: Uint8Array): boolean => {
    const name = toHex(sha256(key.bytes, message, signature));
    const known = memory.get(name) ?? verifySignature(key, message, signature);
    memory.set(name, known);
    return known;
  };

  it.each(FILES)('of %s fails and names the file', { timeout: 240_000 }, async (name) => {
    const rows = makeRows(keys, 2, 2);
    const { directory } = await makeDataset({ parent: await place(), gateway, keys, rows });
    const path = join(directory, name);
    const bytes = await readFile(path);
    const masks = [0x01, 0x20, 0x80, 0xff];
    for (let at = 0; at < bytes.length; at++) {
      const mask = masks[at % masks.length] as number;
      bytes[at] = (bytes[at] as number) ^ mask;
      await writeFile(path, bytes);
      const verification = await verifyDataset(directory, { verifySignature: remembered });
      bytes[at] = (bytes[at] as number) ^ mask;
      expect([at, verification.result]).toEqual([at, 'failed']);
      expect([at, namesFile(verification, name)]).toEqual([at, true]);
    }
    await writeFile(path, bytes);
    expect((await verifyDataset(directory, pinned)).result).toBe('verified');
  });

  it.each(FILES)('of %s in a dataset of Ed25519 entries fails', async (name) => {
    const directory = await copyOf(edDataset);
    const path = join(directory, name);
    const bytes = await readFile(path);
    for (let at = 0; at < bytes.length; at += 3) {
      bytes[at] = (bytes[at] as number) ^ 0x40;
      await writeFile(path, bytes);
      const verification = await verifyDataset(directory, { verifySignature: remembered });
      bytes[at] = (bytes[at] as number) ^ 0x40;
      expect([at, verification.result]).toEqual([at, 'failed']);
    }
  });

  it('in an entry or a frame is found to the entry', async () => {
    const directory = await copyOf(dataset);
    const entries = await readFile(join(directory, 'entries'));
    entries[2 * 280 + 210] = (entries[2 * 280 + 210] as number) ^ 1;
    await writeFile(join(directory, 'entries'), entries);
    const frames = await readFile(join(directory, 'frames'));
    frames[frames.length - 1] = (frames[frames.length - 1] as number) ^ 1;
    await writeFile(join(directory, 'frames'), frames);
    const verification = await verifyDataset(directory);
    expect(checkOf(verification, 'signatures').where).toEqual({
      file: 'entries',
      entry: 2,
      bytes: [560, 840],
    });
    expect(checkOf(verification, 'frames roots').where).toMatchObject({ file: 'frames', entry: 3 });
    expect(renderVerification(verification)).toContain('[entries, entry 2, bytes 560..839]');
  });
});

describe('any other change of the folder', () => {
  let directory: string;
  beforeEach(async () => {
    directory = await copyOf(dataset);
  });
  const expectFailure = async (check: string, file: string) => {
    const verification = await verifyDataset(directory);
    expect(failedChecks(verification)).toContain(check);
    expect(namesFile(verification, file)).toBe(true);
  };

  it.each(FILES)('%s missing, cut, extended, emptied, or a symlink', async (name) => {
    const path = join(directory, name);
    const original = await readFile(path);
    await truncate(path, original.length - 1);
    expect(namesFile(await verifyDataset(directory), name)).toBe(true);
    await writeFile(path, original);
    await appendFile(path, '\n');
    expect(namesFile(await verifyDataset(directory), name)).toBe(true);
    await writeFile(path, '');
    expect(namesFile(await verifyDataset(directory), name)).toBe(true);
    await rm(path);
    await expectFailure('files', name);
    await writeFile(join(home, name), original);
    await symlink(join(home, name), path);
    await expectFailure('files', name);
    await rm(path);
    await mkdir(path);
    await expectFailure('files', name);
  });

  it('an unlisted file, hidden file, symlink, folder or blobs', async () => {
    for (const name of ['notes.txt', '.hidden', 'entries~']) {
      await writeFile(join(directory, name), 'x');
      await expectFailure('files', name);
      await rm(join(directory, name));
    }
    await symlink('entries', join(directory, 'link'));
    await expectFailure('files', 'link');
    await rm(join(directory, 'link'));
    for (const name of ['more', 'blobs']) {
      await mkdir(join(directory, name));
      await expectFailure('files', name);
      await rm(join(directory, name), { recursive: true });
    }
    expect((await verifyDataset(directory)).result).toBe('consistent');
  });

  it('another name of the folder or of a file', async () => {
    await rename(join(directory, 'frames'), join(directory, 'Frames'));
    await expectFailure('files', 'Frames');
    await rename(join(directory, 'Frames'), join(directory, 'frames'));
    const renamed = join(directory, '..', '00'.repeat(32));
    await rename(directory, renamed);
    expect(failedChecks(await verifyDataset(renamed))).toEqual(['manifest']);
  });

  it('a file of another dataset', async () => {
    for (const name of FILES) {
      const copy = await copyOf(dataset);
      await cp(join(edDataset.directory, name), join(copy, name));
      const verification = await verifyDataset(copy);
      expect([name, verification.result]).toEqual([name, 'failed']);
      expect([name, namesFile(verification, name)]).toEqual([name, true]);
    }
  });

  it('a file name that would move the cursor is shown harmlessly', async () => {
    await writeFile(join(directory, '\u001b[2Jgone'), 'x');
    expect(renderVerification(await verifyDataset(directory))).not.toContain('\u001b');
  });
});

describe('a dataset that was made again', () => {
  it('with frames, devices and gateway of a forger passes only while the signer is not pinned', async () => {
    const forger = makeKey('secp256k1');
    const device = makeKey('secp256k1');
    const rows = makeRows([device], 3, 2);
    const options = { parent: await place(), gateway: forger, keys: [device], rows };
    const { directory } = await makeDataset(options);
    expect((await verifyDataset(directory)).result).toBe('consistent');
    expect(failedChecks(await verifyDataset(directory, pinned))).toEqual(['signer']);
  });

  it('with the name of the true gateway in the manifest, but signed by a forger, fails', async () => {
    const directory = await copyOf(dataset);
    await forgeFolder(directory, makeKey('secp256k1'), (manifest) => manifest);
    expect(failedChecks(await verifyDataset(directory))).toEqual(['gateway']);
  });

  it('with changed frames under the devices’ true signatures fails, even signed by the gateway', async () => {
    const directory = await copyOf(dataset);
    const frames = await readFile(join(directory, 'frames'));
    const at = frames.length - 40;
    frames[at] = (frames[at] as number) ^ 1;
    await writeFile(join(directory, 'frames'), frames);
    await forgeFolder(directory, gateway, (manifest) => ({
      ...manifest,
      files: manifest.files.map((file) =>
        file.name === 'frames' ? { ...file, sha256: toHex(sha256(frames)) } : file,
      ),
    }));
    expect(failedChecks(await verifyDataset(directory, pinned))).toContain('frames roots');
  });

  const lies: [string, (manifest: Manifest) => Partial<Manifest>][] = [
    ['frames', ({ frames }) => ({ frames: frames + 1 })],
    ['frameBytes', ({ frameBytes }) => ({ frameBytes: frameBytes - 1 })],
    ['time.maxUs', ({ time }) => ({ time: { ...time, maxUs: time.maxUs + 1 } })],
    ['time.base', ({ time }) => ({ time: { ...time, base: 'received' } })],
    ['received.minUs', ({ received }) => ({ received: { ...received, minUs: 0 } })],
    ['coverage.northE9', ({ coverage }) => ({ coverage: { ...coverage, northE9: 9e10 } as never })],
    ['quality.imuSamples', ({ quality }) => ({ quality: { ...quality, imuSamples: 1 } })],
    [
      'quality.fixes.rtk_fixed',
      ({ quality }) => ({ quality: { ...quality, fixes: { ...quality.fixes, rtk_fixed: 99 } } }),
    ],
    [
      'quality.fixes.best',
      ({ quality }) => ({
        quality: { ...quality, fixes: { ...quality.fixes, best: 1 } },
      }),
    ],
    [
      'devices.0.sessions.0.sequences.0.1',
      ({ devices: [first, ...rest] }) => ({
        devices: [
          { ...first, sessions: [{ ...first?.sessions[0], sequences: [[0, 9]] }] } as never,
          ...rest,
        ],
      }),
    ],
  ];
  it.each(lies)(
    'with a manifest that lies about %s fails and names the field',
    async (field, lie) => {
      const directory = await copyOf(dataset);
      await forgeFolder(directory, gateway, (manifest) => ({ ...manifest, ...lie(manifest) }));
      const verification = await verifyDataset(directory, pinned);
      expect(failedChecks(verification)).toEqual(['summaries']);
      expect(checkOf(verification, 'summaries').detail).toContain(`manifest says ${field} = `);
    },
  );

  it('without coverage that its positions have fails', async () => {
    const directory = await copyOf(dataset);
    await forgeFolder(directory, gateway, ({ coverage: _, ...manifest }) => manifest);
    expect(failedChecks(await verifyDataset(directory, pinned))).toEqual(['summaries']);
  });

  const wrong: [string, string[], (manifest: Manifest) => Partial<Manifest>][] = [
    ['signature kind', ['signature kind'], () => ({ signatures: 'not challengeable on chain' })],
    ['stream', ['stream and realm'], () => ({ stream: 9 })],
    ['chain', ['manifest'], () => ({ chainId: 1 })],
    ['iDAO', ['manifest'], () => ({ idao: '' })],
    ['realm', ['manifest', 'stream and realm'], () => ({ realm: '00'.repeat(32) })],
    ['root', ['entries tree'], () => ({ root: '11'.repeat(32) })],
  ];
  it.each(wrong)('with another %s fails', async (_, checks, change) => {
    const copy = await copyOf(dataset);
    const directory = await forgeFolder(copy, gateway, (manifest) => ({
      ...manifest,
      ...change(manifest),
    }));
    expect(failedChecks(await verifyDataset(directory, pinned))).toEqual(checks);
  });

  it.each<[string, Partial<Manifest>]>([
    ['entryVersion', { entryVersion: 2 as 1 }],
    ['frameFormat', { frameFormat: 2 as 1 }],
    ['logId', { logId: '10' }],
    ['gateway', { gateway: keys[1].did }],
    ['entries', { entries: -4 }],
    ['signatures', { signatures: 'fine' as never }],
    ['files', { files: [] }],
  ])('with a value of %s that no manifest has fails', async (field, change) => {
    const directory = await copyOf(dataset);
    const path = join(directory, 'manifest.json');
    const { encodeManifest, decodeManifest } = await import('@waystone/proto');
    const manifest = { ...decodeManifest(await readFile(path)), ...change };
    await writeFile(path, encodeManifest(manifest));
    const check = checkOf(await verifyDataset(directory), 'manifest');
    expect(check).toMatchObject({ status: 'failed', where: { file: 'manifest.json' } });
    expect(check.detail).toContain(field);
  });
});

describe('entries that a gateway should not have taken', () => {
  const verifyRows = async (rows: ReturnType<typeof makeRow>[], listed = keys) => {
    const { directory } = await makeDataset({ parent: await place(), gateway, keys: listed, rows });
    return verifyDataset(directory, pinned);
  };
  const frames = [makeFrame(0), makeFrame(1), makeFrame(2)];
  const receivedAtUs = TEST_TIME_US + 10_000_000;

  it('two that cover one sequence', async () => {
    const verification = await verifyRows([
      makeRow(keys[0], { frames, receivedAtUs }),
      makeRow(keys[0], { frames, receivedAtUs, firstSequence: 10 }),
      makeRow(keys[0], { frames, receivedAtUs, firstSequence: 2 }),
    ]);
    expect(failedChecks(verification)).toEqual(['sequences']);
    expect(checkOf(verification, 'sequences').where).toMatchObject({ entry: 2, sequence: 2 });
  });

  it('out of order and with gaps is no fault', async () => {
    const verification = await verifyRows([
      makeRow(keys[0], { frames, receivedAtUs, firstSequence: 10 }),
      makeRow(keys[0], { frames, receivedAtUs, firstSequence: 0 }),
      makeRow(keys[1], { frames, receivedAtUs, firstSequence: 0 }),
      makeRow(keys[0], { frames, receivedAtUs, firstSequence: 3 }),
    ]);
    expect(verification.result).toBe('verified');
  });

  it('a receive time that falls', async () => {
    const verification = await verifyRows([
      makeRow(keys[0], { frames, receivedAtUs }),
      makeRow(keys[0], { frames, receivedAtUs: receivedAtUs - 1, firstSequence: 3 }),
    ]);
    expect(failedChecks(verification)).toEqual(['receive times']);
  });

  it('a statement that its frames contradict', async () => {
    for (const change of [{ minTimeUs: TEST_TIME_US - 1 }, { maxTimeUs: TEST_TIME_US + 999_999 }]) {
      const row = makeRow(keys[0], {
        frames,
        change: (statement) => ({ ...statement, ...change }),
      });
      expect(failedChecks(await verifyRows([row]))).toEqual(['statements against frames']);
    }
    const row = makeRow(keys[0], {
      frames,
      change: (statement) => ({ ...statement, framesRoot: new Uint8Array(32) }),
    });
    expect(failedChecks(await verifyRows([row]))).toEqual(['frames roots']);
  });

  it('a frame format that is not known', async () => {
    const row = makeRow(keys[0], { frames, change: (statement) => ({ ...statement, format: 2 }) });
    expect(failedChecks(await verifyRows([row]))).toEqual(['stream and realm']);
  });

  it('a frame out of range', async () => {
    const row = makeRow(keys[0], {
      frames: [makeFrame(0), { ...makeFrame(1), salt: new Uint8Array(3) }],
    });
    const verification = await verifyRows([row]);
    expect(failedChecks(verification)).toContain('frames');
    expect(checkOf(verification, 'frames').where).toMatchObject({
      entry: 0,
      frame: 1,
      sequence: 1,
    });
    expect(verification.result).toBe('failed');
  });

  it.each(['secp256k1', 'P-256'] as const)('a %s signature with high S', async (type) => {
    const order = {
      secp256k1: 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n,
      'P-256': 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n,
    }[type];
    const row = makeRow(type === 'P-256' ? keys[1] : keys[0], { frames });
    const s = BigInt(`0x${toHex(row.entry.subarray(232, 264))}`);
    const entry = row.entry.slice();
    entry.set(Buffer.from((order - s).toString(16).padStart(64, '0'), 'hex'), 232);
    expect(failedChecks(await verifyRows([{ ...row, entry }]))).toEqual(['signatures']);
  });

  it('an entry of a device that the folder does not list', async () => {
    const { directory } = await makeDataset({
      parent: await place(),
      gateway,
      keys,
      rows: makeRows([keys[0]], 2, 1),
    });
    const other = new TextEncoder().encode(`${makeKey('P-256').did}\n`);
    await writeFile(join(directory, 'devices'), other);
    await forgeFolder(directory, gateway, (manifest) => ({
      ...manifest,
      files: manifest.files.map((file) =>
        file.name === 'devices'
          ? { ...file, bytes: other.length, sha256: toHex(sha256(other)) }
          : file,
      ),
    }));
    const verification = await verifyDataset(directory, pinned);
    expect(failedChecks(verification)).toEqual(['device keys']);
    expect(verification.result).toBe('failed');
  });
});

describe('the chain', () => {
  const view = (): Exclude<DatasetOnChain, { status: 'absent' }> => ({
    status: 'forged',
    root: dataset.root,
    count: dataset.count,
    manifestHash: dataset.manifestHash,
    gateway: gateway.id,
    minTimeUs: dataset.manifest.time.minUs,
    maxTimeUs: dataset.manifest.time.maxUs,
    tokenId: '5',
    owner: dataset.manifest.idao,
  });
  /** Answers only for the one dataset, by its name on chain. */
  const chainWith = (answer: DatasetOnChain | Error): ChainReader => ({
    async datasetOnChain(manifest, record) {
      if (answer instanceof Error) throw answer;
      const isAsked = manifest.root === basename(dataset.directory) && record.index === 2;
      return isAsked ? answer : { status: 'absent' };
    },
  });

  it.each(['forged', 'committed'] as const)(
    'pins the signer of a dataset that is %s',
    async (status) => {
      const chain = chainWith({ ...view(), status });
      const verification = await verifyDataset(dataset.directory, { chain });
      expect(verification.result).toBe('verified');
      expect(checkOf(verification, 'chain').detail).toContain(status);
    },
  );

  it('fails for a dataset that it does not have, or when it cannot be read', async () => {
    for (const answer of [{ status: 'absent' } as const, new Error('connection refused')]) {
      const verification = await verifyDataset(dataset.directory, { chain: chainWith(answer) });
      expect(failedChecks(verification)).toEqual(['chain']);
      expect(checkOf(verification, 'signer').status).toBe('skipped');
    }
  });

  it('fails for a dataset that is void', async () => {
    const chain = chainWith({ ...view(), status: 'void', tokenId: null, owner: null });
    const verification = await verifyDataset(dataset.directory, { chain, ...pinned });
    expect(failedChecks(verification)).toEqual(['chain']);
    expect(checkOf(verification, 'chain').detail).toContain('is void');
  });

  it.each<[string, object]>([
    ['root', { root: new Uint8Array(32) }],
    ['entries', { count: 9 }],
    ['manifest hash', { manifestHash: new Uint8Array(32) }],
    ['gateway', { gateway: new Uint8Array(32) }],
    ['min time', { minTimeUs: 1 }],
    ['max time', { maxTimeUs: 1 }],
  ])('fails when it says another %s', async (field, change) => {
    const chain = chainWith({ ...view(), ...change });
    const verification = await verifyDataset(dataset.directory, { chain, ...pinned });
    expect(failedChecks(verification)).toEqual(['chain']);
    expect(checkOf(verification, 'chain').detail).toContain(`chain says ${field}`);
  });
});
