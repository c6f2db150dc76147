import { randomBytes } from 'node:crypto';
import { closeSync, fsyncSync, mkdirSync, openSync, renameSync, writeSync } from 'node:fs';
import { link, open, rename, unlink } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';

/**
 * Files and names that are there after a power cut: content is fsynced before it gets its name, and the name's
 * folder after it.
 */

/** Makes the names in a folder durable: new files, renames and removals. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** {@link syncFolder} for code that must not be interrupted. */
export function syncFolderNow(folder: string): void {
  const fd = openSync(folder, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/**
 * Makes a folder, and those above it that are missing, with names that are durable. Also of a folder that is there: the
 * run that made it may have died before its name was.
 */
export function makeFolder(folder: string, mode = 0o700): void {
  const path = resolve(folder);
  const first = mkdirSync(path, { recursive: true, mode }) ?? path;
  for (let made = path; made.length >= first.length; made = dirname(made)) {
    try {
      syncFolderNow(dirname(made));
    } catch (error) {
      // Not ours to read, so it was not we who made a name in it.
      if ((error as NodeJS.ErrnoException).code !== 'EACCES') throw error;
    }
    if (made === dirname(made)) return;
  }
}

/** Writes all of the bytes at a place in an open file; it is not synced. */
export function writeFully(fd: number, bytes: Uint8Array, position: number): void {
  for (let at = 0; at < bytes.length; ) {
    at += writeSync(fd, bytes, at, bytes.length - at, position + at);
  }
}

/** Writes a whole file and fsyncs it. Its name is durable only once its folder is synced too. */
export async function writeSynced(path: string, bytes: Uint8Array): Promise<void> {
  const handle = await open(path, 'w');
  try {
    await handle.writeFile(bytes);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Gives a finished, fsynced file its name, over whatever has it now, and makes the name durable. */
export async function renameInto(from: string, folder: string, name: string): Promise<void> {
  await rename(from, join(folder, name));
  await syncFolder(folder);
}

/** Writes a file so that after a crash it holds either the old or the new content, without a turn of the event loop. */
export function replaceFile(file: string, content: string | Uint8Array, mode = 0o644): void {
  const temporary = `${file}.tmp`;
  const fd = openSync(temporary, 'w', mode);
  try {
    const bytes = typeof content === 'string' ? Buffer.from(content) : content;
    writeFully(fd, bytes, 0);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
  renameSync(temporary, file);
  syncFolderNow(dirname(file));
}

/**
 * Creates a file that is complete and on disk, or not there at all.
 *
 * @param replace Whether an existing file is replaced; else it is left as it is.
 * @returns Whether the file was written: false when it existed and `replace` is off.
 */
export async function createFile(
  path: string,
  content: string,
  mode: number,
  { replace = false } = {},
): Promise<boolean> {
  const folder = dirname(path);
  const temporary = join(folder, `.tmp-${randomBytes(8).toString('hex')}`);
  const handle = await open(temporary, 'wx', mode);
  try {
    try {
      // The umask may have taken bits away, never added any; set exactly what was asked for.
      await handle.chmod(mode);
      await handle.writeFile(content);
      await handle.sync();
    } finally {
      await handle.close();
    }
    if (replace) {
      await rename(temporary, path);
    } else {
      // Unlike rename, link never replaces: two `init` at once cannot overwrite each other's key.
      await link(temporary, path);
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  } finally {
    await unlink(temporary).catch(() => undefined);
  }
  await syncFolder(folder);
  return true;
}
