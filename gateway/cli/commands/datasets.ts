import type { Manifest } from '@waystone/proto';
import type { DatasetStatus } from '../../core/view.js';
import type { AddCommand } from '../cli.js';
import { completeRoot } from '../complete-root.js';
import { ago, count, date, pairs, table } from '../format.js';
import { describeDat, describeWithdrawal, withdrawalRows } from './batches.js';

/** Hex digits of a root in the list; enough to name a dataset by. */
const ROOT_CHARS_SHOWN = 16;

export const addDatasets: AddCommand = (program, act) => {
  const datasets = program
    .command('datasets')
    .description('the sealed datasets')
    .addHelpText('after', '\nExample:\n  waystone datasets list');

  const list = datasets
    .command('list')
    .description('list the newest datasets')
    .option('--limit <number>', 'how many, 1 to 1000', '20')
    .addHelpText('after', '\nExample:\n  waystone datasets list --limit 5');
  act<{ limit: string }>(list, async (call) => {
    const path = `/v1/datasets?limit=${encodeURIComponent(call.options.limit)}`;
    const answer = await (await call.api()).get<{ datasets: DatasetStatus[] }>(path);
    call.print(answer, () => datasetTable(answer.datasets, call.terminal.nowMs() * 1000));
    return undefined;
  });

  const show = datasets
    .command('show')
    .argument('<root>', 'root of the dataset, or enough of its first digits')
    .description('show one dataset')
    .addHelpText('after', '\nExample:\n  waystone datasets show 3f9a62c1');
  act(show, async (call, given = '') => {
    const api = await call.api();
    const root = await completeRoot(api, given.toLowerCase());
    const dataset = await api.get<DatasetStatus & { manifest: Manifest | null }>(
      `/v1/datasets/${encodeURIComponent(root)}`,
    );
    call.print(dataset, () => describeDataset(dataset));
    return undefined;
  });
};

function datasetTable(datasets: readonly DatasetStatus[], nowUs: number): string {
  return table(
    ['>LOG', 'ROOT', 'STATE', '>FRAMES', '>SEALED', '>DAT', 'WAITS FOR'],
    datasets.map((dataset) => [
      String(dataset.logIndex),
      dataset.root.slice(0, ROOT_CHARS_SHOWN),
      dataset.state,
      count(dataset.frames),
      ago(dataset.sealedAtUs, nowUs),
      dataset.dat === null
        ? '-'
        : `${dataset.dat.target === 'lazai' ? 'LazAI ' : ''}#${dataset.dat.tokenId}`,
      dataset.waitsFor || describeWithdrawal(dataset.withdrawal),
    ]),
    'no dataset yet; waystone batches list shows what is open, waystone batches seal closes it',
  );
}

function describeDataset(dataset: DatasetStatus & { manifest: Manifest | null }): string {
  const { manifest } = dataset;
  return pairs([
    ['root', dataset.root],
    ['state', dataset.state],
    ['waits for', dataset.waitsFor || 'nothing, it is done'],
    ...withdrawalRows(dataset.withdrawal),
    ['holds', `${count(dataset.frames)} frames in ${count(dataset.entries)} entries`],
    ...(manifest === null ? [] : describeManifest(manifest)),
    ['sealed', `${date(dataset.sealedAtUs)}, from batch ${dataset.batch}`],
    ['log', `${dataset.logId}, place ${dataset.logIndex}`],
    ['manifest hash', dataset.manifestHash],
    ...describeDat(dataset.dat),
    [
      'folder',
      dataset.removedAtUs === null
        ? dataset.folder
        : `removed by retention on ${date(dataset.removedAtUs)}`,
    ],
  ]);
}

function describeManifest(manifest: Manifest): [string, string][] {
  return [
    ['stream', `${manifest.streamName} (${manifest.stream})`],
    ['devices', count(manifest.devices.length)],
    [
      'times',
      `${date(manifest.time.minUs)} to ${date(manifest.time.maxUs)} (${manifest.time.base})`,
    ],
    ['signatures', manifest.signatures],
  ];
}
