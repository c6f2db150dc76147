import net from 'node:net';
import { setImmediate as turn } from 'node:timers/promises';
import { decodeReceipt, equalBytes, toHex } from '@waystone/proto';
import { generate, type Packet, parser } from 'mqtt-packet';
import { nameOf } from '../harness/mqtt.js';
import type { FuzzDevice } from './fuzz-device.js';
import { cut, mutated, randomBytesFrom } from './mutate.js';
import type { Random } from './random.js';

/** Envelopes of one connection that are sent before the answers to earlier ones are waited for. */
const WINDOW = 48;

/** One envelope in so many goes at QoS 0. */
const QOS_0_EVERY = 10;

/** Resolves with what comes with any of the events; errors are left to 'close'. */
function first(socket: net.Socket, ...events: string[]): Promise<unknown> {
  return new Promise((resolve) => {
    for (const event of events) socket.once(event, resolve);
  });
}

async function connect(port: number): Promise<net.Socket> {
  const socket = net.connect({ host: '127.0.0.1', port });
  socket.on('error', () => undefined);
  await first(socket, 'connect', 'close');
  return socket;
}

/** Sends bytes in pieces, says that no more come, and waits until the gateway has ended the connection. */
async function sendAll(socket: net.Socket, bytes: Buffer, random: Random): Promise<void> {
  socket.resume();
  const closed = socket.closed ? undefined : first(socket, 'close');
  for (const piece of cut(bytes, 3, random)) {
    socket.write(piece);
    await turn();
  }
  socket.end();
  await closed;
}

function publish(topic: string, payload: Buffer, qos: 0 | 1 | 2, messageId: number): Buffer {
  const base = { cmd: 'publish', topic, payload, retain: false, dup: false } as const;
  return generate(qos === 0 ? { ...base, qos } : { ...base, qos, messageId });
}

/** A connection that begins with wrong bytes, or with a CONNECT whose login is wrong. */
export async function stranger(port: number, device: FuzzDevice, random: Random): Promise<void> {
  const connectWith = (fields: object): Buffer =>
    generate({
      cmd: 'connect',
      protocolId: 'MQTT',
      protocolVersion: 4,
      clean: true,
      keepalive: 1,
      clientId: device.topicId,
      username: device.topicId,
      password: Buffer.from('e30.e30.e30'),
      ...fields,
    });
  const will = { topic: device.topic('hello'), payload: Buffer.from('gone'), qos: 1 as const };
  const login = connectWith(random.below(2) === 0 ? {} : { will });
  const socket = await connect(port);
  const bytes = [
    () => mutated(login, random),
    () => randomBytesFrom(random, 1 + random.below(300)),
    () => Buffer.concat([login, randomBytesFrom(random, random.below(300))]),
    () => Buffer.concat([mutated(login, random), mutated(login, random)]),
    () => mutated(publish(device.topic('up'), randomBytesFrom(random, 40), 1, 1), random),
  ];
  await sendAll(socket, (bytes[random.below(bytes.length)] as () => Buffer)(), random);
}

