import { generateKeyPairSync } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { keyFingerprint, newContentKey, wrapContentKey } from './content-key.js';
import { rsaKey, unwrap } from './testing.js';

describe('a content key', () => {
  it('is new each time', () => {
    const keys = new Set(Array.from({ length: 50 }, () => newContentKey()));
    expect(keys.size).toBe(50);
    for (const key of keys) expect(key).toMatch(/^[0-9a-f]{64}$/);
  });

  it('is wrapped by PKCS#1 v1.5 for who holds the RSA key, from either form of PEM', () => {
    const holder = rsaKey();
    const key = newContentKey();
    expect(holder.pem).toContain('BEGIN RSA PUBLIC KEY');
    expect(unwrap(holder, wrapContentKey(holder.pem, key, 'test'))).toBe(key);
    expect(unwrap(holder, wrapContentKey(`\n  ${holder.pem}\n`, key, 'test'))).toBe(key);
  });

  it('has another wrapping each time', () => {
    const { pem } = rsaKey();
    expect(wrapContentKey(pem, '00', 'test')).not.toBe(wrapContentKey(pem, '00', 'test'));
  });

  it.each([
    ['nothing', ''],
    ['hex', '0x1234567890abcdef'],
    [
      'an elliptic key',
      generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({
        type: 'spki',
        format: 'pem',
      }) as string,
    ],
    [
      'a short RSA key',
      generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey.export({
        type: 'pkcs1',
        format: 'pem',
      }) as string,
    ],
  ])('is not given to %s', (_name, pem) => {
    expect(() => wrapContentKey(pem, newContentKey(), 'node 0x12')).toThrowError(
      expect.objectContaining({
        code: 'LAZAI_KEY_UNREADABLE',
        message: expect.stringContaining('node 0x12'),
      }),
    );
  });

  it('fingerprint is that of the key, not of its PEM', () => {
    const { pem } = rsaKey();
    expect(keyFingerprint(pem, 'a')).toBe(keyFingerprint(`  ${pem}`, 'b'));
    expect(keyFingerprint(pem, 'a')).not.toBe(keyFingerprint(rsaKey().pem, 'a'));
  });
});
