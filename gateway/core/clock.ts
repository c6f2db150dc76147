/**
 * Where the gateway takes the time from; tests inject their own.
 *
 * A box without RTC wakes up in 1970, one with a saved clock wakes up where it went to sleep, and any clock may be set
 * while the gateway runs. So wall time is written down, and decides as little as can be: the table in
 * `gateway/README.md` says what.
 */
export interface Clock {
  /** Now, in microseconds since 1970-01-01 UTC; within 0 to 2^53 - 1 whatever the clock is set to. */
  nowUs(): number;
  /** Whether a time that {@link nowUs} gave just now can be believed. */
  isTrusted(nowUs: number): boolean;
  /** Milliseconds that passed since some moment: never goes back, and does not jump when the clock is set. */
  monotonicMs(): number;
}

/** When this release was made, µs UTC: no true clock is before it. 2026-11-01. */
export const RELEASE_TIME_US = 1_793_491_200_000_000;

/** No box runs a release for longer: a clock that says so was set wrong. Ten years. */
export const RELEASE_AGE_MAX_US = 3_652 * 86_400_000_000;

/** A clock that is set back by less is only being corrected, µs. Well below what device times may be ahead. */
export const STEP_BACK_MAX_US = 5_000_000;

/**
 * A clock that went back is doubted until it has caught up with what it said before; but no longer than this, since
 * that may have been what was wrong. 24 hours.
 */
export const DOUBT_MAX_MS = 86_400_000;

/**
 * The system's clock, and whether it can be believed: it must be later than this release was made, not absurdly so,
 * and not before what it has said already. While it is doubted no time of a device is judged, since a gateway that is
 * an hour behind would refuse good data for good.
 */
export class SystemClock implements Clock {
  readonly #wallMs: () => number;
  readonly #monotonicMs: () => number;
  /** The latest time that was believed, µs. */
  #latestUs = 0;
  /** When the clock was first found before that, ms; null while it is not. */
  #wentBackAtMs: number | null = null;
  /** How long it was doubted already before this process began, ms. */
  #doubtedBeforeMs = 0;

  constructor(
    sources: { wallMs: () => number; monotonicMs: () => number } = {
      wallMs: Date.now,
      monotonicMs: () => performance.now(),
    },
  ) {
    this.#wallMs = sources.wallMs;
    this.#monotonicMs = sources.monotonicMs;
  }

  nowUs(): number {
    return Math.min(Math.max(Math.round(this.#wallMs() * 1000), 0), Number.MAX_SAFE_INTEGER);
  }

  monotonicMs(): number {
    return this.#monotonicMs();
  }

  isTrusted(nowUs: number): boolean {
    if (nowUs < RELEASE_TIME_US || nowUs > RELEASE_TIME_US + RELEASE_AGE_MAX_US) return false;
    if (nowUs < this.#latestUs - STEP_BACK_MAX_US) {
      const atMs = this.#monotonicMs();
      this.#wentBackAtMs ??= atMs;
      if (this.#doubtedMs(atMs) < DOUBT_MAX_MS) return false;
      this.#latestUs = nowUs;
    }
    this.#wentBackAtMs = null;
    this.#doubtedBeforeMs = 0;
    if (nowUs > this.#latestUs) this.#latestUs = nowUs;
    return true;
  }

  /** How long the clock has been behind what it said before, ms; 0 while it is not. */
  get doubtedMs(): number {
    return this.#wentBackAtMs === null ? 0 : this.#doubtedMs(this.#monotonicMs());
  }

  /**
   * Tells of an earlier run: a clock that is behind it is doubted.
   *
   * @param believedUs the latest time that was believed then, µs.
   * @param doubtedMs for how long the clock had been behind that time when it ended.
   */
  remember(believedUs: number, doubtedMs: number): void {
    if (believedUs <= this.#latestUs) return;
    this.#latestUs = believedUs;
    this.#doubtedBeforeMs = doubtedMs;
  }

  #doubtedMs(atMs: number): number {
    return this.#doubtedBeforeMs + atMs - (this.#wentBackAtMs ?? atMs);
  }
}
