import { createPrivateKey, generateKeyPairSync, type KeyObject, randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { access, mkdir, open } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { PublicKey } from '@waystone/proto';
import { createFile, syncFolder } from '../core/durable.js';
import { messageOf, WaystoneError } from '../core/errors.js';
import { defaultConfigFile } from './default-file.js';
import { CONFIG_FILE } from './load-config.js';

/** Only the owner may read keys and token. */
const SECRET_MODE = 0o600;

/** Bytes of a secret file that are read at most; a key has about 240, a token 43. */
const SECRET_BYTES_MAX = 4096;

/** A private key of the gateway, with its public half. */
export interface GatewayKey {
  /** secp256k1 scalar, 32 bytes, big-endian. */
  readonly privateKey: Uint8Array;
  readonly publicKey: PublicKey;
}

export interface GatewayKeys {
  /** Signs receipts and checkpoints. */
  readonly gateway: GatewayKey;
  /** Takes over when `gateway` is lost; only its hash is told to devices. */
  readonly next: GatewayKey;
}

/** Paths of what `waystone init` makes. */
export function homePaths(home: string) {
  return {
    config: join(home, CONFIG_FILE),
    keys: join(home, 'keys'),
    gatewayKey: join(home, 'keys', 'gateway.key'),
    nextKey: join(home, 'keys', 'gateway-next.key'),
    token: join(home, 'api-token'),
  } as const;
}

/**
 * Creates the home: folder (0700), both keys and the API token (0600), and the commented `waystone.toml`.
 * The file comes last, so a home that has one is complete, and an interrupted `init` is simply run again.
 *
 * @param force Writes `waystone.toml` anew with defaults. Keys and token are never replaced: devices know
 *   the gateway by its key.
 * @returns Paths that were written.
 * @throws WaystoneError HOME_EXISTS when the home is complete and `force` is off; HOME_UNWRITABLE.
 */
export async function initHome(
  home: string,
  { force = false }: { force?: boolean } = {},
): Promise<{ created: string[] }> {
  const paths = homePaths(home);
  if (!force && (await isInitialised(home))) {
    throw new WaystoneError(
      'HOME_EXISTS',
      `${home} is initialised already; nothing was changed (--force writes ${CONFIG_FILE} anew and keeps the keys)`,
    );
  }
  try {
    await mkdir(home, { recursive: true, mode: 0o700 });
    await mkdir(paths.keys, { recursive: true, mode: 0o700 });
    await syncFolder(home);
    await syncFolder(dirname(home));

    const created: string[] = [];
    const create = async (path: string, content: string, mode: number, replace = false) => {
      if (await createFile(path, content, mode, { replace })) created.push(path);
    };
    await create(paths.gatewayKey, newKeyPem(), SECRET_MODE);
    await create(paths.nextKey, newKeyPem(), SECRET_MODE);
    await create(paths.token, `${randomBytes(32).toString('base64url')}\n`, SECRET_MODE);
    await create(paths.config, defaultConfigFile(), 0o644, force);
    return { created };
  } catch (error) {
    throw new WaystoneError(
      'HOME_UNWRITABLE',
      `${home} cannot be initialised: ${messageOf(error)}; choose another with --home`,
      { cause: error },
    );
  }
}

/** Whether `waystone init` has finished in this home. */
export async function isInitialised(home: string): Promise<boolean> {
  return await access(homePaths(home).config, constants.F_OK).then(
    () => true,
    () => false,
  );
}

/**
 * The gateway's keys.
 *
 * @throws WaystoneError HOME_MISSING; KEY_EXPOSED when group or others may read a key file; KEY_UNREADABLE
 *   when it is missing or is not a secp256k1 key in PKCS#8 PEM.
 */
export async function loadKeys(home: string): Promise<GatewayKeys> {
  await requireHome(home);
  const paths = homePaths(home);
  return { gateway: await loadKey(paths.gatewayKey), next: await loadKey(paths.nextKey) };
}

/**
 * The API's bearer token.
 *
 * @throws WaystoneError HOME_MISSING, KEY_EXPOSED or KEY_UNREADABLE, as {@link loadKeys}.
 */
export async function loadToken(home: string): Promise<string> {
  await requireHome(home);
  const path = homePaths(home).token;
  const token = (await readSecret(path)).trim();
  if (!/^[\x21-\x7e]{20,512}$/.test(token)) {
    throw new WaystoneError(
      'KEY_UNREADABLE',
      `${path} holds no API token (20 or more printable characters); delete it and run waystone init --force`,
    );
  }
  return token;
}

async function requireHome(home: string): Promise<void> {
  if (await isInitialised(home)) return;
  throw new WaystoneError(
    'HOME_MISSING',
    `${home} is not initialised; run waystone init, or name another home with --home`,
  );
}

function newKeyPem(): string {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'secp256k1' });
  return privateKey.export({ type: 'pkcs8', format: 'pem' }) as string;
}

/** A key file of {@link loadKeys}. */
export async function loadKey(path: string): Promise<GatewayKey> {
  const pem = await readSecret(path);
  let key: KeyObject;
  try {
    key = createPrivateKey({ key: pem, format: 'pem' });
  } catch (error) {
    throw new WaystoneError(
      'KEY_UNREADABLE',
      `${path} is not a private key in PKCS#8 PEM; put the right file back from your backup`,
      { cause: error },
    );
  }
  const curve = key.asymmetricKeyDetails?.namedCurve ?? key.asymmetricKeyType;
  if (curve !== 'secp256k1') {
    throw new WaystoneError('KEY_UNREADABLE', `${path} must be a secp256k1 key, it is ${curve}`);
  }
  const { d = '', x = '', y = '' } = key.export({ format: 'jwk' });
  const parity = (Buffer.from(y, 'base64url').at(-1) ?? 0) & 1;
  return {
    privateKey: new Uint8Array(Buffer.from(d, 'base64url')),
    publicKey: {
      type: 'secp256k1',
      bytes: new Uint8Array([2 + parity, ...Buffer.from(x, 'base64url')]),
    },
  };
}

/** A small file that only its owner may read. @throws WaystoneError KEY_EXPOSED, KEY_UNREADABLE. */
export async function readSecret(path: string): Promise<string> {
  try {
    const handle = await open(path, 'r');
    try {
      // Judged on the open file, so that it cannot be exchanged between check and read.
      const { mode, size } = await handle.stat();
      if ((mode & 0o077) !== 0) {
        throw new WaystoneError(
          'KEY_EXPOSED',
          `${path} can be read by others (mode ${(mode & 0o777).toString(8)}); run chmod 600 on it, and replace it if others have read it`,
        );
      }
      if (size > SECRET_BYTES_MAX) throw new RangeError(`it has ${size} bytes`);
      return await handle.readFile('utf8');
    } finally {
      await handle.close();
    }
  } catch (error) {
    if (error instanceof WaystoneError) throw error;
    throw new WaystoneError(
      'KEY_UNREADABLE',
      `${path} cannot be read: ${messageOf(error)}; put it back from your backup`,
      { cause: error },
    );
  }
}
