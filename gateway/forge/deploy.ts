import {
  type HDNodeWallet,
  isError,
  type JsonRpcProvider,
  Transaction,
  type TransactionRequest,
  ZeroAddress,
} from 'ethers';
import {
  Challenges__factory,
  DAT__factory,
  DatasetForge__factory,
  DeviceRegistry__factory,
  IDAOFactory__factory,
} from '../contracts/types/index.js';
import { WaystoneError } from '../core/errors.js';
import { contractAddresses, DEPLOYMENT_ORDER, type DeployedAddresses } from './addresses.js';
import { hasCode, readFees } from './chain-client.js';

/** What DatasetForge and Challenges are created with; the rules are in `gateway/contracts/README.md`. */
export interface ContractTerms {
  /** Between commit and finalise. */
  readonly windowSeconds: number;
  /** For an entry that someone asks for. */
  readonly responseSeconds: number;
  /** Bond, slice of it and deposit for a question, wei. */
  readonly minimumBond: bigint;
  readonly slice: bigint;
  readonly deposit: bigint;
  /** Who sets attestation levels of devices; the zero address is nobody. */
  readonly attester: string;
}

/** On a local chain nothing is worth a bond, so none is asked and nothing can be taken. */
export const LOCAL_TERMS: ContractTerms = {
  windowSeconds: 0,
  responseSeconds: 0,
  minimumBond: 0n,
  slice: 0n,
  deposit: 0n,
  attester: ZeroAddress,
};

const RECEIPT_POLL_MS = 20;
const RECEIPT_TIMEOUT_MS = 30_000;

/**
 * Creates the contracts that are not there yet, in their order, from the deployer's nonces 0 to 4, so that they
 * get the same addresses on every fresh chain.
 *
 * @param terms zeros are for local chains only.
 * @returns how many were created
 * @throws WaystoneError LOCAL_CHAIN_FAILED when the deployer has done something else before.
 */
export async function deployContracts(
  provider: JsonRpcProvider,
  deployer: HDNodeWallet,
  terms: ContractTerms = LOCAL_TERMS,
): Promise<number> {
  const addresses = contractAddresses(deployer.address);
  let created = 0;
  for (const [nonce, name] of DEPLOYMENT_ORDER.entries()) {
    if (await hasCode(provider, addresses[name])) continue;
    if (name === 'challenges' && !(await takesFaults(provider, addresses))) continue;
    const used = await provider.getTransactionCount(deployer.address, 'latest');
    if (used !== nonce) {
      throw new WaystoneError(
        'LOCAL_CHAIN_FAILED',
        `cannot create the contract ${name} at ${addresses[name]}: its deployer has nonce ${used}, not ${nonce}; ` +
          'the local chain is damaged, move its folder away to begin a new one (datasets are forged again)',
      );
    }
    const call = await creationOf(name, addresses, terms);
    await send(provider, deployer, nonce, call);
    created++;
  }
  return created;
}

function creationOf(
  name: (typeof DEPLOYMENT_ORDER)[number],
  addresses: DeployedAddresses,
  { deposit, attester, ...terms }: ContractTerms,
): Promise<TransactionRequest> {
  switch (name) {
    case 'factory':
      return new IDAOFactory__factory().getDeployTransaction();
    case 'registry':
      return new DeviceRegistry__factory().getDeployTransaction(attester);
    case 'dat':
      return new DAT__factory().getDeployTransaction(addresses.datasetForge);
    case 'datasetForge':
      return new DatasetForge__factory().getDeployTransaction(
        addresses.dat,
        addresses.registry,
        addresses.challenges,
        terms,
      );
    case 'challenges':
      return new Challenges__factory().getDeployTransaction(addresses.datasetForge, deposit);
  }
}

/**
 * Whether the DatasetForge that is there knows a Challenges contract. One that an earlier release created does not; the
 * chain goes on without, since a window of zero leaves nothing to challenge.
 */
async function takesFaults(
  provider: JsonRpcProvider,
  addresses: DeployedAddresses,
): Promise<boolean> {
  const known = await DatasetForge__factory.connect(addresses.datasetForge, provider)
    .challenges()
    .catch((error: unknown) => {
      if (isError(error, 'CALL_EXCEPTION')) return null;
      throw error;
    });
  return known === addresses.challenges;
}

/** Whether the contracts that are there have the views that came last. */
export async function isOfThisRelease(
  provider: JsonRpcProvider,
  addresses: DeployedAddresses,
): Promise<boolean> {
  try {
    await DeviceRegistry__factory.connect(addresses.registry, provider).attester();
    await DAT__factory.connect(addresses.dat, provider).metadataBaseOf(addresses.dat);
    return true;
  } catch (error) {
    if (isError(error, 'CALL_EXCEPTION') || isError(error, 'BAD_DATA')) return false;
    throw error;
  }
}

async function send(
  provider: JsonRpcProvider,
  deployer: HDNodeWallet,
  nonce: number,
  call: TransactionRequest,
): Promise<void> {
  const { chainId } = await provider.getNetwork();
  const gasLimit = await provider.estimateGas({ ...call, from: deployer.address });
  const raw = await deployer.signTransaction({
    ...call,
    ...(await readFees(provider)),
    chainId,
    nonce,
    gasLimit,
    type: 2,
  });
  const hash = Transaction.from(raw).hash as string;
  await provider.send('eth_sendRawTransaction', [raw]);
  const deadline = performance.now() + RECEIPT_TIMEOUT_MS;
  while (performance.now() < deadline) {
    const receipt = await provider.getTransactionReceipt(hash);
    if (receipt?.status === 1) return;
    if (receipt !== null) break;
    await new Promise((resolve) => setTimeout(resolve, RECEIPT_POLL_MS));
  }
  throw new WaystoneError('LOCAL_CHAIN_FAILED', `creating a contract failed: transaction ${hash}`);
}
