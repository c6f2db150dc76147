import { createPrivateKey } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { didFromKey } from '@waystone/proto';
import {
  type HDNodeWallet,
  hexlify,
  isKeystoreJson,
  type Mnemonic,
  SigningKey,
  type Wallet,
} from 'ethers';
import { homePaths, loadKey, readSecret } from '../config/home.js';
import { createFile, syncFolder } from '../core/durable.js';
import { messageOf, WaystoneError } from '../core/errors.js';
import { encryptKey, openKeystore } from '../forge/keystore.js';
import { LocalChain } from '../forge/local-chain.js';
import { loadLocalKeys } from '../forge/local-keys.js';

/** A password that can be guessed makes the file as good as the keys themselves. */
const PASSWORD_CHARACTERS_MIN = 12;

const SECRET_MODE = 0o600;

/** Where the keys of one gateway are. */
export interface KeyPlaces {
  readonly home: string;
  readonly dataFolder: string;
  /** Keystore of the operator key on a public network; "" without one. */
  readonly keystoreFile: string;
}

/** Names of what a backup may hold. */
export type KeyName = 'gateway' | 'next' | 'localChain' | 'operator';

/**
 * Content of a key backup: each key as Web3 secret storage, version 3, which any wallet opens. `gateway` and `next` are
 * the secp256k1 scalars; `localChain` is the first account of its mnemonic, with the mnemonic inside; `operator` is the
 * operator's own keystore as it is, under the password that it has.
 */
interface KeyBackup {
  readonly type: 'waystone-keys';
  readonly version: 1;
  /** did:key of the gateway. */
  readonly gateway: string;
  readonly createdAtUs: number;
  readonly keys: Readonly<Partial<Record<KeyName, unknown>>>;
}

/** A key that is to be put in place. */
interface Secret {
  readonly name: KeyName;
  readonly path: string;
  readonly content: string;
  /** What is at `path`, written as `content` is. */
  readonly holds: () => Promise<string>;
}

/**
 * Writes all keys of a gateway into one encrypted file (mode 0600). It may run meanwhile.
 *
 * @throws WaystoneError KEY_BACKUP_EXISTS; KEY_EXPOSED, KEY_PASSWORD_WEAK or KEY_UNREADABLE for the password's file;
 *   what {@link loadKey} throws; KEY_BACKUP_FAILED when the file cannot be written.
 */
export async function backUpKeys(
  places: KeyPlaces,
  { file, passwordFile }: { file: string; passwordFile: string },
): Promise<{ file: string; gateway: string; keys: KeyName[] }> {
  if (existsSync(file)) {
    throw new WaystoneError('KEY_BACKUP_EXISTS', `${file} exists; name a new file`);
  }
  const password = await readPassword(passwordFile);
  if (password.length < PASSWORD_CHARACTERS_MIN) {
    throw new WaystoneError(
      'KEY_PASSWORD_WEAK',
      `the password in ${passwordFile} has ${password.length} characters, at least ${PASSWORD_CHARACTERS_MIN} are needed`,
    );
  }
  const paths = homePaths(places.home);
  const gateway = await loadKey(paths.gatewayKey);
  const next = await loadKey(paths.nextKey);
  const keys: Partial<Record<KeyName, unknown>> = {
    gateway: await encryptKey(hexlify(gateway.privateKey), password),
    next: await encryptKey(hexlify(next.privateKey), password),
  };
  const mnemonicFile = mnemonicFileOf(places);
  if (existsSync(mnemonicFile)) {
    const { deployer } = loadLocalKeys(mnemonicFile);
    keys.localChain = await encryptKey(deployer.privateKey, password, {
      path: deployer.path as string,
      entropy: (deployer.mnemonic as Mnemonic).entropy,
    });
  }
  if (places.keystoreFile !== '' && existsSync(places.keystoreFile)) {
    keys.operator = JSON.parse(await readSecret(places.keystoreFile));
  }
  const backup: KeyBackup = {
    type: 'waystone-keys',
    version: 1,
    gateway: didFromKey(gateway.publicKey),
    createdAtUs: Date.now() * 1000,
    keys,
  };
  try {
    await createFile(file, `${JSON.stringify(backup, null, 2)}\n`, SECRET_MODE);
  } catch (cause) {
    throw new WaystoneError(
      'KEY_BACKUP_FAILED',
      `${file} cannot be written: ${messageOf(cause)}; the folder must exist and be writable`,
      { cause },
    );
  }
  return { file, gateway: backup.gateway, keys: Object.keys(keys) as KeyName[] };
}

/**
 * Puts the keys of a backup where a gateway looks for them. All of them are opened before the first is written, and none
 * replaces another: a key that is there already must be the same. Done again, it is harmless.
 *
 * @returns keys that were written, and those that were there.
 * @throws WaystoneError KEY_BACKUP_INVALID, KEY_PASSWORD_WRONG, KEYS_DIFFER, and for the password's file as
 *   {@link backUpKeys}.
 */
