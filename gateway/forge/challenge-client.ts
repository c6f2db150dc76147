import { type BaseWallet, type ContractTransaction, ZeroAddress } from 'ethers';
import {
  type Challenges,
  Challenges__factory,
  type DatasetForge,
  DatasetForge__factory,
  DeviceRegistry__factory,
} from '../contracts/types/index.js';
import { WaystoneError } from '../core/errors.js';
import { describeRevert, readRevert } from './chain-client.js';
import { type ChainPlace, ChainSender, type SentTransaction, told } from './chain-sender.js';
import { datasetKey, recordHash } from './dataset-record.js';
import { searchLogs } from './log-search.js';
import { explain } from './refusals.js';

export interface ChallengePlace extends ChainPlace {
  readonly datasetForge: string;
}

/** A dataset's record as the contract keeps it. Bytes are hex with 0x, times µs UTC. */
export interface CommittedRecord {
  readonly idao: string;
  readonly gateway: string;
  readonly logId: string;
  readonly index: bigint;
  readonly root: string;
  readonly count: bigint;
  readonly manifestHash: string;
  readonly minTime: bigint;
  readonly maxTime: bigint;
  readonly url: string;
}

/** What the chain says of a dataset. Times are Unix seconds of the chain. */
export interface CommittedDataset {
  /** Its name on chain, hex with 0x. */
  readonly key: string;
  readonly record: CommittedRecord;
  readonly status: 'committed' | 'forged' | 'void';
  readonly committedAt: number;
  readonly openUntil: number;
  /** Whether a fault may still be shown. */
  readonly isOpen: boolean;
  /** Numbers of the faults that were upheld, each of which is paid once. */
  readonly upheld: readonly number[];
  /** Entries that are asked for now. */
  readonly asked: number;
}

/** What the registry says of a key of an iDAO. Times are Unix seconds; 0 is never. */
export interface RegisteredKey {
  readonly registeredAt: number;
  readonly revokedAt: number;
}

/** A call of the contract `Challenges` that shows a fault. */
export interface ChallengeCall {
  readonly method:
    | 'challengeSignature'
    | 'challengeRealm'
    | 'challengeUnregistered'
    | 'challengeRevoked'
    | 'challengeTime'
    | 'challengeOverlap'
    | 'challengeFork'
    | 'challengeForkAt'
    | 'challengeReceipt'
    | 'reportDevice';
  readonly args: readonly unknown[];
}

/** An entry that somebody asked for. */
export interface AskedEntry {
  readonly index: number;
  readonly challenger: string;
  /** Unix seconds until which it may be shown. */
  readonly deadline: number;
}

/** The numbers of `ChallengeBase`. */
const FAULTS_MAX = 9;

const STATUS = ['absent', 'committed', 'forged', 'void'] as const;

interface Contracts {
  readonly forge: DatasetForge;
  readonly challenges: Challenges;
  readonly challengesAddress: string;
}

/** Reads committed datasets, and challenges them. */
export class ChallengeClient {
  readonly #place: ChallengePlace;
  readonly #sender: ChainSender;
  #contracts: Promise<Contracts> | null = null;

  /** @param signer null for reading only. */
  constructor(place: ChallengePlace, signer: BaseWallet | null) {
    this.#place = place;
    this.#sender = new ChainSender(place, signer);
  }

  close(): void {
    this.#sender.close();
  }

  get chainId(): number {
    return this.#place.chainId;
  }

  /** A dataset by its name, or null where none was committed. @throws WaystoneError CHAIN_LOG_MISSING. */
  async dataset(name: {
    idao: string;
    logId: string;
    index: number;
  }): Promise<CommittedDataset | null> {
    return await this.#byKey(datasetKey(name.idao, name.logId, name.index));
  }

  /** Datasets that were committed with this root, 64 hex digits, oldest first. */
  async datasetsOf(root: string): Promise<CommittedDataset[]> {
    const { forge } = await this.#open();
    const events = await searchLogs(
      this.#sender.provider,
      (from, to) =>
        forge.queryFilter(
          forge.filters.DatasetCommitted(undefined, undefined, `0x${root}`),
          from,
          to,
        ),
      (found) => found.length > 0,
    );
    const found: CommittedDataset[] = [];
    for (const { args } of events) {
      const dataset = await this.#byKey(args.key);
      if (dataset !== null) found.push(dataset);
    }
    return found;
  }

