import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import net from 'node:net';
import { join } from 'node:path';
import { Device, DeviceKey } from '@waystone/device-sdk';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { RelayStatus } from '../../gateway/core/view.js';
import { freePorts } from '../faults/free-ports.js';
import { makeHome, removeHome, startInProcess, type TestGateway } from '../harness/gateway.js';
import { waitFor } from '../harness/wait.js';

/** A Mosquitto with a bridge to the gateway, all of whose other settings are the defaults. */
class Mosquitto {
  readonly port: number;
  readonly #folder: string;
  #process: ChildProcess | null = null;
  log = '';

  constructor(folder: string, port: number) {
    this.#folder = folder;
    this.port = port;
  }

  get url(): string {
    return `mqtt://127.0.0.1:${this.port}`;
  }

  async start(gateway: TestGateway, relay: { name: string; secret: string }): Promise<void> {
    const file = join(this.#folder, 'mosquitto.conf');
    writeFileSync(
      file,
      `listener ${this.port} 127.0.0.1
allow_anonymous true
log_type all

connection waystone
address 127.0.0.1:${gateway.mqttPort}
remote_username ${relay.name}
remote_password ${relay.secret}
cleansession false
topic ws/v1/+/up out 1
topic ws/v1/+/hello out 1
topic ws/v1/+/receipt in 1
topic ws/v1/+/config in 1
`,
    );
    this.#process = spawn('/usr/sbin/mosquitto', ['-c', file], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    for (const stream of [this.#process.stdout, this.#process.stderr]) {
      stream?.on('data', (chunk) => {
        this.log += chunk;
      });
    }
    await waitFor('Mosquitto to listen', async () => {
      const socket = net.connect(this.port, '127.0.0.1');
      const isOpen = await once(socket, 'connect').then(
        () => true,
        () => false,
      );
      socket.destroy();
      return isOpen;
    });
  }

  async stop(): Promise<void> {
    const running = this.#process;
    if (running === null) return;
    this.#process = null;
    const exited = once(running, 'exit');
    running.kill('SIGTERM');
    await exited;
  }
}

describe('a Mosquitto bridge with default settings, enrolled as a relay', () => {
  let home: string;
  let gateway: TestGateway;
  let mosquitto: Mosquitto;
  const devices: Device[] = [];

  beforeEach(async () => {
    home = await makeHome();
    const [mqttPort = 0, mosquittoPort = 0] = await freePorts(2);
    gateway = await startInProcess(home, { set: [`mqtt.port=${mqttPort}`] });
    mosquitto = new Mosquitto(home, mosquittoPort);
  });
  afterEach(async () => {
    for (const device of devices.splice(0)) await device.close({ deadlineMs: 0 });
    await mosquitto.stop();
    await gateway.stop();
    await removeHome(home);
  });

  const addRelay = (devices: readonly string[] | 'all') =>
    gateway.ask<RelayStatus & { secret: string }>('POST', '/v1/relays', { name: 'depot', devices });
  const bridgeUp = () =>
    waitFor('the bridge to be connected', async () => {
      const { relays } = await gateway.ask<{ relays: RelayStatus[] }>('GET', '/v1/relays');
      return relays[0]?.connected;
    });

  /** An SDK device that talks to Mosquitto, and knows of the gateway only its key. */
  async function openDevice(key = DeviceKey.generate()): Promise<Device> {
    const device = new Device({
      url: mosquitto.url,
      gateway: gateway.did,
      signer: key,
      receiptTimeoutMs: 3_000,
    });
    devices.push(device);
    await device.connect();
    return device;
  }

  it('carries settings, envelopes and receipts of an SDK device, and stays connected', async () => {
    const key = DeviceKey.generate();
    await gateway.enrol(key.did);
    await mosquitto.start(gateway, await addRelay([key.did]));
    await bridgeUp();
    const device = await openDevice(key);
    for (let k = 0; k < 20; k++) {
      const [stored] = await device.publish('drive', [{ timeUs: Date.now() * 1000 }]);
      expect(stored).toBeDefined();
    }
    expect(await gateway.device(key.did)).toMatchObject({ envelopes: 20, frames: 20, refused: 0 });
    const included = once(device, 'receipt');
    await gateway.seal();
    const [{ receipt }] = (await included) as [{ receipt: { body: { outcome: object } } }];
    expect(receipt.body.outcome).toMatchObject({ kind: 'included', count: 20 });
    // Its notice of being connected did not cost the connection: the bridge was let in once.
    expect(gateway.logs.filter((line) => line.relay === 'depot' && line.level !== 'info')).toEqual([
      expect.objectContaining({ msg: 'client connected' }),
    ]);
  });
});
