import { isUtf8 } from 'node:buffer';
import type { Code } from '@waystone/proto';

/** Control packet types of MQTT 3.1.1 §2.2.1, as the upper four bits of the first byte. */
export const PACKET_TYPES = {
  connect: 1,
  connack: 2,
  publish: 3,
  puback: 4,
  pubrec: 5,
  pubrel: 6,
  pubcomp: 7,
  subscribe: 8,
  suback: 9,
  unsubscribe: 10,
  unsuback: 11,
  pingreq: 12,
  pingresp: 13,
  disconnect: 14,
} as const;

/** What a client did that ends its connection. */
export interface Violation {
  /** Stable: metrics and logs use it. */
  readonly code: Extract<
    Code,
    'PACKET_TOO_LARGE' | 'PACKET_MALFORMED' | 'PROTOCOL_UNSUPPORTED' | 'CLIENT_ID_INVALID'
  >;
  /** One sentence for people. */
  readonly detail: string;
  /** CONNACK to send before the end, where the specification has one. */
  readonly answer?: Uint8Array;
}

/** A CONNECT that follows the rules. Byte fields are copies. */
export interface ConnectPacket {
  readonly clientId: string;
  readonly userName: string | undefined;
  readonly password: Uint8Array | undefined;
  readonly keepAliveSeconds: number;
  readonly will: Will | undefined;
}

export interface Will {
  readonly topic: string;
  readonly payload: Uint8Array;
  readonly qos: number;
}

/** A SUBSCRIBE or UNSUBSCRIBE that follows the rules. */
export interface FiltersPacket {
  readonly packetId: number;
  /** `qos` as the client asks for it; 0 in an UNSUBSCRIBE. */
  readonly filters: readonly { readonly filter: string; readonly qos: number }[];
}

/** CONNACK of MQTT 5 "unsupported protocol version", and of MQTT 3.1.1 "unacceptable protocol version". */
const CONNACK_V5_UNSUPPORTED = Uint8Array.of(0x20, 0x03, 0x00, 0x84, 0x00);
const CONNACK_V3_UNSUPPORTED = Uint8Array.of(0x20, 0x02, 0x00, 0x01);
/** CONNACK "identifier rejected". */
const CONNACK_ID_REJECTED = Uint8Array.of(0x20, 0x02, 0x00, 0x02);

/** Levels of a topic; the broker's own matcher takes no more. */
const TOPIC_LEVELS_MAX = 100;

const { connect, publish, puback, pubrec, pubrel, pubcomp, subscribe, unsubscribe, pingreq } =
  PACKET_TYPES;

/** A violation in the shape of a packet. */
export function malformed(detail: string): Violation {
  return { code: 'PACKET_MALFORMED', detail };
}

/**
 * Judges a packet by its first byte alone: type and reserved flags (MQTT 3.1.1 §2.2).
 *
 * @param isFirst whether it is the first packet of the connection, which must be CONNECT; no other may be.
 */
export function firstByteFault(first: number, isFirst: boolean): Violation | null {
  if (isFirst) {
    // Flags in the first byte of all are rather another protocol's than a fault in this one.
    return first === connect << 4
      ? null
      : { code: 'PROTOCOL_UNSUPPORTED', detail: 'the first packet is not CONNECT' };
  }
  const type = first >> 4;
  const flags = first & 0x0f;
  switch (type) {
    case publish:
      if ((flags & 0x06) === 0x06) return malformed('PUBLISH with QoS 3');
      if ((flags & 0x0e) === 0x08) return malformed('PUBLISH with DUP at QoS 0');
      return null;
    case pubrel:
    case subscribe:
    case unsubscribe:
      return flags === 2 ? null : malformed(`packet type ${type} with flags ${flags}, not 2`);
    case puback:
    case pubrec:
    case pubcomp:
    case pingreq:
    case PACKET_TYPES.disconnect:
      return flags === 0 ? null : malformed(`packet type ${type} with flags ${flags}, not 0`);
    case connect:
      return malformed('a second CONNECT');
    case 0:
    case 15:
      return malformed(`the reserved packet type ${type}`);
    default:
      return malformed(`packet type ${type}, which only a server may send`);
  }
}

