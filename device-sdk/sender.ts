import { type Receipt, type ReceiptBody, sha256, toHex } from '@waystone/proto';
import type { Publication } from './connection.js';
import type { EnvelopeName, SignedEnvelope } from './envelope-builder.js';
import { DeviceError, EnvelopeRefusedError } from './errors.js';
import type { Outbox } from './outbox.js';
import type { Signal } from './signal.js';

/** What the sender needs of a connection. */
export interface Link {
  publish(payload: Uint8Array, onAcknowledged: () => void): Publication;
  readonly unsentBytes: number;
  drop(reason: DeviceError): void;
}

export interface SenderOptions {
  /** Envelopes sent and not yet receipted. */
  readonly windowMax: number;
  /** How long a receipt may take before its envelope is sent again, in ms. */
  readonly receiptTimeoutMs: number;
}

/** An envelope that is on the gateway's disk, and the gateway's word for it. */
export interface StoredEnvelope extends EnvelopeName {
  readonly receipt: Receipt;
}

interface Slot {
  readonly position: number;
  readonly envelope: SignedEnvelope;
  /** Null when it was not sent on this connection. */
  publication: Publication | null;
  sentAtMs: number;
  /** Times that it was sent on this connection. */
  sends: number;
  /** Until when the gateway asked to wait; 0 when it did not. */
  waitUntilMs: number;
}

interface Settler {
  readonly resolve: (stored: StoredEnvelope) => void;
  readonly reject: (error: Error) => void;
}

/** Longest wait that a `retry` receipt can ask for: one hour. */
const RETRY_MS_MAX = 3_600_000;

/** A receipt that stays out is asked for ever more rarely, down to this multiple of the timeout. */
const TIMEOUT_FACTOR_MAX = 8;

/**
 * Carries envelopes from the outbox to the gateway, oldest first, and lets go of each only when a signed
 * receipt says `stored` or `refused`. At most a window of them is undecided at a time.
 */
export class Sender {
  readonly #options: SenderOptions;
  readonly #outbox: Outbox;
  readonly #changed: Signal;
  /** Undecided envelopes by statement hash, in the outbox's order. */
  readonly #window = new Map<string, Slot>();
  readonly #settlers = new Map<string, Settler>();
  #link: Link | null = null;
  #timer: NodeJS.Timeout | undefined;
  #readTo = -1;
  #filling = false;
  #fillAgain = false;
  #tickMs = 0;
  /** How long the gateway has answered nothing, in ms. */
  #quietMs = 0;
  #unsentBytes = 0;

  constructor(options: SenderOptions, deps: { readonly outbox: Outbox; readonly changed: Signal }) {
    this.#options = options;
    this.#outbox = deps.outbox;
    this.#changed = deps.changed;
  }

  /** Envelopes that were sent at some time and have no receipt yet, oldest first. */
  unreceipted(): EnvelopeName[] {
    return [...this.#window.values()].map(({ envelope }) => envelope);
  }

  /** Puts an envelope into the outbox. `stored` settles with its receipt. */
  async add(envelope: SignedEnvelope): Promise<{ readonly stored: Promise<StoredEnvelope> }> {
    const key = toHex(envelope.statementHash);
    const stored = new Promise<StoredEnvelope>((resolve, reject) => {
      this.#settlers.set(key, { resolve, reject });
    });
    stored.catch(() => undefined); // Who does not look at the outcome still sees the receipt event.
    try {
      await this.#outbox.add(envelope);
    } catch (error) {
      this.#settlers.delete(key);
      throw error;
    }
    void this.#fill();
    return { stored };
  }

  /** Begins to send over a fresh connection: first all that is undecided, in order. */
  attach(link: Link): void {
    const nowMs = performance.now();
    this.#link = link;
    this.#quietMs = 0;
    this.#unsentBytes = 0;
    for (const slot of this.#window.values()) {
      slot.publication = null;
      slot.sends = 0;
      if (slot.waitUntilMs <= nowMs) this.#send(slot);
    }
    // Fine enough for a timeout and a retry; both are far from exact anyway.
    this.#tickMs = Math.min(Math.max(this.#options.receiptTimeoutMs / 4, 5), 1_000);
    this.#timer = setInterval(() => this.#tick(), this.#tickMs);
    void this.#fill();
  }

  /** Stops sending; what is undecided stays. */
  detach(): void {
    clearInterval(this.#timer);
    this.#link = null;
  }

  /** Fails what is still undecided; the outbox keeps it. */
  abandon(error: Error): void {
    for (const { reject } of this.#settlers.values()) reject(error);
    this.#settlers.clear();
  }

  /** Applies a checked receipt. Returns the envelope that it is about, if it is one that waits. */
  receive(receipt: Receipt): EnvelopeName | null {
    this.#quietMs = 0;
    const { outcome } = receipt.body;
    const slot = this.#find(receipt.body);
    if (slot === undefined) return null;
    const { statementHash, session, stream, firstSequence, count } = slot.envelope;
    const name: EnvelopeName = { statementHash, session, stream, firstSequence, count };
    switch (outcome.kind) {
      case 'stored':
        this.#settle(slot, (settler) => settler.resolve({ ...name, receipt }));
        break;
      case 'refused':
        this.#settle(slot, (settler) => {
          settler.reject(new EnvelopeRefusedError(outcome.code, name));
        });
        break;
      case 'retry':
        slot.publication?.forget();
        slot.waitUntilMs = performance.now() + Math.min(outcome.afterSeconds * 1_000, RETRY_MS_MAX);
        break;
    }
    return name;
  }

  #find({ statement, outcome }: ReceiptBody): Slot | undefined {
    const key = toHex(statement);
    const slot = this.#window.get(key);
    if (slot !== undefined || outcome.kind !== 'refused') return slot;
    // A refusal of what the gateway cannot read names the whole payload instead of the statement.
    for (const other of this.#window.values()) {
      if (toHex(sha256(other.envelope.payload)) === key) return other;
    }
    return undefined;
  }

