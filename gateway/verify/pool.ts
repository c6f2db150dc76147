import { MessageChannel, type MessagePort, type Worker } from 'node:worker_threads';
import { type PackedBatch, packEnvelopes, transferOf } from '../core/packed.js';
import type { ArrivedEnvelope, DeviceRecord } from '../core/ports.js';
import { startThread } from '../core/thread-file.js';

export interface VerifierData {
  readonly realm: Uint8Array;
  readonly streams: readonly number[];
  /** Where verified batches go. */
  readonly ledger: MessagePort;
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

interface Verifier {
  readonly worker: Worker;
  /** Resolves when its code is loaded, or it is gone. */
  readonly loaded: Promise<void>;
  readonly waiting: ArrivedEnvelope[];
  /** Envelopes of each batch that is out, the oldest first, counted down as they are decided. */
  readonly batchesOut: number[];
  envelopesOut: number;
}

/**
 * The verifier threads. A device's envelopes always go to the same one, which keeps their order. Payloads are
 * copied once, into a batch buffer of ours that is handed from thread to thread.
 */
export class VerifierPool {
  readonly #verifiers: Verifier[] = [];
  readonly #deviceOf: (id: number) => DeviceRecord;
  /** Devices whose verifiers know them: a fleet is mostly silent, and a record takes half a kilobyte. */
  readonly #told = new Set<number>();
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
      const data: VerifierData = {
        realm: options.realm,
        streams: options.streams,
        ledger: port1,
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
      this.#verifiers.push({ worker, loaded, waiting: [], batchesOut: [], envelopesOut: 0 });
      this.ledgerPorts.push(port2);
    }
  }

  /** A device was enrolled, or its record has changed. */
  changed(device: DeviceRecord): void {
    if (this.#told.has(device.id)) this.#tell(device);
  }

  /** Takes an envelope; its payload is held until it is copied into a batch, and must not change until then. */
  submit(envelope: ArrivedEnvelope): void {
    const { device } = envelope;
    if (!this.#told.has(device)) this.#tell(this.#deviceOf(device));
    const verifier = this.#verifierOf(device);
    verifier.waiting.push(envelope);
    // Once for all that is read in this turn of the event loop.
    if (verifier.waiting.length === 1) setImmediate(() => this.#send(verifier));
  }

  /** Says that an envelope of a device was decided, so that its verifier may get more. */
  decided(device: number): void {
    const verifier = this.#verifierOf(device);
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

  #verifierOf(device: number): Verifier {
    return this.#verifiers[device % this.#verifiers.length] as Verifier;
  }

  #tell(device: DeviceRecord): void {
    this.#told.add(device.id);
    this.#verifierOf(device.id).worker.postMessage({ device } satisfies VerifierMessage);
  }

  #send(verifier: Verifier): void {
    while (
      verifier.waiting.length > 0 &&
      (verifier.batchesOut.length < BATCHES_OUT_MAX || verifier.envelopesOut < ENVELOPES_OUT_MIN)
    ) {
      const taken = takeBatch(verifier.waiting);
      verifier.batchesOut.push(taken.length);
      verifier.envelopesOut += taken.length;
      const batch = packEnvelopes(taken);
      verifier.worker.postMessage({ batch } satisfies VerifierMessage, transferOf(batch));
    }
  }
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
