import { execFile } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { cp } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { fromHex, leafHash, MerkleTree, type Statement, toHex } from '@waystone/proto';
import { encryptKeystoreJson, parseEther, Wallet } from 'ethers';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeFrame, makeKey, type TestKey, type TestRow } from '../dataset/testing.js';
import { ChallengeClient } from '../forge/challenge-client.js';
import { temporaryFolder } from '../forge/testing.js';
import { openEvidence } from './evidence.js';
import { fileFindings, type SearchInput, type SearchResult, searchFaults } from './search.js';
import { CHAIN_ID, CheatingGateway, DAY, PublicChain, TERMS } from './testing.js';

/** Datasets of a gateway that cheats, and of one that does not, on a real node with the terms of a public chain. */
const { folder, remove } = temporaryFolder();
const challenger = new Wallet(Wallet.createRandom().privateKey);
const devices = {
  secp256k1: makeKey('secp256k1'),
  p256: makeKey('P-256'),
  ed25519: makeKey('Ed25519'),
  unregistered: makeKey('secp256k1'),
  revoked: makeKey('secp256k1'),
};
const known = Object.values(devices);
let chain: PublicChain;
let gateway: CheatingGateway;
let client: ChallengeClient;
let session = 0;

beforeAll(async () => {
  chain = await PublicChain.start(folder);
  await chain.give(challenger.address, '100');
  const parent = join(folder, 'datasets');
  mkdirSync(parent);
  gateway = new CheatingGateway(chain, parent);
  await gateway.start();
  for (const device of [devices.secp256k1, devices.p256, devices.ed25519, devices.revoked]) {
    await gateway.register(device);
  }
  await gateway.revoke(devices.revoked);
  await chain.pass(3 * DAY);
  client = new ChallengeClient(
    {
      urls: [chain.url],
      chainId: CHAIN_ID,
      datasetForge: chain.keys.contracts.datasetForge,
      fees: { kind: 'auto', ceilingWei: null },
      confirmations: 1,
    },
    challenger,
  );
}, 60_000);

afterAll(async () => {
  client.close();
  await chain.stop();
  remove();
});

/** A session of its own for each row, unless one is named. */
const row = (device: TestKey, options: Parameters<CheatingGateway['row']>[1] = {}): TestRow =>
  gateway.row(device, { session: new Uint8Array(16).fill(++session), ...options });

const changed = (device: TestKey, change: Partial<Statement>): TestRow =>
  row(device, { change: (statement) => ({ ...statement, ...change }) });

/** The row with a byte of its signature changed. */
function badly({ entry, ...rest }: TestRow): TestRow {
  const bytes = entry.slice();
  bytes[230] = (bytes[230] as number) ^ 1;
  return { ...rest, entry: bytes };
}

async function committed(rows: readonly TestRow[], cheat = {}) {
  const written = await gateway.seal(rows, known, cheat);
  const key = await gateway.commit(written, cheat);
  return { key, written, directory: written.directory };
}

/** As {@link committed}, with entries that the writer of folders would refuse: they take the place of others. */
async function committedEntries(rows: readonly TestRow[]) {
  const written = await gateway.seal(
    rows.map(() => row(devices.secp256k1)),
    known,
  );
  writeFileSync(join(written.directory, 'entries'), Buffer.concat(rows.map(({ entry }) => entry)));
  const { root } = new MerkleTree(rows.map(({ entry }) => leafHash(entry)));
  const key = await gateway.commit({ ...written, root });
  return { key, directory: written.directory };
}

const search = <T = SearchResult>(
  paths: readonly string[],
  more: Partial<SearchInput> = {},
  use = async (result: SearchResult) => result as T,
): Promise<T> => searchFaults({ paths, receipts: [], checkpoints: [], ...more }, client, use);

const file = (paths: readonly string[], more: Partial<SearchInput> = {}) =>
  search(paths, more, (result) => fileFindings(result, client, true));

const faults = ({ findings }: SearchResult) =>
  findings.map(({ fault, entries, refusal }) => ({ fault, entries, refusal }));

