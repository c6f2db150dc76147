import type { Socket } from 'node:net';
import { parseTopic, topicIdFromDid, topicOf } from '@waystone/proto';
import type { DeviceRecord } from '../core/ports.js';
import type { RelayRecord } from '../core/relay.js';
import { EnvelopeSource } from './envelope-queue.js';
import { GuardedSocket, type GuardHandler, type GuardLimits, type OtherPublish } from './guard.js';
import { Outgoing, topicField } from './outgoing.js';
import type { ConnectPacket, FiltersPacket, Violation, Will } from './packet-rules.js';
import { NO_UP_TOPICS, type UpTopics } from './up-topics.js';

/** What happens on a connection, told to the broker. */
export interface ConnectionEvents {
  connect(connection: Connection, packet: ConnectPacket): void;
  envelope(
    connection: Connection,
    device: DeviceRecord,
    payload: Uint8Array,
    packetId: number,
  ): void;
  subscribe(connection: Connection, packet: FiltersPacket): void;
  unsubscribe(connection: Connection, packet: FiltersPacket): void;
  publish(connection: Connection, packet: OtherPublish): void;
  violation(connection: Connection, violation: Violation): void;
  /** Something waits in {@link Connection.outgoing}; called once until it is flushed. */
  unflushed(connection: Connection): void;
}

/** Packets of a CONNECT that are needed while its login is looked at. */
type Login = Pick<ConnectPacket, 'password' | 'userName'>;

/** One client: its socket, what it may do, and what waits to be sent to it. */
export class Connection implements GuardHandler {
  readonly guard: GuardedSocket;
  /** The connection as the queue of envelopes holds it. */
  readonly source: ConnectionSource;
  readonly #events: ConnectionEvents;
  clientId = '';
  login: Login | null = null;
  will: Will | undefined;
  /** Longest silence between two packets, ms; 0 before CONNECT. */
  silenceMaxMs = 0;
  /** The user name that it gave, where that is a relay's. */
  relayName: string | null = null;
  /** Who has logged in: a device, a relay, or a device that is a relay. */
  device: DeviceRecord | null = null;
  relay: RelayRecord | null = null;
  /** Decides, for each PUBLISH, whether it is an envelope and of which device. */
  upTopics: UpTopics = NO_UP_TOPICS;
  /** What the sweep saw last, see `Watched` in `silence.ts`. */
  sentBytes = 0;
  sentAtMs = performance.now();
  /** Whether the last receipt was left out because the client takes too little. */
  isSlow = false;
  /** Whether it gets what is sent to its own id; and the other filters that it has, as a relay. */
  #ownReceipts = false;
  #ownConfig = false;
  #filters: Set<string> | null = null;
  readonly #outgoing = new Outgoing();
  #isUnflushed = false;
  #receiptField: Uint8Array | null = null;

  constructor(socket: Socket, limits: GuardLimits, events: ConnectionEvents) {
    this.#events = events;
    this.guard = new GuardedSocket(socket, limits, this);
    this.source = new ConnectionSource(this);
  }

  /** Adds a filter that the client may have, or takes it away. */
  setFilter(filter: string, isOn: boolean): void {
    const topic = parseTopic(filter);
    if (topic?.topicId === this.clientId && topic.channel === 'receipt') this.#ownReceipts = isOn;
    else if (topic?.topicId === this.clientId && topic.channel === 'config') this.#ownConfig = isOn;
    else if (!isOn) this.#filters?.delete(filter);
    else {
      this.#filters ??= new Set();
      this.#filters.add(filter);
    }
  }

  #hasFilter(topicId: string, channel: 'receipt' | 'config'): boolean {
    if (
      topicId === this.clientId &&
      (channel === 'receipt' ? this.#ownReceipts : this.#ownConfig)
    ) {
      return true;
    }
    const filters = this.#filters;
    if (filters === null) return false;
    return filters.has(topicOf(topicId, channel)) || filters.has(topicOf('+', channel));
  }

  /** Bytes that the client has not taken. */
  get unsentBytes(): number {
    return this.guard.unsentBytes + this.#outgoing.sizeBytes;
  }

  /** PUBACK, with the next flush. */
  acknowledge(packetId: number): void {
    this.#outgoing.puback(packetId);
    this.#flushLater();
  }

  /** A receipt with the next flush. @returns false when the client has not subscribed to them. */
  sendReceipt(receipt: Uint8Array): boolean {
    if (!this.#hasFilter(this.clientId, 'receipt')) return false;
    this.#receiptField ??= topicField(topicOf(this.clientId, 'receipt'));
    this.#outgoing.publish(this.#receiptField, receipt);
    this.#flushLater();
    return true;
  }

  /** A message for a device that this relay carries, with the next flush. @returns as {@link sendReceipt}. */
  sendFor(device: DeviceRecord, channel: 'receipt' | 'config', payload: Uint8Array): boolean {
    const topicId = topicIdFromDid(device.did);
    if (!this.#hasFilter(topicId, channel)) return false;
    this.#outgoing.publish(topicField(topicOf(topicId, channel)), payload);
    this.#flushLater();
    return true;
  }

  /** The settings, with the next flush. */
  sendConfig(config: Uint8Array): void {
    this.#outgoing.publish(topicField(topicOf(this.clientId, 'config')), config);
    this.#flushLater();
  }

  /** Writes what waits, in one piece. */
  flush(): void {
    this.#isUnflushed = false;
    if (this.#outgoing.sizeBytes > 0) this.guard.send(this.#outgoing.take());
  }

  /** Ends the connection once what waits was written. */
  end(): void {
    this.flush();
    this.guard.destroy();
  }

  connect(packet: ConnectPacket): void {
    this.clientId = packet.clientId;
    this.will = packet.will;
    this.login = packet;
    this.#events.connect(this, packet);
  }

  upDevice(bytes: Buffer, start: number, end: number): DeviceRecord | null {
    return this.upTopics(bytes, start, end);
  }

  envelope(device: DeviceRecord, payload: Buffer, packetId: number): void {
    this.#events.envelope(this, device, payload, packetId);
  }

  subscribe(packet: FiltersPacket): void {
    this.#events.subscribe(this, packet);
  }

  unsubscribe(packet: FiltersPacket): void {
    this.#events.unsubscribe(this, packet);
  }

  publish(packet: OtherPublish): void {
    this.#events.publish(this, packet);
  }

  violation(violation: Violation): void {
    this.#events.violation(this, violation);
  }

  #flushLater(): void {
    if (this.#isUnflushed) return;
    this.#isUnflushed = true;
    this.#events.unflushed(this);
  }
}

/** A connection as the queue of envelopes holds it. */
export class ConnectionSource extends EnvelopeSource {
  readonly connection: Connection;

  constructor(connection: Connection) {
    super((isHeld) => connection.guard.hold('envelopes', isHeld));
    this.connection = connection;
  }
}
