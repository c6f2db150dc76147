import { once } from 'node:events';
import net from 'node:net';
import {
  decodeReceipt,
  equalBytes,
  type Outcome,
  type Receipt,
  receiptFault,
  sha256,
  statementBytesOf,
  statementHash,
  toHex,
  topicOf,
} from '@waystone/proto';
import { generate, type IConnectPacket, type Packet, parser } from 'mqtt-packet';
import type { TestDevice } from './device.js';
import type { TestGateway } from './gateway.js';
import { DEADLINE_MS, waitFor } from './wait.js';

export type PacketOf<Command extends Packet['cmd']> = Extract<Packet, { cmd: Command }>;

/** A TCP connection on which any bytes can be sent; what comes back is read as MQTT 3.1.1. */
export class RawClient {
  readonly socket: net.Socket;
  /** Packets in the order they came. */
  readonly packets: Packet[] = [];
  readonly #chunks: Buffer[] = [];
  /** Those who wait for something to come, or for the end. */
  #waiting: (() => void)[] = [];
  isClosed = false;

  private constructor(socket: net.Socket) {
    this.socket = socket;
    const reader = parser({ protocolVersion: 4 });
    reader.on('packet', (packet) => {
      this.packets.push(packet);
      this.#wake();
    });
    reader.on('error', () => undefined); // An MQTT 5 answer: tests look at `received`.
    socket.on('data', (chunk: Buffer) => {
      this.#chunks.push(chunk);
      reader.parse(chunk);
    });
    socket.on('error', () => undefined); // 'close' follows.
    socket.once('close', () => {
      this.isClosed = true;
      this.#wake();
    });
  }

  #wake(): void {
    for (const wake of this.#waiting.splice(0)) wake();
  }

  /** All bytes that came. */
  get received(): Buffer {
    return Buffer.concat(this.#chunks);
  }

  static async open(port: number): Promise<RawClient> {
    const socket = net.connect({ host: '127.0.0.1', port });
    socket.setNoDelay(true);
    await once(socket, 'connect');
    return new RawClient(socket);
  }

  send(data: Packet | Uint8Array): void {
    this.socket.write(data instanceof Uint8Array ? data : generate(data));
  }

  /** Waits for a packet and takes it out of {@link packets}. */
  async next<Command extends Packet['cmd']>(
    cmd: Command,
    matches: (packet: PacketOf<Command>) => boolean = () => true,
  ): Promise<PacketOf<Command>> {
    const endMs = performance.now() + DEADLINE_MS;
    for (;;) {
      const at = this.packets.findIndex(
        (packet) => packet.cmd === cmd && matches(packet as PacketOf<Command>),
      );
      if (at >= 0) return this.packets.splice(at, 1)[0] as PacketOf<Command>;
      if (this.isClosed) throw new Error(`the connection was closed before a packet ${cmd} came`);
      const leftMs = endMs - performance.now();
      if (leftMs <= 0) throw new Error(`waited ${DEADLINE_MS} ms in vain for a packet ${cmd}`);
      await new Promise<void>((wake) => {
        const timer = setTimeout(wake, leftMs);
        this.#waiting.push(() => {
          clearTimeout(timer);
          wake();
        });
      });
    }
  }

  async closed(): Promise<void> {
    await waitFor('the gateway to close the connection', () => this.isClosed);
  }

  /** Cuts the connection. */
  cut(): void {
    this.socket.destroy();
  }
}

/** CONNECT of a device with a right login, with fields replaced. */
export async function connectPacket(
  device: TestDevice,
  fields: Partial<IConnectPacket> = {},
): Promise<IConnectPacket> {
  return {
    cmd: 'connect',
    protocolId: 'MQTT',
    protocolVersion: 4,
    clean: true,
    keepalive: 0,
    clientId: device.topicId,
    username: device.topicId,
    password: Buffer.from(fields.password ?? (await device.loginToken())),
    ...fields,
  };
}

export interface ReceiptMessage {
  /** As they came. */
  readonly bytes: Uint8Array;
  readonly receipt: Receipt;
}

/** How a receipt names an envelope. */
export function nameOf(payload: Uint8Array): Uint8Array {
  const statement = statementBytesOf(payload);
  return statement === null ? sha256(payload) : statementHash(statement);
}

