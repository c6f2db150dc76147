import { randomBytes } from 'node:crypto';
import net from 'node:net';
import { generate, type Packet, parser } from 'mqtt-packet';
import { TestDevice } from '../harness/device.js';
import { connectPacket } from '../harness/mqtt.js';
import type { StormAnswer, StormOrder } from './storm.js';

/**
 * A process of its own with a whole fleet, which connects all at once when it is told to, and with others
 * whose logins are wrong.
 */

/** Right logins come from many addresses, wrong ones from another one, which alone is to be slowed. */
const RIGHT_ADDRESSES = Array.from({ length: 200 }, (_, k) => `127.0.1.${k + 1}`);
const WRONG_ADDRESS = '127.0.0.2';

/** A connection that ends without an answer is made anew after up to so long, as devices do. */
const RETRY_WITHIN_MS = 2_000;

const fleet: TestDevice[] = [];
const sockets = new Set<net.Socket>();
let outcomes: Record<string, number> = {};
let expected = 0;
let isCut = false;

process.on('message', (order: StormOrder) => void obey(order));
process.on('disconnect', () => process.exit());

async function obey(order: StormOrder): Promise<void> {
  if (order.kind === 'make') {
    for (let k = 0; k < order.count; k++) fleet.push(new TestDevice(order.gateway));
    tell({ kind: 'made', dids: fleet.map(({ did }) => did) });
  } else if (order.kind === 'connect') {
    isCut = false;
    outcomes = {};
    const wrong = fleet.filter((_, k) => k % 2 === 0);
    expected = fleet.length + wrong.length;
    for (const [k, device] of fleet.entries()) {
      // It has started anew since the last time.
      device.session = randomBytes(16);
      const address = RIGHT_ADDRESSES[k % RIGHT_ADDRESSES.length] as string;
      void connectRight(order.port, address, device);
    }
    for (const [k, device] of wrong.entries()) void connectWrong(order.port, k, device);
  } else {
    isCut = true;
    for (const socket of sockets) socket.destroy();
    tell({ kind: 'cut' });
  }
}

async function connectRight(port: number, address: string, device: TestDevice): Promise<void> {
  const login = await connectPacket(device, { keepalive: 600 });
  const hello = Buffer.from(await device.hello());
  const outcome = await attempt(port, address, login, (send) => {
    const topics = ['receipt', 'config'].map((channel) => `ws/v1/${device.topicId}/${channel}`);
    const subscriptions = topics.map((topic) => ({ topic, qos: 0 as const }));
    send({ cmd: 'subscribe', messageId: 1, subscriptions });
    const topic = `ws/v1/${device.topicId}/hello`;
    const message = { topic, payload: hello, retain: false, dup: false };
    send({ cmd: 'publish', qos: 1, messageId: 2, ...message });
  });
  settle(outcome, () => connectRight(port, address, device));
}

/** By turns a device that nobody knows, and one whose token another key has signed. */
async function connectWrong(port: number, k: number, device: TestDevice): Promise<void> {
  const stranger = new TestDevice(device.gateway);
  const clientId = (k % 2 === 0 ? stranger : device).topicId;
  const login = await connectPacket(stranger, { clientId });
  const outcome = await attempt(port, WRONG_ADDRESS, login, () => undefined);
  settle(`wrong: ${outcome}`, () => connectWrong(port, k, device));
}

/** Connects once. @returns how that ended; one that got in stays. */
function attempt(
  port: number,
  localAddress: string,
  login: Packet,
  onLogin: (send: (packet: Packet) => void) => void,
): Promise<string> {
  return new Promise((resolve) => {
    const socket = net.connect({ host: '127.0.0.1', port, localAddress });
    const send = (packet: Packet): void => void socket.write(generate(packet));
    sockets.add(socket);
    const reader = parser({ protocolVersion: 4 });
    reader.on('packet', (packet: Packet) => {
      if (packet.cmd === 'connack' && packet.returnCode === 0) onLogin(send);
      else if (packet.cmd === 'connack') resolve(`refused ${packet.returnCode}`);
      // Its login is over once the hello is on disk.
      if (packet.cmd === 'puback') resolve('logged in');
    });
    socket.on('data', (chunk: Buffer) => reader.parse(chunk));
    socket.on('error', () => undefined); // 'close' follows.
    socket.on('close', () => {
      sockets.delete(socket);
      resolve(UNANSWERED);
    });
    send(login);
  });
}

const UNANSWERED = 'no answer';

function settle(outcome: string, again: () => Promise<void>): void {
  if (isCut) return;
  outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
  if (outcome.endsWith(UNANSWERED)) {
    setTimeout(() => void again(), Math.random() * RETRY_WITHIN_MS);
    return;
  }
  expected -= 1;
  if (expected === 0) tell({ kind: 'settled', outcomes });
}

function tell(answer: StormAnswer): void {
  process.send?.(answer);
}
