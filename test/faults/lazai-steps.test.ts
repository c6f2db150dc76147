import { join } from 'node:path';
import { realmOf } from '@waystone/proto';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { DatasetStatus } from '../../gateway/core/view.js';
import { LAZAI_CRASH_POINTS } from '../../gateway/forge/lazai/crash-points.js';
import { VERIFIED_COMPUTING } from '../../gateway/forge/lazai/lazai-abi.js';
import { fsck } from '../../gateway/fsck/fsck.js';
import { TestDevice } from '../harness/device.js';
import { GatewayProcess, makeHome, removeHome } from '../harness/gateway.js';
import { LAZAI_CHAIN_ID, type LazaiScene, startLazaiScene } from '../harness/lazai.js';
import { DeviceClient } from '../harness/mqtt.js';
import { allForged } from './at-rest.js';
import { changeLedger } from './fsck-scene.js';

const BEFORE_US = 10_000_000;

let home: string;
let scene: LazaiScene;

beforeAll(async () => {
  home = await makeHome();
  scene = await startLazaiScene(home);
});

afterAll(async () => {
  await scene.stop();
  await removeHome(home);
});

async function faults(): Promise<string[]> {
  const { findings } = await fsck({ home, dataFolder: join(home, 'data') });
  return findings.filter(({ severity }) => severity === 'fault').map(({ code }) => code);
}

it('a gateway that is killed after each step registers, pays and mints once a dataset', async () => {
  const { chain, contracts, options } = scene;
  const realm = realmOf(LAZAI_CHAIN_ID, chain.idao);
  let device: TestDevice | null = null;
  const data = async (gateway: GatewayProcess): Promise<void> => {
    if (device === null) {
      device = new TestDevice(gateway.did);
      await gateway.enrol(device.did);
    }
    const client = await DeviceClient.open(gateway, device);
    const timeUs = Date.now() * 1000 - BEFORE_US;
    await client.deliver(await device.envelope({ timeUs, statement: { realm } }));
    client.raw.cut();
    // It may be killed before it answers.
    await gateway.ask('POST', '/v1/batches/seal').catch(() => undefined);
  };
  for (const point of LAZAI_CRASH_POINTS) {
    const gateway = await GatewayProcess.start(home, {
      ...options,
      environment: { WAYSTONE_TEST_CRASH_AT: point },
    });
    await data(gateway);
    expect([point, (await gateway.exited).signal]).toEqual([point, 'SIGKILL']);
  }
  expect(await faults()).toEqual([]);
  const gateway = await GatewayProcess.start(home, options);
  // Their nodes were asked a moment before a kill; told to, the gateway asks again at once.
  await gateway.ask('POST', '/v1/forge/retry');
  const count = LAZAI_CRASH_POINTS.length;
  expect(await allForged(gateway)).toBe(count);
  const { datasets } = await gateway.ask<{ datasets: DatasetStatus[] }>('GET', '/v1/datasets');
  const tokens = datasets.map(({ dat }) => Number(dat?.tokenId)).sort((a, b) => a - b);
  expect(tokens).toEqual(Array.from({ length: count }, (_, at) => at + 1));
  expect(await contracts.filesCount()).toBe(BigInt(count));
  expect(await contracts.currentTokenId()).toBe(BigInt(count));
  const address = chain.addresses.verifiedComputing;
  const topics = VERIFIED_COMPUTING.encodeFilterTopics('JobSubmitted', []) as string[];
  const paid = await chain.provider.getLogs({ address, topics, fromBlock: 0 });
  expect(paid).toHaveLength(count);
  await gateway.stop();
  expect(await faults()).toEqual([]);

  changeLedger(home, `UPDATE lazai_file SET state = 'proven' WHERE rowid = 1`);
  changeLedger(home, `UPDATE lazai_spend SET fees_wei = '1'`);
  expect([...new Set(await faults())].sort()).toEqual(['LAZAI_FILE_WRONG', 'LAZAI_SPEND_WRONG']);
}, 300_000);
