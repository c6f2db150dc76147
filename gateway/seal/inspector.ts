import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { DATASET_FILES, ENTRY_BYTES } from '@waystone/proto';
import type { Clock } from '../core/clock.js';
import { crashPoint } from '../core/crash-point.js';
import { WaystoneError } from '../core/errors.js';
import type { DevicesOnChain, ForgeDatasetId } from '../core/forge-ports.js';
import type { Logger } from '../core/logger.js';
import type { DatasetToInspect, InspectLedger } from '../core/ports.js';
import type { Remote } from '../core/rpc.js';
import type { OffenceCode, Offender } from '../core/withdrawal.js';
import { REVOCATION_GRACE_US } from '../dataset/entry-rules.js';
import type { DatasetOperations } from './worker.js';

/** Points at which the crash tests kill the process while a dataset is withdrawn, in order. */
export const WITHDRAW_CRASH_POINTS = [
  'withdraw:found',
  'withdraw:rest-written',
  'withdraw:rest-named',
  'withdraw:recorded',
] as const;

/** Entries whose receipts are compared at a time: some 5 ms of the thread that answers reads. */
const RECEIPTS_EACH = 256;

/** How long a public address is left alone after it could not be reached. */
const PUBLIC_AGAIN_MS = 600_000;

const LOOKS_KEPT = 1_000;

/** EIP-155 ids of the chains on which the zero realm is in order: LocalChains.sol. */
const LOCAL_CHAIN_IDS = [31_337, 1_337];

const ZERO_REALM = '00'.repeat(32);

export interface InspectorOptions {
  /** Realm of this gateway, 64 hex digits. */
  readonly realm: string;
  readonly chainId: number;
  readonly datasetsFolder: string;
  /** Where the gateway itself serves the entries of a dataset. */
  readonly servedAt: (root: string) => string;
  /** Where the public finds them, or "". */
  readonly publicAt: (root: string) => string;
}

export interface InspectorDeps {
  readonly ledger: InspectLedger;
  readonly datasets: Pick<
    Remote<DatasetOperations>,
    'inspect' | 'writeRest' | 'checkServed' | 'lookAtPublic'
  >;
  /** Which of some entries, in one piece, differ from the receipts given for them. */
  readonly unlikeReceipt: (entries: Uint8Array) => Promise<number[]>;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly onWithdrawn: (root: string, offenders: readonly Offender[]) => void;
}

/**
 * Judges each sealed dataset once before it is committed, by all that anyone could show against one of its entries
 * later. One whose entries may not all be committed is withdrawn: it keeps its folder and its place in the log, and the
 * other entries become a batch that is sealed like any other. Each step is durable before the next and harmless to do
 * again, so recovery after a crash is this same code.
 */
export class DatasetInspector {
  readonly #options: InspectorOptions;
  readonly #deps: InspectorDeps;
  /** What the chain said against a dataset's devices when it was found in order, by batch. */
  readonly #inspected = new Map<number, string>();
  #publicAgainMs = 0;

  constructor(options: InspectorOptions, deps: InspectorDeps) {
    this.#options = options;
    this.#deps = deps;
  }

