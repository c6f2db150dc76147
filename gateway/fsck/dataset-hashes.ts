import { join } from 'node:path';
import { DATASET_FILES, type Manifest } from '@waystone/proto';
import { FileScan } from '../audit/file-scan.js';
import { checkListing } from '../audit/folder-listing.js';
import { CheckTally } from '../audit/report.js';
import { messageOf } from '../core/errors.js';

/**
 * Whether a folder holds the very files that its manifest lists, by their hashes.
 *
 * @returns what is wrong, or null.
 */
export async function hashesFault(folder: string, manifest: Manifest): Promise<string | null> {
  const listing = new CheckTally('files');
  try {
    await checkListing(listing, folder, manifest);
  } catch (error) {
    return messageOf(error);
  }
  const { status, detail, where } = listing.result();
  // A dataset that is being sealed has no checkpoint yet; whether it must have one is for the caller.
  if (status === 'failed' && where?.file !== DATASET_FILES.checkpoint) return detail;
  for (const { name, bytes, sha256 } of manifest.files) {
    try {
      const found = await (await FileScan.open(join(folder, name))).finish();
      if (found.bytes !== bytes || found.sha256 !== sha256) {
        return `${name} has ${found.bytes} bytes and SHA-256 ${found.sha256}, the manifest says ${bytes} and ${sha256}`;
      }
    } catch (error) {
      return `${name} cannot be read: ${messageOf(error)}`;
    }
  }
  return null;
}
