import type {
  FiledChallenge,
  SearchedDataset,
  SearchResult,
  TriedFinding,
} from '../challenge/search.js';
import { sent } from './chain-options.js';
import { date, plain } from './format.js';

/** The result as JSON can hold it. */
export function plainSearch({ datasets, findings, counts, notes }: SearchResult): object {
  return {
    datasets: datasets.map(({ path, root, entries, dataset, mismatch }) => ({
      ...{ path, root, entries, mismatch },
      key: dataset?.key ?? null,
      idao: dataset?.record.idao ?? null,
      status: dataset?.status ?? 'absent',
      isOpen: dataset?.isOpen ?? false,
      openUntil: dataset?.openUntil ?? null,
    })),
    findings: findings.map(({ fault, key, entries, detail, refusal }) => ({
      ...{ fault, key, entries, detail, refusal },
    })),
    ...{ counts, notes },
  };
}

export function describeSearch({ datasets, findings, counts, notes }: SearchResult): string {
  const total = Object.values(counts).reduce((sum, count) => sum + count, 0);
  const more = total > findings.length ? `${total - findings.length} more like these\n` : '';
  const faults = findings.map(describeFinding).join('');
  return [
    ...datasets.map(describeDataset),
    faults === '' ? 'no fault that a contract would uphold\n' : `${faults}${more}`,
    ...notes.map((line) => `note     ${plain(line)}\n`),
    ...(faults === '' || notes.length > 0
      ? ['what a bond does not answer for, waystone verify tells\n']
      : []),
  ].join('');
}

function describeDataset({ path, root, entries, dataset, mismatch }: SearchedDataset): string {
  const name = `dataset ${plain(path)}\n  root ${root}, ${entries} entries\n`;
  if (dataset === null) return `${name}  ${plain(mismatch ?? '')}\n`;
  const { status, isOpen, openUntil, record } = dataset;
  const until = date(openUntil * 1e6);
  const window = isOpen ? `may be challenged until ${until}` : `its window ended at ${until}`;
  const iDAO = `  iDAO ${record.idao}, dataset ${record.index} of log ${record.logId.slice(2)}\n`;
  const other = mismatch === null ? '' : `  ${plain(mismatch)}\n`;
  return `${name}${iDAO}  ${status}, ${window}\n${other}`;
}

function describeFinding({ fault, detail, refusal }: TriedFinding): string {
  const verdict = refusal === null ? 'fault  ' : 'shown  ';
  const why = refusal === null ? '' : `\n         not upheld now: ${plain(refusal)}`;
  return `${verdict}  ${fault}: ${plain(detail)}${why}\n`;
}

/** What became of the challenges that were sent. */
export function describeFiled(filed: readonly FiledChallenge[]): string {
  if (filed.length === 0) return 'nothing was filed\n';
  return filed
    .map(({ fault, detail, transaction, gas, refusal }) =>
      transaction === null
        ? `refused  ${fault}: ${plain(detail)}\n  ${plain(refusal ?? '')}\n`
        : `upheld   ${fault}: ${plain(detail)}${sent({ transaction, gas, block: 0 })}`,
    )
    .join('');
}
