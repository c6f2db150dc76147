import { constants, createHash, createPublicKey, publicEncrypt, randomBytes } from 'node:crypto';
import { LazaiWait } from './faults.js';

const CONTENT_KEY_BYTES = 32;

/** Smallest RSA key that we hand a content key to; LazAI's is 3072 bits. */
const RSA_BITS_MIN = 2048;

/**
 * A dataset's own password, 64 hex digits. LazAI's clients use one wallet signature for every file, and each node that
 * verified one file can read them all; a key per dataset ends with its dataset.
 */
export function newContentKey(): string {
  return randomBytes(CONTENT_KEY_BYTES).toString('hex');
}

/**
 * Wraps a content key for the holder of an RSA key, as LazAI's nodes and services unwrap it: PKCS#1 v1.5, over the
 * password's ASCII.
 *
 * @param publicKey PEM, PKCS#1 or SPKI
 * @param whose for the message
 * @returns hex without 0x
 * @throws LazaiWait LAZAI_KEY_UNREADABLE when it is no RSA key of 2048 bits or more.
 */
export function wrapContentKey(publicKey: string, contentKey: string, whose: string): string {
  const key = readRsaKey(publicKey, whose);
  const padding = constants.RSA_PKCS1_PADDING;
  return publicEncrypt({ key, padding }, Buffer.from(contentKey, 'ascii')).toString('hex');
}

/** SHA-256 of the key's SPKI form, 64 hex digits: the same however the PEM is written. Throws as {@link wrapContentKey}. */
export function keyFingerprint(publicKey: string, whose: string): string {
  const der = readRsaKey(publicKey, whose).export({ type: 'spki', format: 'der' });
  return createHash('sha256').update(der).digest('hex');
}

function readRsaKey(publicKey: string, whose: string): ReturnType<typeof createPublicKey> {
  let why: string;
  try {
    const key = createPublicKey(publicKey.trim());
    const bits = key.asymmetricKeyDetails?.modulusLength ?? 0;
    if (key.asymmetricKeyType === 'rsa' && bits >= RSA_BITS_MIN) return key;
    why = `it is ${key.asymmetricKeyType} of ${bits} bits, needed is rsa of ${RSA_BITS_MIN} or more`;
  } catch {
    why = 'it is no public key in PEM form';
  }
  throw new LazaiWait(
    'LAZAI_KEY_UNREADABLE',
    `cannot give the content key to ${whose}: the chain shows a key for it, but ${why}; ` +
      'only LazAI can correct it, the dataset waits',
  );
}
