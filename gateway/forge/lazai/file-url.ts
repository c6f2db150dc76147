import { hkdfSync } from 'node:crypto';
import { LazaiWait } from './faults.js';

/** Name of the parameter that carries the suffix; servers of files do not look at it. */
const SUFFIX_PARAMETER = 'ws';

const SUFFIX_BYTES = 16;

/**
 * The url that a dataset is registered under: its published one and a suffix that nobody can know beforehand. LazAI's
 * registry knows files by their url alone, so a url that can be guessed can be taken by anyone first.
 *
 * @param secret the dataset's own, 64 hex digits
 * @param generation counts up each time that a url was found taken
 * @throws LazaiWait LAZAI_URL_UNUSABLE when nodes could not fetch it.
 */
export function fileUrl(published: string, secret: string, generation: number): string {
  let url: URL;
  try {
    url = new URL(published);
  } catch {
    throw unusable(`"${published}" is no url`);
  }
  if (url.protocol !== 'https:' && url.protocol !== 'http:') {
    throw unusable(`${published} is not reached by http or https`);
  }
  if (url.username !== '' || url.password !== '') {
    throw unusable('it holds a password, and would be public on chain');
  }
  // A fragment is never sent to a server; what follows it would not be part of the address.
  url.hash = '';
  url.searchParams.set(SUFFIX_PARAMETER, suffixOf(secret, generation));
  return url.href;
}

function suffixOf(secret: string, generation: number): string {
  const info = `waystone lazai url ${generation}`;
  const bytes = hkdfSync('sha256', Buffer.from(secret, 'hex'), '', info, SUFFIX_BYTES);
  return Buffer.from(bytes).toString('hex');
}

function unusable(why: string): LazaiWait {
  return new LazaiWait(
    'LAZAI_URL_UNUSABLE',
    `LazAI's nodes cannot fetch the dataset: ${why}; publish it under an http(s) url`,
  );
}
