import { setTimeout as delay } from 'node:timers/promises';
import { Device, DeviceClosedError, type DeviceKey, MemoryOutbox } from '@waystone/device-sdk';
import { keyId, toHex } from '@waystone/proto';
import { frame, type TestDevice } from '../harness/device.js';
import type { TestGateway } from '../harness/gateway.js';
import { connectPacket, nameOf, RawClient } from '../harness/mqtt.js';
import type { PublishingRecord } from './publishing-record.js';
import type { Random } from './random.js';

/** Frames are dated so far back that a chain whose clock counts whole seconds has always passed them, µs. */
const BEFORE_US = 10_000_000;

/** An envelope of a publisher has up to so many frames. */
const FRAMES_MAX = 8;

/** Unanswered envelopes beyond which a publisher makes no new ones while the gateway is away. */
const UNANSWERED_MAX = 24;

/** Longest pause between two envelopes of a publisher unless another is given, ms: what keeps the load small. */
const PAUSE_MAX_MS = 30;

export interface Publisher {
  readonly key: DeviceKey;
  /** Publishes until it is told to stop. */
  run(): Promise<void>;
  /** Makes no more envelopes; `run` ends. */
  stopPublishing(): void;
  close(): Promise<void>;
}

function observations(random: Random) {
  const timeUs = Date.now() * 1000 - BEFORE_US;
  return Array.from({ length: 1 + random.below(FRAMES_MAX) }, (_, k) => ({ timeUs: timeUs + k }));
}

/** A device of the SDK: it sends again by itself whatever has no signed receipt. */
export class SdkPublisher implements Publisher {
  readonly key: DeviceKey;
  readonly #url: string;
  readonly #gateway: string;
  readonly #pauseMaxMs: number;
  readonly #record: PublishingRecord;
  readonly #random: Random;
  readonly #outbox = new MemoryOutbox();
  #device: Device;
  #isStopped = false;

  constructor(
    options: { url: string; gateway: string; key: DeviceKey; pauseMaxMs?: number },
    deps: { record: PublishingRecord; random: Random },
  ) {
    this.#url = options.url;
    this.#gateway = options.gateway;
    this.key = options.key;
    this.#pauseMaxMs = options.pauseMaxMs ?? PAUSE_MAX_MS;
    this.#record = deps.record;
    this.#random = deps.random;
    this.#device = this.#makeDevice();
  }

  /** Envelopes without a signed receipt. */
  get unreceipted(): number {
    return this.#outbox.size;
  }

  async run(): Promise<void> {
    const id = keyId(this.key.publicKey);
    while (!this.#isStopped) {
      await delay(this.#random.below(this.#pauseMaxMs));
      if (this.unreceipted >= UNANSWERED_MAX) continue;
      try {
        const { envelopes } = await this.#device.enqueue('drive', observations(this.#random));
        for (const envelope of envelopes) this.#record.publish(id, envelope);
      } catch (error) {
        // Started anew between the two lines: nothing of the call was sent.
        if (!(error instanceof DeviceClosedError)) throw error;
      }
    }
  }

  /** As after a power cut of the device: a new session, which carries the old one's outbox. */
  async startAnew(): Promise<void> {
    const before = this.#device;
    await before.close({ deadlineMs: 0 });
    this.#device = this.#makeDevice();
  }

  stopPublishing(): void {
    this.#isStopped = true;
  }

  async close(): Promise<void> {
    await this.#device.close({ deadlineMs: 0 });
  }

  #makeDevice(): Device {
    const device = new Device({
      url: this.#url,
      gateway: this.#gateway,
      signer: this.key,
      outbox: this.#outbox,
      reconnectMinMs: 20,
      reconnectMaxMs: 200,
      receiptTimeoutMs: 2_000,
    });
    device.on('receipt', ({ receipt, bytes }) => {
      const { outcome, statement } = receipt.body;
      if (outcome.kind === 'stored') this.#record.store(statement, bytes, outcome.entryLeaf);
      if (outcome.kind === 'refused') this.#record.refused.push(outcome.code);
    });
    device.connect().catch((error) => {
      if (!(error instanceof DeviceClosedError)) throw error;
    });
    return device;
  }
}

/**
 * A publisher that knows MQTT and no more: it notes which PUBACKs it saw and never sends anything twice, so
 * what it was acknowledged rests on the gateway alone.
 */
export class RawPublisher implements Publisher {
  readonly #device: TestDevice;
  readonly #gateway: Pick<TestGateway, 'mqttPort'>;
  readonly #realm: Uint8Array;
  readonly #pauseMaxMs: number;
  readonly #record: PublishingRecord;
  readonly #random: Random;
  #messageId = 0;
  #isStopped = false;

  constructor(
    options: {
      gateway: Pick<TestGateway, 'mqttPort'>;
      realm: Uint8Array;
      device: TestDevice;
      pauseMaxMs?: number;
    },
    deps: { record: PublishingRecord; random: Random },
  ) {
    this.#gateway = options.gateway;
    this.#realm = options.realm;
    this.#device = options.device;
    this.#pauseMaxMs = options.pauseMaxMs ?? PAUSE_MAX_MS;
    this.#record = deps.record;
    this.#random = deps.random;
  }

  get key(): DeviceKey {
    return this.#device.key;
  }

  async run(): Promise<void> {
    while (!this.#isStopped) {
      try {
        await this.#publishOverOneConnection();
      } catch {
        // The gateway is away, or went away: what has no PUBACK yet has no promise.
        await delay(this.#random.below(PAUSE_MAX_MS));
      }
    }
  }

  stopPublishing(): void {
    this.#isStopped = true;
  }

  async close(): Promise<void> {}

  async #publishOverOneConnection(): Promise<void> {
    const client = await RawClient.open(this.#gateway.mqttPort);
    try {
      client.send(await connectPacket(this.#device));
      await client.next('connack', ({ returnCode }) => returnCode === 0);
      const topic = `ws/v1/${this.#device.topicId}/up`;
      const waiting = new Map<number, string>();
      while (!this.#isStopped || waiting.size > 0) {
        if (!this.#isStopped && waiting.size < UNANSWERED_MAX) {
          const { statement, payload } = await this.#envelope();
          this.#messageId = (this.#messageId % 65_535) + 1;
          waiting.set(this.#messageId, statement);
          const packet = { cmd: 'publish', topic, qos: 1, retain: false, dup: false } as const;
          client.send({ ...packet, messageId: this.#messageId, payload: Buffer.from(payload) });
        }
        await delay(this.#random.below(this.#pauseMaxMs));
        for (const packet of client.packets.splice(0)) {
          if (packet.cmd !== 'puback' || packet.messageId === undefined) continue;
          const statement = waiting.get(packet.messageId);
          if (statement !== undefined) this.#record.acknowledged.add(statement);
          waiting.delete(packet.messageId);
        }
        if (client.isClosed) throw new Error('the connection was closed');
      }
    } finally {
      client.cut();
    }
  }

  async #envelope(): Promise<{ statement: string; payload: Uint8Array }> {
    const made = observations(this.#random);
    const times = made.map(({ timeUs }) => timeUs);
    const firstSequence = this.#device.sequence;
    const payload = await this.#device.envelope({
      frames: made.map((fields) => frame(fields)),
      statement: {
        realm: this.#realm,
        minTimeUs: Math.min(...times),
        maxTimeUs: Math.max(...times),
      },
    });
    const statementHash = nameOf(payload);
    const { session, keyId: id } = this.#device;
    const name = { statementHash, session, stream: 1, firstSequence, count: made.length };
    this.#record.publish(id, name);
    return { statement: toHex(statementHash), payload };
  }
}
