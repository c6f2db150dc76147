import { constants } from 'node:fs';
import { open, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { DATASET_FILES, ENTRY_BYTES, leafHash, TreePeaks, toHex } from '@waystone/proto';
import type { Config } from '../core/config.js';
import { makeFolder, replaceFile, syncFolder } from '../core/durable.js';
import { messageOf, WaystoneError } from '../core/errors.js';

/**
 * What is public of datasets, as a web server gives it out: `entries/<root>` and `metadata/<token id>.json`. It is for
 * others to read, so names and files are.
 */
const FOLDER_MODE = 0o755;
const FILE_MODE = 0o644;

const CHUNK_BYTES = 4_096 * ENTRY_BYTES;

/** The folder of a gateway: that of its web server, or its own. */
export function publishedFolder(config: Pick<Config, 'dataFolder' | 'http'>): string {
  return config.http.publishFolder || join(config.dataFolder, 'published');
}

/** Where a token's metadata is. @param tokenId decimal. */
export function metadataPath(published: string, tokenId: string): string {
  return join(published, 'metadata', `${tokenId}.json`);
}

/** Writes a token's metadata, in the place of what was there. */
export function publishMetadata(published: string, tokenId: string, json: string): void {
  makeFolder(join(published, 'metadata'), FOLDER_MODE);
  replaceFile(metadataPath(published, tokenId), json, FILE_MODE);
}

/**
 * Copies the entries of a sealed dataset to `entries/<root>`. The bytes that were written are those that have the root:
 * whoever fetches them must find what is on chain. Done again, it is harmless.
 *
 * @throws WaystoneError PUBLISH_FAILED, DATASET_DAMAGED.
 */
export async function publishEntries(
  published: string,
  datasetFolder: string,
  root: string,
): Promise<void> {
  const folder = join(published, 'entries');
  const temporary = join(folder, `.tmp-${root}`);
  try {
    makeFolder(folder, FOLDER_MODE);
    const found = await copyEntries(join(datasetFolder, DATASET_FILES.entries), temporary);
    if (found !== root) {
      throw new WaystoneError(
        'DATASET_DAMAGED',
        `the entries in ${datasetFolder} have root ${found}, not ${root}, and are not published; run \`waystone fsck\`, and restore the folder from a backup`,
      );
    }
    await rename(temporary, join(folder, root));
    await syncFolder(folder);
  } catch (cause) {
    await rm(temporary, { force: true }).catch(() => undefined);
    if (cause instanceof WaystoneError) throw cause;
    throw new WaystoneError(
      'PUBLISH_FAILED',
      `the entries of dataset ${root} cannot be written to ${folder}: ${messageOf(cause)}; make http.publishFolder writable, with room. Until then the dataset waits`,
      { cause },
    );
  }
}

/** @returns the root of what was copied, hex. */
async function copyEntries(from: string, to: string): Promise<string> {
  const source = await open(from, constants.O_RDONLY | constants.O_NOFOLLOW);
  try {
    const target = await open(to, 'w', FILE_MODE);
    try {
      const tree = new TreePeaks();
      const chunk = new Uint8Array(CHUNK_BYTES);
      for (let at = 0; ; ) {
        const bytes = await fill(source, chunk, at);
        // What is left over at the end is no entry: the root shows it.
        for (let entry = 0; entry < bytes; entry += ENTRY_BYTES) {
          tree.append(leafHash(chunk.subarray(entry, Math.min(bytes, entry + ENTRY_BYTES))));
        }
        await target.write(chunk, 0, bytes, at);
        at += bytes;
        if (bytes < chunk.length) break;
      }
      await target.sync();
      return toHex(tree.root());
    } finally {
      await target.close();
    }
  } finally {
    await source.close();
  }
}

/** Reads from `position` until the buffer is full or the file ends. @returns how many bytes. */
async function fill(
  source: Awaited<ReturnType<typeof open>>,
  buffer: Uint8Array,
  position: number,
): Promise<number> {
  let read = 0;
  while (read < buffer.length) {
    const { bytesRead } = await source.read(buffer, read, buffer.length - read, position + read);
    if (bytesRead === 0) break;
    read += bytesRead;
  }
  return read;
}
