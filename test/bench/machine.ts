import { execFileSync } from 'node:child_process';
import {
  closeSync,
  fdatasyncSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { cpus, release, tmpdir, totalmem } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { quantile } from './statistics.js';

/** The project's folder: the nearest one above whose package is `waystone`. */
export const ROOT = findRoot(dirname(fileURLToPath(import.meta.url)));

function findRoot(folder: string): string {
  try {
    const { name } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
    if (name === 'waystone') return folder;
  } catch {}
  const parent = dirname(folder);
  if (parent === folder) throw new Error('the bench runs inside the project only');
  return findRoot(parent);
}

/** Where a result was measured. */
export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGiB: number;
  readonly kernel: string;
  readonly node: string;
  readonly commit: string;
  readonly date: string;
  readonly command: string;
}

export function machine(): Machine {
  const git = (...args: string[]): string => {
    try {
      return execFileSync('git', args, { cwd: ROOT, encoding: 'utf8' }).trim();
    } catch {
      return '';
    }
  };
  const changes = git(
    'status',
    '--porcelain',
    '--untracked-files=no',
    '--',
    '.',
    ':!test/bench/results',
  );
  return {
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    node: process.version,
    commit: `${git('rev-parse', '--short', 'HEAD')}${changes && ' and changes'}`,
    date: new Date().toISOString().slice(0, 10),
    command: ['npm run bench --', ...process.argv.slice(2)].join(' '),
  };
}

/** Median ms of an fdatasync after an append of 4 KiB, over 200 of them. */
export function fdatasyncP50Ms(): number {
  const folder = mkdtempSync(join(process.env.BENCH_FOLDER ?? tmpdir(), 'waystone-bench-'));
  const fd = openSync(join(folder, 'probe'), 'w');
  try {
    const block = Buffer.alloc(4096, 1);
    const times: number[] = [];
    for (let at = 0; at < 200; at++) {
      writeSync(fd, block);
      const startMs = performance.now();
      fdatasyncSync(fd);
      times.push(performance.now() - startMs);
    }
    return quantile(times, 0.5);
  } finally {
    closeSync(fd);
    rmSync(folder, { recursive: true });
  }
}

/** Ticks of /proc times a second; 100 on every Linux that Node runs on. */
const TICKS_PER_SECOND = 100;

/** CPU that a process has used so far with all its threads, µs. */
export function cpuUsOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return ((Number(fields[11]) + Number(fields[12])) * 1e6) / TICKS_PER_SECOND;
}

/** CPU of each thread of a process so far, µs, by thread id; the lowest is the main thread. */
export function threadCpuUsOf(pid: number): Map<number, number> {
  const threads = new Map<number, number>();
  for (const name of readdirSync(`/proc/${pid}/task`)) {
    const [ns] = readFileSync(`/proc/${pid}/task/${name}/schedstat`, 'latin1').split(' ');
    threads.set(Number(name), Number(ns) / 1000);
  }
  return threads;
}

/** Resident memory of a process, bytes. */
export function residentBytesOf(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, 'latin1');
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1] ?? 0) * 1024;
}
