/** Where the gateway takes the time from; tests inject their own. */
export interface Clock {
  /** Now, in microseconds since 1970-01-01 UTC. */
  nowUs(): number;
  /** Whether that can be believed: a box without RTC wakes up in 1970. */
  isTrusted(): boolean;
}

/** When this release was made, µs UTC: no true clock is before it. 2026-11-01. */
export const RELEASE_TIME_US = 1_793_491_200_000_000;

export const systemClock: Clock = {
  nowUs: () => Date.now() * 1000,
  isTrusted: () => Date.now() * 1000 >= RELEASE_TIME_US,
};
