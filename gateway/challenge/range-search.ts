import { equalBytes, type PublicKey, STATEMENT_BYTES, toHex } from '@waystone/proto';
import type { CommittedDataset } from '../forge/challenge-client.js';
import type { EntriesFile } from './entries-file.js';
import type { EntryFields } from './entry-fields.js';
import { type Findings, judgedKey } from './findings.js';

/** A dataset whose entries are compared with those of others. */
export interface RangedDataset {
  readonly dataset: CommittedDataset;
  readonly entries: EntriesFile;
  readonly keyOf: (device: string) => PublicKey | null;
}

interface Range {
  readonly first: bigint;
  readonly last: bigint;
  readonly of: RangedDataset;
  readonly index: number;
  readonly isSigned: boolean;
}

/**
 * Finds sequence numbers of one (device, session, stream) that two entries cover: within one log that is the gateway's
 * fault, and two different statements are the device's, whatever gateways they went to.
 */
export class RangeSearch {
  /** By device, session and stream. */
  readonly #ranges = new Map<string, { device: string; ranges: Range[] }>();

  add(of: RangedDataset, fields: EntryFields, index: number, isSigned: boolean): void {
    // As in the contract, an empty range overlaps none.
    if (fields.count === 0) return;
    const device = toHex(fields.device);
    const key = `${device}/${toHex(fields.session)}/${fields.stream}`;
    let known = this.#ranges.get(key);
    if (known === undefined) {
      known = { device, ranges: [] };
      this.#ranges.set(key, known);
    }
    const first = fields.firstSequence;
    known.ranges.push({ first, last: first + BigInt(fields.count) - 1n, of, index, isSigned });
  }

  async search(findings: Findings): Promise<void> {
    for (const [key, { device, ranges }] of this.#ranges) {
      const byLog = new Map<string, Range[]>();
      for (const range of ranges) {
        const { status, record } = range.of.dataset;
        // What was in a void dataset may be sealed anew.
        if (status === 'void') continue;
        const log = `${record.idao}/${record.logId}`;
        byLog.set(log, [...(byLog.get(log) ?? []), range]);
      }
      for (const ofLog of byLog.values()) {
        for (const [a, b] of overlapping(ofLog)) addOverlap(findings, key, a, b);
      }
      for (const [a, b] of overlapping(ranges)) await addDevice(findings, device, key, a, b);
    }
  }
}

/** Pairs of ranges that share a number, so that each range that shares one is in some pair. */
function* overlapping(ranges: readonly Range[]): Generator<[Range, Range]> {
  const sorted = [...ranges].sort((a, b) => Number(a.first - b.first) || a.index - b.index);
  let reach: Range | null = null;
  for (const range of sorted) {
    if (reach !== null && range.first <= reach.last) yield [reach, range];
    if (reach === null || range.last > reach.last) reach = range;
  }
}

function addOverlap(findings: Findings, key: string, a: Range, b: Range): void {
  // Whichever window is open answers; of two the dataset that came later.
  const [late, early] = a.of.dataset.record.index > b.of.dataset.record.index ? [a, b] : [b, a];
  const [guilty, other] = late.of.dataset.isOpen ? [late, early] : [early, late];
  const first = a.first > b.first ? a.first : b.first;
  const place =
    other.of === guilty.of ? '' : ` of dataset ${other.of.dataset.record.root.slice(2)}`;
  findings.add({
    fault: 'overlap',
    key: guilty.of.dataset.key,
    entries: [guilty.index, ...(place === '' ? [other.index] : [])],
    detail: `sequence ${first} of ${key} is in entry ${guilty.index} and in entry ${other.index}${place}`,
    call: async () => ({
      method: 'challengeOverlap',
      args: [
        guilty.of.dataset.record,
        await guilty.of.entries.proof(guilty.index),
        other.of.dataset.record,
        await other.of.entries.proof(other.index),
      ],
    }),
  });
}

async function addDevice(
  findings: Findings,
  device: string,
  key: string,
  a: Range,
  b: Range,
): Promise<void> {
  if (!a.isSigned || !b.isSigned) return;
  const known = a.of.keyOf(device);
  const judged = known === null ? null : judgedKey(known);
  if (judged === null) return;
  const [one, two] = [await a.of.entries.proof(a.index), await b.of.entries.proof(b.index)];
  const parts = ({ entry }: { entry: Uint8Array }) => [
    entry.subarray(0, STATEMENT_BYTES),
    entry.subarray(STATEMENT_BYTES, STATEMENT_BYTES + 64),
  ];
  const [statementA, signatureA] = parts(one) as [Uint8Array, Uint8Array];
  const [statementB, signatureB] = parts(two) as [Uint8Array, Uint8Array];
  // The same statement at two gateways is what a failover looks like.
  if (equalBytes(statementA, statementB)) return;
  const first = a.first > b.first ? a.first : b.first;
  findings.add({
    fault: 'device',
    key: null,
    entries: [a.index, b.index],
    detail: `device ${device} signed two statements over sequence ${first} of ${key}; its fault, and nobody's bond answers for it`,
    call: async () => ({
      method: 'reportDevice',
      args: [judged, statementA, signatureA, statementB, signatureB],
    }),
  });
}
