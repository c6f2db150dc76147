import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { encryptKeystoreJson, Wallet } from 'ethers';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { PASSWORD_CREDENTIAL, unlockKeystore } from './keystore.js';

const PASSWORD = 'correct horse, battery staple';

let folder: string;
let keystoreFile: string;
let passwordFile: string;
const wallet = Wallet.createRandom();

function put(name: string, text: string, mode = 0o600): string {
  const file = join(folder, name);
  writeFileSync(file, text);
  chmodSync(file, mode);
  return file;
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'waystone-keystore-'));
  const { address, privateKey } = wallet;
  const json = await encryptKeystoreJson({ address, privateKey }, PASSWORD, {
    scrypt: { N: 1_024 },
  });
  keystoreFile = put('operator.json', json);
  passwordFile = put('password', `${PASSWORD}\n`);
});

afterAll(() => rmSync(folder, { recursive: true }));

const unlock = (changes: Partial<Parameters<typeof unlockKeystore>[0]> = {}) =>
  unlockKeystore({ keystoreFile, passwordFile, credentialsFolder: '', ...changes });

describe('the operator key', () => {
  it('is unlocked with a password from a file', async () => {
    expect((await unlock()).address).toBe(wallet.address);
  });

  it('is unlocked with a systemd credential, which systemd guards itself', async () => {
    put(PASSWORD_CREDENTIAL, PASSWORD, 0o440);
    const unlocked = await unlock({ passwordFile: '', credentialsFolder: folder });
    expect(unlocked.address).toBe(wallet.address);
  });

  it('is unlocked with what the usual tools write, off this thread', async () => {
    const { address, privateKey } = wallet;
    const json = await encryptKeystoreJson({ address, privateKey }, PASSWORD);
    let beats = 0;
    const heart = setInterval(() => beats++, 5);
    const unlocked = await unlock({ keystoreFile: put('usual.json', json) });
    clearInterval(heart);
    expect(unlocked.address).toBe(wallet.address);
    expect(beats).toBeGreaterThan(3);
  });

  it.each([
    ['CHAIN_KEYSTORE_MISSING', () => ({ keystoreFile: join(folder, 'nothing') })],
    ['CHAIN_KEYSTORE_MODE', () => ({ keystoreFile: put('open.json', '{}', 0o644) })],
    ['CHAIN_KEYSTORE_INVALID', () => ({ keystoreFile: put('bad.json', '{"version":3}') })],
    ['CHAIN_KEYSTORE_INVALID', () => ({ keystoreFile: put('key.json', wallet.privateKey) })],
    ['CHAIN_PASSWORD_MISSING', () => ({ passwordFile: '' })],
    ['CHAIN_PASSWORD_MISSING', () => ({ passwordFile: join(folder, 'nothing') })],
    ['CHAIN_PASSWORD_MODE', () => ({ passwordFile: put('open', PASSWORD, 0o640) })],
    ['CHAIN_PASSWORD_WRONG', () => ({ passwordFile: put('wrong', 'swordfish') })],
  ] as const)('stays locked: %s', async (code, changes) => {
    const error = await unlock(changes()).catch((caught) => caught);
    expect(error.code).toBe(code);
    expect(error.message).not.toContain(PASSWORD);
    expect(error.message).not.toContain(wallet.privateKey);
  });
});