  /** @throws WaystoneError as `ForgeDatasets.inspect` says. */
  async inspect(id: ForgeDatasetId, devices: DevicesOnChain): Promise<'in order' | 'withdrawn'> {
    const { ledger, clock } = this.#deps;
    const facts = await ledger.toInspect(id);
    if (facts.isWithdrawn) return 'withdrawn';
    const revoked = devices.revoked.filter(
      ([, atUs]) => facts.lastReceivedAtUs > atUs + REVOCATION_GRACE_US,
    );
    const against = JSON.stringify(revoked);
    const isPlain = revoked.length === 0;
    if (isPlain && (facts.inspectedAtUs !== null || facts.wasOnChain)) return 'in order';
    if (this.#inspected.get(facts.batch) === against) return 'in order';
    const offenders = await this.#offenders(facts, { revoked });
    if (offenders.length > 0) {
      await this.#withdraw(facts, offenders);
      return 'withdrawn';
    }
    await ledger.markInspected(facts.batch, clock.nowUs());
    if (this.#inspected.size >= LOOKS_KEPT) this.#inspected.clear();
    if (!isPlain) this.#inspected.set(facts.batch, against);
    return 'in order';
  }

  async #offenders(facts: DatasetToInspect, devices: DevicesOnChain): Promise<Offender[]> {
    const { datasets } = this.#deps;
    const { root, count } = facts;
    const { offenders, realm, entries } = await datasets.inspect(root, { ...facts, ...devices });
    if (!this.#isOurs(realm)) {
      throw new WaystoneError(
        'DATASET_REALM_FOREIGN',
        `dataset ${root} was sealed for another chain or iDAO (realm ${realm}, ours is ${this.#options.realm}); it waits until the gateway is set to that one again`,
      );
    }
    const codes = new Map<number, OffenceCode>(offenders.map(({ index, code }) => [index, code]));
    for (const index of await this.#unlikeReceipts(root, count)) {
      if (!codes.has(index)) codes.set(index, 'ENTRY_DIFFERS');
    }
    if (codes.size === 0) {
      await datasets.checkServed(this.#options.servedAt(root), entries.sha256);
      await this.#lookAtPublic(root, count);
    }
    return [...codes].map(([index, code]) => ({ index, code })).sort((a, b) => a.index - b.index);
  }

  #isOurs(realm: string): boolean {
    const { realm: own, chainId } = this.#options;
    return realm === own || (realm === ZERO_REALM && LOCAL_CHAIN_IDS.includes(chainId));
  }

  async #unlikeReceipts(root: string, count: number): Promise<number[]> {
    const file = await open(join(this.#options.datasetsFolder, root, DATASET_FILES.entries), 'r');
    const found: number[] = [];
    try {
      for (let first = 0; first < count; first += RECEIPTS_EACH) {
        const size = Math.min(RECEIPTS_EACH, count - first) * ENTRY_BYTES;
        const { buffer, bytesRead } = await file.read(
          new Uint8Array(size),
          ...([0, size, first * ENTRY_BYTES] as const),
        );
        const run = buffer.subarray(0, bytesRead - (bytesRead % ENTRY_BYTES));
        for (const at of await this.#deps.unlikeReceipt(run)) found.push(first + at);
      }
    } finally {
      await file.close();
    }
    return found;
  }

  async #lookAtPublic(root: string, entries: number): Promise<void> {
    const { datasets, clock, logger } = this.#deps;
    const url = this.#options.publicAt(root);
    if (url === '' || clock.monotonicMs() < this.#publicAgainMs) return;
    const { code, what } = await datasets.lookAtPublic(url, entries);
    if (code === '') return;
    this.#publicAgainMs = clock.monotonicMs() + PUBLIC_AGAIN_MS;
    logger.warn(
      { code, url },
      `the public address ${what}; forging goes on, since a box may not reach its own address, but look from elsewhere`,
    );
  }

  async #withdraw(
    { batch, root, count }: DatasetToInspect,
    offenders: readonly Offender[],
  ): Promise<void> {
    const { ledger, datasets, clock, logger, onWithdrawn } = this.#deps;
    const { chainId } = this.#options;
    crashPoint('withdraw:found');
    const rest = await datasets.writeRest(
      root,
      batch,
      offenders.map(({ index }) => index),
    );
    crashPoint('withdraw:rest-written');
    const atUs = clock.nowUs();
    const successor = await ledger.withdraw({ batch, chainId, offenders, rest, atUs });
    crashPoint('withdraw:recorded');
    logger.warn(
      {
        batch,
        root,
        entries: count,
        offenders: offenders.length,
        ...reasonsOf(offenders),
        successor,
      },
      'dataset withdrawn: not all of its entries may be committed; the others are sealed anew',
    );
    onWithdrawn(root, offenders);
  }
}

function reasonsOf(offenders: readonly Offender[]): Partial<Record<OffenceCode, number>> {
  const reasons: Partial<Record<OffenceCode, number>> = {};
  for (const { code } of offenders) reasons[code] = (reasons[code] ?? 0) + 1;
  return reasons;
}
