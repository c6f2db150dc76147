import { stat } from 'node:fs/promises';
import { messageOf, WaystoneError } from '../core/errors.js';
import type { Verification } from './report.js';
import { type VerifyOptions, verifyDataset } from './verify-dataset.js';
import { verifyProof } from './verify-proof.js';

/**
 * Checks whatever lies at `path`: a dataset folder or a proof file.
 *
 * @throws WaystoneError PATH_UNREADABLE or DID_INVALID; `waystone verify` ends with code 2 then.
 */
export async function verifyPath(path: string, options: VerifyOptions = {}): Promise<Verification> {
  let isFolder: boolean;
  try {
    isFolder = (await stat(path)).isDirectory();
  } catch (cause) {
    throw new WaystoneError('PATH_UNREADABLE', `${path} cannot be read: ${messageOf(cause)}`, {
      cause,
    });
  }
  return isFolder ? verifyDataset(path, options) : verifyProof(path, options);
}
