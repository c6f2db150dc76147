import type { LazaiFileFacts } from '../../core/forge-ports.js';
import type { BatchStatus } from '../../core/view.js';
import type { AddCommand } from '../cli.js';
import { count, date, pairs, size, span, table } from '../format.js';

export const addBatches: AddCommand = (program, act) => {
  const batches = program
    .command('batches')
    .description('what becomes of the data: open, sealed, committed, forged')
    .addHelpText('after', '\nExample:\n  waystone batches list');

  const list = batches
    .command('list')
    .description('list the newest batches, and what each waits for')
    .option('--limit <number>', 'how many, 1 to 1000', '20')
    .addHelpText('after', '\nExample:\n  waystone batches list --limit 5');
  act<{ limit: string }>(list, async (call) => {
    const path = `/v1/batches?limit=${encodeURIComponent(call.options.limit)}`;
    const answer = await (await call.api()).get<{ batches: BatchStatus[] }>(path);
    call.print(answer, () => batchTable(answer.batches));
    return undefined;
  });

  const show = batches
    .command('show')
    .argument('<id>', 'number of the batch')
    .description('show one batch')
    .addHelpText('after', '\nExample:\n  waystone batches show 3');
  act(show, async (call, id = '') => {
    const path = `/v1/batches/${encodeURIComponent(id)}`;
    const batch = await (await call.api()).get<BatchStatus>(path);
    call.print(batch, () => describeBatch(batch));
    return undefined;
  });

  const seal = batches
    .command('seal')
    .description('close every open batch now, whatever its age')
    .addHelpText('after', '\nExample:\n  waystone batches seal');
  act(seal, async (call) => {
    const { body } = await (await call.api()).ask<{ batches: number[] }>(
      'POST',
      '/v1/batches/seal',
    );
    call.print(body, () =>
      body.batches.length === 0
        ? 'no batch is open\n'
        : `closed ${body.batches.length === 1 ? 'batch' : 'batches'} ${body.batches.join(', ')}\n`,
    );
    return undefined;
  });
};

export function batchTable(batches: readonly BatchStatus[]): string {
  return table(
    ['>BATCH', 'STATE', 'STREAM', '>FRAMES', '>DEVICES', '>SIZE', '>AGE', 'WAITS FOR'],
    batches.map((batch) => [
      String(batch.id),
      batch.state,
      batch.streamName,
      count(batch.frames),
      count(batch.devices),
      size(batch.bytes),
      span(batch.ageSeconds),
      batch.waitsFor || describeWithdrawal(batch.withdrawal),
    ]),
    'no batch yet: no device has sent anything',
  );
}

function describeBatch(batch: BatchStatus): string {
  return pairs([
    ['batch', String(batch.id)],
    ['state', batch.state],
    ['waits for', batch.waitsFor || 'nothing, it is done'],
    ...withdrawalRows(batch.withdrawal),
    ['stream', `${batch.streamName} (${batch.stream})`],
    [
      'holds',
      `${count(batch.frames)} frames in ${count(batch.entries)} entries, ${size(batch.bytes)}`,
    ],
    ['devices', count(batch.devices)],
    ['signatures', batch.signatures],
    ['opened', `${date(batch.openedAtUs)}, ${span(batch.ageSeconds)} old`],
    ['last data', date(batch.lastReceivedAtUs)],
    ['sealed', batch.sealedAtUs === null ? 'not yet' : date(batch.sealedAtUs)],
    ['root', batch.root ?? 'not yet'],
    ...describeDat(batch.dat),
  ]);
}

/** Why a dataset gets no DAT and where the rest of it is, in a few words; "" when it was not withdrawn. */
export function describeWithdrawal(withdrawal: BatchStatus['withdrawal']): string {
  if (withdrawal === null) return '';
  const { reasons, successor } = withdrawal;
  const parts = Object.entries(reasons).map(([code, entries]) => `${count(entries)} ${code}`);
  const rest = successor === null ? 'nothing is left of it' : `the rest is in batch ${successor}`;
  return `withdrawn: ${parts.join(', ')}; ${rest}`;
}

/** The same, as rows. */
export function withdrawalRows(withdrawal: BatchStatus['withdrawal']): [string, string][] {
  if (withdrawal === null) return [];
  const root = withdrawal.successorRoot;
  return [
    ['withdrawn', `${date(withdrawal.atUs)}; entries that may not be committed, by reason:`],
    ...Object.entries(withdrawal.reasons).map(([code, entries]): [string, string] => [
      '',
      `${count(entries)} ${code}`,
    ]),
    [
      'the rest',
      withdrawal.successor === null
        ? 'none: no entry is left'
        : `batch ${withdrawal.successor}, ${root === null ? 'not sealed yet' : `dataset ${root}`}`,
    ],
  ];
}

/** The DAT of a batch or dataset, as rows. */
export function describeDat(dat: BatchStatus['dat']): [string, string][] {
  if (dat === null) return [['DAT', 'not yet']];
  return [
    [
      'DAT',
      dat.lazai === undefined
        ? `token ${dat.tokenId}, class ${dat.classId}`
        : `token ${dat.tokenId} of LazAI, for its file ${dat.lazai.fileId}`,
    ],
    ['owner', dat.owner],
    ['contract', `${dat.contract} on chain ${dat.chainId}`],
    ['transaction', dat.transaction],
    ...describeLazai(dat.lazai),
  ];
}

function describeLazai(file: LazaiFileFacts | undefined): [string, string][] {
  if (file === undefined) return [];
  return [
    ['LazAI score', `${file.lazaiScore}; LazAI's number, which says nothing of quality`],
    ['LazAI url', file.url],
  ];
}
