import { readFileSync } from 'node:fs';
import net from 'node:net';
import tls from 'node:tls';
import {
  type Code,
  didFromTopicId,
  ENVELOPE_BYTES_MAX,
  parseTopic,
  topicOf,
} from '@waystone/proto';
import { Aedes, type AuthenticateError, type Client, type PublishPacket } from 'aedes';
import type { Clock } from '../core/clock.js';
import type { Logger } from '../core/logger.js';
import { listenError } from '../core/port-holder.js';
import type { Decision, DeviceRecord } from '../core/ports.js';
import { ConcurrencyLimit } from './concurrency-limit.js';
import { EnvelopeQueue, type EnvelopeSource, type QueueLimits } from './envelope-queue.js';
import { GuardedSocket } from './guard.js';
import type { CheckedHello } from './hello.js';
import { type LoginDeps, type LoginResult, login } from './login.js';
import { LoginDelays } from './login-delays.js';

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

/** How long a client that was told to retry stays connected, unread. */
const RETRY_CLOSE_MS = 2_000;

interface Connection {
  readonly guard: GuardedSocket;
  /** The connection as the queue of envelopes holds it. */
  readonly source: EnvelopeSource;
  /** Hellos under way. */
  hellos: number;
  device: DeviceRecord | null;
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
    aedes.preConnect = (_client, packet, done) => {
      // MQTT sessions are never kept, whatever the client asks for.
      packet.clean = true;
      done(null, true);
    };
    aedes.authenticate = (client, _username, password, done) => {
      this.#authenticate(client, password).then(
        (error) => done(error, error === null),
        (error: Error) => done(Object.assign(error, { returnCode: 3 }) as AuthenticateError, false),
      );
    };
    aedes.authorizeSubscribe = (client, subscription, done) => {
      const topic = parseTopic(subscription.topic);
      const isOwn = topic !== null && topic.topicId === client.id;
      const isAllowed = isOwn && (topic.channel === 'receipt' || topic.channel === 'config');
      if (!isAllowed) this.#note(client, 'TOPIC_FORBIDDEN', `subscribe to ${subscription.topic}`);
      done(null, isAllowed ? subscription : null);
    };
    aedes.authorizePublish = (client, packet, done) => this.#publish(client, packet, done);
    aedes.on('subscribe', (subscriptions, client) => {
      const config = topicOf(client.id, 'config');
      if (!subscriptions.some(({ topic }) => topic === config)) return;
      const device = this.#connections.get(client)?.device;
      if (device) this.#write(client, 'config', deps.config(device));
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

  /** Ids of the devices that are connected. */
  connectedDevices(): number[] {
    return [...this.#byDevice.keys()];
  }

  /** Takes what became of envelopes: acknowledges and answers. */
  decide(decisions: readonly Decision[]): void {
    this.#queue.decide(decisions);
  }

  /** Sends a receipt to a device, if it is connected, subscribed and takes its data. @returns whether it was sent. */
  sendReceipt(device: number, receipt: Uint8Array): boolean {
    const client = this.#byDevice.get(device);
    return client !== undefined && this.#write(client, 'receipt', receipt);
  }

  /** Ends the connection of a device, after it was revoked. */
  disconnect(device: number): void {
    this.#byDevice.get(device)?.conn.destroy();
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
    this.#connections.set(client, { guard, source, hellos: 0, device: null });
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
      return await login(client.id, password, this.#deps.login);
    });
    if (result === null) return unavailable('the client has left');
    const refuse = async (
      code: Code,
      detail: string,
      returnCode: 2 | 4 | 5,
    ): Promise<AuthenticateError> => {
      this.#note(client, code, detail);
      await this.#loginDelays.refusal(address);
      return Object.assign(new Error(detail), { returnCode });
    };
    if ('code' in result) return refuse(result.code, result.detail, result.returnCode);
    const will = (client as Client & { _will?: PublishPacket })._will;
    if (will && (will.topic !== topicOf(client.id, 'hello') || will.qos > 1)) {
      return refuse('WILL_FORBIDDEN', `will on ${will.topic}; only a hello may be a will`, 5);
    }
    const connection = this.#connections.get(client);
    if (connection !== undefined) {
      connection.device = result.device;
      this.#byDevice.set(result.device.id, client);
      this.#deps.logger.debug({ device: result.device.did }, 'device connected');
    }
    return null;
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
    const device = connection?.device;
    if (client === null || !device || connection === undefined) {
      done(new RefusedError('nobody published this'));
      return;
    }
    const payload = bytesOf(packet.payload);
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
        this.#write(client, 'receipt', decision.receipt);
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
    connection.guard.hold('hello', true);
    try {
      // A view would take its whole chunk along to the other thread.
      const copy = new Uint8Array(payload);
      return await this.#hellos.run(async () => {
        const hello = await this.#deps.login.checks.hello(copy, device.publicKey);
        return 'fault' in hello ? hello.fault : await this.#deps.hello(device, hello);
      });
    } finally {
      connection.hellos -= 1;
      if (connection.hellos === 0) connection.guard.hold('hello', false);
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
      this.#write(client, 'receipt', this.#deps.refusalReceipt(device, payload, code))
    ) {
      // The broker writes on a later turn of the event loop; the guard flushes what is written before it closes.
      setImmediate(() => setImmediate(end));
    } else end();
  }

  #write(client: Client, channel: 'receipt' | 'config', payload: Uint8Array): boolean {
    const connection = this.#connections.get(client);
    const topic = topicOf(client.id, channel);
    if (connection === undefined || !Object.hasOwn(subscriptionsOf(client), topic)) return false;
    if (connection.guard.unsentBytes > UNSENT_BYTES_MAX) {
      this.#deps.logger.info(
        { device: connection.device?.did },
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
    const device = connection?.device?.did ?? (client.id ? didFromTopicId(client.id) : undefined);
    this.#deps.logger.warn(
      { code, device, address: connection?.guard.remoteAddress, detail },
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
    const { device } = connection;
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

/** The broker's own table of a client's subscriptions; it has no inherited names. */
function subscriptionsOf(client: Client): object {
  return (client as Client & { subscriptions: object }).subscriptions;
}