describe('an honest gateway', () => {
  it('has no fault, whatever its devices do', async () => {
    const { secp256k1, p256 } = devices;
    const shared = { session: new Uint8Array(16).fill(200) };
    const rows = [
      row(secp256k1, shared),
      row(p256, shared),
      row(secp256k1, { ...shared, firstSequence: 2 }),
      row(secp256k1, { ...shared, firstSequence: 90 }),
      changed(p256, { timeBase: 0, minTimeUs: 0, maxTimeUs: 7 }),
    ];
    const { directory } = await committed(rows);
    const receipt = join(folder, 'honest-receipt');
    writeFileSync(receipt, gateway.receipt(rows[0] as TestRow));
    const result = await search([directory, directory], { receipts: [receipt] });
    expect(result.findings).toEqual([]);
    expect(result.notes).toEqual([]);
    expect(result.datasets[0]).toMatchObject({ mismatch: null, entries: 5 });
    expect(result.datasets[0]?.dataset).toMatchObject({ status: 'committed', isOpen: true });
  });

  it('has none for what another gateway of the fleet took too, and its device has none either', async () => {
    const second = new CheatingGateway(chain, join(folder, 'datasets'));
    await second.start();
    const same = row(devices.secp256k1);
    const a = await committed([same]);
    const written = await second.seal([same, row(devices.p256)], known);
    await second.commit(written);
    const result = await search([a.directory, written.directory]);
    expect(result.findings).toEqual([]);
  });

  it('has none for a signature that no contract judges, which is told', async () => {
    const { directory } = await committed([badly(row(devices.ed25519)), row(devices.ed25519)]);
    const result = await search([directory]);
    expect(result.findings).toEqual([]);
    expect(result.notes).toEqual([
      'bad signature by a key of type Ed25519, which no contract judges: entry 0',
    ]);
  });
});

