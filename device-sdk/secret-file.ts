import { randomBytes } from 'node:crypto';
import { link, open, unlink } from 'node:fs/promises';
import { dirname } from 'node:path';
import { KeyFileError } from './errors.js';

/** Longest key file that is read, in bytes; a PKCS#8 PEM file of our types has under 300. */
const SECRET_BYTES_MAX = 16 * 1024;

/**
 * Writes a file that only its owner may read, without ever replacing one.
 *
 * It is written under a temporary name, fsynced, and linked to its own name, which fails if that is taken;
 * then the folder is fsynced. Dying on the way leaves at most a `.tmp` file.
 *
 * @throws KeyFileError `KEY_FILE_EXISTS`.
 */
export async function createSecretFile(path: string, text: string): Promise<void> {
  const temporary = `${path}.${randomBytes(6).toString('hex')}.tmp`;
  const file = await open(temporary, 'wx', 0o600);
  try {
    try {
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
    await link(temporary, path); // A rename would silently replace another device's key.
  } catch (cause) {
    if (!hasErrorCode(cause, 'EEXIST')) throw cause;
    throw new KeyFileError(
      'KEY_FILE_EXISTS',
      path,
      `${path} already exists; load it, or choose another path for a new key`,
      { cause },
    );
  } finally {
    await unlink(temporary);
  }
  const folder = await open(dirname(path), 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

/**
 * Reads a file that only its owner may access. Windows has no such mode, so nothing is checked there.
 *
 * @throws KeyFileError `KEY_FILE_MISSING`, `KEY_FILE_EXPOSED` or `KEY_FILE_INVALID` (not a small file).
 */
export async function readSecretFile(path: string): Promise<string> {
  const file = await open(path, 'r').catch((cause: unknown) => {
    if (!hasErrorCode(cause, 'ENOENT')) throw cause;
    throw new KeyFileError('KEY_FILE_MISSING', path, `there is no key file at ${path}`, { cause });
  });
  try {
    // Asked of the open file, so that it cannot be swapped between the check and the read.
    const { mode, size } = await file.stat();
    if (process.platform !== 'win32' && (mode & 0o077) !== 0) {
      const shown = (mode & 0o777).toString(8).padStart(4, '0');
      throw new KeyFileError(
        'KEY_FILE_EXPOSED',
        path,
        `${path} has mode ${shown}, so others than its owner can access the device's key; ` +
          `run "chmod 600 ${path}", and use a new key if it may have been read`,
      );
    }
    if (size > SECRET_BYTES_MAX) {
      throw new KeyFileError('KEY_FILE_INVALID', path, `${path} is too large to be a key file`);
    }
    return await file.readFile('utf8');
  } finally {
    await file.close();
  }
}

function hasErrorCode(error: unknown, code: string): boolean {
  return error instanceof Error && (error as NodeJS.ErrnoException).code === code;
}
