/**
 * fault: a promise is broken, or can no longer be shown to hold · leftover: what a stop at the wrong moment leaves
 * behind, and the next start clears away by itself · note: worth knowing, and no more.
 */
export type Severity = 'fault' | 'leftover' | 'note';

interface Meaning {
  readonly severity: Severity;
  /** What it means for what the gateway promised. */
  readonly means: string;
  /** What the operator can do. */
  readonly todo: string;
}

const RESTORE = 'restore a backup with waystone restore';
const LOST_ROWS =
  'what the row said is only known from a backup; restore one, or send this report to the maintainers';

/** Everything that fsck can say. The codes are stable: scripts read them from the JSON. */
export const MEANINGS = {
  // ledger file
  LEDGER_DAMAGED: fault(
    'rows may be lost or changed; nothing that rests on the ledger is certain',
    `copy the data folder away, check the disk, and ${RESTORE}`,
  ),
  LEDGER_REFERENCE_BROKEN: fault('a row refers to one that is gone', LOST_ROWS),
  LEDGER_SCHEMA_WRONG: fault(
    'rules that the tables enforce, exactly-once among them, may not hold',
    `was the ledger changed by another program? If so, ${RESTORE}`,
  ),
  LEDGER_SETTINGS: note(
    'none: only speed depends on it',
    'nothing; a ledger keeps the page size that it was made with, and the next start sets the rest',
  ),
  LEDGER_WAL_DAMAGED: fault(
    'transactions that were on disk, and may have been acknowledged, are cut off',
    `do not start the gateway before the data folder is copied away: its start drops them; then ${RESTORE}`,
  ),
  LEDGER_WAL_TORN: note(
    'a power cut in the middle of a commit leaves this, and loses nothing acknowledged; a damaged disk may leave it too',
    'if there was no power cut, copy the data folder away before the next start, and check the disk',
  ),
  LEDGER_WAL_PENDING: leftover('none: it is part of the ledger', 'the next start carries it over'),
  LEDGER_REDO_PENDING: leftover(
    'none: what it holds was acknowledged, and is part of the ledger',
    'the next start carries it over',
  ),
  LEDGER_REDO_DAMAGED: fault(
    'envelopes of the last moments before a crash, which were acknowledged, may be lost; no gateway starts with it',
    `copy the data folder away, and put the right ledger.redo back; without one, ${RESTORE}`,
  ),
  // identity
  GATEWAY_KEY_UNREADABLE: fault(
    'nobody can sign receipts and checkpoints for this ledger, and its signer is not checked here',
    'put the key files back from your copy, mode 0600',
  ),
  LEDGER_FOREIGN: fault(
    'receipts and checkpoints would be signed by another gateway than the one devices know',
    'put the right key back, or name the right data folder',
  ),
  LEDGER_IDENTITY_MISSING: fault('it is not known which log this ledger carries', RESTORE),
  LEDGER_ROLLED_BACK: fault(
    'datasets that were sealed and signed are not in this ledger; going on would fork the log',
    'is the right disk mounted? If so: waystone restore with a backup, or with --new-log',
  ),
  LOG_HEAD_UNREADABLE: fault(
    'a ledger that is copied back would not be noticed',
    'put keys/log-head.json back; without a copy, waystone restore starts a new log safely',
  ),
  LOG_HEAD_MISSING: fault(
    'a ledger that is copied back would not be noticed until the next dataset is sealed',
    'put keys/log-head.json back; if this ledger is surely the newest, sealing writes it anew',
  ),
  LOG_HEAD_BEHIND: fault(
    'a ledger that is copied back would not be noticed until the next dataset is sealed',
    'is keys/ an old copy? If this ledger is surely the newest, sealing writes the head anew',
  ),
  LOG_HEAD_DIFFERS: fault(
    'the log is not the one that was signed: it was forked or changed',
    `do not start the gateway; ${RESTORE}`,
  ),
  // log
  LOG_RECORD_INVALID: fault('a dataset has no valid place in the log', RESTORE),
  LOG_HOLE: fault(
    'the log that was signed is not all there; no new dataset can be proven',
    RESTORE,
  ),
  LOG_PEAKS_WRONG: fault(
    'the next checkpoint would be of another log than the signed one',
    RESTORE,
  ),
  LOG_CHECKPOINT_WRONG: fault('the stored checkpoint is not that of the records', RESTORE),
  LOG_BATCH_MISMATCH: fault('log and batch name different datasets', RESTORE),
  LOG_RECORD_MISSING: fault('a sealed dataset is in no log', RESTORE),
  // batches
  WITHDRAWAL_WRONG: fault(
    'entries of a dataset that was withdrawn may get no DAT, or two',
    'keep the folder of the withdrawn dataset, which holds every entry, and send this report to the maintainers',
  ),
  BATCH_STATE_WRONG: fault(
    'the batch cannot be brought on: sealing or forging stops here',
    LOST_ROWS,
  ),
  BATCH_OPEN_TWICE: fault('one of them would get no more entries and never be sealed', LOST_ROWS),
  BATCH_DIFFERS: fault(
    'the ledger says of the batch what its entries do not; sealing or forging stops here',
    LOST_ROWS,
  ),
  BATCH_DEVICES_WRONG: fault(
    'forging would register other device keys than the dataset needs',
    LOST_ROWS,
  ),
  // batch files
  BATCH_FILE_MISSING: fault(
    'entries that were acknowledged are not there',
    'put the file back into data/batches, or restore a backup; devices that still hold them send them again after that',
  ),
  BATCH_FILE_SHORT: fault(
    'entries that were acknowledged are not there: the disk lost what it had confirmed',
    'put the file back into data/batches, or restore a backup; and check the disk',
  ),
  BATCH_FILE_DAMAGED: fault(
    'entries that were acknowledged cannot be read',
    'copy the file away, check the disk, put a good copy back or restore a backup',
  ),
  BATCH_ENTRY_WRONG: fault(
    'an entry is not what its device signed; the batch cannot become a dataset that verifies',
    'copy the file away, check the disk, put a good copy back or restore a backup',
  ),
  BATCH_FILE_TAIL: leftover(
    'none: no commit confirmed these bytes, so nothing in them was acknowledged',
    'the next start cuts them off',
  ),
  BATCH_FILE_STRAY: leftover(
    'none: no batch needs it any more, or none ever did',
    'the next start removes it',
  ),
  BATCH_FILE_LAST_COPY: fault(
    'the dataset of this batch is not whole, so the file may hold the only copy of its frames',
    'do not start the gateway before the file is copied away: its start removes it',
  ),
  BATCH_FILE_FOREIGN: note(
    'none: the gateway did not write it',
    'move it elsewhere before the next start, which removes whatever it does not know in data/batches',
  ),
  // statements
  STATEMENT_OVERLAP: fault('frames may be stored twice', LOST_ROWS),
  STATEMENT_RANGE_WRONG: fault('resends of it would not be recognised', LOST_ROWS),
  STATEMENT_SESSION_MISSING: fault('resends of it would not be recognised', LOST_ROWS),
  STATEMENT_BATCH_MISSING: fault('where the entry is, is not known', LOST_ROWS),
  STATEMENT_PLACE_WRONG: fault('what the device was promised is not at that place', LOST_ROWS),
  STATEMENT_MISSING: fault(
    'an entry has no row: if it comes again it may be stored twice',
    LOST_ROWS,
  ),
  STATEMENT_DIFFERS: fault(
    'row and entry are not the same: a resend may be stored twice, or be answered by another receipt',
    LOST_ROWS,
  ),
  // ranges
  RANGES_WRONG: fault(
    'a resend may not be recognised and be stored twice, and what is not stored may be taken for stored',
    'do not start the gateway; waystone fsck --repair makes the table anew, once the statements are sound',
  ),
  // receipts
  RECEIPT_GROUP_MISSING: fault(
    'a resend does not get the receipt that was given before',
    LOST_ROWS,
  ),
  RECEIPT_GROUP_WRONG: fault('a resend does not get the receipt that was given before', LOST_ROWS),
  RECEIPT_LEAF_WRONG: fault('a resend does not get the receipt that was given before', LOST_ROWS),
  // datasets
  DATASET_MISSING: fault(
    'sealed frames are not there',
    'put the folder back into data/datasets from a backup or from whoever has a copy',
  ),
  DATASET_DAMAGED: fault(
    'the dataset does not verify: nobody can check or use it as it is',
    'replace the folder by a good copy; waystone verify <folder> says what is wrong with one',
  ),
  DATASET_DIFFERS: fault(
    'the folder is not the dataset that the gateway sealed, logged and signed',
    'replace the folder by a good copy; waystone verify <folder> says what is wrong with one',
  ),
  DATASET_UNKNOWN: fault(
    'either it is not of this gateway, or the ledger has lost a dataset',
    'it is never deleted here; if it is yours to move, move it out of data/datasets',
  ),
  DATASET_REMOVED_EARLY: fault(
    'the ledger still wants these files, and the next start deletes them',
    'do not start the gateway; rename the folder back to its root',
  ),
  DATASET_UNLOGGED: note(
    'none: the gateway stopped while it sealed this dataset',
    'nothing: the next start goes on there',
  ),
  DATASET_UNFINISHED: leftover(
    'none: the entries are still in their batch file',
    'sealing begins that folder anew',
  ),
  DATASET_CHECKPOINT_UNFINISHED: leftover(
    'none: the checkpoint is signed again, to the same bytes',
    'sealing writes it anew',
  ),
  DATASET_HALF_REMOVED: leftover(
    'none: retention had decided to remove this forged dataset',
    'the next start finishes it',
  ),
  // forging
  FORGE_INTENT_WRONG: fault('forging of the dataset cannot go on', LOST_ROWS),
  FORGE_INTENT_TWICE: fault(
    'a dataset may get two tokens',
    'do not start the gateway; compare with the chain',
  ),
  FORGE_INTENT_DIFFERS: fault(
    'what is journalled for the chain is not the dataset that was sealed',
    'do not start the gateway; compare with waystone verify --rpc',
  ),
  FORGE_INTENT_MISSING: fault(
    'the token of a dataset is not journalled: nothing heals it if the chain goes back',
    LOST_ROWS,
  ),
  FORGE_TOKEN_WRONG: fault(
    'the gateway tells devices and buyers a token that it did not journal',
    'compare with waystone verify --rpc',
  ),
  FORGE_NONCE_TWICE: fault('two transactions compete; one of them never goes through', LOST_ROWS),
  FORGE_TRANSACTION_WRONG: fault(
    'the stored transaction is not the one that was signed: it cannot be sent again or looked up',
    LOST_ROWS,
  ),
  LAZAI_FILE_WRONG: fault(
    'forging of the dataset on LazAI cannot go on, or what was paid and minted is not what the gateway says',
    LOST_ROWS,
  ),
  LAZAI_SPEND_WRONG: fault(
    'more may be spent on LazAI than lazai.spendMaxCoins allows, or less',
    LOST_ROWS,
  ),
  // local chain
  CHAIN_DUMP_UNREADABLE: fault(
    'the local chain starts from an older state, or empty, and what it lost is forged again',
    'nothing if that is acceptable: forging heals by itself; else put data/chain back from a copy',
  ),
  CHAIN_DUMP_MISSING: fault(
    'the local chain starts empty, and everything is forged again',
    'nothing if that is acceptable: forging heals by itself; else put data/chain back from a copy',
  ),
  CHAIN_KEYS_UNREADABLE: fault(
    'the iDAO and the contracts of the local chain would be others: open batches cannot be sealed for it',
    'put data/chain/mnemonic back from a copy',
  ),
  CHAIN_DUMP_UNFINISHED: leftover('none: it was never complete', 'the next dump overwrites it'),
  CHAIN_DUMP_ASIDE: note(
    'none: the gateway put it aside',
    'delete it when nobody wants to look at it',
  ),
  // devices
  DEVICE_WRONG: fault(
    'the device cannot log in, or envelopes of another key pass as its own',
    LOST_ROWS,
  ),
  SESSION_WRONG: fault('the session cannot be found, so what it sends is refused', LOST_ROWS),
  RELAY_WRONG: fault('the relay cannot log in', 'waystone relays remove and add it again'),
  REFUSAL_WRONG: fault(
    'a refusal is told of a device that is not there',
    'nothing: it is history only',
  ),
  // counters
  COUNTERS_WRONG: fault(
    'status and API show wrong numbers of a device; nothing else rests on them',
    'waystone fsck --repair counts again',
  ),
  // any
  CHECK_STOPPED: fault(
    'what lies beyond was not checked',
    'mend what the other findings say first; else send this report to the maintainers',
  ),
} as const satisfies Record<string, Meaning>;

export type FsckCode = keyof typeof MEANINGS;

function fault(means: string, todo: string): Meaning {
  return { severity: 'fault', means, todo };
}

function leftover(means: string, todo: string): Meaning {
  return { severity: 'leftover', means, todo };
}

function note(means: string, todo: string): Meaning {
  return { severity: 'note', means, todo };
}
