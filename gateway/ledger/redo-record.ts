import { HASH_BYTES, readUint53, writeUint53 } from '@waystone/proto';

/**
 * What a commit group stored, as bytes from which its rows are made again:
 *
 * | bytes | what |
 * | --- | --- |
 * | 6 | the group's number |
 * | 4 | how many envelopes follow |
 * | for each 4, 8, 1, 4, 4, n | device, receive time as placed (µs), 1 if the clock was trusted, index of its answer, length, envelope |
 * | 32 each | leaf hashes of all of the group's answers |
 *
 * Integers are big-endian.
 */

const HEAD_BYTES = 10;
const ITEM_HEAD_BYTES = 21;

/** An envelope that was stored. */
export interface RedoItem {
  /** The device's number in the ledger. */
  readonly device: number;
  /** As it stands in the entry, µs. */
  readonly receivedAtUs: number;
  readonly clockTrusted: boolean;
  /** Index of its answer among the group's. */
  readonly answer: number;
  /** The envelope. */
  readonly payload: Uint8Array;
}

export interface RedoGroup {
  readonly group: number;
  readonly items: readonly RedoItem[];
  /** Leaf hashes of the group's answers, in one piece. */
  readonly leaves: Uint8Array;
}

/** Bytes that a group's record takes at most. @param payloadBytes of all its envelopes. */
export function redoBytesMax(envelopes: number, payloadBytes: number): number {
  return HEAD_BYTES + envelopes * (ITEM_HEAD_BYTES + HASH_BYTES) + payloadBytes;
}

/** Puts a group's record together, over and over in the same buffer. */
export class RedoRecorder {
  readonly #bytes: Buffer;
  #at = HEAD_BYTES;
  #items = 0;

  /** @param bytesMax of the largest record. */
  constructor(bytesMax: number) {
    this.#bytes = Buffer.alloc(bytesMax);
  }

  begin(): void {
    this.#at = HEAD_BYTES;
    this.#items = 0;
  }

  add({ device, receivedAtUs, clockTrusted, answer, payload }: RedoItem): void {
    const bytes = this.#bytes;
    const at = this.#at;
    bytes.writeUInt32BE(device, at);
    writeUint53(bytes, at + 4, receivedAtUs);
    bytes[at + 12] = clockTrusted ? 1 : 0;
    bytes.writeUInt32BE(answer, at + 13);
    bytes.writeUInt32BE(payload.length, at + 17);
    bytes.set(payload, at + ITEM_HEAD_BYTES);
    this.#at = at + ITEM_HEAD_BYTES + payload.length;
    this.#items += 1;
  }

  /** @returns the record, a view until the next {@link begin}. */
  end(group: number, leaves: Uint8Array): Buffer {
    this.#bytes.writeUIntBE(group, 0, 6);
    this.#bytes.writeUInt32BE(this.#items, 6);
    this.#bytes.set(leaves, this.#at);
    return this.#bytes.subarray(0, this.#at + leaves.length);
  }
}

/** Reads a record. @throws RangeError when it is not whole; whoever wrote it was not us. */
export function readRedoRecord(bytes: Buffer): RedoGroup {
  const group = bytes.readUIntBE(0, 6);
  const items: RedoItem[] = [];
  let at = HEAD_BYTES;
  for (let left = bytes.readUInt32BE(6); left > 0; left--) {
    const length = bytes.readUInt32BE(at + 17);
    const payload = bytes.subarray(at + ITEM_HEAD_BYTES, at + ITEM_HEAD_BYTES + length);
    if (payload.length !== length) throw new RangeError('the record ends within an envelope');
    items.push({
      device: bytes.readUInt32BE(at),
      receivedAtUs: readUint53(bytes, at + 4) as number,
      clockTrusted: bytes[at + 12] === 1,
      answer: bytes.readUInt32BE(at + 13),
      payload,
    });
    at += ITEM_HEAD_BYTES + length;
  }
  return { group, items, leaves: bytes.subarray(at) };
}