export async function restoreKeys(
  places: KeyPlaces,
  { file, passwordFile }: { file: string; passwordFile: string },
): Promise<{ gateway: string; restored: KeyName[]; kept: KeyName[] }> {
  const backup = await readBackup(file);
  const password = await readPassword(passwordFile);
  const open = async (name: KeyName): Promise<Wallet | HDNodeWallet> =>
    await openKeystore(JSON.stringify(backup.keys[name]), password, {
      invalid: 'KEY_BACKUP_INVALID',
      wrong: 'KEY_PASSWORD_WRONG',
      file: `${file} (${name})`,
      passwordFile,
    });
  const paths = homePaths(places.home);
  const secrets: Secret[] = [];
  const gateway = await open('gateway');
  const did = didOf(gateway.privateKey);
  if (did !== backup.gateway) {
    throw new WaystoneError(
      'KEY_BACKUP_INVALID',
      `${file} says that it is of ${backup.gateway}, its key is of ${did}; take another copy`,
    );
  }
  for (const [name, path, { privateKey }] of [
    ['gateway', paths.gatewayKey, gateway],
    ['next', paths.nextKey, await open('next')],
  ] as const) {
    const holds = async () => pemOf(hexlify((await loadKey(path)).privateKey));
    secrets.push({ name, path, content: pemOf(privateKey), holds });
  }
  if (backup.keys.localChain !== undefined) {
    const phrase = ((await open('localChain')) as HDNodeWallet).mnemonic?.phrase;
    if (phrase === undefined) {
      throw new WaystoneError(
        'KEY_BACKUP_INVALID',
        `${file} holds no mnemonic of the local chain; take another copy`,
      );
    }
    const path = mnemonicFileOf(places);
    const holds = async () => `${(await readSecret(path)).trim()}\n`;
    secrets.push({ name: 'localChain', path, content: `${phrase}\n`, holds });
  }
  if (backup.keys.operator !== undefined && places.keystoreFile !== '') {
    const path = places.keystoreFile;
    const content = `${JSON.stringify(backup.keys.operator)}\n`;
    const holds = async () => `${JSON.stringify(JSON.parse(await readSecret(path)))}\n`;
    secrets.push({ name: 'operator', path, content, holds });
  }

  const kept: KeyName[] = [];
  for (const { name, path, content, holds } of secrets) {
    if (!existsSync(path)) continue;
    if ((await holds()) !== content) {
      throw new WaystoneError(
        'KEYS_DIFFER',
        `${path} is another key than the backup's, and nothing was changed; a gateway is known by its key: restore into another home with --home, or move that file away yourself`,
      );
    }
    kept.push(name);
  }
  const restored: KeyName[] = [];
  for (const { name, path, content } of secrets) {
    if (kept.includes(name)) continue;
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    await createFile(path, content, SECRET_MODE);
    await syncFolder(dirname(dirname(path)));
    restored.push(name);
  }
  return { gateway: backup.gateway, restored, kept };
}

async function readBackup(file: string): Promise<KeyBackup> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (cause) {
    throw new WaystoneError(
      'KEY_BACKUP_INVALID',
      `${file} cannot be read: ${messageOf(cause)}; name the file that waystone keys backup wrote`,
      { cause },
    );
  }
  let value: Partial<KeyBackup> | null = null;
  try {
    value = JSON.parse(text);
  } catch {}
  if (value?.type !== 'waystone-keys' || typeof value.keys !== 'object') {
    throw new WaystoneError(
      'KEY_BACKUP_INVALID',
      `${file} is no backup of keys; name the file that waystone keys backup wrote`,
    );
  }
  if (value.version !== 1) {
    throw new WaystoneError(
      'KEY_BACKUP_INVALID',
      `${file} has version ${value.version}, this release reads 1; use the release that wrote it`,
    );
  }
  for (const name of ['gateway', 'next', ...Object.keys(value.keys)] as KeyName[]) {
    if (!isKeystoreJson(JSON.stringify(value.keys[name] ?? null))) {
      throw new WaystoneError(
        'KEY_BACKUP_INVALID',
        `${file} holds no readable key "${name}"; take another copy`,
      );
    }
  }
  return value as KeyBackup;
}

/** An editor ends the file with a line end; a password has none. */
async function readPassword(file: string): Promise<string> {
  return (await readSecret(file)).replace(/\r?\n$/, '');
}

function mnemonicFileOf({ dataFolder }: KeyPlaces): string {
  return LocalChain.keyFile(join(dataFolder, 'chain'));
}

function pemOf(privateKey: string): string {
  const point = Buffer.from(SigningKey.computePublicKey(privateKey, false).slice(4), 'hex');
  const key = createPrivateKey({
    format: 'jwk',
    key: {
      kty: 'EC',
      crv: 'secp256k1',
      d: Buffer.from(privateKey.slice(2), 'hex').toString('base64url'),
      x: point.subarray(0, 32).toString('base64url'),
      y: point.subarray(32).toString('base64url'),
    },
  });
  return key.export({ type: 'pkcs8', format: 'pem' }) as string;
}

function didOf(privateKey: string): string {
  const bytes = Buffer.from(SigningKey.computePublicKey(privateKey, true).slice(2), 'hex');
  return didFromKey({ type: 'secp256k1', bytes: new Uint8Array(bytes) });
}
