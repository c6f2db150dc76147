import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import type { DeviceRecord } from '../core/ports.js';
import {
  type ConnectPacket,
  type FiltersPacket,
  firstByteFault,
  lengthFault,
  malformed,
  PACKET_TYPES,
  protocolFault,
  readConnect,
  readFilters,
  topicBytesFault,
  type Violation,
} from './packet-rules.js';
import { sharedReader } from './shared-read.js';

export interface GuardLimits {
  /** Largest packet in bytes that is no PUBLISH: what a stranger can make the gateway keep. */
  readonly controlBytesMax: number;
  /** Largest PUBLISH in bytes. */
  readonly publishBytesMax: number;
  /** Unsent bytes beyond which the client is not read until it takes them. */
  readonly unsentBytesMax: number;
}

/** A PUBLISH to a topic that is no `up` of the client. */
export interface OtherPublish {
  readonly topic: string;
  readonly qos: 0 | 1 | 2;
  /** 0 at QoS 0. */
  readonly packetId: number;
  /** A view on the received bytes, good for the present turn of the event loop. */
  readonly payload: Buffer;
}

/** Whoever takes what a guard lets through. */
export interface GuardHandler {
  /** A CONNECT came; the broker gets it once this returns. The client is held for `login`. */
  connect(packet: ConnectPacket): void;
  /** The device whose `up` topic the bytes from `start` to `end` are, if the client may publish to it. */
  upDevice(bytes: Buffer, start: number, end: number): DeviceRecord | null;
  /** An envelope at QoS 0 (`packetId` 0) or 1, in bytes of its own. */
  envelope(device: DeviceRecord, payload: Buffer, packetId: number): void;
  subscribe(packet: FiltersPacket): void;
  unsubscribe(packet: FiltersPacket): void;
  /** Any other PUBLISH. */
  publish(packet: OtherPublish): void;
  /** Called once; nothing is taken from the client after it. */
  violation(violation: Violation): void;
}

/** Why a client is not read. */
export const HOLDS = {
  /** Its connection has to wait for its turn. */
  accept: 1,
  /** Its login is being looked at. */
  login: 2,
  /** Too many of its envelopes, or of all, wait for their answer. */
  envelopes: 4,
  /** A hello of it is under way. */
  hello: 8,
  /** It has sent more than its rate. */
  rate: 16,
  /** It does not take what it is sent. */
  unsent: 32,
  /** The broker has not taken its packets. */
  broker: 64,
  /** Its connection is about to end. */
  closing: 128,
} as const;

export type HoldReason = keyof typeof HOLDS;

/** Holds that may last: for those, what a client that has left has sent does not wait. */
const LASTING_HOLDS = HOLDS.envelopes | HOLDS.unsent | HOLDS.closing;

/**
 * Unread bytes of a held client beyond which its socket is no longer read. Up to there it is, since only a socket that is
 * read shows that the client has left.
 */
const HELD_BYTES_MAX = 16 * 1024;

/** How long a connection that has ended may take for what it was still sent, ms. */
const LINGER_MS = 5_000;

const EMPTY = Buffer.alloc(0);

const PUBLISH = PACKET_TYPES.publish;

/**
 * Stands between a socket and the broker. It reads the client's packets, enforces the rules of MQTT 3.1.1,
 * bounds their size before they are gathered, hands PUBLISHes and subscriptions to its handler and everything else
 * to the broker, and takes nothing while the client is held for any reason: what comes then stays where it is, so that
 * nothing overtakes.
 */
export class GuardedSocket extends Duplex {
  readonly #socket: Socket;
  readonly #limits: GuardLimits;
  readonly handler: GuardHandler;
  #holds = 0;
  #isClosing = false;
  #hasEnded = false;
  #isParsing = false;
  #hasConnect = false;
  /** Bytes that were read and wait until the client is let go on. */
  #rest: Buffer = EMPTY;
  /** The packet that has come in part: its room, and how much of it is there. */
  #packet: Buffer | null = null;
  #packetBytes = 0;
  /** Whether the client has said goodbye, so that its will is void. */
  hasDisconnected = false;
  /** When the last whole packet came, ms of `performance.now()`. */
  lastPacketAtMs = performance.now();

