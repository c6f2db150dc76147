/**
 * On which line of a TOML file each key stands, so that an error can point at it.
 *
 * Good for the plain form that the default file has (tables and `key = value` lines); a key that is written
 * in another way (inline table, multi-line string) may be missing, and the error then names the file alone.
 */
export function keyLines(toml: string): ReadonlyMap<string, number> {
  const lines = new Map<string, number>();
  let table = '';
  for (const [index, line] of toml.split('\n').entries()) {
    const header = /^\s*\[([^[\]]+)\]/.exec(line)?.[1];
    if (header !== undefined) {
      table = plainName(header);
      if (!lines.has(table)) lines.set(table, index + 1);
      continue;
    }
    const name = /^\s*([A-Za-z0-9_."'\s-]+?)\s*=/.exec(line)?.[1];
    if (name === undefined) continue;
    const key = table === '' ? plainName(name) : `${table}.${plainName(name)}`;
    if (!lines.has(key)) lines.set(key, index + 1);
  }
  return lines;
}

function plainName(name: string): string {
  return name
    .split('.')
    .map((part) => part.trim().replace(/^["']|["']$/g, ''))
    .join('.');
}
