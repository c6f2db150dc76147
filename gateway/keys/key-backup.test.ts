import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { didFromKey } from '@waystone/proto';
import { encryptKeystoreJsonSync, hexlify, Wallet } from 'ethers';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { homePaths, initHome, loadKeys } from '../config/index.js';
import { loadLocalKeys } from '../forge/local-keys.js';
import { backUpKeys, type KeyPlaces, restoreKeys } from './key-backup.js';

const PASSWORD = 'correct horse, battery staple';

let folder: string;
let places: KeyPlaces;
let passwordFile: string;
let file: string;
const operator = Wallet.createRandom();

function put(name: string, text: string, mode = 0o600): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  chmodSync(path, mode);
  return path;
}

const placesIn = (name: string): KeyPlaces => ({
  home: join(folder, name),
  dataFolder: join(folder, name, 'data'),
  keystoreFile: join(folder, name, 'operator.json'),
});
const mnemonicOf = ({ dataFolder }: KeyPlaces) => join(dataFolder, 'chain', 'mnemonic');

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'waystone-keys-'));
  places = placesIn('first');
  await initHome(places.home);
  loadLocalKeys(mnemonicOf(places));
  const { address, privateKey } = operator;
  const scrypt = { N: 1_024 };
  const keystore = encryptKeystoreJsonSync({ address, privateKey }, 'its own password', { scrypt });
  writeFileSync(places.keystoreFile, keystore, { mode: 0o600 });
  passwordFile = put('password', `${PASSWORD}\n`);
  file = join(folder, 'keys.json');
  const written = await backUpKeys(places, { file, passwordFile });
  const { gateway } = await loadKeys(places.home);
  expect(written.gateway).toBe(didFromKey(gateway.publicKey));
  expect(written.keys).toEqual(['gateway', 'next', 'localChain', 'operator']);
});

afterAll(() => rmSync(folder, { recursive: true }));

