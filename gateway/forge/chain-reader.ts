import type { LogRecord, Manifest } from '@waystone/proto';
import { getBytes, type JsonRpcProvider } from 'ethers';
import { DAT__factory, DatasetForge__factory } from '../contracts/types/index.js';
import type { ChainReader, DatasetOnChain } from '../core/chain-view.js';
import { WaystoneError } from '../core/errors.js';
import { checkChainId, connectChain, hasCode } from './chain-client.js';
import { datasetKey, recordHash } from './dataset-record.js';
import { searchLogs } from './log-search.js';

export interface RpcChainReaderOptions {
  readonly url: string;
  readonly datasetForge: string;
}

/**
 * Reads datasets from a node, with no journal and no keys. What it returns is what the contract vouches for: the
 * record comes from the log and must have the hash that the contract stored.
 */
export class RpcChainReader implements ChainReader {
  readonly #options: RpcChainReaderOptions;
  #provider: JsonRpcProvider | null = null;

  constructor(options: RpcChainReaderOptions) {
    this.#options = options;
  }

  /**
   * @throws WaystoneError CHAIN_WRONG, CHAIN_CONTRACT_MISSING, CHAIN_LOG_MISSING when the node keeps no logs that
   *   old, CHAIN_INCONSISTENT when contracts contradict each other; the node's error when it does not answer.
   */
  async datasetOnChain(
    manifest: Pick<Manifest, 'chainId' | 'idao'>,
    record: Pick<LogRecord, 'logId'> & { readonly index: number | bigint },
  ): Promise<DatasetOnChain> {
    // A gateway without a chain has no iDAO, so nothing of it can be on one.
    if (manifest.idao === '') return { status: 'absent' };
    const provider = await this.#connect(manifest.chainId);
    const { datasetForge } = this.#options;
    const forge = DatasetForge__factory.connect(datasetForge, provider);
    const key = datasetKey(manifest.idao, Buffer.from(record.logId).toString('hex'), record.index);
    const [status, , tokenId, storedHash] = await forge.statusOf(key);
    if (status === 0n) return { status: 'absent' };

    const [event] = await searchLogs(
      provider,
      (from, to) => forge.queryFilter(forge.filters.DatasetCommitted(key), from, to),
      (found) => found.length > 0,
    );
    if (event === undefined) {
      throw new WaystoneError(
        'CHAIN_LOG_MISSING',
        `the node holds dataset ${key} but not the log of its commit; ask a node that keeps all logs`,
      );
    }
    const committed = event.args.record;
    if (recordHash(committed) !== storedHash) {
      throw inconsistent(`the log of dataset ${key} is not the record that the contract stored`);
    }
    const facts = {
      root: getBytes(committed.root),
      count: Number(committed.count),
      manifestHash: getBytes(committed.manifestHash),
      gateway: getBytes(committed.gateway),
      minTimeUs: Number(committed.minTime),
      maxTimeUs: Number(committed.maxTime),
    };
    if (status === 1n) return { status: 'committed', ...facts, tokenId: null, owner: null };
    if (status === 3n) return { status: 'void', ...facts, tokenId: null, owner: null };

    const dat = DAT__factory.connect(await forge.dat(), provider);
    const [, integrityHash] = await dat.getClassMeta(await dat.classOf(tokenId));
    if (integrityHash !== committed.manifestHash) {
      throw inconsistent(`the class of dataset ${key} has another manifest hash than its record`);
    }
    return {
      status: 'forged',
      ...facts,
      tokenId: String(tokenId),
      owner: await dat.ownerOf(tokenId),
    };
  }

  close(): void {
    this.#provider?.destroy();
    this.#provider = null;
  }

  async #connect(chainId: number): Promise<JsonRpcProvider> {
    const { url, datasetForge } = this.#options;
    const provider = this.#provider ?? connectChain(url, chainId);
    this.#provider = provider;
    await checkChainId(provider, chainId);
    if (!(await hasCode(provider, datasetForge))) {
      throw new WaystoneError(
        'CHAIN_CONTRACT_MISSING',
        `there is no DatasetForge at ${datasetForge} on chain ${chainId}; check URL and address`,
      );
    }
    return provider;
  }
}

function inconsistent(message: string): WaystoneError {
  return new WaystoneError('CHAIN_INCONSISTENT', message);
}
