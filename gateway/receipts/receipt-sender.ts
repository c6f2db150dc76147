import {
  type Code,
  type ReceiptBody,
  sha256,
  statementBytesOf,
  statementHash,
  toHex,
} from '@waystone/proto';
import { messageOf } from '../core/errors.js';
import type { Logger } from '../core/logger.js';
import type { DeviceRecord } from '../core/ports.js';
import type { ReceiptMaker } from '../core/receipt-maker.js';
import type { DatStatus } from '../core/view.js';

/**
 * When a device that was told to come again should, s: a restart is over by then; a person puts a device on
 * its relay's list; a new session a day's share later.
 */
const RETRY_AFTER_SECONDS = {
  STOPPING: 10,
  TOPIC_FORBIDDEN: 300,
  SESSIONS_TOO_MANY: 300,
} as Partial<Record<Code, number>> & {
  STOPPING: number;
};

export interface ReceiptSenderDeps {
  readonly logger: Logger;
  readonly receiptMaker: ReceiptMaker;
  /** Sends to a connected device. @returns whether it was sent. */
  readonly send: (device: number, receipt: Uint8Array) => boolean;
  readonly connected: () => readonly DeviceRecord[];
  /**
   * The `included` receipts of devices (key ids in hex) in a sealed dataset, a chunk at a time; of all their
   * entries, or of those at `indexes`. `places` are those of the devices in the list.
   */
  readonly included: (
    root: string,
    devices: string[],
    indexes: number[] | null,
  ) => AsyncIterable<{
    readonly places: readonly number[];
    readonly lengths: readonly number[];
    readonly receipts: Uint8Array;
  }>;
  /** State of a batch as far as receipts tell it. */
  readonly batch: (id: number) => Promise<{
    root: string | null;
    entries: number;
    isSealed: boolean;
    dat: DatStatus | null;
  } | null>;
}

/**
 * Sends what devices learn after `stored`: `included` when their batch is sealed, `final` when it is forged.
 * Devices that are away ask for them in their next hello; none is queued for them.
 */
export class ReceiptSender {
  readonly #deps: ReceiptSenderDeps;

  constructor(deps: ReceiptSenderDeps) {
    this.#deps = deps;
  }

  /** A receipt that says why something from this device was not taken: for good, or not now. */
  refusal(
    device: DeviceRecord,
    payload: Uint8Array,
    code: Code,
    kind: 'refused' | 'retry' = 'refused',
  ): Uint8Array {
    const statement = statementBytesOf(payload);
    const body: ReceiptBody = {
      device: device.keyId,
      statement: statement === null ? sha256(payload) : statementHash(statement),
      outcome:
        kind === 'refused'
          ? { kind, code }
          : { kind, code, afterSeconds: RETRY_AFTER_SECONDS[code] ?? RETRY_AFTER_SECONDS.STOPPING },
    };
    return this.#deps.receiptMaker.forBody(body);
  }

  /** Tells the connected devices of a sealed dataset where their entries are. */
  async sealed(root: string): Promise<void> {
    await this.#quietly(() => this.#sendIncluded(this.#deps.connected(), root, null));
  }

  /** Tells the connected devices of a dataset its token. */
  async forged(root: string, dat: DatStatus, devices: ReadonlySet<string>): Promise<void> {
    for (const device of this.#deps.connected()) {
      if (devices.has(device.did)) this.#sendFinal(device, root, dat);
    }
  }

  /** Answers what a hello asked for, as far as it is known by now. */
  async owed(
    device: DeviceRecord,
    rows: readonly { stored: Uint8Array; batch: number; batchIndex: number }[],
  ): Promise<void> {
    const byBatch = new Map<number, number[]>();
    for (const row of rows) {
      this.#deps.send(device.id, row.stored);
      byBatch.set(row.batch, [...(byBatch.get(row.batch) ?? []), row.batchIndex]);
    }
    for (const [id, indexes] of byBatch) {
      await this.#quietly(async () => {
        const batch = await this.#deps.batch(id);
        if (batch?.isSealed !== true || batch.root === null) return;
        await this.#sendIncluded([device], batch.root, indexes);
        if (batch.dat !== null) this.#sendFinal(device, batch.root, batch.dat);
      });
    }
  }

  /** A chunk a turn of the event loop, so that PUBACKs go out in between. */
  async #sendIncluded(
    devices: readonly DeviceRecord[],
    root: string,
    indexes: number[] | null,
  ): Promise<void> {
    const ids = devices.map(({ keyId }) => toHex(keyId));
    for await (const { places, lengths, receipts } of this.#deps.included(root, ids, indexes)) {
      let at = 0;
      for (const [k, place] of places.entries()) {
        const end = at + (lengths[k] as number);
        this.#deps.send((devices[place] as DeviceRecord).id, receipts.subarray(at, end));
        at = end;
      }
    }
  }

  #sendFinal(device: DeviceRecord, root: string, dat: DatStatus): void {
    const body: ReceiptBody = {
      device: device.keyId,
      // It speaks for all statements of the device under this root.
      statement: new Uint8Array(32),
      outcome: {
        kind: 'final',
        root: Buffer.from(root, 'hex'),
        tokenId: BigInt(dat.tokenId),
        chainId: dat.chainId,
      },
    };
    this.#deps.send(device.id, this.#deps.receiptMaker.forBody(body));
  }

  /** A receipt that cannot be made is asked for again; it must not hold up anything. */
  async #quietly(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.#deps.logger.warn({ error: messageOf(error) }, 'receipts could not be sent');
    }
  }
}
