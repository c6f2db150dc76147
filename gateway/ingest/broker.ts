import type net from 'node:net';
import {
  type Code,
  didFromTopicId,
  ENVELOPE_BYTES_MAX,
  parseTopic,
  topicOf,
} from '@waystone/proto';
import { Aedes, type AuthenticateError, type Client } from 'aedes';
import { writeToStream } from 'mqtt-packet';
import type { Clock } from '../core/clock.js';
import { ConcurrencyLimit } from '../core/concurrency-limit.js';
import type { Config } from '../core/config.js';
import { messageOf } from '../core/errors.js';
import type { Logger } from '../core/logger.js';
import type { Decision, DeviceRecord } from '../core/ports.js';
import type { RelayRecord } from '../core/relay.js';
import { AddressLimits } from './address-limits.js';
import { Connection, type ConnectionSource } from './connection.js';
import { DeviceRates } from './device-rates.js';
import { EnvelopeQueue } from './envelope-queue.js';
import { GuardedSocket, type GuardLimits, type OtherPublish } from './guard.js';
import type { CheckedHello } from './hello.js';
import { Listener } from './listener.js';
import { isRelayLogin, type LoginDeps, type LoginResult, login, type Principal } from './login.js';
import { LoginDelays } from './login-delays.js';
import { suback, unsuback } from './outgoing.js';
import type { ConnectPacket, FiltersPacket, Violation } from './packet-rules.js';
import { isBridgeState, mayRelaySubscribe, routeOfRelay } from './relay-topics.js';
import { overdue, silenceMaxMs } from './silence.js';
import { NO_UP_TOPICS, ownUpTopic, relayUpTopics } from './up-topics.js';

/** What ingest needs from the rest of the gateway. */
export interface BrokerDeps {
  readonly logger: Logger;
  readonly clock: Clock;
  readonly login: LoginDeps;
  /** Hands an envelope to the verifiers. */
  readonly submit: ConstructorParameters<typeof EnvelopeQueue>[1];
  /**
   * A hello was checked; resolves once its effects are durable. @returns why it is refused, or null; SESSIONS_TOO_MANY
   * is for now.
   */
  readonly hello: (device: DeviceRecord, hello: CheckedHello) => Promise<string | null>;
  /** The signed config message of a device. */
  readonly config: (device: DeviceRecord) => Uint8Array;
  /** A signed receipt that says why a packet of this device was not taken: for good, or not now. */
  readonly refusalReceipt: (
    device: DeviceRecord,
    payload: Uint8Array,
    code: Code,
    kind: 'refused' | 'retry',
  ) => Uint8Array;
  /** Counts every refusal, retry and violation. */
  readonly count: (code: Code) => void;
}

/** Bytes of a CONNECT that is let in: a login token, a will of one small hello, and room. */
const CONTROL_BYTES_MAX = 8 * 1024;

/** An envelope, its topic and header, and room so that an envelope over the limit is told apart from a flood. */
const PUBLISH_BYTES_MAX = ENVELOPE_BYTES_MAX + 16 * 1024;

/** The longest time that a timer takes, ms: the broker's own timer for CONNECT is not wanted. */
const NEVER_MS = 2 ** 31 - 1;

/**
 * Logins and hellos under way at once; the others wait. A fleet that comes back all at once then shares each
 * commit group with no more of them than this, and envelopes are acknowledged in between.
 */
const LOGINS_MAX = 32;
const HELLOS_MAX = 32;

/** Wills that wait for their turn; a fleet that is cut off all at once leaves no more of them in memory. */
const WILLS_WAITING_MAX = 1_000;

/** Quiet time after which the kernel asks whether the other end is still there. */
const TCP_KEEP_ALIVE_MS = 60_000;

/** In a SUBACK: the filter is refused. */
const SUBACK_FAILURE = 0x80;

/** How long a client that was told to retry stays connected, unread. */
const RETRY_CLOSE_MS = 2_000;