describe('a backup of keys', () => {
  it('holds none of them in the clear, and only its owner may read it', async () => {
    expect(statSync(file).mode & 0o777).toBe(0o600);
    const text = readFileSync(file, 'utf8');
    const { gateway, next } = await loadKeys(places.home);
    for (const { privateKey } of [gateway, next]) {
      const hex = hexlify(privateKey).slice(2);
      expect(text.toLowerCase()).not.toContain(hex);
      expect(text).not.toContain(Buffer.from(privateKey).toString('base64'));
    }
    const words = readFileSync(mnemonicOf(places), 'utf8').trim();
    expect(text).not.toContain(words);
    expect(text).not.toContain(operator.privateKey.slice(2));
  });

  it('opens with any wallet that reads keystores', async () => {
    const { keys } = JSON.parse(readFileSync(file, 'utf8'));
    const opened = await Wallet.fromEncryptedJson(JSON.stringify(keys.gateway), PASSWORD);
    const { gateway } = await loadKeys(places.home);
    expect(opened.privateKey).toBe(hexlify(gateway.privateKey));
  });

  it('gives a new box all keys, which init then leaves alone', async () => {
    const other = placesIn('other');
    const done = await restoreKeys(other, { file, passwordFile });
    expect(done.restored).toEqual(['gateway', 'next', 'localChain', 'operator']);
    expect(done.kept).toEqual([]);
    await initHome(other.home);
    expect(await loadKeys(other.home)).toEqual(await loadKeys(places.home));
    expect(readFileSync(mnemonicOf(other), 'utf8')).toBe(readFileSync(mnemonicOf(places), 'utf8'));
    expect(JSON.parse(readFileSync(other.keystoreFile, 'utf8'))).toEqual(
      JSON.parse(readFileSync(places.keystoreFile, 'utf8')),
    );
    const paths = homePaths(other.home);
    for (const path of [paths.gatewayKey, paths.nextKey, mnemonicOf(other), other.keystoreFile]) {
      expect(statSync(path).mode & 0o777, path).toBe(0o600);
    }
  });

  it('may be restored where its keys are: nothing changes', async () => {
    const before = readFileSync(homePaths(places.home).gatewayKey, 'utf8');
    const done = await restoreKeys(places, { file, passwordFile });
    expect(done.restored).toEqual([]);
    expect(done.kept).toEqual(['gateway', 'next', 'localChain', 'operator']);
    expect(readFileSync(homePaths(places.home).gatewayKey, 'utf8')).toBe(before);
  });

  it('goes on where a stop interrupted it', async () => {
    const half = placesIn('half');
    await restoreKeys(half, { file, passwordFile });
    rmSync(homePaths(half.home).nextKey);
    rmSync(mnemonicOf(half));
    const done = await restoreKeys(half, { file, passwordFile });
    expect(done.restored).toEqual(['next', 'localChain']);
    expect(done.kept).toEqual(['gateway', 'operator']);
  });

  it('never replaces another key, and writes nothing when one differs', async () => {
    const stranger = placesIn('stranger');
    await initHome(stranger.home);
    await expect(restoreKeys(stranger, { file, passwordFile })).rejects.toMatchObject({
      code: 'KEYS_DIFFER',
    });
    expect(existsSync(mnemonicOf(stranger))).toBe(false);
    expect(existsSync(stranger.keystoreFile)).toBe(false);
  });

  it('is not written over another file', async () => {
    await expect(backUpKeys(places, { file, passwordFile })).rejects.toMatchObject({
      code: 'KEY_BACKUP_EXISTS',
    });
  });

  it('wants a password that is not short, in a file that others cannot read', async () => {
    const target = join(folder, 'more.json');
    const weak = { file: target, passwordFile: put('weak', 'short\n') };
    await expect(backUpKeys(places, weak)).rejects.toMatchObject({ code: 'KEY_PASSWORD_WEAK' });
    const exposed = { file: target, passwordFile: put('exposed', PASSWORD, 0o644) };
    await expect(backUpKeys(places, exposed)).rejects.toMatchObject({ code: 'KEY_EXPOSED' });
    const missing = { file: target, passwordFile: join(folder, 'nowhere') };
    await expect(backUpKeys(places, missing)).rejects.toMatchObject({ code: 'KEY_UNREADABLE' });
    expect(existsSync(target)).toBe(false);
  });

  it('says when it cannot be written', async () => {
    const target = join(folder, 'no-folder', 'keys.json');
    await expect(backUpKeys(places, { file: target, passwordFile })).rejects.toMatchObject({
      code: 'KEY_BACKUP_FAILED',
    });
  });

  it('says when the password is another', async () => {
    const wrong = put('wrong', 'another long password');
    const other = placesIn('wrong-password');
    await expect(restoreKeys(other, { file, passwordFile: wrong })).rejects.toMatchObject({
      code: 'KEY_PASSWORD_WRONG',
    });
    expect(existsSync(other.home)).toBe(false);
  });

  it('is refused when it is none, of a later version, damaged or of another gateway', async () => {
    const good = JSON.parse(readFileSync(file, 'utf8'));
    const other = placesIn('damaged');
    mkdirSync(other.home);
    const damaged: Record<string, string> = {
      'not json': 'keys',
      'something else': '{"type":"waystone-backup"}',
      later: JSON.stringify({ ...good, version: 2 }),
      'without a key': JSON.stringify({ ...good, keys: { ...good.keys, next: undefined } }),
      'of another': JSON.stringify({ ...good, gateway: 'did:key:zQ3sh' }),
    };
    for (const [name, text] of Object.entries(damaged)) {
      const bad = { file: put(`${name}.json`, text), passwordFile };
      await expect(restoreKeys(other, bad), name).rejects.toMatchObject({
        code: 'KEY_BACKUP_INVALID',
      });
    }
    const changed = structuredClone(good);
    const { ciphertext } = changed.keys.gateway.Crypto;
    changed.keys.gateway.Crypto.ciphertext =
      (ciphertext[0] === '0' ? '1' : '0') + ciphertext.slice(1);
    const bad = { file: put('flipped.json', JSON.stringify(changed)), passwordFile };
    // The keystore's MAC cannot tell a changed byte from another password.
    await expect(restoreKeys(other, bad)).rejects.toMatchObject({ code: 'KEY_PASSWORD_WRONG' });
    expect(existsSync(homePaths(other.home).keys)).toBe(false);
  });
});
