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
  readonly hellos: TokenBucket;
}

/** Hellos of a device for each login that it may make: one after it, one when its key is asked for, one when it was told to come again. */
const HELLOS_PER_LOGIN = 3;

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

  /** Counts a hello, which may ask for a thousand receipts. @returns ms for which the device is not to be read. */
  hello(device: number, nowMs: number): number {
    return this.#of(device, nowMs).hellos.take(1, nowMs);
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
    for (const [device, rates] of this.#devices) {
      if (Object.values(rates).every((bucket: TokenBucket) => bucket.isFull(nowMs))) {
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
    const perMinute = (most: number): TokenBucket => new TokenBucket(most / 60, most, nowMs);
    const rates = {
      messages: bucket(messagesPerSecondMax),
      bytes: bucket(bytesPerSecondMax),
      logins: perMinute(loginsPerMinuteMax),
      hellos: perMinute(HELLOS_PER_LOGIN * loginsPerMinuteMax),
    };
    this.#devices.set(device, rates);
    return rates;
  }
}
