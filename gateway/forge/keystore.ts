import { scrypt as nativeScrypt } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type BaseWallet,
  computeAddress,
  encryptKeystoreJson,
  type HDNodeWallet,
  isError,
  scrypt,
  Wallet,
} from 'ethers';
import { messageOf, WaystoneError } from '../core/errors.js';

/** Name of the systemd credential that holds the password: LoadCredential=waystone-chain-password:… */
export const PASSWORD_CREDENTIAL = 'waystone-chain-password';

/** Memory that the key derivation may take; the usual N = 131,072 with r = 8 takes half of it. */
const SCRYPT_BYTES_MAX = 256 * 1024 * 1024;

export interface KeystoreFiles {
  /** Web3 secret storage, version 3: what geth, cast and wallets write. */
  readonly keystoreFile: string;
  /** "" takes the systemd credential {@link PASSWORD_CREDENTIAL}. */
  readonly passwordFile: string;
  /** `$CREDENTIALS_DIRECTORY`, or "". */
  readonly credentialsFolder: string;
}

// The library's own scrypt is JavaScript on this thread: two seconds in which devices would wait.
scrypt.register((password, salt, N, r, p, length) => {
  return new Promise((resolve, reject) => {
    nativeScrypt(password, salt, length, { N, r, p, maxmem: SCRYPT_BYTES_MAX }, (error, key) => {
      if (error) reject(error);
      else resolve(`0x${key.toString('hex')}`);
    });
  });
});

/**
 * Unlocks the operator's key. The password never comes by argument or environment, which other processes can read.
 *
 * @throws WaystoneError CHAIN_KEYSTORE_MISSING, CHAIN_KEYSTORE_MODE, CHAIN_KEYSTORE_INVALID, CHAIN_PASSWORD_MISSING,
 *   CHAIN_PASSWORD_MODE, CHAIN_PASSWORD_WRONG.
 */
export async function unlockKeystore(files: KeystoreFiles): Promise<BaseWallet> {
  const { keystoreFile } = files;
  const json = await readSecret(keystoreFile, 'CHAIN_KEYSTORE', {
    what: "the operator key's keystore",
    todo: 'put a keystore there (cast wallet import, geth account import), or set chain.keystoreFile',
  });
  const passwordFile =
    files.passwordFile ||
    (files.credentialsFolder === '' ? '' : join(files.credentialsFolder, PASSWORD_CREDENTIAL));
  if (passwordFile === '') {
    throw new WaystoneError(
      'CHAIN_PASSWORD_MISSING',
      `no password for ${keystoreFile}: set chain.passwordFile, or give systemd's LoadCredential=${PASSWORD_CREDENTIAL}`,
    );
  }
  const text = await readSecret(passwordFile, 'CHAIN_PASSWORD', {
    what: 'the password of the keystore',
    todo: 'write it there, or set chain.passwordFile',
    // systemd guards the folder of credentials itself, and its files may be readable for the service's group.
    isGuarded: files.passwordFile === '',
  });
  // An editor ends the file with a line end; a password has none.
  const wallet = await openKeystore(json, text.replace(/\r?\n$/, ''), {
    invalid: 'CHAIN_KEYSTORE_INVALID',
    wrong: 'CHAIN_PASSWORD_WRONG',
    file: keystoreFile,
    passwordFile,
  });
  return new Wallet(wallet.privateKey);
}

/** A key, and where it came from a mnemonic that too, as Web3 secret storage, version 3. */
export async function encryptKey(
  privateKey: string,
  password: string,
  mnemonic?: { path: string; entropy: string },
): Promise<object> {
  const account = { address: computeAddress(privateKey), privateKey };
  const text = await encryptKeystoreJson(
    mnemonic === undefined ? account : { ...account, mnemonic: { ...mnemonic, locale: 'en' } },
    password,
  );
  return JSON.parse(text);
}

/**
 * Opens a keystore of version 3.
 *
 * @param said codes and names of the errors.
 * @throws WaystoneError `invalid` or `wrong`.
 */
export async function openKeystore(
  json: string,
  password: string,
  said: { invalid: string; wrong: string; file: string; passwordFile: string },
): Promise<Wallet | HDNodeWallet> {
  try {
    return await Wallet.fromEncryptedJson(json, password);
  } catch (error) {
    if (isError(error, 'INVALID_ARGUMENT') && /password/i.test(error.shortMessage)) {
      throw new WaystoneError(
        said.wrong,
        `the password in ${said.passwordFile} does not open ${said.file}`,
        { cause: error },
      );
    }
    // The library's message may quote the file, so it is not passed on.
    throw new WaystoneError(
      said.invalid,
      `${said.file} is no keystore of version 3; restore it from a copy, or make a new one and have it appointed`,
    );
  }
}

async function readSecret(
  file: string,
  code: string,
  texts: { what: string; todo: string; isGuarded?: boolean },
): Promise<string> {
  try {
    const { mode } = await stat(file);
    if (texts.isGuarded !== true && (mode & 0o077) !== 0) {
      throw new WaystoneError(
        `${code}_MODE`,
        `${file} can be read by others (mode ${(mode & 0o777).toString(8).padStart(4, '0')}); run chmod 600 on it`,
      );
    }
    return await readFile(file, 'utf8');
  } catch (error) {
    if (error instanceof WaystoneError) throw error;
    throw new WaystoneError(
      `${code}_MISSING`,
      `${texts.what} cannot be read: ${messageOf(error)}; ${texts.todo}`,
      { cause: error },
    );
  }
}
