import {
  decodeCheckpoint,
  didFromKey,
  encodeSignedCheckpoint,
  LOCAL_REALM,
  realmOf,
  toHex,
} from '@waystone/proto';
import type { Clock } from '../core/clock.js';
import { crashPoint } from '../core/crash-point.js';
import { messageOf } from '../core/errors.js';
import type { GatewayKey } from '../core/gateway-key.js';
import type { Logger } from '../core/logger.js';
import type { LogHead, SealedDataset, SealingBatch, SealLedger } from '../core/ports.js';
import type { DatasetIdentity } from '../dataset/folder-writer.js';

/** Points at which the crash tests kill the process, in order. */
export const SEAL_CRASH_POINTS = [
  'seal:frozen',
  'seal:written',
  'seal:published',
  'seal:logged',
  'seal:head-kept',
  'seal:signed',
  'seal:sealed',
] as const;

export interface SealerOptions {
  readonly streams: readonly { readonly id: number; readonly name: string }[];
  /** EIP-155 chain id, or 0 without a chain. */
  readonly chainId: number;
  /** Address of the owning iDAO, or "" without one. */
  readonly idao: string;
  /** How often it looks for batches that are due, ms. */
  readonly everyMs: number;
}

export interface SealerDeps {
  readonly ledger: SealLedger;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly key: GatewayKey;
  /** Step 2: writes the dataset folder, durably. */
  readonly write: (
    batch: SealingBatch,
    identity: DatasetIdentity,
    dids: Record<string, string>,
  ) => Promise<SealedDataset>;
  readonly addCheckpoint: (root: string, bytes: Uint8Array) => Promise<void>;
  /** Keeps the head that is about to be signed beside the gateway's key, durably. */
  readonly keepLogHead: (head: { logId: string; size: number; root: string }) => void;
  readonly onSealed: (batch: number, root: string, entries: number) => void;
}

/**
 * Turns batches that are due into dataset folders, one at a time, in log order. Each step is durable before the
 * next and harmless to do again, so recovery after a crash is this same code.
 */
export class Sealer {
  readonly #options: SealerOptions;
  readonly #deps: SealerDeps;
  #timer: NodeJS.Timeout | null = null;
  #running: Promise<void> = Promise.resolve();
  #isStopped = false;
  #lastError: string | null = null;

  constructor(options: SealerOptions, deps: SealerDeps) {
    this.#options = options;
    this.#deps = deps;
  }

  /** Why sealing does not go on, or null. */
  get lastError(): string | null {
    return this.#lastError;
  }

  start(): void {
    this.#timer = setInterval(() => void this.nudge(), this.#options.everyMs);
  }

  /** Seals what is due now; resolves when nothing is. Errors are kept and tried again at the next turn. */
  nudge(): Promise<void> {
    this.#running = this.#running.then(() => this.#turn());
    return this.#running;
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    if (this.#timer !== null) clearInterval(this.#timer);
    await this.#running;
  }

  async #turn(): Promise<void> {
    try {
      if (this.#isStopped) return;
      await this.#deps.ledger.closeDue(this.#deps.clock.nowUs(), false);
      for (const batch of await this.#deps.ledger.sealing()) {
        if (this.#isStopped) return;
        await this.#seal(batch);
      }
      this.#lastError = null;
    } catch (error) {
      this.#lastError = messageOf(error);
      this.#deps.logger.error({ error: this.#lastError }, 'sealing failed; it is tried again');
    }
  }

  async #seal(due: SealingBatch): Promise<void> {
    const { ledger, clock, logger, onSealed } = this.#deps;
    const batch = due.state === 'due' ? await ledger.freeze(due.id, clock.nowUs()) : due;
    crashPoint('seal:frozen');
    const { root, head } = await this.#log(batch);
    crashPoint('seal:logged');
    await this.#sign(root, head);
    crashPoint('seal:signed');
    await ledger.markSealed(batch.id);
    crashPoint('seal:sealed');
    logger.info({ batch: batch.id, root, entries: batch.entries }, 'dataset sealed');
    onSealed(batch.id, root, batch.entries);
  }

  async #log(batch: SealingBatch): Promise<{ root: string; head: LogHead }> {
    const { ledger, write } = this.#deps;
    if (batch.state === 'logged' && batch.root !== null) {
      return { root: toHex(batch.root), head: await ledger.logHead(batch.id) };
    }
    const sealed = await write(batch, this.#identity(batch), await ledger.didsOf(batch.id));
    crashPoint('seal:published');
    return { root: toHex(sealed.root), head: await ledger.appendLog(batch.id, sealed) };
  }

  /** Signs the checkpoint that the ledger holds; the same bytes every time. */
  async #sign(root: string, { checkpoint, path }: LogHead): Promise<void> {
    const { key, keepLogHead, addCheckpoint } = this.#deps;
    const { logId, size, root: logRoot } = decodeCheckpoint(checkpoint);
    keepLogHead({ logId: toHex(logId), size, root: toHex(logRoot) });
    crashPoint('seal:head-kept');
    const signature = key.sign(checkpoint);
    const signed = encodeSignedCheckpoint(checkpoint, signature, key.publicKey, path);
    await addCheckpoint(root, signed);
  }

  #identity(batch: SealingBatch): DatasetIdentity {
    const { streams, chainId, idao } = this.#options;
    const { logId, logIndex, sealedAtUs } = batch;
    if (logId === null || logIndex === null || sealedAtUs === null) {
      throw new Error(`batch ${batch.id} is ${batch.state} without a place in the log`);
    }
    return {
      stream: batch.stream,
      streamName: streams.find(({ id }) => id === batch.stream)?.name ?? '',
      realm: toHex(idao === '' ? LOCAL_REALM : realmOf(chainId, idao)),
      chainId,
      idao,
      gateway: didFromKey(this.#deps.key.publicKey),
      logId: toHex(logId),
      logIndex,
      sealedAtUs,
    };
  }
}
