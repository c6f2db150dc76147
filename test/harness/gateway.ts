import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { keyFromDid, type PublicKey } from '@waystone/proto';
import { homePaths, initHome, loadConfig } from '../../gateway/config/index.js';
import type { Clock } from '../../gateway/core/clock.js';
import type { Logger } from '../../gateway/core/logger.js';
import type { DeviceStatus, RefusalRow } from '../../gateway/core/view.js';
import { startGateway } from '../../gateway/gateway.js';
import { waitFor } from './wait.js';

/** A log line of a gateway: its fields, with the message as `msg` and the level's name as `level`. */
export type LogLine = Readonly<Record<string, unknown>> & {
  readonly msg: string;
  readonly level: string;
};

/** How a test's gateway is set. */
export interface GatewayOptions {
  /**
   * Default `none`: sealing without a chain, which starts at once. `local` starts a chain process; the test network wants
   * the settings of one.
   */
  readonly network?: 'none' | 'local' | 'lazai-testnet';
  /** Further settings, as for `waystone start --set`. */
  readonly set?: readonly string[];
}

/** An initialised home of its own under the system's temporary folder. */
export async function makeHome(): Promise<string> {
  const home = await mkdtemp(join(tmpdir(), 'waystone-test-'));
  await initHome(home);
  return home;
}

export async function removeHome(home: string): Promise<void> {
  await rm(home, { recursive: true, force: true });
}

interface GatewayParts {
  readonly home: string;
  readonly logs: LogLine[];
  readonly did: string;
  readonly mqttPort: number;
  readonly httpPort: number;
  readonly token: string;
}

/** A running gateway, in this process or in one of its own, as a test talks to it. */
export abstract class TestGateway {
  readonly home: string;
  readonly logs: LogLine[];
  readonly did: string;
  readonly publicKey: PublicKey;
  readonly mqttPort: number;
  readonly httpPort: number;
  readonly token: string;

  protected constructor(parts: GatewayParts) {
    this.home = parts.home;
    this.logs = parts.logs;
    this.did = parts.did;
    this.publicKey = keyFromDid(parts.did);
    this.mqttPort = parts.mqttPort;
    this.httpPort = parts.httpPort;
    this.token = parts.token;
  }

  /** Stops it as SIGTERM does; the home stays. */
  abstract stop(): Promise<void>;

  get mqttUrl(): string {
    return `mqtt://127.0.0.1:${this.mqttPort}`;
  }

