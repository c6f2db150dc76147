import { type HDNodeWallet, isError } from 'ethers';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { temporaryFolder } from '../testing.js';
import { readLazaiRevert } from './faults.js';
import { DATA_ANCHORING_TOKEN, DATA_REGISTRY, VERIFIED_COMPUTING } from './lazai-abi.js';
import { LazaiContracts } from './lazai-contracts.js';
import { ADMIN, type LazaiChain, ProvingNode, startLazaiChain } from './testing.js';

// What LazAI's contracts do and leave undone, as published. The target's tests stand on it.

const URL_A = 'https://data.example/a';

let chainFolder: ReturnType<typeof temporaryFolder>;
let chain: LazaiChain;
let contracts: LazaiContracts;
let node: ProvingNode;
let stranger: HDNodeWallet;
let takeBack: () => Promise<void>;

beforeAll(async () => {
  chainFolder = temporaryFolder();
  chain = await startLazaiChain(chainFolder.folder);
  contracts = new LazaiContracts(chain.provider, chain.addresses);
  node = await ProvingNode.start(chain);
  stranger = await chain.account();
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

const registry = (name: string, ...args: unknown[]): Promise<unknown> =>
  chain.call(stranger, DATA_REGISTRY, chain.addresses.dataRegistry, name, args);

const computing = (value: bigint, name: string, ...args: unknown[]): Promise<unknown> =>
  chain.call(stranger, VERIFIED_COMPUTING, chain.addresses.verifiedComputing, name, args, value);

const asAdmin = (contract: keyof LazaiChain['addresses'], name: string, ...args: unknown[]) =>
  chain.call(chain.admin, ADMIN, chain.addresses[contract], name, args);

async function revertOf(call: Promise<unknown>): Promise<string | null> {
  try {
    await call;
  } catch (error) {
    if (isError(error, 'CALL_EXCEPTION')) return readLazaiRevert(error);
    throw error;
  }
  return 'no revert';
}

describe('the registry', () => {
  it('takes the published proof vector once its signer is listed', async () => {
    const signer = '0x34d9E02F9bB4E4C8836e38DF4320D4a79106F194';
    const proof = {
      signature:
        '0xfd10d06dda9347726b73eabfa7565524090f1d259a799a580a61fc0f54a52b347f958e9efe2ea35193f6924acd796eb0cdd2eda415f18fe438cdb8a88b541d4e1b',
      data: { id: 1n, score: 1n, fileUrl: '', proofUrl: '' },
    };
    await registry('addFileWithPermissions', URL_A, 'hash', chain.idao, []);
    await registry('addProof', 1n, proof);
    expect(await revertOf(registry('requestReward', 1n, 1n))).toBe('InvalidAttestator');
    await asAdmin('verifiedComputing', 'addNode', signer, 'http://127.0.0.1:9', '');
    await registry('requestReward', 1n, 1n);
    expect(await contracts.balanceOf(chain.idao, 1n)).toBe(1n);
    expect(await contracts.tokenUrl(1n)).toBe(URL_A);
    expect(await revertOf(registry('requestReward', 1n, 1n))).toBe('FileAlreadyRewarded');
  });

  it('knows files by their url alone, and gives them to any owner', async () => {
    await registry('addFileWithPermissions', URL_A, 'same', chain.idao, []);
    const again = registry('addFileWithPermissions', URL_A, 'other', stranger.address, []);
    expect(await revertOf(again)).toBe('FileUrlAlreadyUsed');
    await registry('addFileWithPermissions', `${URL_A}?`, 'same', chain.idao, []);
    expect(await contracts.fileIdByUrl(`${URL_A}?`)).toBe(2n);
    expect((await contracts.file(2n)).owner).toBe(chain.idao);
    expect(await contracts.fileIdByUrl('https://data.example/none')).toBe(0n);
  });

  it("takes a node's proof of one file for another, and mints its score", async () => {
    await registry('addFileWithPermissions', URL_A, '', chain.idao, []);
    await registry('addFileWithPermissions', `${URL_A}/2`, '', stranger.address, []);
    await registry('addProof', 2n, await node.sign(1n, URL_A, 77n));
    await registry('requestReward', 2n, 1n);
    expect(await contracts.balanceOf(stranger.address, 1n)).toBe(77n);
  });

  it('rewards a score of 0 again and again', async () => {
    await registry('addFileWithPermissions', URL_A, '', chain.idao, []);
    await registry('addProof', 1n, await node.sign(1n, URL_A, 0n));
    await registry('requestReward', 1n, 1n);
    await registry('requestReward', 1n, 1n);
    expect(await contracts.currentTokenId()).toBe(2n);
    expect((await contracts.file(1n)).rewardAmount).toBe(0n);
  });

  it('cannot mint to an owner without a receiver', async () => {
    await registry('addFileWithPermissions', URL_A, '', chain.addresses.verifiedComputing, []);
    await registry('addProof', 1n, await node.sign(1n, URL_A));
    expect(await revertOf(registry('requestReward', 1n, 1n))).toBe('ERC1155InvalidReceiver');
  });

  it('takes proofs from anyone, of files that are not there too', async () => {
    await registry('addProof', 99n, {
      signature: '0x',
      data: { id: 0, score: 0, fileUrl: '', proofUrl: '' },
    });
    expect((await contracts.proof(99n, 1n)).signature).toBe('0x');
    expect(await revertOf(registry('requestReward', 99n, 1n))).toBe('ECDSAInvalidSignatureLength');
  });

  it('lets nobody but its owner give a file to further readers, and nothing while paused', async () => {
    await registry('addFileWithPermissions', URL_A, '', chain.idao, []);
    const permit = chain.call(
      stranger,
      ADMIN,
      chain.addresses.dataRegistry,
      'addPermissionForFile',
      [1n, stranger.address, 'key'],
    );
    expect(await revertOf(permit)).toBe('NotFileOwner');
    await asAdmin('dataRegistry', 'pause');
    expect(await revertOf(registry('addFileWithPermissions', 'u', '', chain.idao, []))).toBe(
      'EnforcedPause',
    );
  });
});

describe('the node list', () => {
  it('hands jobs out in turn, for files that are not there too, and needs the fee', async () => {
    const second = await ProvingNode.start(chain);
    await asAdmin('verifiedComputing', 'updateNodeFee', 5n);
    expect(await revertOf(computing(4n, 'requestProof', 7n))).toBe('InsufficientFee');
    for (let i = 0; i < 4; i++) await computing(6n, 'requestProof', 7n);
    const jobs = await contracts.jobs(7n, 10);
    expect(jobs.map(({ jobId }) => jobId)).toEqual([4n, 3n, 2n, 1n]);
    // Job number modulo the number of nodes.
    const turns = [node, second, node, second].map(({ wallet }) => wallet.address);
    expect(jobs.map((job) => job.node)).toEqual(turns);
    await second.stop();
  });

  it('pays a node for a closed job without a proof, once', async () => {
    await asAdmin('verifiedComputing', 'updateNodeFee', 5n);
    await computing(5n, 'requestProof', 1n);
    const asNode = (name: string, ...args: unknown[]): Promise<unknown> =>
      chain.call(node.wallet, VERIFIED_COMPUTING, chain.addresses.verifiedComputing, name, args);
    expect(await revertOf(computing(0n, 'completeJob', 1n))).toBe('NodeNotActive');
    await asNode('completeJob', 1n);
    expect(await revertOf(asNode('completeJob', 1n))).toBe('InvalidJobStatus');
    await asNode('claim');
    expect(await revertOf(asNode('claim'))).toBe('NothingToClaim');
    expect(await chain.provider.getBalance(chain.addresses.verifiedComputing)).toBe(0n);
  });

  it('refuses jobs while it has no node', async () => {
    await node.unlist();
    expect(await revertOf(computing(0n, 'requestProof', 1n))).toBe('NoActiveNode');
    await node.list();
  });
});

describe('the token', () => {
  it('is minted by the registry alone', async () => {
    const token = chain.addresses.dataAnchoringToken;
    const mint = chain.call(stranger, ADMIN, token, 'mint', [stranger.address, 1n, 'u', true]);
    expect(await revertOf(mint)).toBe('AccessControlUnauthorizedAccount');
  });

  it('of the first generation tells its url as uri, of the second as fileUrl', async () => {
    const old = await chain.deploy('OldDataAnchoringToken', [chain.admin.address]);
    for (const token of [old, chain.addresses.dataAnchoringToken]) {
      await chain.call(chain.admin, ADMIN, token, 'mint', [chain.idao, 3n, URL_A, true]);
      const addresses = { ...chain.addresses, dataAnchoringToken: token };
      const id = (await new LazaiContracts(chain.provider, addresses).currentTokenId()) as bigint;
      expect(await new LazaiContracts(chain.provider, addresses).tokenUrl(id)).toBe(URL_A);
      const data = DATA_ANCHORING_TOKEN.encodeFunctionData('fileUrl', [id]);
      const answer = chain.provider.call({ to: token, data });
      if (token === old) await expect(answer).rejects.toMatchObject({ code: 'CALL_EXCEPTION' });
      else await expect(answer).resolves.toMatch(/^0x/);
    }
  });
});
