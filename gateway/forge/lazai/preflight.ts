import type { JsonRpcProvider } from 'ethers';
import { messageOf, WaystoneError } from '../../core/errors.js';
import { checkChainId, hasCode } from '../chain-client.js';
import type { LazaiAddresses } from './addresses.js';
import { isForeignAnswer } from './faults.js';
import { DATA_ANCHORING_TOKEN } from './lazai-abi.js';
import { isSameAddress, LazaiContracts } from './lazai-contracts.js';

/** Interface id of ERC1155Receiver (ERC-1155): two functions that take tokens in. */
const ERC1155_RECEIVER = '0x4e2312e0';

export interface PreflightOptions {
  readonly chainId: number;
  /** Hash of block 0, or null when it is not known yet. */
  readonly genesisHash: string | null;
  readonly addresses: LazaiAddresses;
  readonly idao: string;
  readonly feeMaxWei: bigint;
  /** Who sends. */
  readonly account: string;
}

export type PreflightCode =
  | 'CHAIN_UNREACHABLE'
  | 'CHAIN_WRONG'
  | 'LAZAI_WRONG_GENESIS'
  | 'LAZAI_NO_CODE'
  | 'LAZAI_WRONG_ABI'
  | 'LAZAI_WRONG_CONTRACT'
  | 'LAZAI_NOT_MINTER'
  | 'LAZAI_PAUSED'
  | 'LAZAI_NO_ACTIVE_NODES'
  | 'LAZAI_FEE_ABOVE_CAP'
  | 'LAZAI_OWNER_NO_CODE'
  | 'LAZAI_OWNER_REFUSES'
  | 'LAZAI_NO_FUNDS';

/** One thing that is not as forging needs it. */
export interface PreflightFinding {
  readonly code: PreflightCode;
  readonly message: string;
}

/**
 * Asks node and contracts, before anything is sent, whether a dataset could be forged now. Sends nothing, changes
 * nothing, and tells everything that is missing at once.
 */
export async function preflight(
  provider: JsonRpcProvider,
  options: PreflightOptions,
): Promise<PreflightFinding[]> {
  const findings: PreflightFinding[] = [];
  const found = (code: PreflightCode, message: string): void => {
    findings.push({ code, message });
  };
  const { chainId, addresses, idao, account, feeMaxWei } = options;
  try {
    await checkChainId(provider, chainId);
    const genesis = await genesisHash(provider);
    if (options.genesisHash !== null && genesis !== options.genesisHash) {
      found('LAZAI_WRONG_GENESIS', wrongGenesis(chainId, genesis, options.genesisHash));
    }
  } catch (error) {
    // Without the right chain, every other answer would mislead.
    if (error instanceof WaystoneError) found('CHAIN_WRONG', error.message);
    else found('CHAIN_UNREACHABLE', `the chain's node does not answer: ${messageOf(error)}`);
    return findings;
  }
  const contracts = new LazaiContracts(provider, addresses);
  for (const [name, address] of Object.entries(addresses)) {
    if (await hasCode(provider, address)) continue;
    found(
      'LAZAI_NO_CODE',
      `there is no contract at ${address} (${name}) on chain ${chainId}; check the addresses`,
    );
  }
  if (findings.some(({ code }) => code === 'LAZAI_NO_CODE')) return findings;

  /** One question; a contract that cannot answer it is another one than expected. */
  const ask = async <T>(what: string, question: () => Promise<T>): Promise<T | null> => {
    try {
      return await question();
    } catch (error) {
      if (!isForeignAnswer(error)) throw error;
      found('LAZAI_WRONG_ABI', `${what} does not answer as LazAI's does; check the addresses`);
      return null;
    }
  };
  const linked = await ask('dataRegistry', () => contracts.linked());
  if (linked !== null) {
    for (const finding of linkFindings(linked, addresses)) found(finding.code, finding.message);
  }
  await ask('dataRegistry', () => contracts.filesCount());
  await ask('dataRegistry', () => contracts.file(0n));
  await ask('dataRegistry', () => contracts.fileIdByUrl('waystone:preflight'));
  await ask('dataRegistry', () => contracts.proof(0n, 1n));
  await ask('verifiedComputing', () => contracts.isNode(account));
  await ask('verifiedComputing', () => contracts.node(account));
  await ask('verifiedComputing', () => contracts.jobs(0n, 1));
  await ask('dataAnchoringToken', () => contracts.currentTokenId());
  await ask('dataAnchoringToken', () => contracts.balanceOf(account, 0n));
  if ((await ask('dataAnchoringToken', () => contracts.registryMayMint())) === false) {
    found(
      'LAZAI_NOT_MINTER',
      'the registry may not mint the token; rewards would be refused. Only LazAI can correct it',
    );
  }
  for (const paused of [
    await ask('dataRegistry', () => contracts.registryPaused()),
    await ask('verifiedComputing', () => contracts.computingPaused()),
  ]) {
    if (paused === true) found('LAZAI_PAUSED', 'LazAI has paused its contracts; wait for LazAI');
  }
  if ((await ask('verifiedComputing', () => contracts.activeNodesCount())) === 0n) {
    found('LAZAI_NO_ACTIVE_NODES', 'LazAI lists no active node; nobody could prove a file');
  }
  const fee = await ask('verifiedComputing', () => contracts.nodeFee());
  if (fee !== null && fee > feeMaxWei) {
    found(
      'LAZAI_FEE_ABOVE_CAP',
      `LazAI's fee is ${fee} wei a file, the cap is ${feeMaxWei} (lazai.feeMaxCoins); raise it or wait`,
    );
  }
  const owner = await ownerFinding(provider, idao);
  if (owner !== null) found(owner.code, owner.message);
  const balance = await provider.getBalance(account);
  if (balance <= (fee ?? 0n)) {
    found(
      'LAZAI_NO_FUNDS',
      `account ${account} holds ${balance} wei: too little for a fee and gas; send it some`,
    );
  }
  return findings;
}