/** A device that logs in rightly and goes on with what is no MQTT, or none that it may send. */
export async function brokenDevice(
  port: number,
  device: FuzzDevice,
  random: Random,
): Promise<'let in' | 'refused'> {
  const will = {
    topic: device.topic('hello'),
    payload: randomBytesFrom(random, random.below(200)),
    qos: 1 as const,
  };
  const socket = await connect(port);
  const connack = first(socket, 'data', 'close');
  socket.write(device.connect(random.below(2) === 0 ? {} : { will }));
  const answer = await connack;
  const packets = [
    generate({
      cmd: 'subscribe',
      messageId: 1,
      subscriptions: [
        { topic: device.topic('receipt'), qos: 0 },
        { topic: device.topic('config'), qos: 1 },
      ],
    }),
    publish(device.topic('up'), device.envelope(random), 1, 2),
    generate({ cmd: 'pingreq' }),
    publish(device.topic('hello'), randomBytesFrom(random, random.below(300)), 1, 3),
    generate({ cmd: 'unsubscribe', messageId: 4, unsubscriptions: [device.topic('config')] }),
    publish(device.topic('up'), device.envelope(random), 2, 5),
    generate({ cmd: 'pubrel', messageId: 5 }),
    Buffer.of(0x40, 0x02, 0x00, 0x01),
    publish(device.topic('receipt'), Buffer.from('mine'), 0, 0),
    generate({ cmd: 'disconnect' }),
  ];
  const chosen = Array.from(
    { length: 1 + random.below(5) },
    () => packets[random.below(packets.length)] as Buffer,
  );
  const at = random.below(chosen.length);
  chosen[at] = mutated(chosen[at] as Buffer, random);
  await sendAll(socket, Buffer.concat(chosen), random);
  return Buffer.isBuffer(answer) && answer[3] === 0 ? 'let in' : 'refused';
}

/** What the gateway said to wrong envelopes. */
export interface FuzzAnswers {
  /** How many got which code; `stored` where nothing was wrong that a gateway can see. */
  readonly codes: Map<string, number>;
  /** Statements that were stored, by hash in hex. */
  readonly stored: Set<string>;
  /** Answers that name another envelope, or are no answer. */
  wrong: number;
  /** Envelopes that got no PUBACK though they were sent at QoS 1, or no receipt. */
  unanswered: number;
}

/** Publishes so many wrong envelopes on one connection, and checks the answer to each. */
export async function publishWrong(
  port: number,
  device: FuzzDevice,
  count: number,
  random: Random,
): Promise<FuzzAnswers> {
  const answers: FuzzAnswers = { codes: new Map(), stored: new Set(), wrong: 0, unanswered: 0 };
  const socket = await connect(port);
  /** In the order in which they were sent, which is that of the answers. */
  const names: Uint8Array[] = [];
  const ids: number[] = [];
  let wake = (): void => undefined;
  let isLetIn = false;
  const reader = parser({ protocolVersion: 4 });
  reader.on('packet', (packet: Packet) => {
    if (packet.cmd === 'suback') isLetIn = true;
    if (packet.cmd === 'puback' && ids.shift() !== packet.messageId) answers.wrong += 1;
    if (packet.cmd === 'publish') {
      const { statement, outcome } = decodeReceipt(new Uint8Array(packet.payload as Buffer)).body;
      if (!equalBytes(statement, names.shift() ?? new Uint8Array())) answers.wrong += 1;
      if (outcome.kind === 'stored') answers.stored.add(toHex(statement));
      const code = 'code' in outcome ? outcome.code : outcome.kind;
      answers.codes.set(code, (answers.codes.get(code) ?? 0) + 1);
    }
    wake();
  });
  socket.on('data', (chunk: Buffer) => reader.parse(chunk));
  socket.once('close', () => wake());
  const until = async (condition: () => boolean): Promise<void> => {
    while (!condition() && !socket.destroyed) {
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  };
  socket.write(device.connect());
  const subscriptions = [{ topic: device.topic('receipt'), qos: 0 as const }];
  socket.write(generate({ cmd: 'subscribe', messageId: 1, subscriptions }));
  await until(() => isLetIn);
  for (let k = 0; k < count && !socket.destroyed; k++) {
    const envelope = device.envelope(random);
    const qos = random.below(QOS_0_EVERY) === 0 ? 0 : 1;
    const id = (k % 65_535) + 1;
    names.push(nameOf(envelope));
    if (qos === 1) ids.push(id);
    socket.write(publish(device.topic('up'), envelope, qos, id));
    if (names.length >= WINDOW) await until(() => names.length < WINDOW / 2);
  }
  await until(() => names.length === 0 && ids.length === 0);
  answers.unanswered = Math.max(names.length, ids.length);
  socket.destroy();
  return answers;
}
