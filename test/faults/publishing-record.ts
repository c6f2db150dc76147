import type { EnvelopeName } from '@waystone/device-sdk';
import { toHex } from '@waystone/proto';
import type { StoredEntry } from './stored-datasets.js';

/** An envelope as its publisher knows it; hashes and ids are lower-case hex. */
export type PublishedEnvelope = Pick<
  StoredEntry,
  'statement' | 'device' | 'session' | 'stream' | 'firstSequence' | 'count'
>;

/** What publishers did and what they were told: the other side of the books that the gateway keeps. */
export class PublishingRecord {
  readonly published = new Map<string, PublishedEnvelope>();
  /** By statement: the first `stored` receipt's bytes and entry leaf. */
  readonly receipted = new Map<string, { readonly bytes: string; readonly entryLeaf: string }>();
  /** Statements whose PUBACK was seen on the wire. */
  readonly acknowledged = new Set<string>();
  /** Receipts that came again, byte for byte as before. */
  repeats = 0;
  /** Receipts that came again with other bytes. */
  readonly changed: string[] = [];
  readonly refused: string[] = [];

  publish(device: Uint8Array, name: EnvelopeName): void {
    const statement = toHex(name.statementHash);
    this.published.set(statement, {
      statement,
      device: toHex(device),
      session: toHex(name.session),
      stream: name.stream,
      firstSequence: name.firstSequence,
      count: name.count,
    });
  }

  store(statementHash: Uint8Array, bytes: Uint8Array, entryLeaf: Uint8Array): void {
    const statement = toHex(statementHash);
    const before = this.receipted.get(statement);
    if (before === undefined) {
      this.receipted.set(statement, { bytes: toHex(bytes), entryLeaf: toHex(entryLeaf) });
    } else if (before.bytes === toHex(bytes)) this.repeats += 1;
    else this.changed.push(statement);
  }
}
