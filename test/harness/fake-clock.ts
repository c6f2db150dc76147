import { existsSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Where Debian's package `libfaketime` puts its library for programs with threads. */
const LIBRARIES = ['x86_64', 'aarch64'].map(
  (machine) => `/usr/lib/${machine}-linux-gnu/faketime/libfaketimeMT.so.1`,
);

/**
 * The system clock of processes that are started with {@link environment}: it can be set while they run, for all of
 * them at once, and their monotonic clock goes on as it is.
 */
export class FakeClock {
  readonly environment: Readonly<Record<string, string>>;
  readonly #file: string;
  #offsetSeconds = 0;

  /** @throws Error when libfaketime is not installed. */
  constructor(folder: string) {
    const library = LIBRARIES.find(existsSync);
    if (library === undefined) throw new Error('libfaketime is missing: apt-get install faketime');
    this.#file = join(folder, 'clock');
    this.environment = {
      LD_PRELOAD: library,
      FAKETIME_TIMESTAMP_FILE: this.#file,
      FAKETIME_NO_CACHE: '1',
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
    };
    this.setOffset(0);
  }

  /** What the processes' clock shows now, µs UTC. */
  get nowUs(): number {
    return (Date.now() + this.#offsetSeconds * 1000) * 1000;
  }

  /** Seconds by which the clock is ahead of the true one. */
  setOffset(seconds: number): void {
    this.#offsetSeconds = Math.round(seconds);
    // In one step, so that no process reads half of it.
    writeFileSync(`${this.#file}.new`, `${seconds < 0 ? '' : '+'}${this.#offsetSeconds}\n`);
    renameSync(`${this.#file}.new`, this.#file);
  }

  /** Sets the clock to a date such as `1970-01-01T00:00:30Z`. */
  set(date: string): void {
    this.setOffset((Date.parse(date) - Date.now()) / 1000);
  }
}
