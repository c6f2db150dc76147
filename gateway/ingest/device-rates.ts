import { TokenBucket } from './token-bucket.js';

export interface DeviceRateOptions {
  /** 0 is no limit. */
  readonly messagesPerSecondMax: number;
  readonly bytesPerSecondMax: number;
  readonly burstSeconds: number;
  readonly loginsPerMinuteMax: number;
}

interface Rates {
  readonly messages: TokenBucket;
  readonly bytes: TokenBucket;
  readonly logins: TokenBucket;
}

/** Rates of each device, whatever connections it uses. There is one entry for each device that logged in lately. */
export class DeviceRates {
  readonly #options: DeviceRateOptions;
  readonly #devices = new Map<number, Rates>();

  constructor(options: DeviceRateOptions) {
    this.#options = options;
  }

  /** Devices that are remembered. */
  get size(): number {
    return this.#devices.size;
  }

  /** Counts a login. @returns whether it is within the rate; one that is not costs nothing. */
  login(device: number, nowMs: number): boolean {
    const { logins } = this.#of(device, nowMs);
    if (logins.take(1, nowMs) === 0) return true;
    logins.giveBack(1);
    return false;
  }

  /** Counts an envelope. @returns ms for which the device is not to be read. */
  envelope(device: number, sizeBytes: number, nowMs: number): number {
    const { messagesPerSecondMax, bytesPerSecondMax } = this.#options;
    if (messagesPerSecondMax === 0 && bytesPerSecondMax === 0) return 0;
    const rates = this.#of(device, nowMs);
    return Math.max(
      messagesPerSecondMax === 0 ? 0 : rates.messages.take(1, nowMs),
      bytesPerSecondMax === 0 ? 0 : rates.bytes.take(sizeBytes, nowMs),
    );
  }

  /** Forgets devices whose past no longer matters. */
  sweep(nowMs: number): void {
    for (const [device, { messages, bytes, logins }] of this.#devices) {
      if (messages.isFull(nowMs) && bytes.isFull(nowMs) && logins.isFull(nowMs)) {
        this.#devices.delete(device);
      }
    }
  }

  #of(device: number, nowMs: number): Rates {
    const known = this.#devices.get(device);
    if (known !== undefined) return known;
    const { messagesPerSecondMax, bytesPerSecondMax, burstSeconds, loginsPerMinuteMax } =
      this.#options;
    const bucket = (perSecond: number): TokenBucket =>
      new TokenBucket(perSecond, perSecond * burstSeconds, nowMs);
    const rates = {
      messages: bucket(messagesPerSecondMax),
      bytes: bucket(bytesPerSecondMax),
      logins: new TokenBucket(loginsPerMinuteMax / 60, loginsPerMinuteMax, nowMs),
    };
    this.#devices.set(device, rates);
    return rates;
  }
}
