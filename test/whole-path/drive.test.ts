import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Device, DeviceKey, type ReceiptEvent } from '@waystone/device-sdk';
import { replayDrive } from '@waystone/firmware-bridge';
import { keyFromDid, keyId, toHex } from '@waystone/proto';
import { JsonRpcProvider, Wallet } from 'ethers';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { verifyPath } from '../../gateway/audit/verify.js';
import { runCli } from '../../gateway/cli/cli.js';
import type { Parts } from '../../gateway/cli/parts.js';
import { processTerminal } from '../../gateway/cli/terminal.js';
import { DeviceRegistry__factory } from '../../gateway/contracts/types/index.js';
import type { DatasetStatus, GatewayStatus } from '../../gateway/core/view.js';
import { RpcChainReader } from '../../gateway/forge/chain-reader.js';
import { openChallenges, openDat, openIdao } from '../../gateway/forge/open-clients.js';
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
    const set = ['batch.entriesMax=20', `http.publishFolder=${join(home, 'www')}`];
    set.push('http.publicUrl=https://gateway.example');
    gateway = await startInProcess(home, { network: 'local', set });
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

  const cli = (...args: string[]) => waystone('dat', ...args);

  /** What `waystone … --json` answers. */
  const waystone = async (...args: string[]) => {
    const out: string[] = [];
    const terminal = {
      ...processTerminal,
      environment: { WAYSTONE_HOME: home, WAYSTONE_URL: `http://127.0.0.1:${gateway.httpPort}` },
      out: (text: string) => out.push(text),
      err: (text: string) => out.push(text),
    };
    await runCli([...args, '--json'], terminal, {
      openDat,
      openIdao,
      openChallenges,
    } as unknown as Parts);
    return JSON.parse(out.join(''));
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

  it('is published for a web server: its entries, and the metadata of its tokens', async () => {
    for (const { root, folder, dat } of datasets) {
      const entries = readFileSync(join(home, 'www', 'entries', root));
      expect(entries.equals(readFileSync(join(folder, 'entries')))).toBe(true);
      const { metadataUrl } = await cli('show', root);
      expect(metadataUrl).toBe(`https://gateway.example/metadata/${dat?.tokenId}.json`);
      const file = join(home, 'www', 'metadata', `${dat?.tokenId}.json`);
      expect(JSON.parse(readFileSync(file, 'utf8')).waystone).toMatchObject({
        root: `0x${root}`,
        entriesUrl: `https://gateway.example/entries/${root}`,
        signatures: 'challengeable on chain',
      });
    }
  });

  it('is of a device and a gateway that showed on chain that they hold their keys', async () => {
    const { chain } = status;
    const provider = new JsonRpcProvider(chain.rpcUrl, chain.chainId, { staticNetwork: true });
    const registry = DeviceRegistry__factory.connect(chain.contracts.registry ?? '', provider);
    for (const did of [key.did, gateway.did]) {
      const record = await registry.recordOf(chain.idao, keyId(keyFromDid(did)));
      expect([record.proven, record.revokedAt]).toEqual([true, 0n]);
    }
    provider.destroy();
  });

  it('has no fault that anyone could challenge', async () => {
    const found = await waystone('challenge', 'find', ...datasets.map(({ folder }) => folder));
    expect(found).toMatchObject({ findings: [], notes: [] });
    expect(found.datasets).toHaveLength(3);
    for (const dataset of found.datasets) {
      expect(dataset).toMatchObject({ mismatch: null, status: 'forged', isOpen: false });
    }
  });

  it('has tokens that are licensed, used, paid for and claimed from the command line', async () => {
    const { root } = datasets[0] as DatasetStatus;
    const buyer = Wallet.createRandom();
    const licence = await cli('licence', root, '--to', buyer.address, '--quota', '3');
    const show = await cli('show', root);
    expect(show).toMatchObject({ kind: 'dataset', owner: status.chain.idao, quotaLeft: '10000' });
    expect(show.licences).toEqual([licence.tokenId]);
    expect(await cli('show', `#${licence.tokenId}`)).toMatchObject({
      ...{ kind: 'licence', owner: buyer.address, quotaLeft: '3' },
    });
    const used = await cli('usage', root, '--record', '7', '--metric', 'query');
    expect(used).toMatchObject({ quotaLeft: '9993' });
    expect((await cli('usage', root)).usage).toMatchObject([{ metric: 'query', amount: '7' }]);
    const wei = '10000000000000001';
    const paid = await cli('revenue', root, '--pay', '0.010000000000000001');
    expect(paid).toMatchObject({ settled: wei, claimed: '0', pending: wei });
    expect(await cli('claim', root)).toMatchObject({ amount: wei, to: status.chain.idao });
    expect(await cli('revenue', root)).toMatchObject({ claimed: wei, pending: '0' });

    const refusals: [string[], string][] = [
      [['claim', root], 'DAT_NOTHING_PENDING'],
      [['usage', root, '--record', '9994'], 'DAT_QUOTA_EXCEEDED'],
      [['show', '#999'], 'DAT_UNKNOWN'],
      [['show', 'abcd'], 'DATASET_UNKNOWN'],
      [['show', 'what'], 'USAGE'],
      [['licence', root, '--to', '0x12', '--quota', '3'], 'USAGE'],
      [['licence', root, '--to', buyer.address, '--quota', '-3'], 'USAGE'],
      [['revenue', root, '--pay', '1e3'], 'USAGE'],
      [
        ['claim', root, '--keystore', '/nowhere', '--password-file', '/nowhere'],
        'CHAIN_KEYSTORE_MISSING',
      ],
    ];
    for (const [args, code] of refusals) {
      expect((await cli(...args)).error, args.join(' ')).toMatchObject({ code });
    }
  });

  it('belongs to an iDAO that its owner runs from the command line', async () => {
    const { idao } = status.chain;
    const before = await waystone('idao', 'show');
    expect(before).toMatchObject({ idao, tokens: 3, bond: { amount: '0' } });
    expect(before.operators).toHaveLength(1);
    const operator = Wallet.createRandom().address;
    const days = ['--days', '2', '--per-day', '9'];
    await waystone('idao', 'operators', 'add', operator, ...days);
    await waystone('idao', 'members', operator, 'licensor', 'registrar');
    await waystone('idao', 'bond', 'deposit', '0.5');
    await waystone('idao', 'bond', 'request', '0.25');
    expect(await waystone('idao', 'show')).toMatchObject({
      operators: [
        ...before.operators,
        { address: operator, until: expect.any(Number), datasetsPerDay: 9 },
      ],
      members: [{ address: operator, roles: ['registrar', 'licensor'] }],
      bond: { amount: '500000000000000000', requested: '250000000000000000' },
    });
    await waystone('idao', 'operators', 'remove', operator);
    expect((await waystone('idao', 'show')).operators).toEqual(before.operators);
    for (const [args, code] of [
      [['create'], 'IDAO_EXISTS'],
      [['operators', 'add', 'me'], 'USAGE'],
      [['operators', 'add', operator, '--days', '-1'], 'USAGE'],
      [['members', operator, 'king'], 'USAGE'],
      [['bond', 'deposit', '-1'], 'USAGE'],
      [['bond', 'request', '0.51'], 'BOND_TOO_SMALL'],
    ] as const) {
      expect((await waystone('idao', ...args)).error, args.join(' ')).toMatchObject({ code });
    }
  });

  it('is held back on request, over a restart, and goes on chain afterwards', async () => {
    expect(await waystone('forge', 'pause')).toMatchObject({ isPaused: true });
    await gateway.stop();
    gateway = await startInProcess(home, { network: 'local' });
    const device = new Device({ url: gateway.mqttUrl, signer: key, gateway: gateway.did });
    await device.connect();
    for await (const frame of replayDrive({ speed: Number.POSITIVE_INFINITY })) {
      await device.enqueue('drive', [frame]);
      break;
    }
    await waitFor('its receipt', () => device.unreceipted === 0);
    await device.close();
    await gateway.ask('POST', '/v1/batches/seal');
    const newest = async () =>
      (await gateway.ask<{ datasets: DatasetStatus[] }>('GET', '/v1/datasets')).datasets[0];
    await waitFor('forging to say that it is paused', async () => {
      const { datasets: all } = await gateway.ask<{ datasets: DatasetStatus[] }>(
        'GET',
        '/v1/datasets',
      );
      return all.length === 4 && all[0]?.waitsFor.includes('waystone forge resume');
    });
    expect(await waystone('forge', 'retry')).toMatchObject({ isPaused: true });
    expect((await newest())?.state).toBe('sealed');
    expect(await waystone('forge', 'resume')).toMatchObject({ isPaused: false });
    await waitFor('its token', async () => (await newest())?.state === 'forged', FORGE_DEADLINE_MS);
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
