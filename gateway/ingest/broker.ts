import { readFileSync } from 'node:fs';
import net from 'node:net';
import tls from 'node:tls';
import {
  type Code,
  didFromTopicId,
  ENVELOPE_BYTES_MAX,
  parseTopic,
  topicIdFromDid,
  topicOf,
} from '@waystone/proto';
import { Aedes, type AuthenticateError, type Client, type PublishPacket } from 'aedes';
import type { Clock } from '../core/clock.js';
import type { Logger } from '../core/logger.js';
import { listenError } from '../core/port-holder.js';
import type { Decision, DeviceRecord } from '../core/ports.js';
import type { RelayRecord } from '../core/relay.js';
import { ConcurrencyLimit } from './concurrency-limit.js';
import { EnvelopeQueue, type EnvelopeSource, type QueueLimits } from './envelope-queue.js';
import { GuardedSocket } from './guard.js';
import type { CheckedHello } from './hello.js';
import { isRelayLogin, type LoginDeps, type LoginResult, login, type Principal } from './login.js';
import { LoginDelays } from './login-delays.js';
import { isBridgeState, mayRelaySubscribe, routeOfRelay } from './relay-topics.js';

export interface BrokerOptions {
  readonly host: string;
  /** 0 takes a free port. */
  readonly port: number;
  readonly tlsCertificateFile?: string;
  readonly tlsKeyFile?: string;
  readonly connectionsMax: number;
  readonly connectTimeoutSeconds: number;
  /** Longest delay of a refused login after repeated failures from one network. */
  readonly loginDelaySecondsMax: number;
  readonly limits: QueueLimits;
}

/** What ingest needs from the rest of the gateway. */
export interface BrokerDeps {
  readonly logger: Logger;
  readonly clock: Clock;
  readonly login: LoginDeps;
  /** Hands an envelope to the verifiers. */
  readonly submit: ConstructorParameters<typeof EnvelopeQueue>[1];
  /** A hello was checked; resolves once its effects are durable. @returns why it is refused, or null. */
  readonly hello: (device: DeviceRecord, hello: CheckedHello) => Promise<string | null>;
  /** The signed config message of a device. */
  readonly config: (device: DeviceRecord) => Uint8Array;
  /** A signed receipt that says why a packet of this device was not taken. */
  readonly refusalReceipt: (device: DeviceRecord, payload: Uint8Array, code: Code) => Uint8Array;
  /** A signed receipt that tells a device to come again with this packet later. */
  readonly retryReceipt: (device: DeviceRecord, payload: Uint8Array, code: Code) => Uint8Array;
  /** Counts every refusal, retry and violation. */
  readonly count: (code: Code) => void;
}

/** Bytes of a CONNECT that is let in: a login token, a will of one small hello, and room. */
const CONNECT_BYTES_MAX = 8 * 1024;

/** An envelope, its topic and header, and room so that an envelope over the limit is told apart from a flood. */
const PACKET_BYTES_MAX = ENVELOPE_BYTES_MAX + 16 * 1024;

/** Unsent bytes of a client beyond which it gets no further receipts; it asks for them in its next hello. */
const UNSENT_BYTES_MAX = 1024 * 1024;

/** A client that does not take its data for so long is cut off. */
const DRAIN_TIMEOUT_MS = 10_000;

/**
 * Logins and hellos under way at once; the others wait. A fleet that comes back all at once then shares each
 * commit group with no more of them than this, and envelopes are acknowledged in between.
 */
const LOGINS_MAX = 32;
const HELLOS_MAX = 32;

/** As many of a relay; its client is read on until then. */
const RELAY_HELLOS_MAX = 16;

/** A topic that nobody may subscribe to. */
const SWALLOWED_TOPIC = 'swallowed';

/** How long a client that was told to retry stays connected, unread. */
const RETRY_CLOSE_MS = 2_000;

interface Connection {
  readonly guard: GuardedSocket;
  /** The connection as the queue of envelopes holds it. */
  readonly source: EnvelopeSource;
  /** Hellos under way. */
  hellos: number;
  device: DeviceRecord | null;
  /** Set when it may publish for other devices. */
  relay: RelayRecord | null;
  /** The client's user name, which only a relay's login looks at. */
  username: string | undefined;
}

