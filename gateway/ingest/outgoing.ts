/** First bytes of acknowledgements, and of a PUBLISH at QoS 0. */
const PUBACK = 0x40;
const SUBACK = 0x90;
const UNSUBACK = 0xb0;
const PUBLISH = 0x30;

/** A topic with its length before it, as it stands in a PUBLISH. */
export function topicField(topic: string): Uint8Array {
  const bytes = Buffer.from(topic);
  return Buffer.concat([Uint8Array.of(bytes.length >> 8, bytes.length & 0xff), bytes]);
}

/** Packets for one client that leave together, in one write. */
export class Outgoing {
  /**
   * Packet ids of PUBACKs, and topic and payload of PUBLISHes in turn. One array for good: a connection's array is of the
   * old generation before its next packet comes, and after it was let go no scavenge would free what it held last.
   */
  readonly #parts: (number | Uint8Array)[] = [];
  #sizeBytes = 0;

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  puback(packetId: number): void {
    this.#parts.push(packetId);
    this.#sizeBytes += 4;
  }

  /** A PUBLISH at QoS 0. @param topic as {@link topicField} gives it. */
  publish(topic: Uint8Array, payload: Uint8Array): void {
    this.#parts.push(topic, payload);
    const remaining = topic.length + payload.length;
    this.#sizeBytes += 1 + lengthBytes(remaining) + remaining;
  }

  /** All packets so far; begins anew. */
  take(): Uint8Array {
    const bytes = Buffer.allocUnsafe(this.#sizeBytes);
    const parts = this.#parts;
    let at = 0;
    for (let k = 0; k < parts.length; k++) {
      const part = parts[k] as number | Uint8Array;
      if (typeof part === 'number') {
        bytes[at++] = PUBACK;
        bytes[at++] = 2;
        bytes[at++] = part >> 8;
        bytes[at++] = part & 0xff;
        continue;
      }
      const payload = parts[++k] as Uint8Array;
      bytes[at++] = PUBLISH;
      let left = part.length + payload.length;
      while (left > 127) {
        bytes[at++] = (left & 0x7f) | 0x80;
        left >>= 7;
      }
      bytes[at++] = left;
      bytes.set(part, at);
      at += part.length;
      bytes.set(payload, at);
      at += payload.length;
    }
    parts.length = 0;
    this.#sizeBytes = 0;
    return bytes;
  }
}

/** SUBACK: for each filter in turn the QoS that is granted, or 0x80 where it is refused (MQTT 3.1.1 §3.9). */
export function suback(packetId: number, codes: readonly number[]): Uint8Array {
  const remaining = 2 + codes.length;
  // Filters come in a packet of some kB, so that two bytes are enough for the length.
  const length = remaining < 128 ? [remaining] : [(remaining & 0x7f) | 0x80, remaining >> 7];
  return Uint8Array.of(SUBACK, ...length, packetId >> 8, packetId & 0xff, ...codes);
}

/** UNSUBACK (MQTT 3.1.1 §3.11). */
export function unsuback(packetId: number): Uint8Array {
  return Uint8Array.of(UNSUBACK, 2, packetId >> 8, packetId & 0xff);
}

/** Bytes of a remaining length (MQTT 3.1.1 §2.2.3). */
function lengthBytes(remaining: number): number {
  if (remaining < 128) return 1;
  if (remaining < 16_384) return 2;
  return remaining < 2_097_152 ? 3 : 4;
}
