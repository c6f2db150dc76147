import type { CheckStatus, Verification, Where } from './report.js';

const MARKS: Record<CheckStatus, string> = { passed: '✓', failed: '✗', skipped: '–' };

/** A verification as plain lines: one for each check, the verdict last, no newline at the end. */
export function renderVerification(verification: Verification): string {
  const lines = verification.checks.map(({ name, status, detail, where }) => {
    const place = where === undefined ? '' : ` [${describeWhere(where)}]`;
    return `${MARKS[status]} ${name}: ${detail}${place}`;
  });
  return [...lines, verification.verdict].map(printable).join('\n');
}

/** `entries, entry 3, bytes 840..1119`; the last byte is included here, as people count. */
export function describeWhere(where: Where): string {
  const parts = [where.file];
  if (where.entry !== undefined) parts.push(`entry ${where.entry}`);
  if (where.frame !== undefined) parts.push(`frame ${where.frame}`);
  if (where.sequence !== undefined) parts.push(`sequence ${where.sequence}`);
  if (where.bytes !== undefined) parts.push(`bytes ${where.bytes[0]}..${where.bytes[1] - 1}`);
  return parts.join(', ');
}

/** File names and manifests are other people's words: none of them may move the reader's cursor. */
function printable(text: string): string {
  return text.replace(
    /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu,
    (char) => `\\u{${(char.codePointAt(0) as number).toString(16)}}`,
  );
}
