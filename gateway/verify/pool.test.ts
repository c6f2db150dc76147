import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import type { MessagePort } from 'node:worker_threads';
import { encodeEnvelope, encodeFrame, encodeStatement, FRAME_FORMAT, keyId } from '@waystone/proto';
import { afterEach, describe, expect, it } from 'vitest';
import { testKeyNamed } from '../../proto/test-data/test-signer.js';
import { type PackedBatch, unpackBatch } from '../core/packed.js';
import type { DeviceRecord } from '../core/ports.js';
import { VerifierPool } from './pool.js';

const key = testKeyNamed('Ed25519', 'pool').publicKey;

const deviceOf = (id: number): DeviceRecord => ({
  id,
  did: `did:key:test${id}`,
  keyId: keyId(key),
  publicKey: key,
  revokedAtUs: null,
});

/** An envelope of all devices, which is refused: it is of another realm, and its device may be revoked. */
const ENVELOPE = encodeEnvelope(
  encodeStatement({
    realm: new Uint8Array(32).fill(1),
    device: keyId(key),
    session: new Uint8Array(16),
    stream: 1,
    format: FRAME_FORMAT,
    timeBase: 1,
    flags: 0,
    firstSequence: 0,
    count: 1,
    minTimeUs: 0,
    maxTimeUs: 0,
    framesRoot: new Uint8Array(32),
    previous: new Uint8Array(32),
  }),
  new Uint8Array(64),
  [encodeFrame({ salt: new Uint8Array(16), timeUs: 0 })],
);

/** What came out of a verifier, in order. */
interface Judged {
  readonly ticket: number;
  readonly device: number;
  readonly verifier: number;
  readonly code: string;
}

/** A pool of two, whose ledger is the test. */
class Bench {
  readonly pool: VerifierPool;
  readonly judged: Judged[] = [];
  readonly #ports: readonly MessagePort[];
  #ticket = 0;

  constructor() {
    const options = { threads: 2, realm: new Uint8Array(32), streams: [1] };
    this.pool = new VerifierPool(options, deviceOf, (error) => {
      throw error;
    });
    this.#ports = this.pool.ledgerPorts;
    for (const [verifier, port] of this.#ports.entries()) {
      port.on('message', (batch: PackedBatch) => {
        for (const { ticket, device, refusal } of unpackBatch(batch).items) {
          this.judged.push({ ticket, device, verifier, code: refusal?.code ?? 'none' });
        }
      });
    }
  }

  submit(device: number): number {
    const ticket = this.#ticket++;
    const arrived = { ticket, device, receivedAtUs: 0, clockTrusted: true };
    this.pool.submit({ ...arrived, payload: ENVELOPE });
    return ticket;
  }

  /** Resolves when so many envelopes in all are judged. */
  async until(count: number): Promise<void> {
    while (this.judged.length < count) {
      await Promise.race(this.#ports.map((port) => once(port, 'message')));
    }
  }

  verifierOf(ticket: number): number {
    return this.judged.find((one) => one.ticket === ticket)?.verifier ?? Number.NaN;
  }

  async stop(): Promise<void> {
    await this.pool.stop();
    for (const port of this.#ports) port.close();
  }
}

describe('the verifiers', () => {
  let bench: Bench;
  afterEach(() => bench.stop());

  it('keep the order of each device, whatever is decided meanwhile', async () => {
    bench = new Bench();
    const devices = 7;
    let seed = 1;
    const random = (below: number) => {
      seed = (seed * 48_271) % 2_147_483_647;
      return seed % below;
    };
    let submitted = 0;
    let decided = 0;
    for (let round = 0; round < 300; round++) {
      for (let k = random(20); k > 0; k--) {
        bench.submit(random(devices));
        submitted += 1;
      }
      await delay(0);
      // As the ledger answers: some of what is judged, in the order in which it came.
      const until = decided + random(bench.judged.length - decided + 1);
      for (; decided < until; decided++) bench.pool.decided(bench.judged[decided]?.device ?? -1);
    }
    for (; decided < submitted; decided++) {
      await bench.until(decided + 1);
      bench.pool.decided(bench.judged[decided]?.device ?? -1);
    }
    expect(bench.judged).toHaveLength(submitted);
    expect(submitted).toBeGreaterThan(2000);
    for (let device = 0; device < devices; device++) {
      const tickets = bench.judged.filter((one) => one.device === device).map((one) => one.ticket);
      expect(tickets).toEqual([...tickets].sort((a, b) => a - b));
    }
    // Devices did move from one to the other, or this would show nothing.
    const used = new Set(bench.judged.map(({ device, verifier }) => `${device}:${verifier}`));
    expect(used.size).toBe(2 * devices);
  });

  it('share the work of devices, whichever numbers these have', async () => {
    bench = new Bench();
    for (let device = 0; device < 64; device += 2) bench.submit(device);
    await bench.until(32);
    expect(new Set(bench.judged.map(({ verifier }) => verifier))).toEqual(new Set([0, 1]));
  });

  it('give an envelope to the verifier of those of its device that are not decided', async () => {
    bench = new Bench();
    const devices = [...Array(16).keys()];
    const first = devices.map((device) => bench.submit(device));
    await bench.until(16);
    const homes = first.map((ticket) => bench.verifierOf(ticket));
    expect(new Set(homes)).toEqual(new Set([0, 1]));
    // In this order those without a home would go to the other one.
    const next = [...devices].reverse().map((device) => bench.submit(device));
    await bench.until(32);
    expect(next.map((ticket) => bench.verifierOf(ticket)).reverse()).toEqual(homes);
  });

  it('all learn that the record of a device has changed', async () => {
    bench = new Bench();
    const { pool, judged } = bench;
    const devices = [...Array(32).keys()];
    /** One envelope of each, decided in the order that makes devices change their verifier. */
    const round = async (): Promise<Judged[]> => {
      const before = judged.length;
      for (const device of devices) bench.submit(device);
      await bench.until(before + devices.length);
      for (const device of devices) pool.decided(device);
      devices.unshift(...devices.splice(8));
      return judged.slice(before);
    };
    const before = [await round(), await round(), await round()].flat();
    expect(new Set(before.map(({ code }) => code))).toEqual(new Set(['REALM_FOREIGN']));
    const knows = new Set(before.map(({ device, verifier }) => `${device}:${verifier}`));
    expect(knows.size).toBeGreaterThan(devices.length);
    for (const device of devices) pool.changed({ ...deviceOf(device), revokedAtUs: 1 });
    const after = [await round(), await round(), await round()].flat();
    const old = after.filter(
      ({ device, verifier, code }) =>
        knows.has(`${device}:${verifier}`) && code !== 'DEVICE_REVOKED',
    );
    expect(old).toEqual([]);
    expect(after.some(({ code }) => code === 'DEVICE_REVOKED')).toBe(true);
  });
});
