import { cp, readFile, rename, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { decodeManifest, encodeManifest, fromHex, type Manifest, sha256 } from '@waystone/proto';
import { makeCheckpoint, type TestKey } from '../dataset/testing.js';
import type { Check, CheckName, Verification } from './report.js';

/** Names of the checks that failed. */
export function failedChecks({ checks }: Verification): CheckName[] {
  return checks.filter(({ status }) => status === 'failed').map(({ name }) => name);
}

export function checkOf({ checks }: Verification, name: CheckName): Check {
  const found = checks.find((check) => check.name === name);
  if (found === undefined) throw new RangeError(`no check "${name}"`);
  return found;
}

/** Whether some failure names the file, as its place or in its sentence. */
export function namesFile({ checks }: Verification, file: string): boolean {
  return checks.some(
    ({ status, where, detail }) =>
      status === 'failed' && (where?.file === file || detail.includes(file)),
  );
}

/**
 * What a forger can do who holds a gateway key: changes the manifest (the caller changed other files before),
 * hashes and signs everything again, and names the folder by the new root.
 */
export async function forgeFolder(
  directory: string,
  forger: TestKey,
  change: (manifest: Manifest) => Manifest,
): Promise<string> {
  const path = join(directory, 'manifest.json');
  const manifest = change(decodeManifest(await readFile(path)));
  const manifestBytes = encodeManifest(manifest);
  await writeFile(path, manifestBytes);
  const root = fromHex(manifest.root);
  const record = { manifest, root, manifestHash: sha256(manifestBytes) };
  await writeFile(join(directory, 'checkpoint'), makeCheckpoint(forger, record, 5));
  const renamed = join(dirname(directory), manifest.root);
  if (renamed !== directory) await rename(directory, renamed);
  return renamed;
}

/** A copy of a dataset folder under the same name, in a new parent. */
export async function copyFolder(directory: string, parent: string): Promise<string> {
  const copy = join(parent, directory.slice(dirname(directory).length + 1));
  await cp(directory, copy, { recursive: true });
  return copy;
}
