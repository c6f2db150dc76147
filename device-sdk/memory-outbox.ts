import { toHex } from '@waystone/proto';
import type { SignedEnvelope } from './envelope-builder.js';
import type { Outbox, OutboxItem } from './outbox.js';

export interface MemoryOutboxOptions {
  /** Default 4,096. */
  readonly envelopesMax?: number;
  /** Payload bytes; default 64 MiB, which suits a small single-board computer. */
  readonly bytesMax?: number;
}

/** An outbox in memory: it outlives connections, not the process. */
export class MemoryOutbox implements Outbox {
  readonly #envelopesMax: number;
  readonly #bytesMax: number;
  /** In order of position, as positions only rise. */
  readonly #items = new Map<number, SignedEnvelope>();
  #nextPosition = 0;
  #bytes = 0;

  constructor({ envelopesMax = 4096, bytesMax = 64 * 1024 * 1024 }: MemoryOutboxOptions = {}) {
    if (!(envelopesMax >= 1) || !(bytesMax >= 1)) {
      throw new RangeError(
        `outbox limits must be at least 1, got envelopesMax ${envelopesMax}, bytesMax ${bytesMax}`,
      );
    }
    this.#envelopesMax = envelopesMax;
    this.#bytesMax = bytesMax;
  }

  get isFull(): boolean {
    return this.#items.size >= this.#envelopesMax || this.#bytes >= this.#bytesMax;
  }

  get size(): number {
    return this.#items.size;
  }

  async add(envelope: SignedEnvelope): Promise<void> {
    this.#items.set(this.#nextPosition, envelope);
    this.#nextPosition += 1;
    this.#bytes += envelope.payload.length;
  }

  async read(position: number, count: number): Promise<readonly OutboxItem[]> {
    const items: OutboxItem[] = [];
    // What is let go leaves from the front, so few are passed over: at most a window of unreceipted ones.
    for (const [at, envelope] of this.#items) {
      if (items.length >= count) break;
      if (at > position) items.push({ position: at, envelope });
    }
    return items;
  }

  async remove(position: number): Promise<void> {
    const envelope = this.#items.get(position);
    if (envelope === undefined) return;
    this.#items.delete(position);
    this.#bytes -= envelope.payload.length;
  }

  sessions(): readonly Uint8Array[] {
    const sessions = new Map<string, Uint8Array>();
    for (const { session } of this.#items.values()) sessions.set(toHex(session), session);
    return [...sessions.values()];
  }
}
