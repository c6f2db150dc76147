import type { ArrivedEnvelope, Decision, DeviceRecord } from '../core/ports.js';
import { TicketTable } from '../core/ticket-table.js';

/** Bounds on the envelopes that wait for their answer, in number and bytes. */
export interface QueueLimits {
  readonly inFlightPerConnectionMax: number;
  readonly inFlightPerConnectionBytesMax: number;
  /** Of one device, over all connections that they came on. */
  readonly inFlightPerDeviceMax: number;
  readonly inFlightPerDeviceBytesMax: number;
  readonly inFlightMax: number;
  readonly inFlightBytesMax: number;
}

/** Devices whose lines are kept though they are empty. */
const LINES_KEPT = 1_024;

/** Why a source is not read. */
const FULL = { itself: 1, device: 2, total: 4 } as const;

/** A connection as the queue needs it; the fields are the queue's own. */
export class EnvelopeSource {
  /** Stops (true) or resumes (false) reading the client; called only when that changes. */
  readonly hold: (isHeld: boolean) => void;
  inFlight = 0;
  bytes = 0;
  holds = 0;

  constructor(hold: (isHeld: boolean) => void) {
    this.hold = hold;
  }
}

/** What became of an envelope, and where its PUBACK goes. */
export type Answer<Source> = (
  source: Source,
  /** As given to {@link EnvelopeQueue.add}. */
  packetId: number,
  device: DeviceRecord,
  decision: Decision,
) => void;

interface Waiting<Source> {
  readonly device: DeviceRecord;
  readonly sizeBytes: number;
  readonly source: Source;
  readonly packetId: number;
  decision: Decision | null;
  /** Whoever waits for its answer, see {@link EnvelopeQueue.settled}. */
  settled: (() => void)[] | null;
}

/** The envelopes of one device, in order of arrival. */
interface Line<Source> {
  readonly waiting: Waiting<Source>[];
  /** Of those without a decision. */
  bytes: number;
  /** Sources that wait for this line to shorten. */
  held: Set<Source> | null;
}

type Submit = (envelope: ArrivedEnvelope) => void;

/**
 * Envelopes between their PUBLISH and their PUBACK. Decisions may come in any order; acknowledgements leave in
 * the order of arrival for each device, across connections. A client with too much in flight is not read.
 */
export class EnvelopeQueue<Source extends EnvelopeSource = EnvelopeSource> {
  readonly #limits: QueueLimits;
  readonly #submit: Submit;
  readonly #answer: Answer<Source>;
  readonly #waiting = new TicketTable<Waiting<Source>>();
  /** By device. Lines are only added; a map that loses some is what {@link TicketTable} avoids. */
  #lines = new Map<number, Line<Source>>();
  /** Lines that are empty. */
  #idle = 0;
  /** Sources that wait for room in the whole queue, the longest waiting first. */
  readonly #heldByTotal = new Set<Source>();
  /** The line for which a source is held. */
  readonly #heldByLine = new Map<Source, Line<Source>>();
  #bytes = 0;

  /** @param answer called once for each envelope, in order for each device. */
  constructor(limits: QueueLimits, submit: Submit, answer: Answer<Source>) {
    this.#limits = limits;
    this.#submit = submit;
    this.#answer = answer;
  }

  /** Envelopes that wait for their decision. */
  get size(): number {
    return this.#waiting.size;
  }

