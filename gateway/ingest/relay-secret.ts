import { createHash, randomBytes, scrypt, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';
import { ConcurrencyLimit } from '../core/concurrency-limit.js';
import type { SecretHash } from '../core/relay.js';

/** 256 random bits, as text that fits any configuration file. */
const SECRET_CHARS = 43;

const derive = promisify<string, Uint8Array, number, Buffer>(scrypt);

/** A new relay's secret and what is kept of it. */
export async function makeRelaySecret(): Promise<{ secret: string; kept: SecretHash }> {
  const secret = randomBytes(32).toString('base64url');
  const salt = randomBytes(16);
  return { secret, kept: { salt, hash: await derive(secret, salt, 32) } };
}

/** Secrets that may wait to be derived; one takes some 50 ms of a core and 16 MiB. */
const WAITING_MAX = 4;

/** Relays whose secret is remembered after its first right use. */
const REMEMBERED_MAX = 1_000;

/**
 * Checks secrets of relays. scrypt is slow on purpose, so one is derived at a time, and a secret that was
 * right once is remembered by its SHA-256 while the process lives: relays that come back cost nothing.
 */
export class RelaySecrets {
  readonly #limit = new ConcurrencyLimit(1);
  readonly #known = new Map<string, Buffer>();

  /** @returns null when it cannot be looked at now, because too many others are. */
  async isRight(secret: string, kept: SecretHash): Promise<boolean | null> {
    if (secret.length !== SECRET_CHARS) return false;
    const name = Buffer.from(kept.hash).toString('base64');
    const digest = createHash('sha256').update(secret).digest();
    const known = this.#known.get(name);
    if (known !== undefined) return timingSafeEqual(known, digest);
    if (this.#limit.waiting >= WAITING_MAX) return null;
    const derived = await this.#limit.run(() => derive(secret, kept.salt, kept.hash.length));
    if (!timingSafeEqual(derived, kept.hash)) return false;
    if (this.#known.size >= REMEMBERED_MAX) this.#known.clear();
    this.#known.set(name, digest);
    return true;
  }
}
