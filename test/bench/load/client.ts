import { once } from 'node:events';
import net from 'node:net';
import tls from 'node:tls';
import { decodeReceipt } from '@waystone/proto';

/** PUBLISH packets of one device, made before the clock starts and sent as they lie in memory. */
export interface PacketRun {
  readonly bytes: Buffer;
  /** Where each packet begins; one more number than packets, the last being the end. */
  readonly offsets: Float64Array;
}

/** Largest MQTT packet id; ids of a run go 1, 2, … and around. */
const PACKET_ID_MAX = 65_535;

/** Where a receipt's body begins: preamble 8, head 104, signature 64. Its first byte is the outcome. */
const RECEIPT_BODY_AT = 176;
const OUTCOME_STORED = 1;
const OUTCOME_RETRY = 3;

const READ_BUFFER = Buffer.allocUnsafeSlow(64 * 1024);
const NOTHING = Buffer.alloc(0);

export interface ClientEvents {
  /** The envelope of this place in the run has its PUBACK. */
  readonly acknowledged?: (index: number) => void;
  /** Receipts come in the order of the envelopes, so the n-th answers the n-th. */
  readonly receipted?: (index: number) => void;
}

/** One device's connection: as little work as possible, so that the load takes little of the machine. */
export class LoadClient {
  readonly #run: PacketRun;
  readonly #events: ClientEvents;
  #socket: net.Socket | null = null;
  #rest: Buffer = NOTHING;
  #window = 0;
  #topicBytes = 0;
  sent = 0;
  acknowledged = 0;
  /** Receipts that say `stored`. */
  stored = 0;
  /** Receipts that say anything else. */
  otherReceipts = 0;
  retries = 0;
  outOfOrder = 0;
  isClosed = false;
  #answers: ((type: number, body: Buffer) => void) | null = null;

  constructor(run: PacketRun, events: ClientEvents = {}) {
    this.#run = run;
    this.#events = events;
  }

  get packets(): number {
    return this.#run.offsets.length - 1;
  }

