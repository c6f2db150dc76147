import type { SignedEnvelope } from './envelope-builder.js';

/** Where envelopes wait until a signed receipt decides them. */
export interface Outbox {
  /**
   * Keeps an envelope behind all that are there; resolves once it is kept as safely as this outbox can.
   * It must accept at least one envelope while `isFull` is false; a call of `publish` may exceed the bound
   * by its own envelopes.
   */
  add(envelope: SignedEnvelope): Promise<void>;

  /** The oldest envelopes behind `position` (-1 for the beginning), at most `count`, in order. */
  read(position: number, count: number): Promise<readonly OutboxItem[]>;

  /** Lets go of an envelope; one that is not there is no error. */
  remove(position: number): Promise<void>;

  /** Whether new envelopes have to wait. */
  readonly isFull: boolean;

  /** Number of envelopes kept. */
  readonly size: number;

  /** Sessions that have envelopes here, 16 bytes each. */
  sessions(): readonly Uint8Array[];
}

export interface OutboxItem {
  /** Rises with every envelope added; also across restarts, where the outbox outlives them. */
  readonly position: number;
  readonly envelope: SignedEnvelope;
}
