import type { Code } from '@waystone/proto';

/** Why an entry may not be committed: each is a fault that anyone could show on chain. */
export type OffenceCode = Extract<
  Code,
  | 'SIGNATURE_INVALID'
  | 'REALM_FOREIGN'
  | 'DEVICE_UNKNOWN'
  | 'DEVICE_REVOKED'
  | 'RANGE_CONFLICT'
  | 'ENTRY_DIFFERS'
  | 'STATEMENT_INVALID'
>;

/** An entry that may not be committed. */
export interface Offender {
  /** Its place in the dataset, from 0. */
  readonly index: number;
  readonly code: OffenceCode;
}

/** Why a sealed dataset is never committed. It keeps its place in the log, and its folder. */
export interface Withdrawal {
  readonly atUs: number;
  /** Entries that may not be committed, by code. */
  readonly reasons: Readonly<Partial<Record<OffenceCode, number>>>;
  /** The batch that holds the other entries, in the same order; null when there are none. */
  readonly successor: number | null;
  /** Root of that batch's dataset, once it is sealed. */
  readonly successorRoot: string | null;
}
