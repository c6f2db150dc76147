import { join } from 'node:path';
import type { PublicKey } from '@waystone/proto';
import { KEY_TYPES } from '@waystone/proto';
import type { ContractTransactionResponse } from 'ethers';
import {
  DeviceRegistry__factory,
  IDAOFactory__factory,
} from '../../gateway/contracts/types/index.js';
import type { GatewayStatus } from '../../gateway/core/view.js';
import { DEFAULT_IDAO_SALT, idaoAddress } from '../../gateway/forge/addresses.js';
import { connectChain } from '../../gateway/forge/chain-client.js';
import { KEY_KINDS } from '../../gateway/forge/forge-contracts.js';
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

/** Somebody else makes an iDAO and registers a device for it. */
export function takeDevice(gateway: TestGateway, key: PublicKey): Promise<void> {
  return onChain(gateway, async ({ deployer, contracts }, provider, mined) => {
    const signer = deployer.connect(provider);
    const none = `0x${'00'.repeat(20)}`;
    const params = {
      ...{ ownerAddress: deployer.address, tokenAddress: none, verifiedComputingAddress: none },
      ...{ settlementAddress: none, name: 'another', description: '' },
    };
    const factory = IDAOFactory__factory.connect(contracts.factory, signer);
    await mined(factory.create(DEFAULT_IDAO_SALT, params));
    const registry = DeviceRegistry__factory.connect(contracts.registry, signer);
    const device = {
      keyType: KEY_TYPES[key.type],
      kind: KEY_KINDS.device,
      publicKey: key.bytes,
    };
    await mined(registry.register(idaoAddress(contracts.factory, deployer.address), device));
  });
}

/** The owner of the gateway's iDAO revokes a device. */
export function revokeOnChain(gateway: TestGateway, deviceId: Uint8Array): Promise<void> {
  return onChain(gateway, async ({ owner, contracts }, provider, mined) => {
    const registry = DeviceRegistry__factory.connect(contracts.registry, owner.connect(provider));
    await mined(registry.revoke(deviceId));
  });
}
