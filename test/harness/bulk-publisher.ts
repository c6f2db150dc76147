import { decodeReceipt, LOCAL_REALM, toHex, topicOf } from '@waystone/proto';
import { PublishingRecord } from '../faults/publishing-record.js';
import { frame, TestDevice } from './device.js';
import type { TestGateway } from './gateway.js';
import { connectPacket, nameOf, RawClient } from './mqtt.js';
import { waitFor } from './wait.js';

const FRAMES = 4;
const FRAME_BYTES = 25_000;

/** Bytes that the ledger counts of each envelope, a little less than it has. */
export const BULK_BYTES = FRAMES * FRAME_BYTES;

/** A device whose envelopes have 100 kB, to fill disks and quotas; it keeps the books of its PUBACKs. */
export class BulkPublisher {
  readonly device: TestDevice;
  readonly record: PublishingRecord;
  readonly #realm: Uint8Array;
  readonly #frameBytes: number;
  readonly #payloads: Uint8Array[] = [];
  #client: RawClient | undefined;
  #messageId = 0;

  private constructor(
    device: TestDevice,
    options: { realm: Uint8Array; record: PublishingRecord; frameBytes: number },
  ) {
    this.device = device;
    this.record = options.record;
    this.#realm = options.realm;
    this.#frameBytes = options.frameBytes;
  }

  /** Enrolled and connected. @param frameBytes fewer make a publisher that keeps the same books of small envelopes. */
  static async of(
    gateway: TestGateway,
    { realm = LOCAL_REALM, record = new PublishingRecord(), frameBytes = FRAME_BYTES } = {},
  ): Promise<BulkPublisher> {
    const device = new TestDevice(gateway.did, 'Ed25519');
    const publisher = new BulkPublisher(device, { realm, record, frameBytes });
    await gateway.enrol(publisher.device.did);
    await publisher.connect(gateway);
    return publisher;
  }

  get acknowledged(): number {
    return this.record.acknowledged.size;
  }

  /** In place of the connection that there was. */
  async connect(gateway: Pick<TestGateway, 'mqttPort'>): Promise<void> {
    this.#client?.cut();
    const client = await RawClient.open(gateway.mqttPort);
    this.#client = client;
    client.send(await connectPacket(this.device));
    await client.next('connack', ({ returnCode }) => returnCode === 0);
    const topic = topicOf(this.device.topicId, 'receipt');
    client.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic, qos: 1 }] });
    await client.next('suback');
  }

  /** @returns the number of a new envelope, for {@link send}. */
  async make(): Promise<number> {
    // So far back that a chain whose clock counts whole seconds has passed it.
    const timeUs = (Date.now() - 10_000) * 1000;
    const firstSequence = this.device.sequence;
    const payload = await this.device.envelope({
      frames: Array.from({ length: FRAMES }, () =>
        frame({ timeUs, rawGnss: new Uint8Array(this.#frameBytes) }),
      ),
      timeUs,
      statement: { realm: this.#realm },
    });
    this.record.publish(this.device.keyId, {
      statementHash: nameOf(payload),
      session: this.device.session,
      stream: 1,
      firstSequence,
      count: FRAMES,
    });
    return this.#payloads.push(payload) - 1;
  }

  /**
   * Sends an envelope, for the first time or again, and waits for its PUBACK or a `retry`.
   *
   * @returns `taken`, or the code of the retry.
   * @throws Error when the gateway closes the connection.
   */
  async send(number: number): Promise<string> {
    const client = this.#client as RawClient;
    const payload = this.#payloads[number] as Uint8Array;
    this.#messageId = (this.#messageId % 65_535) + 1;
    const messageId = this.#messageId;
    const topic = topicOf(this.device.topicId, 'up');
    client.packets.length = 0;
    const packet = { cmd: 'publish', topic, qos: 1, retain: false, dup: false } as const;
    client.send({ ...packet, messageId, payload: Buffer.from(payload) });
    const answer = await waitFor('an answer', () => {
      for (const packet of client.packets) {
        if (packet.cmd === 'puback' && packet.messageId === messageId) return 'taken';
        if (packet.cmd !== 'publish') continue;
        const { outcome } = decodeReceipt(packet.payload as Buffer).body;
        if (outcome.kind === 'retry') return outcome.code;
      }
      if (client.isClosed) throw new Error('the gateway closed the connection');
      return null;
    });
    if (answer === 'taken') this.record.acknowledged.add(toHex(nameOf(payload)));
    return answer;
  }

  async makeMany(count: number): Promise<number[]> {
    const numbers: number[] = [];
    while (numbers.length < count) numbers.push(await this.make());
    return numbers;
  }

  /** Writes envelopes to the connection without waiting, and then waits for all PUBACKs. */
  async sendMany(numbers: readonly number[]): Promise<void> {
    const client = this.#client as RawClient;
    const topic = topicOf(this.device.topicId, 'up');
    const packet = { cmd: 'publish', topic, qos: 1, retain: false, dup: false } as const;
    const waiting = new Map<number, string>();
    for (const [index, number] of numbers.entries()) {
      const payload = this.#payloads[number] as Uint8Array;
      waiting.set(index + 1, toHex(nameOf(payload)));
      client.send({ ...packet, messageId: index + 1, payload: Buffer.from(payload) });
    }
    await waitFor(
      'all PUBACKs',
      () => {
        for (const packet of client.packets.splice(0)) {
          const statement = packet.cmd === 'puback' && waiting.get(packet.messageId ?? 0);
          if (typeof statement !== 'string') continue;
          waiting.delete(packet.messageId ?? 0);
          this.record.acknowledged.add(statement);
        }
        if (client.isClosed) throw new Error('the gateway closed the connection');
        return waiting.size === 0;
      },
      120_000,
    );
  }

  /** Sends new envelopes until one is told to come again. @returns its number and the code. */
  async sendUntilRefused(): Promise<{ number: number; code: string }> {
    for (;;) {
      const number = await this.make();
      const code = await this.send(number);
      if (code !== 'taken') return { number, code };
    }
  }

  /** As a device does that was told to come again: connects and sends until it is taken. */
  async sendUntilTaken(gateway: TestGateway, number: number): Promise<void> {
    await waitFor('the envelope to be taken', async () => {
      await this.connect(gateway);
      return (await this.send(number)) === 'taken';
    });
  }
}
