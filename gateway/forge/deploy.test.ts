import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { type Anvil, startAnvil } from './anvil-process.js';
import { connectChain, hasCode } from './chain-client.js';
import { deployContracts } from './deploy.js';
import { jsonRpc } from './json-rpc.js';
import { LOCAL_CHAIN_ID } from './local-chain.js';
import { loadLocalKeys } from './local-keys.js';
import { temporaryFolder } from './testing.js';

let anvil: Anvil;
let folder: string;
let remove: () => void;

beforeEach(async () => {
  ({ folder, remove } = temporaryFolder());
  anvil = await startAnvil({ chainId: LOCAL_CHAIN_ID, markFile: join(folder, 'mark') });
});

afterEach(async () => {
  await anvil.stop();
  remove();
});

it('creates what is missing, once, and goes on without challenges where an earlier release forged', async () => {
  const { deployer, contracts } = loadLocalKeys(join(folder, 'keys'));
  await jsonRpc(anvil.url, 'anvil_setBalance', [deployer.address, '0xde0b6b3a7640000']);
  const provider = connectChain(anvil.url, LOCAL_CHAIN_ID);
  try {
    expect(await deployContracts(provider, deployer)).toBe(5);
    for (const address of Object.values(contracts)) {
      expect(await hasCode(provider, address)).toBe(true);
    }
    expect(await deployContracts(provider, deployer)).toBe(0);

    // A DatasetForge that knows no challenges: any contract without that function stands for it.
    await jsonRpc(anvil.url, 'anvil_setCode', [contracts.challenges, '0x']);
    const other = await provider.getCode(contracts.factory);
    await jsonRpc(anvil.url, 'anvil_setCode', [contracts.datasetForge, other]);
    await jsonRpc(anvil.url, 'anvil_setNonce', [deployer.address, '0x4']);
    expect(await deployContracts(provider, deployer)).toBe(0);
    expect(await hasCode(provider, contracts.challenges)).toBe(false);
  } finally {
    provider.destroy();
  }
});