/** How often silent and slow clients are looked for, and slowed ones let go on. */
const SWEEP_EVERY_MS = 1_000;
const LET_GO_EVERY_MS = 20;

/** How often devices are looked for whose past rates no longer matter, in sweeps. */
const FORGET_EVERY_SWEEPS = 60;

/**
 * The embedded MQTT broker: lets devices in, takes their envelopes and answers them. No truth lives in it:
 * sessions are never kept, nothing is retained, and devices get messages only through {@link sendReceipt}.
 * PUBLISHes, subscriptions and their answers pass aedes by: nothing is ever published to its clients, and its tables
 * would take more memory than all the rest of a connection. It sees CONNECT, PINGREQ and DISCONNECT.
 */
export class Broker {
  readonly #options: Config['mqtt'];
  readonly #deps: BrokerDeps;
  readonly #queue: EnvelopeQueue<ConnectionSource>;
  readonly #aedes: Aedes;
  readonly #guardLimits: GuardLimits;
  #listener: Listener | null = null;
  readonly #connections = new Set<Connection>();
  readonly #byDevice = new Map<number, Connection>();
  /** The relay that carried the last message of a device. */
  readonly #carriers = new Map<number, { connection: Connection; device: DeviceRecord }>();
  readonly #logins = new ConcurrencyLimit(LOGINS_MAX);
  readonly #hellos = new ConcurrencyLimit(HELLOS_MAX);
  readonly #loginDelays: LoginDelays;
  /** Connections with packets that leave at the end of this turn. */
  #unflushed: Connection[] = [];
  /** Whether somebody up the stack flushes them. */
  #flushes = false;
  readonly #addresses: AddressLimits;
  readonly #rates: DeviceRates;
  /** Connections that are not read until a time, ms of `performance.now()`. */
  readonly #slowed = new Map<Connection, { reason: 'accept' | 'rate'; untilMs: number }>();
  readonly #sweepTimer: NodeJS.Timeout;
  readonly #slowedTimer: NodeJS.Timeout;
  #sweeps = 0;
  #willsWaiting = 0;
  #isStopping = false;

