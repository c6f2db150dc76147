import type { HDNodeWallet } from 'ethers';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { connectChain } from '../chain-client.js';
import { temporaryFolder } from '../testing.js';
import { type PreflightOptions, preflight } from './preflight.js';
import { ADMIN, LAZAI_CHAIN_ID, type LazaiChain, ProvingNode, startLazaiChain } from './testing.js';

let chainFolder: ReturnType<typeof temporaryFolder>;
let chain: LazaiChain;
let node: ProvingNode;
let account: HDNodeWallet;
let takeBack: () => Promise<void>;

beforeAll(async () => {
  chainFolder = temporaryFolder();
  chain = await startLazaiChain(chainFolder.folder);
  node = await ProvingNode.start(chain);
  account = await chain.account();
});

afterAll(async () => {
  await node.stop();
  await chain.stop();
  chainFolder.remove();
});

beforeEach(async () => {
  takeBack = await chain.mark();
});

afterEach(() => takeBack());

async function codes(changes: Partial<PreflightOptions> = {}, provider = chain.provider) {
  const findings = await preflight(provider, {
    chainId: LAZAI_CHAIN_ID,
    genesisHash: (await chain.provider.getBlock(0))?.hash ?? null,
    addresses: chain.addresses,
    idao: chain.idao,
    feeMaxWei: 100n,
    account: account.address,
    ...changes,
  });
  return findings.map(({ code }) => code);
}

const asAdmin = (contract: keyof LazaiChain['addresses'], name: string, ...args: unknown[]) =>
  chain.call(chain.admin, ADMIN, chain.addresses[contract], name, args);

describe('the preflight', () => {
  it('finds nothing where everything is there, and sends nothing', async () => {
    const block = await chain.provider.getBlockNumber();
    expect(await codes()).toEqual([]);
    expect(await codes({ genesisHash: null })).toEqual([]);
    expect(await chain.provider.getBlockNumber()).toBe(block);
  });

  it('tells a node that does not answer, another chain, and another chain of the same id', async () => {
    const nobody = connectChain('http://127.0.0.1:9', LAZAI_CHAIN_ID);
    expect(await codes({}, nobody)).toEqual(['CHAIN_UNREACHABLE']);
    nobody.destroy();
    expect(await codes({ chainId: 1 })).toEqual(['CHAIN_WRONG']);
    expect(await codes({ genesisHash: `0x${'11'.repeat(32)}` })).toEqual(['LAZAI_WRONG_GENESIS']);
  });

  it('names each address without a contract', async () => {
    const nothing = account.address;
    const addresses = { ...chain.addresses, dataRegistry: nothing, dataAnchoringToken: nothing };
    expect(await codes({ addresses })).toEqual(['LAZAI_NO_CODE', 'LAZAI_NO_CODE']);
  });

  it('tells contracts that answer otherwise, and those that the registry does not use', async () => {
    const { dataRegistry, verifiedComputing, dataAnchoringToken } = chain.addresses;
    const swapped = { dataRegistry: verifiedComputing, verifiedComputing, dataAnchoringToken };
    expect(await codes({ addresses: swapped })).toContain('LAZAI_WRONG_ABI');
    const second = await chain.deploy('DataAnchoringToken', [chain.admin.address]);
    const other = { dataRegistry, verifiedComputing, dataAnchoringToken: second };
    expect(await codes({ addresses: other })).toEqual(['LAZAI_WRONG_CONTRACT', 'LAZAI_NOT_MINTER']);
  });

  it('takes either generation of the token', async () => {
    const old = await chain.deploy('OldDataAnchoringToken', [chain.admin.address]);
    await chain.useToken(old);
    expect(await codes({ addresses: { ...chain.addresses, dataAnchoringToken: old } })).toEqual([]);
  });

  it('tells what would make datasets wait, all at once', async () => {
    await asAdmin('dataRegistry', 'pause');
    await asAdmin('verifiedComputing', 'updateNodeFee', 101n);
    await node.unlist();
    await chain.provider.send('anvil_setBalance', [account.address, '0x1']);
    expect(await codes({ idao: chain.addresses.verifiedComputing })).toEqual([
      'LAZAI_PAUSED',
      'LAZAI_NO_ACTIVE_NODES',
      'LAZAI_FEE_ABOVE_CAP',
      'LAZAI_OWNER_REFUSES',
      'LAZAI_NO_FUNDS',
    ]);
    expect(await codes({ idao: account.address })).toContain('LAZAI_OWNER_NO_CODE');
  });
});
