import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Random } from '../../faults/random.js';
import { cutPower, type Keeps, type PowerCut } from './power-cut.js';

/** A call that shall go wrong; what the words mean stands in faulty-disk.c. */
export interface DiskFault {
  readonly action: 'eio' | 'full' | 'dead' | 'die';
  readonly call: 'write' | 'sync' | 'name';
  /** Pattern of the path, as of fnmatch(3). */
  readonly pattern: string;
  /** Which of the calls from now on; 1 is the next. */
  readonly nth?: number;
}

let built: string | undefined;

/** The library, built once for all disks of this process. */
function library(): string {
  if (built !== undefined) return built;
  const folder = mkdtempSync(join(tmpdir(), 'waystone-disk-library-'));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, 'faulty-disk.so');
  const source = fileURLToPath(new URL('./faulty-disk.c', import.meta.url));
  const flags = ['-std=gnu11', '-O2', '-Wall', '-Wextra', '-Werror', '-shared', '-fPIC'];
  execFileSync('cc', [...flags, '-o', file, source, '-ldl', '-lpthread']);
  built = file;
  return file;
}

/** A folder whose disk can fail under a process that is started with {@link environment}. */
export class FaultyDisk {
  readonly folder: string;
  readonly #state: string;
  readonly #library: string;

  private constructor(folder: string, state: string, library: string) {
    this.folder = folder;
    this.#state = join(state, 'state');
    this.#library = library;
    mkdirSync(this.#state);
  }

  /** @param folder its real path; what it holds now counts as synced. */
  static async under(folder: string): Promise<FaultyDisk> {
    const state = await mkdtemp(join(dirname(folder), 'waystone-disk-'));
    return new FaultyDisk(folder, state, library());
  }

  /** Of a process whose disk this is. @param slow how much longer a sync (ms) and a write (µs) take. */
  environment(slow: { syncMs?: number; writeUs?: number } = {}): Record<string, string> {
    return {
      LD_PRELOAD: this.#library,
      FAULTY_DISK_FOLDER: this.folder,
      FAULTY_DISK_STATE: this.#state,
      FAULTY_DISK_SYNC_MS: `${slow.syncMs ?? 0}`,
      FAULTY_DISK_WRITE_US: `${slow.writeUs ?? 0}`,
      // File operations through io_uring would pass the library by.
      UV_USE_IO_URING: '0',
    };
  }

  /** From now on this shall go wrong; null: nothing. */
  arm(fault: DiskFault | null): void {
    rmSync(join(this.#state, 'fired'), { force: true });
    const control = join(this.#state, 'control');
    if (fault === null) {
      rmSync(control, { force: true });
      return;
    }
    const { action, call, pattern, nth = 1 } = fault;
    writeFileSync(`${control}.new`, `${action} ${call} ${pattern} ${nth}\n`);
    renameSync(`${control}.new`, control);
  }

  /** Path of the call that went wrong, or null while none did. */
  get fired(): string | null {
    const file = join(this.#state, 'fired');
    return existsSync(file) ? readFileSync(file, 'utf8') : null;
  }

  /** What a power cut at this instant leaves of the folder; the process must be dead. */
  cutPower(random: Random, keeps?: Keeps): Promise<PowerCut> {
    return cutPower(this.folder, this.#state, random, keeps);
  }

  async remove(): Promise<void> {
    await rm(dirname(this.#state), { recursive: true, force: true });
  }
}