  /** @param id SHA-256 of the key's multicodec form, 64 hex digits. */
  async registered(idao: string, id: string): Promise<RegisteredKey> {
    const registry = await this.#registry();
    const { registeredAt, revokedAt } = await registry.recordOf(idao, `0x${id}`);
    return { registeredAt: Number(registeredAt), revokedAt: Number(revokedAt) };
  }

  /** The key itself, as the registry's log has it; null when it was never registered. */
  async publicKey(id: string): Promise<{ keyType: number; publicKey: string } | null> {
    const registry = await this.#registry();
    const [event] = await searchLogs(
      this.#sender.provider,
      (from, to) => registry.queryFilter(registry.filters.DeviceRegistered(`0x${id}`), from, to),
      (found) => found.length > 0,
    );
    if (event === undefined) return null;
    return { keyType: Number(event.args.keyType), publicKey: event.args.publicKey };
  }

  /** Tries a challenge on the node. @returns why the contract refuses it, or null when it would uphold it. */
  async refusal(call: ChallengeCall): Promise<string | null> {
    const { challenges } = await this.#open();
    try {
      await challenges.getFunction(call.method).staticCall(...call.args);
      return null;
    } catch (error) {
      const revert = readRevert(error);
      if (revert === null) throw error;
      return describeRevert(revert);
    }
  }

  /** @throws WaystoneError CHALLENGE_… with the contract's refusal in words. */
  async file(call: ChallengeCall): Promise<SentTransaction> {
    const { challenges } = await this.#open();
    return await this.#send(challenges.getFunction(call.method).populateTransaction(...call.args));
  }