describe('a gateway that cheats', () => {
  const { secp256k1, p256 } = devices;
  const lateUs = (): number => Date.now() * 1_000 + 3 * DAY * 1e6;
  const cases: [string, () => TestRow[], object?][] = [
    ['signature', () => [row(secp256k1), badly(row(secp256k1))]],
    ['signature', () => [row(secp256k1), badly(row(p256))]],
    ['unregistered', () => [row(p256), row(devices.unregistered)]],
    ['revoked', () => [row(p256), row(devices.revoked, { receivedAtUs: lateUs() })]],
    [
      'time',
      () => [row(p256), row(p256, { frames: [makeFrame(900)] })],
      { maxTime: 1_704_067_260_000_000 },
    ],
  ];

  it.each(cases)('is caught and slashed for %s', async (fault, rows, cheat) => {
    const { key, directory } = await committed(rows(), cheat);
    const before = await gateway.bond();
    const result = await search([directory]);
    expect(faults(result)).toEqual([{ fault, entries: [1], refusal: null }]);
    const [filed, ...more] = await file([directory]);
    expect(filed).toMatchObject({ fault, key, refusal: null });
    expect(more).toEqual([]);
    expect(await gateway.status(key)).toBe(3);
    expect(before - (await gateway.bond())).toBe(TERMS.slice);
    // Each fault is paid once.
    expect(faults(await search([directory]))).toEqual([
      { fault, entries: [1], refusal: expect.stringContaining('AlreadyUpheld') },
    ]);
    expect(await file([directory])).toEqual([]);
  });

  it('is caught for a realm that only a local chain allows', async () => {
    const { key, directory } = await committedEntries([
      row(p256),
      changed(secp256k1, { realm: new Uint8Array(32) }),
    ]);
    expect(await file([directory])).toMatchObject([{ fault: 'realm', key, refusal: null }]);
  });

  it('is caught where the entries file is all that there is', async () => {
    const { key, directory } = await committed([badly(row(secp256k1))]);
    const lone = join(folder, 'lone-entries');
    await cp(join(directory, 'entries'), lone);
    expect(await file([lone])).toMatchObject([{ fault: 'signature', key, refusal: null }]);
  });

  it('is caught with values that no honest statement has', async () => {
    const wild = row(secp256k1);
    const entry = wild.entry.slice();
    entry.fill(0xff, 104, 116);
    const { directory } = await committedEntries([row(secp256k1), { ...wild, entry }]);
    expect(faults(await search([directory]))).toEqual([
      { fault: 'signature', entries: [1], refusal: null },
    ]);
  });

  it('is caught for one range twice in a dataset, and in two', async () => {
    const same = { session: new Uint8Array(16).fill(201) };
    const twice = row(secp256k1, { ...same, firstSequence: 5 });
    const one = await committed([twice, row(p256), twice]);
    expect(faults(await search([one.directory]))).toEqual([
      { fault: 'overlap', entries: [2, 0], refusal: null },
    ]);
    const early = await committed([row(p256, { ...same, firstSequence: 10 })]);
    const late = await committed([row(secp256k1), row(p256, { ...same, firstSequence: 11 })]);
    const result = await search([late.directory, early.directory]);
    expect(
      faults(result)
        .map(({ fault }) => fault)
        .sort(),
    ).toEqual(['device', 'overlap']);
    const filed = await file([late.directory, early.directory]);
    expect(filed).toMatchObject([
      { fault: 'overlap', key: late.key, refusal: null },
      { fault: 'device', key: null, refusal: null },
    ]);
    expect(await gateway.status(late.key)).toBe(3);
    expect(await gateway.status(early.key)).toBe(1);
  });

  it('is caught for two datasets at one place of its log, one of them shown only to a buyer', async () => {
    const shown = await gateway.seal([row(secp256k1)], known, { logIndex: 700 });
    const { key, directory } = await committed([row(p256)], { logIndex: 700 });
    const [filed] = await file([directory, shown.directory]);
    expect(filed).toMatchObject({ fault: 'fork', key, refusal: null });
    expect(await gateway.status(key)).toBe(3);
  });

  it('is caught for two heads of one size', async () => {
    const { key, directory } = await committed([row(p256)], { logIndex: 800, logSize: 802 });
    const other = await gateway.seal([row(p256)], known, { logIndex: 801, logSize: 802 });
    const checkpoints = [join(other.directory, 'checkpoint')];
    expect(await file([directory], { checkpoints })).toMatchObject([
      { fault: 'fork', key, refusal: null },
    ]);
  });

  it('is caught for a receipt that says something else was stored', async () => {
    const rows = [row(p256), row(secp256k1)];
    const { key, directory } = await committed(rows);
    const path = join(folder, 'receipt.hex');
    writeFileSync(path, `${toHex(gateway.receipt(rows[1] as TestRow, new Uint8Array(32)))}\n`);
    expect(await file([directory], { receipts: [path] })).toMatchObject([
      { fault: 'receipt', key, refusal: null },
    ]);
  });

  it('is told of, and not slashed, once its window is over', async () => {
    const { directory } = await committed([badly(row(secp256k1))]);
    await chain.pass(TERMS.windowSeconds);
    const result = await search([directory]);
    expect(faults(result)).toEqual([
      { fault: 'signature', entries: [0], refusal: expect.stringContaining('WindowOver') },
    ]);
    expect(await file([directory])).toEqual([]);
  });

  it('pays who caught it, from what its bond lost', async () => {
    const { reward } = await client.earned();
    expect(BigInt(reward) % (TERMS.slice / 2n)).toBe(0n);
    expect(BigInt(reward)).toBeGreaterThan(0n);
    const to = Wallet.createRandom().address;
    const taken = await client.take(to);
    expect(taken.reward).toBe(reward);
    expect(await chain.provider.getBalance(to)).toBe(BigInt(reward));
    await expect(client.take(to)).rejects.toMatchObject({ code: 'CHALLENGE_NOTHING_TO_TAKE' });
  });
});

