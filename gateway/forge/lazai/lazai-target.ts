import { randomBytes } from 'node:crypto';
import type { JsonRpcProvider } from 'ethers';
import { crashPoint } from '../../core/crash-point.js';
import { WaystoneError } from '../../core/errors.js';
import type { LazaiDataset, LazaiRecord, LazaiToken } from '../../core/lazai-ports.js';
import { checkChainId } from '../chain-client.js';
import { newContentKey } from './content-key.js';
import type { LazaiCrashPoint } from './crash-points.js';
import { EventScan, LAG_BLOCKS } from './event-scan.js';
import { LazaiWait } from './faults.js';
import { fileUrl } from './file-url.js';
import { findProof } from './find-proof.js';
import { lazaiKey } from './journal-key.js';
import { LaneSender } from './lane-sender.js';
import type { LazaiFile } from './lazai-contracts.js';
import { Look, type LookTools } from './look.js';
import { obtainProof } from './obtain-proof.js';
import type { LazaiDeps, LazaiOptions } from './options.js';
import { genesisHash, wrongGenesis } from './preflight.js';
import { registerFile } from './register-file.js';
import { readToken, redeemProof } from './token.js';

const LOG_RANGE_BLOCKS = 1_000;
const LOG_RANGES_MAX = 50;

/** Where a dataset stands after a look. */
export type LazaiOutcome =
  | { readonly kind: 'forged'; readonly token: LazaiToken }
  | { readonly kind: 'waits'; readonly code: string; readonly message: string };

/**
 * Forges datasets with LazAI's own contracts: register the file, pay for a proof, ask the assigned node for it, redeem
 * it for the token. Those contracts refuse little: they take a second payment, a stranger's junk, a proof for another
 * file. So each look begins with what the chain shows, everything is journalled before it is sent, and what is signed
 * stays the only transaction of its purpose.
 */
export class LazaiTarget {
  readonly #tools: LookTools;

  constructor(options: LazaiOptions, deps: LazaiDeps) {
    const crash = deps.crashPoint ?? crashPoint;
    const { chainId, minedWaitMs, bumpAfterMs, fees } = options;
    const sender = new LaneSender(
      {
        chainId,
        ...(fees !== undefined && { fees }),
        ...(minedWaitMs !== undefined && { minedWaitMs }),
        ...(bumpAfterMs !== undefined && { bumpAfterMs }),
      },
      {
        journal: deps.transactions,
        wallet: deps.wallet,
        signal: deps.signal,
        log: deps.log,
        onStep: ({ purpose }, step) => {
          // `register:0` is a register.
          crash(`lazai:${purpose.split(':')[0]}-${step}` as LazaiCrashPoint);
        },
      },
    );
    const scan = new EventScan({
      rangeBlocks: options.logRangeBlocks ?? LOG_RANGE_BLOCKS,
      rangesMax: options.logRangesMax ?? LOG_RANGES_MAX,
    });
    this.#tools = { options, deps, sender, scan, junk: new Map(), crash };
  }

