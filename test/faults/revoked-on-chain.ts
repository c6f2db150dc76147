import { join } from 'node:path';
import { type ContractTransactionResponse, concat, keccak256, toBeHex, zeroPadValue } from 'ethers';
import { DeviceRegistry__factory } from '../../gateway/contracts/types/index.js';
import type { GatewayStatus } from '../../gateway/core/view.js';
import { connectChain } from '../../gateway/forge/chain-client.js';
import { type LocalKeys, loadLocalKeys } from '../../gateway/forge/local-keys.js';
import type { TestGateway } from '../harness/gateway.js';

/** What people do on the chain of a running gateway with keys of their own. */
async function onChain(
  gateway: TestGateway,
  act: (
    keys: LocalKeys,
    provider: ReturnType<typeof connectChain>,
    mined: (sent: Promise<ContractTransactionResponse>) => Promise<void>,
  ) => Promise<void>,
): Promise<void> {
  const { chain } = await gateway.ask<GatewayStatus>('GET', '/v1/status');
  const provider = connectChain(chain.rpcUrl, chain.chainId);
  try {
    const keys = loadLocalKeys(join(gateway.home, 'data', 'chain', 'mnemonic'));
    await act(keys, provider, async (sent) => {
      await (await sent).wait(1, 20_000);
    });
  } finally {
    provider.destroy();
  }
}

/** Registered, and revoked, so many days before what was: a day of grace is no time that a test can wait for. */
const REGISTERED_AGO_SECONDS = 3 * 86_400;
const REVOKED_AGO_SECONDS = 2 * 86_400;

/** The owner of the gateway's iDAO revoked a device two days ago; the chain is told so by its node. */
export function revokedDaysAgo(gateway: TestGateway, deviceId: Uint8Array): Promise<void> {
  return onChain(gateway, async ({ contracts, idao }, provider) => {
    const { timestamp } = (await provider.getBlock('latest')) as { timestamp: number };
    // DeviceRegistry: registeredAt in the lowest 40 bits of the key's word, revokedAt in the next, RETIRED_REVOKED at 92.
    const slot = wordSlot(idao, deviceId);
    const known = BigInt(await provider.getStorage(contracts.registry, slot));
    const times =
      BigInt(timestamp - REGISTERED_AGO_SECONDS) |
      (BigInt(timestamp - REVOKED_AGO_SECONDS) << 40n) |
      (1n << 92n);
    const word = ((known >> 80n) << 80n) | times;
    await provider.send('anvil_setStorageAt', [contracts.registry, slot, toBeHex(word, 32)]);
    const registry = DeviceRegistry__factory.connect(contracts.registry, provider);
    const record = await registry.recordOf(idao, deviceId);
    if (Number(record.revokedAt) !== timestamp - REVOKED_AGO_SECONDS) {
      throw new Error('the registry keeps its words elsewhere');
    }
    await provider.send('evm_mine', []);
  });
}

/** Where `_words[idao][id]` is: the first variable of the contract. */
function wordSlot(idao: string, id: Uint8Array): string {
  const ofIdao = keccak256(concat([zeroPadValue(idao, 32), toBeHex(0, 32)]));
  return keccak256(concat([id, ofIdao]));
}

/** The owner of the gateway's iDAO revokes a device. */
export function revokeOnChain(gateway: TestGateway, deviceId: Uint8Array): Promise<void> {
  return onChain(gateway, async ({ owner, contracts, idao }, provider, mined) => {
    const registry = DeviceRegistry__factory.connect(contracts.registry, owner.connect(provider));
    await mined(registry.revoke(idao, deviceId));
  });
}
