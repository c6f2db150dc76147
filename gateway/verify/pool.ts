import { MessageChannel, type MessagePort, type Worker } from 'node:worker_threads';
import { type PackedBatch, packEnvelopes, transferOf } from '../core/packed.js';
import type { ArrivedEnvelope, DeviceRecord } from '../core/ports.js';
import { startThread } from '../core/thread-file.js';

export interface VerifierData {
  readonly realm: Uint8Array;
  readonly streams: readonly number[];
  /** Where verified batches go. */
  readonly ledger: MessagePort;
  /** One number, which the verifier counts up with each envelope that it has judged, modulo 2^32. */
  readonly judged: Int32Array;
}

export type VerifierMessage = { device: DeviceRecord } | { batch: PackedBatch };

/**
 * Batches that a verifier may have in hand; what waits meanwhile makes the next one larger. While they are of few
 * envelopes there may be more: clients that wait for each answer would share a commit with no more than these.
 */
const BATCHES_OUT_MAX = 3;
const ENVELOPES_OUT_MIN = 256;
const BATCH_ENVELOPES_MAX = 512;
const BATCH_BYTES_MAX = 1024 * 1024;

/** Envelopes that wait for one verifier before another gets the next: each batch costs a message there and one on. */
const ENVELOPES_TOGETHER = 8;

interface Verifier {
  readonly worker: Worker;
  /** Resolves when its code is loaded, or it is gone. */
  readonly loaded: Promise<void>;
  readonly waiting: ArrivedEnvelope[];
  /** Envelopes of each batch that is out, the oldest first, counted down as they are decided. */
  readonly batchesOut: number[];
  envelopesOut: number;
  /** Envelopes that it was sent in all, and as many of them as it has judged. */
  sent: number;
  readonly judged: Int32Array;
  /** Devices that it knows: a fleet is mostly silent, and a record takes half a kilobyte. */
  readonly told: Set<number>;
}

/** The envelopes of a device that are not decided yet, and where they go. */
interface Course {
  verifier: Verifier;
  envelopes: number;
}

/**
 * The verifier threads. An envelope goes where least waits, but to the same verifier as those of its device that are not
 * decided yet, which keeps their order. Payloads are copied once, into a batch buffer of ours that is handed from thread
 * to thread.
 */
export class VerifierPool {
  readonly #verifiers: Verifier[] = [];
  readonly #deviceOf: (id: number) => DeviceRecord;
  /** By device, of all whose envelopes came. */
  readonly #courses = new Map<number, Course>();
  /** The verifier that got the last envelope that was free to go anywhere. */
  #filling: Verifier;
  /** Ports for the ledger's thread, one for each verifier. */
  readonly ledgerPorts: MessagePort[] = [];

  /**
   * @param options.threads number of verifiers, at least 1.
   * @param deviceOf the record of a device whose envelopes come, as it is now.
   * @param onFatal called when a verifier dies; what it had in hand is never decided.
   */
  constructor(
    options: { threads: number; realm: Uint8Array; streams: readonly number[] },
    deviceOf: (id: number) => DeviceRecord,
    onFatal: (error: Error) => void,
  ) {
    this.#deviceOf = deviceOf;
    for (let k = 0; k < options.threads; k++) {
      const { port1, port2 } = new MessageChannel();
      const judged = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
      const data: VerifierData = {
        realm: options.realm,
        streams: options.streams,
        ledger: port1,
        judged,
      };
      const worker = startThread(import.meta.url, 'worker.js', {
        workerData: data,
        transferList: [port1],
      });
      worker.on('error', (error) => onFatal(error as Error));
      const loaded = new Promise<void>((resolve) => {
        worker.once('message', () => resolve());
        worker.once('exit', () => resolve());
      });
      this.#verifiers.push({
        worker,
        loaded,
        waiting: [],
        batchesOut: [],
        envelopesOut: 0,
        sent: 0,
        judged,
        told: new Set(),
      });
      this.ledgerPorts.push(port2);
    }
    this.#filling = this.#verifiers[0] as Verifier;
  }

  /** A device was enrolled, or its record has changed. */
  changed(device: DeviceRecord): void {
    for (const verifier of this.#verifiers) {
      if (verifier.told.has(device.id)) tell(verifier, device);
    }
  }

  /** Takes an envelope; its payload is held until it is copied into a batch, and must not change until then. */
  submit(envelope: ArrivedEnvelope): void {
    const { device } = envelope;
    const verifier = this.#verifierFor(device);
    if (!verifier.told.has(device)) tell(verifier, this.#deviceOf(device));
    verifier.waiting.push(envelope);
    // Once for all that is read in this turn of the event loop.
    if (verifier.waiting.length === 1) setImmediate(() => this.#send(verifier));
  }

  /** Says that an envelope of a device was decided, so that its verifier may get more. */
  decided(device: number): void {
    const course = this.#courses.get(device) as Course;
    course.envelopes -= 1;
    const { verifier } = course;
    const { batchesOut } = verifier;
    verifier.envelopesOut -= 1;
    // The ledger takes a verifier's batches in order.
    const [first = 0] = batchesOut;
    if (first > 1) {
      batchesOut[0] = first - 1;
      return;
    }
    batchesOut.shift();
    this.#send(verifier);
  }

  async stop(): Promise<void> {
    await Promise.all(
      this.#verifiers.map(async ({ worker, loaded }) => {
        // A thread that is ended while it loads native code takes the process with it, and with that the reason.
        await loaded;
        await worker.terminate();
      }),
    );
  }

  /** The verifier of a device's next envelope, which counts as one of its course from here on. */
  #verifierFor(device: number): Verifier {
    let course = this.#courses.get(device);
    if (course === undefined) {
      course = { verifier: this.#freest(), envelopes: 0 };
      this.#courses.set(device, course);
    } else if (course.envelopes === 0) {
      course.verifier = this.#freest();
    }
    course.envelopes += 1;
    return course.verifier;
  }

  #freest(): Verifier {
    const { waiting } = this.#filling;
    if (waiting.length === 0 || waiting.length >= ENVELOPES_TOGETHER) {
      this.#filling = this.#verifiers.reduce((best, one) => (toDo(one) < toDo(best) ? one : best));
    }
    return this.#filling;
  }

  #send(verifier: Verifier): void {
    while (
      verifier.waiting.length > 0 &&
      (verifier.batchesOut.length < BATCHES_OUT_MAX || verifier.envelopesOut < ENVELOPES_OUT_MIN)
    ) {
      const taken = takeBatch(verifier.waiting);
      verifier.batchesOut.push(taken.length);
      verifier.envelopesOut += taken.length;
      verifier.sent = (verifier.sent + taken.length) | 0;
      const batch = packEnvelopes(taken);
      verifier.worker.postMessage({ batch } satisfies VerifierMessage, transferOf(batch));
    }
  }
}

/** Envelopes that a verifier has not judged yet. */
function toDo({ waiting, sent, judged }: Verifier): number {
  return waiting.length + ((sent - Atomics.load(judged, 0)) | 0);
}

function tell({ worker, told }: Verifier, device: DeviceRecord): void {
  told.add(device.id);
  worker.postMessage({ device } satisfies VerifierMessage);
}

function takeBatch(waiting: ArrivedEnvelope[]): ArrivedEnvelope[] {
  let bytes = 0;
  let count = 0;
  for (const { payload } of waiting) {
    if (count > 0 && (count >= BATCH_ENVELOPES_MAX || bytes + payload.length > BATCH_BYTES_MAX)) {
      break;
    }
    bytes += payload.length;
    count += 1;
  }
  return waiting.splice(0, count);
}
