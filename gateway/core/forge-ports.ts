/**
 * Where forging meets the rest of the gateway. Everything here can be posted between threads.
 * Hashes and ids are lower-case hex without 0x; addresses and transaction hashes carry 0x, as chains
 * write them; block numbers are numbers, amounts in wei decimal strings.
 */

/** A key that must be in the registry before a dataset that it signed is committed. */
export interface ForgeKey {
  /** SHA-256 of the multicodec-prefixed compressed key, 64 hex digits. */
  readonly deviceId: string;
  /** 1 secp256k1, 2 P-256, 3 Ed25519. */
  readonly keyType: number;
  /** Compressed key: 66 hex digits, or 64 for Ed25519. */
  readonly publicKey: string;
}

/** A key's signature that it wants to be registered, see `enrolmentMessage` of `proto`. */
export interface KeyProof {
  readonly deviceId: string;
  /** Last second in which it counts, Unix seconds. */
  readonly expiry: number;
  /** 64 bytes in hex. */
  readonly signature: string;
}

/** A sealed dataset, ready to be forged. */
export interface ForgeDataset {
  /** 32 hex digits. */
  readonly logId: string;
  readonly index: number;
  readonly root: string;
  /** Entries, at least 1. */
  readonly count: number;
  readonly manifestHash: string;
  readonly minTimeUs: number;
  readonly maxTimeUs: number;
  /** Where the entries file is published; may be "" on the local chain. */
  readonly url: string;
  /** Keys of all devices with entries in the dataset. */
  readonly devices: readonly ForgeKey[];
}

/** Which dataset of this gateway's logs. */
export type ForgeDatasetId = Pick<ForgeDataset, 'logId' | 'index'>;

/** What LazAI's own contracts hold of a dataset. */
export interface LazaiFileFacts {
  /** Decimal. */
  readonly fileId: string;
  readonly dataRegistry: string;
  /** The url that it is registered under. */
  readonly url: string;
  /** What LazAI's node wrote, and the token's amount; decimal. It says nothing of quality. */
  readonly lazaiScore: string;
}

/** A dataset's token, once nothing short of a rewound chain can take it back. */
export interface ForgeResult extends ForgeDatasetId {
  readonly root: string;
  readonly manifestHash: string;
  readonly chainId: number;
  /** Decimal; with our own contracts equal to the class id. */
  readonly tokenId: string;
  /** "" on LazAI, whose tokens have no class. */
  readonly classId: string;
  /** The iDAO. */
  readonly owner: string;
  /** "" on LazAI. */
  readonly datasetForge: string;
  /** The token's contract. */
  readonly dat: string;
  /** Set when LazAI's own contracts forged it. */
  readonly lazai?: LazaiFileFacts;
  /** The transaction that minted; null when the chain no longer tells. */
  readonly transaction: string | null;
  readonly blockNumber: number;
}

/** An entry (280 bytes) and the siblings on its way to the root, in hex. */
export interface EntryProof {
  readonly entry: string;
  readonly path: readonly string[];
}

/** What the chain says against devices of a dataset, at a block that counts for good. */
export interface DevicesOnChain {
  /** Device ids that were revoked, and when, µs. */
  readonly revoked: readonly (readonly [deviceId: string, atUs: number])[];
}

