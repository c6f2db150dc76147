import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import {
  type Code,
  concatBytes,
  decodeHello,
  encodeReceipt,
  encodeReceiptBody,
  encodeReceiptHead,
  encodeSignedMessage,
  equalBytes,
  type Hello,
  keyFromDid,
  keyId,
  LOCAL_REALM,
  type LoginToken,
  leafHash,
  type Outcome,
  openSignedMessage,
  type PublicKey,
  parseTopic,
  readEnvelope,
  readLoginToken,
  sha256,
  signedMessageInput,
  statementHash,
  toHex,
  topicOf,
  verifySignature,
  wire,
} from '@waystone/proto';
import { Aedes, type Client } from 'aedes';
import { DeviceKey } from '../device-key.js';
import { signMessage } from '../signer.js';

/** What becomes of one envelope. `lost` faults store it and let an answer go missing. */
export type Fate =
  | 'store'
  | 'lose-receipt'
  | 'lose-puback-and-receipt'
  | 'drop-before-storing'
  | 'drop-after-storing'
  | { readonly refuse: Code }
  | { readonly retryAfterSeconds: number };

export interface FakeGatewayOptions {
  /** Asked for each envelope that arrives, resends included; `attempt` counts from 1. */
  readonly fate?: (arrival: { readonly firstSequence: number; readonly attempt: number }) => Fate;
  readonly realm?: Uint8Array;
  readonly streams?: readonly { readonly id: number; readonly name: string }[];
  /** Signs receipts and settings with this key instead of its own. */
  readonly signWith?: DeviceKey;
  /** CONNACK return code for logins, from the n-th on (1, 2, …); 0 accepts. */
  readonly loginVerdict?: (attempt: number) => number;
  /** PEM key and certificate; without them the gateway speaks plain TCP. */
  readonly tls?: { readonly key: string; readonly cert: string };
  /** Seconds after which the n-th hello (1, 2, …) may come again; null takes it. */
  readonly helloRetryAfterSeconds?: (attempt: number) => number | null;
  /** Whether settings are sent on subscribe. Default true. */
  readonly sendsConfig?: boolean;
}

/**
 * A gateway in memory on a real broker. It polices what a gateway polices on the wire: login tokens with
 * risen counters, signatures, realm, disjoint ranges in a chain, hello signatures; and it remembers what it
 * stored by statement hash, with the very receipt that it gave.
 */
export class FakeGateway {
  readonly key = DeviceKey.generate();
  readonly logins: LoginToken[] = [];
  readonly hellos: { readonly hello: Hello; readonly isWill: boolean }[] = [];
  /** First sequences in order of arrival, resends included. */
  readonly arrivals: number[] = [];
  /** What is "on disk", in the order it was stored. */
  readonly stored: { readonly firstSequence: number; readonly frames: readonly Uint8Array[] }[] =
    [];
  /** Broken rules of the wire; must stay empty. */
  readonly violations: string[] = [];
  readonly #options: FakeGatewayOptions;
  readonly #receipts = new Map<string, Uint8Array>();
  readonly #attempts = new Map<string, number>();
  readonly #sockets = new Set<Socket>();
  readonly #clients = new Map<string, Client>();
  #broker!: Aedes;
  #server!: Server;
  #port = 0;
  #loginAttempts = 0;
  #lastCounter = 0;

  private constructor(options: FakeGatewayOptions) {
    this.#options = options;
  }

  static async start(options: FakeGatewayOptions = {}): Promise<FakeGateway> {
    const gateway = new FakeGateway(options);
    await gateway.listen();
    return gateway;
  }

  get did(): string {
    return this.key.did;
  }

  get url(): string {
    return `${this.#options.tls ? 'mqtts' : 'mqtt'}://127.0.0.1:${this.#port}`;
  }

