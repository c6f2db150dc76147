import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { encryptKeystoreJson, type HDNodeWallet } from 'ethers';
import { LazaiContracts } from '../../gateway/forge/lazai/lazai-contracts.js';
import {
  ADMIN,
  LAZAI_CHAIN_ID,
  type LazaiChain,
  ProvingNode,
  startLazaiChain,
} from '../../gateway/forge/lazai/testing.js';
import type { GatewayOptions } from './gateway.js';

const PASSWORD = 'a password';

/** Wei that LazAI takes for the proof of a file. */
export const FEE_WEI = 100n;

/** Where a gateway's entries can be fetched, as LazAI is told (RFC 5737: nobody's address). */
export const PUBLIC_URL = 'http://192.0.2.7';

/** LazAI's contracts on a local node with the chain id of its testnet, a proving node, and a gateway's account. */
export interface LazaiScene {
  readonly chain: LazaiChain;
  readonly contracts: LazaiContracts;
  readonly node: ProvingNode;
  readonly operator: HDNodeWallet;
  /** Settings of a gateway that forges there. */
  readonly options: GatewayOptions;
  stop(): Promise<void>;
}

/** @param home of the gateway, which gets the key of its account; initialised. */
export async function startLazaiScene(home: string): Promise<LazaiScene> {
  const chain = await startLazaiChain(home);
  const node = await ProvingNode.start(chain);
  const operator = await chain.account();
  const { dataRegistry, verifiedComputing, dataAnchoringToken } = chain.addresses;
  await chain.call(chain.admin, ADMIN, verifiedComputing, 'updateNodeFee', [FEE_WEI]);
  const { address, privateKey } = operator;
  const keystore = await encryptKeystoreJson({ address, privateKey }, PASSWORD, {
    scrypt: { N: 1_024 },
  });
  for (const [name, text] of [
    ['operator.json', keystore],
    ['operator.password', PASSWORD],
  ] as const) {
    const file = join(home, 'keys', name);
    writeFileSync(file, text);
    chmodSync(file, 0o600);
  }
  return {
    chain,
    contracts: new LazaiContracts(chain.provider, chain.addresses),
    node,
    operator,
    options: {
      network: 'lazai-testnet',
      set: [
        ...['chain.target=lazai', `chain.rpcUrls=${chain.url}`, 'chain.confirmations=1'],
        ...[`chain.idaoAddress=${chain.idao}`, 'chain.passwordFile=keys/operator.password'],
        ...[`lazai.dataRegistryAddress=${dataRegistry}`],
        ...[`lazai.verifiedComputingAddress=${verifiedComputing}`],
        ...[`lazai.tokenAddress=${dataAnchoringToken}`, `http.publicUrl=${PUBLIC_URL}`],
      ],
    },
    stop: async () => {
      await node.stop();
      await chain.stop();
    },
  };
}

export { LAZAI_CHAIN_ID };
