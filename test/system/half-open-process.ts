import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import net from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { generate } from 'mqtt-packet';
import { BenchGateway } from '../bench/gateway-process.js';
import { connectLoad, openTo } from '../bench/gateway-run.js';
import { FuzzDevice } from '../faults/fuzz-device.js';

/**
 * Runs in a network namespace of its own, with everything it talks to. Its loopback link goes down for a
 * moment, in which peers vanish: neither FIN nor RST of theirs arrives.
 */

/** What was seen, written as one line of JSON. */
export interface HalfOpenReport {
  /** Established connections by who holds an end, after the peers had vanished. */
  readonly gatewayEnds: number;
  readonly clientEnds: number;
  /** Connections that the gateway counts when its limits have passed. */
  readonly left: number;
  readonly healthy: {
    readonly sent: number;
    readonly acknowledged: number;
    readonly stored: number;
  };
  readonly lost: number;
  readonly twice: number;
}

/** Vanished peers of each kind: logged in, and without a CONNECT yet. */
const PEERS = 20;
const HEALTHY = 3;

/** A silent client is cut off after one and a half times this. */
const KEEP_ALIVE_SECONDS = 3;

const ESTABLISHED = '01';

/** Established connections of a port in this namespace, at its own and at the other end. */
function established(port: number): { own: number; other: number } {
  const hex = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  const rows = readFileSync('/proc/net/tcp', 'latin1')
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter((fields) => fields[3] === ESTABLISHED);
  return {
    own: rows.filter((fields) => fields[1]?.endsWith(hex)).length,
    other: rows.filter((fields) => fields[2]?.endsWith(hex)).length,
  };
}

async function open(port: number): Promise<net.Socket> {
  const socket = net.connect({ host: '127.0.0.1', port });
  socket.on('error', () => undefined);
  await once(socket, 'connect');
  return socket;
}

async function run(): Promise<HalfOpenReport> {
  execFileSync('ip', ['link', 'set', 'lo', 'up']);
  const gateway = await BenchGateway.start(await BenchGateway.makeHome(), {
    set: [
      ...openTo(100),
      `mqtt.keepAliveSecondsMax=${KEEP_ALIVE_SECONDS}`,
      'mqtt.connectTimeoutSeconds=4',
    ],
  });
  try {
    const { load } = await connectLoad(gateway, {
      keyType: 'Ed25519',
      framesEach: 1,
      devices: HEALTHY,
      envelopesEach: 1_000,
    });
    const peers: net.Socket[] = [];
    for (let k = 0; k < PEERS; k++) {
      const device = new FuzzDevice(gateway.did, 'Ed25519', 1_000 + k);
      await gateway.enrol([device.did]);
      const socket = await open(gateway.mqttPort);
      socket.write(device.connect({ keepalive: KEEP_ALIVE_SECONDS }));
      await once(socket, 'data');
      const subscriptions = [{ topic: device.topic('receipt'), qos: 0 as const }];
      socket.write(generate({ cmd: 'subscribe', messageId: 1, subscriptions }));
      await once(socket, 'data');
      peers.push(socket);
    }
    const paced = load.calls.pace({ rate: 60, seconds: 8 });
    for (let k = 0; k < PEERS; k++) peers.push(await open(gateway.mqttPort));
    for (const peer of peers.slice(0, PEERS)) peer.write(generate({ cmd: 'pingreq' }));
    await delay(200);

    execFileSync('ip', ['link', 'set', 'lo', 'down']);
    for (const peer of peers) peer.resetAndDestroy();
    await delay(300);
    execFileSync('ip', ['link', 'set', 'lo', 'up']);
    const { own, other } = established(gateway.mqttPort);

    let left = own;
    const endMs = performance.now() + 60_000;
    while (left !== HEALTHY && performance.now() < endMs) {
      await delay(100);
      left = established(gateway.mqttPort).own;
    }
    await paced;
    await load.calls.hold();
    await load.calls.settle(30_000);
    const { sent, acknowledged, stored } = await load.calls.count();
    const { connections } = await gateway.ask<{ connections: number }>('GET', '/v1/status');
    const { devices } = await gateway.ask<{ devices: { did: string; envelopes: number }[] }>(
      'GET',
      '/v1/devices',
    );
    let lost = 0;
    let twice = 0;
    for (const { did, envelopes } of await load.calls.acknowledged()) {
      const inLedger = devices.find((device) => device.did === did)?.envelopes ?? 0;
      lost += Math.max(0, envelopes - inLedger);
      twice += Math.max(0, inLedger - envelopes);
    }
    load.kill();
    return {
      gatewayEnds: own,
      clientEnds: other,
      left: connections,
      healthy: { sent, acknowledged, stored },
      lost,
      twice,
    };
  } finally {
    await gateway.remove();
  }
}

console.log(JSON.stringify(await run()));
process.exit();
