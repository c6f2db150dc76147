import { setTimeout as delay } from 'node:timers/promises';
import { TestDevice } from '../harness/device.js';
import type { TestGateway } from '../harness/gateway.js';
import { DeviceClient } from '../harness/mqtt.js';

/** Between an answer and the next envelope, so that those who are served leave room for what is done to the gateway. */
const PAUSE_MS = 10;

/** Publishes one envelope after the other, each answered before the next. */
export class HealthyDevice {
  published = 0;
  acknowledged = 0;
  receipted = 0;
  /** Longest time from PUBLISH to receipt, ms: printed, never judged. */
  longestMs = 0;
  /** When each receipt came, µs UTC. */
  readonly answeredAtUs: number[] = [];
  readonly #client: DeviceClient;
  #isStopped = false;

  private constructor(client: DeviceClient) {
    this.#client = client;
  }

  /** Enrols a new device and logs it in. */
  static async open(gateway: TestGateway): Promise<HealthyDevice> {
    const device = new TestDevice(gateway.did);
    await gateway.enrol(device.did);
    return new HealthyDevice(await DeviceClient.open(gateway, device));
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
      this.answeredAtUs.push(Date.now() * 1000);
      this.longestMs = Math.max(this.longestMs, performance.now() - startMs);
      await delay(PAUSE_MS);
    }
  }

  stop(): void {
    this.#isStopped = true;
  }
}

/** Several of them, which work while something is done to the gateway. */
export class HealthyDevices {
  readonly all: readonly HealthyDevice[];
  readonly #gateway: TestGateway;
  readonly #running: Promise<unknown>;
  #failure: Error | undefined;

  private constructor(gateway: TestGateway, all: readonly HealthyDevice[]) {
    this.#gateway = gateway;
    this.all = all;
    this.#running = Promise.all(all.map((device) => device.run()));
    this.#running.catch((error: Error) => {
      this.#failure = error;
    });
  }

  /** Enrols and logs in so many, and lets them publish. */
  static async start(gateway: TestGateway, count: number): Promise<HealthyDevices> {
    const all: HealthyDevice[] = [];
    for (let k = 0; k < count; k++) all.push(await HealthyDevice.open(gateway));
    return new HealthyDevices(gateway, all);
  }

  get receipted(): number {
    return this.all.reduce((sum, { receipted }) => sum + receipted, 0);
  }

  /** @throws Error when one of them was not served. */
  check(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** Lets them finish and compares what they were told with what is stored. */
  async finish(): Promise<{ published: number; unanswered: number; lost: number; twice: number }> {
    for (const device of this.all) device.stop();
    await this.#running;
    let published = 0;
    let unanswered = 0;
    let lost = 0;
    let twice = 0;
    for (const device of this.all) {
      const { envelopes } = await this.#gateway.device(device.did);
      published += device.published;
      unanswered += device.published - Math.min(device.acknowledged, device.receipted);
      lost += Math.max(0, device.acknowledged - envelopes);
      twice += Math.max(0, envelopes - device.published);
    }
    const longestMs = Math.round(Math.max(...this.all.map((device) => device.longestMs)));
    console.log(
      `healthy devices: published ${published}, without PUBACK and receipt ${unanswered}, ` +
        `longest wait for a receipt ${longestMs} ms\nacked but lost: ${lost}, stored twice: ${twice}`,
    );
    return { published, unanswered, lost, twice };
  }
}

/** What {@link HealthyDevices.finish} finds when nothing was done to them. */
export const UNHURT = { unanswered: 0, lost: 0, twice: 0 };
