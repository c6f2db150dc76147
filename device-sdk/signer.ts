import {
  type KeyType,
  normaliseSignature,
  type PublicKey,
  SIGNATURE_BYTES,
  sha256,
} from '@waystone/proto';
import { DeviceError } from './errors.js';

/**
 * Holds a device's signing key: a file, a secure element, a TPM, a phone's key store.
 *
 * It is handed both the message and its SHA-256, and takes the one it can use: a secure element that only
 * signs digests takes `digest`, Ed25519 and most libraries take `message`.
 */
export interface Signer {
  readonly publicKey: PublicKey;
  /** The device's did:key. */
  readonly did: string;
  /**
   * Signs as the key's type demands: ECDSA over SHA-256(message), raw r ‖ s (S high or low);
   * Ed25519 over the message itself.
   *
   * @returns 64 bytes.
   */
  sign(input: SignInput): Promise<Uint8Array>;
}

export interface SignInput {
  readonly message: Uint8Array;
  /** SHA-256 of `message`; not usable with Ed25519. */
  readonly digest: Uint8Array;
}

/**
 * The signer's signature of `message` in the form that Waystone accepts (low S).
 *
 * @throws DeviceError `SIGNER_FAILED` when the signer throws or gives something else than 64 bytes.
 */
export async function signMessage(signer: Signer, message: Uint8Array): Promise<Uint8Array> {
  const type: KeyType = signer.publicKey.type;
  let signature: Uint8Array;
  try {
    signature = await signer.sign({ message, digest: sha256(message) });
  } catch (cause) {
    throw new DeviceError(
      'SIGNER_FAILED',
      `the ${type} signer of ${signer.did} failed; nothing was signed, and the call can be repeated`,
      { cause },
    );
  }
  if (!(signature instanceof Uint8Array) || signature.length !== SIGNATURE_BYTES) {
    throw new DeviceError(
      'SIGNER_FAILED',
      `the ${type} signer of ${signer.did} gave ${signature?.length ?? typeof signature} bytes, ` +
        `expected ${SIGNATURE_BYTES} (raw r and s, not DER)`,
    );
  }
  return normaliseSignature(type, signature);
}