  /** Devices that are remembered: those with envelopes that wait, and a bounded number of others. */
  get devices(): number {
    return this.#lines.size;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** @param packetId handed back with the answer. */
  add(
    device: DeviceRecord,
    payload: Uint8Array,
    arrival: { receivedAtUs: number; clockTrusted: boolean },
    source: Source,
    packetId: number,
  ): void {
    const sizeBytes = payload.length;
    const waiting: Waiting<Source> = {
      device,
      sizeBytes,
      source,
      packetId,
      decision: null,
      settled: null,
    };
    const ticket = this.#waiting.add(waiting);
    let line = this.#lines.get(device.id);
    if (line === undefined) {
      line = { waiting: [], bytes: 0, held: null };
      this.#lines.set(device.id, line);
    } else if (line.waiting.length === 0) this.#idle -= 1;
    line.waiting.push(waiting);
    line.bytes += sizeBytes;
    source.inFlight += 1;
    source.bytes += sizeBytes;
    this.#bytes += sizeBytes;
    this.#holdWhereFull(source, line);
    const { receivedAtUs, clockTrusted } = arrival;
    this.#submit({ ticket, device: device.id, receivedAtUs, clockTrusted, payload });
  }

  /**
   * Takes in a new connection of a device, or of a relay. One that would come when all is full is held from the
   * start: whoever comes again and again while nothing is answered would bring an envelope each time.
   */
  join(device: DeviceRecord | null, source: Source): void {
    const line = device === null ? undefined : this.#lines.get(device.id);
    if (line === undefined) this.#holdWhereAllIsFull(source);
    else this.#holdWhereFull(source, line);
  }

  /** Keeps nothing of a connection that has ended but its unanswered envelopes. */
  leave(source: Source): void {
    this.#heldByTotal.delete(source);
    this.#heldByLine.get(source)?.held?.delete(source);
    this.#heldByLine.delete(source);
  }

  /** Resolves once every envelope of a device is answered that was added before this call. */
  settled(device: number): Promise<void> {
    const last = this.#lines.get(device)?.waiting.at(-1);
    if (last === undefined) return Promise.resolve();
    return new Promise((resolve) => {
      last.settled ??= [];
      last.settled.push(resolve);
    });
  }

  /** Takes decisions and acknowledges what has come to the head of its device's line. */
  decide(decisions: readonly Decision[]): void {
    const touched = new Set<number>();
    const shorter = new Set<Source>();
    for (const decision of decisions) {
      const waiting = this.#waiting.take(decision.ticket);
      if (waiting === undefined) continue;
      waiting.decision = decision;
      const { source, device, sizeBytes } = waiting;
      this.#bytes -= sizeBytes;
      source.inFlight -= 1;
      source.bytes -= sizeBytes;
      const line = this.#lines.get(device.id) as Line<Source>;
      line.bytes -= sizeBytes;
      touched.add(device.id);
      if ((source.holds & FULL.itself) !== 0) shorter.add(source);
    }
    const opened: Source[] = [];
    for (const id of touched) {
      const line = this.#lines.get(id) as Line<Source>;
      this.#acknowledge(line);
      if (line.held !== null && this.#isOpen(line)) {
        opened.push(...line.held);
        for (const source of line.held) this.#heldByLine.delete(source);
        line.held = null;
      }
      if (line.waiting.length === 0) this.#idle += 1;
    }
    if (this.#idle > LINES_KEPT) this.#forgetIdle();
    // Only now: whoever is read again may submit at once.
    for (const source of opened) this.#release(source, FULL.device);
    for (const source of shorter) this.#openSource(source);
    this.#openTotal();
  }

  /** Goes on with a map of those lines that are not empty. */
  #forgetIdle(): void {
    this.#lines = new Map([...this.#lines].filter(([, { waiting }]) => waiting.length > 0));
    this.#idle = 0;
  }

  #acknowledge(line: Line<Source>): void {
    let done = 0;
    for (const { decision, source, packetId, device, settled } of line.waiting) {
      if (decision === null) break;
      done += 1;
      this.#answer(source, packetId, device, decision);
      for (const tell of settled ?? []) tell();
    }
    line.waiting.splice(0, done);
  }

  #holdWhereFull(source: Source, line: Line<Source>): void {
    const limits = this.#limits;
    if (
      source.inFlight >= limits.inFlightPerConnectionMax ||
      source.bytes >= limits.inFlightPerConnectionBytesMax
    ) {
      this.#hold(source, FULL.itself);
    }
    if (
      line.waiting.length >= limits.inFlightPerDeviceMax ||
      line.bytes >= limits.inFlightPerDeviceBytesMax
    ) {
      if (!this.#heldByLine.has(source)) {
        line.held ??= new Set();
        line.held.add(source);
        this.#heldByLine.set(source, line);
      }
      this.#hold(source, FULL.device);
    }
    this.#holdWhereAllIsFull(source);
  }

  #holdWhereAllIsFull(source: Source): void {
    const limits = this.#limits;
    if (this.#waiting.size >= limits.inFlightMax || this.#bytes >= limits.inFlightBytesMax) {
      this.#heldByTotal.add(source);
      this.#hold(source, FULL.total);
    }
  }

  #hold(source: Source, reason: number): void {
    const before = source.holds;
    source.holds = before | reason;
    if (before === 0) source.hold(true);
  }

  #release(source: Source, reason: number): void {
    const before = source.holds;
    source.holds = before & ~reason;
    if (before !== 0 && source.holds === 0) source.hold(false);
  }

  /** Half of the window: a client that is let go on at once would be held again at once. */
  #openSource(source: Source): void {
    const limits = this.#limits;
    if (
      source.inFlight <= limits.inFlightPerConnectionMax / 2 &&
      source.bytes <= limits.inFlightPerConnectionBytesMax / 2
    ) {
      this.#release(source, FULL.itself);
    }
  }

  #isOpen(line: Line<Source>): boolean {
    const limits = this.#limits;
    return (
      line.waiting.length <= limits.inFlightPerDeviceMax / 2 &&
      line.bytes <= limits.inFlightPerDeviceBytesMax / 2
    );
  }

  #openTotal(): void {
    const { inFlightMax, inFlightBytesMax } = this.#limits;
    for (const source of this.#heldByTotal) {
      if (this.#waiting.size > inFlightMax * 0.75 || this.#bytes > inFlightBytesMax * 0.75) return;
      this.#heldByTotal.delete(source);
      this.#release(source, FULL.total);
    }
  }
}
