import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Version of this release, from the workspace's package.json (found from source and from `dist/`). */
export const VERSION: string = (() => {
  const folder = dirname(dirname(fileURLToPath(import.meta.url)));
  const root = folder.endsWith('dist') ? dirname(folder) : folder;
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  return version;
})();
