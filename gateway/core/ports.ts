import type { Code, PublicKey } from '@waystone/proto';
import type { ForgeDatasetId } from './forge-ports.js';
import type { Refusal } from './refusal.js';
import type { Offender } from './withdrawal.js';

/** A device as the stages need it. `id` is the ledger's own small integer for it. */
export interface DeviceRecord {
  readonly id: number;
  readonly did: string;
  /** SHA-256 of the multicodec key, 32 bytes. */
  readonly keyId: Uint8Array;
  readonly publicKey: PublicKey;
  readonly revokedAtUs: number | null;
}

/** An envelope as it came. */
export interface ArrivedEnvelope {
  /** Names the envelope between the threads. */
  readonly ticket: number;
  readonly device: number;
  readonly receivedAtUs: number;
  readonly clockTrusted: boolean;
  readonly payload: Uint8Array;
}

/** An envelope whose payload lies in a buffer with others. */
export interface EnvelopeItem {
  readonly ticket: number;
  readonly device: number;
  readonly offset: number;
  readonly length: number;
  readonly receivedAtUs: number;
  readonly clockTrusted: boolean;
}

/** Envelopes after verification: one buffer with all payloads, and where each lies. Accepted signatures have low S. */
export interface VerifiedBatch {
  readonly buffer: ArrayBuffer;
  readonly items: readonly (EnvelopeItem & { readonly refusal: Refusal | null })[];
}

/** What became of an envelope. `receipt` is the message to send to the device. */
export interface Decision {
  readonly ticket: number;
  readonly device: number;
  readonly kind: 'stored' | 'duplicate' | 'refused' | 'retry';
  readonly frames: number;
  readonly receipt: Uint8Array;
  readonly refusal: Refusal | null;
  readonly retryCode: Code | null;
}

/** A batch that the seal stage works on. */
export interface SealingBatch {
  readonly id: number;
  readonly state: 'due' | 'frozen' | 'logged';
  readonly stream: number;
  readonly challengeable: boolean;
  readonly entries: number;
  /** Bytes of frames. */
  readonly bytes: number;
  /** Set from `frozen` on. */
  readonly logId: Uint8Array | null;
  readonly logIndex: number | null;
  readonly sealedAtUs: number | null;
  /** Set from `logged` on. */
  readonly root: Uint8Array | null;
}

/** One stored envelope, for the dataset folder. */
export interface BatchRow {
  readonly entry: Uint8Array;
  /** The frames as in the envelope: length u32 ‖ bytes, each. */
  readonly frames: Uint8Array;
}

/** What is left of a dataset that is withdrawn, in a batch file that no batch has yet. */
export interface RestOfBatch {
  readonly file: string;
  /** At least 1. */
  readonly entries: number;
  readonly frames: number;
  /** Bytes of frames. */
  readonly bytes: number;
  readonly lastReceivedAtUs: number;
  /** Key ids in hex. */
  readonly devices: readonly string[];
}

/** What the ledger knows of a dataset that is about to be committed. */
export interface DatasetToInspect {
  readonly batch: number;
  readonly root: string;
  readonly manifestHash: string;
  readonly count: number;
  readonly minTimeUs: number;
  readonly maxTimeUs: number;
  readonly lastReceivedAtUs: number;
  readonly inspectedAtUs: number | null;
  readonly isWithdrawn: boolean;
  /** It was seen on chain before; if it is not there now, the chain went back. */
  readonly wasOnChain: boolean;
}

export interface WithdrawRequest {
  readonly batch: number;
  /** The chain on which it is not; its intent there is closed. */
  readonly chainId: number;
  readonly offenders: readonly Offender[];
  /** null when nothing is left. */
  readonly rest: RestOfBatch | null;
  readonly atUs: number;
}

/** What the ledger keeps of what becomes of datasets before they are committed; each call is one durable step. */
export interface InspectLedger {
  toInspect(id: ForgeDatasetId): Promise<DatasetToInspect>;
  markInspected(batch: number, nowUs: number): Promise<void>;
  /**
   * Withdraws a sealed dataset; what is left of it becomes a batch that is due. Done again, it changes nothing.
   * @returns the batch that holds the rest, or null when there is none.
   * @throws WaystoneError FORGE_INTENT_BEGUN when it may be on chain.
   */
  withdraw(request: WithdrawRequest): Promise<number | null>;
}

/** What the seal stage asks of the ledger; each call is one durable step. */
export interface SealLedger {
  /** Closes open batches that are full or old, or all. @returns ids of those closed. */
  closeDue(nowUs: number, all: boolean): Promise<number[]>;
  /** Batches to work on, in log order; those that are `due` come last. */
  sealing(): Promise<SealingBatch[]>;
  /** Step 1: fixes members, order, log index and time of a due batch. */
  freeze(batch: number, nowUs: number): Promise<SealingBatch>;
  /** Step 3: appends the log record and stores the exact checkpoint. */
  appendLog(batch: number, sealed: SealedDataset): Promise<LogHead>;
  /** The stored checkpoint of a logged batch. */
  logHead(batch: number): Promise<LogHead>;
  /** Step 5: marks the batch sealed and deletes its file. */
  markSealed(batch: number): Promise<void>;
  /** did:key of each device whose entries a batch holds, by key id in hex. */
  didsOf(batch: number): Promise<Record<string, string>>;
}

export interface SealedDataset {
  readonly root: Uint8Array;
  readonly count: number;
  readonly manifestHash: Uint8Array;
  readonly minTimeUs: number;
  readonly maxTimeUs: number;
}

export interface LogHead {
  readonly logIndex: number;
  readonly checkpoint: Uint8Array;
  /** Path of the last record in the tree of the checkpoint. */
  readonly path: readonly Uint8Array[];
}
