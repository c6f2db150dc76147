import net from 'node:net';
import { generate, type Packet, parser } from 'mqtt-packet';
import type { StormAnswer, StormClient, StormOrder } from './storm.js';

/**
 * A process of its own that opens many connections at once, logs in on each, and holds them until it is told
 * to let go. Its answers tell how far it is.
 */
const sockets: net.Socket[] = [];
let codes: Record<string, number> = {};
let settled = 0;
let expected = 0;

process.on('message', (order: StormOrder) => {
  if (order.kind === 'connect') {
    codes = {};
    settled = 0;
    expected = order.clients.length;
    for (const client of order.clients) connect(order, client);
  } else {
    for (const socket of sockets.splice(0)) socket.destroy();
    tell({ kind: 'cut' });
  }
});
process.on('disconnect', () => process.exit());

function connect(order: Extract<StormOrder, { kind: 'connect' }>, client: StormClient): void {
  const { port } = order;
  const socket = net.connect({ host: '127.0.0.1', port, localAddress: client.localAddress });
  const send = (packet: Packet): void => void socket.write(generate(packet));
  let isSettled = false;
  const settle = (how: string): void => {
    if (isSettled) return;
    isSettled = true;
    codes[how] = (codes[how] ?? 0) + 1;
    settled += 1;
    tell({ kind: 'settled', how, codes, isLast: settled === expected });
  };
  const reader = parser({ protocolVersion: 4 });
  reader.on('packet', (packet: Packet) => {
    if (packet.cmd === 'connack' && packet.returnCode !== 0) settle(`refused ${packet.returnCode}`);
    if (packet.cmd === 'connack' && packet.returnCode === 0) {
      const topics = ['receipt', 'config'].map((channel) => `ws/v1/${client.clientId}/${channel}`);
      const subscriptions = topics.map((topic) => ({ topic, qos: 0 as const }));
      send({ cmd: 'subscribe', messageId: 1, subscriptions });
      const topic = `ws/v1/${client.clientId}/hello`;
      const payload = Buffer.from(client.hello, 'base64');
      send({ cmd: 'publish', topic, payload, qos: 1, messageId: 2, retain: false, dup: false });
    }
    // Its login is over once the hello is on disk.
    if (packet.cmd === 'puback') settle('logged in');
  });
  socket.on('data', (chunk: Buffer) => reader.parse(chunk));
  socket.on('error', () => undefined); // 'close' follows.
  socket.on('close', () => settle('closed without an answer'));
  send({
    cmd: 'connect',
    protocolId: 'MQTT',
    protocolVersion: 4,
    clean: true,
    keepalive: 60,
    clientId: client.clientId,
    username: client.clientId,
    password: Buffer.from(client.password),
  });
  sockets.push(socket);
}

function tell(answer: StormAnswer): void {
  process.send?.(answer);
}