  constructor(socket: Socket, limits: GuardLimits, handler: GuardHandler) {
    super({ allowHalfOpen: false });
    this.#socket = socket;
    this.#limits = limits;
    this.handler = handler;
    guards.set(socket, this);
    // What a client sent before it ended the connection may have to wait.
    socket.allowHalfOpen = true;
    read(socket);
    socket.on('end', onEnd);
    socket.on('close', onClose);
    socket.on('error', onError);
    socket.on('drain', onDrain);
  }

  get remoteAddress(): string {
    return this.#socket.remoteAddress ?? 'unknown';
  }

  get isHeld(): boolean {
    return this.#holds !== 0;
  }

  /** Whether its CONNECT has come. */
  get hasConnect(): boolean {
    return this.#hasConnect;
  }

  /** Bytes for the client that the kernel has not taken yet. */
  get unsentBytes(): number {
    return this.#socket.writableLength;
  }

  /** Bytes for the client that the kernel has taken. */
  get sentBytes(): number {
    return this.#socket.bytesWritten - this.#socket.writableLength;
  }

  /** Stops (true) or resumes (false) taking packets, for one reason; they are taken while there is none. */
  hold(reason: HoldReason, isHeld: boolean): void {
    const before = this.#holds;
    this.#holds = isHeld ? before | HOLDS[reason] : before & ~HOLDS[reason];
    // While a chunk is being read, that stops or goes on by itself.
    if (this.#isParsing || this.#isClosing) return;
    if (this.#holds === 0 && before !== 0) {
      this.lastPacketAtMs = performance.now();
      this.#rest = this.#parse(this.#rest);
      if (this.#holds === 0 && this.#socket.isPaused()) this.#socket.resume();
    }
    this.#endWhenTaken();
  }

  /** Sends whole packets to the client, past the broker. */
  send(packets: Uint8Array): void {
    if (this.#socket.destroyed) return;
    if (!this.#socket.write(packets)) this.#holdIfSlow();
  }

  override _read(): void {
    this.hold('broker', false);
  }

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    this.#socket.write(chunk, done);
    this.#holdIfSlow();
  }

  override _writev(
    chunks: { chunk: Buffer; encoding: BufferEncoding }[],
    done: (error?: Error | null) => void,
  ): void {
    this.#socket.write(Buffer.concat(chunks.map(({ chunk }) => chunk)), done);
    this.#holdIfSlow();
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#socket.end(done);
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#isClosing = true;
    this.#drop();
    // What was written before, a refusal for instance, still goes out.
    this.#socket.destroySoon();
    this.#socket.resume();
    if (!this.#socket.destroyed) {
      // A client that takes nothing would keep its socket, and what waits for it, for ever.
      const cut = setTimeout(() => this.#socket.destroy(), LINGER_MS).unref();
      this.#socket.once('close', () => clearTimeout(cut));
    }
    done(error);
  }

  /** Ends the connection at once, whether or not the client has taken what was written. */
  cut(error?: Error): void {
    this.destroy(error);
    this.#socket.destroy();
  }

  #holdIfSlow(): void {
    if (this.unsentBytes > this.#limits.unsentBytesMax) this.hold('unsent', true);
  }

  #drop(): void {
    this.#rest = EMPTY;
    this.#packet = null;
  }

  /** Takes what the socket read. @param chunk good during this call; what is kept of it is copied. */
  receive(chunk: Buffer): void {
    if (this.#isClosing) return;
    const rest = this.#holds === 0 ? this.#parse(chunk) : chunk;
    if (rest.length === 0) return;
    this.#rest = Buffer.concat([this.#rest, rest]);
    if (this.#rest.length > HELD_BYTES_MAX) this.#socket.pause();
  }

  /** The client sends nothing more. What it has sent is still taken, where it is held for a short time only. */
  receiveEnd(): void {
    this.#hasEnded = true;
    this.#endWhenTaken();
  }

  #endWhenTaken(): void {
    if (!this.#hasEnded || this.#isClosing) return;
    if (this.#rest.length > 0 && (this.#holds & LASTING_HOLDS) === 0) return;
    this.#isClosing = true;
    this.#drop();
    this.push(null);
    this.#socket.end();
  }

  /** Reads packets until the bytes end or the client is held. @returns what is left, a view. */
  #parse(chunk: Buffer): Buffer {
    if (chunk.length === 0) return EMPTY;
    this.#isParsing = true;
    let at = 0;
    while (at < chunk.length && this.#holds === 0 && !this.#isClosing) {
      at = this.#packet === null ? this.#next(chunk, at) : this.#gather(this.#packet, chunk, at);
    }
    this.#isParsing = false;
    if (this.#isClosing) {
      this.#drop();
      return EMPTY;
    }
    return at < chunk.length ? chunk.subarray(at) : EMPTY;
  }

  /** Reads the packet that begins at `at`, or keeps what is there of it. @returns where to go on. */
  #next(chunk: Buffer, at: number): number {
    const first = chunk[at] as number;
    const fault = firstByteFault(first, !this.#hasConnect);
    if (fault !== null) return this.#violate(fault, chunk);
    const type = first >> 4;
    const limit = type === PUBLISH ? this.#limits.publishBytesMax : this.#limits.controlBytesMax;
    let length = 0;
    let bodyAt = at + 1;
    for (let shift = 0; ; shift += 7) {
      if (shift > 21) {
        return this.#violate(
          { code: 'PACKET_TOO_LARGE', detail: 'a remaining length of more than four bytes' },
          chunk,
        );
      }
      if (bodyAt === chunk.length) {
        // The header is not whole: four bytes at most, which the next chunk completes.
        this.#packet = Buffer.allocUnsafeSlow(5);
        this.#packetBytes = chunk.copy(this.#packet, 0, at);
        return chunk.length;
      }
      const byte = chunk[bodyAt++] as number;
      length += (byte & 0x7f) << shift;
      const size = bodyAt - at + length;
      if (size > limit) {
        return this.#violate(
          { code: 'PACKET_TOO_LARGE', detail: `packet of ${size} bytes, limit is ${limit}` },
          chunk,
        );
      }
      if (byte < 0x80) break;
    }
    const lengthIsWrong = lengthFault(type, length);
    if (lengthIsWrong !== null) return this.#violate(lengthIsWrong, chunk);
    const end = bodyAt + length;
    if (end <= chunk.length) {
      this.#whole(chunk, at, bodyAt, end);
      return end;
    }
    this.#packet = Buffer.allocUnsafeSlow(end - at);
    this.#packetBytes = chunk.copy(this.#packet, 0, at);
    if (type === PACKET_TYPES.connect) this.#checkProtocol(chunk.subarray(bodyAt), chunk);
    return chunk.length;
  }

  /** Completes a packet that has come in part. @returns where to go on. */
  #gather(packet: Buffer, chunk: Buffer, at: number): number {
    const headerAt = headerEnd(packet, this.#packetBytes);
    if (headerAt === 0) {
      // Its header is completed byte by byte, and judged as if the packet began here.
      packet[this.#packetBytes] = chunk[at] as number;
      const head = packet.subarray(0, this.#packetBytes + 1);
      this.#packet = null;
      this.#next(head, 0);
      return at + 1;
    }
    const copied = chunk.copy(packet, this.#packetBytes, at);
    this.#packetBytes += copied;
    if (this.#packetBytes === packet.length) {
      this.#packet = null;
      this.#whole(packet, 0, headerAt, packet.length);
    } else if (!this.#hasConnect) {
      this.#checkProtocol(packet.subarray(headerAt, this.#packetBytes), chunk);
    }
    return at + copied;
  }

  #checkProtocol(body: Buffer, chunk: Buffer): void {
    const fault = protocolFault(body);
    if (fault !== null) this.#violate(fault, chunk);
  }

  #violate(violation: Violation, chunk: Buffer): number {
    this.#isClosing = true;
    if (violation.answer !== undefined) this.send(violation.answer);
    this.handler.violation(violation);
    return chunk.length;
  }

  /** Takes one whole packet: `bytes` from `start` to `end`, its body from `bodyAt`. */
  #whole(bytes: Buffer, start: number, bodyAt: number, end: number): void {
    this.lastPacketAtMs = performance.now();
    const first = bytes[start] as number;
    const type = first >> 4;
    let fault: Violation | null = null;
    switch (type) {
      case PUBLISH:
        fault = this.#publish(first, bytes, bodyAt, end);
        break;
      case PACKET_TYPES.connect:
        fault = this.#connect(Buffer.from(bytes.subarray(start, end)), bodyAt - start);
        break;
      case PACKET_TYPES.subscribe:
      case PACKET_TYPES.unsubscribe: {
        const read = readFilters(type, bytes.subarray(bodyAt, end));
        if ('code' in read) fault = read;
        else if (type === PACKET_TYPES.subscribe) this.handler.subscribe(read);
        else this.handler.unsubscribe(read);
        break;
      }
      case PACKET_TYPES.pubrel:
        // QoS 2 is not taken, so this ends an exchange that began elsewhere (MQTT 3.1.1 §4.3.3).
        this.send(Uint8Array.of(0x70, 2, bytes[bodyAt] as number, bytes[bodyAt + 1] as number));
        break;
      case PACKET_TYPES.puback:
      case PACKET_TYPES.pubrec:
      case PACKET_TYPES.pubcomp:
        break; // The client gets nothing that it would have to acknowledge.
      case PACKET_TYPES.disconnect:
        this.hasDisconnected = true;
        this.hold('closing', true);
        this.#pass(Buffer.from(bytes.subarray(start, end)));
        break;
      default:
        this.#pass(Buffer.from(bytes.subarray(start, end)));
    }
    if (fault !== null) this.#violate(fault, bytes);
  }

  /** @param packet bytes of its own: the login and the will outlast this call. */
  #connect(packet: Buffer, bodyAt: number): Violation | null {
    const body = packet.subarray(bodyAt);
    const read = protocolFault(body) ?? readConnect(body);
    if ('code' in read) return read;
    this.#hasConnect = true;
    this.hold('login', true);
    this.handler.connect(read);
    this.#pass(packet);
    return null;
  }

  #publish(first: number, bytes: Buffer, bodyAt: number, end: number): Violation | null {
    const qos = (first >> 1) & 3;
    const topicAt = bodyAt + 2;
    const topicEnd = topicAt + (topicAt > end ? 0 : bytes.readUInt16BE(bodyAt));
    const payloadAt = topicEnd + (qos === 0 ? 0 : 2);
    if (payloadAt > end) return malformed('PUBLISH ends before its payload');
    const packetId = qos === 0 ? 0 : bytes.readUInt16BE(topicEnd);
    if (qos > 0 && packetId === 0) return malformed('PUBLISH with packet id 0');
    const payload = bytes.subarray(payloadAt, end);
    if (qos < 2) {
      const device = this.handler.upDevice(bytes, topicAt, topicEnd);
      if (device !== null) {
        this.handler.envelope(device, Buffer.from(payload), packetId);
        return null;
      }
    }
    const topic = bytes.subarray(topicAt, topicEnd);
    const fault = topicBytesFault(topic);
    if (fault !== null) return malformed(`PUBLISH topic: ${fault}`);
    this.handler.publish({ topic: topic.toString(), qos: qos as 0 | 1 | 2, packetId, payload });
    return null;
  }

  /** Gives a packet to the broker. @param packet bytes of its own. */
  #pass(packet: Buffer): void {
    if (!this.push(packet)) this.hold('broker', true);
  }
}

/**
 * The guard of each socket, for the listeners below: listeners of its own would cost every silent connection half a
 * kilobyte.
 */
const guards = new WeakMap<Socket, GuardedSocket>();

const read = sharedReader((socket, chunk) => guards.get(socket)?.receive(chunk));

function onEnd(this: Socket): void {
  guards.get(this)?.receiveEnd();
}

function onClose(this: Socket): void {
  guards.get(this)?.destroy();
}

function onError(this: Socket, error: Error): void {
  guards.get(this)?.destroy(error);
}

function onDrain(this: Socket): void {
  guards.get(this)?.hold('unsent', false);
}

/** Where the header of a packet ends of which `have` bytes are there, or 0 when it is not whole. */
function headerEnd(packet: Buffer, have: number): number {
  for (let at = 1; at < have; at++) {
    if ((packet[at] as number) < 0x80) return at + 1;
  }
  return 0;
}
