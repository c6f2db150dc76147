import type { Decision, DeviceRecord, EnvelopeItem } from '../core/ports.js';

/** A connection as the queue needs it. */
export interface EnvelopeSource {
  /** Stops or resumes reading the client. */
  hold(isHeld: boolean): void;
}

export interface QueueLimits {
  readonly inFlightPerConnectionMax: number;
  readonly inFlightBytesMax: number;
}

interface Waiting {
  readonly ticket: number;
  readonly sizeBytes: number;
  readonly source: EnvelopeSource;
  readonly acknowledge: (decision: Decision) => void;
  decision: Decision | null;
}

/**
 * Envelopes between their PUBLISH and their PUBACK. Decisions may come in any order; acknowledgements leave in
 * the order of arrival for each device, across connections. A client with too much in flight is not read.
 */
export class EnvelopeQueue {
  readonly #limits: QueueLimits;
  readonly #submit: (item: Omit<EnvelopeItem, 'offset' | 'length'>, payload: Uint8Array) => void;
  readonly #byTicket = new Map<number, Waiting>();
  readonly #byDevice = new Map<number, Waiting[]>();
  readonly #bySource = new Map<EnvelopeSource, number>();
  readonly #held = new Set<EnvelopeSource>();
  #bytes = 0;
  #lastTicket = 0;

  constructor(
    limits: QueueLimits,
    submit: (item: Omit<EnvelopeItem, 'offset' | 'length'>, payload: Uint8Array) => void,
  ) {
    this.#limits = limits;
    this.#submit = submit;
  }

  /** Envelopes that wait for their decision. */
  get size(): number {
    return this.#byTicket.size;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** @param acknowledge called once, in order, with what became of the envelope. */
  add(
    device: DeviceRecord,
    payload: Uint8Array,
    arrival: { receivedAtUs: number; clockTrusted: boolean },
    source: EnvelopeSource,
    acknowledge: (decision: Decision) => void,
  ): void {
    // Tickets stay below 2^53 for longer than any hardware lives.
    const ticket = ++this.#lastTicket;
    const waiting: Waiting = {
      ticket,
      sizeBytes: payload.length,
      source,
      acknowledge,
      decision: null,
    };
    this.#byTicket.set(ticket, waiting);
    const line = this.#byDevice.get(device.id);
    if (line === undefined) this.#byDevice.set(device.id, [waiting]);
    else line.push(waiting);
    this.#bytes += payload.length;
    const inFlight = (this.#bySource.get(source) ?? 0) + 1;
    this.#bySource.set(source, inFlight);
    if (
      inFlight >= this.#limits.inFlightPerConnectionMax ||
      this.#bytes >= this.#limits.inFlightBytesMax
    ) {
      this.#held.add(source);
      source.hold(true);
    }
    this.#submit({ ticket, device: device.id, ...arrival }, payload);
  }

  /** Takes decisions and acknowledges what has come to the head of its device's line. */
  decide(decisions: readonly Decision[]): void {
    const touched = new Set<number>();
    for (const decision of decisions) {
      const waiting = this.#byTicket.get(decision.ticket);
      if (waiting === undefined) continue;
      this.#byTicket.delete(decision.ticket);
      waiting.decision = decision;
      this.#bytes -= waiting.sizeBytes;
      this.#leave(waiting.source);
      touched.add(decision.device);
    }
    for (const device of touched) this.#acknowledge(device);
    this.#resume();
  }

  #acknowledge(device: number): void {
    const line = this.#byDevice.get(device);
    if (line === undefined) return;
    let done = 0;
    for (const waiting of line) {
      if (waiting.decision === null) break;
      done += 1;
      waiting.acknowledge(waiting.decision);
    }
    line.splice(0, done);
    if (line.length === 0) this.#byDevice.delete(device);
  }

  #leave(source: EnvelopeSource): void {
    const left = (this.#bySource.get(source) ?? 1) - 1;
    if (left > 0) this.#bySource.set(source, left);
    else this.#bySource.delete(source);
  }

  #resume(): void {
    if (this.#bytes >= this.#limits.inFlightBytesMax) return;
    for (const source of this.#held) {
      // Half of the window: a client that is let go on at once would be held again at once.
      if ((this.#bySource.get(source) ?? 0) > this.#limits.inFlightPerConnectionMax / 2) continue;
      this.#held.delete(source);
      source.hold(false);
    }
  }
}
