import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import {
  didFromKey,
  encodeLoginToken,
  type KeyType,
  loginTokenInput,
  topicIdFromDid,
  topicOf,
} from '@waystone/proto';
import { generate } from 'mqtt-packet';
import { answerCalls } from '../process-answers.js';
import { LoadClient, packetRun } from './client.js';
import { EnvelopeSource, type FastKey, fastKey, frameBlocks } from './envelopes.js';

/** A process that plays many devices. Its parent tells it what to do, a call at a time. */

export interface PrepareOptions {
  readonly keyType: KeyType;
  readonly framesEach: number;
  /** Number of the first device, so that several processes play different ones. */
  readonly firstDevice: number;
  readonly devices: number;
  readonly envelopesEach: number;
  /** Realm of the gateway, 32 bytes in hex. */
  readonly realm: string;
}

export interface Counts {
  readonly sent: number;
  readonly acknowledged: number;
  readonly stored: number;
  readonly otherReceipts: number;
  readonly retries: number;
  readonly outOfOrder: number;
  readonly closed: number;
  /** Clients that have sent all they had. */
  readonly exhausted: number;
  /** `process.hrtime` in ms when this was counted. */
  readonly atMs: number;
  /** CPU of this process so far, µs. */
  readonly cpuUs: number;
}

/** Times from the intended instant of sending to the answer, ms, sorted. */
export interface Latencies {
  readonly sent: number;
  /** Of those, how many were acknowledged by the time that the last was due. */
  readonly inTime: number;
  readonly late: number;
  readonly acknowledged: number[];
  readonly receipted: number[];
}

interface PlayedDevice {
  readonly key: FastKey;
  readonly did: string;
  readonly session: Uint8Array;
  client: LoadClient | null;
}

let devices: PlayedDevice[] = [];
let options: PrepareOptions;
/** Intended times by device and envelope, while the load is paced. */
const intended: Float64Array[] = [];
let latencies: { acknowledged: number[]; receipted: number[] } = {
  acknowledged: [],
  receipted: [],
};
let isMeasuring = false;

