import { AbiCoder, concat, getCreate2Address, getCreateAddress, keccak256, ZeroHash } from 'ethers';

/** Where the contracts are that a gateway forges with, on one chain. */
export interface ContractAddresses {
  readonly factory: string;
  readonly registry: string;
  readonly dat: string;
  readonly datasetForge: string;
}

/** All of Waystone's contracts on one chain. */
export interface DeployedAddresses extends ContractAddresses {
  /** Judges faults of what is committed; no gateway needs it to commit or finalise. */
  readonly challenges: string;
}

/** Order in which the deployer creates the contracts: its nonces 0 to 4. */
export const DEPLOYMENT_ORDER = [
  'factory',
  'registry',
  'dat',
  'datasetForge',
  'challenges',
] as const;

/** Salt of the iDAO that a gateway has unless another is named. */
export const DEFAULT_IDAO_SALT: string = ZeroHash;

/** ERC-1167: the code of a minimal clone, around the implementation's address. */
const CLONE_HEAD = '0x3d602d80600a3d3981f3363d3d373d3d3d363d73';
const CLONE_TAIL = '0x5af43d82803e903d91602b57fd5bf3';

/**
 * Addresses that a fresh deployer gives the contracts, without asking any chain: a contract's address
 * follows from its creator and the creator's nonce.
 */
export function contractAddresses(deployer: string): DeployedAddresses {
  const at = (nonce: number): string => getCreateAddress({ from: deployer, nonce });
  return { factory: at(0), registry: at(1), dat: at(2), datasetForge: at(3), challenges: at(4) };
}

/**
 * Address of the iDAO that `owner` creates with `salt` at `factory`, whether or not it exists yet. A gateway
 * needs it before it has ever reached the chain, since the realm of its devices' statements names it.
 */
export function idaoAddress(
  factory: string,
  owner: string,
  salt: string = DEFAULT_IDAO_SALT,
): string {
  // The factory's own first creation, in its constructor; contracts count nonces from 1.
  const implementation = getCreateAddress({ from: factory, nonce: 1 });
  const boundSalt = keccak256(
    AbiCoder.defaultAbiCoder().encode(['address', 'bytes32'], [owner, salt]),
  );
  return getCreate2Address(
    factory,
    boundSalt,
    keccak256(concat([CLONE_HEAD, implementation, CLONE_TAIL])),
  );
}