  /** Asks for an entry; the deposit comes back if nobody shows it. */
  async ask(
    dataset: CommittedDataset,
    index: number,
  ): Promise<SentTransaction & { deposit: string }> {
    const { challenges } = await this.#open();
    const deposit = await challenges.deposit();
    const sent = await this.#send(
      challenges.askForEntry.populateTransaction(dataset.record, index, { value: deposit }),
    );
    return { ...sent, deposit: String(deposit) };
  }

  /** Entries of a dataset that are asked for now. */
  async askedFor({ key, asked }: CommittedDataset): Promise<AskedEntry[]> {
    if (asked === 0) return [];
    const { challenges } = await this.#open();
    const events = await searchLogs(
      this.#sender.provider,
      (from, to) => challenges.queryFilter(challenges.filters.EntryAskedFor(key), from, to),
      // Only those that are open count, and how many of the found are is not known here.
    );
    const open: AskedEntry[] = [];
    for (const { args } of events) {
      const [challenger, deadline, isClosed] = await challenges.questionOf(key, args.index);
      if (isClosed) continue;
      open.push({ index: Number(args.index), challenger, deadline: Number(deadline) });
    }
    return open;
  }

  /** Shows an entry that is asked for, and earns the deposit. Anyone may who has the entries. */
  async show(
    dataset: CommittedDataset,
    proof: { entry: Uint8Array; index: number; path: readonly Uint8Array[] },
  ): Promise<SentTransaction> {
    const { challenges } = await this.#open();
    const shown = { ...proof, path: [...proof.path] };
    return await this.#send(challenges.showEntry.populateTransaction(dataset.record, shown));
  }

  /** Settles a question whose time is over: the dataset is void, and the deposit goes back to who asked. */
  async settle(dataset: CommittedDataset, index: number): Promise<SentTransaction> {
    const { challenges } = await this.#open();
    return await this.#send(challenges.settleWithheld.populateTransaction(dataset.record, index));
  }

  /** What the signer has earned and may take, in wei. */
  async earned(): Promise<{ reward: string; deposit: string }> {
    const { forge, challenges } = await this.#open();
    const account = this.#sender.address;
    const [reward, deposit] = await Promise.all([
      forge.rewardOf(account),
      challenges.depositOf(account),
    ]);
    return { reward: String(reward), deposit: String(deposit) };
  }

  /** Pays out rewards and deposits. @returns what was taken, in wei, with the transactions. */
  async take(
    to = this.#sender.address,
  ): Promise<{ to: string; reward: string; deposit: string; sent: SentTransaction[] }> {
    const { forge, challenges } = await this.#open();
    const { reward, deposit } = await this.earned();
    if (reward === '0' && deposit === '0') {
      throw new WaystoneError(
        'CHALLENGE_NOTHING_TO_TAKE',
        `${this.#sender.address} has neither rewards nor deposits to take`,
      );
    }
    const sent: SentTransaction[] = [];
    if (reward !== '0') sent.push(await this.#send(forge.takeReward.populateTransaction(to)));
    if (deposit !== '0') {
      sent.push(await this.#send(challenges.takeDeposit.populateTransaction(to)));
    }
    return { to, reward, deposit, sent };
  }

  async #byKey(key: string): Promise<CommittedDataset | null> {
    const { forge } = await this.#open();
    const [status, committedAt, , stored] = await forge.statusOf(key);
    const name = STATUS[Number(status)];
    if (name === undefined) throw new TypeError(`DatasetForge gave the unknown status ${status}`);
    if (name === 'absent') return null;
    const [event] = await searchLogs(
      this.#sender.provider,
      (from, to) => forge.queryFilter(forge.filters.DatasetCommitted(key), from, to),
      (found) => found.length > 0,
    );
    if (event === undefined) {
      throw new WaystoneError(
        'CHAIN_LOG_MISSING',
        `the node holds dataset ${key} but not the log of its commit; ask a node that keeps all logs`,
      );
    }
    const { idao, gateway, logId, index, root, count, manifestHash, minTime, maxTime, url } =
      event.args.record;
    const record = {
      ...{ idao, gateway, logId, index, root, count, manifestHash, minTime, maxTime, url },
    };
    if (recordHash(record) !== stored) {
      throw new WaystoneError(
        'CHAIN_INCONSISTENT',
        `the log of dataset ${key} is not the record that the contract stored; ask another node`,
      );
    }
    const block = await this.#sender.provider.getBlock('latest');
    const openUntil = Number(await forge.openUntil(key));
    const upheld: number[] = [];
    for (let fault = 1; fault <= FAULTS_MAX; fault++) {
      if (name === 'void' && (await forge.isUpheld(key, fault))) upheld.push(fault);
    }
    return {
      ...{ key, record, status: name, committedAt: Number(committedAt), openUntil, upheld },
      isOpen: name !== 'forged' && (block?.timestamp ?? 0) < openUntil,
      asked: Number(await forge.holdsOf(key)),
    };
  }

  async #send(call: Promise<ContractTransaction>): Promise<SentTransaction> {
    let made: ContractTransaction;
    try {
      made = await call;
    } catch (error) {
      throw explain(error);
    }
    return told(await this.#sender.send(made));
  }

  #open(): Promise<Contracts> {
    this.#contracts ??= this.#look().catch((error) => {
      this.#contracts = null;
      throw error;
    });
    return this.#contracts;
  }

  async #look(): Promise<Contracts> {
    const { datasetForge } = this.#place;
    await this.#sender.requireContract(datasetForge, 'the DatasetForge’s address');
    const forge = DatasetForge__factory.connect(datasetForge, this.#sender.provider);
    const challengesAddress = await forge.challenges();
    if (challengesAddress === ZeroAddress) {
      throw new WaystoneError(
        'CHAIN_CONTRACT_MISSING',
        `the DatasetForge at ${datasetForge} takes no challenges; check its address`,
      );
    }
    const challenges = Challenges__factory.connect(challengesAddress, this.#sender.provider);
    return { forge, challenges, challengesAddress };
  }

  async #registry() {
    const { forge } = await this.#open();
    return DeviceRegistry__factory.connect(await forge.registry(), this.#sender.provider);
  }
}
