import { open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { makeFolder } from '../core/durable.js';

/** Dumps kept: the newest, and one before it in case the newest cannot be read. */
export const DUMPS_KEPT = 2;

/** Name of a dump. */
export const DUMP_NAME = /^state-(\d{10})\.gz$/;
const NAME_ASIDE = /^state-\d{10}\.gz\.(unreadable|crashes|outdated)$/;

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
      .filter((name) => DUMP_NAME.test(name))
      .sort()
      .reverse()
      .map((name) => join(this.#folder, name));
  }

  read(path: string): Promise<Buffer> {
    return readFile(path);
  }

  /** Writes the next dump, durable when this resolves, and removes those that are too old. */
  async write(content: Uint8Array): Promise<void> {
    // Numbers of dumps that were put aside are not given again, so that a later one never takes their name.
    const numbers = (await readdir(this.#folder)).map((name) =>
      Number(/^state-(\d{10})\.gz/.exec(name)?.[1] ?? 0),
    );
    const number = Math.max(0, ...numbers);
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

  /**
   * Puts a dump that cannot be loaded aside, for someone to look at.
   *
   * @param why `unreadable`: the node does not take it · `crashes`: the node dies of it.
   */
  async putAside(path: string, why: 'unreadable' | 'crashes' | 'outdated'): Promise<void> {
    await rename(path, `${path}.${why}`);
    await this.#sync();
  }

  /** Paths of dumps that were put aside, by this run or an earlier one. */
  async listAside(): Promise<string[]> {
    const names = await readdir(this.#folder);
    return names
      .filter((name) => NAME_ASIDE.test(name))
      .sort()
      .map((name) => join(this.#folder, name));
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
