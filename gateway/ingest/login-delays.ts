import { networkOf } from './network-of.js';

/** Networks remembered; the one whose last failure is oldest is forgotten for a new one. */
const NETWORKS_MAX = 10_000;

/** Failures that are answered at once: a person who mistypes, a device that restarts. */
const FREE_FAILURES = 3;

/** Delay of the first failure that is not answered at once; it doubles with each further one. */
const FIRST_DELAY_MS = 250;

/** A network without failures for so long has one failure less. */
const FORGIVE_ONE_MS = 10_000;

/** Refusals of one network that wait at once; while there are so many, no login from it is looked at. */
const WAITING_PER_NETWORK_MAX = 64;

interface Failures {
  readonly count: number;
  readonly atMs: number;
}

/**
 * Slows down who fails to log in again and again. Only refusals wait: a device with a right login gets in at
 * once though others fail behind the same address, until so many of them wait that it is a flood. Whoever
 * leaves before the refusal comes gains nothing by it.
 */
export class LoginDelays {
  readonly #delayMaxMs: number;
  readonly #countMax: number;
  readonly #nowMs: () => number;
  readonly #failures = new Map<string, Failures>();
  readonly #waiting = new Map<string, number>();
  /** What ends the wait of each refusal. */
  readonly #ends = new Set<() => void>();
  #isStopped = false;

  /**
   * @param delayMaxMs longest delay; 0 answers every failure at once.
   * @param nowMs a clock that never goes back.
   */
  constructor(delayMaxMs: number, nowMs: () => number = () => performance.now()) {
    this.#delayMaxMs = delayMaxMs;
    this.#nowMs = nowMs;
    // A larger count would take longer to forgive, without delaying more.
    const doublings = Math.ceil(Math.log2(Math.max(1, delayMaxMs / FIRST_DELAY_MS)));
    this.#countMax = FREE_FAILURES + 1 + doublings;
  }

  /** Networks that are remembered. */
  get size(): number {
    return this.#failures.size;
  }

  /** Whether logins from an address are looked at now. */
  isOpen(address: string): boolean {
    return (this.#waiting.get(networkOf(address)) ?? 0) < WAITING_PER_NETWORK_MAX;
  }

  /** Notes a failed login from an address, and resolves when its refusal may be told. */
  async refusal(address: string): Promise<void> {
    const network = networkOf(address);
    const delayMs = this.#failed(network);
    if (delayMs === 0 || this.#isStopped) return;
    this.#waiting.set(network, (this.#waiting.get(network) ?? 0) + 1);
    await new Promise<void>((resolve) => {
      const end = (): void => {
        clearTimeout(timer);
        this.#ends.delete(end);
        resolve();
      };
      const timer = setTimeout(end, delayMs).unref();
      this.#ends.add(end);
    });
    const left = (this.#waiting.get(network) ?? 1) - 1;
    if (left > 0) this.#waiting.set(network, left);
    else this.#waiting.delete(network);
  }

  /** Lets nobody wait any longer. */
  stop(): void {
    this.#isStopped = true;
    for (const end of [...this.#ends]) end();
  }

  /** @returns how long the refusal has to wait, ms. */
  #failed(network: string): number {
    const atMs = this.#nowMs();
    const before = this.#failures.get(network);
    const left =
      before === undefined ? 0 : Math.max(0, before.count - (atMs - before.atMs) / FORGIVE_ONE_MS);
    const count = Math.min(left + 1, this.#countMax);
    // Taken out and put in again, so that the first one in the map is the one to forget.
    this.#failures.delete(network);
    if (this.#failures.size >= NETWORKS_MAX) {
      const oldest = this.#failures.keys().next().value;
      if (oldest !== undefined) this.#failures.delete(oldest);
    }
    this.#failures.set(network, { count, atMs });
    const further = Math.floor(count) - FREE_FAILURES;
    return further <= 0 ? 0 : Math.min(this.#delayMaxMs, FIRST_DELAY_MS * 2 ** (further - 1));
  }
}
