import { randomBytes } from 'node:crypto';
import net from 'node:net';
import { setTimeout as delay, setImmediate as turn } from 'node:timers/promises';
import { generate, type Packet, parser } from 'mqtt-packet';
import { answerCalls } from '../bench/process-answers.js';
import { TestDevice } from '../harness/device.js';
import { connectPacket } from '../harness/mqtt.js';

/**
 * A process of its own with a whole fleet, which connects all at once when it is told to, and with others
 * whose logins are wrong.
 */

/** How many attempts ended how, and how many clients have no answer yet. */
export interface StormState {
  readonly outcomes: Readonly<Record<string, number>>;
  readonly left: number;
}

/** Right logins come from many addresses, wrong ones from another one, which alone is to be slowed. */
const RIGHT_ADDRESSES = Array.from({ length: 200 }, (_, k) => `127.0.1.${k + 1}`);
const WRONG_ADDRESS = '127.0.0.2';

/** A connection that ends without an answer is made anew after up to so long, as devices do. */
const RETRY_WITHIN_MS = 2_000;

const UNANSWERED = 'no answer';

/** What a client sends. */
interface Signed {
  readonly login: Packet;
  /** Sent once it is let in; its answer ends the attempt. */
  readonly next: readonly Packet[];
}

interface Client {
  /** Stands before the outcome of its attempts. */
  readonly name: string;
  readonly address: string;
  /** Each attempt needs a new login token. */
  sign(): Promise<Signed>;
}

let fleet: TestDevice[] = [];
let clients: Client[] = [];
let signed: Signed[] = [];
const sockets = new Set<net.Socket>();
let outcomes: Record<string, number> = {};
let left = 0;
let port = 0;

const calls = {
  /** Makes the fleet. @returns the did:keys to enrol. */
  make: ({ gateway, count }: { gateway: string; count: number }): string[] => {
    fleet = Array.from({ length: count }, () => new TestDevice(gateway));
    clients = [
      ...fleet.map(rightClient),
      ...fleet.filter((_, k) => k % 2 === 0).map((device, k) => wrongClient(device, k)),
    ];
    return fleet.map(({ did }) => did);
  },

  /** Signs everything beforehand: a client that is slow to sign would be one that is slow to send CONNECT. */
  sign: async (): Promise<void> => {
    for (const device of fleet) device.session = randomBytes(16); // They have all started anew.
    signed = [];
    for (const client of clients) signed.push(await client.sign());
  },

  /** Connects all clients at once. */
  connect: (to: { port: number }): void => {
    port = to.port;
    outcomes = {};
    left = clients.length;
    for (const [k, client] of clients.entries()) void settle(client, signed[k] as Signed);
  },

  state: (): StormState => ({ outcomes, left }),

  /** Cuts all connections without a word. */
  cut: (): void => {
    for (const socket of sockets) socket.destroy();
  },
};

export type StormCalls = typeof calls;

function rightClient(device: TestDevice, k: number): Client {
  return {
    name: '',
    address: RIGHT_ADDRESSES[k % RIGHT_ADDRESSES.length] as string,
    sign: async () => {
      const login = await connectPacket(device, { keepalive: 600 });
      const topics = ['receipt', 'config'].map((channel) => `ws/v1/${device.topicId}/${channel}`);
      const subscriptions = topics.map((topic) => ({ topic, qos: 0 as const }));
      const hello = {
        topic: `ws/v1/${device.topicId}/hello`,
        payload: Buffer.from(await device.hello()),
        retain: false,
        dup: false,
      };
      return {
        login,
        next: [
          { cmd: 'subscribe', messageId: 1, subscriptions },
          { cmd: 'publish', qos: 1, messageId: 2, ...hello },
        ],
      };
    },
  };
}

/** By turns a device that nobody knows, and one whose token another key has signed. */
function wrongClient(device: TestDevice, k: number): Client {
  return {
    name: 'wrong: ',
    address: WRONG_ADDRESS,
    sign: async () => {
      const stranger = new TestDevice(device.gateway);
      const clientId = (k % 2 === 0 ? stranger : device).topicId;
      return { login: await connectPacket(stranger, { clientId }), next: [] };
    },
  };
}

/** Tries until there is an answer. */
async function settle(client: Client, first: Signed): Promise<void> {
  let packets = first;
  for (;;) {
    const outcome = await attempt(client.address, packets);
    const name = `${client.name}${outcome}`;
    outcomes[name] = (outcomes[name] ?? 0) + 1;
    if (!outcome.startsWith(UNANSWERED)) break;
    await delay(Math.random() * RETRY_WITHIN_MS);
    packets = await signInTurn(client);
  }
  left -= 1;
}

let lastSigned: Promise<unknown> = Promise.resolve();

/** One after the other, with a look at the sockets in between, so that no other client is silent meanwhile. */
function signInTurn(client: Client): Promise<Signed> {
  const turnOfThis = lastSigned.then(() => turn()).then(() => client.sign());
  lastSigned = turnOfThis;
  return turnOfThis;
}

/** Connects once. @returns how that ended; one that got in stays. */
function attempt(localAddress: string, { login, next }: Signed): Promise<string> {
  return new Promise((resolve) => {
    const socket = net.connect({ host: '127.0.0.1', port, localAddress });
    const send = (packet: Packet): void => void socket.write(generate(packet));
    sockets.add(socket);
    const reader = parser({ protocolVersion: 4 });
    reader.on('packet', (packet: Packet) => {
      if (packet.cmd === 'connack' && packet.returnCode === 0) next.forEach(send);
      else if (packet.cmd === 'connack') resolve(`refused ${packet.returnCode}`);
      // Its login is over once the hello is on disk.
      if (packet.cmd === 'puback') resolve('logged in');
    });
    socket.on('data', (chunk: Buffer) => reader.parse(chunk));
    let why = '';
    socket.on('error', (error: Error & { code?: string }) => {
      why = ` (${error.code ?? error.message})`;
    });
    socket.on('close', () => {
      sockets.delete(socket);
      resolve(`${UNANSWERED}${why}`);
    });
    send(login);
  });
}

answerCalls(calls);
