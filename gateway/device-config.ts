import {
  type Config,
  type EnrolmentPlace,
  encodeSignedMessage,
  fromHex,
  signedMessageInput,
  wire,
} from '@waystone/proto';
import type { Clock } from './core/clock.js';
import type { GatewayKey } from './core/gateway-key.js';
import type { DeviceRecord } from './core/ports.js';
import type { Ledger } from './ledger/ledger.js';

/** Signatures of settings kept, so that a fleet that comes back costs none. */
const SIGNATURES_MAX = 20_000;

const DAY_SECONDS = 86_400;

/** How long a device's proof counts, and how long before its end the next one is asked for, days. */
const PROOF_DAYS = 90;
const RENEW_DAYS = 14;

/** What devices signed so that the registry can say that they hold their keys. */
export class DeviceProofs {
  readonly place: EnrolmentPlace;
  readonly #calls: Ledger['calls'];
  readonly #clock: Clock;
  /** When the proof of a device ends, Unix seconds. */
  readonly #ends: Map<number, number>;

  private constructor(
    place: EnrolmentPlace,
    calls: Ledger['calls'],
    clock: Clock,
    ends: Map<number, number>,
  ) {
    this.place = place;
    this.#calls = calls;
    this.#clock = clock;
    this.#ends = ends;
  }

  static async load(
    place: EnrolmentPlace,
    calls: Ledger['calls'],
    clock: Clock,
  ): Promise<DeviceProofs> {
    return new DeviceProofs(place, calls, clock, new Map(await calls.provenDevices(place)));
  }

  /** Until when a proof that is asked for now is to count, Unix seconds; null when none is needed. */
  wanted({ id, publicKey }: Pick<DeviceRecord, 'id' | 'publicKey'>): number | null {
    // No contract checks Ed25519.
    if (publicKey.type === 'Ed25519') return null;
    const today = Math.floor(this.#clock.nowUs() / 1e6 / DAY_SECONDS) * DAY_SECONDS;
    const end = this.#ends.get(id) ?? 0;
    return end > today + RENEW_DAYS * DAY_SECONDS ? null : today + PROOF_DAYS * DAY_SECONDS;
  }

  /** Keeps a proof whose signature was checked; resolves once it is on disk. */
  async keep(
    device: number,
    { expiry, signature }: { expiry: number; signature: Uint8Array },
  ): Promise<void> {
    // The same again, or one that ends sooner.
    if (expiry <= (this.#ends.get(device) ?? 0)) return;
    await this.#calls.keepProof(device, this.place, expiry, signature);
    this.#ends.set(device, expiry);
  }
}

/** Signed settings for devices: the same for all, but for what a device is asked to prove. */
export class DeviceConfigs {
  readonly #key: GatewayKey;
  readonly #settings: Config;
  readonly #proofs: DeviceProofs | null;
  /** Bodies by when a wanted proof ends; 0 wants none. */
  readonly #bodies = new Map<number, Uint8Array>();
  readonly #signatures = new Map<string, Uint8Array>();

  constructor(key: GatewayKey, settings: Config, proofs: DeviceProofs | null) {
    this.#key = key;
    this.#settings = settings;
    this.#proofs = proofs;
  }

  for(device: DeviceRecord): Uint8Array {
    const expiry = this.#proofs?.wanted(device) ?? 0;
    const body = this.#body(expiry);
    const name = `${device.id} ${expiry}`;
    let signature = this.#signatures.get(name);
    if (signature === undefined) {
      signature = this.#key.sign(signedMessageInput('config', this.#key.id, device.keyId, body));
      if (this.#signatures.size >= SIGNATURES_MAX) this.#signatures.clear();
      this.#signatures.set(name, signature);
    }
    return encodeSignedMessage('config', body, signature);
  }

  #body(expiry: number): Uint8Array {
    const known = this.#bodies.get(expiry);
    if (known !== undefined) return known;
    const place = this.#proofs?.place;
    const enrolment =
      expiry === 0 || place === undefined
        ? {}
        : {
            enrolment: {
              chainId: place.chainId,
              registry: fromHex(place.registry.slice(2).toLowerCase()),
              idao: fromHex(place.idao.slice(2).toLowerCase()),
              expiry,
            },
          };
    const body = wire.Config.encode({ ...this.#settings, ...enrolment }).finish();
    // A new one each day; those of before are asked for no more.
    if (this.#bodies.size > 2) this.#bodies.clear();
    this.#bodies.set(expiry, body);
    return body;
  }
}
