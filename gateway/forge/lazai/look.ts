import type { JsonRpcProvider, Log } from 'ethers';
import { WaystoneError } from '../../core/errors.js';
import type { ChainBlock } from '../../core/forge-ports.js';
import type { LazaiRecord, LazaiState } from '../../core/lazai-ports.js';
import { keyFingerprint } from './content-key.js';
import type { LazaiCrashPoint } from './crash-points.js';
import type { ChainHead, EventFilter, EventScan } from './event-scan.js';
import { LazaiWait } from './faults.js';
import { type LaneSender, LazaiRefusal } from './lane-sender.js';
import { type ContractCall, LazaiContracts } from './lazai-contracts.js';
import type { LazaiDeps, LazaiOptions } from './options.js';
import { linkFindings, ownerFinding } from './preflight.js';

/** What lasts from one look to the next. */
export interface LookTools {
  readonly options: LazaiOptions;
  readonly deps: LazaiDeps;
  readonly sender: LaneSender;
  readonly scan: EventScan;
  /** Proofs known to be of no use: of each dataset, the events that announced them. */
  readonly junk: Map<string, Set<string>>;
  readonly crash: (name: LazaiCrashPoint) => void;
}

/** One look at one dataset: its record, the chain it is on, and what every step of it needs. */
export class Look {
  readonly tools: LookTools;
  readonly provider: JsonRpcProvider;
  readonly contracts: LazaiContracts;
  readonly key: string;

  constructor(tools: LookTools, provider: JsonRpcProvider, key: string) {
    this.tools = tools;
    this.provider = provider;
    this.contracts = new LazaiContracts(provider, tools.options.addresses);
    this.key = key;
  }

  async record(): Promise<LazaiRecord> {
    const record = await this.tools.deps.journal.lazaiFile(this.key);
    if (record === null) throw new TypeError(`the journal lost the record ${this.key}`);
    return record;
  }

  async progress(state: LazaiState): Promise<void> {
    if ((await this.record()).state === state) return;
    await this.tools.deps.journal.updateLazaiFile(this.key, { state });
  }

  /** @throws WaystoneError CHAIN_HEAD_FALSE when the block is not there: what is read up to it would be missing for good. */
  async head(): Promise<ChainHead> {
    const number = await this.provider.getBlockNumber();
    if ((await this.provider.getBlock(number)) === null) {
      throw new WaystoneError(
        'CHAIN_HEAD_FALSE',
        `a node says that the chain is at block ${number}, and no node has that block; it is asked again`,
      );
    }
    return { number, deep: number - this.tools.options.confirmations + 1 };
  }

  /** Events since the dataset's intent. */
  async logs(filter: EventFilter): Promise<Log[]> {
    const { fromBlock } = await this.record();
    return this.tools.scan.logs(this.provider, filter, fromBlock, await this.head());
  }

  /** @throws LazaiWait LAZAI_NOT_DEEP while a reorg could still take the block. */
  async requireDeep(blockNumber: number, what: string): Promise<void> {
    const { number, deep } = await this.head();
    if (blockNumber <= deep) return;
    const { confirmations } = this.tools.options;
    throw new LazaiWait(
      'LAZAI_NOT_DEEP',
      `${what} in block ${blockNumber}, ${number - blockNumber + 1} of ${confirmations} blocks deep`,
    );
  }

  /**
   * Before each call: are these still LazAI's contracts, and could the owner hold the token?
   *
   * @throws LazaiWait LAZAI_WRONG_CONTRACT, LAZAI_OWNER_NO_CODE, LAZAI_OWNER_REFUSES
   */
  async checkContracts(): Promise<void> {
    const { addresses, idao } = this.tools.options;
    const [wrong] = linkFindings(await this.contracts.linked(), addresses);
    if (wrong !== undefined) throw new LazaiWait(wrong.code, wrong.message);
    const owner = await ownerFinding(this.provider, idao);
    if (owner !== null) throw new LazaiWait(owner.code, owner.message);
  }

  /**
   * A key that the chain shows must be the one seen first, or one that the operator accepts.
   *
   * @throws LazaiWait LAZAI_PUBLIC_KEY_CHANGED, LAZAI_KEY_UNREADABLE
   */
  async checkKey(whose: string, pem: string): Promise<void> {
    const { chainId, acceptedKeys = [] } = this.tools.options;
    const fingerprint = keyFingerprint(pem, whose);
    if (acceptedKeys.includes(fingerprint)) return;
    const subject = `key:${chainId}:${whose.toLowerCase()}`;
    const pinned = await this.tools.deps.journal.pinLazai(subject, fingerprint);
    if (pinned === fingerprint) return;
    throw new LazaiWait(
      'LAZAI_PUBLIC_KEY_CHANGED',
      `the RSA key of ${whose} was ${pinned}, now it is ${fingerprint}: whoever set it could read what is sent from now on. ` +
        'Ask LazAI; if it is right, add the new fingerprint to lazai.acceptedKeys',
    );
  }

  /** Gets a call mined, once; see {@link LaneSender.submit}. */
  async submit(purpose: string, call: ContractCall, valueWei = 0n): Promise<ChainBlock> {
    const paid = { intentKey: this.key, purpose, ...call, valueWei };
    try {
      return await this.tools.sender.submit(this.provider, paid);
    } catch (error) {
      throw error instanceof LazaiRefusal ? explained(error) : error;
    }
  }
}

/** Refusals that have a reason of their own. */
function explained(refusal: LazaiRefusal): LazaiWait {
  switch (refusal.revert) {
    case 'EnforcedPause':
      return new LazaiWait('LAZAI_PAUSED', 'LazAI has paused its contracts; goes on once they run');
    case 'NoActiveNode':
      return new LazaiWait('LAZAI_NO_ACTIVE_NODES', 'LazAI lists no active node; nothing was paid');
    case 'InvalidAttestator':
      return new LazaiWait(
        'LAZAI_NODE_REMOVED',
        "the node that signed the proof was just taken off LazAI's list; waits for another proof",
      );
    case 'ERC1155InvalidReceiver':
      return new LazaiWait('LAZAI_OWNER_REFUSES', 'the owner refuses the token');
    default:
      return refusal;
  }
}

export function logMissing(what: string): LazaiWait {
  return new LazaiWait(
    'LAZAI_LOG_MISSING',
    `the node shows no log with ${what}; ask one that keeps its logs, or wait until it has caught up`,
  );
}
