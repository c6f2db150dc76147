import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import net from 'node:net';
import { join } from 'node:path';
import { Device, DeviceKey } from '@waystone/device-sdk';
import { LOCAL_REALM, type Outcome } from '@waystone/proto';
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

  /** @param more lines for the bridge, beside the defaults. */
  async start(
    gateway: TestGateway,
    relay: { name: string; secret: string },
    more = '',
  ): Promise<void> {
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
${more}
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
  async function openDevice(
    key: DeviceKey,
    options: Partial<ConstructorParameters<typeof Device>[0]> = {},
  ): Promise<Device> {
    const device = new Device({
      url: mosquitto.url,
      gateway: gateway.did,
      signer: key,
      receiptTimeoutMs: 3_000,
      ...options,
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

  it('brings what it queued while the gateway was away, each envelope once', async () => {
    const key = DeviceKey.generate();
    await gateway.enrol(key.did);
    await mosquitto.start(gateway, await addRelay('all'), 'restart_timeout 1');
    await bridgeUp();
    const device = await openDevice(key);
    await device.publish('drive', [{ timeUs: Date.now() * 1000 }]);
    const { mqttPort } = gateway;
    await gateway.stop();
    const queued = [];
    for (let k = 0; k < 30; k++) {
      queued.push((await device.enqueue('drive', [{ timeUs: Date.now() * 1000 + k }])).stored);
    }
    gateway = await startInProcess(home, { set: [`mqtt.port=${mqttPort}`] });
    await bridgeUp();
    const stored = (await Promise.all(queued)).flat();
    const { envelopes, refused } = await gateway.device(key.did);
    console.log(
      `receipted: ${stored.length + 1}, ` +
        `acked but lost: ${Math.max(0, stored.length + 1 - envelopes)}, ` +
        `stored twice: ${Math.max(0, envelopes - 31)}`,
    );
    expect({ receipted: stored.length, envelopes, refused }).toEqual({
      receipted: 30,
      envelopes: 31,
      refused: 0,
    });
  });

  it('goes on for its devices though another one behind it is not on its list', async () => {
    const [listed, unlisted] = [DeviceKey.generate(), DeviceKey.generate()];
    for (const { did } of [listed, unlisted]) await gateway.enrol(did);
    await mosquitto.start(gateway, await addRelay([listed.did]));
    await bridgeUp();
    const streams = [{ id: 1, name: 'drive' }];
    const outsider = await openDevice(unlisted, { realm: LOCAL_REALM, streams });
    const answers: Outcome[] = [];
    outsider.on('receipt', ({ receipt }) => answers.push(receipt.body.outcome));
    for (let k = 0; k < 30; k++) await outsider.enqueue(1, [{ timeUs: Date.now() * 1000 + k }]);
    const device = await openDevice(listed);
    for (let k = 0; k < 5; k++) await device.publish('drive', [{ timeUs: Date.now() * 1000 }]);
    await waitFor('the other device to be told', () => answers.length >= 30);
    // It keeps what it has: nothing of it was decided.
    expect(new Set(answers.map(({ kind }) => kind))).toEqual(new Set(['retry']));
    expect(outsider.unreceipted).toBe(30);
    expect(await gateway.device(unlisted.did)).toMatchObject({ envelopes: 0, refused: 0 });
    expect(await gateway.device(listed.did)).toMatchObject({ envelopes: 5, refused: 0 });
    expect(gateway.logs.filter(({ msg }) => msg === 'relay disconnected')).toEqual([]);
  });

  it('is told that its password is wrong', async () => {
    await addRelay('all');
    await mosquitto.start(gateway, { name: 'depot', secret: 'x'.repeat(43) });
    await waitFor('the refusal', () => gateway.logged('LOGIN_INVALID').length > 0);
    // It does not tell the reasons apart; the gateway's log does.
    await waitFor('Mosquitto to say so', () => mosquitto.log.includes('Connection Refused'));
    expect(gateway.logged('LOGIN_INVALID')[0]?.detail).toContain('not the secret of relay depot');
  });
});
