import type { Interface, JsonRpcProvider } from 'ethers';
import type { LazaiAddresses } from './addresses.js';
import type { EventFilter } from './event-scan.js';
import { isForeignAnswer } from './faults.js';
import { DATA_ANCHORING_TOKEN, DATA_REGISTRY, VERIFIED_COMPUTING } from './lazai-abi.js';
import type { Proof } from './proof.js';

export interface LazaiFile {
  readonly fileId: bigint;
  readonly owner: string;
  readonly url: string;
  readonly hash: string;
  /** 0 means not rewarded, or rewarded with a score of 0: the contract does not tell them apart. */
  readonly rewardAmount: bigint;
}

export interface LazaiJob {
  readonly jobId: bigint;
  readonly status: number;
  readonly owner: string;
  readonly node: string;
}

export interface LazaiNode {
  readonly address: string;
  readonly url: string;
  readonly status: number;
  readonly publicKey: string;
}

export interface Permission {
  readonly account: string;
  /** Wrapped content key, hex without 0x. */
  readonly key: string;
}

/** A call to be sent. */
export interface ContractCall {
  readonly to: string;
  readonly data: string;
}

/** LazAI's contracts on one node: views, events, and the data of calls. */
export class LazaiContracts {
  readonly addresses: LazaiAddresses;
  readonly #provider: JsonRpcProvider;

  constructor(provider: JsonRpcProvider, addresses: LazaiAddresses) {
    this.#provider = provider;
    this.addresses = addresses;
  }

