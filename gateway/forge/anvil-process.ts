import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { createServer } from 'node:net';
import { z } from 'zod';
import { replaceFile } from '../core/durable.js';
import { WaystoneError } from '../core/errors.js';
import { jsonRpc } from './json-rpc.js';

const require = createRequire(import.meta.url);

/** How long a node may take to answer first; it usually takes 0.3 s. */
const START_TIMEOUT_MS = 30_000;
const START_POLL_MS = 25;
const STOP_TIMEOUT_MS = 5_000;

/** Bytes of the node's own words that are kept for an error message. */
const OUTPUT_KEPT = 2_000;

/** Names a process for good: a pid alone may be given to another one. */
const Mark = z.object({
  pid: z.number().int().positive(),
  port: z.number(),
  startTime: z.string(),
});

/**
 * The node's binary, from its npm package.
 *
 * @throws WaystoneError LOCAL_CHAIN_UNAVAILABLE when the package has none for this platform.
 */
export function anvilBinary(
  platform: string = process.platform,
  arch: string = process.arch,
): string {
  const name = `@foundry-rs/anvil-${platform}-${arch === 'x64' ? 'amd64' : arch}`;
  try {
    return require.resolve(`${name}/bin/anvil`);
  } catch (cause) {
    throw new WaystoneError(
      'LOCAL_CHAIN_UNAVAILABLE',
      `no local chain on ${platform} ${arch}: ${name} is not installed. ` +
        'Sealed datasets wait; set chain.network to none, or run the gateway where the package has a binary',
      { cause },
    );
  }
}

/** How a node ended: its exit code, or the signal that ended it; and its last words. */
export interface AnvilEnd {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly words: string;
}

/** A running anvil. */
export interface Anvil {
  readonly url: string;
  readonly pid: number;
  /** Resolves when the process is gone; with how it ended. */
  readonly exited: Promise<AnvilEnd>;
  /** SIGTERM, then SIGKILL when it does not go. */
  stop(): Promise<void>;
}

export interface AnvilOptions {
  readonly chainId: number;
  /** Remembers the process, so that the next start can end it if this gateway was killed. */
  readonly markFile: string;
  /** For tests; default is {@link anvilBinary}. */
  readonly binary?: string;
}

/**
 * Starts anvil on a free loopback port and waits for its first answer. It gets no accounts: the gateway signs
 * by itself, so no key is ever on a command line.
 *
 * @throws WaystoneError LOCAL_CHAIN_FAILED with the node's own words.
 */
export async function startAnvil(options: AnvilOptions): Promise<Anvil> {
  const binary = options.binary ?? anvilBinary();
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const args = [
    ...['--host', '127.0.0.1', '--port', String(port)],
    ...['--chain-id', String(options.chainId), '--accounts', '0'],
    // Without it every block's state stays in memory.
    '--prune-history',
    // A dump of a long chain is larger than the default limit of 2 MB.
    '--no-request-size-limit',
    '--no-cors',
    '--disable-default-create2-deployer',
    '--quiet',
  ];
  // The kernel ends the node when we are killed, where it can; the mark file is for where it cannot.
  const [command, ...rest] = hasSetpriv()
    ? ['setpriv', '--pdeathsig', 'KILL', binary, ...args]
    : [binary, ...args];
  const child = spawn(command as string, rest, { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  const keep = (chunk: Buffer): void => {
    output = (output + chunk.toString('utf8')).slice(-OUTPUT_KEPT);
  };
  child.stdout?.on('data', keep);
  child.stderr?.on('data', keep);
  const state = { gone: false };
  const exited = new Promise<AnvilEnd>((resolve) => {
    const end = (code: number | null, signal: NodeJS.Signals | null): void => {
      state.gone = true;
      resolve({ code, signal, words: output.trim() });
    };
    child.once('exit', end);
    child.once('error', (error) => {
      output += error.message;
      end(null, null);
    });
  });
  const pid = child.pid;
  if (pid !== undefined) {
    const mark = { pid, port, startTime: startTimeOf(pid) ?? '' };
    replaceFile(options.markFile, JSON.stringify(mark), 0o600);
  }
  const deadline = performance.now() + START_TIMEOUT_MS;
  while (!state.gone && performance.now() < deadline) {
    try {
      const chainId = Number(await jsonRpc(url, 'eth_chainId', [], 1_000));
      // Another process may have taken the port in between.
      if (chainId === options.chainId && !state.gone && pid !== undefined) {
        return { url, pid, exited, stop: () => stopChild(child, exited, options.markFile) };
      }
    } catch {
      // Not yet.
    }
    await new Promise((resolve) => setTimeout(resolve, START_POLL_MS));
  }
  if (!state.gone) await stopChild(child, exited, options.markFile);
  throw new WaystoneError(
    'LOCAL_CHAIN_FAILED',
    `the local chain (${binary}) did not start: ${output.trim() || 'it said nothing'}`,
  );
}

/**
 * Ends the anvil that an earlier, killed gateway left behind: only if pid, start time and command line are the
 * marked ones. @returns whether one was ended.
 */
export async function endOrphan(markFile: string): Promise<boolean> {
  let mark: z.infer<typeof Mark>;
  try {
    mark = Mark.parse(JSON.parse(readFileSync(markFile, 'utf8')));
  } catch {
    // No mark, or one that a crash left unreadable: nothing that we may end.
    return false;
  }
  const isOurs = (): boolean =>
    mark.startTime !== '' &&
    startTimeOf(mark.pid) === mark.startTime &&
    isAnvil(commandLineOf(mark.pid), mark.port);
  if (!isOurs()) return false;
  process.kill(mark.pid, 'SIGKILL');
  while (isOurs()) await new Promise((resolve) => setTimeout(resolve, START_POLL_MS));
  rmSync(markFile, { force: true });
  return true;
}

async function stopChild(
  child: ChildProcess,
  exited: Promise<unknown>,
  markFile: string,
): Promise<void> {
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS);
  await exited;
  clearTimeout(timer);
  rmSync(markFile, { force: true });
}

/** When a process started, in clock ticks since boot; null when there is no such process, or no /proc. */
function startTimeOf(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // Field 2 is the name in brackets and may hold spaces; field 22 is the start time (proc_pid_stat(5)).
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    // A zombie holds no port any more; its parent has not looked yet.
    return fields[0] === 'Z' ? null : (fields[19] ?? null);
  } catch {
    return null;
  }
}

function commandLineOf(pid: number): string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
  } catch {
    return [];
  }
}

function isAnvil(commandLine: readonly string[], port: number): boolean {
  const at = commandLine.indexOf('--port');
  const isPort = at >= 0 && commandLine[at + 1] === String(port);
  return isPort && commandLine.some((argument) => /(^|\/)anvil$/.test(argument));
}

let setpriv: boolean | undefined;

function hasSetpriv(): boolean {
  setpriv ??=
    process.platform === 'linux' &&
    spawnSync('setpriv', ['--pdeathsig', 'KILL', 'true'], { stdio: 'ignore' }).status === 0;
  return setpriv;
}

/** A port that was free a moment ago; a start that finds it taken fails and is tried again. */
function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      const port = typeof address === 'object' && address !== null ? address.port : 0;
      server.close(() => resolve(port));
    });
  });
}