  /**
   * Takes a dataset as far as it goes now. Call it again for the same dataset until it is forged: after a wait, a crash,
   * a reorg. One call at a time.
   *
   * @returns its token, or why it waits; waiting is no error
   * @throws RangeError for a malformed dataset; WaystoneError FORGE_RECORD_MISMATCH when it is not the one that was
   *   intended; the node's error when it does not answer.
   */
  async advance(provider: JsonRpcProvider, dataset: LazaiDataset): Promise<LazaiOutcome> {
    checkHex(dataset);
    const look = new Look(this.#tools, provider, this.keyOf(dataset));
    try {
      await this.#checkChain(provider);
      const record = await this.#intend(look, dataset);
      if (record.state === 'confirmed' && record.token !== null) {
        return { kind: 'forged', token: record.token };
      }
      return { kind: 'forged', token: await this.#forge(look) };
    } catch (error) {
      const code = waitCode(error);
      if (code === null) throw error;
      const { message } = error as Error;
      await this.#noteWait(look, code, message);
      return { kind: 'waits', code, message };
    }
  }

  /** Name of a dataset's record and intent. */
  keyOf(dataset: Pick<LazaiDataset, 'logId' | 'index'>): string {
    const { chainId, addresses, idao } = this.#tools.options;
    return lazaiKey({ chainId, dataRegistry: addresses.dataRegistry, idao }, dataset);
  }

  async #checkChain(provider: JsonRpcProvider): Promise<void> {
    const { options, deps } = this.#tools;
    const { chainId } = options;
    await checkChainId(provider, chainId);
    const got = await genesisHash(provider);
    const expected =
      options.genesisHash ?? (await deps.journal.pinLazai(`genesis:${chainId}`, got));
    if (got !== expected) {
      throw new LazaiWait('LAZAI_WRONG_GENESIS', wrongGenesis(chainId, got, expected));
    }
  }

  /** The dataset's record, written before anything of it is sent. Its secrets are drawn once. */
  async #intend(look: Look, dataset: LazaiDataset): Promise<LazaiRecord> {
    const { options, deps, crash } = this.#tools;
    const { key } = look;
    const known = await deps.journal.lazaiFile(key);
    const urlSecret = known?.urlSecret ?? randomBytes(32).toString('hex');
    // Refused before an intent is written for it.
    fileUrl(dataset.url, urlSecret, 0);
    const record = await deps.journal.addLazaiFile({
      key,
      chainId: options.chainId,
      // Where it is published may have moved since; the record keeps its first answer.
      dataset: known === null ? dataset : { ...dataset, url: known.dataset.url },
      idao: options.idao,
      contentKey: known?.contentKey ?? newContentKey(),
      urlSecret,
      fromBlock: known?.fromBlock ?? Math.max(0, (await look.head()).deep - LAG_BLOCKS),
    });
    if (known === null) crash('lazai:intent');
    return record;
  }

  async #forge(look: Look): Promise<LazaiToken> {
    const { sender, crash } = this.#tools;
    await sender.settle(look.provider, look.key, await look.head());
    const file = await registerFile(look);
    if (file.rewardAmount === 0n) {
      const { index, trouble } = await findProof(look, file);
      const usable = index ?? (await obtainProof(look, file, trouble));
      await look.progress('proven');
      crash('lazai:proven');
      await redeemProof(look, file, usable);
    }
    return this.#confirm(look, file);
  }

  /** Done once the token's block is deep and nothing of the dataset is on its way any more. */
  async #confirm(look: Look, file: LazaiFile): Promise<LazaiToken> {
    const { deps, sender, scan, junk, crash } = this.#tools;
    const token = await readToken(look, file);
    await deps.journal.updateLazaiFile(look.key, { state: 'rewarded', token });
    crash('lazai:rewarded');
    await look.requireDeep(token.blockNumber, `token ${token.tokenId} is minted`);
    // What was sent again above may be mined since, though no step waited for it.
    await sender.settle(look.provider, look.key, await look.head());
    if (await sender.isUnderWay(look.key)) {
      throw new LazaiWait(
        'LAZAI_NOT_MINED',
        'the token is minted, but a transaction of ours for it is still open and keeps its nonce from others',
      );
    }
    const changes = { state: 'confirmed', waitCode: null, waitMessage: null } as const;
    const { dataset } = await deps.journal.updateLazaiFile(look.key, changes);
    const { contracts } = look;
    scan.forget(contracts.fileAdded(file.fileId));
    scan.forget(contracts.proofAdded(file.fileId));
    scan.forget(contracts.rewardRequested(file.owner, file.fileId));
    junk.delete(look.key);
    crash('lazai:confirmed');
    const { logId, index } = dataset;
    const { tokenId, fileId, transaction } = token;
    deps.log.info({ logId, index, tokenId, fileId, transaction }, 'forged on LazAI');
    return token;
  }

  async #noteWait(look: Look, code: string, message: string): Promise<void> {
    const { journal, log } = this.#tools.deps;
    const record = await journal.lazaiFile(look.key);
    if (record === null) return;
    await journal.updateLazaiFile(look.key, { waitCode: code, waitMessage: message });
    if (record.waitCode === code) return;
    const { logId, index } = record.dataset;
    log.warn({ logId, index, code, why: message }, 'LazAI: the dataset waits');
  }
}

function checkHex({ root, hash }: LazaiDataset): void {
  for (const [name, value] of Object.entries({ root, hash })) {
    if (/^[0-9a-f]{64}$/.test(value)) continue;
    throw new RangeError(`${name} must be 64 lower-case hex digits without 0x, got "${value}"`);
  }
}

/** Code of an error that only means: not now. */
function waitCode(error: unknown): string | null {
  if (error instanceof LazaiWait) return error.code;
  return error instanceof WaystoneError && error.code === 'CHAIN_WRONG' ? error.code : null;
}
