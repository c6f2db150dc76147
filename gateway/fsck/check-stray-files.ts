import { readdirSync, readFileSync, rmSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { DATASET_FILES, decodeManifest, type Manifest } from '@waystone/proto';
import { BATCH_FILES_FOLDER } from '../core/batch-file.js';
import { syncFolderNow } from '../core/durable.js';
import { checkFolder, datasetsFolder } from './check-dataset.js';
import { type BatchRecord, type FsckContext, isUnsealed } from './context.js';
import type { CheckName, Repair } from './report.js';

/** What must be sound before anything that may hold frames is removed: that nothing is missing elsewhere. */
const ALL_IS_ACCOUNTED_FOR: readonly CheckName[] = [
  'ledger file',
  'identity',
  'log',
  'batches',
  'statements',
  'batch files',
  'datasets',
];

/** Names in the folder of batch files that no unsealed batch has. @param settled as {@link checkBatchContents} says. */
export function checkStrayBatchFiles(context: FsckContext, settled: ReadonlySet<number>): void {
  const { dataFolder, db, report } = context;
  const folder = join(dataFolder, BATCH_FILES_FOLDER);
  const find = db.prepare('SELECT * FROM batches WHERE id = ?');
  for (const name of namesIn(folder)) {
    const file = join(folder, name);
    if (!/^[1-9]\d{0,15}$/.test(name)) {
      report.find('batch files', 'BATCH_FILE_FOREIGN', `${file} is no batch file`, { file });
      continue;
    }
    const batch = find.get(Number(name)) as BatchRecord | undefined;
    if (batch !== undefined && isUnsealed(batch)) continue;
    if (batch !== undefined && !settled.has(batch.id)) {
      report.find(
        'batch files',
        'BATCH_FILE_LAST_COPY',
        `${file} is still there, and the dataset of batch ${batch.id} is not whole`,
        { batch: batch.id, file },
      );
      continue;
    }
    const why =
      batch === undefined
        ? 'belongs to a batch that was never committed'
        : `belongs to batch ${batch.id}, which is ${batch.state}`;
    report.find(
      'batch files',
      'BATCH_FILE_STRAY',
      `${file} ${why}`,
      { file },
      {
        needs: ALL_IS_ACCOUNTED_FOR,
        run: () => {
          unlinkSync(file);
          syncFolderNow(folder);
          return `removed ${file}`;
        },
      },
    );
  }
}

/** What a name in the folder of datasets stands for. */
type DatasetName =
  | { readonly kind: 'temporary' }
  | { readonly kind: 'foreign' }
  | { readonly kind: 'dataset' | 'removed' | 'checkpoint'; readonly root: string };

const NAMES = [
  ['dataset', /^([0-9a-f]{64})$/],
  ['removed', /^\.removed-([0-9a-f]{64})$/],
  ['checkpoint', /^([0-9a-f]{64})\.checkpoint\.tmp$/],
] as const;

function parseName(name: string): DatasetName {
  if (/^\.tmp-(rest-)?\d+$/.test(name)) return { kind: 'temporary' };
  for (const [kind, pattern] of NAMES) {
    const root = pattern.exec(name)?.[1];
    if (root !== undefined) return { kind, root };
  }
  return { kind: 'foreign' };
}

/** Names in the folder of datasets that the ledger does not account for. */
export async function checkStrayDatasets(context: FsckContext): Promise<void> {
  const { db, report } = context;
  const folder = datasetsFolder(context);
  const find = db.prepare('SELECT * FROM batches WHERE root = ?');
  for (const name of namesIn(folder)) {
    const path = join(folder, name);
    const remove = (needs: readonly CheckName[]): Repair => ({
      needs,
      run: () => {
        rmSync(path, { recursive: true, force: true });
        syncFolderNow(folder);
        return `removed ${path}`;
      },
    });
    const is = parseName(name);
    if (is.kind === 'foreign') {
      report.find('datasets', 'DATASET_UNKNOWN', `${path} is no dataset folder`, { path });
      continue;
    }
    if (is.kind === 'temporary') {
      const what = `${path} was never finished`;
      report.find('datasets', 'DATASET_UNFINISHED', what, { path }, remove(ALL_IS_ACCOUNTED_FOR));
      continue;
    }
    if (is.kind === 'checkpoint') {
      const what = `${path} was never put into its folder`;
      const repair = remove(['ledger file', 'identity']);
      report.find('datasets', 'DATASET_CHECKPOINT_UNFINISHED', what, { path }, repair);
      continue;
    }
    const batch = find.get(Buffer.from(is.root, 'hex')) as BatchRecord | undefined;
    if (batch !== undefined && batch.removed_at_us !== null) {
      const what = `${path} is of batch ${batch.id}, whose files were to be removed`;
      const repair = remove(['ledger file', 'identity', 'log', 'batches']);
      report.find('datasets', 'DATASET_HALF_REMOVED', what, { path, batch: batch.id }, repair);
    } else if (is.kind === 'removed') {
      const what = `${path} is on its way out, but the ledger does not say that it was to go`;
      report.find('datasets', 'DATASET_REMOVED_EARLY', what, { path });
    } else if (batch === undefined) {
      await checkUnknownDataset(context, path);
    }
  }
}

/** Killed between publishing and logging, the gateway leaves a dataset that its ledger does not know yet. */
async function checkUnknownDataset(context: FsckContext, path: string): Promise<void> {
  const { db, report } = context;
  const manifest = readManifest(path);
  const sealing =
    manifest === null
      ? undefined
      : db
          .prepare("SELECT id FROM batches WHERE state = 'frozen' AND log_id = ? AND log_index = ?")
          .pluck()
          .get(Buffer.from(manifest.logId, 'hex'), manifest.logIndex);
  if (sealing !== undefined) {
    report.find(
      'datasets',
      'DATASET_UNLOGGED',
      `${path} is of batch ${sealing}, which is being sealed`,
      {
        path,
        batch: sealing as number,
      },
    );
    await checkFolder(context, path, true);
    return;
  }
  const whose =
    manifest === null
      ? 'its manifest cannot be read'
      : `it says that it is record ${manifest.logIndex} of log ${manifest.logId}, sealed by ${manifest.gateway}`;
  report.find('datasets', 'DATASET_UNKNOWN', `the ledger does not know ${path}; ${whose}`, {
    path,
  });
}

function readManifest(path: string): Manifest | null {
  try {
    return decodeManifest(readFileSync(join(path, DATASET_FILES.manifest)));
  } catch {
    return null;
  }
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder).sort();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}
