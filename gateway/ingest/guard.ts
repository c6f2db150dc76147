import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import type { Code } from '@waystone/proto';

export interface GuardLimits {
  /** Largest first packet (CONNECT) in bytes: what a stranger can make the gateway keep. */
  readonly connectBytesMax: number;
  /** Largest later packet in bytes. */
  readonly packetBytesMax: number;
}

/** What a client did that ends its connection. */
export interface Violation {
  readonly code: Extract<Code, 'PACKET_TOO_LARGE' | 'PROTOCOL_UNSUPPORTED' | 'CLIENT_ID_INVALID'>;
  readonly detail: string;
}

/** First byte of CONNECT: packet type 1, flags 0 (MQTT 3.1.1 §3.1.1). */
const CONNECT = 0x10;

/** Why a client is not read: envelopes or hellos of it wait for their answer, or its connection is about to end. */
export type HoldReason = 'envelopes' | 'hello' | 'closing';

/** CONNACK of MQTT 5 "unsupported protocol version", and of MQTT 3.1.1 "unacceptable protocol version". */
const CONNACK_V5_UNSUPPORTED = Uint8Array.of(0x20, 0x03, 0x00, 0x84, 0x00);
const CONNACK_V3_UNSUPPORTED = Uint8Array.of(0x20, 0x02, 0x00, 0x01);

/** Bytes of a CONNECT that tell its protocol level: header up to 5, name length 2, "MQIsdp" 6, level 1. */
const PREFIX_BYTES_MAX = 14;

/**
 * Stands between a socket and the broker. It follows the packets' fixed headers, so that no packet larger than
 * the limit is ever gathered, answers protocol versions that the broker cannot speak, and stops reading the
 * socket while {@link hold} is on: the broker itself would go on reading a client whose publishes wait.
 */
export class GuardedSocket extends Duplex {
  readonly #socket: Socket;
  readonly #limits: GuardLimits;
  readonly #onViolation: (violation: Violation) => void;
  readonly #holds = new Set<HoldReason>();
  #wantsData = false;
  #isClosing = false;
  /** Bytes of the present packet's body still to come; a header is being read while it is 0. */
  #bodyLeft = 0;
  #packets = 0;
  #headerBytes = 0;
  #remainingLength = 0;
  /** The first bytes of the connection, until the protocol level is known. */
  #prefix: Buffer | null = Buffer.alloc(0);

