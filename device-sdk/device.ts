import { EventEmitter } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import {
  type Config,
  decodeConfig,
  decodeReceipt,
  ENVELOPE_BYTES_MAX,
  type EnrolmentPlace,
  encodeLoginToken,
  encodeSignedMessage,
  enrolmentMessage,
  equalBytes,
  type Hello,
  keyFromDid,
  keyId,
  loginTokenInput,
  openSignedMessage,
  type PublicKey,
  parseTopic,
  type Receipt,
  realmOf,
  receiptFault,
  requireInteger,
  requireLength,
  sha256,
  signedMessageInput,
  type TimeBase,
  toHex,
  topicIdFromDid,
  topicOf,
  wire,
} from '@waystone/proto';
import { Backoff } from './backoff.js';
import { Connection } from './connection.js';
import { EnvelopeBuilder, type EnvelopeName, type Observation } from './envelope-builder.js';
import { DeviceClosedError, DeviceError, LoginRefusedError } from './errors.js';
import { MemoryOutbox } from './memory-outbox.js';
import type { Outbox } from './outbox.js';
import { Sender, type StoredEnvelope } from './sender.js';
import { Session } from './session.js';
import { Signal } from './signal.js';
import { type Signer, signMessage } from './signer.js';

export interface DeviceOptions {
  /** `mqtt://host:port` (default port 1883) or `mqtts://host:port` (8883). */
  readonly url: string;
  readonly signer: Signer;
  /** The gateway's did:key. Receipts and settings count only with this key's signature. */
  readonly gateway: string;
  /** For mqtts: PEM certificates to trust instead of the system's. */
  readonly ca?: string | Buffer;
  /**
   * Pins the realm (32 bytes): settings with another one are ignored, and publishing need not wait for
   * settings. Default: the realm of the gateway's signed settings.
   */
  readonly realm?: Uint8Array;
  /** Streams known before the gateway's settings arrive. */
  readonly streams?: readonly DeviceStream[];
  /** Where envelopes wait for their receipts. Default: in memory, 4,096 envelopes or 64 MiB. */
  readonly outbox?: Outbox;
  /** Envelopes sent and not yet receipted, 1 to 1,024 (as many as a hello can name). Default 64. */
  readonly windowMax?: number;
  /** How long a receipt may take before its envelope is sent again, in ms. Default 10,000. */
  readonly receiptTimeoutMs?: number;
  /** Shortest and longest pause between connection attempts, in ms. Default 500 and 30,000. */
  readonly reconnectMinMs?: number;
  readonly reconnectMaxMs?: number;
  /** How long an attempt to connect may take, in ms. Default 15,000. */
  readonly connectTimeoutMs?: number;
  /** MQTT keep-alive in seconds, 1 to 65,535: finds a dead connection. Default 30. */
  readonly keepaliveSeconds?: number;
  /** Name and version for the operator, for example "rover-fw 2.1.0". At most 128 characters. */
  readonly software?: string;
}

export interface DeviceStream {
  /** 0 to 2^32 - 1. */
  readonly id: number;
  readonly name: string;
}

/** What the gateway's signed settings say. */
export interface DeviceConfig {
  /** What statements must carry, 32 bytes. */
  readonly realm: Uint8Array;
  readonly streams: readonly DeviceStream[];
  /** Largest accepted envelope, in bytes. */
  readonly envelopeBytesMax: number;
  /** SHA-256 of the gateway's next key in multicodec form, or null when it announces none. */
  readonly nextKeyHash: Uint8Array | null;
}

export interface ReceiptEvent {
  readonly receipt: Receipt;
  /** The receipt as it came: keep these bytes to prove it later. */
  readonly bytes: Uint8Array;
  /** The envelope that it decides; null when none waits for it (a later or a repeated receipt). */
  readonly envelope: EnvelopeName | null;
}

