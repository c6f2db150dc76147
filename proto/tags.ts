/**
 * Domain separation: everything that is signed or hashed as a record begins with one of these tags.
 * A tag is 16 bytes, ASCII, NUL-padded, and names the version of the format that follows.
 * Nothing untagged is ever signed, JSON Web Tokens apart.
 */
export const TAG_BYTES = 16;

export const TAGS = {
  statement: tag('waystone/stmt/1'),
  receipt: tag('waystone/rcpt/1'),
  checkpoint: tag('waystone/ckpt/1'),
  logRecord: tag('waystone/logr/1'),
  realm: tag('waystone/relm/1'),
  hello: tag('waystone/hell/1'),
  config: tag('waystone/conf/1'),
  /** A key's consent to be registered to an iDAO. */
  enrolment: tag('waystone/enrl/1'),
  /** Two keys' word that one takes the place of the other. */
  rotation: tag('waystone/rotn/1'),
  /** Reserved: a claim token's signature. */
  claim: tag('waystone/clam/1'),
} as const;

export type TagName = keyof typeof TAGS;

function tag(text: string): Uint8Array {
  const bytes = new Uint8Array(TAG_BYTES);
  bytes.set(Buffer.from(text, 'ascii'));
  return bytes;
}
