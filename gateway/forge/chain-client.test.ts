import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Anvil, startAnvil } from './anvil-process.js';
import { connectChain } from './chain-client.js';
import { jsonRpc } from './json-rpc.js';
import { LOCAL_CHAIN_ID } from './local-chain.js';
import { temporaryFolder } from './testing.js';

const BLOCKS = 1_500;

const { folder, remove } = temporaryFolder();
let chain: Anvil;

beforeAll(async () => {
  chain = await startAnvil({ chainId: LOCAL_CHAIN_ID, markFile: join(folder, 'mark') });
});

afterAll(async () => {
  await chain.stop();
  remove();
});

const NOBODY = { to: `0x${'11'.repeat(20)}`, data: '0x' };

it('answers every question while blocks come as fast as they can, from a node without history', async () => {
  const provider = connectChain(chain.url, LOCAL_CHAIN_ID);
  const count = { asked: 0, overtaken: 0 };
  let isMining = true;
  const mine = async (): Promise<void> => {
    for (let block = 0; block < BLOCKS; block += 1) await jsonRpc(chain.url, 'evm_mine', []);
    isMining = false;
  };
  const ask = async (): Promise<void> => {
    for (; isMining; count.asked += 1) expect(await provider.call(NOBODY)).toBe('0x');
  };
  const askBare = async (): Promise<void> => {
    while (isMining) {
      await jsonRpc(chain.url, 'eth_call', [NOBODY, 'latest']).catch((error: Error) => {
        expect(error.message).toContain('BlockOutOfRange');
        count.overtaken += 1;
      });
    }
  };
  await Promise.all([mine(), ask(), ask(), askBare()]);
  provider.destroy();
  console.log('questions while blocks came:', count);
  expect(count.asked).toBeGreaterThan(0);
}, 60_000);

it('gives a block up that the node does not have', async () => {
  await jsonRpc(chain.url, 'anvil_mine', ['0x2']);
  const provider = connectChain(chain.url, LOCAL_CHAIN_ID);
  await expect(provider.call({ ...NOBODY, blockTag: 1_000_000 })).rejects.toThrow();
  provider.destroy();
});
