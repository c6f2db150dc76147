import type net from 'node:net';
import { didFromKey, topicIdFromDid, topicOf } from '@waystone/proto';
import { generate } from 'mqtt-packet';
import { afterEach, describe, expect, it } from 'vitest';
import { testKeyNamed } from '../../proto/test-data/test-signer.js';
import type { DeviceRecord } from '../core/ports.js';
import { loginToken, openSocket, startBroker, until } from './testing.js';

/** What one client tries to send: far more than all limits below, and than the kernel's buffers take. */
const SENT_BYTES = 20 * 2 ** 20;

/** Bytes that kernel and guard may have taken of what is not read: socket buffers, not the flood. */
const BETWEEN_BYTES_MAX = 16 * 2 ** 20;

interface Player {
  readonly record: DeviceRecord;
  readonly topicId: string;
  login(): net.Socket;
}

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

/** A broker whose ledger never answers, and devices that send all the same. */
async function deaf(config: Parameters<typeof startBroker>[0] & object, count: number) {
  const keys = Array.from({ length: count }, (_, k) => testKeyNamed('secp256k1', `deaf ${k}`));
  const records = new Map(
    keys.map(({ publicKey }, k): [string, DeviceRecord] => {
      const did = didFromKey(publicKey);
      const keyId = new Uint8Array(32).fill(k);
      return [did, { id: k + 1, did, keyId, publicKey, revokedAtUs: null }];
    }),
  );
  const set = await startBroker({ ...config, find: (did) => records.get(did) });
  closers.push(() => set.broker.stop(0));
  const players = keys.map((key): Player => {
    const record = records.get(didFromKey(key.publicKey)) as DeviceRecord;
    const topicId = topicIdFromDid(record.did);
    const login = (): net.Socket => {
      const socket = openSocket(set.broker, loginToken(key), topicId);
      socket.resume();
      closers.push(() => socket.destroy());
      return socket;
    };
    return { record, topicId, login };
  });
  return { ...set, players };
}

function send(socket: net.Socket, { topicId }: Player, sizeBytes: number, count: number): void {
  for (let messageId = 1; messageId <= count; messageId++) {
    const topic = topicOf(topicId, 'up');
    const payload = Buffer.alloc(sizeBytes, messageId);
    const packet = { topic, payload, qos: 1, messageId, dup: false, retain: false } as const;
    socket.write(generate({ cmd: 'publish', ...packet }));
  }
}

/** Long enough for what has come to be read, if it is read. */
async function turns(): Promise<void> {
  for (let k = 0; k < 50; k++) await new Promise((resolve) => setImmediate(resolve));
}

const LIMITS = {
  inFlightPerConnectionMax: 4,
  inFlightPerConnectionBytesMax: 1_000_000,
  inFlightPerDeviceMax: 8,
  inFlightPerDeviceBytesMax: 2_000_000,
  inFlightMax: 20,
  inFlightBytesMax: 5_000_000,
};

describe('while nothing is answered, what waits is bounded:', () => {
  const cases = [
    ['of a connection, in number', 1, 50_000, { inFlightPerConnectionMax: 3 }, 3],
    ['of a connection, in bytes', 1, 200_000, { inFlightPerConnectionBytesMax: 500_000 }, 3],
    ['of a device, in number', 1, 50_000, { inFlightPerDeviceMax: 2 }, 2],
    ['of a device, in bytes', 1, 200_000, { inFlightPerDeviceBytesMax: 300_000 }, 2],
    // Each connection is stopped at its own next envelope once all are too many.
    ['in total, in number', 6, 50_000, { inFlightMax: 10 }, 15],
    ['in total, in bytes', 6, 200_000, { inFlightBytesMax: 1_000_000 }, 10],
  ] as const;
  it.each(cases)('%s', async (_what, devices, sizeBytes, limits, waitingMax) => {
    const set = await deaf({ config: { ...LIMITS, ...limits } }, devices);
    const count = Math.ceil(SENT_BYTES / sizeBytes);
    const sockets = set.players.map((player) => {
      const socket = player.login();
      send(socket, player, sizeBytes, count);
      return socket;
    });
    await until(() => set.broker.connections === devices && set.submitted.length >= devices);
    // Nothing moves any more: the clients wait with what nobody reads.
    let before = -1;
    await until(() => {
      const sent = sockets.reduce((sum, { bytesWritten, writableLength }) => {
        return sum + bytesWritten - writableLength;
      }, 0);
      const isStill = sent === before && sockets.every(({ writableLength }) => writableLength > 0);
      before = sent;
      return isStill;
    });
    console.log(`${devices} devices, ${sizeBytes} bytes each: ${set.broker.waiting} wait`);
    expect(set.broker.waiting).toBeLessThanOrEqual(waitingMax);
    expect(set.submitted.length).toBe(set.broker.waiting);
    expect(before).toBeLessThan(devices * BETWEEN_BYTES_MAX);
    expect(set.broker.connections).toBe(devices);

    // Once there are answers again, all of them come.
    let answered = 0;
    await until(() => {
      while (answered < set.submitted.length) {
        const { ticket } = set.submitted[answered++] as (typeof set.submitted)[number];
        set.decide(ticket, 'stored');
      }
      return answered === devices * count;
    });
    expect(set.broker.waiting).toBe(0);
  });

  it('of a device that comes again and again', async () => {
    const set = await deaf({ config: LIMITS }, 1);
    const [player] = set.players as [Player];
    for (let k = 0; k < 20; k++) {
      const socket = player.login();
      send(socket, player, 1_000, 10);
      await until(() => set.broker.connections === 1 && set.broker.isConnected(1));
      await until(() => set.submitted.length >= Math.min(8, 4 * (k + 1)));
      await turns();
      socket.destroy();
      await until(() => set.broker.connections === 0);
    }
    expect(set.broker.waiting).toBe(LIMITS.inFlightPerDeviceMax);
    for (const { ticket } of set.submitted) set.decide(ticket, 'stored');
    // The next connection is read again.
    send(player.login(), player, 1_000, 1);
    await until(() => set.broker.waiting === 1);
  });

  it('of devices that come when all is full', async () => {
    const set = await deaf({ config: { ...LIMITS, inFlightMax: 8 } }, 12);
    for (const [k, player] of set.players.entries()) {
      send(player.login(), player, 1_000, 10);
      await until(() => set.broker.isConnected(player.record.id));
      await until(() => set.submitted.length >= Math.min(8, 4 * (k + 1)));
    }
    await turns();
    expect(set.broker.waiting).toBe(8);
    let answered = 0;
    await until(() => {
      while (answered < set.submitted.length) {
        const { ticket } = set.submitted[answered++] as (typeof set.submitted)[number];
        set.decide(ticket, 'stored');
      }
      return answered === 120;
    });
    expect(set.broker.waiting).toBe(0);
  });
});