describe('entries that are withheld', () => {
  it('are asked for, and shown by whoever has them', async () => {
    const { directory } = await committed([row(devices.p256), row(devices.secp256k1)]);
    const { dataset, entries } = await open(directory);
    const before = await chain.provider.getBalance(challenger.address);
    await client.ask(dataset, 1);
    expect(before - (await chain.provider.getBalance(challenger.address))).toBeGreaterThan(
      parseEther('1'),
    );
    await expect(client.ask(dataset, 1)).rejects.toMatchObject({ code: 'CHALLENGE_ASKED' });
    await expect(client.ask(dataset, 2)).rejects.toMatchObject({ code: 'CHALLENGE_NO_ENTRY' });
    const again = await open(directory);
    const asked = await client.askedFor(again.dataset);
    expect(asked).toMatchObject([{ index: 1, challenger: challenger.address }]);
    await expect(client.settle(dataset, 1)).rejects.toMatchObject({ code: 'CHALLENGE_TOO_EARLY' });
    await client.show(dataset, await entries.proof(1));
    await expect(client.show(dataset, await entries.proof(1))).rejects.toMatchObject({
      code: 'CHALLENGE_NOT_ASKED',
    });
    expect((await client.earned()).deposit).toBe(String(TERMS.deposit));
    await entries.close();
    await again.entries.close();
  });

  it('cost the dataset when nobody shows them in time', async () => {
    const { directory, key } = await committed([row(devices.p256)]);
    const { dataset, entries } = await open(directory);
    await client.ask(dataset, 0);
    await chain.pass(TERMS.responseSeconds);
    await expect(client.show(dataset, await entries.proof(0))).rejects.toMatchObject({
      code: 'CHALLENGE_TOO_LATE',
    });
    await client.settle(dataset, 0);
    expect(await gateway.status(key)).toBe(3);
    await entries.close();
  });

  it('are seen where the published entries are not those that were committed', async () => {
    const written = await gateway.seal([row(devices.p256)], known);
    await gateway.commit({ ...written, root: fromHex('ab'.repeat(32)) });
    const result = await search([written.directory]);
    expect(result.findings).toEqual([]);
    expect(result.datasets[0]?.mismatch).toContain('are not those that were committed');
    expect(result.datasets[0]?.mismatch).toContain('ask for one of them');
  });

  async function open(directory: string) {
    const { dataset, entries } = await openEvidence(directory, client);
    if (dataset === null) throw new RangeError('not committed');
    return { dataset, entries };
  }
});

describe('what is no dataset', () => {
  it('is refused by name', async () => {
    await expect(search([join(folder, 'nowhere')])).rejects.toMatchObject({
      code: 'PATH_UNREADABLE',
    });
    const odd = join(folder, 'odd');
    writeFileSync(odd, Buffer.alloc(281));
    await expect(search([odd])).rejects.toMatchObject({ code: 'PATH_UNREADABLE' });
    await expect(search([folder])).rejects.toMatchObject({ code: 'PATH_UNREADABLE' });
    const { directory } = await committed([row(devices.p256)]);
    const receipts = [join(directory, 'manifest.json')];
    await expect(search([directory], { receipts })).rejects.toMatchObject({
      code: 'PATH_UNREADABLE',
    });
    await expect(search([directory], { checkpoints: receipts })).rejects.toMatchObject({
      code: 'PATH_UNREADABLE',
    });
  });

  it('is noted where it is on no chain', async () => {
    const written = await gateway.seal([row(devices.p256)], known);
    const [dataset] = (await search([written.directory])).datasets;
    expect(dataset).toMatchObject({ dataset: null });
    expect(dataset?.mismatch).toContain('nothing with root');
  });

  it('is noted where an entry has a reserved field set', async () => {
    const odd = row(devices.p256);
    const entry = odd.entry.slice();
    entry[279] = 1;
    const honest = await committedEntries([{ ...odd, entry }]);
    const result = await search([honest.directory]);
    expect(result.findings).toEqual([]);
    expect(result.notes[0]).toContain('no contract judges it');
  });
});

