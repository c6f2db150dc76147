/** The rate is that of about so many minutes. */
const TIME_CONSTANT_MS = 10 * 60_000;

/** Bytes stored a second, smoothed. Before the first minutes are over it is the mean so far. */
export class StoredRate {
  #last: { bytes: number; atMs: number } | null = null;
  #weighted = 0;
  #weight = 0;

  /** @param bytes all that was ever stored; it never falls. @param atMs a clock that never goes back. */
  update(bytes: number, atMs: number): void {
    const last = this.#last;
    this.#last = { bytes, atMs };
    if (last === null || atMs <= last.atMs) return;
    const kept = Math.exp(-(atMs - last.atMs) / TIME_CONSTANT_MS);
    const rate = ((bytes - last.bytes) * 1000) / (atMs - last.atMs);
    this.#weighted = this.#weighted * kept + rate * (1 - kept);
    this.#weight = this.#weight * kept + (1 - kept);
  }

  /** Bytes a second; 0 while nothing is known. */
  get bytesPerSecond(): number {
    return this.#weight === 0 ? 0 : this.#weighted / this.#weight;
  }
}
