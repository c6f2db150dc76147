import type { FsckResult } from './fsck.js';
import type { CheckResult, Finding } from './report.js';

const MARKS = { passed: '✓', failed: '✗', skipped: '–' } as const;

/** The report as plain lines: the checks, what was found, the verdict. No newline at the end. */
export function renderFsck(result: FsckResult): string {
  const lines = result.checks.map(checkLine);
  for (const finding of result.findings) lines.push('', ...findingLines(finding));
  for (const [code, more] of Object.entries(result.unlisted))
    lines.push('', `${code}: and ${more} more like it`);
  return [...lines, '', result.verdict].map(printable).join('\n');
}

function checkLine({ name, status, counts, faults, leftovers, notes }: CheckResult): string {
  const parts = Object.entries(counts).map(
    ([what, count]) => `${count.toLocaleString('en')} ${what}`,
  );
  if (faults > 0) parts.push(`${faults} faults`);
  if (leftovers > 0) parts.push(`${leftovers} leftovers`);
  if (notes > 0) parts.push(`${notes} notes`);
  const detail = status === 'skipped' ? 'not reached' : parts.join(', ') || 'nothing there';
  return `${MARKS[status]} ${name}: ${detail}`;
}

function findingLines(finding: Finding): string[] {
  const { code, severity, what, means, todo, repaired, heldBack } = finding;
  const lines = [`${code} (${severity}): ${what}`, `  means: ${means}`];
  if (repaired !== null) return [...lines, `  repaired: ${repaired}`];
  if (heldBack !== null) lines.push(`  not repaired: ${heldBack}`);
  return [...lines, `  do: ${todo}`];
}

/** File names and rows are other people's words: none of them may move the reader's cursor. */
function printable(text: string): string {
  return text.replace(
    /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu,
    (char) => `\\u{${(char.codePointAt(0) as number).toString(16)}}`,
  );
}
