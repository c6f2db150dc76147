import { describe, expect, it } from 'vitest';
import { makeRelaySecret, RelaySecrets } from './relay-secret.js';

describe('the secret of a relay', () => {
  it('is right, at first and again, and no other is', async () => {
    const { secret, kept } = await makeRelaySecret();
    const other = (await makeRelaySecret()).secret;
    const secrets = new RelaySecrets();
    expect(await secrets.isRight(other, kept)).toBe(false);
    expect(await secrets.isRight(secret, kept)).toBe(true);
    expect(await secrets.isRight(secret, kept)).toBe(true);
    expect(await secrets.isRight(other, kept)).toBe(false);
    expect(await secrets.isRight(secret.slice(1), kept)).toBe(false);
    expect(await secrets.isRight(`${secret}x`, kept)).toBe(false);
    expect(await secrets.isRight('', kept)).toBe(false);
  });

  it('has 256 random bits, and what is kept of it says nothing about it', async () => {
    const made = await Promise.all(Array.from({ length: 4 }, () => makeRelaySecret()));
    expect(new Set(made.map(({ secret }) => secret)).size).toBe(4);
    for (const { secret, kept } of made) {
      expect(secret).toMatch(/^[A-Za-z0-9_-]{43}$/);
      expect(kept.salt).toHaveLength(16);
      expect(kept.hash).toHaveLength(32);
      expect(Buffer.from(kept.hash).toString('base64url')).not.toBe(secret);
    }
    expect(new Set(made.map(({ kept }) => kept.salt.toString())).size).toBe(4);
  });

  it('is not looked at while too many are, unless it is known already', async () => {
    const { secret, kept } = await makeRelaySecret();
    const secrets = new RelaySecrets();
    expect(await secrets.isRight(secret, kept)).toBe(true);
    const others = await Promise.all(Array.from({ length: 8 }, () => makeRelaySecret()));
    const waiting = others.map((other) => secrets.isRight(other.secret, other.kept));
    expect(await secrets.isRight(secret, kept)).toBe(true);
    const answers = await Promise.all(waiting);
    // One is derived, four wait for it.
    expect(answers).toEqual([true, true, true, true, true, null, null, null]);
  });
});
