import { randomBytes } from 'node:crypto';
import { link, open, rename, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';

/**
 * Creates a file that is complete and on disk, or not there at all, whenever the power fails.
 *
 * @param replace Whether an existing file is replaced; else it is left as it is.
 * @returns Whether the file was written: false when it existed and `replace` is off.
 */
export async function writeDurably(
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

/** Makes the names in a folder durable. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
