import { generateKeyPairSync } from 'node:crypto';
import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isLowS, keyFromDid, normaliseSignature, sha256, verifySignature } from '@waystone/proto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DeviceKey } from './device-key.js';
import { signMessage } from './signer.js';

const TYPES = ['secp256k1', 'P-256', 'Ed25519'] as const;

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'waystone-key-'));
});
afterEach(() => rm(folder, { recursive: true }));

describe.each(TYPES)('a %s key', (type) => {
  it('is the same device after it is loaded again', async () => {
    const path = join(folder, 'device.pem');
    const created = await DeviceKey.create(path, type);
    const loaded = await DeviceKey.load(path);
    expect(loaded.did).toBe(created.did);
    expect(loaded.publicKey.type).toBe(type);
    expect(keyFromDid(loaded.did)).toEqual(created.publicKey);
    const message = Buffer.from('as one key');
    expect(verifySignature(created.publicKey, message, await signMessage(loaded, message))).toBe(
      true,
    );
  });

  it('signs with low S only', async () => {
    const key = DeviceKey.generate(type);
    for (let k = 0; k < 16; k++) {
      const message = Buffer.from(`message ${k}`);
      const signature = await signMessage(key, message);
      expect(isLowS(type, signature)).toBe(true);
      expect(normaliseSignature(type, signature)).toEqual(signature);
      expect(verifySignature(key.publicKey, message, signature)).toBe(true);
    }
  });

  it('is stored with mode 0600, whatever the umask, and leaves no temporary file', async () => {
    const path = join(folder, 'device.pem');
    const umask = process.umask(0);
    try {
      await DeviceKey.create(path, type);
    } finally {
      process.umask(umask);
    }
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    expect(await readdir(folder)).toEqual(['device.pem']);
  });
});

it('makes secp256k1 keys unless told otherwise', () => {
  expect(DeviceKey.generate().publicKey.type).toBe('secp256k1');
});

it('never replaces a key file', async () => {
  const path = join(folder, 'device.pem');
  await DeviceKey.create(path);
  const before = await readFile(path);
  await expect(DeviceKey.create(path)).rejects.toMatchObject({ code: 'KEY_FILE_EXISTS', path });
  expect(await readFile(path)).toEqual(before);
  expect(await readdir(folder)).toEqual(['device.pem']);
});

it('creates one device when several starts race', async () => {
  const path = join(folder, 'device.pem');
  const keys = await Promise.all(Array.from({ length: 8 }, () => DeviceKey.loadOrCreate(path)));
  expect(new Set(keys.map((key) => key.did)).size).toBe(1);
});

it.each([0o640, 0o604, 0o620, 0o601])('refuses a key file of mode %o', async (mode) => {
  const path = join(folder, 'device.pem');
  await DeviceKey.create(path);
  await chmod(path, mode);
  await expect(DeviceKey.loadOrCreate(path)).rejects.toMatchObject({
    code: 'KEY_FILE_EXPOSED',
    message: expect.stringContaining(`chmod 600 ${path}`),
  });
});

it('says that a key file is missing', async () => {
  const path = join(folder, 'none.pem');
  await expect(DeviceKey.load(path)).rejects.toMatchObject({ code: 'KEY_FILE_MISSING', path });
});

it.each([
  ['no PEM', 'hello'],
  ['too much', 'x'.repeat(20_000)],
])('refuses a key file that holds %s, and keeps it', async (_what, text) => {
  const path = join(folder, 'device.pem');
  await writeFile(path, text, { mode: 0o600 });
  await expect(DeviceKey.loadOrCreate(path)).rejects.toMatchObject({ code: 'KEY_FILE_INVALID' });
  expect(await readFile(path, 'utf8')).toBe(text);
});

it.each([
  ['RSA', () => generateKeyPairSync('rsa', { modulusLength: 2048 })],
  ['P-384', () => generateKeyPairSync('ec', { namedCurve: 'P-384' })],
])('refuses a key of type %s', async (_type, generate) => {
  const path = join(folder, 'device.pem');
  const pem = generate().privateKey.export({ type: 'pkcs8', format: 'pem' });
  await writeFile(path, pem, { mode: 0o600 });
  await expect(DeviceKey.load(path)).rejects.toMatchObject({ code: 'KEY_FILE_INVALID' });
});

describe('a signer of another make', () => {
  const key = DeviceKey.generate('P-256');
  const { publicKey, did } = key;

  it('gets message and digest', async () => {
    const message = Buffer.from('to sign');
    let got: unknown;
    await signMessage(
      {
        publicKey,
        did,
        sign: (input) => {
          got = input;
          return key.sign(input);
        },
      },
      message,
    );
    expect(got).toEqual({ message, digest: sha256(message) });
  });

  it('may give high S', async () => {
    const order = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;
    const message = Buffer.from('to sign');
    const highS = {
      publicKey,
      did,
      sign: async () => {
        const low = await signMessage(key, message);
        const s = order - BigInt(`0x${Buffer.from(low.subarray(32)).toString('hex')}`);
        return Buffer.concat([
          low.subarray(0, 32),
          Buffer.from(s.toString(16).padStart(64, '0'), 'hex'),
        ]);
      },
    };
    const signature = await signMessage(highS, message);
    expect(verifySignature(publicKey, message, signature)).toBe(true);
  });

  it.each([
    ['throws', () => Promise.reject(new Error('bus error'))],
    ['gives DER', async () => new Uint8Array(70)],
  ])('fails with SIGNER_FAILED when it %s', async (_what, sign) => {
    await expect(signMessage({ publicKey, did, sign }, new Uint8Array(1))).rejects.toMatchObject({
      code: 'SIGNER_FAILED',
    });
  });
});
