import { afterEach, expect, it } from 'vitest';
import { TestDevice } from '../harness/device.js';
import { GatewayProcess, makeHome, removeHome } from '../harness/gateway.js';
import { DeviceClient } from '../harness/mqtt.js';
import { waitFor } from '../harness/wait.js';
import { Storm, type StormClient } from './storm.js';

/** Devices that come back at once, with right logins; half as many more come with wrong ones. */
const CLIENTS = Number(process.env.WAYSTONE_STORM_CLIENTS ?? 300);

const HEALTHY = 4;

/** The storm is looked at in so many parts of equal size. */
const PARTS = 4;

let gateway: GatewayProcess | undefined;
let home: string | undefined;
let storm: Storm | undefined;

afterEach(async () => {
  await storm?.stop();
  await gateway?.kill();
  if (home !== undefined) await removeHome(home);
});

/** Right logins come from one address, wrong ones from another one. */
async function rightClient(device: TestDevice): Promise<StormClient> {
  return {
    clientId: device.topicId,
    password: await device.loginToken(),
    hello: Buffer.from(await device.hello()).toString('base64'),
    localAddress: '127.0.0.1',
  };
}

async function wrongClient(k: number, enrolled: TestDevice): Promise<StormClient> {
  const stranger = new TestDevice(enrolled.gateway);
  const wrong = { hello: '', localAddress: '127.0.0.2' };
  const password = await stranger.loginToken();
  // By turns a device that nobody knows, and one whose token another key has signed.
  return { ...wrong, password, clientId: (k % 2 === 0 ? stranger : enrolled).topicId };
}

/** Publishes one envelope after the other, each answered before the next. */
class HealthyDevice {
  published = 0;
  acknowledged = 0;
  receipted = 0;
  /** Longest time from PUBLISH to receipt, ms: printed, never judged. */
  longestMs = 0;
  readonly #client: DeviceClient;
  #isStopped = false;

  constructor(client: DeviceClient) {
    this.#client = client;
  }

  get did(): string {
    return this.#client.device.did;
  }

  async run(): Promise<void> {
    while (!this.#isStopped) {
      const payload = await this.#client.device.envelope();
      const startMs = performance.now();
      const messageId = this.#client.publish(payload);
      this.published += 1;
      await this.#client.acknowledged(messageId);
      this.acknowledged += 1;
      const { receipt } = await this.#client.receipt(payload);
      if (receipt.body.outcome.kind === 'stored') this.receipted += 1;
      this.longestMs = Math.max(this.longestMs, performance.now() - startMs);
    }
  }

  stop(): void {
    this.#isStopped = true;
  }
}

it(
  'answers healthy devices all the while when a whole fleet comes back at once, and others with wrong logins',
  async () => {
    home = await makeHome();
    gateway = await GatewayProcess.start(home, {
      set: [`mqtt.connectionsMax=${2 * CLIENTS + 100}`, 'mqtt.loginDelaySecondsMax=1'],
    });
    const { did, mqttPort } = gateway;
    const healthy: HealthyDevice[] = [];
    for (let k = 0; k < HEALTHY; k++) {
      const device = new TestDevice(did);
      await gateway.enrol(device.did);
      healthy.push(new HealthyDevice(await DeviceClient.open(gateway, device)));
    }
    const fleet = Array.from({ length: CLIENTS }, () => new TestDevice(did));
    for (let at = 0; at < CLIENTS; at += 16) {
      const some = fleet.slice(at, at + 16);
      await Promise.all(some.map((device) => gateway?.enrol(device.did)));
    }

    // Signed beforehand: this process must not stall the healthy devices itself.
    const rounds: StormClient[][] = [];
    for (let round = 0; round < 2; round++) {
      const clients: StormClient[] = [];
      for (const [k, device] of fleet.entries()) {
        clients.push(await rightClient(device));
        if (k % 2 === 0) clients.push(await wrongClient(k / 2, device));
      }
      rounds.push(clients);
    }
    const running = Promise.all(healthy.map((device) => device.run()));
    const acknowledged = () => healthy.reduce((sum, one) => sum + one.acknowledged, 0);

    storm = new Storm();
    for (const [round, clients] of rounds.entries()) {
      // PUBACKs of the healthy devices by part of the storm.
      const inPart = Array.from({ length: PARTS }, () => 0);

      let settled = 0;
      let before = acknowledged();
      const codes = await storm.connect(mqttPort, clients, () => {
        settled += 1;
        const part = Math.min(PARTS - 1, Math.floor((PARTS * (settled - 1)) / clients.length));
        inPart[part] = (inPart[part] ?? 0) + acknowledged() - before;
        before = acknowledged();
      });
      console.log(
        `reconnect storm ${round + 1}: ${clients.length} at once, ${JSON.stringify(codes)}\n` +
          `PUBACKs of ${HEALTHY} healthy devices in each ${PARTS}th of it: ${inPart.join(', ')}`,
      );
      expect(codes['logged in']).toBe(CLIENTS);
      // Every wrong one has its answer: refused, or not looked at because too many of them were refused.
      const told = ['refused 4', 'refused 5', 'refused 3'].map((how) => codes[how] ?? 0);
      expect(told.reduce((sum, count) => sum + count, 0)).toBe(clients.length - CLIENTS);
      for (const count of inPart) expect(count).toBeGreaterThan(0);

      await storm.cut();
    }

    for (const device of healthy) device.stop();
    await running;
    let lost = 0;
    let twice = 0;
    for (const device of healthy) {
      const { envelopes } = await gateway.device(device.did);
      lost += Math.max(0, device.acknowledged - envelopes);
      twice += Math.max(0, envelopes - device.published);
      expect(device).toMatchObject({
        acknowledged: device.published,
        receipted: device.published,
      });
    }
    console.log(
      `healthy devices: published ${healthy.reduce((sum, one) => sum + one.published, 0)}, ` +
        `longest wait for a receipt ${Math.round(Math.max(...healthy.map((one) => one.longestMs)))} ms\n` +
        `acked but lost: ${lost}, stored twice: ${twice}`,
    );
    expect(lost).toBe(0);
    expect(twice).toBe(0);
    await waitFor('the fleet to be gone', async () => {
      const { connections } = await (gateway as GatewayProcess).ask<{ connections: number }>(
        'GET',
        '/v1/status',
      );
      return connections === HEALTHY;
    });
  },
  120_000 + CLIENTS * 100,
);
