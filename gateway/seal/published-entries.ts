import { createHash } from 'node:crypto';
import { ENTRY_BYTES, toHex } from '@waystone/proto';
import { messageOf, WaystoneError } from '../core/errors.js';

/** How long a publisher may take to answer, ms. */
const PATIENCE_MS = 15_000;

/**
 * Fetches what the gateway itself serves as the entries file of a dataset.
 *
 * @throws WaystoneError ENTRIES_NOT_SERVED when it is not the file with that hash.
 */
export async function checkServed(url: string, sha256: string): Promise<void> {
  const wrong = (what: string, cause?: unknown): WaystoneError =>
    new WaystoneError(
      'ENTRIES_NOT_SERVED',
      `${url} ${what}: what is committed must be there for anyone to check. Nothing of it is committed before it is`,
      { cause },
    );
  const hash = createHash('sha256');
  try {
    const answer = await fetch(url, { signal: AbortSignal.timeout(PATIENCE_MS) });
    if (!answer.ok) throw wrong(`answers with status ${answer.status}`);
    for await (const chunk of answer.body ?? []) hash.update(chunk);
  } catch (error) {
    if (error instanceof WaystoneError) throw error;
    throw wrong(`cannot be read (${messageOf(error)})`, error);
  }
  const found = toHex(hash.digest());
  if (found !== sha256) throw wrong(`gives a file with SHA-256 ${found}, expected ${sha256}`);
}

/** What a look from here at the address that the chain's record names came to; "" when it is as it should be. */
export interface PublicLook {
  readonly code: '' | 'PUBLISH_URL_UNREACHABLE' | 'PUBLISH_URL_DIFFERS';
  readonly what: string;
}

/**
 * Looks whether the public address answers for a dataset. Without its bytes: on a metered uplink they would go out a
 * second time. Many boxes cannot reach their own public address, so that nothing follows from a failure.
 */
export async function lookAtPublic(url: string, entries: number): Promise<PublicLook> {
  try {
    const signal = AbortSignal.timeout(PATIENCE_MS);
    const answer = await fetch(url, { method: 'HEAD', signal, redirect: 'manual' });
    const bytes = answer.headers.get('content-length');
    if (!answer.ok) {
      return { code: 'PUBLISH_URL_UNREACHABLE', what: `answers with status ${answer.status}` };
    }
    if (bytes === null || Number(bytes) === entries * ENTRY_BYTES) return { code: '', what: '' };
    const what = `has ${bytes} bytes, the entries file ${entries * ENTRY_BYTES}`;
    return { code: 'PUBLISH_URL_DIFFERS', what };
  } catch (error) {
    return { code: 'PUBLISH_URL_UNREACHABLE', what: `cannot be reached: ${messageOf(error)}` };
  }
}
