import type { Log } from 'ethers';
import type { LazaiToken } from '../../core/lazai-ports.js';
import { LazaiWait } from './faults.js';
import { LazaiRefusal } from './lane-sender.js';
import { DATA_ANCHORING_TOKEN, DATA_REGISTRY } from './lazai-abi.js';
import { isSameAddress, type LazaiFile } from './lazai-contracts.js';
import { type Look, logMissing } from './look.js';

/** Redeems a proof for the token. Anyone may do so; whoever does, the token goes to the file's owner. */
export async function redeemProof(look: Look, file: LazaiFile, index: bigint): Promise<void> {
  await look.checkContracts();
  try {
    await look.submit('reward', look.contracts.requestReward(file.fileId, index));
  } catch (error) {
    if (error instanceof LazaiRefusal && error.revert === 'FileAlreadyRewarded') return;
    throw error;
  }
}

/** The token of a rewarded file. File and token have different numbers, which only meet in one transaction's receipt. */
export async function readToken(look: Look, file: LazaiFile): Promise<LazaiToken> {
  const { contracts } = look;
  const rewards = await look.logs(contracts.rewardRequested(file.owner, file.fileId));
  // Rewards of 0 leave the file unrewarded and may come before.
  const reward = rewards.find((event) => rewardOf(event).amount > 0n);
  if (reward === undefined) throw logMissing(`RewardRequested of file ${file.fileId}`);
  const tokenId = await mintedBefore(look, file, reward);
  const { dataAnchoringToken } = contracts.addresses;
  if (tokenId === null || (await contracts.tokenUrl(tokenId)) !== file.url) {
    throw new LazaiWait(
      'LAZAI_WRONG_CONTRACT',
      `file ${file.fileId} was rewarded in ${reward.transactionHash}, but ${dataAnchoringToken} shows no token for it; ` +
        'the registry may have been using another token contract then, check the addresses',
    );
  }
  const { proofIndex, amount } = rewardOf(reward);
  return {
    tokenId: String(tokenId),
    lazaiScore: String(amount),
    fileId: String(file.fileId),
    proofIndex: String(proofIndex),
    url: file.url,
    owner: file.owner,
    dataAnchoringToken,
    transaction: reward.transactionHash,
    blockNumber: reward.blockNumber,
    blockHash: reward.blockHash,
  };
}

/** The token that was minted for this url and owner in the reward's transaction, just before it. */
async function mintedBefore(look: Look, file: LazaiFile, reward: Log): Promise<bigint | null> {
  const receipt = await look.provider.getTransactionReceipt(reward.transactionHash);
  if (receipt === null) throw logMissing(`the receipt of ${reward.transactionHash}`);
  const { dataAnchoringToken } = look.contracts.addresses;
  let tokenId: bigint | null = null;
  for (const log of receipt.logs) {
    if (log.index >= reward.index || !isSameAddress(log.address, dataAnchoringToken)) continue;
    const event = DATA_ANCHORING_TOKEN.parseLog(log);
    if (event?.name !== 'TokenMinted') continue;
    const { to, fileUrl, tokenId: id } = event.args;
    if (fileUrl === file.url && isSameAddress(to, file.owner)) tokenId = id;
  }
  return tokenId;
}

function rewardOf(event: Log): { proofIndex: bigint; amount: bigint } {
  const parsed = DATA_REGISTRY.parseLog(event);
  if (parsed === null) throw new TypeError(`log ${event.index} is no RewardRequested`);
  return { proofIndex: parsed.args.proofIndex, amount: parsed.args.rewardAmount };
}