  private constructor(options: Config['mqtt'], deps: BrokerDeps, aedes: Aedes) {
    this.#options = options;
    this.#deps = deps;
    this.#loginDelays = new LoginDelays(options.loginDelaySecondsMax * 1000);
    this.#queue = new EnvelopeQueue(
      options,
      deps.submit,
      ({ connection }, packetId, device, decision) =>
        this.#answer(connection, packetId, device, decision),
    );
    this.#guardLimits = {
      controlBytesMax: CONTROL_BYTES_MAX,
      publishBytesMax: PUBLISH_BYTES_MAX,
      unsentBytesMax: options.unsentBytesMax,
    };
    this.#addresses = new AddressLimits(options);
    this.#rates = new DeviceRates(options);
    // Once what waits in the sockets was read: after a pause of the process, everybody would seem silent.
    this.#sweepTimer = setInterval(() => setImmediate(() => this.#sweep()), SWEEP_EVERY_MS).unref();
    this.#slowedTimer = setInterval(() => this.#letGo(), LET_GO_EVERY_MS).unref();
    this.#aedes = aedes;
    aedes.preConnect = (client, packet, done) => {
      // MQTT sessions are never kept, whatever the client asks for. Silence and wills are watched over here.
      packet.clean = true;
      packet.keepalive = 0;
      delete packet.will;
      // A relay's client id is ours.
      packet.clientId = connectionOf(client).clientId;
      // The parser keeps the packet as long as the connection lasts; the login reads the guard's copy.
      delete packet.password;
      delete packet.username;
      done(null, true);
    };
    aedes.authenticate = (client, _username, _password, done) => {
      this.#authenticate(connectionOf(client)).then(
        (error) => done(error, error === null),
        (error: Error) => done(Object.assign(error, { returnCode: 3 }) as AuthenticateError, false),
      );
    };
    aedes.on('clientReady', (client) => {
      // The CONNACK is on its way by then.
      setImmediate(() => connectionOf(client).guard.hold('login', false));
    });
    aedes.authorizePublish = (_client, _packet, done) =>
      done(new RefusedError('the broker is given no PUBLISH'));
    aedes.on('clientDisconnect', (client) => this.#forget(connectionOf(client)));
    aedes.on('clientError', (client, error) => this.#ended(connectionOf(client), error));
    aedes.on('connectionError', (client, error) => this.#ended(connectionOf(client), error));
  }

  /** @throws WaystoneError PORT_TAKEN, or what keeps the TLS files from being read. */
  static async start(options: Config['mqtt'], deps: BrokerDeps): Promise<Broker> {
    // What aedes writes are a few CONNACKs; its library would hold a buffer for each number up to 65,535.
    writeToStream.cacheNumbers = false;
    const aedes = await Aedes.createBroker({
      connectTimeout: NEVER_MS,
      drainTimeout: 0,
      // The guard bounds CONNECT; too long a client id is refused, and counted, by the login.
      maxClientsIdLength: CONTROL_BYTES_MAX,
      concurrency: 1_000,
    });
    try {
      const broker = new Broker(options, deps, aedes);
      await broker.#listen();
      return broker;
    } catch (error) {
      // Its timers keep nothing alive, and see no connections.
      aedes.close();
      throw error;
    }
  }

  get port(): number {
    return this.#listener?.port ?? 0;
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
    return this.#connectionsOf(relay).length > 0;
  }

  /** Ids of the devices that are connected, by themselves or through a relay. */
  connectedDevices(): number[] {
    return [...new Set([...this.#byDevice.keys(), ...this.#carriers.keys()])];
  }

  /** Takes what became of envelopes: acknowledges and answers. What one client gets leaves in one write. */
  decide(decisions: readonly Decision[]): void {
    this.#flushes = true;
    this.#queue.decide(decisions);
    this.#flush();
  }

  /**
   * Sends a receipt to a device, or to its relay while it is not connected itself, if who gets it is
   * subscribed and takes its data. @returns whether it was sent.
   */
  sendReceipt(device: number, receipt: Uint8Array): boolean {
    const own = this.#byDevice.get(device);
    const carrier = own === undefined ? this.#carriers.get(device) : undefined;
    const connection = own ?? carrier?.connection;
    if (connection === undefined) return false;
    if (connection.unsentBytes > this.#options.unsentBytesMax) {
      if (!connection.isSlow) {
        this.#deps.logger.info(
          { device: connection.device?.did, relay: connection.relay?.name },
          'receipts left out: client is slow; it gets them when its hello asks for them',
        );
      }
      connection.isSlow = true;
      return false;
    }
    connection.isSlow = false;
    return carrier === undefined
      ? connection.sendReceipt(receipt)
      : connection.sendFor(carrier.device, 'receipt', receipt);
  }

  /** Ends the connection of a device, after it was revoked. */
  disconnect(device: number): void {
    this.#byDevice.get(device)?.end();
    // A relay carries it no further, but stays for the others.
    this.#carriers.delete(device);
  }

  /** Lets a connected relay carry other devices from now on. */
  changeRelay(relay: RelayRecord): void {
    for (const connection of this.#connectionsOf(relay.id)) {
      this.#forgetCarrier(connection);
      this.#grant(connection, { device: connection.device, relay });
    }
  }

  /** Ends the connection of a relay, after it was removed. */
  disconnectRelay(relay: number): void {
    for (const connection of this.#connectionsOf(relay)) connection.end();
  }

  #connectionsOf(relay: number): Connection[] {
    return [...this.#connections].filter((connection) => connection.relay?.id === relay);
  }

  /**
   * Takes no more connections or envelopes, waits for what is in flight, then closes the rest. Whoever sends
   * envelopes meanwhile is told to come again.
   */
  async stop(graceMs = 5_000): Promise<void> {
    this.#isStopping = true;
    this.#loginDelays.stop();
    const closed = this.#listener?.stop();
    for (const { guard } of this.#connections) guard.hold('envelopes', false);
    const deadline = performance.now() + graceMs;
    do {
      await new Promise((resolve) => setTimeout(resolve, 10));
    } while (this.#queue.size > 0 && performance.now() < deadline);
    for (const connection of this.#connections) connection.flush();
    await new Promise<void>((resolve) => this.#aedes.close(() => resolve()));
    for (const connection of [...this.#connections]) connection.end();
    clearInterval(this.#sweepTimer);
    clearInterval(this.#slowedTimer);
    await closed;
  }

  async #listen(): Promise<void> {
    const { logger, count } = this.#deps;
    const accept = (socket: net.Socket): void => this.#accept(socket);
    this.#listener = await Listener.start(this.#options, { logger, count, accept });
  }

  #accept(socket: net.Socket): void {
    if (this.#isStopping) {
      socket.destroy();
      return;
    }
    const address = socket.remoteAddress ?? '';
    const nowMs = performance.now();
    const waitMs = this.#addresses.enter(address, nowMs);
    if (waitMs === null) {
      this.#deps.count('OVERLOADED');
      this.#deps.logger.warn(
        { code: 'OVERLOADED', address },
        'connection refused: too many from one address; raise mqtt.connectionsPerAddressMax ' +
          'or mqtt.connectsPerSecondMax',
      );
      socket.destroy();
      return;
    }
    socket.setNoDelay(true);
    // A connection whose other end is gone ends even while we neither read nor write.
    socket.setKeepAlive(true, TCP_KEEP_ALIVE_MS);
    const connection = new Connection(socket, this.#guardLimits, this.#events);
    this.#connections.add(connection);
    connection.guard.once('close', () => {
      this.#addresses.leave(address, performance.now());
      this.#forget(connection);
    });
    connection.guard.on('error', () => undefined); // 'close' follows.
    if (waitMs > 0) this.#slow(connection, 'accept', nowMs + waitMs);
  }

  readonly #events = {
    connect: (connection: Connection, { keepAliveSeconds, userName }: ConnectPacket): void => {
      if (isRelayLogin(userName, this.#deps.login)) {
        connection.relayName = userName;
        // One connection of a relay, whatever client id its bridge makes up; no device's id has a slash.
        connection.clientId = `relay/${userName}`;
      }
      connection.silenceMaxMs = silenceMaxMs(keepAliveSeconds, this.#options);
      this.#aedes.handle(connection.guard as unknown as net.Socket);
    },
    envelope: (
      connection: Connection,
      device: DeviceRecord,
      payload: Uint8Array,
      packetId: number,
    ): void => {
      if (device !== connection.device) this.#carriers.set(device.id, { connection, device });
      this.#takeEnvelope(connection, device, payload, packetId);
    },
    subscribe: (connection: Connection, { packetId, filters }: FiltersPacket): void => {
      const codes = filters.map(({ filter, qos }) =>
        this.#maySubscribe(connection, filter) ? qos : SUBACK_FAILURE,
      );
      connection.guard.send(suback(packetId, codes));
      for (const [k, { filter }] of filters.entries()) {
        if (codes[k] !== SUBACK_FAILURE) this.#subscribed(connection, filter);
      }
    },
    unsubscribe: (connection: Connection, { packetId, filters }: FiltersPacket): void => {
      for (const { filter } of filters) connection.setFilter(filter, false);
      connection.guard.send(unsuback(packetId));
    },
    publish: (connection: Connection, packet: OtherPublish): void =>
      this.#publish(connection, packet),
    violation: (connection: Connection, { code, detail }: Violation): void =>
      this.#refusePacket(connection, new Uint8Array(), code, detail),
    unflushed: (connection: Connection): void => {
      this.#unflushed.push(connection);
      if (this.#flushes) return;
      this.#flushes = true;
      queueMicrotask(() => this.#flush());
    },
  };

  #flush(): void {
    const unflushed = this.#unflushed;
    this.#unflushed = [];
    this.#flushes = false;
    for (const connection of unflushed) connection.flush();
  }

  /** @returns null when the client is let in. */
  async #authenticate(connection: Connection): Promise<AuthenticateError | null> {
    const { guard, clientId, relayName, will } = connection;
    const password = connection.login?.password;
    connection.login = null;
    const address = guard.remoteAddress;
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
      if (!this.#connections.has(connection)) return null;
      return await login({ clientId, relayName, password }, this.#deps.login);
    });
    if (result === null) return unavailable('the client has left');
    const refuse = async (
      code: Code,
      detail: string,
      returnCode: 2 | 3 | 4 | 5,
    ): Promise<AuthenticateError> => {
      this.#note(connection, code, detail);
      if (returnCode !== 3) await this.#loginDelays.refusal(address);
      return Object.assign(new Error(detail), { returnCode });
    };
    if ('code' in result) return refuse(result.code, result.detail, result.returnCode);
    if (will && (will.qos > 1 || !isWillAllowed(will.topic, clientId, result))) {
      return refuse('WILL_FORBIDDEN', `will on ${will.topic}; only a hello may be a will`, 5);
    }
    if (!this.#connections.has(connection)) return unavailable('the client has left');
    const { device, relay } = result;
    if (device !== null && !this.#rates.login(device.id, performance.now())) {
      this.#note(
        connection,
        'OVERLOADED',
        'the device logs in too often; do two boxes use its key?',
      );
      return unavailable('the device logs in too often; try again later');
    }
    this.#queue.join(device, connection.source);
    // A bridge's notice that it is gone says nothing to anybody here.
    if (will && isBridgeState(will.topic)) connection.will = undefined;
    this.#grant(connection, result);
    // One connection of each: the later one, since the other end of an earlier one may be gone.
    const earlier = device === null ? undefined : this.#byDevice.get(device.id);
    if (device !== null) this.#byDevice.set(device.id, connection);
    earlier?.end();
    if (relay !== null) {
      for (const other of this.#connectionsOf(relay.id)) if (other !== connection) other.end();
    }
    this.#deps.logger.debug({ device: device?.did, relay: relay?.name }, 'client connected');
    return null;
  }

  /** Says who a connection is, and with that where it may publish. */
  #grant(connection: Connection, { device, relay }: Principal): void {
    connection.device = device;
    connection.relay = relay;
    const own = device === null ? NO_UP_TOPICS : ownUpTopic(device, connection.clientId);
    connection.upTopics = relay === null ? own : relayUpTopics(relay, own, this.#deps.login.find);
  }

  #forgetCarrier(connection: Connection): void {
    for (const [id, carrier] of this.#carriers) {
      if (carrier.connection === connection) this.#carriers.delete(id);
    }
  }

  /** Does not read a client until a time. */
  #slow(connection: Connection, reason: 'accept' | 'rate', untilMs: number): void {
    connection.guard.hold(reason, true);
    this.#slowed.set(connection, { reason, untilMs });
  }

  #letGo(): void {
    if (this.#slowed.size === 0) return;
    const nowMs = performance.now();
    for (const [connection, { reason, untilMs }] of this.#slowed) {
      if (untilMs > nowMs) continue;
      // Before it is read, which may slow it again.
      this.#slowed.delete(connection);
      connection.guard.hold(reason, false);
    }
  }

  /** Ends connections of clients that are silent or do not read. */
  #sweep(): void {
    const nowMs = performance.now();
    for (const connection of this.#connections) {
      const why = overdue(connection, nowMs, this.#options);
      if (why === null) continue;
      if (why === 'slow reader') {
        const { unsentBytes } = connection.guard;
        this.#note(connection, 'CLIENT_SLOW', `${unsentBytes} bytes wait that it does not take`);
      } else {
        this.#deps.logger.debug({ client: connection.clientId, why }, 'client is silent');
      }
      connection.guard.cut();
    }
    this.#sweeps += 1;
    if (this.#sweeps % FORGET_EVERY_SWEEPS === 0) this.#rates.sweep(nowMs);
  }

  #maySubscribe(connection: Connection, filter: string): boolean {
    const topic = parseTopic(filter);
    const { clientId, relay } = connection;
    const isOwn = topic !== null && topic.topicId === clientId;
    if (isOwn && (topic.channel === 'receipt' || topic.channel === 'config')) return true;
    if (relay !== null && mayRelaySubscribe(relay, filter, this.#deps.login.find)) return true;
    this.#note(connection, 'TOPIC_FORBIDDEN', `subscribe to ${filter.slice(0, 200)}`);
    return false;
  }

  /** Takes a filter that is granted, and sends the settings to who has subscribed to them; those of all devices of a relay come with their hellos. */
  #subscribed(connection: Connection, filter: string): void {
    const topic = parseTopic(filter);
    connection.setFilter(filter, true);
    if (topic?.channel !== 'config') return;
    const device = this.#deps.login.find(didFromTopicId(topic.topicId));
    if (device !== undefined) connection.sendFor(device, 'config', this.#deps.config(device));
  }

  /** A PUBLISH that is no envelope. */
  #publish(connection: Connection, packet: OtherPublish): void {
    const { topic: name, qos, packetId, payload } = packet;
    const topic = parseTopic(name);
    if (connection.relay !== null && topic?.topicId !== connection.clientId) {
      this.#publishForDevice(connection, connection.relay, packet);
      return;
    }
    const refuse = (code: Code, detail: string): void =>
      this.#refusePacket(connection, payload, code, detail);
    const { device } = connection;
    if (device === null || topic === null || topic.topicId !== connection.clientId) {
      refuse('TOPIC_FORBIDDEN', `publish to ${name.slice(0, 200)}`);
    } else if (qos === 2) {
      refuse('QOS_UNSUPPORTED', 'QoS 2; publish with QoS 1');
    } else if (topic.channel === 'hello') {
      // A view would take its whole chunk along to the other thread.
      const copy = new Uint8Array(payload);
      // The client is not read meanwhile: each hello may ask for a thousand receipts, and may name the session
      // of the next envelope.
      this.#holdForHello(connection, device);
      void this.#takeHello(device, copy).then((outcome) => {
        if (outcome === 'failed') connection.end();
        else if (outcome === 'later') {
          const receipt = this.#deps.refusalReceipt(device, copy, 'SESSIONS_TOO_MANY', 'retry');
          this.#retryLater(connection, device, 'SESSIONS_TOO_MANY', receipt);
        } else if (outcome !== 'taken') {
          this.#refusePacket(connection, copy, 'HELLO_INVALID', outcome.fault);
        } else if (qos === 1) connection.acknowledge(packetId);
        connection.guard.hold('hello', false);
      });
    } else {
      refuse('TOPIC_FORBIDDEN', `publish to ${topic.channel}`);
    }
  }

  /**
   * A relay's message that is no envelope of its devices. What is not taken is acknowledged all the same:
   * closing the connection would punish its other devices, and a bridge would send the same again for ever.
   */
  #publishForDevice(connection: Connection, relay: RelayRecord, packet: OtherPublish): void {
    const { qos, packetId, payload } = packet;
    if (qos === 2) {
      this.#refusePacket(connection, payload, 'QOS_UNSUPPORTED', 'QoS 2; publish with QoS 1');
      return;
    }
    const acknowledge = (): void => {
      if (qos === 1) connection.acknowledge(packetId);
    };
    const { login, config, refusalReceipt } = this.#deps;
    const route = routeOfRelay(relay, packet.topic, login.find);
    if (route.kind !== 'take') {
      if (route.kind === 'refuse') {
        const { code, detail, retry } = route;
        this.#note(connection, code, detail);
        if (retry !== null) {
          connection.sendFor(retry, 'receipt', refusalReceipt(retry, payload, code, 'retry'));
        }
      }
      acknowledge();
      return;
    }
    const { device } = route;
    this.#carriers.set(device.id, { connection, device });
    const copy = new Uint8Array(payload);
    // Not read meanwhile: the next packet may be an envelope of the session that the hello names.
    this.#holdForHello(connection, device);
    void this.#takeHello(device, copy).then((outcome) => {
      if (outcome === 'failed') connection.end();
      else if (outcome === 'taken') connection.sendFor(device, 'config', config(device));
      else if (outcome === 'later') {
        this.#note(connection, 'SESSIONS_TOO_MANY', `${device.did}: hello not taken now`);
        const receipt = refusalReceipt(device, copy, 'SESSIONS_TOO_MANY', 'retry');
        connection.sendFor(device, 'receipt', receipt);
      } else {
        this.#note(connection, 'HELLO_INVALID', `${device.did}: ${outcome.fault}`);
        const receipt = refusalReceipt(device, copy, 'HELLO_INVALID', 'refused');
        connection.sendFor(device, 'receipt', receipt);
      }
      acknowledge();
      connection.guard.hold('hello', false);
    });
  }

  #takeEnvelope(
    connection: Connection,
    device: DeviceRecord,
    payload: Uint8Array,
    packetId: number,
  ): void {
    if (this.#isStopping) {
      const receipt = this.#deps.refusalReceipt(device, payload, 'STOPPING', 'retry');
      this.#retryLater(connection, device, 'STOPPING', receipt);
      return;
    }
    const nowMs = performance.now();
    const waitMs = this.#rates.envelope(device.id, payload.length, nowMs);
    if (waitMs > 0) this.#slow(connection, 'rate', nowMs + waitMs);
    const { clock } = this.#deps;
    // One look: a clock that is set between two of them would have a wrong time judged as a right one.
    const receivedAtUs = clock.nowUs();
    const arrival = { receivedAtUs, clockTrusted: clock.isTrusted(receivedAtUs) };
    this.#queue.add(device, payload, arrival, connection.source, packetId);
  }

  #answer(
    connection: Connection,
    packetId: number,
    device: DeviceRecord,
    { kind, refusal, retryCode, receipt }: Decision,
  ): void {
    if (kind === 'retry' && retryCode === 'SESSIONS_TOO_MANY' && connection.relay !== null) {
      // Its other devices are not to wait for this one.
      this.#note(connection, retryCode, `${device.did}: envelope not taken now`);
      if (packetId > 0) connection.acknowledge(packetId);
      this.sendReceipt(device.id, receipt);
      return;
    }
    if (kind === 'retry') {
      this.#retryLater(connection, device, retryCode ?? 'OVERLOADED', receipt);
      return;
    }
    if (refusal !== null) {
      this.#deps.count(refusal.code);
      this.#deps.logger.warn({ device: device.did, ...refusal }, 'envelope refused');
    }
    if (packetId > 0) connection.acknowledge(packetId);
    // The device may have come back on another connection meanwhile.
    this.sendReceipt(device.id, receipt);
  }

  /** Nothing is on disk, so there is no PUBACK: the device keeps the envelope and comes again. */
  #retryLater(connection: Connection, device: DeviceRecord, code: Code, receipt: Uint8Array): void {
    this.#deps.count(code);
    this.#deps.logger.warn({ device: device.did, code }, 'envelope not taken now');
    this.sendReceipt(device.id, receipt);
    connection.guard.hold('closing', true);
    setTimeout(() => connection.end(), RETRY_CLOSE_MS).unref();
  }

  /** Does not read a client while a hello is under way, and not until its device's rate of hellos lets it go on. */
  #holdForHello(connection: Connection, device: DeviceRecord): void {
    connection.guard.hold('hello', true);
    const nowMs = performance.now();
    const waitMs = this.#rates.hello(device.id, nowMs);
    if (waitMs > 0) this.#slow(connection, 'rate', nowMs + waitMs);
  }

  /** Never rejects. */
  async #takeHello(
    device: DeviceRecord,
    payload: Uint8Array,
  ): Promise<'taken' | 'later' | 'failed' | { readonly fault: string }> {
    try {
      // It closes the sessions that it does not name, and envelopes of those came before it.
      await this.#queue.settled(device.id);
      return await this.#hellos.run(async () => {
        const hello = await this.#deps.login.checks.hello(payload, device.publicKey);
        if ('fault' in hello) return hello;
        const fault = await this.#deps.hello(device, hello);
        if (fault === 'SESSIONS_TOO_MANY') return 'later';
        return fault === null ? 'taken' : { fault };
      });
    } catch (error) {
      this.#deps.logger.warn({ device: device.did, error: messageOf(error) }, 'hello not taken');
      return 'failed';
    }
  }

  /** Says why a packet is not taken and closes the connection. */
  #refusePacket(connection: Connection, payload: Uint8Array, code: Code, detail: string): void {
    this.#note(connection, code, detail);
    const { device } = connection;
    if (device !== null) {
      connection.sendReceipt(this.#deps.refusalReceipt(device, payload, code, 'refused'));
    }
    connection.end();
  }

  #note(connection: Connection, code: Code, detail: string): void {
    this.#deps.count(code);
    const { clientId, guard, relayName } = connection;
    const relay = connection.relay?.name ?? relayName ?? undefined;
    const device =
      connection.device?.did ??
      (clientId && relay === undefined ? didFromTopicId(clientId) : undefined);
    this.#deps.logger.warn(
      { code, device, relay, address: guard.remoteAddress, detail },
      'client refused',
    );
  }

  /** The broker has ended a connection. The guard has judged all packets, so this should not be their fault. */
  #ended(connection: Connection, error: Error): void {
    this.#deps.logger.debug(
      { client: connection.clientId, error: error.message },
      'connection ended',
    );
    this.#forget(connection);
  }

  #forget(connection: Connection): void {
    if (!this.#connections.delete(connection)) return;
    this.#slowed.delete(connection);
    this.#queue.leave(connection.source);
    const { device, relay, will, guard } = connection;
    if (relay !== null) {
      this.#forgetCarrier(connection);
      this.#deps.logger.debug({ relay: relay.name }, 'relay disconnected');
    }
    if (device !== null) {
      if (this.#byDevice.get(device.id) === connection) {
        this.#byDevice.delete(device.id);
        this.#deps.logger.debug({ device: device.did }, 'device disconnected');
      }
      if (will !== undefined && !guard.hasDisconnected) this.#takeWill(connection, device, will);
    }
    if (!guard.destroyed) guard.destroy();
  }

  #takeWill(
    connection: Connection,
    device: DeviceRecord,
    { payload }: { payload: Uint8Array },
  ): void {
    if (this.#isStopping || this.#willsWaiting >= WILLS_WAITING_MAX) return;
    this.#willsWaiting += 1;
    void this.#takeHello(device, payload).then((outcome) => {
      this.#willsWaiting -= 1;
      if (typeof outcome === 'string') return;
      this.#note(connection, 'HELLO_INVALID', `will: ${outcome.fault}`);
    });
  }
}

/** Errors of ours, which are counted where they are made. */
class RefusedError extends Error {}

/** CONNACK 3: no verdict on the login. */
function unavailable(why: string): AuthenticateError {
  return Object.assign(new Error(why), { returnCode: 3 as const });
}

/** A device's hello; a relay's state, and its own hello when it is a device. */
function isWillAllowed(topic: string, clientId: string, { device, relay }: Principal): boolean {
  if (relay !== null && isBridgeState(topic)) return true;
  return device !== null && topic === topicOf(clientId, 'hello');
}

/** The connection of a client of the broker: it stands behind the stream that the broker was given. */
function connectionOf(client: Client): Connection {
  const { conn } = client as unknown as { conn: unknown };
  if (!(conn instanceof GuardedSocket) || !(conn.handler instanceof Connection)) {
    throw new TypeError('the client came past the guard');
  }
  return conn.handler;
}
