import {
  type Code,
  HASH_BYTES,
  type ReceiptBody,
  sha256,
  statementBytesOf,
  statementHash,
} from '@waystone/proto';
import { ConcurrencyLimit } from '../core/concurrency-limit.js';
import { messageOf } from '../core/errors.js';
import type { Logger } from '../core/logger.js';
import type { DeviceRecord } from '../core/ports.js';
import type { ReceiptMaker } from '../core/receipt-maker.js';
import type { DatStatus } from '../core/view.js';
import type { OffenceCode, Offender } from '../core/withdrawal.js';

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

/** Devices for which receipts of sealed datasets are made at once. */
const OWED_AT_ONCE = 2;

/** Hellos of one device whose answers may wait for that: a fleet that comes back waits in line, and nobody stands in it often. */
const OWED_EACH_MAX = 4;

/** Receipts one behind the other; `places` are those of their devices in the list that was asked for. */
interface ReceiptChunk {
  readonly places: readonly number[];
  readonly lengths: readonly number[];
  readonly receipts: Uint8Array;
}

/** What a device is owed for a statement. */
interface OwedRow {
  readonly statement: Uint8Array;
  readonly stored: Uint8Array;
  readonly batch: number;
  readonly batchIndex: number;
  /** Why its entry gets no DAT, or null. */
  readonly offence: OffenceCode | null;
}

/** What a device is owed of a batch, for as long as it waits. */
interface Owed {
  readonly indexes: number[];
  readonly offences: { readonly statement: Uint8Array; readonly code: OffenceCode }[];
}

export interface ReceiptSenderDeps {
  readonly logger: Logger;
  readonly receiptMaker: ReceiptMaker;
  /** Sends to a connected device. @returns whether it was sent. */
  readonly send: (device: number, receipt: Uint8Array) => boolean;
  readonly connected: () => readonly DeviceRecord[];
  /**
   * The `included` receipts of devices (key ids, one after the other) in a sealed dataset, a chunk at a time; of all
   * their entries, or of those at `indexes`.
   */
  readonly included: (
    root: string,
    devices: Uint8Array,
    indexes: number[] | null,
  ) => AsyncIterable<ReceiptChunk>;
  /** Likewise the `final` receipts of entries that get no DAT. */
  readonly withdrawn: (
    root: string,
    devices: Uint8Array,
    offenders: readonly Offender[],
  ) => AsyncIterable<ReceiptChunk>;
  /** EIP-155 id of the chain, or 0. */
  readonly chainId: number;
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
  readonly #owed = new ConcurrencyLimit(OWED_AT_ONCE);
  /** By device, its hellos of which {@link #owed} is not done. */
  readonly #owedTo = new Map<number, number>();

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

  /** Tells the connected devices which of their entries get no DAT, and why. */
  async withdrawn(root: string, offenders: readonly Offender[]): Promise<void> {
    const devices = this.#deps.connected();
    const ids = keyIdsOf(devices);
    await this.#quietly(() =>
      this.#sendChunks(devices, this.#deps.withdrawn(root, ids, offenders)),
    );
  }

  /**
   * Answers what a hello asked for, as far as it is known by now: with what is in the rows at once, with what is to be made
   * from datasets when it is the device's turn. Of hellos beyond its share only the rows are answered.
   */
  owed(device: DeviceRecord, rows: readonly OwedRow[]): Promise<void> {
    for (const { stored } of rows) this.#deps.send(device.id, stored);
    const waiting = this.#owedTo.get(device.id) ?? 0;
    if (rows.length === 0 || waiting >= OWED_EACH_MAX) return Promise.resolve();
    this.#owedTo.set(device.id, waiting + 1);
    // Nothing that waits from here on holds the rows.
    return this.#owedInTurn(device, owedByBatch(rows));
  }

  async #owedInTurn(device: DeviceRecord, byBatch: ReadonlyMap<number, Owed>): Promise<void> {
    await this.#owed.run(async () => {
      for (const [batch, owed] of byBatch) {
        await this.#quietly(() => this.#sendOwed(device, batch, owed));
      }
    });
    const left = (this.#owedTo.get(device.id) ?? 1) - 1;
    if (left === 0) this.#owedTo.delete(device.id);
    else this.#owedTo.set(device.id, left);
  }

  async #sendOwed(device: DeviceRecord, id: number, { indexes, offences }: Owed): Promise<void> {
    const batch = await this.#deps.batch(id);
    if (batch?.isSealed !== true || batch.root === null) return;
    await this.#sendIncluded([device], batch.root, indexes);
    if (batch.dat !== null) this.#sendFinal(device, batch.root, batch.dat);
    for (const { statement, code } of offences) {
      this.#sendOffence(device, batch.root, statement, code);
    }
  }

  /** A chunk a turn of the event loop, so that PUBACKs go out in between. */
  async #sendIncluded(
    devices: readonly DeviceRecord[],
    root: string,
    indexes: number[] | null,
  ): Promise<void> {
    await this.#sendChunks(devices, this.#deps.included(root, keyIdsOf(devices), indexes));
  }

  async #sendChunks(
    devices: readonly DeviceRecord[],
    chunks: AsyncIterable<ReceiptChunk>,
  ): Promise<void> {
    for await (const { places, lengths, receipts } of chunks) {
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

  #sendOffence(device: DeviceRecord, root: string, statement: Uint8Array, code: OffenceCode): void {
    const { chainId, receiptMaker, send } = this.#deps;
    const outcome = {
      kind: 'final' as const,
      root: Buffer.from(root, 'hex'),
      ...{ tokenId: 0n, chainId, code },
    };
    send(device.id, receiptMaker.forBody({ device: device.keyId, statement, outcome }));
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

/** What is needed of rows until it is their device's turn: a fleet's whole rows would be gigabytes. */
function owedByBatch(rows: readonly OwedRow[]): Map<number, Owed> {
  const byBatch = new Map<number, Owed>();
  for (const { batch, batchIndex, statement, offence } of rows) {
    let owed = byBatch.get(batch);
    if (owed === undefined) {
      owed = { indexes: [], offences: [] };
      byBatch.set(batch, owed);
    }
    owed.indexes.push(batchIndex);
    if (offence !== null) owed.offences.push({ statement: statement.slice(), code: offence });
  }
  return byBatch;
}

/** The key ids of devices, one after the other. */
function keyIdsOf(devices: readonly DeviceRecord[]): Uint8Array {
  const ids = new Uint8Array(devices.length * HASH_BYTES);
  for (const [k, { keyId }] of devices.entries()) ids.set(keyId, k * HASH_BYTES);
  return ids;
}
