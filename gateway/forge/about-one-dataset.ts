import { WaystoneError } from '../core/errors.js';
import { CallRefused } from './submitter.js';

const CODES: readonly string[] = [
  'FORGE_RECORD_MISMATCH',
  'FORGE_TARGET_CHANGED',
  'FORGE_VOID',
  'FORGE_INTENT_BEGUN',
  'DATASET_DAMAGED',
  'DATASET_NOT_FOUND',
  'DATASET_REALM_FOREIGN',
  'ENTRIES_NOT_SERVED',
];

/** Whether an error is about one dataset alone, so that the others go on. */
export function isAboutOneDataset(error: unknown): boolean {
  if (error instanceof CallRefused) return true;
  return error instanceof WaystoneError && CODES.includes(error.code);
}
