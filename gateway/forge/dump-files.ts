import { open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { makeFolder } from '../core/durable.js';

/** Dumps kept: the newest, and one before it in case the newest cannot be read. */
export const DUMPS_KEPT = 2;

const NAME = /^state-(\d{10})\.gz$/;

/**
 * Files of a chain's dumped states, the highest number being the newest. Asynchronous, since a dump may have
 * megabytes and the main thread serves devices.
 */
export class DumpFiles {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
    makeFolder(folder);
  }

  /** Paths, newest first. */
  async list(): Promise<string[]> {
    const names = await readdir(this.#folder);
    return names
      .filter((name) => NAME.test(name))
      .sort()
      .reverse()
      .map((name) => join(this.#folder, name));
  }

  read(path: string): Promise<Buffer> {
    return readFile(path);
  }

  /** Writes the next dump, durable when this resolves, and removes those that are too old. */
  async write(content: Uint8Array): Promise<void> {
    const [newest] = await this.list();
    const number = newest === undefined ? 0 : Number(newest.slice(-13, -3));
    const path = join(this.#folder, `state-${String(number + 1).padStart(10, '0')}.gz`);
    const temporary = `${path}.tmp`;
    const file = await open(temporary, 'w', 0o600);
    try {
      await file.writeFile(content);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
    await this.#sync();
    for (const old of (await this.list()).slice(DUMPS_KEPT)) await rm(old, { force: true });
  }

  /** Puts a dump that cannot be loaded aside, for someone to look at. */
  async putAside(path: string): Promise<void> {
    await rename(path, `${path}.unreadable`);
    await this.#sync();
  }

  async #sync(): Promise<void> {
    const folder = await open(this.#folder, 'r');
    try {
      await folder.sync();
    } finally {
      await folder.close();
    }
  }
}