const calls = {
  /** Makes keys, and signs every envelope. @returns the devices' did:key and bytes of frames in one envelope. */
  prepare: (asked: PrepareOptions): { dids: string[]; frameBytes: number } => {
    options = asked;
    const blocks = frameBlocks(options.framesEach);
    const realm = Buffer.from(options.realm, 'hex');
    devices = Array.from({ length: options.devices }, (_, k) => {
      const key = fastKey(options.keyType, options.firstDevice + k);
      const did = didFromKey(key.publicKey);
      const session = randomBytes(16);
      const source = new EnvelopeSource({ key, realm, session, blocks });
      const run = packetRun(
        topicOf(topicIdFromDid(did), 'up'),
        Array.from({ length: options.envelopesEach }, () => source.next()),
      );
      const times = new Float64Array(options.envelopesEach);
      intended[k] = times;
      const client = new LoadClient(run, {
        acknowledged: (index) => measure(latencies.acknowledged, times[index]),
        receipted: (index) => measure(latencies.receipted, times[index]),
      });
      return { key, did, session, client };
    });
    return {
      dids: devices.map(({ did }) => did),
      frameBytes: blocks.reduce((sum, block) => sum + block.frameBytes, 0) / blocks.length,
    };
  },

  /** Connects all devices, so many at a time. */
  connect: async (to: {
    port: number;
    gateway: string;
    ca: string | null;
    parallel: number;
  }): Promise<void> => {
    const waiting = [...devices];
    const ca = to.ca === null ? undefined : Buffer.from(to.ca);
    const connectNext = async (): Promise<void> => {
      for (let device = waiting.pop(); device !== undefined; device = waiting.pop()) {
        await device.client?.open({
          port: to.port,
          ...(ca === undefined ? {} : { ca }),
          connect: connectOf(device, to.gateway),
          subscribe: subscribeOf(device),
        });
      }
    };
    await Promise.all(Array.from({ length: to.parallel }, connectNext));
  },

  /** Keeps so many envelopes of each device unanswered. */
  run: (window: number): void => {
    for (const { client } of devices) client?.run(window);
  },

  /** Sends so many envelopes of each device at once. */
  send: (count: number): void => {
    for (const { client } of devices) {
      for (let k = 0; k < count; k++) client?.sendNext();
    }
  },

  hold: (): void => {
    for (const { client } of devices) client?.hold();
  },

  /**
   * Sends at a fixed rate over all devices in turn, whatever is unanswered.
   *
   * @param seconds how long; answers are measured after the first second.
   * @throws Error where a connection was closed, or too few envelopes were signed: what was measured would not be that rate.
   */
  pace: async ({ rate, seconds }: { rate: number; seconds: number }): Promise<Latencies> => {
    latencies = { acknowledged: [], receipted: [] };
    const acknowledgedBefore = acknowledgedInAll();
    const startMs = performance.now();
    let sent = 0;
    let late = 0;
    for (;;) {
      const nowMs = performance.now() - startMs;
      if (nowMs >= seconds * 1000) break;
      isMeasuring = nowMs > 1000;
      const dueMs = (sent * 1000) / rate;
      if (dueMs > nowMs) {
        await delay(Math.min(1, dueMs - nowMs));
        continue;
      }
      const at = sent % devices.length;
      const client = devices[at]?.client;
      if (client == null || client.isClosed) throw new Error('a connection was closed while paced');
      if (client.sent >= client.packets) {
        throw new Error(`all ${sent} envelopes are sent, ${nowMs.toFixed(0)} ms after the start`);
      }
      (intended[at] as Float64Array)[client.sent] = startMs + dueMs;
      client.sendNext();
      sent += 1;
      if (nowMs - dueMs > 5) late += 1;
      if (sent % 200 === 0) await new Promise(setImmediate);
    }
    const inTime = acknowledgedInAll() - acknowledgedBefore;
    await settle(30_000);
    isMeasuring = false;
    const sorted = (values: number[]) => Float64Array.from(values).sort();
    return {
      sent,
      inTime,
      late,
      acknowledged: [...sorted(latencies.acknowledged)],
      receipted: [...sorted(latencies.receipted)],
    };
  },

  /** Waits until everything that was sent is answered, or so many ms. */
  settle: (withinMs: number): Promise<boolean> => settle(withinMs),

  count: (): Counts => {
    const { user, system } = process.cpuUsage();
    const all = devices.flatMap(({ client }) => (client === null ? [] : [client]));
    const sum = (of: (client: LoadClient) => number) =>
      all.reduce((total, client) => total + of(client), 0);
    return {
      sent: sum(({ sent }) => sent),
      acknowledged: sum(({ acknowledged }) => acknowledged),
      stored: sum(({ stored }) => stored),
      otherReceipts: sum(({ otherReceipts }) => otherReceipts),
      retries: sum(({ retries }) => retries),
      outOfOrder: sum(({ outOfOrder }) => outOfOrder),
      closed: sum(({ isClosed }) => Number(isClosed)),
      exhausted: sum(({ sent, packets }) => Number(sent >= packets)),
      atMs: performance.now(),
      cpuUs: user + system,
    };
  },

  /** PUBACKs that each device got, by its did:key, and the session that they are in. */
  acknowledged: (): { did: string; session: string; envelopes: number }[] =>
    devices.map(({ did, session, client }) => ({
      did,
      session: Buffer.from(session).toString('hex'),
      envelopes: client?.acknowledged ?? 0,
    })),

  close: (): void => {
    for (const { client } of devices) client?.close();
  },
};

export type LoadCalls = typeof calls;

function acknowledgedInAll(): number {
  return devices.reduce((sum, { client }) => sum + (client?.acknowledged ?? 0), 0);
}

function measure(times: number[], intendedMs: number | undefined): void {
  if (isMeasuring && intendedMs !== undefined && intendedMs > 0) {
    times.push(performance.now() - intendedMs);
  }
}

async function settle(withinMs: number): Promise<boolean> {
  const endMs = performance.now() + withinMs;
  const isSettled = () =>
    devices.every(({ client }) => client === null || client.acknowledged >= client.sent);
  while (!isSettled() && performance.now() < endMs) await delay(5);
  return isSettled();
}

function connectOf(device: PlayedDevice, gateway: string): Buffer {
  const { type } = device.key.publicKey;
  const input = loginTokenInput(type, {
    device: device.did,
    gateway,
    session: device.session,
    counter: 1,
  });
  const topicId = topicIdFromDid(device.did);
  return generate({
    cmd: 'connect',
    protocolId: 'MQTT',
    protocolVersion: 4,
    clean: true,
    keepalive: 600,
    clientId: topicId,
    username: topicId,
    password: Buffer.from(encodeLoginToken(input, device.key.sign(input))),
  });
}

function subscribeOf(device: PlayedDevice): Buffer {
  const topicId = topicIdFromDid(device.did);
  return generate({
    cmd: 'subscribe',
    messageId: 1,
    subscriptions: (['receipt', 'config'] as const).map((channel) => ({
      topic: topicOf(topicId, channel),
      qos: 1 as const,
    })),
  });
}

answerCalls(calls);