export interface DeviceEvents {
  /** Logged in and subscribed. */
  connected: [];
  /** The connection ended; a new one follows by itself. */
  disconnected: [reason: DeviceError];
  /** An attempt to connect failed; the next one is made after so many milliseconds. */
  unreachable: [reason: DeviceError, retryInMs: number];
  /** A receipt with a valid signature of the pinned gateway. */
  receipt: [event: ReceiptEvent];
  /** Settings with a valid signature of the pinned gateway. */
  config: [config: DeviceConfig];
  /** A message that is not what the pinned gateway would send; it had no effect. */
  ignored: [what: { readonly topic: string; readonly reason: string }];
}

export interface PublishOptions {
  /** What `timeUs` of the observations counts from. Default: UTC. */
  readonly timeBase?: TimeBase;
}

/** Observations that are signed and in the outbox. */
export interface Queued {
  readonly envelopes: readonly QueuedEnvelope[];
  /** As the result of {@link Device.publish}; may be left alone. */
  readonly stored: Promise<StoredEnvelope[]>;
}

export interface QueuedEnvelope extends EnvelopeName {
  /** Settles with this envelope's receipt; rejects with an EnvelopeRefusedError. May be left alone. */
  readonly stored: Promise<StoredEnvelope>;
}

/** Calls that may wait at a full outbox, or for the first settings, before more are turned away. */
const WAITING_CALLS_MAX = 1024;

/** As many missing receipts, and earlier sessions, as a hello may name. */
const WINDOW_MAX = 1024;
const QUEUED_SESSIONS_MAX = 64;

/** Longest wait that a `retry` receipt can ask of a hello: one hour. */
const HELLO_RETRY_MS_MAX = 3_600_000;

/** Longest part of closing that comes after the drain: the last hello and DISCONNECT, in ms. */
const FAREWELL_MS = 1_000;

/**
 * A device at a gateway: signs observations, publishes them, and keeps each envelope until the gateway's
 * signed receipt decides it, across lost connections.
 */
export class Device extends EventEmitter<DeviceEvents> {
  readonly #options: Required<
    Pick<
      DeviceOptions,
      'url' | 'signer' | 'gateway' | 'connectTimeoutMs' | 'keepaliveSeconds' | 'software'
    >
  > &
    Pick<DeviceOptions, 'ca' | 'realm'>;
  readonly #gatewayKey: PublicKey;
  readonly #topicId: string;
  readonly #session = new Session();
  readonly #builder: EnvelopeBuilder;
  readonly #outbox: Outbox;
  readonly #sender: Sender;
  readonly #backoff: Backoff;
  /** Told whenever the outbox, the settings or the state of closing changed. */
  readonly #changed = new Signal();
  readonly #stop = new AbortController();
  #settings: DeviceConfig | null = null;
  /** Stream ids that may be used; null before any are known. */
  #streams: ReadonlyMap<number, string> | null = null;
  #connection: Connection | null = null;
  /** The proof that the gateway asked for on this connection, and did not get yet. */
  #wish: EnrolmentWish | null = null;
  /** Looks whether a receipt is the gateway's answer to the last hello. */
  #helloRetry: ((receipt: Receipt) => void) | null = null;
  #running: Promise<void> | null = null;
  #closing: Promise<{ unreceipted: number }> | null = null;
  #isHurried = false;
  #waitingCalls = 0;
  #lastCall: Promise<unknown> = Promise.resolve();