/**
 * The embedded MQTT broker: lets devices in, takes their envelopes and answers them. No truth lives in it:
 * sessions are never kept, nothing is retained, and devices get messages only through {@link send}.
 */
export class Broker {
  readonly #options: BrokerOptions;
  readonly #deps: BrokerDeps;
  readonly #queue: EnvelopeQueue;
  readonly #aedes: Aedes;
  readonly #server: net.Server;
  readonly #connections = new Map<Client, Connection>();
  readonly #byDevice = new Map<number, Client>();
  /** The relay that carried the last message of a device. */
  readonly #carriers = new Map<number, { client: Client; device: DeviceRecord }>();
  readonly #logins = new ConcurrencyLimit(LOGINS_MAX);
  readonly #hellos = new ConcurrencyLimit(HELLOS_MAX);
  readonly #loginDelays: LoginDelays;
  #isStopping = false;

  private constructor(options: BrokerOptions, deps: BrokerDeps, aedes: Aedes) {
    this.#options = options;
    this.#deps = deps;
    this.#loginDelays = new LoginDelays(options.loginDelaySecondsMax * 1000);
    this.#queue = new EnvelopeQueue(options.limits, deps.submit);
    this.#aedes = aedes;
    aedes.preConnect = (client, packet, done) => {
      // MQTT sessions are never kept, whatever the client asks for.
      packet.clean = true;
      const connection = this.#connections.get(client);
      if (connection !== undefined) connection.username = packet.username;
      // One connection of a relay, whatever client id its bridge makes up; no device's id has a slash.
      if (isRelayLogin(packet.username, deps.login)) packet.clientId = `relay/${packet.username}`;
      done(null, true);
    };
    aedes.authenticate = (client, _username, password, done) => {
      this.#authenticate(client, password).then(
        (error) => done(error, error === null),
        (error: Error) => done(Object.assign(error, { returnCode: 3 }) as AuthenticateError, false),
      );
    };
    aedes.authorizeSubscribe = (client, subscription, done) => {
      const isAllowed = this.#maySubscribe(client, subscription.topic);
      if (!isAllowed) this.#note(client, 'TOPIC_FORBIDDEN', `subscribe to ${subscription.topic}`);
      done(null, isAllowed ? subscription : null);
    };
    aedes.authorizePublish = (client, packet, done) => this.#publish(client, packet, done);
    aedes.on('subscribe', (subscriptions, client) => {
      for (const { topic } of subscriptions) {
        const { topicId, channel } = parseTopic(topic) ?? {};
        if (topicId === undefined || channel !== 'config') continue;
        const device = deps.login.find(didFromTopicId(topicId));
        if (device !== undefined) this.#sendConfig(client, device);
      }
    });
    aedes.on('clientDisconnect', (client) => this.#forget(client));
    aedes.on('clientError', (client, error) => this.#ended(client, error));
    aedes.on('connectionError', (client, error) => this.#ended(client, error));
    this.#server = this.#createServer();
  }

  /** @throws WaystoneError PORT_TAKEN, or what keeps the TLS files from being read. */
  static async start(options: BrokerOptions, deps: BrokerDeps): Promise<Broker> {
    const aedes = await Aedes.createBroker({
      connectTimeout: options.connectTimeoutSeconds * 1000,
      drainTimeout: DRAIN_TIMEOUT_MS,
      // A device may pipeline its whole queue behind CONNECT; the guard bounds it in bytes.
      queueLimit: 10_000,
      // The guard bounds CONNECT; too long a client id is refused, and counted, by the login.
      maxClientsIdLength: CONNECT_BYTES_MAX,
      concurrency: 1_000,
    });
    try {
      const broker = new Broker(options, deps, aedes);
      await broker.#listen();
      return broker;
    } catch (error) {
      aedes.close();
      throw error;
    }
  }

  get port(): number {
    return (this.#server.address() as net.AddressInfo).port;
  }

  get connections(): number {
    return this.#connections.size;
  }

  /** Envelopes that wait for their answer. */
  get waiting(): number {
    return this.#queue.size;
  }

  isConnected(device: number): boolean {
    return this.#byDevice.has(device);
  }

  isRelayConnected(relay: number): boolean {
    return this.#clientsOf(relay).length > 0;
  }

  /** Ids of the devices that are connected, by themselves or through a relay. */
  connectedDevices(): number[] {
    return [...new Set([...this.#byDevice.keys(), ...this.#carriers.keys()])];
  }

  /** Takes what became of envelopes: acknowledges and answers. */
  decide(decisions: readonly Decision[]): void {
    this.#queue.decide(decisions);
  }

  /**
   * Sends a receipt to a device, or to its relay while it is not connected itself, if who gets it is
   * subscribed and takes its data. @returns whether it was sent.
   */
  sendReceipt(device: number, receipt: Uint8Array): boolean {
    const client = this.#byDevice.get(device);
    const own = client === undefined ? undefined : this.#connections.get(client)?.device;
    if (client !== undefined && own) return this.#write(client, own, 'receipt', receipt);
    const carrier = this.#carriers.get(device);
    return carrier !== undefined && this.#write(carrier.client, carrier.device, 'receipt', receipt);
  }

  /** Ends the connection of a device, after it was revoked. */
  disconnect(device: number): void {
    this.#byDevice.get(device)?.conn.destroy();
    // A relay carries it no further, but stays for the others.
    this.#carriers.delete(device);
  }

  /** Ends the connection of a relay, after it was removed. */
  disconnectRelay(relay: number): void {
    for (const client of this.#clientsOf(relay)) client.conn.destroy();
  }

  #clientsOf(relay: number): Client[] {
    return [...this.#connections].flatMap(([client, connection]) =>
      connection.relay?.id === relay ? [client] : [],
    );
  }

  /** Takes no more connections or envelopes, waits for what is in flight, then closes the rest. */
  async stop(graceMs = 5_000): Promise<void> {
    this.#isStopping = true;
    this.#loginDelays.stop();
    for (const { guard } of this.#connections.values()) guard.hold('closing', true);
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    const deadline = Date.now() + graceMs;
    while (this.#queue.size > 0 && Date.now() < deadline) {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    await new Promise<void>((resolve) => this.#aedes.close(() => resolve()));
    for (const { guard } of this.#connections.values()) guard.destroy();
    await closed;
  }

  #createServer(): net.Server {
    const accept = (socket: net.Socket): void => this.#accept(socket);
    const { tlsCertificateFile, tlsKeyFile } = this.#options;
    const server =
      tlsCertificateFile !== undefined && tlsKeyFile !== undefined
        ? tls.createServer(
            { cert: readFileSync(tlsCertificateFile), key: readFileSync(tlsKeyFile) },
            accept,
          )
        : net.createServer(accept);
    server.maxConnections = this.#options.connectionsMax;
    server.on('drop', () => {
      this.#deps.count('OVERLOADED');
      this.#deps.logger.warn(
        { code: 'OVERLOADED', connectionsMax: this.#options.connectionsMax },
        'connection refused: too many at once; raise mqtt.connections_max',
      );
    });
    server.on('tlsClientError', (error: Error) =>
      this.#deps.logger.info({ error: error.message }, 'TLS handshake failed'),
    );
    return server;
  }

  async #listen(): Promise<void> {
    const { host, port } = this.#options;
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen({ host, port }, resolve);
    }).catch(async (error) => {
      throw await listenError(error, host, port, 'mqtt');
    });
  }

  #accept(socket: net.Socket): void {
    socket.setNoDelay(true);
    const limits = { connectBytesMax: CONNECT_BYTES_MAX, packetBytesMax: PACKET_BYTES_MAX };
    const guard = new GuardedSocket(socket, limits, ({ code, detail }) => {
      this.#refusePacket(client, new Uint8Array(), code, detail, () => guard.destroy());
    });
    if (this.#isStopping) {
      guard.destroy();
      return;
    }
    const client = this.#aedes.handle(guard);
    const source = { hold: (isHeld: boolean) => guard.hold('envelopes', isHeld) };
    this.#connections.set(client, {
      guard,
      source,
      hellos: 0,
      device: null,
      relay: null,
      username: undefined,
    });
    guard.once('close', () => this.#forget(client));
  }

  async #authenticate(
    client: Client,
    password: Uint8Array | undefined,
  ): Promise<AuthenticateError | null> {
    const address = this.#connections.get(client)?.guard.remoteAddress ?? '';
    if (!this.#loginDelays.isOpen(address)) {
      this.#deps.count('OVERLOADED');
      this.#deps.logger.debug(
        { code: 'OVERLOADED', address },
        'login not looked at: too many fail',
      );
      return unavailable('too many logins from this address have failed; try again later');
    }
    const result = await this.#logins.run(async (): Promise<LoginResult | null> => {
      // Whoever left while it waited costs nothing more.
      if (!this.#connections.has(client)) return null;
      const username = this.#connections.get(client)?.username;
      return await login({ clientId: client.id, username, password }, this.#deps.login);
    });
    if (result === null) return unavailable('the client has left');
    const refuse = async (
      code: Code,
      detail: string,
      returnCode: 2 | 3 | 4 | 5,
    ): Promise<AuthenticateError> => {
      this.#note(client, code, detail);
      if (returnCode !== 3) await this.#loginDelays.refusal(address);
      return Object.assign(new Error(detail), { returnCode });
    };
    if ('code' in result) return refuse(result.code, result.detail, result.returnCode);
    const will = (client as Client & { _will?: PublishPacket })._will;
    if (will && (will.qos > 1 || !isWillAllowed(will.topic, client.id, result))) {
      return refuse('WILL_FORBIDDEN', `will on ${will.topic}; only a hello may be a will`, 5);
    }
    const connection = this.#connections.get(client);
    if (connection !== undefined) {
      const { device, relay } = result;
      connection.device = device;
      connection.relay = relay;
      if (device !== null) this.#byDevice.set(device.id, client);
      this.#deps.logger.debug({ device: device?.did, relay: relay?.name }, 'client connected');
    }
    return null;
  }

  #maySubscribe(client: Client, filter: string): boolean {
    const topic = parseTopic(filter);
    if (topic?.topicId === client.id) {
      return topic.channel === 'receipt' || topic.channel === 'config';
    }
    const relay = this.#connections.get(client)?.relay;
    return relay ? mayRelaySubscribe(relay, filter, this.#deps.login.find) : false;
  }

  /** Never throws: the broker also calls it for wills, and then sometimes without a client. */
  #publish(
    client: Client | null,
    packet: PublishPacket,
    done: (error?: Error | null) => void,
  ): void {
    packet.retain = false;
    const topic = parseTopic(packet.topic);
    const connection = client === null ? undefined : this.#connections.get(client);
    if (client === null || connection === undefined) {
      done(new RefusedError('nobody published this'));
      return;
    }
    const { device, relay } = connection;
    const payload = bytesOf(packet.payload);
    if (relay !== null && topic?.topicId !== client.id) {
      this.#publishForDevice(client, connection, relay, packet, done);
      return;
    }
    if (device === null) {
      done(new RefusedError('nobody published this'));
      return;
    }
    const refuse = (code: Code, detail: string): void =>
      this.#refusePacket(client, payload, code, detail, () => done(new RefusedError(code)));
    if (topic === null || topic.topicId !== client.id) {
      refuse('TOPIC_FORBIDDEN', `publish to ${packet.topic.slice(0, 200)}`);
    } else if (packet.qos === 2) {
      refuse('QOS_UNSUPPORTED', 'QoS 2; publish with QoS 1');
    } else if (topic.channel === 'up') {
      this.#takeEnvelope(client, connection, device, payload, done);
    } else if (topic.channel === 'hello') {
      this.#takeHello(connection, device, payload).then((fault) => {
        if (fault === null) done(null);
        else refuse('HELLO_INVALID', fault);
      }, done);
    } else {
      refuse('TOPIC_FORBIDDEN', `publish to ${topic.channel}`);
    }
  }

  /**
   * A relay's message for one of its devices. What is not taken is acknowledged all the same: closing the
   * connection would punish its other devices, and a bridge would send the same again for ever.
   */
  #publishForDevice(
    client: Client,
    connection: Connection,
    relay: RelayRecord,
    packet: PublishPacket,
    done: (error?: Error | null) => void,
  ): void {
    const payload = bytesOf(packet.payload);
    const swallow = (): void => {
      // The broker goes on to publish it; nobody can be subscribed to this.
      packet.topic = SWALLOWED_TOPIC;
      packet.payload = Buffer.alloc(0);
      done(null);
    };
    if (packet.qos === 2) {
      const end = () => done(new RefusedError('QOS_UNSUPPORTED'));
      this.#refusePacket(client, payload, 'QOS_UNSUPPORTED', 'QoS 2; publish with QoS 1', end);
      return;
    }
    const route = routeOfRelay(relay, packet.topic, this.#deps.login.find);
    if (route.kind === 'ignore') {
      swallow();
      return;
    }
    if (route.kind === 'refuse') {
      const { code, detail, retry } = route;
      this.#note(client, code, detail);
      if (retry !== null) {
        this.#write(client, retry, 'receipt', this.#deps.retryReceipt(retry, payload, code));
      }
      swallow();
      return;
    }
    const { device } = route;
    this.#carriers.set(device.id, { client, device });
    if (route.channel === 'up') {
      this.#takeEnvelope(client, connection, device, payload, done);
      return;
    }
    this.#takeHello(connection, device, payload).then((fault) => {
      if (fault === null) this.#sendConfig(client, device);
      else {
        const receipt = this.#deps.refusalReceipt(device, payload, 'HELLO_INVALID');
        this.#note(client, 'HELLO_INVALID', `${device.did}: ${fault}`);
        this.#write(client, device, 'receipt', receipt);
      }
      swallow();
    }, done);
  }

  #takeEnvelope(
    client: Client,
    connection: Connection,
    device: DeviceRecord,
    payload: Uint8Array,
    done: (error?: Error | null) => void,
  ): void {
    const { clock, logger } = this.#deps;
    const arrival = { receivedAtUs: clock.nowUs(), clockTrusted: clock.isTrusted() };
    this.#queue.add(device, payload, arrival, connection.source, (decision) => {
      if (decision.kind === 'retry') {
        // Nothing is on disk, so there is no PUBACK: the device keeps it and comes again.
        const code = decision.retryCode ?? 'OVERLOADED';
        this.#deps.count(code);
        logger.warn({ device: device.did, code }, 'envelope not taken now');
        this.#write(client, device, 'receipt', decision.receipt);
        connection.guard.hold('closing', true);
        setTimeout(() => connection.guard.destroy(), RETRY_CLOSE_MS).unref();
        return;
      }
      if (decision.refusal !== null) {
        this.#deps.count(decision.refusal.code);
        logger.warn({ device: device.did, ...decision.refusal }, 'envelope refused');
      }
      done(null);
      // The device may have come back on another connection meanwhile.
      this.sendReceipt(device.id, decision.receipt);
    });
  }

  /** The client is not read while a hello of it is under way: each may ask for a thousand receipts. */
  async #takeHello(
    connection: Connection,
    device: DeviceRecord,
    payload: Uint8Array,
  ): Promise<string | null> {
    connection.hellos += 1;
    // A relay's hellos are of many devices; they need not wait for each other.
    const hellosMax = connection.relay === null ? 1 : RELAY_HELLOS_MAX;
    if (connection.hellos >= hellosMax) connection.guard.hold('hello', true);
    try {
      // A view would take its whole chunk along to the other thread.
      const copy = new Uint8Array(payload);
      return await this.#hellos.run(async () => {
        const hello = await this.#deps.login.checks.hello(copy, device.publicKey);
        return 'fault' in hello ? hello.fault : await this.#deps.hello(device, hello);
      });
    } finally {
      connection.hellos -= 1;
      if (connection.hellos < hellosMax) connection.guard.hold('hello', false);
    }
  }

  /** Says why a packet is not taken, then lets `end` close the connection. */
  #refusePacket(
    client: Client,
    payload: Uint8Array,
    code: Code,
    detail: string,
    end: () => void,
  ): void {
    this.#note(client, code, detail);
    const device = this.#connections.get(client)?.device;
    if (
      device &&
      this.#write(client, device, 'receipt', this.#deps.refusalReceipt(device, payload, code))
    ) {
      // The broker writes on a later turn of the event loop; the guard flushes what is written before it closes.
      setImmediate(() => setImmediate(end));
    } else end();
  }

  #sendConfig(client: Client, device: DeviceRecord): void {
    this.#write(client, device, 'config', this.#deps.config(device));
  }

  /** Writes a message for a device to the client, its own or its relay's, if that is subscribed to it. */
  #write(
    client: Client,
    device: DeviceRecord,
    channel: 'receipt' | 'config',
    payload: Uint8Array,
  ): boolean {
    const connection = this.#connections.get(client);
    if (connection === undefined) return false;
    const topic = topicOf(topicIdFromDid(device.did), channel);
    const subscriptions = subscriptionsOf(client);
    const isSubscribed =
      Object.hasOwn(subscriptions, topic) ||
      (connection.relay !== null && Object.hasOwn(subscriptions, topicOf('+', channel)));
    if (!isSubscribed) return false;
    if (connection.guard.unsentBytes > UNSENT_BYTES_MAX) {
      this.#deps.logger.info(
        { device: device.did, relay: connection.relay?.name },
        'message left out: client is slow',
      );
      return false;
    }
    const buffer = Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength);
    client.publish(
      { cmd: 'publish', topic, payload: buffer, qos: 0, retain: false, dup: false },
      () => {},
    );
    return true;
  }

  #note(client: Client, code: Code, detail: string): void {
    this.#deps.count(code);
    const connection = this.#connections.get(client);
    const relay = connection?.relay?.name;
    const device =
      connection?.device?.did ??
      (client.id && relay === undefined ? didFromTopicId(client.id) : undefined);
    this.#deps.logger.warn(
      { code, device, relay, address: connection?.guard.remoteAddress, detail },
      'client refused',
    );
  }

  #ended(client: Client, error: Error): void {
    if (isMalformed(error) && this.#connections.has(client)) {
      this.#note(client, 'PACKET_MALFORMED', error.message);
    }
    this.#deps.logger.debug({ client: client.id, error: error.message }, 'connection ended');
    this.#forget(client);
  }

  #forget(client: Client): void {
    const connection = this.#connections.get(client);
    if (connection === undefined) return;
    this.#connections.delete(client);
    const { device, relay } = connection;
    if (relay !== null) {
      for (const [id, carrier] of this.#carriers)
        if (carrier.client === client) this.#carriers.delete(id);
      this.#deps.logger.debug({ relay: relay.name }, 'relay disconnected');
    }
    if (device !== null && this.#byDevice.get(device.id) === client) {
      this.#byDevice.delete(device.id);
      this.#deps.logger.debug({ device: device.did }, 'device disconnected');
    }
    if (!connection.guard.destroyed) connection.guard.destroy();
  }
}