  constructor(socket: Socket, limits: GuardLimits, onViolation: (violation: Violation) => void) {
    super({ allowHalfOpen: false });
    this.#socket = socket;
    this.#limits = limits;
    this.#onViolation = onViolation;
    socket.on('data', (chunk: Buffer) => this.#take(chunk));
    socket.on('end', () => this.push(null));
    socket.on('close', () => this.destroy());
    socket.on('error', (error) => this.destroy(error));
    socket.pause();
  }

  get remoteAddress(): string {
    return this.#socket.remoteAddress ?? 'unknown';
  }

  /** Stops (true) or resumes (false) reading the client, for one reason; it is read while there is none. */
  hold(reason: HoldReason, isHeld: boolean): void {
    if (isHeld) this.#holds.add(reason);
    else this.#holds.delete(reason);
    if (this.#holds.size > 0) this.#socket.pause();
    else if (this.#wantsData) this.#socket.resume();
  }

  /** Bytes for the client that the kernel has not taken yet. */
  get unsentBytes(): number {
    return this.#socket.writableLength + this.writableLength;
  }

  override _read(): void {
    this.#wantsData = true;
    if (this.#holds.size === 0) this.#socket.resume();
  }

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    this.#socket.write(chunk, done);
  }

  override _writev(
    chunks: { chunk: Buffer; encoding: BufferEncoding }[],
    done: (error?: Error | null) => void,
  ): void {
    this.#socket.write(Buffer.concat(chunks.map(({ chunk }) => chunk)), done);
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#socket.end(done);
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#isClosing = true;
    // What was written before, a refusal for instance, still goes out.
    this.#socket.destroySoon();
    this.#socket.resume();
    done(error);
  }

  #take(chunk: Buffer): void {
    if (this.#isClosing) return;
    const violation = this.#follow(chunk) ?? this.#checkLevel(chunk);
    if (violation !== null) {
      this.#isClosing = true;
      this.#onViolation(violation);
      return;
    }
    if (this.#prefix !== null) return;
    this.#pass(chunk);
  }

  #pass(chunk: Buffer): void {
    if (!this.push(chunk)) {
      this.#wantsData = false;
      this.#socket.pause();
    }
  }

  /** Follows fixed headers through the bytes. */
  #follow(chunk: Buffer): Violation | null {
    for (let at = 0; at < chunk.length; ) {
      if (this.#bodyLeft > 0) {
        const skipped = Math.min(this.#bodyLeft, chunk.length - at);
        this.#bodyLeft -= skipped;
        at += skipped;
        continue;
      }
      const byte = chunk[at++] as number;
      if (this.#headerBytes === 0) {
        if (this.#packets === 0 && byte !== CONNECT) {
          return { code: 'PROTOCOL_UNSUPPORTED', detail: 'the first packet is not CONNECT' };
        }
        this.#headerBytes = 1;
        this.#remainingLength = 0;
        continue;
      }
      this.#remainingLength += (byte & 0x7f) * 2 ** (7 * (this.#headerBytes - 1));
      this.#headerBytes += 1;
      const limit =
        this.#packets === 0 ? this.#limits.connectBytesMax : this.#limits.packetBytesMax;
      if (this.#headerBytes + this.#remainingLength > limit || this.#headerBytes > 5) {
        const size = this.#headerBytes + this.#remainingLength;
        return { code: 'PACKET_TOO_LARGE', detail: `packet of ${size} bytes, limit is ${limit}` };
      }
      if (byte < 0x80) {
        this.#bodyLeft = this.#remainingLength;
        this.#headerBytes = 0;
        this.#packets += 1;
      }
    }
    return null;
  }

  /** Looks at the protocol level of the CONNECT once enough bytes are there, then lets them pass. */
  #checkLevel(chunk: Buffer): Violation | null {
    if (this.#prefix === null) return null;
    const seen = Buffer.concat([this.#prefix, chunk]);
    const level = protocolLevel(seen);
    if (level === null && seen.length < PREFIX_BYTES_MAX) {
      this.#prefix = seen;
      return null;
    }
    if (level !== 3 && level !== 4) {
      const answer = level === 5 ? CONNACK_V5_UNSUPPORTED : CONNACK_V3_UNSUPPORTED;
      if (level !== null) this.#socket.write(answer);
      return {
        code: 'PROTOCOL_UNSUPPORTED',
        detail:
          level === null
            ? 'CONNECT names no MQTT protocol'
            : `protocol level ${level}; this gateway speaks MQTT 3.1.1 (level 4)`,
      };
    }
    const before = this.#prefix;
    this.#prefix = null;
    if (before.length > 0) this.push(before);
    return null;
  }
}

/** Protocol level of a CONNECT from its first bytes, or null when they do not (yet) tell. */
function protocolLevel(bytes: Buffer): number | null {
  let at = 1;
  while (at < bytes.length && (bytes[at] as number) >= 0x80) at += 1;
  at += 1;
  if (at + 2 > bytes.length) return null;
  const nameBytes = bytes.readUInt16BE(at);
  const name = bytes.subarray(at + 2, at + 2 + nameBytes).toString('latin1');
  if (name !== 'MQTT' && name !== 'MQIsdp') return null;
  const level = bytes[at + 2 + nameBytes];
  if (level === undefined) return null;
  // A Mosquitto bridge (try_private) says so in the highest bit of levels 3 and 4.
  return (level & 0x7f) === 3 || (level & 0x7f) === 4 ? level & 0x7f : level;
}
