/** What a verification says: one line for each thing that was checked, and a verdict. */

export type CheckStatus = 'passed' | 'failed' | 'skipped';

/** Where a check failed. Entries, frames within an entry and bytes count from 0; the end of bytes is excluded. */
export interface Where {
  /** Name of the file in the dataset folder, or "proof". */
  readonly file: string;
  readonly entry?: number;
  readonly frame?: number;
  readonly sequence?: number;
  readonly bytes?: readonly [start: number, end: number];
}

export interface Check {
  readonly name: CheckName;
  readonly status: CheckStatus;
  /** One sentence for people; nothing parses it. */
  readonly detail: string;
  /** First place of a failure. */
  readonly where?: Where;
}

/** Every check, in the order of the report. The names are stable: scripts read them from the JSON. */
export type CheckName =
  | 'proof'
  | 'files'
  | 'manifest'
  | 'file hashes'
  | 'devices'
  | 'entries'
  | 'statements'
  | 'device keys'
  | 'signatures'
  | 'signature kind'
  | 'stream and realm'
  | 'receive times'
  | 'sequences'
  | 'frames'
  | 'frames roots'
  | 'statements against frames'
  | 'previous links'
  | 'summaries'
  | 'entries tree'
  | 'checkpoint'
  | 'gateway'
  | 'log record'
  | 'chain'
  | 'signer';

/**
 * `verified`: all holds and the signer is the expected one. `consistent`: all holds, but nobody said who the
 * signer should be, and anyone can sign a dataset that is consistent. `failed`: something does not hold.
 */
export type VerificationResult = 'verified' | 'consistent' | 'failed';

/** Exit codes of `waystone verify`; 2 is a path that cannot be read or a wrong option. */
export const EXIT_CODES = { verified: 0, failed: 1, unreadable: 2, consistent: 3 } as const;

export interface Verification {
  readonly type: 'waystone-verification';
  readonly subject: 'dataset' | 'proof';
  readonly path: string;
  /** Root that the manifest names, in hex, or null when it cannot be read. */
  readonly root: string | null;
  readonly result: VerificationResult;
  readonly exitCode: 0 | 1 | 3;
  readonly verdict: string;
  readonly checks: readonly Check[];
}

/** One check while it runs: the first failure is kept, further ones are counted. */
export class CheckTally {
  readonly name: CheckName;
  #failures = 0;
  #failure: { detail: string; where?: Where } | undefined;
  #outcome: { status: 'passed' | 'skipped'; detail: string } | undefined;

  constructor(name: CheckName) {
    this.name = name;
  }

  fail(detail: string, where?: Where): void {
    this.#failures += 1;
    this.#failure ??= where === undefined ? { detail } : { detail, where };
  }

  /** Has no effect after a failure. */
  pass(detail: string): void {
    this.#outcome = { status: 'passed', detail };
  }

  /** Has no effect after a failure. */
  skip(detail: string): void {
    this.#outcome = { status: 'skipped', detail };
  }

  get hasFailed(): boolean {
    return this.#failures > 0;
  }

  get hasPassed(): boolean {
    return !this.hasFailed && this.#outcome?.status === 'passed';
  }

  result(): Check {
    const { name } = this;
    if (this.#failure === undefined) {
      const unreached = { status: 'skipped', detail: 'not reached, since an earlier check failed' };
      return { name, ...((this.#outcome ?? unreached) as { status: CheckStatus; detail: string }) };
    }
    const more = this.#failures === 1 ? '' : `; and ${this.#failures - 1} more like it`;
    const { detail, where } = this.#failure;
    const check = { name, status: 'failed', detail: detail + more } as const;
    return where === undefined ? check : { ...check, where };
  }
}

/** All checks of one verification, in order. */
export class Report {
  readonly #tallies = new Map<CheckName, CheckTally>();

  constructor(names: readonly CheckName[]) {
    for (const name of names) this.#tallies.set(name, new CheckTally(name));
  }

  /** @throws RangeError for a check that this report does not have. */
  check(name: CheckName): CheckTally {
    const tally = this.#tallies.get(name);
    if (tally === undefined) throw new RangeError(`this report has no check "${name}"`);
    return tally;
  }

  conclude(subject: Verification['subject'], path: string, root: string | null): Verification {
    const checks = [...this.#tallies.values()].map((tally) => tally.result());
    const result = resultOf(checks);
    return {
      type: 'waystone-verification',
      subject,
      path,
      root,
      result,
      exitCode: EXIT_CODES[result],
      verdict: verdictOf(subject, result, checks),
      checks,
    };
  }
}

/** Only signer and chain may be left out; anything else that did not run cannot be vouched for. */
function resultOf(checks: readonly Check[]): VerificationResult {
  for (const { name, status } of checks) {
    if (status === 'failed') return 'failed';
    if (status === 'skipped' && name !== 'signer' && name !== 'chain') return 'failed';
  }
  return checks.some(({ name, status }) => name === 'signer' && status === 'passed')
    ? 'verified'
    : 'consistent';
}

function verdictOf(
  subject: Verification['subject'],
  result: VerificationResult,
  checks: readonly Check[],
): string {
  if (result === 'verified') return `${subject} verified`;
  if (result === 'consistent') {
    return `${subject} consistent, signer not pinned: give --gateway <did> or --rpc <url> to say whose word it must be`;
  }
  const failed = checks.filter(({ status }) => status === 'failed').map(({ name }) => name);
  return `${subject} FAILED: ${failed.join(', ')}`;
}