  /** @throws TypeError or RangeError naming the option that is wrong. */
  constructor(options: DeviceOptions) {
    super();
    const { windowMax = 64, receiptTimeoutMs = 10_000, software = 'waystone-device-sdk' } = options;
    requireUrl(options.url);
    requireInteger('windowMax', windowMax, 1, WINDOW_MAX);
    requireInteger('receiptTimeoutMs', receiptTimeoutMs, 1, 3_600_000);
    requireInteger('keepaliveSeconds', options.keepaliveSeconds ?? 30, 1, 65_535);
    requireInteger('connectTimeoutMs', options.connectTimeoutMs ?? 15_000, 1, 3_600_000);
    requireInteger('length of software', software.length, 0, 128);
    if (options.realm !== undefined) requireLength('realm', options.realm, 32);
    this.#gatewayKey = keyFromDid(options.gateway);
    this.#options = {
      url: options.url,
      signer: options.signer,
      gateway: options.gateway,
      connectTimeoutMs: options.connectTimeoutMs ?? 15_000,
      keepaliveSeconds: options.keepaliveSeconds ?? 30,
      software,
      ...(options.ca === undefined ? {} : { ca: options.ca }),
      ...(options.realm === undefined ? {} : { realm: options.realm }),
    };
    this.#topicId = topicIdFromDid(options.signer.did);
    this.#builder = new EnvelopeBuilder(options.signer, this.#session);
    this.#outbox = options.outbox ?? new MemoryOutbox();
    this.#sender = new Sender(
      { windowMax, receiptTimeoutMs },
      { outbox: this.#outbox, changed: this.#changed },
    );
    this.#backoff = new Backoff(options.reconnectMinMs ?? 500, options.reconnectMaxMs ?? 30_000);
    if (options.streams !== undefined) this.#setStreams(options.streams);
  }

  get did(): string {
    return this.#options.signer.did;
  }

  /** The session of this start, 16 bytes. */
  get session(): Uint8Array {
    return this.#session.id;
  }

  get isConnected(): boolean {
    return this.#connection !== null;
  }

  /** The gateway's last valid settings, or null before they came. */
  get config(): DeviceConfig | null {
    return this.#settings;
  }

  /** Envelopes that wait for their receipt. */
  get unreceipted(): number {
    return this.#outbox.size;
  }

  /**
   * Starts to connect; resolves once logged in and subscribed. An unreachable gateway is tried again for
   * ever (see the event `unreachable`), as is a connection that is lost later.
   *
   * @throws LoginRefusedError when the first answer is a refusal; the device then stands still until
   *   `connect` is called again. After a first success refusals are retried too: the event `unreachable`.
   * @throws DeviceClosedError when the device is closed.
   */
  async connect(): Promise<void> {
    if (this.#closing !== null) throw new DeviceClosedError('make a new one');
    if (this.#running !== null) throw new TypeError('connect was called already');
    await new Promise<void>((resolve, reject) => {
      this.#running = this.#run(resolve, reject);
    });
  }

  /**
   * Signs and sends 1 to 1,024 observations, in the order given.
   *
   * @param stream its id, or its name in the gateway's settings.
   * @returns the gateway's receipts: all of it is on its disk.
   * @throws EnvelopeRefusedError when the gateway refuses for good; and as {@link Device.enqueue}.
   */
  async publish(
    stream: number | string,
    observations: readonly Observation[],
    options: PublishOptions = {},
  ): Promise<StoredEnvelope[]> {
    const { stored } = await this.enqueue(stream, observations, options);
    return await stored;
  }

  /**
   * As {@link Device.publish}, but resolves as soon as the observations are signed and in the outbox. It
   * waits, in the order of the calls, while the outbox is full or the realm is not known yet: awaiting it is
   * the back-pressure.
   *
   * @throws FrameError when an observation cannot be sent; nothing of the call was.
   * @throws DeviceError `OUTBOX_FULL` when 1,024 calls wait already, `STREAM_UNKNOWN`, `SIGNER_FAILED`.
   * @throws DeviceClosedError.
   */
  async enqueue(
    stream: number | string,
    observations: readonly Observation[],
    options: PublishOptions = {},
  ): Promise<Queued> {
    if (this.#closing !== null) throw new DeviceClosedError('nothing more can be published');
    if (this.#waitingCalls >= WAITING_CALLS_MAX) {
      throw new DeviceError(
        'OUTBOX_FULL',
        `the outbox holds ${this.#outbox.size} unreceipted envelopes and ${WAITING_CALLS_MAX} calls ` +
          'wait for room; await each call before the next',
      );
    }
    this.#waitingCalls += 1;
    const queued = this.#lastCall.then(() => this.#enqueue(stream, observations, options));
    this.#lastCall = queued.catch(() => undefined);
    try {
      return await queued;
    } finally {
      this.#waitingCalls -= 1;
      this.#changed.notify();
    }
  }

  async #enqueue(
    stream: number | string,
    observations: readonly Observation[],
    { timeBase }: PublishOptions,
  ): Promise<Queued> {
    const realm = () => this.#options.realm ?? this.#settings?.realm;
    const isReady = () =>
      realm() !== undefined &&
      (typeof stream === 'number' || this.#streams !== null) &&
      !this.#outbox.isFull;
    await this.#changed.until(() => this.#isHurried || isReady());
    const knownRealm = realm();
    // Closing waits for calls that can go on, and turns the others away.
    if (!isReady() || knownRealm === undefined) {
      throw new DeviceClosedError('observations that were not in the outbox yet are not sent');
    }
    const envelopes = await this.#builder.seal(observations, {
      realm: knownRealm,
      stream: this.#streamId(stream),
      payloadBytesMax: this.#settings?.envelopeBytesMax ?? ENVELOPE_BYTES_MAX,
      ...(timeBase === undefined ? {} : { timeBase }),
    });
    const queued: QueuedEnvelope[] = [];
    for (const envelope of envelopes) {
      const { payload: _payload, ...name } = envelope;
      queued.push({ ...name, stored: (await this.#sender.add(envelope)).stored });
    }
    const stored = Promise.all(queued.map((envelope) => envelope.stored));
    stored.catch(() => undefined); // Whoever wants the outcome awaits it.
    return { envelopes: queued, stored };
  }

  #streamId(stream: number | string): number {
    const known = this.#streams;
    if (known === null && typeof stream === 'number') return stream;
    for (const [id, name] of known ?? []) if (id === stream || name === stream) return id;
    const list = [...(known ?? [])].map(([id, name]) => `${id} (${name})`).join(', ');
    throw new DeviceError(
      'STREAM_UNKNOWN',
      `this device has no stream ${JSON.stringify(stream)}, it has: ${list || 'none'}; ` +
        'the operator gives out streams in the gateway configuration',
    );
  }

  /**
   * Takes no more observations, waits for the receipts of what is in the outbox (at most `deadlineMs`), says
   * goodbye and disconnects. Calls of `publish` that are still undecided then reject.
   *
   * @returns how many envelopes have no receipt; a memory outbox loses them with the process.
   */
  close({ deadlineMs = 10_000 }: { readonly deadlineMs?: number } = {}): Promise<{
    unreceipted: number;
  }> {
    this.#closing ??= this.#close(deadlineMs);
    return this.#closing;
  }

  async #close(deadlineMs: number): Promise<{ unreceipted: number }> {
    const timer = setTimeout(
      () => {
        this.#isHurried = true;
        this.#changed.notify();
      },
      this.#running === null ? 0 : deadlineMs, // Without a connection to come nothing can drain.
    );
    await this.#changed.until(
      () => this.#isHurried || (this.#waitingCalls === 0 && this.#outbox.size === 0),
    );
    clearTimeout(timer);
    this.#isHurried = true;
    this.#changed.notify();
    await this.#lastCall;
    this.#stop.abort();
    this.#sender.detach();
    const connection = this.#connection;
    if (connection !== null) {
      try {
        await this.#sayHello(connection, wire.Hello.State.STATE_OFFLINE);
      } catch {
        // A signer that fails now changes nothing: without DISCONNECT the gateway publishes the will.
      }
      await connection.end(FAREWELL_MS);
    }
    await this.#running;
    const unreceipted = this.#outbox.size;
    this.#sender.abandon(new DeviceClosedError('the receipt did not come in time'));
    return { unreceipted };
  }

  async #run(onFirst: () => void, onRefused: (error: Error) => void): Promise<void> {
    const { signal } = this.#stop;
    let hadConnection = false;
    while (!signal.aborted) {
      let reason: DeviceError;
      const startedMs = performance.now();
      try {
        const connection = await this.#open();
        hadConnection = true;
        onFirst();
        reason = await connection.closed;
        this.#connection = null;
        this.#sender.detach();
        this.#tell('disconnected', reason);
        if (signal.aborted) break;
        const retryInMs = this.#backoff.nextMs();
        // A connection that held longer than the pause was a good one; a flapping one keeps backing off.
        if (performance.now() - startedMs > retryInMs) this.#backoff.reset();
        await this.#pause(retryInMs);
      } catch (error) {
        if (signal.aborted) break;
        reason = asDeviceError(error);
        if (!hadConnection && reason instanceof LoginRefusedError) {
          this.#running = null;
          onRefused(reason);
          return;
        }
        const retryInMs = this.#backoff.nextMs();
        this.#tell('unreachable', reason, retryInMs);
        await this.#pause(retryInMs);
      }
    }
    onRefused(new DeviceClosedError('it was not connected by then')); // Without effect once resolved.
  }

  /** Emits on a clean stack, so that a listener that throws cannot stop the device halfway. */
  #tell<K extends keyof DeviceEvents>(event: K, ...args: DeviceEvents[K]): void {
    queueMicrotask(() => (this as EventEmitter).emit(event, ...args));
  }

  async #pause(ms: number): Promise<void> {
    await delay(ms, undefined, { signal: this.#stop.signal }).catch(() => undefined);
  }

  async #open(): Promise<Connection> {
    const { url, signer, gateway, ca, connectTimeoutMs, keepaliveSeconds } = this.#options;
    const input = loginTokenInput(signer.publicKey.type, {
      device: signer.did,
      gateway,
      session: this.#session.id,
      counter: this.#session.nextCounter(),
    });
    this.#wish = null;
    const online = await this.#hello(wire.Hello.State.STATE_ONLINE);
    const connection = await Connection.open(
      {
        url,
        did: signer.did,
        clientId: this.#topicId,
        password: encodeLoginToken(input, await signMessage(signer, input)),
        will: {
          topic: topicOf(this.#topicId, 'hello'),
          payload: await this.#hello(wire.Hello.State.STATE_OFFLINE),
        },
        subscriptions: [topicOf(this.#topicId, 'receipt'), topicOf(this.#topicId, 'config')],
        onMessage: (topic, payload) => this.#receive(topic, payload),
        connectTimeoutMs,
        keepaliveSeconds,
        ...(ca === undefined ? {} : { ca }),
      },
      this.#stop.signal,
    );
    if (this.#stop.signal.aborted) {
      const reason = new DeviceClosedError('the connection came too late');
      connection.drop(reason);
      throw reason;
    }
    this.#connection = connection;
    this.#publishHello(connection, online);
    // The settings may have come first.
    this.#prove(connection);
    this.#tell('connected');
    const up = topicOf(this.#topicId, 'up');
    this.#sender.attach({
      publish: (payload, onAcknowledged) => connection.publish(up, payload, onAcknowledged),
      get unsentBytes() {
        return connection.unsentBytes;
      },
      drop: (reason) => connection.drop(reason),
    });
    return connection;
  }

  /**
   * A signed hello. Counters rise in the order login, birth, will: a will that arrives after the next login
   * is then older than it, so the gateway can tell that the device is back.
   */
  async #hello(state: number, enrolment?: EnrolmentProof): Promise<Uint8Array> {
    const { signer, software } = this.#options;
    const isOnline = state === wire.Hello.State.STATE_ONLINE;
    const body = wire.Hello.encode({
      state,
      session: this.#session.id,
      counter: this.#session.nextCounter(),
      queuedSessions: this.#outbox
        .sessions()
        .filter((session) => !equalBytes(session, this.#session.id))
        .slice(0, QUEUED_SESSIONS_MAX),
      wantedReceipts: isOnline
        ? this.#sender
            .unreceipted()
            .map(({ session, stream, firstSequence }) => ({ session, stream, firstSequence }))
        : [],
      software,
      ...(enrolment === undefined ? {} : { enrolment }),
    }).finish();
    const input = signedMessageInput(
      'hello',
      keyId(signer.publicKey),
      keyId(this.#gatewayKey),
      body,
    );
    return encodeSignedMessage('hello', body, await signMessage(signer, input));
  }

  /** Says hello; should the gateway tell it to wait, once more when it may. */
  #publishHello(connection: Connection, payload: Uint8Array): void {
    connection.publish(topicOf(this.#topicId, 'hello'), payload);
    const name = sha256(payload);
    this.#helloRetry = (receipt) => {
      const { statement, outcome } = receipt.body;
      if (outcome.kind !== 'retry' || !equalBytes(statement, name)) return;
      this.#helloRetry = null;
      const waitMs = Math.min(outcome.afterSeconds * 1_000, HELLO_RETRY_MS_MAX);
      void this.#pause(waitMs).then(async () => {
        if (this.#connection !== connection || this.#stop.signal.aborted) return;
        try {
          this.#publishHello(connection, await this.#hello(wire.Hello.State.STATE_ONLINE));
        } catch (cause) {
          connection.drop(
            new DeviceError('SIGNER_FAILED', 'a hello could not be signed; connecting anew', {
              cause,
            }),
          );
        }
      });
    };
  }

  async #sayHello(connection: Connection, state: number): Promise<void> {
    const payload = await this.#hello(state);
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, FAREWELL_MS);
      const done = () => {
        clearTimeout(timer);
        resolve();
      };
      connection.publish(topicOf(this.#topicId, 'hello'), payload, done);
      void connection.closed.then(done);
    });
  }

  #receive(topic: string, payload: Uint8Array): void {
    const parsed = parseTopic(topic);
    const bytes = new Uint8Array(payload); // MQTT.js gives a view on a chunk of the socket.
    try {
      if (parsed?.topicId !== this.#topicId) throw new RangeError('it is for another device');
      if (parsed.channel === 'receipt') this.#receiveReceipt(bytes);
      else if (parsed.channel === 'config') this.#receiveConfig(bytes);
      else throw new RangeError('devices do not listen to this topic');
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      this.#tell('ignored', { topic, reason: error.message });
    }
  }

  /** @throws RangeError when it is not the pinned gateway's word to this device. */
  #receiveReceipt(bytes: Uint8Array): void {
    const receipt = decodeReceipt(bytes);
    const fault = receiptFault(receipt, this.#gatewayKey);
    if (fault !== null) throw new RangeError(`receipt is not the pinned gateway's: ${fault}`);
    if (!equalBytes(receipt.body.device, keyId(this.#options.signer.publicKey))) {
      throw new RangeError('receipt is for another device');
    }
    this.#helloRetry?.(receipt);
    const envelope = this.#sender.receive(receipt);
    this.#tell('receipt', { receipt, bytes, envelope });
  }

  /** @throws RangeError when it is not the pinned gateway's word to this device, or cannot be followed. */
  #receiveConfig(bytes: Uint8Array): void {
    const body = openSignedMessage(
      'config',
      bytes,
      this.#gatewayKey,
      this.#options.signer.publicKey,
    );
    const config = readConfig(body);
    if (config.gateway !== this.#options.gateway) {
      throw new RangeError(`config names the gateway ${config.gateway}`);
    }
    const { realm } = this.#options;
    if (realm !== undefined && !equalBytes(realm, config.realm)) {
      throw new RangeError('config has another realm than the pinned one');
    }
    const { gateway: _gateway, enrolment, ...settings } = config;
    this.#wish = enrolment;
    if (this.#connection !== null) this.#prove(this.#connection);
    this.#settings = settings;
    this.#setStreams(settings.streams);
    this.#changed.notify();
    this.#tell('config', settings);
  }

  /** Shows the gateway that the device holds its key, so that the registry can say so. */
  #prove(connection: Connection): void {
    const wish = this.#wish;
    this.#wish = null;
    // No contract checks Ed25519.
    if (wish === null || this.#options.signer.publicKey.type === 'Ed25519') return;
    void this.#sayProof(connection, wish);
  }

  async #sayProof(connection: Connection, { place, expiry }: EnrolmentWish): Promise<void> {
    const { signer } = this.#options;
    const message = enrolmentMessage(place, keyId(signer.publicKey), 'device', expiry);
    try {
      const signature = await signMessage(signer, message);
      const hello = await this.#hello(wire.Hello.State.STATE_ONLINE, { expiry, signature });
      if (this.#connection === connection) this.#publishHello(connection, hello);
    } catch (cause) {
      // What matters is signed elsewhere, and the gateway asks again with the next connection.
      if (!(cause instanceof DeviceError)) throw cause;
    }
  }

  #setStreams(streams: readonly DeviceStream[]): void {
    this.#streams = new Map(streams.map(({ id, name }) => [id, name]));
  }
}

type Enrolment = NonNullable<Config['enrolment']>;
type EnrolmentProof = NonNullable<Hello['enrolment']>;

/** What the gateway wants proven, and until when the proof is to count. */
interface EnrolmentWish {
  readonly place: EnrolmentPlace;
  readonly expiry: number;
}

/** @throws RangeError for a body that no gateway writes. */
function readConfig(
  body: Uint8Array,
): DeviceConfig & { readonly gateway: string; readonly enrolment: EnrolmentWish | null } {
  let decoded: ReturnType<typeof decodeConfig>;
  try {
    decoded = decodeConfig(body);
  } catch (cause) {
    throw new RangeError('config is no protobuf message of its kind', { cause });
  }
  const { realm, streams, envelopeBytesMax, gateway, nextKeyHash, enrolment } = decoded;
  if (realm?.length !== 32) throw new RangeError('config has no realm of 32 bytes');
  const hasNextKey = (nextKeyHash?.length ?? 0) > 0;
  if (hasNextKey && nextKeyHash?.length !== 32) {
    throw new RangeError('config has a next key hash that is not 32 bytes');
  }
  return {
    realm: new Uint8Array(realm),
    streams: (streams ?? []).map(({ id, name }) => ({ id: id ?? 0, name: name ?? '' })),
    envelopeBytesMax: Math.min(envelopeBytesMax || ENVELOPE_BYTES_MAX, ENVELOPE_BYTES_MAX),
    gateway: gateway ?? '',
    nextKeyHash: hasNextKey && nextKeyHash ? new Uint8Array(nextKeyHash) : null,
    enrolment: enrolment ? readEnrolment(enrolment, realm) : null,
  };
}

/** @throws RangeError when it is for another chain or iDAO than the statements are. */
function readEnrolment(enrolment: Enrolment, realm: Uint8Array): EnrolmentWish {
  const { registry, idao } = enrolment;
  const chainId = enrolment.chainId ?? 0;
  if (registry?.length !== 20 || idao?.length !== 20) {
    throw new RangeError('config has an enrolment whose addresses are not 20 bytes');
  }
  const place = { chainId, registry: `0x${toHex(registry)}`, idao: `0x${toHex(idao)}` };
  if (chainId < 1 || !equalBytes(realmOf(chainId, place.idao), realm)) {
    throw new RangeError('config has an enrolment of another chain or iDAO than its realm');
  }
  return { place, expiry: enrolment.expiry ?? 0 };
}

function requireUrl(url: string): void {
  const parsed = URL.canParse(url) ? new URL(url) : null;
  const isOurs = parsed?.protocol === 'mqtt:' || parsed?.protocol === 'mqtts:';
  if (parsed === null || !isOurs || parsed.hostname === '' || parsed.username !== '') {
    throw new TypeError(
      `url must be mqtt://host[:port] or mqtts://host[:port] without user name, got ${JSON.stringify(url)}`,
    );
  }
}

function asDeviceError(error: unknown): DeviceError {
  if (error instanceof DeviceError) return error;
  return new DeviceError('GATEWAY_UNREACHABLE', 'the attempt to connect failed', { cause: error });
}
