import { keyId, type PublicKey, sha256 } from '@waystone/proto';
import secp256k1 from 'secp256k1/bindings.js';
import { secp256k1Library } from './secp256k1.js';

/**
 * The gateway's own key. Signatures are deterministic (RFC 6979) with low S, so that the receipt for a resent
 * envelope comes out byte for byte as it did the first time.
 */
export class GatewayKey {
  readonly publicKey: PublicKey;
  /** Key id, 32 bytes. */
  readonly id: Uint8Array;
  readonly #privateKey: Uint8Array;

  /** @param privateKey 32 bytes. @throws RangeError when they are no secp256k1 key. */
  constructor(privateKey: Uint8Array) {
    if (!secp256k1.privateKeyVerify(privateKey)) {
      throw new RangeError('the gateway key is not a secp256k1 private key');
    }
    this.#privateKey = privateKey;
    this.publicKey = { type: 'secp256k1', bytes: secp256k1.publicKeyCreate(privateKey, true) };
    this.id = keyId(this.publicKey);
  }

  /** ECDSA over SHA-256 of `message`, raw r ‖ s, 64 bytes. */
  sign(message: Uint8Array): Uint8Array {
    return secp256k1Library().sign(sha256(message), this.#privateKey);
  }

  /** For handing the key to a thread of this process. */
  exportPrivateKey(): Uint8Array {
    return this.#privateKey.slice();
  }
}
