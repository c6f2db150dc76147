import type { Code } from '@waystone/proto';
import type { ArrivedEnvelope, Decision, EnvelopeItem, VerifiedBatch } from './ports.js';
import type { Refusal } from './refusal.js';

/**
 * How batches go from thread to thread: numbers in one typed array and bytes in one buffer, both handed over
 * rather than copied. An object for each envelope would cost more to clone than its row costs to write.
 */

/** Envelopes under way: to a verifier, and from there as a {@link VerifiedBatch} to the ledger. */
export interface PackedBatch {
  /** All payloads, one after the other. */
  readonly buffer: ArrayBuffer;
  /** Six numbers for each envelope: ticket, device, offset, length, receive time, clock trusted. */
  readonly items: Float64Array<ArrayBuffer>;
  /** Refusals by place in the batch; most batches have none. */
  readonly refusals: readonly (readonly [number, Refusal])[];
}

const ITEM_NUMBERS = 6;

/** Copies the payloads into one buffer. Nothing is refused yet. */
export function packEnvelopes(envelopes: readonly ArrivedEnvelope[]): PackedBatch {
  let size = 0;
  for (const { payload } of envelopes) size += payload.length;
  const bytes = new Uint8Array(size);
  const items = new Float64Array(envelopes.length * ITEM_NUMBERS);
  let offset = 0;
  let at = 0;
  for (const { ticket, device, receivedAtUs, clockTrusted, payload } of envelopes) {
    bytes.set(payload, offset);
    items[at] = ticket;
    items[at + 1] = device;
    items[at + 2] = offset;
    items[at + 3] = payload.length;
    items[at + 4] = receivedAtUs;
    items[at + 5] = clockTrusted ? 1 : 0;
    offset += payload.length;
    at += ITEM_NUMBERS;
  }
  return { buffer: bytes.buffer, items, refusals: [] };
}

export function unpackBatch(packed: PackedBatch): VerifiedBatch {
  const { buffer, items: numbers } = packed;
  const refusals = new Map(packed.refusals);
  const items: (EnvelopeItem & { refusal: Refusal | null })[] = [];
  for (let at = 0; at < numbers.length; at += ITEM_NUMBERS) {
    items.push({
      ticket: numbers[at] as number,
      device: numbers[at + 1] as number,
      offset: numbers[at + 2] as number,
      length: numbers[at + 3] as number,
      receivedAtUs: numbers[at + 4] as number,
      clockTrusted: numbers[at + 5] === 1,
      refusal: refusals.get(at / ITEM_NUMBERS) ?? null,
    });
  }
  return { buffer, items };
}

/** What to hand over with a packed batch. */
export function transferOf(packed: PackedBatch): ArrayBuffer[] {
  return [packed.buffer, packed.items.buffer];
}

/** {@link Decision}s under way. */
export interface PackedDecisions {
  /** Five numbers for each: ticket, device, kind, frames, bytes of its receipt. */
  readonly numbers: Float64Array<ArrayBuffer>;
  /** The receipts, one after the other. */
  readonly receipts: Uint8Array<ArrayBuffer>;
  /** What is refused or to be tried again, by place. */
  readonly others: readonly (readonly [number, Refusal | null, Code | null])[];
}

const DECISION_NUMBERS = 5;
const KINDS = ['stored', 'duplicate', 'refused', 'retry'] as const;

export function packDecisions(decisions: readonly Decision[]): PackedDecisions {
  const size = decisions.reduce((sum, { receipt }) => sum + receipt.length, 0);
  const packer = new DecisionPacker(decisions.length, size);
  for (const decision of decisions) {
    packer.receipts.set(decision.receipt, packer.receiptAt);
    packer.add(decision, decision.receipt.length);
  }
  return packer.packed();
}

/** Packs decisions whose receipts are written where they go. */
export class DecisionPacker {
  readonly #numbers: Float64Array<ArrayBuffer>;
  readonly #others: [number, Refusal | null, Code | null][] = [];
  readonly receipts: Uint8Array<ArrayBuffer>;
  /** Where the next receipt begins in `receipts`. */
  receiptAt = 0;
  #count = 0;

  /** @param receiptsBytes bytes of all receipts. */
  constructor(count: number, receiptsBytes: number) {
    this.#numbers = new Float64Array(count * DECISION_NUMBERS);
    this.receipts = new Uint8Array(receiptsBytes);
  }

  /** Adds a decision whose receipt stands at {@link receiptAt}. */
  add(decision: Omit<Decision, 'receipt'>, receiptBytes: number): void {
    const { ticket, device, kind, frames, refusal, retryCode } = decision;
    if (refusal !== null || retryCode !== null) {
      this.#others.push([this.#count, refusal, retryCode]);
    }
    const numbers = this.#numbers;
    const at = this.#count * DECISION_NUMBERS;
    numbers[at] = ticket;
    numbers[at + 1] = device;
    numbers[at + 2] = KINDS.indexOf(kind);
    numbers[at + 3] = frames;
    numbers[at + 4] = receiptBytes;
    this.#count += 1;
    this.receiptAt += receiptBytes;
  }

  packed(): PackedDecisions {
    return { numbers: this.#numbers, receipts: this.receipts, others: this.#others };
  }
}

export function unpackDecisions(packed: PackedDecisions): Decision[] {
  const { numbers, receipts } = packed;
  const others = new Map(packed.others.map(([place, ...what]) => [place, what]));
  const decisions: Decision[] = [];
  let offset = 0;
  for (let at = 0; at < numbers.length; at += DECISION_NUMBERS) {
    const [refusal, retryCode] = others.get(at / DECISION_NUMBERS) ?? [null, null];
    const end = offset + (numbers[at + 4] as number);
    decisions.push({
      ticket: numbers[at] as number,
      device: numbers[at + 1] as number,
      kind: KINDS[numbers[at + 2] as number] as Decision['kind'],
      frames: numbers[at + 3] as number,
      receipt: receipts.subarray(offset, end),
      refusal,
      retryCode,
    });
    offset = end;
  }
  return decisions;
}
