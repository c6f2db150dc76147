import { createPrivateKey, sign } from 'node:crypto';
import { concatBytes, encodeFrame, sha256 } from '@waystone/proto';
import { generate } from 'mqtt-packet';
import { LoadClient, packetRun } from '../load/client.js';
import { mapperFrame } from '../load/envelopes.js';
import { answerCalls } from '../process-answers.js';
import { NaiveMessage, type NaiveSigning } from './message.js';

/** Publishes the naive pipeline's messages, made and signed before the clock starts. */

/** PKCS #8 of an Ed25519 key before its 32 bytes. */
const PKCS8 = Buffer.from('302e020100300506032b657004220420', 'hex');

let clients: LoadClient[] = [];
let topics: string[] = [];

const calls = {
  /** @returns public keys in SPKI DER by device. */
  prepare: (options: {
    connections: number;
    messagesEach: number;
    framesEach: number;
    signing: NaiveSigning;
  }): { device: string; privateKey: Uint8Array }[] => {
    const { connections, messagesEach, framesEach, signing } = options;
    const timeUs = Date.now() * 1000;
    const made = Array.from({ length: connections }, (_, number) => {
      const device = `mapper-${String(number).padStart(4, '0')}`;
      const privateKey = sha256(Buffer.from(`naive ${number}`));
      const key = createPrivateKey({
        key: Buffer.concat([PKCS8, privateKey]),
        format: 'der',
        type: 'pkcs8',
      });
      const payloads = Array.from({ length: messagesEach }, (_message, at) => {
        const bytes = Array.from({ length: framesEach }, (_frame, k) =>
          encodeFrame(mapperFrame(at * framesEach + k, timeUs + k * 100_000)),
        );
        const message = {
          frames: bytes.map((frame, k) => ({
            device,
            sequence: at * framesEach + k,
            frame,
            signature: signing === 'frame' ? sign(null, frame, key) : new Uint8Array(0),
          })),
          signature:
            signing === 'message' ? sign(null, concatBytes(...bytes), key) : new Uint8Array(0),
        };
        return { head: NaiveMessage.encode(message).finish(), frames: new Uint8Array(0) };
      });
      return { device, privateKey, run: packetRun(`frames/${device}`, payloads) };
    });
    clients = made.map(({ run }) => new LoadClient(run));
    topics = made.map(({ device }) => device);
    return made.map(({ device, privateKey }) => ({ device, privateKey }));
  },

  connect: async (port: number): Promise<void> => {
    for (const [at, client] of clients.entries()) {
      const connect = generate({
        cmd: 'connect',
        protocolId: 'MQTT',
        protocolVersion: 4,
        clean: true,
        keepalive: 600,
        clientId: topics[at] as string,
      });
      await client.open({ port, connect, subscribe: null });
    }
  },

  /** Sends until so many messages are out in all; the broker must not be the one that holds them. */
  sendUpTo: (total: number): void => {
    let sent = clients.reduce((sum, client) => sum + client.sent, 0);
    for (let idle = 0; sent < total && idle < clients.length; ) {
      for (const client of clients) {
        if (sent >= total) break;
        if (client.sendNext()) {
          sent += 1;
          idle = 0;
        } else idle += 1;
      }
    }
  },

  close: (): void => {
    for (const client of clients) client.close();
  },
};

export type NaiveLoadCalls = typeof calls;

answerCalls(calls);