/** Errors of ours, which are counted where they are made. */
class RefusedError extends Error {}

/** What the broker says of a client that went silent or away, which is no fault in its packets. */
const SILENCE = new Set([
  'connect did not arrive in time',
  'keep alive timeout',
  'drain timeout',
  'connection closed',
]);

/** Whether the broker ended a connection because of bytes that are not MQTT 3.1.1. */
function isMalformed(error: Error & { code?: unknown; returnCode?: unknown }): boolean {
  const isNetwork = error.code !== undefined;
  const isLogin = error.returnCode !== undefined;
  return !(error instanceof RefusedError) && !isNetwork && !isLogin && !SILENCE.has(error.message);
}

/** CONNACK 3: no verdict on the login. */
function unavailable(why: string): AuthenticateError {
  return Object.assign(new Error(why), { returnCode: 3 as const });
}

function bytesOf(payload: Buffer | string): Uint8Array {
  return typeof payload === 'string' ? Buffer.from(payload) : payload;
}

/** A device's hello; a relay's state, and its own hello when it is a device. */
function isWillAllowed(topic: string, clientId: string, { device, relay }: Principal): boolean {
  if (relay !== null && isBridgeState(topic)) return true;
  return device !== null && topic === topicOf(clientId, 'hello');
}

/** The broker's own table of a client's subscriptions; it has no inherited names. */
function subscriptionsOf(client: Client): object {
  return (client as Client & { subscriptions: object }).subscriptions;
}
