import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { DATASET_FILES, type Manifest } from '@waystone/proto';
import type { CheckTally } from './report.js';

/**
 * Checks that the folder holds the five files and the blobs that the manifest lists, and nothing else: no
 * other file, no symlink, no subfolder but `blobs`.
 *
 * @param manifest null when it cannot be read; then no blobs are allowed.
 */
export async function checkListing(
  check: CheckTally,
  directory: string,
  manifest: Manifest | null,
): Promise<void> {
  const expected = new Set<string>(Object.values(DATASET_FILES));
  for (const { name } of manifest?.files ?? []) expected.add(name);
  const hasBlobs = [...expected].some((name) => name.startsWith('blobs/'));
  const found = new Set<string>();

  const visit = async (folder: string, prefix: string): Promise<void> => {
    for (const item of await readdir(folder, { withFileTypes: true })) {
      const name = prefix + item.name;
      if (name === 'blobs' && item.isDirectory() && hasBlobs) {
        await visit(join(folder, name), 'blobs/');
      } else if (!expected.has(name)) {
        check.fail(`${JSON.stringify(name)} is not listed in the manifest`, { file: name });
      } else if (!item.isFile()) {
        check.fail(`${name} is not a regular file`, { file: name });
      } else {
        found.add(name);
      }
    }
  };
  await visit(directory, '');
  for (const name of expected) {
    if (found.has(name)) continue;
    const why = name === DATASET_FILES.checkpoint ? ' (is the dataset still being sealed?)' : '';
    check.fail(`${name} is missing${why}`, { file: name });
  }
  check.pass(`${found.size} files, none unlisted`);
}
