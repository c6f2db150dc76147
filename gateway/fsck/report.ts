import { type FsckCode, MEANINGS, type Severity } from './codes.js';

/** What `waystone fsck` says: one line for each check, one block for each finding, and a verdict. */

/** Every check, in the order of the report. The names are stable: scripts read them from the JSON. */
export const CHECKS = [
  'ledger file',
  'identity',
  'devices',
  'log',
  'batches',
  'statements',
  'ranges',
  'receipts',
  'batch files',
  'datasets',
  'forging',
  'local chain',
  'counters',
] as const;

export type CheckName = (typeof CHECKS)[number];

/** A place, count, name or hash of a finding. */
export type Facts = Readonly<Record<string, string | number>>;

export interface Finding {
  readonly code: FsckCode;
  readonly check: CheckName;
  readonly severity: Severity;
  /** One sentence for people; nothing parses it. */
  readonly what: string;
  readonly facts: Facts;
  /** What it means for what was promised. */
  readonly means: string;
  /** What the operator can do. */
  readonly todo: string;
  /** What `--repair` did; null when it did nothing. */
  readonly repaired: string | null;
  /** Why `--repair` left it, though it mends such things. */
  readonly heldBack: string | null;
}

export interface CheckResult {
  readonly name: CheckName;
  /** `skipped`: an earlier fault left nothing to check. */
  readonly status: 'passed' | 'failed' | 'skipped';
  /** What was looked at, and how often. */
  readonly counts: Readonly<Record<string, number>>;
  /** Findings by severity; those beyond what is listed count too. */
  readonly faults: number;
  readonly leftovers: number;
  readonly notes: number;
}

/** How a leftover or a derived value is mended, and what must be sound for that to be provably safe. */
export interface Repair {
  readonly needs: readonly CheckName[];
  /** @returns what it did, one sentence. */
  run(): Promise<string> | string;
}

/** Findings of one code that are listed; further ones are counted. */
export const FINDINGS_PER_CODE_MAX = 20;

interface Kept {
  readonly finding: Omit<Finding, 'repaired' | 'heldBack'>;
  readonly repair: Repair | null;
  repaired: string | null;
  heldBack: string | null;
}

/** Gathers what the checks find. Memory is bounded: beyond {@link FINDINGS_PER_CODE_MAX} findings only count. */
export class FsckReport {
  readonly #kept: Kept[] = [];
  readonly #found = new Map<FsckCode, number>();
  readonly #checks = new Map(
    CHECKS.map((name) => [
      name,
      { counts: {} as Record<string, number>, fault: 0, leftover: 0, note: 0, isDone: false },
    ]),
  );

  /** @param repair Given where `--repair` can mend it. */
  find(
    check: CheckName,
    code: FsckCode,
    what: string,
    facts: Facts = {},
    repair: Repair | null = null,
  ): void {
    const { severity, means, todo } = MEANINGS[code];
    const found = (this.#found.get(code) ?? 0) + 1;
    this.#found.set(code, found);
    this.#of(check)[severity] += 1;
    if (repair === null && found > FINDINGS_PER_CODE_MAX) return;
    const finding = { code, check, severity, what, facts, means, todo };
    this.#kept.push({ finding, repair, repaired: null, heldBack: null });
  }

  count(check: CheckName, what: string, by = 1): void {
    const { counts } = this.#of(check);
    counts[what] = (counts[what] ?? 0) + by;
  }

  counted(check: CheckName, what: string): number {
    return this.#of(check).counts[what] ?? 0;
  }

  /** The check has looked at everything that it could. */
  done(check: CheckName): void {
    this.#of(check).isDone = true;
  }

  /** Whether the check has run and found no fault. */
  isSound(check: CheckName): boolean {
    const { isDone, fault } = this.#of(check);
    return isDone && fault === 0;
  }

  has(code: FsckCode): boolean {
    return this.#found.has(code);
  }

  /** Mends what can be mended safely; says so, or why not, with each finding. */
  async repair(): Promise<void> {
    for (const kept of this.#kept) {
      if (kept.repair === null) continue;
      const unsound = kept.repair.needs.filter((check) => !this.isSound(check));
      if (this.has('LEDGER_WAL_TORN')) {
        kept.heldBack = 'the last commit is torn, so this may belong to it';
      } else if (unsound.length > 0) {
        kept.heldBack = `not provably safe while these checks fail: ${unsound.join(', ')}`;
      } else {
        try {
          kept.repaired = await kept.repair.run();
        } catch (error) {
          kept.heldBack = `it failed: ${error instanceof Error ? error.message : String(error)}`;
        }
      }
    }
  }

  get findings(): Finding[] {
    return this.#kept.map(({ finding, repaired, heldBack }) => ({
      ...finding,
      repaired,
      heldBack,
    }));
  }

  /** Findings of each code that are counted but not listed. */
  get unlisted(): Partial<Record<FsckCode, number>> {
    const listed = new Map<FsckCode, number>();
    for (const { finding } of this.#kept) {
      listed.set(finding.code, (listed.get(finding.code) ?? 0) + 1);
    }
    const more: Partial<Record<FsckCode, number>> = {};
    for (const [code, found] of this.#found) {
      const beyond = found - (listed.get(code) ?? 0);
      if (beyond > 0) more[code] = beyond;
    }
    return more;
  }

  get checks(): CheckResult[] {
    return [...this.#checks].map(([name, { counts, fault, leftover, note, isDone }]) => ({
      name,
      status: fault > 0 ? 'failed' : isDone ? 'passed' : 'skipped',
      counts,
      faults: fault,
      leftovers: leftover,
      notes: note,
    }));
  }

  /** Faults that are still there. */
  get faultsLeft(): number {
    const mended = this.#kept.filter(
      ({ finding, repaired }) => finding.severity === 'fault' && repaired !== null,
    );
    return this.checks.reduce((sum, { faults }) => sum + faults, 0) - mended.length;
  }

  get leftoversLeft(): number {
    const mended = this.#kept.filter(
      ({ finding, repaired }) => finding.severity === 'leftover' && repaired !== null,
    );
    return this.checks.reduce((sum, { leftovers }) => sum + leftovers, 0) - mended.length;
  }

  #of(check: CheckName) {
    const found = this.#checks.get(check);
    if (found === undefined) throw new RangeError(`there is no check ${check}`);
    return found;
  }
}