  /** Where the registry itself says that the other two are. */
  async linked(): Promise<{ token: string; verifiedComputing: string }> {
    return {
      token: (await this.#registry('token')) as string,
      verifiedComputing: (await this.#registry('verifiedComputing')) as string,
    };
  }

  async registryPaused(): Promise<boolean> {
    return (await this.#registry('paused')) as boolean;
  }

  async computingPaused(): Promise<boolean> {
    return (await this.#computing('paused')) as boolean;
  }

  async registryPublicKey(): Promise<string> {
    return (await this.#registry('publicKey')) as string;
  }

  async filesCount(): Promise<bigint> {
    return (await this.#registry('filesCount')) as bigint;
  }

  /** 0 when no file has the url. */
  async fileIdByUrl(url: string): Promise<bigint> {
    return (await this.#registry('getFileIdByUrl', url)) as bigint;
  }

  async file(fileId: bigint): Promise<LazaiFile> {
    const file = (await this.#registry('getFile', fileId)) as {
      ownerAddress: string;
      url: string;
      hash: string;
      rewardAmount: bigint;
    };
    const { ownerAddress: owner, url, hash, rewardAmount } = file;
    return { fileId, owner, url, hash, rewardAmount };
  }

  async proof(fileId: bigint, index: bigint): Promise<Proof> {
    const proof = (await this.#registry('getFileProof', fileId, index)) as Proof;
    const { id, score, fileUrl, proofUrl } = proof.data;
    return { signature: proof.signature, data: { id, score, fileUrl, proofUrl } };
  }

  async isNode(address: string): Promise<boolean> {
    return (await this.#computing('isNode', address)) as boolean;
  }

  async node(address: string): Promise<LazaiNode> {
    const node = (await this.#computing('getNode', address)) as {
      url: string;
      status: bigint;
      publicKey: string;
    };
    return { address, url: node.url, status: Number(node.status), publicKey: node.publicKey };
  }

  async activeNodesCount(): Promise<bigint> {
    return (await this.#computing('activeNodesCount')) as bigint;
  }

  async nodeFee(): Promise<bigint> {
    return (await this.#computing('nodeFee')) as bigint;
  }

  /** The file's jobs, newest first. @param limit anyone may add jobs to any file */
  async jobs(fileId: bigint, limit: number): Promise<LazaiJob[]> {
    const ids = [...((await this.#computing('fileJobIds', fileId)) as readonly bigint[])];
    const newest = ids.sort((a, b) => (a < b ? 1 : -1)).slice(0, limit);
    return Promise.all(newest.map((jobId) => this.#job(jobId)));
  }

  /** The url that a token stands for: `fileUrl`, or `uri` at the token's first generation. "" when it has none. */
  async tokenUrl(tokenId: bigint): Promise<string> {
    for (const view of ['fileUrl', 'uri']) {
      try {
        return (await this.#token(view, tokenId)) as string;
      } catch (error) {
        // A contract without the function reverts, or answers with nothing.
        if (!isForeignAnswer(error)) throw error;
      }
    }
    return '';
  }

  async balanceOf(account: string, tokenId: bigint): Promise<bigint> {
    return (await this.#token('balanceOf', account, tokenId)) as bigint;
  }

  async currentTokenId(): Promise<bigint> {
    return (await this.#token('currentTokenId')) as bigint;
  }

  async registryMayMint(): Promise<boolean> {
    const role = await this.#token('MINTER_ROLE');
    return (await this.#token('hasRole', role, this.addresses.dataRegistry)) as boolean;
  }

  /** Events of one file. */
  fileAdded(fileId: bigint): EventFilter {
    return filterOf(this.addresses.dataRegistry, DATA_REGISTRY, 'FileAdded', [fileId]);
  }

  proofAdded(fileId: bigint): EventFilter {
    return filterOf(this.addresses.dataRegistry, DATA_REGISTRY, 'ProofAdded', [fileId]);
  }

  rewardRequested(owner: string, fileId: bigint): EventFilter {
    const { dataRegistry } = this.addresses;
    return filterOf(dataRegistry, DATA_REGISTRY, 'RewardRequested', [owner, fileId]);
  }

  register(
    url: string,
    hash: string,
    owner: string,
    permissions: readonly Permission[],
  ): ContractCall {
    const data = DATA_REGISTRY.encodeFunctionData('addFileWithPermissions', [
      url,
      hash,
      owner,
      permissions,
    ]);
    return { to: this.addresses.dataRegistry, data };
  }

  requestProof(fileId: bigint): ContractCall {
    const data = VERIFIED_COMPUTING.encodeFunctionData('requestProof', [fileId]);
    return { to: this.addresses.verifiedComputing, data };
  }

  requestReward(fileId: bigint, proofIndex: bigint): ContractCall {
    const data = DATA_REGISTRY.encodeFunctionData('requestReward', [fileId, proofIndex]);
    return { to: this.addresses.dataRegistry, data };
  }

  async #job(jobId: bigint): Promise<LazaiJob> {
    const job = (await this.#computing('getJob', jobId)) as {
      status: bigint;
      ownerAddress: string;
      nodeAddress: string;
    };
    const { ownerAddress: owner, nodeAddress: node } = job;
    return { jobId, status: Number(job.status), owner, node };
  }

  #registry(view: string, ...args: unknown[]): Promise<unknown> {
    return this.#view(this.addresses.dataRegistry, DATA_REGISTRY, view, args);
  }

  #computing(view: string, ...args: unknown[]): Promise<unknown> {
    return this.#view(this.addresses.verifiedComputing, VERIFIED_COMPUTING, view, args);
  }

  #token(view: string, ...args: unknown[]): Promise<unknown> {
    return this.#view(this.addresses.dataAnchoringToken, DATA_ANCHORING_TOKEN, view, args);
  }

  async #view(to: string, abi: Interface, view: string, args: unknown[]): Promise<unknown> {
    const data = abi.encodeFunctionData(view, args);
    const result = await this.#provider.call({ to, data });
    return abi.decodeFunctionResult(view, result)[0];
  }
}

function filterOf(
  address: string,
  abi: Interface,
  event: string,
  indexed: readonly unknown[],
): EventFilter {
  const topics = abi.encodeFilterTopics(event, [...indexed]);
  return { address, topics: topics as (string | null)[] };
}

/** Whether two addresses are one, however they are written. */
export function isSameAddress(a: string, b: string): boolean {
  return a.toLowerCase() === b.toLowerCase();
}
