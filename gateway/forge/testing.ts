import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type Database from 'better-sqlite3';
import type {
  DevicesOnChain,
  EntryProof,
  ForgeDataset,
  ForgeDatasetId,
  ForgeDatasets,
  ForgeJournal,
  ForgeKey,
  ForgeResult,
  KeyProof,
} from '../core/forge-ports.js';
import type { Logger } from '../core/logger.js';
import { FORGE_JOURNAL_DDL, forgeJournalOperations } from '../ledger/forge-journal.js';

/** A folder of its own for each test, and its end. */
export function temporaryFolder(): { folder: string; remove: () => void } {
  const folder = mkdtempSync(join(tmpdir(), 'waystone-forge-'));
  return { folder, remove: () => rmSync(folder, { recursive: true, force: true }) };
}

/** The ledger's own journal in a database, called as its thread would be: answered later, each error a rejection. */
export function journalIn(db: Database.Database): ForgeJournal {
  db.exec(FORGE_JOURNAL_DDL);
  const operations = forgeJournalOperations(db);
  return new Proxy({} as ForgeJournal, {
    get: (_target, name) => {
      const operation = operations[name as keyof typeof operations] as (...a: unknown[]) => unknown;
      return async (...args: unknown[]) => operation(...args);
    },
  });
}

/** Keeps what is logged, for a failing test to show. */
export class MemoryLog implements Logger {
  readonly lines: string[] = [];
  trace = (): void => undefined;
  debug = (): void => undefined;
  info = (fields: object, message: string): void => this.#keep('info', fields, message);
  warn = (fields: object, message: string): void => this.#keep('warn', fields, message);
  error = (fields: object, message: string): void => this.#keep('error', fields, message);

  #keep(level: string, fields: object, message: string): void {
    this.lines.push(`${level} ${message} ${JSON.stringify(fields)}`);
  }
}

/** A key as the registry takes it; the point need not be on the curve for that. */
export function someKey(seed: string): ForgeKey {
  const publicKey = `02${createHash('sha256').update(seed).digest('hex')}`;
  const deviceId = createHash('sha256')
    .update(Buffer.from(`e701${publicKey}`, 'hex'))
    .digest('hex');
  return { deviceId, keyType: 1, publicKey };
}

/**
 * Sealed datasets in memory, with the rules of the real ones: log order, reported ones are no longer ready, and one
 * dataset never gets two tokens.
 */
export class MemoryDatasets implements ForgeDatasets {
  readonly #sealed: ForgeDataset[] = [];
  readonly #results = new Map<number, ForgeResult>();
  readonly #logId = randomBytes(16).toString('hex');
  readonly #watchers: (() => void)[] = [];
  readonly reports: ForgeResult[] = [];

  /** Seals `count` more datasets. */
  seal(count: number, changes: Partial<ForgeDataset> = {}): void {
    for (let i = 0; i < count; i++) {
      const index = this.#sealed.length;
      const hash = (text: string): string =>
        createHash('sha256').update(`${text} ${this.#logId} ${index}`).digest('hex');
      this.#sealed.push({
        logId: this.#logId,
        index,
        root: hash('root'),
        count: 10 + index,
        manifestHash: hash('manifest'),
        minTimeUs: 1_532_673_600_000_000,
        maxTimeUs: 1_532_673_660_000_000,
        url: '',
        devices: [someKey('device a'), someKey(`device ${index % 3}`)],
        ...changes,
      });
    }
  }

  async ready(limit: number): Promise<ForgeDataset[]> {
    return this.#sealed
      .filter(({ index }) => !this.#results.has(index) && !this.withdrawn.has(index))
      .slice(0, limit);
  }

  /** What was withdrawn, and what the chain said; these have no entries that could tell more. */
  readonly withdrawn = new Map<number, DevicesOnChain>();
  /** Whether entries of devices that were revoked came too late. */
  isLate = false;
  /** Datasets whose own entries offend, by index. */
  readonly offending = new Set<number>();

  async inspect(
    { index }: ForgeDatasetId,
    devices: DevicesOnChain,
  ): Promise<'in order' | 'withdrawn'> {
    const isLate = this.isLate && devices.revoked.length > 0;
    if (!isLate && !this.offending.has(index)) return 'in order';
    this.withdrawn.set(index, devices);
    return 'withdrawn';
  }

  /** Entries by root; those of made-up datasets are nowhere. */
  readonly entries = new Map<string, readonly EntryProof[]>();

  async entry(root: string, index: number): Promise<EntryProof> {
    const found = this.entries.get(root)?.[index];
    if (found === undefined) throw new RangeError(`no entry ${index} of ${root}`);
    return found;
  }

  /** By key id; what devices gave. */
  readonly keyProofs = new Map<string, KeyProof>();

  async proofs(deviceIds: readonly string[]): Promise<KeyProof[]> {
    return deviceIds.flatMap((id) => this.keyProofs.get(id) ?? []);
  }

  /** Roots of published datasets. */
  readonly published: string[] = [];
  /** Metadata by token id. */
  readonly metadata = new Map<string, string>();

  async publish(root: string): Promise<void> {
    this.published.push(root);
  }

  async describe(tokenId: string, metadata: string): Promise<void> {
    this.metadata.set(tokenId, metadata);
  }

  async entriesHash(root: string): Promise<string> {
    return createHash('sha256').update(`entries ${root}`).digest('hex');
  }

  async committed(id: ForgeDatasetId): Promise<void> {
    if (id.logId !== this.#logId) throw new RangeError(`no log ${id.logId}`);
  }

  async forged(result: ForgeResult): Promise<void> {
    const known = this.#results.get(result.index);
    if (known !== undefined && known.tokenId !== result.tokenId) {
      throw new RangeError(`dataset ${result.index} has token ${known.tokenId} already`);
    }
    this.#results.set(result.index, result);
    this.reports.push(result);
    for (const watcher of this.#watchers.splice(0)) watcher();
  }

  get sealed(): readonly ForgeDataset[] {
    return this.#sealed;
  }

  get results(): ForgeResult[] {
    return [...this.#results.values()];
  }

  /** Resolves once all that is sealed is forged. */
  async allForged(): Promise<void> {
    while (this.#results.size < this.#sealed.length) {
      await new Promise<void>((resolve) => this.#watchers.push(resolve));
    }
  }
}
