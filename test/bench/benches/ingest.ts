import type { KeyType } from '@waystone/proto';
import { type IngestOptions, type IngestResult, runIngest } from '../gateway-run.js';
import { fdatasyncP50Ms } from '../machine.js';
import { type NaiveResult, runNaive } from '../naive/run.js';
import { median, type Spread, short, spread } from '../statistics.js';

/** One line of the table. */
interface Case {
  readonly keyType: KeyType;
  readonly framesEach: number;
  readonly connections: number;
  readonly window: number;
}

export interface IngestRow extends Case {
  readonly framesPerSecond: Spread;
  readonly ratio: Spread;
  readonly cpuUsPerFrame: { readonly gateway: number; readonly load: number };
  /** CPU a frame of naive's consumer and broker over the gateway's. */
  readonly cpuRatio: number;
  readonly acknowledged: number;
  readonly lost: number;
  readonly twice: number;
}

/** Envelopes that may be unanswered in all: enough to keep every thread at work. */
const IN_FLIGHT = 1600;

const caseOf = (keyType: KeyType, framesEach: number, connections: number): Case => ({
  keyType,
  framesEach,
  connections,
  window: Math.max(
    2,
    Math.min(64, Math.round((framesEach > 1 ? IN_FLIGHT / 4 : IN_FLIGHT) / connections)),
  ),
});

const FULL: readonly Case[] = [
  caseOf('Ed25519', 64, 50),
  caseOf('secp256k1', 64, 50),
  caseOf('secp256k1', 1, 50),
  caseOf('Ed25519', 1, 50),
  caseOf('P-256', 1, 50),
  { ...caseOf('secp256k1', 1, 50), window: 1 },
  caseOf('Ed25519', 16, 50),
  caseOf('Ed25519', 256, 50),
  caseOf('P-256', 64, 50),
  caseOf('Ed25519', 64, 1),
  caseOf('Ed25519', 64, 500),
  caseOf('secp256k1', 64, 500),
  caseOf('secp256k1', 1, 1),
  caseOf('secp256k1', 1, 500),
  { ...caseOf('secp256k1', 1, 500), window: 1 },
];

const QUICK: readonly Case[] = [caseOf('Ed25519', 64, 50), caseOf('secp256k1', 1, 50)];

export interface IngestReport {
  readonly rows: readonly IngestRow[];
  readonly naive: readonly (NaiveSummary & { readonly name: string })[];
  readonly fdatasyncP50Ms: readonly [number, number];
}

interface NaiveSummary {
  readonly framesPerSecond: Spread;
  readonly cpuUsPerFrame: { readonly consumer: number; readonly broker: number };
}

const NAIVE = { connections: 50, framesEach: 1, signing: 'frame', withTree: true } as const;

/** Rounds of naive and every case in turn, so that all of them see the same mood of the disk. */
export async function benchIngest(options: {
  quick: boolean;
  rounds: number;
  say: (line: string) => void;
}): Promise<IngestReport> {
  const { quick, rounds, say } = options;
  const cases = quick ? QUICK : FULL;
  const naive: NaiveResult[] = [];
  const others = new Map<string, NaiveResult[]>();
  const results = new Map<Case, IngestResult[]>(cases.map((one) => [one, []]));
  const before = fdatasyncP50Ms();
  for (let round = 0; round < rounds; round++) {
    naive.push(await runNaive({ ...NAIVE, frames: 10_000 }));
    say(`naive: ${short(naive.at(-1)?.framesPerSecond ?? 0)} frames/s`);
    if (!quick) {
      for (const [name, signing] of [
        ['naive64', 'frame'],
        ['naive64, one signature a message', 'message'],
      ] as const) {
        const frames = signing === 'frame' ? 20_000 : 100_000;
        const result = await runNaive({
          ...NAIVE,
          framesEach: 64,
          signing,
          withTree: false,
          frames,
        });
        others.set(name, [...(others.get(name) ?? []), result]);
        say(`${name}: ${short(result.framesPerSecond)} frames/s`);
      }
    }
    for (const one of cases) {
      const result = await runIngest(settingsOf(one, quick));
      results.get(one)?.push(result);
      say(
        `${nameOf(one)}: ${short(result.framesPerSecond)} frames/s in ${short(result.seconds)} s, ` +
          `CPU µs a frame: gateway ${short(result.cpu.gateway)}, load ${short(result.cpu.load)}; ` +
          `acknowledged ${result.stored.acknowledged}, acked but lost: ${result.stored.lost}, stored twice: ${result.stored.twice}`,
      );
    }
  }
  const after = fdatasyncP50Ms();
  const summary = summarise(naive);
  return {
    rows: cases.map((one) => rowOf(one, results.get(one) ?? [], naive)),
    naive: [
      { name: 'naive', ...summary },
      ...[...others].map(([name, runs]) => ({ name, ...summarise(runs) })),
    ],
    fdatasyncP50Ms: [before, after],
  };
}

export function nameOf({ keyType, framesEach, connections, window }: Case): string {
  return `${keyType}, ${framesEach} frames an envelope, ${connections} connections, window ${window}`;
}

/** Envelopes that one run may use, from what a fast machine of two cores takes. */
function settingsOf(one: Case, quick: boolean): IngestOptions {
  const seconds = quick ? 3 : 4;
  // Code is compiled for seconds after the start, at a fifth of all CPU.
  const warmUpSeconds = quick ? 1.5 : 6;
  const perSecond = one.framesEach === 1 ? 28_000 : 700_000 / one.framesEach;
  const envelopes = Math.ceil(perSecond * (seconds + warmUpSeconds));
  return { ...one, seconds, warmUpSeconds, envelopes };
}

function summarise(runs: readonly NaiveResult[]): NaiveSummary {
  return {
    framesPerSecond: spread(runs.map(({ framesPerSecond }) => framesPerSecond)),
    cpuUsPerFrame: {
      consumer: median(runs.map(({ cpu }) => cpu.consumer)),
      broker: median(runs.map(({ cpu }) => cpu.broker)),
    },
  };
}

/** Each run is divided by naive's run of the same round. */
function rowOf(one: Case, runs: readonly IngestResult[], naive: readonly NaiveResult[]): IngestRow {
  const gateway = median(runs.map(({ cpu }) => cpu.gateway));
  const naiveCpu = median(naive.map(({ cpu }) => cpu.consumer + cpu.broker));
  const sum = (of: (run: IngestResult) => number) =>
    runs.reduce((total, run) => total + of(run), 0);
  return {
    ...one,
    framesPerSecond: spread(runs.map(({ framesPerSecond }) => framesPerSecond)),
    ratio: spread(
      runs.map((run, round) => run.framesPerSecond / (naive[round]?.framesPerSecond ?? Number.NaN)),
    ),
    cpuUsPerFrame: { gateway, load: median(runs.map(({ cpu }) => cpu.load)) },
    cpuRatio: naiveCpu / gateway,
    acknowledged: sum(({ stored }) => stored.acknowledged),
    lost: sum(({ stored }) => stored.lost),
    twice: sum(({ stored }) => stored.twice),
  };
}
