import type { ForgeDatasetId, ForgeJournal } from './forge-ports.js';

/** A sealed dataset, published and ready for LazAI. */
export interface LazaiDataset extends ForgeDatasetId {
  /** Merkle root, 64 hex digits. */
  readonly root: string;
  /** SHA-256 of the bytes that are published under `url`, 64 lower-case hex digits. */
  readonly hash: string;
  /** Where it is published, http(s). The suffix that makes it unguessable is added by the target. */
  readonly url: string;
}

/**
 * How far a dataset is: intent written · registered as a file · proof paid for · a usable proof seen · rewarded, token
 * seen · confirmed, deep enough to stay. All but the last are for people: each look asks the chain again.
 */
export type LazaiState =
  | 'intent'
  | 'registered'
  | 'requested'
  | 'proven'
  | 'rewarded'
  | 'confirmed';

/** The token that LazAI minted for a dataset. */
export interface LazaiToken {
  readonly tokenId: string;
  /** LazAI's score, which is also the amount held. It says nothing of quality: never show it as that. */
  readonly lazaiScore: string;
  readonly fileId: string;
  readonly proofIndex: string;
  readonly url: string;
  readonly owner: string;
  readonly dataAnchoringToken: string;
  readonly transaction: string;
  readonly blockNumber: number;
  readonly blockHash: string;
}

/** What is fixed before anything is sent. */
export interface NewLazaiRecord {
  /** Names chain, registry and dataset; also the key of its intent in the forge journal. */
  readonly key: string;
  readonly chainId: number;
  readonly dataset: LazaiDataset;
  readonly idao: string;
  /** Password of the published bytes, 64 hex digits. Secret. */
  readonly contentKey: string;
  /** Source of the url's suffix, 64 hex digits. Secret until registered. */
  readonly urlSecret: string;
  /** A block well before the head when the intent was written: nothing of the dataset is in an earlier one. */
  readonly fromBlock: number;
}

export interface LazaiRecord extends NewLazaiRecord {
  readonly state: LazaiState;
  /** Urls given up because they were taken. Never falls: a url that was given up is not tried again. */
  readonly urlGeneration: number;
  /** Fee set aside for the one paid request, before it is signed; "0" before. Decimal wei. */
  readonly feeWei: string;
  /** How often the node was asked for its proof, and when last; ms UTC. */
  readonly asks: number;
  readonly askedAtMs: number;
  readonly token: LazaiToken | null;
  /** Why it waits, for the status page. */
  readonly waitCode: string | null;
  readonly waitMessage: string | null;
}

export type LazaiChanges = Partial<Omit<LazaiRecord, keyof NewLazaiRecord>>;

/**
 * The journal of forging on LazAI. Each call is one transaction, on disk when it resolves. Keys in it are secrets: it
 * is kept as the gateway's own keys are.
 */
export interface LazaiJournal {
  /**
   * Writes a record, and an intent of the same key in the forge journal; or gives back the record that is there.
   *
   * @throws WaystoneError FORGE_RECORD_MISMATCH when the dataset or its owner differs from the one written,
   *   FORGE_TARGET_CHANGED when it is journalled for other contracts of that chain.
   */
  addLazaiFile(record: NewLazaiRecord): Promise<LazaiRecord>;
  lazaiFile(key: string): Promise<LazaiRecord | null>;
  /** Records that are not confirmed, oldest first: for the status page. */
  openLazaiFiles(chainId: number): Promise<LazaiRecord[]>;
  /** What it says of state and token is noted of the intent as well; `confirmed` also confirms its transactions. */
  updateLazaiFile(key: string, changes: LazaiChanges): Promise<LazaiRecord>;
  /** Sum of all fees set aside on a chain, wei. */
  lazaiReservedWei(chainId: number): Promise<bigint>;
  /** Remembers the first value given for a subject. @returns the one remembered. */
  pinLazai(subject: string, value: string): Promise<string>;
}

/** What the sender needs of the forge journal: one account's nonces are given out in one place. */
export type TransactionJournal = Pick<
  ForgeJournal,
  | 'addTransaction'
  | 'pendingTransactions'
  | 'transactions'
  | 'transactionsAt'
  | 'replaceTransaction'
  | 'markSent'
  | 'markMined'
  | 'markFailed'
  | 'markLost'
  | 'nextNonce'
>;