/** What forging asks of the stage that seals. Each call may come again after a crash. */
export interface ForgeDatasets {
  /** Sealed datasets that were never reported forged, in log order. */
  ready(limit: number): Promise<ForgeDataset[]>;
  /**
   * Judges the entries of a dataset that is about to be committed and is not on chain. One whose entries may not all be
   * committed is withdrawn, an intent for it included, and the rest of its entries is sealed anew.
   * @throws WaystoneError DATASET_DAMAGED, DATASET_REALM_FOREIGN, ENTRIES_NOT_SERVED or FORGE_INTENT_BEGUN when it can
   *   neither be committed nor withdrawn as it is.
   */
  inspect(id: ForgeDatasetId, devices: DevicesOnChain): Promise<'in order' | 'withdrawn'>;
  /**
   * One entry of a dataset and its way to the root, to be shown on chain.
   * @throws WaystoneError when the dataset's files are gone, RangeError when it has fewer entries.
   */
  entry(root: string, index: number): Promise<EntryProof>;
  /** Proofs of devices that they hold their keys; those that gave none are left out. */
  proofs(deviceIds: readonly string[]): Promise<KeyProof[]>;
  /** Puts the dataset's entries where its url says, before that goes on chain. @throws WaystoneError PUBLISH_FAILED. */
  publish(root: string): Promise<void>;
  /** Publishes the metadata, JSON, of a token that is minted; again, it replaces what was there. */
  describe(tokenId: string, metadata: string): Promise<void>;
  /** SHA-256 of the dataset's entries file, 64 hex digits, as its manifest says. */
  entriesHash(root: string): Promise<string>;
  /** The dataset is committed on chain; it may still be lost to a rewound chain. */
  committed(id: ForgeDatasetId): Promise<void>;
  /** The dataset has its token. Comes again, with the same token, when a rewound chain is healed. */
  forged(result: ForgeResult): Promise<void>;
}

/** `setup` prepares the chain (iDAO, operator, keys), `dataset` forges one dataset. */
export type IntentKind = 'setup' | 'dataset';

/**
 * intent: nothing is known to be on chain · committed, finalised: seen on chain, may be taken back ·
 * confirmed: deep or durable enough.
 */
export type IntentState = 'intent' | 'committed' | 'finalised' | 'confirmed';

/** What is about to be done on chain, written before any transaction for it is signed. */
export interface NewIntent {
  /** Deterministic, so that the same thing is never intended twice. */
  readonly key: string;
  readonly chainId: number;
  readonly kind: IntentKind;
  /** For datasets. */
  readonly logId: string | null;
  readonly index: number | null;
  /** JSON of all that the calls are made from; never changes once written. */
  readonly payload: string;
}

/** Whether an intent is to be forged by LazAI's own contracts. */
export function isLazaiKey(key: string): boolean {
  return key.startsWith('lazai:');
}

export interface Intent extends NewIntent {
  readonly state: IntentState;
  /** Set once finalised, kept when the chain is rewound. */
  readonly tokenId: string | null;
  readonly transaction: string | null;
  /** Block that holds the last step seen. */
  readonly blockNumber: number | null;
  readonly blockHash: string | null;
  readonly attempts: number;
  readonly lastError: string | null;
}

/** Where a step of an intent was seen on chain. */
export interface IntentProgress {
  readonly state: Exclude<IntentState, 'intent'>;
  readonly tokenId?: string;
  readonly transaction?: string;
  readonly blockNumber?: number;
  readonly blockHash?: string;
}

/**
 * signed: stored, not known to be sent · sent · mined · confirmed · replaced: another transaction took
 * its nonce · failed: mined and reverted · lost: not on chain, and its nonce is given out anew.
 * The first three are *live*: no two live transactions of an account share a nonce.
 */
export type TransactionState =
  | 'signed'
  | 'sent'
  | 'mined'
  | 'confirmed'
  | 'replaced'
  | 'failed'
  | 'lost';

export interface NewTransaction {
  readonly hash: string;
  readonly intentKey: string;
  /** What it does for its intent: `commit`, `finalise`, `setup`. */
  readonly purpose: string;
  readonly chainId: number;
  readonly account: string;
  readonly nonce: number;
  /** The signed bytes, hex with 0x: sending them again is always safe. */
  readonly raw: string;
  readonly gasLimit: number;
  readonly maxFeeWei: string;
  readonly tipWei: string;
}

export interface Transaction extends NewTransaction {
  readonly state: TransactionState;
  readonly blockNumber: number | null;
  readonly blockHash: string | null;
  readonly sends: number;
  readonly failure: string | null;
}

export interface ChainBlock {
  readonly number: number;
  readonly hash: string;
}

