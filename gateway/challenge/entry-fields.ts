import { ENTRY_BYTES, equalBytes, STATEMENT_BYTES, TAGS, viewOf } from '@waystone/proto';

/** What the contract reads of an entry. Integers are of 64 bits: a cheat keeps to no bounds. */
export interface EntryFields {
  readonly realm: Uint8Array;
  readonly device: Uint8Array;
  readonly session: Uint8Array;
  readonly stream: number;
  readonly timeBase: number;
  readonly firstSequence: bigint;
  readonly count: number;
  readonly minTimeUs: bigint;
  readonly maxTimeUs: bigint;
  readonly receivedAtUs: bigint;
  readonly flags: number;
  readonly statement: Uint8Array;
  readonly signature: Uint8Array;
}

/**
 * Reads an entry exactly as the contract does (`StatementReader.readEntry`): it looks at tag and reserved fields, and at
 * nothing else, so that what the contract judges is found even where `proto` would refuse to read on.
 *
 * @returns null where the contract reverts, which never is a fault.
 */
export function readEntryFields(bytes: Uint8Array): EntryFields | null {
  if (bytes.length !== ENTRY_BYTES) return null;
  const view = viewOf(bytes);
  const isKnown = equalBytes(bytes.subarray(0, 16), TAGS.statement);
  if (!isKnown || view.getUint32(116) !== 0 || view.getUint32(276) !== 0) return null;
  return {
    realm: bytes.subarray(16, 48),
    device: bytes.subarray(48, 80),
    session: bytes.subarray(80, 96),
    stream: view.getUint32(96),
    timeBase: view.getUint8(102),
    firstSequence: view.getBigUint64(104),
    count: view.getUint32(112),
    minTimeUs: view.getBigUint64(120),
    maxTimeUs: view.getBigUint64(128),
    receivedAtUs: view.getBigUint64(264),
    flags: view.getUint32(272),
    statement: bytes.subarray(0, STATEMENT_BYTES),
    signature: bytes.subarray(STATEMENT_BYTES, STATEMENT_BYTES + 64),
  };
}