/** Judges the remaining length of packets that have a fixed one. */
export function lengthFault(type: number, remainingLength: number): Violation | null {
  const wanted =
    type === pingreq || type === PACKET_TYPES.disconnect
      ? 0
      : type >= puback && type <= pubcomp
        ? 2
        : remainingLength;
  return remainingLength === wanted
    ? null
    : malformed(`packet type ${type} of ${remainingLength} bytes, not ${wanted}`);
}

/**
 * Judges name and level of the protocol from the first bytes of a CONNECT's body, as soon as they are there:
 * the rest of a CONNECT of another version may have any shape.
 */
export function protocolFault(body: Buffer): Violation | null {
  if (body.length < 2) return null;
  const nameBytes = body.readUInt16BE(0);
  if (nameBytes !== 4 && nameBytes !== 6) {
    return { code: 'PROTOCOL_UNSUPPORTED', detail: 'CONNECT names no MQTT protocol' };
  }
  if (body.length < 2 + nameBytes) return null;
  const name = body.toString('latin1', 2, 2 + nameBytes);
  if (name !== 'MQTT' && name !== 'MQIsdp') {
    return { code: 'PROTOCOL_UNSUPPORTED', detail: 'CONNECT names no MQTT protocol' };
  }
  const byte = body[2 + nameBytes];
  // A Mosquitto bridge (try_private) says that it is one in the highest bit of levels 3 and 4.
  const level = byte === 0x83 || byte === 0x84 ? byte & 0x7f : byte;
  if (level === undefined || level === (name === 'MQTT' ? 4 : 3)) return null;
  return {
    code: 'PROTOCOL_UNSUPPORTED',
    detail: `protocol ${name} level ${level}; this gateway speaks MQTT 3.1.1 (level 4)`,
    answer: level === 5 ? CONNACK_V5_UNSUPPORTED : CONNACK_V3_UNSUPPORTED,
  };
}

/** Reads the body of a CONNECT (MQTT 3.1.1 §3.1) whose protocol was judged. */
export function readConnect(body: Buffer): ConnectPacket | Violation {
  const reader = new FieldReader(body);
  reader.bytes();
  reader.byte();
  const flags = reader.byte();
  const keepAliveSeconds = reader.uint16();
  if (reader.isShort) return malformed('CONNECT ends before its payload');
  const has = (bit: number): boolean => (flags & bit) !== 0;
  const willQos = (flags >> 3) & 3;
  if (has(0x01)) return malformed('CONNECT with its reserved flag');
  if (has(0x04) ? willQos === 3 : (flags & 0x38) !== 0) {
    return malformed(has(0x04) ? 'a will with QoS 3' : 'will QoS or retain without a will');
  }
  if (has(0x40) && !has(0x80)) return malformed('CONNECT with a password but no user name');
  const clientId = reader.text('client id');
  let will: Will | undefined;
  if (has(0x04)) {
    const topic = reader.text('will topic');
    const fault = topicFault(topic);
    if (!reader.isShort && reader.fault === null && fault !== null) {
      return malformed(`will topic: ${fault}`);
    }
    will = { topic, payload: new Uint8Array(reader.bytes()), qos: willQos };
  }
  const userName = has(0x80) ? reader.text('user name') : undefined;
  const password = has(0x40) ? new Uint8Array(reader.bytes()) : undefined;
  if (reader.fault !== null) return malformed(reader.fault);
  if (reader.isShort) return malformed('CONNECT ends inside a field');
  if (reader.left > 0) return malformed(`CONNECT with ${reader.left} bytes after its last field`);
  if (clientId === '' && !has(0x02)) {
    return {
      code: 'CLIENT_ID_INVALID',
      detail: 'an empty client id needs a clean session (MQTT 3.1.1 §3.1.3.1)',
      answer: CONNACK_ID_REJECTED,
    };
  }
  return { clientId, userName, password, keepAliveSeconds, will };
}

