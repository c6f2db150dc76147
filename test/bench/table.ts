import { short } from './statistics.js';

/** A result as a Markdown table: a row for each of its items, or for each value where it is one item. */
export function tableOf(result: object): string {
  if (!Array.isArray(result)) {
    const flat = [...flatten(result)];
    return ['| what | value |', '| --- | --- |', ...flat.map((row) => line(row))].join('\n');
  }
  const items = result.map((item: object) => new Map(flatten(item)));
  const names = [...new Set(items.flatMap((item) => [...item.keys()]))];
  return [
    line(names),
    line(names.map(() => '---')),
    ...items.map((item) => line(names.map((name) => item.get(name) ?? ''))),
  ].join('\n');
}

const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;

/** Lists longer than this are for the JSON and the plots. */
const LIST_MAX = 16;

/** Names and values, with the path to each. */
function* flatten(value: object, prefix = ''): Generator<[string, string]> {
  for (const [key, one] of Object.entries(value)) {
    const name = prefix === '' ? key : `${prefix}.${key}`;
    if (Array.isArray(one)) {
      if (one.length > LIST_MAX) continue;
      if (one.every((item) => typeof item === 'number')) yield [name, one.map(short).join(', ')];
      else for (const [k, item] of one.entries()) yield* flatten(item as object, `${name}[${k}]`);
    } else if (typeof one === 'object' && one !== null) yield* flatten(one, name);
    else yield [name, typeof one === 'number' ? short(one) : String(one)];
  }
}
