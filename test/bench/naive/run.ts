import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { cpuUsOf } from '../machine.js';
import { CallableProcess } from '../process-calls.js';
import type { NaiveConsumerCalls } from './consumer.js';
import type { NaiveLoadCalls } from './load.js';
import type { NaiveSigning } from './message.js';

export interface NaiveOptions {
  readonly connections: number;
  /** Frames a message: 1 is `naive`, 64 is `naive64`. */
  readonly framesEach: number;
  readonly signing: NaiveSigning;
  /** OpenZeppelin's tree over each 10,000 frames. */
  readonly withTree: boolean;
  /** Frames that are measured; with trees a multiple of 10,000, so that whole cycles are. */
  readonly frames: number;
}

export interface NaiveResult {
  readonly framesPerSecond: number;
  /** µs of CPU a frame. */
  readonly cpu: { readonly consumer: number; readonly broker: number };
}

/** Messages that may be on their way; the consumer always has some to work on. */
const AHEAD = 2_000;

/** One run of the baseline, from its first stored message to the last. */
export async function runNaive(options: NaiveOptions): Promise<NaiveResult> {
  const { connections, framesEach, signing, withTree } = options;
  const folder = mkdtempSync(join(process.env.BENCH_FOLDER ?? tmpdir(), 'waystone-naive-'));
  const load = new CallableProcess<NaiveLoadCalls>('naive/load.js');
  const consumer = new CallableProcess<NaiveConsumerCalls>('naive/consumer.js');
  const port = await freePort();
  const broker = await startMosquitto(folder, port);
  try {
    const messages = Math.ceil(options.frames / framesEach);
    const messagesEach = Math.ceil((messages + AHEAD) / connections) + 1;
    const keys = await load.calls.prepare({ connections, messagesEach, framesEach, signing });
    const file = join(folder, 'naive.sqlite');
    await consumer.calls.start({ port, file, keys, signing, withTree });
    await load.calls.connect(port);
    const before = { consumer: cpuUsOf(consumer.pid), broker: cpuUsOf(broker.pid as number) };
    const first = await consumer.calls.count();
    let now = first;
    while (now.frames < messages * framesEach) {
      await load.calls.sendUpTo(Math.floor(now.frames / framesEach) + AHEAD);
      await delay(5);
      now = await consumer.calls.count();
    }
    const perFrame = (us: number) => us / now.frames;
    return {
      framesPerSecond: ((now.frames - first.frames) * 1000) / (now.atMs - first.atMs),
      cpu: {
        consumer: perFrame(cpuUsOf(consumer.pid) - before.consumer),
        broker: perFrame(cpuUsOf(broker.pid as number) - before.broker),
      },
    };
  } finally {
    load.kill();
    consumer.kill();
    broker.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  }
}

async function startMosquitto(folder: string, port: number): Promise<ChildProcess> {
  const file = join(folder, 'mosquitto.conf');
  writeFileSync(
    file,
    [
      `listener ${port} 127.0.0.1`,
      'allow_anonymous true',
      'persistence false',
      'max_inflight_messages 1000',
      'max_queued_messages 100000',
      'user root',
      '',
    ].join('\n'),
  );
  const broker = spawn('mosquitto', ['-c', file], { stdio: 'ignore' });
  broker.once('error', () => {
    console.error('mosquitto is missing: apt-get install mosquitto');
    process.exit(1);
  });
  for (let tries = 0; tries < 200; tries++) {
    const socket = net.connect({ host: '127.0.0.1', port });
    const isUp = await Promise.race([
      once(socket, 'connect').then(() => true),
      once(socket, 'error').then(() => false),
    ]).catch(() => false);
    socket.destroy();
    if (isUp) return broker;
    await delay(25);
  }
  throw new Error('mosquitto does not answer');
}

async function freePort(): Promise<number> {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as net.AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
