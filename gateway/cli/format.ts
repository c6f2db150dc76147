/** Text for people: numbers with their units, relative times, aligned tables. */

/** `1280` → `1,280`. */
export function count(value: number): string {
  return value.toLocaleString('en');
}

/** Bytes in decimal units, as disks are sold: `1.3 MB`. */
export function size(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${value < 10 && unit > 0 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
}

/** A length of time in its two largest units: `2 h 5 min`. */
export function span(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  if (whole < 86_400) return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
  return `${Math.floor(whole / 86_400)} d ${Math.floor((whole % 86_400) / 3600)} h`;
}

/** @param atUs and `nowUs` in µs UTC. */
export function ago(atUs: number, nowUs: number): string {
  return `${span((nowUs - atUs) / 1e6)} ago`;
}

/** µs UTC → `2026-11-22T12:00:00.000Z`; a time beyond what a date can hold stays a number. */
export function date(us: number): string {
  const at = new Date(us / 1000);
  return Number.isNaN(at.getTime()) ? `${us} µs` : at.toISOString();
}

/** Labels and refusals are other people's words: none of them may move the cursor of a terminal. */
export function plain(text: string): string {
  return text.replace(
    /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu,
    (char) => `\\u{${(char.codePointAt(0) ?? 0).toString(16)}}`,
  );
}

/**
 * Rows under their titles; columns whose title starts with ">" are aligned to the right.
 *
 * @param none What to say instead of an empty table.
 */
export function table(titles: readonly string[], rows: readonly string[][], none: string): string {
  if (rows.length === 0) return `${none}\n`;
  const heads = titles.map((title) => title.replace(/^>/, ''));
  const lines = [heads, ...rows.map((row) => row.map(plain))];
  const widths = heads.map((_, at) => Math.max(...lines.map((line) => (line[at] ?? '').length)));
  return lines
    .map((line) => {
      const cells = line.map((cell, at) =>
        titles[at]?.startsWith('>') ? cell.padStart(widths[at] ?? 0) : cell.padEnd(widths[at] ?? 0),
      );
      return `${cells.join('  ').trimEnd()}\n`;
    })
    .join('');
}

/** Names and values in two columns. */
export function pairs(rows: readonly (readonly [string, string])[]): string {
  const width = Math.max(...rows.map(([name]) => name.length));
  return rows
    .map(([name, value]) => `${name.padEnd(width)}  ${plain(value)}`.trimEnd())
    .map((line) => `${line}\n`)
    .join('');
}