  /** Opens the broker; after {@link stop} on the same port, with all that was stored. */
  async listen(): Promise<void> {
    const broker = await Aedes.createBroker({
      maxClientsIdLength: 64,
      authenticate: (client, _user, password, done) => {
        const code = this.#judgeLogin(client.id, password?.toString() ?? '');
        done(
          code === 0 ? null : Object.assign(new Error('refused'), { returnCode: code }),
          code === 0,
        );
      },
      authorizeSubscribe: (client, subscription, done) => {
        const parsed = parseTopic(subscription.topic);
        done(null, parsed?.topicId === client.id ? subscription : null);
      },
      authorizePublish: (client, packet, done) => {
        const parsed = parseTopic(packet.topic);
        const payload = new Uint8Array(packet.payload as Buffer);
        if (parsed?.channel === 'hello') {
          this.#judgeHello(parsed.topicId, payload, client === null || client.closed).then(
            () => done(null),
            done,
          );
        } else if (parsed?.channel === 'up' && client !== null && packet.qos === 1) {
          void this.#judgeEnvelope(client, parsed.topicId, payload, () => done(null));
        } else {
          this.violations.push(`publish on ${packet.topic} at QoS ${packet.qos}`);
          done(new Error('forbidden'));
        }
      },
    });
    broker.on('subscribe', (subscriptions, client) => {
      const topic = topicOf(client.id, 'config');
      if (this.#options.sendsConfig !== false && subscriptions.some((s) => s.topic === topic)) {
        void this.sendConfig(client.id);
      }
    });
    broker.on('clientReady', (client) => this.#clients.set(client.id, client));
    this.#broker = broker;
    const { tls } = this.#options;
    const serve = (socket: Socket) => {
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
      socket.on('error', () => undefined);
      broker.handle(socket);
    };
    this.#server = tls === undefined ? createServer(serve) : createTlsServer(tls, serve);
    this.#server.listen(this.#port, '127.0.0.1');
    await once(this.#server, 'listening');
    this.#port = (this.#server.address() as AddressInfo).port;
  }

  /** Cuts every connection; the port stays open. */
  dropConnections(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  /** Cuts every connection and closes the port. */
  async stop(): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.dropConnections();
    await closed;
    await new Promise<void>((resolve) => this.#broker.close(resolve));
  }

  async sendConfig(
    topicId: string,
    changes: { readonly gateway?: string; readonly realm?: Uint8Array } = {},
  ): Promise<void> {
    const body = wire.Config.encode({
      realm: changes.realm ?? this.#options.realm ?? LOCAL_REALM,
      streams: [...(this.#options.streams ?? [{ id: 1, name: 'drive' }])],
      envelopeBytesMax: 256 * 1024,
      gateway: changes.gateway ?? this.did,
      nextKeyHash: new Uint8Array(32).fill(7),
    }).finish();
    const input = signedMessageInput(
      'config',
      keyId(this.key.publicKey),
      keyId(keyFromDid(`did:key:${topicId}`)),
      body,
    );
    this.send(topicId, 'config', encodeSignedMessage('config', body, await this.#sign(input)));
  }

  /** Writes to the connected client, as the real gateway does. */
  send(topicId: string, channel: 'receipt' | 'config', payload: Uint8Array): void {
    const client = this.#clients.get(topicId);
    client?.publish(
      {
        cmd: 'publish',
        topic: topicOf(topicId, channel),
        payload: Buffer.from(payload),
        qos: 0,
        retain: false,
        dup: false,
      },
      () => undefined,
    );
  }

  /** A receipt as the gateway would sign it. */
  async receipt(
    device: PublicKey,
    statement: Uint8Array,
    outcome: Outcome,
    entryPath: readonly Uint8Array[] = [],
  ): Promise<Uint8Array> {
    const bodyBytes = encodeReceiptBody({ device: keyId(device), statement, outcome });
    const headBytes = encodeReceiptHead({
      gateway: keyId(this.key.publicKey),
      logId: new Uint8Array(16).fill(9),
      size: 1,
      root: leafHash(bodyBytes),
    });
    const signature = await this.#sign(headBytes);
    return encodeReceipt({ headBytes, signature, bodyBytes, index: 0, path: [], entryPath });
  }

  async #sign(message: Uint8Array): Promise<Uint8Array> {
    const signer = this.#options.signWith ?? this.key;
    return signMessage(signer, message);
  }

  #judgeLogin(clientId: string, password: string): number {
    this.#loginAttempts += 1;
    const verdict = this.#options.loginVerdict?.(this.#loginAttempts) ?? 0;
    if (verdict !== 0) return verdict;
    const read = readLoginToken(password, keyFromDid(`did:key:${clientId}`), this.did);
    if ('fault' in read) {
      this.violations.push(`login: ${read.fault}`);
      return 4;
    }
    if (read.token.counter <= this.#lastCounter) {
      this.violations.push(`login counter ${read.token.counter} after ${this.#lastCounter}`);
      return 5;
    }
    this.#lastCounter = read.token.counter;
    this.logins.push(read.token);
    return 0;
  }

  async #judgeHello(topicId: string, payload: Uint8Array, isWill: boolean): Promise<void> {
    const device = keyFromDid(`did:key:${topicId}`);
    try {
      const body = openSignedMessage('hello', payload, device, this.key.publicKey);
      this.hellos.push({ hello: decodeHello(body), isWill });
      const afterSeconds = this.#options.helloRetryAfterSeconds?.(this.hellos.length) ?? null;
      if (afterSeconds === null) return;
      const outcome: Outcome = { kind: 'retry', code: 'SESSIONS_TOO_MANY', afterSeconds };
      this.send(topicId, 'receipt', await this.receipt(device, sha256(payload), outcome));
    } catch (error) {
      this.violations.push(`hello: ${error}`);
    }
  }

  async #judgeEnvelope(
    client: Client,
    topicId: string,
    payload: Uint8Array,
    acknowledge: () => void,
  ): Promise<void> {
    const device = keyFromDid(`did:key:${topicId}`);
    const { envelope } = readEnvelope(payload);
    if (envelope === undefined) {
      this.violations.push('an envelope that cannot be read');
      return;
    }
    const { statement, statementBytes, signature, frames } = envelope;
    const { firstSequence, count, realm } = statement;
    if (!verifySignature(device, statementBytes, signature)) this.violations.push('signature');
    if (!equalBytes(realm, this.#options.realm ?? LOCAL_REALM)) this.violations.push('realm');
    this.arrivals.push(firstSequence);
    const hash = statementHash(statementBytes);
    const key = toHex(hash);
    const attempt = (this.#attempts.get(key) ?? 0) + 1;
    this.#attempts.set(key, attempt);
    const fate = this.#options.fate?.({ firstSequence, attempt }) ?? 'store';
    const answer = async (outcome: Outcome) =>
      this.send(topicId, 'receipt', await this.receipt(device, hash, outcome));

    if (typeof fate === 'object') {
      if ('refuse' in fate) {
        await answer({ kind: 'refused', code: fate.refuse });
        acknowledge();
      } else {
        const afterSeconds = fate.retryAfterSeconds;
        await answer({ kind: 'retry', code: 'OVERLOADED', afterSeconds });
      }
      return;
    }
    if (fate === 'drop-before-storing') {
      client.conn.destroy();
      return;
    }
    let receipt = this.#receipts.get(key);
    if (receipt === undefined) {
      for (const other of this.stored) {
        const end = other.firstSequence + other.frames.length;
        if (firstSequence < end && other.firstSequence < firstSequence + count) {
          this.violations.push(`range ${firstSequence} overlaps ${other.firstSequence}`);
        }
      }
      this.stored.push({ firstSequence, frames });
      const entryLeaf = leafHash(concatBytes(statementBytes, signature, new Uint8Array(16)));
      receipt = await this.receipt(device, hash, { kind: 'stored', entryLeaf });
      this.#receipts.set(key, receipt);
    }
    if (fate === 'drop-after-storing') {
      client.conn.destroy();
      return;
    }
    if (fate === 'lose-puback-and-receipt') return;
    acknowledge();
    if (fate === 'store') this.send(topicId, 'receipt', receipt);
  }
}
