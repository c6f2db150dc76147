import { createECDH, generateKeyPairSync } from 'node:crypto';
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { unlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { didFromKey, isValidPublicKey } from '@waystone/proto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { defaultConfigFile } from './default-file.js';
import { homePaths, initHome, isInitialised, loadKeys, loadToken } from './home.js';

describe('home', () => {
  let parent: string;
  let home: string;
  beforeEach(() => {
    parent = mkdtempSync(join(tmpdir(), 'waystone-home-'));
    home = join(parent, 'deep', 'home');
  });
  afterEach(() => rmSync(parent, { recursive: true, force: true }));

  const mode = (path: string) => (statSync(path).mode & 0o777).toString(8);

  it('keeps keys and token to their owner, under any umask', async () => {
    const umask = process.umask(0o000);
    try {
      await initHome(home);
    } finally {
      process.umask(umask);
    }
    const paths = homePaths(home);
    expect(mode(home)).toBe('700');
    expect(mode(paths.keys)).toBe('700');
    expect(mode(paths.gatewayKey)).toBe('600');
    expect(mode(paths.nextKey)).toBe('600');
    expect(mode(paths.token)).toBe('600');
    expect(readFileSync(paths.config, 'utf8')).toBe(defaultConfigFile());
    expect(readdirSync(home).sort()).toEqual(['api-token', 'keys', 'waystone.toml']);
    expect(readdirSync(paths.keys).sort()).toEqual(['gateway-next.key', 'gateway.key']);
  });

  it('makes two different secp256k1 keys, whose public half belongs to the private one', async () => {
    await initHome(home);
    const keys = await loadKeys(home);
    for (const key of [keys.gateway, keys.next]) {
      const curve = createECDH('secp256k1');
      curve.setPrivateKey(key.privateKey);
      expect(key.privateKey).toHaveLength(32);
      expect(Buffer.from(key.publicKey.bytes)).toEqual(curve.getPublicKey(null, 'compressed'));
      expect(isValidPublicKey(key.publicKey)).toBe(true);
    }
    expect(didFromKey(keys.gateway.publicKey)).not.toBe(didFromKey(keys.next.publicKey));
    expect(await loadKeys(home)).toEqual(keys);
  });

  it('makes a token of 32 random bytes', async () => {
    await initHome(home);
    const token = await loadToken(home);
    expect(Buffer.from(token, 'base64url')).toHaveLength(32);
    await initHome(join(parent, 'other'));
    expect(await loadToken(join(parent, 'other'))).not.toBe(token);
  });

  it('changes nothing in a home that exists, and with force only the configuration file', async () => {
    await initHome(home);
    const paths = homePaths(home);
    const before = [await loadKeys(home), await loadToken(home)];
    await writeFile(paths.config, '# mine\n');
    await expect(initHome(home)).rejects.toMatchObject({ code: 'HOME_EXISTS' });
    expect(readFileSync(paths.config, 'utf8')).toBe('# mine\n');
    expect((await initHome(home, { force: true })).created).toEqual([paths.config]);
    expect(readFileSync(paths.config, 'utf8')).toBe(defaultConfigFile());
    expect([await loadKeys(home), await loadToken(home)]).toEqual(before);
  });

  it('finishes an interrupted init without replacing the keys that it made', async () => {
    await initHome(home);
    const paths = homePaths(home);
    const { gateway } = await loadKeys(home);
    await Promise.all([unlink(paths.config), unlink(paths.nextKey), unlink(paths.token)]);
    expect(await isInitialised(home)).toBe(false);
    await expect(loadKeys(home)).rejects.toMatchObject({ code: 'HOME_MISSING' });
    expect((await initHome(home)).created).toEqual([paths.nextKey, paths.token, paths.config]);
    expect((await loadKeys(home)).gateway).toEqual(gateway);
  });

  it('keeps one key when two inits run at once', async () => {
    const both = await Promise.allSettled([initHome(home), initHome(home)]);
    const written = both.flatMap((result) =>
      result.status === 'fulfilled' ? result.value.created : [],
    );
    const { gatewayKey } = homePaths(home);
    expect(written.filter((path) => path === gatewayKey)).toEqual([gatewayKey]);
    expect(readdirSync(homePaths(home).keys).sort()).toEqual(['gateway-next.key', 'gateway.key']);
  });

  it.each([0o640, 0o604, 0o660])('refuses a key file of mode %o', async (bits) => {
    await initHome(home);
    chmodSync(homePaths(home).nextKey, bits);
    await expect(loadKeys(home)).rejects.toMatchObject({
      code: 'KEY_EXPOSED',
      message: expect.stringContaining('chmod 600'),
    });
    chmodSync(homePaths(home).token, bits);
    await expect(loadToken(home)).rejects.toMatchObject({ code: 'KEY_EXPOSED' });
  });

  const p256 = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
  it.each([
    ['no PEM', 'rubbish', 'not a private key in PKCS#8 PEM'],
    ['another curve', p256.export({ type: 'pkcs8', format: 'pem' }) as string, 'prime256v1'],
    ['too long', 'x'.repeat(5000), '5000 bytes'],
  ])('refuses a key file with %s', async (_, content, message) => {
    await initHome(home);
    await writeFile(homePaths(home).gatewayKey, content);
    await expect(loadKeys(home)).rejects.toMatchObject({
      code: 'KEY_UNREADABLE',
      message: expect.stringContaining(message),
    });
  });

  it('says which file is missing, and what to run where there is no home', async () => {
    await expect(loadKeys(home)).rejects.toMatchObject({
      code: 'HOME_MISSING',
      message: expect.stringContaining('waystone init'),
    });
    await expect(loadToken(home)).rejects.toMatchObject({ code: 'HOME_MISSING' });
    await initHome(home);
    await unlink(homePaths(home).gatewayKey);
    await expect(loadKeys(home)).rejects.toMatchObject({
      code: 'KEY_UNREADABLE',
      message: expect.stringContaining('gateway.key'),
    });
  });

  it('refuses a token that no header could carry', async () => {
    await initHome(home);
    await writeFile(homePaths(home).token, 'short\n');
    await expect(loadToken(home)).rejects.toMatchObject({ code: 'KEY_UNREADABLE' });
  });

  it('says so when the home cannot be made', async () => {
    await writeFile(join(parent, 'deep'), 'a file in the way');
    await expect(initHome(home)).rejects.toMatchObject({ code: 'HOME_UNWRITABLE' });
  });
});
