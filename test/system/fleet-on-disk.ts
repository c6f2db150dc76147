import { DeviceKey } from '@waystone/device-sdk';
import { LOCAL_REALM, realmOf } from '@waystone/proto';
import type { GatewayStatus } from '../../gateway/core/view.js';
import { RawPublisher, SdkPublisher } from '../faults/fleet.js';
import { PublishingRecord } from '../faults/publishing-record.js';
import { type Random, randomFrom } from '../faults/random.js';
import { TestDevice } from '../harness/device.js';
import type { TestGateway } from '../harness/gateway.js';
import { waitFor } from '../harness/wait.js';

/** Longest that devices may need to get what they are owed, ms. */
const SETTLED_WITHIN_MS = 60_000;

/** Longest pause of a device that sends on at once: commit groups then follow one another, and their rows wait, ms. */
const HASTY_PAUSE_MAX_MS = 3;

/** Devices that publish to a gateway which fails and comes back at the same address, and what they were told. */
export class FleetOnDisk {
  readonly record = new PublishingRecord();
  readonly #devices: SdkPublisher[];
  readonly #raw: RawPublisher[];
  #running: Promise<void>[] = [];

  private constructor(devices: (record: PublishingRecord) => [SdkPublisher[], RawPublisher[]]) {
    [this.#devices, this.#raw] = devices(this.record);
  }

  /**
   * Enrols its devices: one of the SDK for each type of key, and one that knows MQTT alone.
   *
   * @param pauseMaxMs longest pause of the first ones.
   * @param hasty how many more there are of the last one, which send on at once.
   */
  static async of(
    gateway: TestGateway,
    random: Random,
    { pauseMaxMs, hasty = 0 }: { pauseMaxMs?: number | undefined; hasty?: number } = {},
  ): Promise<FleetOnDisk> {
    const { did, mqttUrl: url, mqttPort } = gateway;
    const { chain } = await gateway.ask<GatewayStatus>('GET', '/v1/status');
    const realm = chain.idao === '' ? LOCAL_REALM : realmOf(chain.chainId, chain.idao);
    const keys = (['secp256k1', 'P-256', 'Ed25519'] as const).map((type) =>
      DeviceKey.generate(type),
    );
    const plain = Array.from({ length: 1 + hasty }, () => new TestDevice(did));
    for (const { did } of [...keys, ...plain]) await gateway.enrol(did);
    const own = () => randomFrom(random.below(2 ** 32));
    return new FleetOnDisk((record) => [
      keys.map(
        (key) =>
          new SdkPublisher(
            { url, gateway: did, key, ...(pauseMaxMs === undefined ? {} : { pauseMaxMs }) },
            { record, random: own() },
          ),
      ),
      plain.map((device, k) => {
        const pause = k === 0 ? {} : { pauseMaxMs: HASTY_PAUSE_MAX_MS };
        const options = { gateway: { mqttPort }, realm, device, ...pause };
        return new RawPublisher(options, { record, random: own() });
      }),
    ]);
  }

  /** Publishes from now on. */
  start(): void {
    this.#running = [...this.#devices, ...this.#raw].map((publisher) => publisher.run());
  }

  /** Envelopes that a device was promised to find again. */
  get promised(): number {
    return this.record.receipted.size + this.record.acknowledged.size;
  }

  /** Ends the publishing and waits until every envelope of the SDK has its receipt. */
  async settle(): Promise<void> {
    for (const publisher of [...this.#devices, ...this.#raw]) publisher.stopPublishing();
    await Promise.all(this.#running);
    await waitFor(
      'every envelope to have its receipt',
      () => this.#devices.every(({ unreceipted }) => unreceipted === 0),
      SETTLED_WITHIN_MS,
    );
  }

  async close(): Promise<void> {
    for (const device of this.#devices) await device.close();
  }
}