/** Hash of block 0: two chains may share a chain id, as LazAI's testnet and its developers' local chain do. */
export async function genesisHash(provider: JsonRpcProvider): Promise<string> {
  const block = (await provider.send('eth_getBlockByNumber', ['0x0', false])) as {
    hash?: string;
  } | null;
  if (typeof block?.hash !== 'string') {
    throw new WaystoneError('CHAIN_WRONG', "the node does not show the chain's first block");
  }
  return block.hash;
}

export function wrongGenesis(chainId: number, got: string, expected: string): string {
  return (
    `the node is on another chain ${chainId}: its first block is ${got}, expected is ${expected}. ` +
    'Journal and keys belong to one chain; check the URL'
  );
}

/** Where registry and configuration disagree about the other contracts. */
export function linkFindings(
  linked: { readonly token: string; readonly verifiedComputing: string },
  addresses: LazaiAddresses,
): { readonly code: 'LAZAI_WRONG_CONTRACT'; readonly message: string }[] {
  const pairs = [
    ['token', linked.token, addresses.dataAnchoringToken],
    ['verifiedComputing', linked.verifiedComputing, addresses.verifiedComputing],
  ] as const;
  return pairs
    .filter(([, actual, expected]) => !isSameAddress(actual, expected))
    .map(([name, actual, expected]) => ({
      code: 'LAZAI_WRONG_CONTRACT',
      message:
        `LazAI's registry uses ${actual} as its ${name}, configured is ${expected}; ` +
        'check with LazAI which is right and correct the address',
    }));
}

/** What stands against minting to the iDAO; null when it can hold tokens. */
export async function ownerFinding(
  provider: JsonRpcProvider,
  idao: string,
): Promise<{
  readonly code: 'LAZAI_OWNER_NO_CODE' | 'LAZAI_OWNER_REFUSES';
  readonly message: string;
} | null> {
  if (!(await hasCode(provider, idao))) {
    const message = `there is no iDAO at ${idao} on this chain; create it first`;
    return { code: 'LAZAI_OWNER_NO_CODE', message };
  }
  const abi = DATA_ANCHORING_TOKEN;
  const data = abi.encodeFunctionData('supportsInterface', [ERC1155_RECEIVER]);
  try {
    const result = await provider.call({ to: idao, data });
    if (abi.decodeFunctionResult('supportsInterface', result)[0] === true) return null;
  } catch (error) {
    if (!isForeignAnswer(error)) throw error;
  }
  const message = `the iDAO ${idao} cannot hold ERC-1155 tokens, so LazAI could not mint to it; LazAI's own iDAO contract is such a one, use one of Waystone's`;
  return { code: 'LAZAI_OWNER_REFUSES', message };
}