  /** Connects, logs in and subscribes. @throws Error when the gateway refuses. */
  async open(options: {
    port: number;
    ca?: Buffer;
    connect: Buffer;
    subscribe: Buffer | null;
  }): Promise<void> {
    const { port, ca } = options;
    // All sockets read into the same memory: none of it is looked at after the turn in which it came.
    const onread = {
      buffer: READ_BUFFER,
      callback: (length: number) => {
        this.#read(READ_BUFFER.subarray(0, length));
        return true;
      },
    };
    const socket =
      ca === undefined
        ? net.connect({ host: '127.0.0.1', port, onread })
        : tls.connect({ host: '127.0.0.1', port, ca, servername: 'localhost' });
    this.#socket = socket;
    socket.setNoDelay(true);
    socket.on('error', () => undefined);
    socket.once('close', () => {
      this.isClosed = true;
    });
    await once(socket, ca === undefined ? 'connect' : 'secureConnect');
    if (ca !== undefined) socket.on('data', (chunk: Buffer) => this.#read(chunk));
    await this.#ask(options.connect, 2, (body) => body[1] === 0);
    if (options.subscribe !== null) {
      await this.#ask(options.subscribe, 9, (body) => !body.subarray(2).includes(0x80));
    }
  }

  /** Keeps up to `window` envelopes unanswered until the run is sent or {@link hold} is called. */
  run(window: number): void {
    this.#window = window;
    this.#fill();
  }

  hold(): void {
    this.#window = 0;
  }

  /** Sends the next envelope, whatever is unanswered. @returns false when there is none, or no connection. */
  sendNext(): boolean {
    if (this.sent >= this.packets || this.isClosed) return false;
    this.#send(1);
    return true;
  }

  close(): void {
    this.#socket?.destroy();
  }

  #ask(packet: Buffer, type: number, isRight: (body: Buffer) => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      const closed = () => reject(new Error('the gateway closed the connection'));
      this.#socket?.once('close', closed);
      this.#answers = (got, body) => {
        this.#socket?.removeListener('close', closed);
        this.#answers = null;
        if (got === type && isRight(body)) resolve();
        else reject(new Error(`packet type ${got} came: ${body.toString('hex')}`));
      };
      this.#socket?.write(packet);
    });
  }

  #fill(): void {
    const left = this.packets - this.sent;
    const free = Math.min(this.#window - (this.sent - this.acknowledged), left);
    // Some at a time, as a device does that is not woken for each answer; but all in the end.
    if (free > 0 && (free * 4 >= this.#window || free === left)) this.#send(free);
  }

  #send(count: number): void {
    const { bytes, offsets } = this.#run;
    const end = this.sent + count;
    this.#socket?.write(bytes.subarray(offsets[this.sent], offsets[end]));
    this.sent = end;
  }

  #read(chunk: Buffer): void {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    let at = 0;
    while (at + 2 <= bytes.length) {
      let length = 0;
      let head = 1;
      let isWhole = false;
      for (; head < 5 && at + head < bytes.length; head++) {
        const byte = bytes[at + head] as number;
        length |= (byte & 0x7f) << (7 * (head - 1));
        if (byte < 0x80) {
          isWhole = true;
          head += 1;
          break;
        }
      }
      if (!isWhole || at + head + length > bytes.length) break;
      this.#take(bytes[at] as number, bytes, at + head, length);
      at += head + length;
    }
    this.#rest = at === bytes.length ? NOTHING : Buffer.from(bytes.subarray(at));
    if (this.#window > 0) this.#fill();
  }

  #take(first: number, bytes: Buffer, at: number, length: number): void {
    const type = first >> 4;
    if (type === 4) {
      if (bytes.readUInt16BE(at) !== (this.acknowledged % PACKET_ID_MAX) + 1) this.outOfOrder += 1;
      this.#events.acknowledged?.(this.acknowledged);
      this.acknowledged += 1;
      return;
    }
    if (type === 3) {
      this.#takeReceipt(bytes, at, length);
      return;
    }
    this.#answers?.(type, bytes.subarray(at, at + length));
  }

  #takeReceipt(bytes: Buffer, at: number, length: number): void {
    const topicLength = bytes.readUInt16BE(at);
    const payload = at + 2 + topicLength;
    if (this.#topicBytes === 0) {
      // A config message may come first; receipts are read in full once, then by their outcome's byte.
      if (!bytes.toString('latin1', at + 2, payload).endsWith('/receipt')) return;
      decodeReceipt(bytes.subarray(payload, at + length));
      this.#topicBytes = topicLength;
    }
    if (topicLength !== this.#topicBytes) return;
    const outcome = bytes[payload + RECEIPT_BODY_AT];
    if (outcome === OUTCOME_STORED) {
      this.#events.receipted?.(this.stored);
      this.stored += 1;
    } else {
      this.otherReceipts += 1;
      if (outcome === OUTCOME_RETRY) this.retries += 1;
    }
  }
}

/** PUBLISH packets (QoS 1) of payloads given in two parts, on one topic, with packet ids 1, 2, … */
export function packetRun(
  topic: string,
  payloads: Iterable<{ head: Uint8Array; frames: Uint8Array }>,
): PacketRun {
  const name = Buffer.from(topic);
  const packets: Buffer[] = [];
  const offsets: number[] = [0];
  let end = 0;
  for (const { head, frames } of payloads) {
    const size = 2 + name.length + 2 + head.length + frames.length;
    const start = Buffer.alloc(7);
    start[0] = 0x32;
    let at = 1;
    for (let rest = size; ; ) {
      const digit = rest & 0x7f;
      rest >>>= 7;
      start[at++] = rest > 0 ? digit | 0x80 : digit;
      if (rest === 0) break;
    }
    start.writeUInt16BE(name.length, at);
    const id = Buffer.alloc(2);
    id.writeUInt16BE(((offsets.length - 1) % PACKET_ID_MAX) + 1);
    packets.push(start.subarray(0, at + 2), name, id, head as Buffer, frames as Buffer);
    end += at + size;
    offsets.push(end);
  }
  return { bytes: Buffer.concat(packets), offsets: Float64Array.from(offsets) };
}