/** A device that is logged in and subscribed. */
export class DeviceClient {
  readonly raw: RawClient;
  readonly device: TestDevice;
  readonly gateway: TestGateway;
  #messageId = 0;

  private constructor(raw: RawClient, device: TestDevice, gateway: TestGateway) {
    this.raw = raw;
    this.device = device;
    this.gateway = gateway;
  }

  /** Connects, logs in and subscribes to the device's own receipts. */
  static async open(
    gateway: TestGateway,
    device: TestDevice,
    fields: Partial<IConnectPacket> = {},
  ): Promise<DeviceClient> {
    const raw = await RawClient.open(gateway.mqttPort);
    raw.send(await connectPacket(device, fields));
    const { returnCode } = await raw.next('connack');
    if (returnCode !== 0) throw new Error(`the login was refused with ${returnCode}`);
    const client = new DeviceClient(raw, device, gateway);
    const granted = await client.subscribe(topicOf(device.topicId, 'receipt'));
    if (granted[0] === 128) throw new Error('the subscription to receipts was refused');
    return client;
  }

  get topicUp(): string {
    return topicOf(this.device.topicId, 'up');
  }

  /** @returns the granted QoS of each, 128 where it was refused. */
  async subscribe(...topics: string[]): Promise<number[]> {
    const messageId = this.#nextMessageId();
    const subscriptions = topics.map((topic) => ({ topic, qos: 0 as const }));
    this.raw.send({ cmd: 'subscribe', messageId, subscriptions });
    const suback = await this.raw.next('suback', (packet) => packet.messageId === messageId);
    return suback.granted as number[];
  }

  /** Sends a PUBLISH, by default of an envelope at QoS 1. @returns its packet id. */
  publish(
    payload: Uint8Array,
    fields: { topic?: string; qos?: 0 | 1 | 2; retain?: boolean; dup?: boolean } = {},
  ): number {
    const { topic = this.topicUp, qos = 1, retain = false, dup = false } = fields;
    const messageId = this.#nextMessageId();
    const base = {
      cmd: 'publish',
      topic,
      payload: Buffer.from(payload),
      qos,
      retain,
      dup,
    } as const;
    this.raw.send(qos === 0 ? base : { ...base, messageId });
    return messageId;
  }

  /** Waits for the PUBACK of a packet id. */
  async acknowledged(messageId: number): Promise<void> {
    await this.raw.next('puback', (packet) => packet.messageId === messageId);
  }

  /** Waits for a receipt that names an envelope; its signature must be the gateway's. */
  async receipt(payload: Uint8Array, kind?: Outcome['kind']): Promise<ReceiptMessage> {
    const name = nameOf(payload);
    let found: ReceiptMessage | undefined;
    await this.raw.next('publish', (packet) => {
      if (packet.topic !== topicOf(this.device.topicId, 'receipt')) return false;
      const bytes = new Uint8Array(packet.payload as Buffer);
      const receipt = decodeReceipt(bytes);
      if (!equalBytes(receipt.body.statement, name)) return false;
      if (kind !== undefined && receipt.body.outcome.kind !== kind) return false;
      found = { bytes, receipt };
      return true;
    });
    if (found === undefined) throw new Error('no receipt');
    const fault = receiptFault(found.receipt, this.gateway.publicKey);
    if (fault !== null) throw new Error(`the receipt is not the gateway's: ${fault}`);
    if (!equalBytes(found.receipt.body.device, this.device.keyId)) {
      throw new Error(`the receipt is for ${toHex(found.receipt.body.device)}`);
    }
    return found;
  }

  /** Publishes an envelope at QoS 1 and waits for PUBACK and receipt. */
  async deliver(payload: Uint8Array): Promise<ReceiptMessage> {
    const messageId = this.publish(payload);
    await this.acknowledged(messageId);
    return this.receipt(payload);
  }

  /** Sends DISCONNECT and waits for the end. */
  async end(): Promise<void> {
    this.raw.send({ cmd: 'disconnect' });
    await this.raw.closed();
  }

  #nextMessageId(): number {
    this.#messageId = (this.#messageId % 65_535) + 1;
    return this.#messageId;
  }
}
