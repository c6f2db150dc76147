import {
  decodeEntry,
  type Entry,
  INGEST_FLAGS,
  type PublicKey,
  readStatement,
  type Statement,
  TIME_BASES,
  toHex,
} from '@waystone/proto';
import type { OffenceCode, Offender } from '../core/withdrawal.js';
import { runKey, SequenceRuns } from './sequence-runs.js';

/**
 * The contracts' rules for single entries (EntryChallenges.sol), asked before anything is committed. Where a rule rests
 * on the block time of the commit, which is not known yet, it is taken in the way that costs the entry its DAT.
 */

/** `REVOCATION_GRACE_SECONDS` of EntryChallenges.sol, in µs. */
export const REVOCATION_GRACE_US = 86_400_000_000;

/** What the entries of a dataset are judged by. */
export interface EntryRuleFacts {
  /** Realm of the dataset, 64 hex digits. */
  readonly realm: string;
  /** Committed times, µs. */
  readonly minTimeUs: number;
  readonly maxTimeUs: number;
  /** Keys of the listed devices by key id in hex. */
  readonly keys: ReadonlyMap<string, PublicKey>;
  /** When devices were revoked on chain, µs, by key id. */
  readonly revokedAtUs: ReadonlyMap<string, number>;
  readonly verifySignature: (key: PublicKey, message: Uint8Array, signature: Uint8Array) => boolean;
}

/** Judges the entries of one dataset, in order. Memory grows with sessions and gaps, not with entries. */
export class EntryRules {
  readonly #facts: EntryRuleFacts;
  readonly #runs = new SequenceRuns();
  readonly #offenders: Offender[] = [];
  #entries = 0;
  #outside: number | null = null;

  constructor(facts: EntryRuleFacts) {
    this.#facts = facts;
  }

  /** @param bytes the entry's 280 bytes. */
  add(bytes: Uint8Array): void {
    const index = this.#entries++;
    const read = readEntry(bytes);
    const code = read === null ? 'STATEMENT_INVALID' : this.#offence(read.entry, read.statement);
    if (code !== null) this.#offenders.push({ index, code });
    if (read === null || code !== null) return;
    const { statement } = read;
    // The range follows from the entries, so that it is no entry's fault.
    if (this.#isOutside(statement)) this.#outside ??= index;
    this.#runs.add(statement, index);
  }

  get offenders(): readonly Offender[] {
    return this.#offenders;
  }

  /** An entry whose times are not within the committed ones, or null. */
  get outside(): number | null {
    return this.#outside;
  }

  /** Whether two entries cover one sequence; {@link overlapping} says which. */
  get hasOverlaps(): boolean {
    return this.#runs.overlaps().next().done !== true;
  }

  #offence(entry: Entry, statement: Statement): OffenceCode | null {
    const { keys, revokedAtUs, realm, verifySignature } = this.#facts;
    const device = toHex(statement.device);
    const key = keys.get(device);
    if (key === undefined) return 'DEVICE_UNKNOWN';
    if (toHex(statement.realm) !== realm) return 'REALM_FOREIGN';
    if (isTooLate(entry, revokedAtUs.get(device))) return 'DEVICE_REVOKED';
    return verifySignature(key, entry.statement, entry.signature) ? null : 'SIGNATURE_INVALID';
  }

  #isOutside({ timeBase, minTimeUs, maxTimeUs }: Statement): boolean {
    const { minTimeUs: from, maxTimeUs: until } = this.#facts;
    return timeBase === TIME_BASES.utc && (minTimeUs < from || maxTimeUs > until);
  }
}

/** Finds entries that cover a sequence which an earlier one covers. */
export class Overlaps {
  readonly #taken = new Map<string, [first: number, last: number][]>();

  /** Whether the entry overlaps one that was added before; if not, its own range is taken. */
  add(bytes: Uint8Array): boolean {
    const read = readEntry(bytes);
    if (read === null) return false;
    const { firstSequence: first, count } = read.statement;
    const last = first + count - 1;
    const key = runKey(read.statement);
    const taken = this.#taken.get(key) ?? [];
    this.#taken.set(key, taken);
    let [low, high] = [0, taken.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((taken[middle] as [number, number])[0] <= last) low = middle + 1;
      else high = middle;
    }
    // Taken ranges are disjoint: only the last one that begins at or before our end can reach into ours.
    const before = taken[low - 1];
    if (before !== undefined && before[1] >= first) return true;
    taken.splice(low, 0, [first, last]);
    return false;
  }
}

function isTooLate({ receivedAtUs, flags }: Entry, revokedAtUs: number | undefined): boolean {
  if (revokedAtUs === undefined || (flags & INGEST_FLAGS.clockUntrusted) !== 0) return false;
  return receivedAtUs > revokedAtUs + REVOCATION_GRACE_US;
}

function readEntry(bytes: Uint8Array): { entry: Entry; statement: Statement } | null {
  try {
    const entry = decodeEntry(bytes);
    const { statement } = readStatement(entry.statement);
    return statement === undefined ? null : { entry, statement };
  } catch {
    return null;
  }
}
