import {
  type Code,
  type ReceiptBody,
  sha256,
  statementBytesOf,
  statementHash,
} from '@waystone/proto';
import { messageOf } from '../core/errors.js';
import type { Logger } from '../core/logger.js';
import type { DeviceRecord } from '../core/ports.js';
import type { ReceiptMaker } from '../core/receipt-maker.js';
import type { DatStatus } from '../core/view.js';

/** Receipts of one signature tree; bounds the work between two turns of the event loop. */
const RECEIPTS_PER_TREE = 256;

/**
 * When a device that was told to come again should, s: a restart is over by then; a person puts a device on
 * its relay's list.
 */
const RETRY_AFTER_SECONDS = { STOPPING: 10, TOPIC_FORBIDDEN: 300 } as Partial<
  Record<Code, number>
> & {
  STOPPING: number;
};

interface Inclusion {
  readonly statement: Uint8Array;
  readonly entryLeaf: Uint8Array;
  readonly index: number;
  readonly path: readonly Uint8Array[];
}

export interface ReceiptSenderDeps {
  readonly logger: Logger;
  readonly receiptMaker: ReceiptMaker;
  /** Sends to a connected device. @returns whether it was sent. */
  readonly send: (device: number, receipt: Uint8Array) => boolean;
  readonly connected: () => readonly DeviceRecord[];
  /** Entries of a device (key id in hex) in a sealed dataset; all, or those at `indexes`. */
  readonly inclusion: (
    root: string,
    device: string,
    indexes: readonly number[] | null,
  ) => Promise<readonly Inclusion[]>;
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
    return this.#deps.receiptMaker.forBodies([body])[0] as Uint8Array;
  }

  /** Tells the connected devices of a sealed dataset where their entries are. */
  async sealed(root: string, entries: number): Promise<void> {
    for (const device of this.#deps.connected()) {
      await this.#quietly(() => this.#sendIncluded(device, root, entries, null));
    }
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
        await this.#sendIncluded(device, batch.root, batch.entries, indexes);
        if (batch.dat !== null) this.#sendFinal(device, batch.root, batch.dat);
      });
    }
  }

  async #sendIncluded(
    device: DeviceRecord,
    root: string,
    count: number,
    indexes: readonly number[] | null,
  ): Promise<void> {
    const keyId = Buffer.from(device.keyId).toString('hex');
    const rows = await this.#deps.inclusion(root, keyId, indexes);
    const rootBytes = Buffer.from(root, 'hex');
    for (let at = 0; at < rows.length; at += RECEIPTS_PER_TREE) {
      const part = rows.slice(at, at + RECEIPTS_PER_TREE);
      const bodies = part.map(
        (row): ReceiptBody => ({
          device: device.keyId,
          statement: row.statement,
          outcome: {
            kind: 'included',
            entryLeaf: row.entryLeaf,
            root: rootBytes,
            index: row.index,
            count,
          },
        }),
      );
      const receipts = this.#deps.receiptMaker.forBodies(
        bodies,
        part.map((row) => row.path),
      );
      for (const receipt of receipts) {
        if (!this.#deps.send(device.id, receipt)) return;
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
    const [receipt] = this.#deps.receiptMaker.forBodies([body]);
    this.#deps.send(device.id, receipt as Uint8Array);
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
