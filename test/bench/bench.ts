import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { benchDisk } from './benches/disk.js';
import { benchGas } from './benches/gas.js';
import { benchGrowth, type GrowthPoint } from './benches/growth.js';
import { benchIdle } from './benches/idle.js';
import { benchIngest, type IngestReport, nameOf } from './benches/ingest.js';
import { benchLatency } from './benches/latency.js';
import { benchOverload } from './benches/overload.js';
import { benchRestart } from './benches/restart.js';
import { benchSeal } from './benches/seal.js';
import { benchStarve } from './benches/starve.js';
import { fdatasyncP50Ms, machine, ROOT } from './machine.js';
import { type BenchOptions, readOptions, USAGE } from './options.js';
import { type PlotOptions, plotLines } from './plot.js';
import { type Spread, short } from './statistics.js';
import { tableOf } from './table.js';

/** Progress goes to stderr, so that stdout carries the table or the JSON alone. */
const say = (line: string): void => console.error(line);

const parsed = readOptions(process.argv.slice(2));
if ('fault' in parsed) {
  console.error(`${parsed.fault}\n${USAGE}`);
  process.exit(2);
}
const options: BenchOptions = parsed;
const where = machine();
say(`${where.cpu}, ${where.cores} cores, Node ${where.node}, ${where.commit}`);
const { quick } = options;
const million = options.frames ?? (quick ? 100_000 : 1_000_000);

switch (options.what) {
  case 'ingest': {
    const rounds = options.rounds ?? (quick ? 2 : 5);
    const report = await benchIngest({ quick, rounds, say });
    keep('ingest', report);
    keepPlot('ingest', ingestPlot(report));
    if (options.json) console.log(JSON.stringify(summaryOf(report)));
    else console.log(ingestTable(report));
    break;
  }
  case 'latency':
    tell('latency', await benchLatency({ quick, say }));
    break;
  case 'idle':
    tell('idle', await benchIdle({ devices: options.devices ?? (quick ? 1_000 : 10_000), say }));
    break;
  case 'seal':
    tell('seal', await benchSeal({ frames: million, say }));
    break;
  case 'restart':
    tell('restart', await benchRestart({ frames: million, say }));
    break;
  case 'disk':
    tell('disk', await benchDisk({ frames: million, say }));
    break;
  case 'overload': {
    const report = await benchOverload({ seconds: options.seconds ?? (quick ? 15 : 120), say });
    tell('overload', report);
    keepPlot('overload', {
      title: 'Memory under three times the load that is taken',
      x: 'seconds',
      y: 'MiB resident',
      series: [{ name: 'gateway', points: report.resident }],
    });
    break;
  }
  case 'starve':
    tell('starve', await benchStarve({ quick, say }));
    break;
  case 'gas':
    tell('gas', await benchGas({ say }));
    break;
  case 'growth': {
    const report = await benchGrowth({ quick, frames: million, say });
    tell('growth', report);
    const plot = (name: string, x: string, points: readonly GrowthPoint[]): void =>
      keepPlot(`growth-${name}`, {
        title: `Cost of a frame as ${name} grow`,
        x,
        y: 'CPU µs a frame',
        isLogX: true,
        series: [
          {
            name: 'gateway',
            points: points.map(({ count, cpuUsPerFrame }) => [count, cpuUsPerFrame] as const),
          },
        ],
      });
    plot('devices', 'devices, each on a connection of its own', report.devices);
    plot('frames', 'frames stored', report.storedFrames);
    plot('datasets', 'datasets kept', report.datasets);
    break;
  }
}
process.exit(0);

function tell(name: string, result: object): void {
  keep(name, result);
  console.log(options.json ? JSON.stringify(result) : tableOf(result));
}

function resultFolder(): string {
  const folder = join(ROOT, 'test/bench/results');
  mkdirSync(folder, { recursive: true });
  return folder;
}

/** Writes a result with the machine, unless it was a quick look. */
function keep(name: string, result: object): void {
  if (quick) return;
  const file = join(resultFolder(), `${name}.json`);
  const fdatasync = fdatasyncP50Ms();
  const content = { machine: where, fdatasyncP50MsAtTheEnd: fdatasync, result };
  writeFileSync(file, `${JSON.stringify(content, null, 2)}\n`);
  say(`written: ${file}`);
}

function keepPlot(name: string, plot: PlotOptions): void {
  if (quick) return;
  writeFileSync(join(resultFolder(), `${name}.svg`), plotLines(plot));
}

function summaryOf(report: IngestReport): object {
  const row = (framesEach: number, keyType: string) =>
    report.rows.find(
      (one) =>
        one.framesEach === framesEach &&
        one.keyType === keyType &&
        one.connections === 50 &&
        one.window > 1,
    );
  const many = row(64, 'Ed25519');
  const single = row(1, 'secp256k1');
  return {
    ratio64: many?.ratio.median,
    ratio1: single?.ratio.median,
    cpuRatio64: many?.cpuRatio,
    cpuRatio1: single?.cpuRatio,
    framesPerSecond64: many?.framesPerSecond.median,
    framesPerSecond1: single?.framesPerSecond.median,
    naiveFramesPerSecond: report.naive[0]?.framesPerSecond.median,
    fdatasyncP50Ms: report.fdatasyncP50Ms,
    acknowledgedButLost: report.rows.reduce((sum, { lost }) => sum + lost, 0),
    storedTwice: report.rows.reduce((sum, { twice }) => sum + twice, 0),
  };
}

function ingestPlot({ rows }: IngestReport): PlotOptions {
  const shown = rows.filter(({ connections, window }) => connections === 50 && window > 1);
  const types = [...new Set(shown.map(({ keyType }) => keyType))];
  return {
    title: 'Verified, durable frames a second, 50 connections',
    x: 'frames an envelope',
    y: '× the naive pipeline of the same run',
    isLogX: true,
    series: types.map((type) => ({
      name: type,
      points: shown
        .filter(({ keyType }) => keyType === type)
        .map(({ framesEach, ratio }) => [framesEach, ratio.median] as const)
        .sort(([a], [b]) => a - b),
    })),
  };
}

function ingestTable(report: IngestReport): string {
  const spreadText = ({ median, least, most }: Spread) =>
    `${short(median)} (${short(least)}–${short(most)})`;
  const lines = [
    '| what | frames/s | × naive | CPU µs a frame, gateway | CPU, naive over gateway |',
    '| --- | --- | --- | --- | --- |',
    ...report.naive.map(
      ({ name, framesPerSecond, cpuUsPerFrame }) =>
        `| ${name} | ${spreadText(framesPerSecond)} | | ${short(cpuUsPerFrame.consumer)} + ${short(cpuUsPerFrame.broker)} | |`,
    ),
    ...report.rows.map(
      (row) =>
        `| ${nameOf(row)} | ${spreadText(row.framesPerSecond)} | ${spreadText(row.ratio)} | ${short(row.cpuUsPerFrame.gateway)} | ${short(row.cpuRatio)} |`,
    ),
    '',
    `fdatasync p50: ${report.fdatasyncP50Ms.map((ms) => `${ms.toFixed(2)} ms`).join(' before, ')} after. ` +
      `acked but lost: ${report.rows.reduce((sum, { lost }) => sum + lost, 0)}, stored twice: ${report.rows.reduce((sum, { twice }) => sum + twice, 0)}`,
  ];
  return lines.join('\n');
}
