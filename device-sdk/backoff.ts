/**
 * Exponential back-off with jitter: the n-th wait is random between half and all of min · 2^n, at most
 * max. The jitter keeps a fleet from coming back at one instant after its gateway restarts.
 */
export class Backoff {
  readonly #minMs: number;
  readonly #maxMs: number;
  readonly #random: () => number;
  #attempt = 0;

  constructor(minMs: number, maxMs: number, random: () => number = Math.random) {
    if (!(minMs > 0 && maxMs >= minMs)) {
      throw new RangeError(`back-off must have 0 < min <= max, got min ${minMs}, max ${maxMs} ms`);
    }
    this.#minMs = minMs;
    this.#maxMs = maxMs;
    this.#random = random;
  }

  /** The next wait in milliseconds. */
  nextMs(): number {
    const ceilingMs = Math.min(this.#minMs * 2 ** Math.min(this.#attempt, 30), this.#maxMs);
    this.#attempt += 1;
    return ceilingMs * (0.5 + this.#random() / 2);
  }

  /** Begins again with the shortest wait. */
  reset(): void {
    this.#attempt = 0;
  }
}
