import { affineY, KEY_TYPES, type PublicKey } from '@waystone/proto';
import type { ChallengeCall } from '../forge/challenge-client.js';

/** Faults that a contract judges, by the number that it has there; 0 is reported and costs no bond. */
export const FAULT_NUMBERS = {
  signature: 1,
  realm: 2,
  unregistered: 3,
  revoked: 4,
  overlap: 5,
  time: 6,
  fork: 7,
  receipt: 8,
  device: 0,
} as const;

export type FaultName = keyof typeof FAULT_NUMBERS;

/** Something that a contract would uphold. */
export interface Finding {
  readonly fault: FaultName;
  /** Name on chain of the dataset that answers for it; null for what a device did. */
  readonly key: string | null;
  /** Entries that show it, of the dataset that answers first. */
  readonly entries: readonly number[];
  /** One sentence for people. */
  readonly detail: string;
  /** The call that shows it, with its proofs. */
  readonly call: () => Promise<ChallengeCall>;
}

/** Findings of one fault of a dataset that are kept; one is enough for a slice. */
const FINDINGS_MAX = 20;

/** Keeps the first findings of each fault of each dataset, and counts all. */
export class Findings {
  readonly #kept: Finding[] = [];
  readonly #counts = new Map<FaultName, number>();
  readonly #countsOf = new Map<string, number>();

  add(finding: Finding): void {
    const { fault, key } = finding;
    this.#counts.set(fault, (this.#counts.get(fault) ?? 0) + 1);
    const count = (this.#countsOf.get(`${fault} ${key}`) ?? 0) + 1;
    this.#countsOf.set(`${fault} ${key}`, count);
    if (count <= FINDINGS_MAX) this.#kept.push(finding);
  }

  get all(): readonly Finding[] {
    return this.#kept;
  }

  /** How many there are of each fault, kept or not. */
  get counts(): Readonly<Partial<Record<FaultName, number>>> {
    return Object.fromEntries(this.#counts);
  }
}

/** Sentences about what is wrong and no contract judges, each with a count. */
export class Notes {
  readonly #counts = new Map<string, { first: string; count: number }>();

  /** @param what the kind of thing; `first` is told of the first of them. */
  add(what: string, first: string): void {
    const known = this.#counts.get(what);
    if (known === undefined) this.#counts.set(what, { first, count: 1 });
    else known.count += 1;
  }

  get lines(): string[] {
    return [...this.#counts].map(([what, { first, count }]) =>
      count === 1 ? `${what}: ${first}` : `${what}: ${first}, and ${count - 1} more`,
    );
  }
}

/**
 * A key as the contract wants it: compression leaves out y, which costs too much to find there.
 *
 * @returns null for Ed25519, and for a point that is on no curve.
 */
export function judgedKey(
  key: PublicKey,
): { keyType: number; publicKey: Uint8Array; y: Uint8Array } | null {
  const y = affineY(key);
  return y === null ? null : { keyType: KEY_TYPES[key.type], publicKey: key.bytes, y };
}