/** Reads the body of a SUBSCRIBE or UNSUBSCRIBE (MQTT 3.1.1 §3.8, §3.10). */
export function readFilters(type: number, body: Buffer): FiltersPacket | Violation {
  const name = type === subscribe ? 'SUBSCRIBE' : 'UNSUBSCRIBE';
  const reader = new FieldReader(body);
  const packetId = reader.uint16();
  if (packetId === 0) return malformed(`${name} with packet id 0, or none`);
  if (reader.left === 0) return malformed(`${name} without a filter`);
  const filters: { filter: string; qos: number }[] = [];
  while (reader.left > 0) {
    const filter = reader.text('filter');
    const qos = type === subscribe ? reader.byte() : 0;
    if (reader.fault !== null) return malformed(reader.fault);
    if (reader.isShort) return malformed(`${name} ends inside a field`);
    const fault = filterFault(filter);
    if (fault !== null) return malformed(`filter: ${fault}`);
    if (qos > 2) return malformed(`SUBSCRIBE with QoS ${qos}`);
    filters.push({ filter, qos });
  }
  return { packetId, filters };
}

/** Judges the topic of a PUBLISH by its bytes. */
export function topicBytesFault(topic: Buffer): string | null {
  if (!isUtf8(topic)) return 'not well-formed UTF-8';
  if (topic.includes(0)) return 'it has a NUL';
  return topicFault(topic.toString());
}

/** Why a string is no topic name (MQTT 3.1.1 §4.7), or null. */
function topicFault(topic: string): string | null {
  if (topic === '') return 'it is empty';
  if (/[+#]/.test(topic)) return 'it has a wildcard';
  return levelsFault(topic);
}

/** Why a string is no topic filter (MQTT 3.1.1 §4.7.1), or null. */
function filterFault(filter: string): string | null {
  if (filter === '') return 'it is empty';
  const levels = filter.split('/');
  const isMisplaced = levels.some(
    (level, at) =>
      (level.includes('#') && (level !== '#' || at < levels.length - 1)) ||
      (level.includes('+') && level !== '+'),
  );
  return isMisplaced ? 'it has a misplaced wildcard' : levelsFault(filter);
}

function levelsFault(topic: string): string | null {
  return topic.split('/').length > TOPIC_LEVELS_MAX
    ? `it has more than ${TOPIC_LEVELS_MAX} levels`
    : null;
}

/** Reads length-prefixed fields; what is not there is empty, and {@link isShort} then. */
class FieldReader {
  readonly #body: Buffer;
  #at = 0;
  isShort = false;
  /** What is wrong with the first text that is no MQTT string. */
  fault: string | null = null;

  constructor(body: Buffer) {
    this.#body = body;
  }

  get left(): number {
    return this.#body.length - this.#at;
  }

  byte(): number {
    return this.#take(1)[0] ?? 0;
  }

  uint16(): number {
    const bytes = this.#take(2);
    return bytes.length === 2 ? bytes.readUInt16BE(0) : 0;
  }

  bytes(): Buffer {
    return this.#take(this.uint16());
  }

  /** A UTF-8 string (MQTT 3.1.1 §1.5.3). */
  text(name: string): string {
    const bytes = this.bytes();
    if (!isUtf8(bytes)) this.fault ??= `${name}: not well-formed UTF-8`;
    else if (bytes.includes(0)) this.fault ??= `${name}: it has a NUL`;
    return bytes.toString();
  }

  #take(count: number): Buffer {
    if (count > this.left) this.isShort = true;
    const taken = this.#body.subarray(this.#at, this.isShort ? this.#at : this.#at + count);
    this.#at = this.isShort ? this.#body.length : this.#at + count;
    return taken;
  }
}
