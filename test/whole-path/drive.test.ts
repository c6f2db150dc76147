import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Device, DeviceKey, type ReceiptEvent } from '@waystone/device-sdk';
import { replayDrive } from '@waystone/firmware-bridge';
import { toHex } from '@waystone/proto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { verifyPath } from '../../gateway/audit/verify.js';
import type { DatasetStatus, GatewayStatus } from '../../gateway/core/view.js';
import { RpcChainReader } from '../../gateway/forge/chain-reader.js';
import { makeHome, removeHome, startInProcess, type TestGateway } from '../harness/gateway.js';
import { waitFor } from '../harness/wait.js';

/** Creating the contracts and forging on a busy machine takes a while. */
const FORGE_DEADLINE_MS = 60_000;

describe('a recorded drive', () => {
  let home: string;
  let gateway: TestGateway;
  let status: GatewayStatus;
  let datasets: DatasetStatus[];
  const key = DeviceKey.generate('P-256');
  const events: ReceiptEvent[] = [];
  let frames = 0;

  beforeAll(async () => {
    home = await makeHome();
    gateway = await startInProcess(home, { network: 'local', set: ['batch.entriesMax=20'] });
    await gateway.enrol(key.did, 'car');
    const device = new Device({ url: gateway.mqttUrl, signer: key, gateway: gateway.did });
    device.on('receipt', (event) => events.push(event));
    await device.connect();
    for await (const frame of replayDrive({ speed: Number.POSITIVE_INFINITY })) {
      frames += 1;
      await device.enqueue('drive', [frame]);
      if (frames % 64 === 0) await delay(0);
      if (frames === 60) break;
    }
    await waitFor('all receipts', () => device.unreceipted === 0);
    datasets = await waitFor(
      'every dataset to be forged',
      async () => {
        await gateway.ask('POST', '/v1/batches/seal');
        const answer = await gateway.ask<{ datasets: DatasetStatus[] }>('GET', '/v1/datasets');
        const forged = answer.datasets.filter(({ state }) => state === 'forged');
        return forged.length === 3 && forged;
      },
      FORGE_DEADLINE_MS,
    );
    await waitFor('the last receipt', () => kinds().final === 3);
    status = await gateway.ask<GatewayStatus>('GET', '/v1/status');
    await device.close();
  });
  afterAll(async () => {
    await gateway.stop();
    await removeHome(home);
  });

  /** How many receipts of each kind came. */
  const kinds = (): Record<string, number> => {
    const counts: Record<string, number> = {};
    for (const { receipt } of events) {
      const { kind } = receipt.body.outcome;
      counts[kind] = (counts[kind] ?? 0) + 1;
    }
    return counts;
  };

  it('is stored, included and finally owned, and the device is told each', () => {
    expect(kinds()).toEqual({ stored: 60, included: 60, final: 3 });
    const tokens = events.flatMap(({ receipt: { body } }) =>
      body.outcome.kind === 'final' ? [[toHex(body.outcome.root), body.outcome.tokenId]] : [],
    );
    expect(new Map(tokens as [string, bigint][])).toEqual(
      new Map(datasets.map(({ root, dat }) => [root, BigInt(dat?.tokenId ?? -1)])),
    );
  });

  it('becomes datasets in log order, each with one token of the iDAO', () => {
    expect(datasets.map(({ logIndex }) => logIndex).sort()).toEqual([0, 1, 2]);
    expect(datasets.every(({ dat }) => dat?.owner === status.chain.idao)).toBe(true);
    expect(new Set(datasets.map(({ dat }) => dat?.tokenId)).size).toBe(3);
    expect(status.totals).toMatchObject({ frames: 60, envelopes: 60, refused: 0, forged: 3 });
  });

  it('verifies from its folders alone, and against the chain', async () => {
    const chain = new RpcChainReader({
      url: status.chain.rpcUrl,
      datasetForge: status.chain.contracts.datasetForge ?? '',
    });
    try {
      for (const { folder } of datasets) {
        expect((await verifyPath(folder)).result).toBe('consistent');
        expect((await verifyPath(folder, { gatewayDid: gateway.did })).result).toBe('verified');
        expect((await verifyPath(folder, { chain })).result).toBe('verified');
      }
    } finally {
      chain.close();
    }
  });

  it('keeps the times and places at which it was recorded', () => {
    const manifests = datasets.map(({ folder }) =>
      JSON.parse(readFileSync(join(folder, 'manifest.json'), 'utf8')),
    );
    for (const { time, coverage } of manifests) {
      expect(new Date(time.minUs / 1000).toISOString()).toMatch(/^2018-08-02T16:1/);
      expect(coverage.southE9 / 1e9).toBeCloseTo(37.72, 1);
      expect(coverage.westE9 / 1e9).toBeCloseTo(-122.47, 1);
    }
  });

  it('gives a proof for any of its frames', async () => {
    const stored = events.find(({ envelope }) => envelope !== null)?.envelope;
    const session = toHex(stored?.session ?? new Uint8Array());
    const path = `/v1/proofs/${key.did}/${session}/1/30`;
    const proof = await gateway.ask<{ type: string; device: string }>('GET', path);
    expect(proof).toMatchObject({ type: 'waystone-proof', device: key.did });
  });
});
