import { networkOf } from './network-of.js';
import { TokenBucket } from './token-bucket.js';

export interface AddressLimitOptions {
  readonly connectionsPerAddressMax: number;
  readonly connectsPerSecondMax: number;
  readonly connectBurstMax: number;
  readonly connectTimeoutSeconds: number;
}

/** Addresses remembered that have no connection; beyond, the one that was quiet longest is forgotten. */
const QUIET_ADDRESSES_MAX = 10_000;

interface Address {
  connections: number;
  readonly connects: TokenBucket;
}

/**
 * Connections from one address (of IPv6: one /64): how many at once, and how fast new ones may come. Its memory
 * is bounded by the connections there are and a fixed number of addresses without any.
 */
export class AddressLimits {
  readonly #options: AddressLimitOptions;
  readonly #busy = new Map<string, Address>();
  readonly #quiet = new Map<string, Address>();

  constructor(options: AddressLimitOptions) {
    this.#options = options;
  }

  /** Addresses that are remembered. */
  get size(): number {
    return this.#busy.size + this.#quiet.size;
  }

  /**
   * Takes in a new connection; {@link leave} must follow when it ends.
   *
   * @returns ms until it may be read, or null when it is not taken in: there are too many, or it would have to
   *   wait longer than a CONNECT may take.
   */
  enter(address: string, nowMs: number): number | null {
    const { connectionsPerAddressMax, connectsPerSecondMax, connectBurstMax } = this.#options;
    const network = networkOf(address);
    const known = this.#busy.get(network) ?? this.#quiet.get(network);
    const entry = known ?? {
      connections: 0,
      connects: new TokenBucket(connectsPerSecondMax, connectBurstMax, nowMs),
    };
    if (entry.connections >= connectionsPerAddressMax) return null;
    const waitMs = entry.connects.take(1, nowMs);
    if (waitMs > this.#options.connectTimeoutSeconds * 1000) {
      entry.connects.giveBack(1);
      return null;
    }
    entry.connections += 1;
    this.#quiet.delete(network);
    this.#busy.set(network, entry);
    return waitMs;
  }

  leave(address: string, nowMs: number): void {
    const network = networkOf(address);
    const entry = this.#busy.get(network);
    if (entry === undefined) return;
    entry.connections -= 1;
    if (entry.connections > 0) return;
    this.#busy.delete(network);
    if (entry.connects.isFull(nowMs)) return;
    this.#quiet.set(network, entry);
    if (this.#quiet.size <= QUIET_ADDRESSES_MAX) return;
    const [oldest] = this.#quiet.keys();
    if (oldest !== undefined) this.#quiet.delete(oldest);
  }
}
