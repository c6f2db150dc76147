import {
  checkpointFault,
  equalBytes,
  leafHash,
  type Receipt,
  type SignedCheckpoint,
  statementHash,
  toHex,
} from '@waystone/proto';
import type { CommittedDataset } from '../forge/challenge-client.js';
import type { EntriesFile } from './entries-file.js';
import type { EntryFields } from './entry-fields.js';
import type { LogPlace } from './evidence.js';
import { type Findings, judgedKey, type Notes } from './findings.js';

/** A gateway's key as the contract wants it. */
type JudgedKey = NonNullable<ReturnType<typeof judgedKey>>;

/** Whether something was signed by the gateway, and in the log, of a dataset. */
const isOf = (
  { record }: CommittedDataset,
  head: { gateway: Uint8Array; logId: Uint8Array },
): boolean =>
  record.gateway === `0x${toHex(head.gateway)}` && record.logId === `0x${toHex(head.logId)}`;

/** A given receipt, with the file that it was read from. */
export interface GivenReceipt {
  readonly path: string;
  readonly receipt: Receipt;
}

/** Holds receipts `stored` against what was committed. */
export class ReceiptSearch {
  /** By hash of the statement. */
  readonly #receipts = new Map<string, GivenReceipt[]>();
  readonly #seen = new Set<GivenReceipt>();

  constructor(receipts: readonly GivenReceipt[], notes: Notes) {
    for (const given of receipts) {
      const { kind } = given.receipt.body.outcome;
      if (kind !== 'stored') {
        notes.add(
          `receipt of kind ${kind}, which no contract judges`,
          `${given.path}; one of kind stored is what counts`,
        );
        continue;
      }
      const hash = toHex(given.receipt.body.statement);
      this.#receipts.set(hash, [...(this.#receipts.get(hash) ?? []), given]);
    }
  }

  judge(
    input: { dataset: CommittedDataset; entries: EntriesFile; gateway: JudgedKey | null },
    fields: EntryFields,
    bytes: Uint8Array,
    index: number,
    findings: Findings,
  ): void {
    if (this.#receipts.size === 0) return;
    const { dataset, entries, gateway } = input;
    for (const given of this.#receipts.get(toHex(statementHash(fields.statement))) ?? []) {
      const { receipt, path } = given;
      const { outcome } = receipt.body;
      if (!isOf(dataset, receipt.head) || outcome.kind !== 'stored') continue;
      this.#seen.add(given);
      if (gateway === null || equalBytes(outcome.entryLeaf, leafHash(bytes))) continue;
      findings.add({
        fault: 'receipt',
        key: dataset.key,
        entries: [index],
        detail: `entry ${index} is not the one that the receipt ${path} says was stored`,
        call: async () => ({
          method: 'challengeReceipt',
          args: [
            dataset.record,
            await entries.proof(index),
            {
              head: receipt.headBytes,
              signature: receipt.signature,
              body: receipt.bodyBytes,
              index: receipt.index,
              path: [...receipt.path],
            },
            gateway,
          ],
        }),
      });
    }
  }

  /** Notes the receipts whose statements are in none of the datasets. */
  finish(notes: Notes): void {
    for (const given of [...this.#receipts.values()].flat()) {
      if (this.#seen.has(given)) continue;
      notes.add('receipt of another log, or of a statement in none of the datasets', given.path);
    }
  }
}

interface GivenCheckpoint {
  readonly path: string;
  readonly signed: SignedCheckpoint;
  readonly place: LogPlace | null;
}

/** Finds two checkpoints of one log that cannot both be of it. */
export function searchForks(
  datasets: readonly CommittedDataset[],
  places: readonly LogPlace[],
  checkpoints: readonly { path: string; signed: SignedCheckpoint }[],
  findings: Findings,
  notes: Notes,
): void {
  const given: GivenCheckpoint[] = [
    ...places.map((place) => ({ path: place.path, signed: place.signed, place })),
    ...checkpoints.map((checkpoint) => ({ ...checkpoint, place: null })),
  ];
  const heads = new Map<string, GivenCheckpoint>();
  const leaves = new Map<string, GivenCheckpoint & { place: LogPlace }>();
  for (const one of given) {
    const fault = checkpointFault(one.signed);
    if (fault !== null) {
      notes.add('checkpoint that anyone could have written', `that of ${one.path}: ${fault}`);
      continue;
    }
    const { gateway, logId, size, root } = one.signed.checkpoint;
    const log = `${toHex(gateway)}/${toHex(logId)}`;
    const sameSize = heads.get(`${log}/${size}`);
    heads.set(`${log}/${size}`, sameSize ?? one);
    if (sameSize !== undefined && !equalBytes(sameSize.signed.checkpoint.root, root)) {
      addFork(datasets, sameSize, one, findings);
    }
    const { place } = one;
    if (place === null) continue;
    const samePlace = leaves.get(`${log}/${place.index}`);
    leaves.set(`${log}/${place.index}`, samePlace ?? { ...one, place });
    if (samePlace !== undefined && !equalBytes(samePlace.place.leaf, place.leaf)) {
      addForkAt(datasets, samePlace, { ...one, place }, findings);
    }
  }
}

const shown = ({ signed }: GivenCheckpoint) => ({
  data: signed.checkpointBytes,
  signature: signed.signature,
});

function addFork(
  datasets: readonly CommittedDataset[],
  a: GivenCheckpoint,
  b: GivenCheckpoint,
  findings: Findings,
): void {
  const gateway = judgedKey(a.signed.gatewayKey);
  if (gateway === null) return;
  const { checkpoint } = a.signed;
  for (const { key, record } of datasets.filter((dataset) => isOf(dataset, checkpoint))) {
    findings.add({
      ...{ fault: 'fork', key, entries: [] },
      detail: `the gateway signed two heads of one log of ${checkpoint.size}, in ${a.path} and ${b.path}`,
      call: async () => ({ method: 'challengeFork', args: [record, shown(a), shown(b), gateway] }),
    });
  }
}

function addForkAt(
  datasets: readonly CommittedDataset[],
  a: GivenCheckpoint & { place: LogPlace },
  b: GivenCheckpoint & { place: LogPlace },
  findings: Findings,
): void {
  const gateway = judgedKey(a.signed.gatewayKey);
  if (gateway === null) return;
  const divergence = {
    index: a.place.index,
    leafA: a.place.leaf,
    pathA: [...a.signed.path],
    leafB: b.place.leaf,
    pathB: [...b.signed.path],
  };
  for (const { key, record } of datasets.filter((dataset) => isOf(dataset, a.signed.checkpoint))) {
    findings.add({
      ...{ fault: 'fork', key, entries: [] },
      detail: `the gateway signed two datasets at place ${a.place.index} of one log, those of ${a.path} and ${b.path}`,
      call: async () => ({
        method: 'challengeForkAt',
        args: [record, shown(a), shown(b), gateway, divergence],
      }),
    });
  }
}