  #settle(slot: Slot, outcome: (settler: Settler) => void): void {
    const key = toHex(slot.envelope.statementHash);
    slot.publication?.forget();
    this.#window.delete(key);
    const settler = this.#settlers.get(key);
    this.#settlers.delete(key);
    this.#outbox.remove(slot.position).then(
      () => {
        if (settler !== undefined) outcome(settler);
        this.#changed.notify();
        void this.#fill();
      },
      (error: Error) => settler?.reject(error),
    );
  }

  /** Tops up the window from the outbox. */
  async #fill(): Promise<void> {
    this.#fillAgain = true;
    if (this.#filling) return;
    this.#filling = true;
    try {
      while (this.#fillAgain) {
        this.#fillAgain = false;
        const room = this.#options.windowMax - this.#window.size;
        if (this.#link === null || room <= 0) continue;
        const items = await this.#outbox.read(this.#readTo, room);
        for (const { position, envelope } of items) {
          this.#readTo = position;
          const slot: Slot = {
            position,
            envelope,
            publication: null,
            sentAtMs: 0,
            sends: 0,
            waitUntilMs: 0,
          };
          this.#window.set(toHex(envelope.statementHash), slot);
          if (this.#link !== null) this.#send(slot);
        }
      }
    } catch (error) {
      this.#link?.drop(
        new DeviceError('CONNECTION_LOST', 'the outbox cannot be read; trying again', {
          cause: error,
        }),
      );
    } finally {
      this.#filling = false;
    }
  }

  #send(slot: Slot): void {
    if (this.#link === null) return;
    slot.publication?.forget();
    slot.waitUntilMs = 0;
    slot.sentAtMs = performance.now();
    slot.sends += 1;
    slot.publication = this.#link.publish(slot.envelope.payload, () => {
      this.#quietMs = 0;
    });
  }

  /** Sends again what the gateway asked to wait with, and what it acknowledged without a receipt. */
  #tick(): void {
    const link = this.#link;
    if (link === null) return;
    const nowMs = performance.now();
    const { receiptTimeoutMs } = this.#options;
    // Counted in ticks, since between two of them the event loop reads what has arrived: a process that was
    // busy for long must not take its own silence for the gateway's.
    this.#quietMs += this.#tickMs;
    if (link.unsentBytes < this.#unsentBytes) this.#quietMs = 0; // A slow uplink, not a dead one.
    this.#unsentBytes = link.unsentBytes;
    for (const slot of this.#window.values()) {
      if (slot.waitUntilMs > 0 || slot.publication === null) {
        if (slot.waitUntilMs <= nowMs) this.#send(slot);
        continue;
      }
      const factor = Math.min(2 ** (slot.sends - 1), TIMEOUT_FACTOR_MAX);
      if (nowMs - slot.sentAtMs < receiptTimeoutMs * factor) continue;
      if (slot.publication.acknowledged) {
        this.#send(slot);
      } else if (this.#quietMs >= receiptTimeoutMs) {
        // TCP delivers or fails, so sending again on this connection would only add to what hangs.
        link.drop(
          new DeviceError(
            'ANSWERS_MISSING',
            `the gateway answered nothing for ${Math.round(this.#quietMs)} ms; ` +
              'connecting anew and sending again',
          ),
        );
        return;
      }
    }
  }
}
