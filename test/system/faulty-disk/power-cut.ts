import { existsSync, lstatSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { open, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Random } from '../../faults/random.js';
import { type DiskRecord, readJournal } from './journal.js';
import {
  type Changes,
  PAGE_BYTES,
  type Unsynced,
  type UnsyncedFile,
  unsyncedOf,
} from './unsynced.js';

/** What a disk kept of content that was not synced. It writes whole sectors, in any order. */
const KEPT_CONTENT = ['nothing', 'some pages', 'some sectors', 'everything'] as const;

/** And of changes of names: the first few in each folder. */
const KEPT_NAMES = ['nothing', 'some', 'everything'] as const;

const SECTOR_BYTES = 512;

export interface PowerCut {
  readonly keptContent: (typeof KEPT_CONTENT)[number];
  readonly keptNames: (typeof KEPT_NAMES)[number];
  /** Pages, and names, that were not synced; and how many of them were taken back. */
  readonly pages: number;
  readonly pagesDropped: number;
  readonly names: number;
  readonly namesDropped: number;
}

/** What of the unsynced is kept. */
export type Keeps = Pick<PowerCut, 'keptContent' | 'keptNames'>;

/** Nothing that was not synced: the disk of a system that never writes before it must. */
export const KEEPS_NOTHING: Keeps = { keptContent: 'nothing', keptNames: 'nothing' };

/**
 * Makes of a folder what a disk may hold after a power cut, the process that wrote to it being dead: content that was
 * synced is there if its name is; of every other page (or sector) any content that it had since its last sync may be; of
 * the changes of names in a folder that was not synced after them, the first few are kept, as a journal keeps them.
 *
 * @param state what faulty-disk.c noted; it is cleared.
 * @param keeps default chosen by `random`.
 */
export async function cutPower(
  folder: string,
  state: string,
  random: Random,
  keeps?: Keeps,
): Promise<PowerCut> {
  const pick = <T>(kept: readonly T[]): T => kept[random.below(kept.length)] as T;
  const unsynced = unsyncedOf(await readJournal(join(state, 'journal')));
  const { keptContent, keptNames } = keeps ?? {
    keptContent: pick(KEPT_CONTENT),
    keptNames: pick(KEPT_NAMES),
  };
  const content = await cutContent(unsynced, [folder, state], keptContent, random);
  const names = cutNames(unsynced, folder, state, keptNames, random);
  await clear(state);
  return { keptContent, keptNames, ...content, ...names };
}

async function clear(state: string): Promise<void> {
  for (const name of readdirSync(state)) await rm(join(state, name), { recursive: true });
}

/** Paths by inode, of everything below some folders and of the folders themselves. */
function pathsOf(folders: readonly string[]): Map<number, string> {
  const paths = new Map<number, string>();
  const visit = (path: string): void => {
    const found = lstatSync(path);
    paths.set(found.ino, path);
    if (found.isDirectory()) for (const name of readdirSync(path)) visit(join(path, name));
  };
  for (const folder of folders) visit(folder);
  return paths;
}

async function cutContent(
  { files }: Unsynced,
  folders: readonly string[],
  kept: PowerCut['keptContent'],
  random: Random,
) {
  const paths = pathsOf(folders);
  let pages = 0;
  let pagesDropped = 0;
  for (const [inode, file] of files) {
    const path = paths.get(inode);
    if (path === undefined) continue;
    const changed = [...file.pages].filter(([, { list }]) => list.length > 0);
    pages += changed.length;
    if (kept !== 'everything') pagesDropped += await cutFile(path, file, kept, random);
  }
  return { pages, pagesDropped };
}

/** @returns how many pages are not as they were. */
async function cutFile(
  path: string,
  file: UnsyncedFile,
  kept: Exclude<PowerCut['keptContent'], 'everything'>,
  random: Random,
): Promise<number> {
  const pickOf = <T>(versions: readonly T[]): T =>
    versions[kept === 'nothing' ? 0 : random.below(versions.length)] as T;
  const handle = await open(path, 'r+');
  try {
    const now = (await handle.stat()).size;
    let dropped = 0;
    for (const [page, { list }] of file.pages) {
      if (list.length === 0) continue;
      const current = Buffer.alloc(PAGE_BYTES);
      await handle.read(current, 0, PAGE_BYTES, page * PAGE_BYTES);
      const versions = [...list.map(({ before }) => filled(before)), current];
      const chosen = Buffer.alloc(PAGE_BYTES);
      const step = kept === 'some sectors' ? SECTOR_BYTES : PAGE_BYTES;
      for (let at = 0; at < PAGE_BYTES; at += step) {
        pickOf(versions).copy(chosen, at, at, at + step);
      }
      if (chosen.equals(current)) continue;
      dropped += 1;
      await handle.write(chosen, 0, PAGE_BYTES, page * PAGE_BYTES);
    }
    await handle.truncate(pickOf([...file.size.list.map(({ before }) => before), now]));
    return dropped;
  } finally {
    await handle.close();
  }
}

function filled(before: Buffer): Buffer {
  return Buffer.concat([before, Buffer.alloc(PAGE_BYTES - before.length)]);
}

function cutNames(
  { folders }: Unsynced,
  folder: string,
  state: string,
  kept: PowerCut['keptNames'],
  random: Random,
) {
  const dropped: DiskRecord[] = [];
  let names = 0;
  for (const { list } of folders.values() as Iterable<Changes<DiskRecord>>) {
    names += list.length;
    const keptHere =
      kept === 'everything' ? list.length : kept === 'nothing' ? 0 : random.below(list.length + 1);
    dropped.push(...list.slice(keptHere).map(({ before }) => before));
  }
  dropped.sort((one, other) => other.at - one.at);
  for (const record of dropped) takeBack(record, folder, state);
  return { names, namesDropped: dropped.length };
}

/** The kill may have come before the change was made, and a folder may be gone: then there is nothing to take back. */
function takeBack({ kind, inode, at, b, name }: DiskRecord, folder: string, state: string): void {
  const paths = pathsOf([folder]);
  const parent = paths.get(inode);
  if (parent === undefined) return;
  const removed = join(state, `${at}`);
  const move = (from: string, to: string): void => {
    if (existsSync(from) && !existsSync(to) && existsSync(dirname(to))) renameSync(from, to);
  };
  if (kind === 'C') {
    rmSync(join(parent, name), { recursive: true, force: true });
  } else if (kind === 'U') {
    move(removed, join(parent, name));
  } else {
    const [from = '', to = ''] = name.split('/');
    const source = paths.get(b);
    if (source === undefined || existsSync(join(source, from))) return;
    move(join(parent, to), join(source, from));
    move(removed, join(parent, to));
  }
}
