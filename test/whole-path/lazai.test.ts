import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { Device, DeviceKey, type ReceiptEvent } from '@waystone/device-sdk';
import { replayDrive } from '@waystone/firmware-bridge';
import { toHex } from '@waystone/proto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { environmentName } from '../../gateway/config/schema.js';
import type { DatasetStatus, GatewayStatus } from '../../gateway/core/view.js';
import { fsck } from '../../gateway/fsck/fsck.js';
import { makeHome, removeHome, startInProcess, type TestGateway } from '../harness/gateway.js';
import { LAZAI_CHAIN_ID, type LazaiScene, PUBLIC_URL, startLazaiScene } from '../harness/lazai.js';
import { waitFor } from '../harness/wait.js';

const MAIN = fileURLToPath(new URL('../../gateway/dist/cli/main.js', import.meta.url));

const FORGE_DEADLINE_MS = 60_000;

describe('a drive that is forged on LazAI', () => {
  let home: string;
  let scene: LazaiScene;
  let gateway: TestGateway;
  let isStopped = false;
  let dataset: DatasetStatus;
  const events: ReceiptEvent[] = [];
  const finals = () =>
    events.flatMap(({ receipt: { body } }) =>
      body.outcome.kind === 'final' ? [body.outcome] : [],
    );

  /** The command line as an operator has it, with the gateway's settings in its environment. */
  const waystone = async (...args: string[]): Promise<string> => {
    const { network = '', set = [] } = scene.options;
    const settings = [`chain.network=${network}`, ...set].map((setting) => {
      const [key = '', ...value] = setting.split('=');
      return [environmentName(key), value.join('=')];
    });
    const url = `http://127.0.0.1:${gateway.httpPort}`;
    const env = { PATH: process.env.PATH, ...Object.fromEntries(settings), WAYSTONE_URL: url };
    const { stdout } = await promisify(execFile)(
      process.execPath,
      [MAIN, '--home', home, ...args],
      { env },
    );
    return stdout;
  };

  beforeAll(async () => {
    home = await makeHome();
    scene = await startLazaiScene(home);
    gateway = await startInProcess(home, scene.options);
    const key = DeviceKey.generate('P-256');
    await gateway.enrol(key.did, 'car');
    const device = new Device({ url: gateway.mqttUrl, signer: key, gateway: gateway.did });
    device.on('receipt', (event) => events.push(event));
    await device.connect();
    let frames = 0;
    for await (const frame of replayDrive({ speed: Number.POSITIVE_INFINITY })) {
      await device.enqueue('drive', [frame]);
      if (++frames === 10) break;
    }
    await waitFor('all receipts', () => device.unreceipted === 0);
    await gateway.seal();
    dataset = await waitFor(
      'the dataset to be forged',
      async () => {
        const { datasets } = await gateway.ask<{ datasets: DatasetStatus[] }>(
          'GET',
          '/v1/datasets',
        );
        return datasets[0]?.state === 'forged' && datasets[0];
      },
      FORGE_DEADLINE_MS,
    );
    await waitFor('the last receipt', () => finals().length === 1);
    await device.close();
  });

  afterAll(async () => {
    if (!isStopped) await gateway.stop();
    await scene.stop();
    await removeHome(home);
  });

  it('ends with a token in the operator’s iDAO, and API and device are told which', async () => {
    const { contracts, chain } = scene;
    const { dat, root } = dataset;
    expect(dat).toMatchObject({
      ...{ target: 'lazai', tokenId: '1', classId: '', owner: chain.idao },
      ...{ chainId: LAZAI_CHAIN_ID, contract: chain.addresses.dataAnchoringToken },
      lazai: { fileId: '1', dataRegistry: chain.addresses.dataRegistry, lazaiScore: '42' },
    });
    expect(await contracts.balanceOf(chain.idao, 1n)).toBe(42n);
    expect(await contracts.file(1n)).toMatchObject({ owner: chain.idao, url: dat?.lazai?.url });
    const receipt = await chain.provider.getTransactionReceipt(dat?.transaction ?? '');
    expect(receipt).toMatchObject({ status: 1, from: scene.operator.address });
    expect(finals().map((one) => [toHex(one.root), one.tokenId, one.chainId])).toEqual([
      [root, 1n, LAZAI_CHAIN_ID],
    ]);
    const status = await gateway.ask<GatewayStatus>('GET', '/v1/status');
    expect(status.chain).toMatchObject({
      ...{ network: 'lazai-testnet', idao: chain.idao, contracts: chain.addresses },
    });
  });

  it('is published where LazAI was told, and is what LazAI was told', async () => {
    const { url, hash } = await scene.contracts.file(1n);
    expect(url).toMatch(new RegExp(`^${PUBLIC_URL}/entries/${dataset.root}\\?ws=[0-9a-f]{32}$`));
    const { pathname, search } = new URL(url);
    const answer = await fetch(`http://127.0.0.1:${gateway.httpPort}${pathname}${search}`);
    const bytes = Buffer.from(await answer.arrayBuffer());
    expect(createHash('sha256').update(bytes).digest('hex')).toBe(hash);
    expect(scene.node.asked).toMatchObject([{ file_id: 1, file_url: url }]);
  });

  it('is told plainly by the command line, whose preflight finds nothing in the way', async () => {
    const { chain } = scene;
    const shown = await waystone('datasets', 'show', dataset.root);
    expect(shown).toMatch(/^DAT +token 1 of LazAI, for its file 1$/m);
    expect(shown).toMatch(/^LazAI score +42; LazAI's number, which says nothing of quality$/m);
    expect(shown).toContain(chain.idao);
    expect(await waystone('datasets', 'list')).toContain('LazAI #1');
    expect(await waystone('chain', 'preflight')).toMatch(
      /\(LAZAI_SOUND\)\nnothing stands in the way/,
    );
  });

  it('leaves a data folder in which fsck finds no fault', async () => {
    await gateway.stop();
    isStopped = true;
    const { findings } = await fsck({ home, dataFolder: join(home, 'data') });
    expect(findings.filter(({ severity }) => severity === 'fault')).toEqual([]);
  });
});
