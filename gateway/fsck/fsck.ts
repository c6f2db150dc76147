import { join } from 'node:path';
import { loadKeys } from '../config/index.js';
import { messageOf, WaystoneError } from '../core/errors.js';
import { GatewayKey } from '../core/gateway-key.js';
import { checkBatchContents } from './check-batch-contents.js';
import { checkBatches } from './check-batches.js';
import { checkCounters } from './check-counters.js';
import { checkDevices } from './check-devices.js';
import { checkForging } from './check-forging.js';
import { checkIdentity } from './check-identity.js';
import { checkLedgerFile, LEDGER_FILE } from './check-ledger-file.js';
import { checkLocalChain } from './check-local-chain.js';
import { checkLog } from './check-log.js';
import { checkRanges } from './check-ranges.js';
import { checkStatements } from './check-statements.js';
import { checkStrayBatchFiles, checkStrayDatasets } from './check-stray-files.js';
import { checkSums } from './check-sums.js';
import type { FsckCode } from './codes.js';
import type { FsckContext } from './context.js';
import { keepGatewaysOut, openLedger } from './open-ledger.js';
import { type CheckName, type CheckResult, type Finding, FsckReport } from './report.js';

export interface FsckOptions {
  /** With the gateway's keys. */
  readonly home: string;
  readonly dataFolder: string;
  /** Mends what is provably safe; without it nothing is changed. */
  readonly repair?: boolean;
  /** Checks datasets by the hashes in their manifests only. */
  readonly quick?: boolean;
  /** Called often. @param total null while it is not known. */
  readonly onProgress?: (check: CheckName, done: number, total: number | null) => void;
}

/** Exit codes of `waystone fsck`, as those of `waystone verify`; 2 is what cannot be read, or a wrong option. */
export const FSCK_EXIT_CODES = { clean: 0, faults: 1, unreadable: 2 } as const;

export interface FsckResult {
  readonly type: 'waystone-fsck';
  readonly home: string;
  readonly dataFolder: string;
  /** `faults`: at least one is left. Leftovers and notes alone are clean. */
  readonly result: 'clean' | 'faults';
  readonly exitCode: 0 | 1;
  readonly verdict: string;
  readonly checks: readonly CheckResult[];
  readonly findings: readonly Finding[];
  /** Further findings of a code, which are counted but not listed. */
  readonly unlisted: Partial<Record<FsckCode, number>>;
}

/**
 * Reads everything that a gateway keeps and trusts nothing of it. The data folder's lock keeps gateways out meanwhile.
 * Memory is bounded: tables and files are walked once or twice, a row, a run or a page at a time.
 *
 * @throws WaystoneError DATA_FOLDER_LOCKED, HOME_MISSING, LEDGER_MISSING, LEDGER_UNREADABLE, LEDGER_TOO_NEW or
 *   LEDGER_TOO_OLD; `waystone fsck` ends with code 2 then.
 */
export async function fsck(options: FsckOptions): Promise<FsckResult> {
  const { home, dataFolder } = options;
  const report = new FsckReport();
  const key = await readKey(home, report);
  const lock = keepGatewaysOut(dataFolder);
  try {
    const ledger = openLedger(join(dataFolder, LEDGER_FILE));
    try {
      await runChecks({
        home,
        dataFolder,
        db: ledger.db,
        report,
        key,
        isQuick: options.quick === true,
        progress: options.onProgress ?? (() => undefined),
      });
    } finally {
      ledger.close();
    }
    if (options.repair === true) await report.repair();
  } finally {
    lock.release();
  }
  return resultOf(options, report);
}

async function readKey(home: string, report: FsckReport): Promise<GatewayKey | null> {
  try {
    return new GatewayKey((await loadKeys(home)).gateway.privateKey);
  } catch (error) {
    if (error instanceof WaystoneError && error.code === 'HOME_MISSING') throw error;
    report.find('identity', 'GATEWAY_KEY_UNREADABLE', messageOf(error));
    return null;
  }
}

async function runChecks(context: FsckContext): Promise<void> {
  let settled: ReadonlySet<number> = new Set();
  const steps: readonly (readonly [CheckName, () => void | Promise<void>])[] = [
    ['ledger file', () => checkLedgerFile(context)],
    ['identity', () => checkIdentity(context)],
    ['devices', () => checkDevices(context)],
    ['log', () => checkLog(context)],
    ['batches', () => checkBatches(context)],
    ['statements', () => checkStatements(context)],
    ['ranges', () => checkRanges(context)],
    [
      'datasets',
      async () => {
        settled = await checkBatchContents(context);
      },
    ],
    ['batch files', () => checkStrayBatchFiles(context, settled)],
    ['datasets', () => checkStrayDatasets(context)],
    ['forging', () => checkForging(context)],
    ['local chain', () => checkLocalChain(context)],
    ['counters', () => checkCounters(context)],
    ['counters', () => checkSums(context)],
  ];
  for (const [check, run] of steps) {
    try {
      await run();
    } catch (error) {
      // A ledger that is damaged enough stops any walk; the other checks still tell what they can.
      const { code = '' } = error as { code?: string };
      context.report.find(
        check,
        code.startsWith('SQLITE_') ? 'LEDGER_DAMAGED' : 'CHECK_STOPPED',
        `the check of ${check} could not go on: ${messageOf(error)}`,
      );
    }
  }
}

function resultOf({ home, dataFolder, repair }: FsckOptions, report: FsckReport): FsckResult {
  const result = report.faultsLeft > 0 ? 'faults' : 'clean';
  const parts = [
    ...(report.faultsLeft > 0 ? [counted(report.faultsLeft, 'fault')] : ['clean']),
    ...(report.leftoversLeft > 0 ? [counted(report.leftoversLeft, 'leftover')] : []),
  ];
  const repaired = report.findings.filter((finding) => finding.repaired !== null).length;
  if (repair === true) parts.push(`${repaired} repaired`);
  return {
    type: 'waystone-fsck',
    home,
    dataFolder,
    result,
    exitCode: FSCK_EXIT_CODES[result],
    verdict: parts.join(', '),
    checks: report.checks,
    findings: report.findings,
    unlisted: report.unlisted,
  };
}

function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`;
}