  /** Asks the HTTP API. @throws Error with the answer when its status is not 2xx. */
  async ask<T>(method: 'GET' | 'POST' | 'PUT' | 'DELETE', path: string, body?: object): Promise<T> {
    const response = await fetch(`http://127.0.0.1:${this.httpPort}${path}`, {
      method,
      headers: { authorization: `Bearer ${this.token}`, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path} answered ${response.status}: ${text}`);
    return (text.startsWith('{') ? JSON.parse(text) : text) as T;
  }

  async enrol(did: string, label = ''): Promise<void> {
    await this.ask('POST', '/v1/devices', { did, label });
  }

  async revoke(did: string): Promise<void> {
    await this.ask('DELETE', `/v1/devices/${did}`);
  }

  async device(did: string): Promise<DeviceStatus> {
    for (let after = ''; ; ) {
      const path = `/v1/devices?limit=1000${after}`;
      const { devices } = await this.ask<{ devices: DeviceStatus[] }>('GET', path);
      const found = devices.find((device) => device.did === did);
      if (found !== undefined) return found;
      const last = devices.at(-1);
      if (last === undefined) throw new Error(`${did} is not enrolled`);
      after = `&after=${last.did}`;
    }
  }

  /** The newest refusals, of one device if it is named. */
  async refusals(did?: string): Promise<RefusalRow[]> {
    const { refusals } = await this.ask<{ refusals: RefusalRow[] }>(
      'GET',
      '/v1/refusals?limit=500',
    );
    return did === undefined ? refusals : refusals.filter((row) => row.did === did);
  }

  /** Value of a metric, 0 while it was never counted. @param labels as in `code="SIGNATURE_INVALID"`. */
  async metric(name: string, labels = ''): Promise<number> {
    const text = await this.ask<string>('GET', '/metrics');
    const start = labels === '' ? `${name} ` : `${name}{${labels}} `;
    const line = text.split('\n').find((one) => one.startsWith(start));
    return line === undefined ? 0 : Number(line.slice(start.length));
  }

  /** How often a code was counted. */
  refused(code: string): Promise<number> {
    return this.metric('waystone_refusals_total', `code="${code}"`);
  }

  /** Log lines with this code, of one device if it is named. */
  logged(code: string, did?: string): LogLine[] {
    return this.logs.filter(
      (line) => line.code === code && (did === undefined || line.device === did),
    );
  }

  /** Seals what is open; resolves once nothing waits to be sealed. */
  async seal(): Promise<void> {
    await this.ask('POST', '/v1/batches/seal');
    await waitFor('all batches to be sealed', async () => {
      const { batches } = await this.ask<{ batches: { state: string }[] }>('GET', '/v1/batches');
      return batches.every(({ state }) => state !== 'open' && state !== 'sealing');
    });
  }
}

/** A clock that is trusted whatever the date of this machine. `offsetUs` lets time pass, `stepUs` sets the clock. */
export class TestClock implements Clock {
  offsetUs = 0;
  stepUs = 0;
  trusted = true;

  nowUs(): number {
    return Date.now() * 1000 + this.offsetUs + this.stepUs;
  }

  isTrusted(): boolean {
    return this.trusted;
  }

  monotonicMs(): number {
    return performance.now() + this.offsetUs / 1000;
  }
}

class InProcessGateway extends TestGateway {
  readonly #stop: () => Promise<void>;

  constructor(parts: GatewayParts & { stop: () => Promise<void> }) {
    super(parts);
    this.#stop = parts.stop;
  }

  override stop(): Promise<void> {
    return this.#stop();
  }
}

/** Starts a gateway from the sources in this process; its worker threads are those of `dist/`. */
export async function startInProcess(
  home: string,
  options: GatewayOptions & { clock?: Clock } = {},
): Promise<TestGateway> {
  const config = loadConfig({ home, environment: {}, set: settingsOf(options) });
  const logs: LogLine[] = [];
  const write = (level: string) => (fields: object, msg: string) => {
    logs.push({ ...fields, level, msg });
  };
  const logger: Logger = {
    trace: write('trace'),
    debug: write('debug'),
    info: write('info'),
    warn: write('warn'),
    error: write('error'),
  };
  const gateway = await startGateway(config, {
    logger,
    clock: options.clock ?? new TestClock(),
    onFatal: (error) => {
      throw error;
    },
  });
  return new InProcessGateway({
    home,
    logs,
    did: gateway.did,
    mqttPort: gateway.mqttPort,
    httpPort: gateway.httpPort,
    token: await readToken(home),
    stop: () => gateway.stop(),
  });
}

/** Longest time that a gateway may take to stop, ms: its grace for what is in flight is a few seconds. */
const STOPPED_WITHIN_MS = 60_000;

/** A gateway that can be killed, from `dist/`: run `npx tsc -b` first. */
export class GatewayProcess extends TestGateway {
  readonly process: ChildProcess;
  /** Resolves when the process is gone. */
  readonly exited: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
  readonly #written: () => string;

  private constructor(
    parts: GatewayParts,
    process: ChildProcess,
    exited: GatewayProcess['exited'],
    written: () => string,
  ) {
    super(parts);
    this.process = process;
    this.exited = exited;
    this.#written = written;
  }

  /** @throws Error with what it wrote, when it has ended. */
  check(): void {
    const { exitCode, signalCode } = this.process;
    const end = exitCode ?? signalCode;
    if (end !== null) throw new Error(`the gateway has ended with ${end}: ${this.#said()}`);
  }

  /** What it wrote besides its log, and the end of that. */
  #said(): string {
    return `${this.#written()}${JSON.stringify(this.logs.slice(-3))}`;
  }

  /**
   * Starts the gateway and waits until it is up.
   *
   * @param options.environment added to this process's own, WAYSTONE_TEST_CRASH_AT for instance.
   * @param options.under a command that runs the gateway in its own place, `strace -D …` for instance.
   * @param options.onSpawn called at once with the process, which may be killed before it is up.
   * @throws Error with what it wrote, when it ends before it is up.
   */
  static async start(
    home: string,
    options: GatewayOptions & {
      environment?: Readonly<Record<string, string>>;
      under?: readonly string[];
      onSpawn?: (process: ChildProcess) => void;
    } = {},
  ): Promise<GatewayProcess> {
    const main = fileURLToPath(new URL('../../gateway/dist/cli/main.js', import.meta.url));
    if (!existsSync(main)) throw new Error(`${main} is missing; run npx tsc -b`);
    const set = settingsOf(options).flatMap((setting) => ['--set', setting]);
    const [command, ...rest] = [...(options.under ?? []), process.execPath];
    const child = spawn(command as string, [...rest, main, '--home', home, 'start', ...set], {
      env: { ...ownEnvironment(), ...options.environment },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    options.onSpawn?.(child);
    const exited: GatewayProcess['exited'] = new Promise((resolve) => {
      child.once('exit', (code, signal) => resolve({ code, signal }));
    });
    let written = '';
    child.stderr.on('data', (chunk) => {
      written += chunk;
    });
    const logs: LogLine[] = [];
    createInterface({ input: child.stdout }).on('line', (line) => {
      if (line.startsWith('{')) logs.push(JSON.parse(line) as LogLine);
      else written += `${line}\n`;
    });
    let isGone = false;
    void exited.then(() => {
      isGone = true;
    });
    const up = await waitFor('the gateway to be up', () => {
      if (isGone) throw new Error(`the gateway ended: ${written}${JSON.stringify(logs.at(-1))}`);
      return logs.find((line) => line.msg === 'gateway is up');
    });
    const parts = {
      home,
      logs,
      did: String(up.gateway),
      mqttPort: Number(up.mqtt),
      httpPort: Number(up.http),
      token: await readToken(home),
    };
    return new GatewayProcess(parts, child, exited, () => written);
  }

  override async stop(): Promise<void> {
    this.process.kill('SIGTERM');
    const late = delay(STOPPED_WITHIN_MS, null, { ref: false });
    if ((await Promise.race([this.exited, late])) !== null) return;
    throw new Error(`the gateway did not stop within ${STOPPED_WITHIN_MS} ms: ${this.#said()}`);
  }

  /** SIGKILL: nothing gets to clean up. */
  async kill(): Promise<void> {
    this.process.kill('SIGKILL');
    await this.exited;
  }
}

function settingsOf({ network = 'none', set = [] }: GatewayOptions): string[] {
  return ['mqtt.port=0', 'http.port=0', `chain.network=${network}`, ...set];
}

async function readToken(home: string): Promise<string> {
  return (await readFile(homePaths(home).token, 'utf8')).trim();
}

/** This process's environment without settings of a gateway that the developer may run. */
function ownEnvironment(): NodeJS.ProcessEnv {
  return Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !name.startsWith('WAYSTONE_')),
  );
}
