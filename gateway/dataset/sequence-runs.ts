import { type Statement, toHex } from '@waystone/proto';

interface Run {
  first: number;
  last: number;
  /** Entry that the run begins with. */
  entry: number;
}

/** Names one device's session and stream. */
export function runKey({ device, session, stream }: Statement): string {
  return `${toHex(device)}/${toHex(session)}/${stream}`;
}

/** Sequences that the entries of a dataset cover, by device, session and stream; finds those covered twice. */
export class SequenceRuns {
  readonly #runs = new Map<string, Run[]>();

  add(statement: Statement, entry: number): void {
    const { firstSequence, count } = statement;
    const key = runKey(statement);
    let runs = this.#runs.get(key);
    if (runs === undefined) {
      runs = [];
      this.#runs.set(key, runs);
    }
    const last = firstSequence + count - 1;
    const before = runs[runs.length - 1];
    // Entries mostly arrive in order: one run for all of a session keeps memory small.
    if (before !== undefined && firstSequence === before.last + 1) before.last = last;
    else runs.push({ first: firstSequence, last, entry });
  }

  /** Sequences that two runs cover, with the entry that the later one of them begins with. */
  *overlaps(): Generator<{ detail: string; entry: number; sequence: number }> {
    for (const [key, runs] of this.#runs) {
      runs.sort((a, b) => a.first - b.first || a.entry - b.entry);
      let reach: Run | undefined;
      for (const run of runs) {
        if (reach !== undefined && run.first <= reach.last) {
          // Of the two, name the one that came later into the dataset.
          const [early, late] = reach.entry < run.entry ? [reach, run] : [run, reach];
          yield {
            detail: `sequences ${run.first}..${Math.min(run.last, reach.last)} of ${key} are also in the run that begins with entry ${early.entry}`,
            entry: late.entry,
            sequence: run.first,
          };
        }
        if (reach === undefined || run.last > reach.last) reach = run;
      }
    }
  }
}
