import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { LOCAL_REALM, realmOf, toHex } from '@waystone/proto';
import { ROOT } from './machine.js';

const MAIN = join(ROOT, 'gateway/dist/cli/main.js');

/** Flags of Node as `waystone` is installed with them, or others to compare with. */
const NODE_FLAGS = (process.env.BENCH_NODE_FLAGS ?? '--single-threaded-gc')
  .split(' ')
  .filter((flag) => flag !== '');

export interface GatewaySettings {
  /** Settings as for `waystone start --set`. */
  readonly set?: readonly string[];
  readonly network?: 'none' | 'local';
  /** A folder for CPU profiles, one for each thread; they are written when the gateway stops. */
  readonly profileFolder?: string;
}

/** The product itself, in a process of its own with a home of its own. */
export class BenchGateway {
  readonly home: string;
  readonly #process: ChildProcess;
  readonly did: string;
  readonly mqttPort: number;
  readonly httpPort: number;
  readonly #token: string;

  private constructor(
    home: string,
    process: ChildProcess,
    up: { gateway: string; mqtt: number; http: number; token: string },
  ) {
    this.home = home;
    this.#process = process;
    this.did = up.gateway;
    this.mqttPort = up.mqtt;
    this.httpPort = up.http;
    this.#token = up.token;
  }

  static async makeHome(): Promise<string> {
    const home = await mkdtemp(join(process.env.BENCH_FOLDER ?? tmpdir(), 'waystone-bench-'));
    await promisify(execFile)(process.execPath, [MAIN, '--home', home, 'init']);
    return home;
  }

  /** Starts a gateway in `home`, and waits until it says that it is up. */
  static async start(home: string, settings: GatewaySettings = {}): Promise<BenchGateway> {
    const { set = [], network = 'none', profileFolder } = settings;
    const all = ['mqtt.port=0', 'http.port=0', `chain.network=${network}`, ...set];
    const profile =
      profileFolder === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${profileFolder}`];
    const child = spawn(
      process.execPath,
      [
        ...NODE_FLAGS,
        ...profile,
        MAIN,
        '--home',
        home,
        'start',
        ...all.flatMap((one) => ['--set', one]),
      ],
      {
        stdio: ['ignore', 'pipe', 'pipe'],
        // As the systemd unit and the image have it.
        env: { ...process.env, MALLOC_ARENA_MAX: '2' },
      },
    );
    let written = '';
    child.stderr.on('data', (chunk) => {
      written += chunk;
    });
    const up = await new Promise<{ gateway: string; mqtt: number; http: number }>(
      (resolve, reject) => {
        createInterface({ input: child.stdout }).on('line', (line) => {
          if (!line.startsWith('{')) {
            // What V8 was asked to say by its flags.
            console.error(line);
            return;
          }
          const entry = JSON.parse(line) as { msg: string };
          if (entry.msg === 'gateway is up') resolve(entry as never);
          if (line.includes('"level":"error"') || line.includes('"level":"fatal"')) {
            console.error(`gateway: ${line}`);
          }
        });
        child.once('exit', (code, signal) =>
          reject(new Error(`the gateway ended with ${code ?? signal}: ${written}`)),
        );
      },
    );
    const token = (await readFile(join(home, 'api-token'), 'utf8')).trim();
    return new BenchGateway(home, child, { ...up, token });
  }

  get pid(): number {
    return this.#process.pid as number;
  }

  async ask<T>(method: 'GET' | 'POST', path: string, body?: object): Promise<T> {
    const response = await fetch(`http://127.0.0.1:${this.httpPort}${path}`, {
      method,
      headers: { authorization: `Bearer ${this.#token}`, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path} answered ${response.status}: ${text}`);
    return (text.startsWith('{') ? JSON.parse(text) : text) as T;
  }

  /** Realm that its statements carry, in hex. */
  async realm(): Promise<string> {
    const { chain } = await this.ask<{ chain: { chainId: number; idao: string } }>(
      'GET',
      '/v1/status',
    );
    return toHex(chain.idao === '' ? LOCAL_REALM : realmOf(chain.chainId, chain.idao));
  }

  /** Enrols devices, many at a time, so that they share commits. */
  async enrol(dids: readonly string[]): Promise<void> {
    const waiting = [...dids];
    const enrolNext = async (): Promise<void> => {
      for (let did = waiting.pop(); did !== undefined; did = waiting.pop()) {
        await this.ask('POST', '/v1/devices', { did, label: '' });
      }
    };
    await Promise.all(Array.from({ length: 32 }, enrolNext));
  }

  /** Seconds that `waystone verify` takes for a dataset folder. */
  async verify(folder: string): Promise<number> {
    const startMs = performance.now();
    await promisify(execFile)(process.execPath, [MAIN, 'verify', folder, '--gateway', this.did]);
    return (performance.now() - startMs) / 1000;
  }

  /** As SIGTERM does. */
  async stop(): Promise<void> {
    this.#process.kill('SIGTERM');
    await this.#gone();
  }

  /** SIGKILL: what is not on disk is lost. */
  async kill(): Promise<void> {
    this.#process.kill('SIGKILL');
    await this.#gone();
  }

  async remove(): Promise<void> {
    if (this.#isRunning) await this.kill();
    await rm(this.home, { recursive: true, force: true });
  }

  get #isRunning(): boolean {
    return this.#process.exitCode === null && this.#process.signalCode === null;
  }

  async #gone(): Promise<void> {
    if (this.#isRunning) await once(this.#process, 'exit');
  }
}