/**
 * The journal of forging. Each call is one SQLite transaction with synchronous=FULL: when it resolves, it
 * is on disk.
 */
export interface ForgeJournal {
  /**
   * Writes an intent, or gives back the one that is there. A confirmed setup intent is opened again, since
   * it is only intended when the chain shows it undone.
   * @throws WaystoneError FORGE_RECORD_MISMATCH when a dataset's payload differs from the one written,
   *   FORGE_TARGET_CHANGED when LazAI's contracts and ours would both forge it on one chain.
   */
  addIntent(intent: NewIntent): Promise<Intent>;
  intent(key: string): Promise<Intent | null>;
  /** Intents not yet confirmed, datasets in log order. */
  openIntents(chainId: number, kind: IntentKind): Promise<Intent[]>;
  /** Notes a step seen on chain; `confirmed` also confirms the intent's mined transactions. */
  progress(key: string, progress: IntentProgress): Promise<void>;
  /** Counts an attempt and keeps the last error for the status page; null clears it. */
  noteError(key: string, error: string | null): Promise<void>;

  /** Stores a signed transaction, before it is sent. @throws when the intent is missing or the nonce live. */
  addTransaction(transaction: NewTransaction): Promise<void>;
  /** The live transaction for one purpose of an intent. */
  liveTransaction(intentKey: string, purpose: string): Promise<Transaction | null>;
  /** All live transactions that are not mined, by account and nonce. */
  pendingTransactions(chainId: number): Promise<Transaction[]>;
  transactions(intentKey: string): Promise<Transaction[]>;
  /**
   * The newest transactions of an account with one nonce, in any state: at most one of them can be mined. Looks at the
   * account's last ones only.
   */
  transactionsAt(chainId: number, account: string, nonce: number): Promise<Transaction[]>;
  /**
   * Transactions, among the newest, that were given up or replaced while nothing else is known to have had their nonce: one
   * of them may be on chain after all.
   */
  unexplained(chainId: number): Promise<Transaction[]>;
  /**
   * Stores a transaction that takes the place of a live one with the same nonce, before it is sent. The old one is
   * `replaced` from then on, though it may still be the one that is mined.
   * @throws when the old one is not live or has another nonce.
   */
  replaceTransaction(hash: string, by: NewTransaction): Promise<void>;
  markSent(hash: string): Promise<void>;
  /** It is on chain; others of its nonce are `replaced`. The same holds for {@link markFailed}. */
  markMined(hash: string, block: ChainBlock): Promise<void>;
  markFailed(hash: string, block: ChainBlock, failure: string): Promise<void>;
  /** Gives up a transaction that is not on chain; its nonce may be given out again. */
  markLost(hash: string): Promise<void>;
  /** The nonce after the last one given out; 0 for a new account. */
  nextNonce(chainId: number, account: string): Promise<number>;

  /** The last block in which something of ours was seen; null when nothing was. */
  newestBlock(chainId: number): Promise<ChainBlock | null>;
  /**
   * Blocks of what is not confirmed yet, falling, the newest ones. Two may have one number, when a look at the chain
   * straddled a reorg.
   */
  unconfirmedBlocks(chainId: number): Promise<ChainBlock[]>;
  /** All blocks in which something of ours was seen, rising. */
  seenBlocks(chainId: number): Promise<ChainBlock[]>;
  /** The chain holds nothing of ours above `block` any more: opens what is lost. @returns datasets opened. */
  rewind(chainId: number, block: number): Promise<number>;
}

/** What forging does, for status, API and metrics. */
export interface ForgeStatus {
  readonly state: 'stopped' | 'working' | 'idle' | 'waiting';
  /** One sentence: what it waits for and why; "" when idle. */
  readonly why: string;
  readonly reachable: boolean;
  readonly headBlock: number | null;
  readonly lastError: { readonly code: string; readonly message: string } | null;
  /** Datasets under way, in log order. */
  readonly datasets: readonly (ForgeDatasetId & {
    readonly state: IntentState;
    readonly waitsFor: string;
  })[];
}
