import { connect, type IClientOptions, type MqttClient } from 'mqtt';
import { DeviceError, LoginRefusedError } from './errors.js';

/** CONNACK return code "server unavailable" (MQTT 3.1.1 §3.2.2.3): no verdict on the login. */
const SERVER_UNAVAILABLE = 3;

/** SUBACK return code of a refused subscription (MQTT 3.1.1 §3.9.3). */
const SUBSCRIPTION_REFUSED = 128;

export interface ConnectionOptions {
  readonly url: string;
  readonly did: string;
  /** MQTT client id, and user name, without which MQTT 3.1.1 allows no password (§3.1.2.9). */
  readonly clientId: string;
  readonly password: string;
  readonly will: { readonly topic: string; readonly payload: Uint8Array };
  readonly subscriptions: readonly string[];
  readonly onMessage: (topic: string, payload: Uint8Array) => void;
  /** PEM certificates to trust instead of the system's. */
  readonly ca?: string | Buffer;
  readonly connectTimeoutMs: number;
  readonly keepaliveSeconds: number;
}

/** One QoS 1 message on its way. */
export interface Publication {
  /** Whether its PUBACK came. */
  readonly acknowledged: boolean;
  /** Stops waiting for the PUBACK, so that it holds no memory. */
  forget(): void;
}

/**
 * One network connection to the gateway, from CONNECT to its end. There is no reconnecting in here: MQTT.js
 * would reuse the password, and would resend what the outbox resends.
 */
export class Connection {
  /** Resolves with the reason once the connection has ended; never rejects. */
  readonly closed: Promise<DeviceError>;
  readonly #client: MqttClient;
  /** Publications whose PUBACK has not come. */
  readonly #open = new Set<Publication>();
  #reason: DeviceError | null = null;

  private constructor(client: MqttClient, url: string) {
    this.#client = client;
    let lastError: Error | undefined;
    client.on('error', (error) => {
      lastError = error;
    });
    this.closed = new Promise((resolve) => {
      client.once('close', () => {
        client.end(true); // Stops the timers that MQTT.js still holds.
        resolve(
          this.#reason ??
            new DeviceError(
              'CONNECTION_LOST',
              `the connection to ${url} was closed; it will be opened again`,
              { cause: lastError },
            ),
        );
      });
    });
  }

  /**
   * Connects, logs in and subscribes.
   *
   * @throws LoginRefusedError; DeviceError `GATEWAY_UNREACHABLE` or `SUBSCRIBE_REFUSED`.
   */
  static async open(options: ConnectionOptions, signal: AbortSignal): Promise<Connection> {
    const { url } = options;
    signal.throwIfAborted();
    let client: MqttClient;
    try {
      client = connect(url, mqttOptions(options));
    } catch (cause) {
      throw unreachable(url, cause);
    }
    client.on('message', (topic, payload) => options.onMessage(topic, payload));
    const connection = new Connection(client, url);
    const abort = () => client.end(true);
    signal.addEventListener('abort', abort, { once: true });
    try {
      await logIn(client, options);
      await connection.#subscribe(options.subscriptions, options.connectTimeoutMs);
      signal.throwIfAborted();
      return connection;
    } catch (error) {
      client.end(true);
      throw error;
    } finally {
      signal.removeEventListener('abort', abort);
    }
  }

  async #subscribe(topics: readonly string[], timeoutMs: number): Promise<void> {
    const timer = setTimeout(
      () => this.drop(new DeviceError('SUBSCRIBE_REFUSED', 'the gateway did not answer SUBSCRIBE')),
      timeoutMs,
    );
    try {
      const granted = await this.#client.subscribeAsync([...topics], { qos: 1 });
      const refused = granted.filter(({ qos }) => qos === SUBSCRIPTION_REFUSED);
      if (refused.length > 0) throw new Error(`refused: ${refused.map(({ topic }) => topic)}`);
    } catch (cause) {
      throw (
        this.#reason ??
        new DeviceError(
          'SUBSCRIBE_REFUSED',
          `the gateway did not grant the subscription to ${topics.join(' and ')}; ` +
            'without it no receipt can come',
          { cause },
        )
      );
    } finally {
      clearTimeout(timer);
    }
  }

  /** Publishes at QoS 1. `onAcknowledged` is called at the PUBACK, if it comes. */
  publish(topic: string, payload: Uint8Array, onAcknowledged?: () => void): Publication {
    const publication = {
      acknowledged: false,
      forget: () => {
        // Only while it is open: its message id may serve another message later.
        if (this.#open.delete(publication)) this.#client.removeOutgoingMessage(id);
      },
    };
    this.#open.add(publication);
    this.#client.publish(topic, bufferOver(payload), { qos: 1 }, (error) => {
      this.#open.delete(publication);
      if (error) return; // The connection ended, or it was forgotten: the outbox still has it.
      publication.acknowledged = true;
      onAcknowledged?.();
    });
    const id = this.#client.getLastMessageId();
    return publication;
  }

  /** Bytes that wait in this process for the network to take them. */
  get unsentBytes(): number {
    return this.#client.stream?.writableLength ?? 0;
  }

  /** Cuts the connection without DISCONNECT, so that the gateway publishes the will. */
  drop(reason: DeviceError): void {
    this.#reason ??= reason;
    this.#client.end(true);
  }

  /** Sends DISCONNECT, so that the will is not published, and closes. */
  async end(timeoutMs: number): Promise<void> {
    for (const publication of this.#open) publication.forget(); // MQTT.js would wait for them.
    const timer = setTimeout(() => this.#client.stream?.destroy(), timeoutMs);
    this.#client.end(false);
    await this.closed;
    clearTimeout(timer);
  }
}

function mqttOptions(options: ConnectionOptions): IClientOptions {
  return {
    protocolVersion: 4,
    clean: true,
    clientId: options.clientId,
    username: options.clientId,
    password: options.password,
    will: {
      topic: options.will.topic,
      payload: bufferOver(options.will.payload),
      qos: 1,
      retain: false,
    },
    reconnectPeriod: 0,
    resubscribe: false,
    connectTimeout: options.connectTimeoutMs,
    keepalive: options.keepaliveSeconds,
    ...(options.ca === undefined ? {} : { ca: options.ca }),
  };
}

async function logIn(client: MqttClient, { url, did }: ConnectionOptions): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    client.once('connect', () => resolve());
    client.once('error', (error: Error & { code?: unknown }) => {
      const { code } = error;
      // MQTT.js gives CONNACK return codes as numbers and the system's error codes as strings.
      const isVerdict = typeof code === 'number' && code !== SERVER_UNAVAILABLE;
      reject(isVerdict ? new LoginRefusedError(code, did, url) : unreachable(url, error));
    });
    client.once('close', () => reject(unreachable(url, new Error('closed before CONNACK'))));
  });
}

function unreachable(url: string, cause: unknown): DeviceError {
  const what = cause instanceof Error ? cause.message || (cause as NodeJS.ErrnoException).code : '';
  return new DeviceError(
    'GATEWAY_UNREACHABLE',
    `the gateway at ${url} cannot be reached: ${what}`,
    {
      cause,
    },
  );
}

function bufferOver(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
