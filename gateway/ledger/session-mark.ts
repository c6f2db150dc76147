import { createHash } from 'node:crypto';
import { fromHex } from '@waystone/proto';

/** Bytes of the mark that stays of a pruned session. */
const MARK_BYTES = 8;

/**
 * What a pruned session is known by: the first 8 bytes of its SHA-256. A device alone chooses its sessions, and marks
 * are looked up for their device only, so whoever makes two sessions collide refuses one of its own. By chance a new
 * session collides with one of 100,000 marks once in 10^14. Hashed, since firmware may count instead of drawing 16
 * random bytes, and its sessions would share their first half.
 *
 * @param session 32 hex digits.
 */
export function sessionMark(session: string): Buffer {
  return createHash('sha256').update(fromHex(session)).digest().subarray(0, MARK_BYTES);
}