describe('the command line', () => {
  const keystore = join(folder, 'challenger.json');
  const password = join(folder, 'challenger-password');

  beforeAll(async () => {
    const { address, privateKey } = challenger;
    const json = await encryptKeystoreJson({ address, privateKey }, 'words', {
      scrypt: { N: 1_024 },
    });
    writeFileSync(keystore, json, { mode: 0o600 });
    writeFileSync(password, 'words', { mode: 0o600 });
  });

  async function waystone(...args: string[]): Promise<{ code: number; out: string; err: string }> {
    const main = fileURLToPath(new URL('../dist/cli/main.js', import.meta.url));
    const place = ['--rpc', chain.url, '--forge', chain.keys.contracts.datasetForge];
    const key = args[0] === 'find' ? [] : ['--keystore', keystore, '--password-file', password];
    const whole = [main, 'challenge', ...args, ...place, ...key];
    // What is sent waits for the blocks that a public chain's confirmations are.
    const mining = setInterval(() => void chain.pass(1), 100);
    return await new Promise((resolve) => {
      execFile(process.execPath, whole, (error, out, err) => {
        clearInterval(mining);
        resolve({ code: error === null ? 0 : Number(error.code), out, err });
      });
    });
  }

  it('finds, files and takes the reward, with neither a gateway nor settings', async () => {
    const honest = await committed([row(devices.p256)]);
    const clean = await waystone('find', honest.directory);
    expect(clean).toMatchObject({ code: 0, err: '' });
    expect(clean.out).toContain('no fault that a contract would uphold');

    const { key, directory } = await committed([row(devices.p256), badly(row(devices.p256))]);
    const found = await waystone('find', directory);
    expect(found).toMatchObject({ code: 1, err: '' });
    expect(found.out).toContain('fault    signature: entry 1 is not signed by its device');
    expect(await gateway.status(key)).toBe(1);
    const filed = await waystone('file', directory, '--json');
    expect(filed).toMatchObject({ code: 0, err: '' });
    expect(JSON.parse(filed.out).filed).toMatchObject([{ fault: 'signature', key, refusal: null }]);
    expect(await gateway.status(key)).toBe(3);
    const to = Wallet.createRandom().address;
    expect((await waystone('take', '--to', to)).out).toContain(`to ${to}`);
    expect(await chain.provider.getBalance(to)).toBeGreaterThanOrEqual(TERMS.slice / 2n);
  });

  it('asks, answers and settles', async () => {
    const { key, directory, written } = await committed([row(devices.p256), row(devices.p256)]);
    const root = toHex(written.root);
    for (const entry of ['0', '1']) {
      const asked = await waystone('ask', root, '--entry', entry);
      expect(asked.out).toMatch(/^asked, 1 coin deposited/);
    }
    const answered = await waystone('answer', directory, '--entry', '1');
    expect(answered.out).toContain('showed entry 1');
    expect((await waystone('settle', directory)).err).toContain('CHALLENGE_TOO_EARLY');
    await chain.pass(TERMS.responseSeconds);
    expect((await waystone('settle', root)).out).toContain('nobody showed entry 0');
    expect(await gateway.status(key)).toBe(3);
    expect((await waystone('answer', directory)).out).toBe('nothing is asked for\n');
  });

  it('says what is wrong with what it is given', async () => {
    const { directory } = await committed([row(devices.p256)]);
    expect(await waystone('find', join(folder, 'nowhere'))).toMatchObject({ code: 2 });
    expect(await waystone('ask', 'cd'.repeat(32), '--entry', '0')).toMatchObject({
      code: 1,
      err: expect.stringContaining('CHALLENGE_NOT_COMMITTED'),
    });
    expect(await waystone('ask', directory, '--entry', '-1')).toMatchObject({ code: 2 });
    expect(await waystone('ask', directory, '--entry', '1')).toMatchObject({
      err: expect.stringContaining('CHALLENGE_NO_ENTRY'),
    });
    expect(await waystone('take', '--to', 'me')).toMatchObject({ code: 2 });
  });
});
