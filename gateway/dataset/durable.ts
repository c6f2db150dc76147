import { open, rename } from 'node:fs/promises';

/** Makes the names in a folder durable: new files, renames and removals. */
export async function syncFolder(directory: string): Promise<void> {
  const handle = await open(directory, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Writes a whole file and fsyncs it. Its name is durable only once its folder is synced too. */
export async function writeDurably(path: string, bytes: Uint8Array): Promise<void> {
  const handle = await open(path, 'w');
  try {
    await handle.writeFile(bytes);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Gives a finished, fsynced file its name, over whatever has it now, and makes the name durable. */
export async function renameInto(from: string, directory: string, name: string): Promise<void> {
  await rename(from, `${directory}/${name}`);
  await syncFolder(directory);
}
