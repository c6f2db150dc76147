import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type JsonWebKey,
  type KeyObject,
  sign,
} from 'node:crypto';
import { concatBytes, didFromKey, type KeyType, type PublicKey } from '@waystone/proto';
import { KeyFileError } from './errors.js';
import { createSecretFile, readSecretFile } from './secret-file.js';
import type { Signer, SignInput } from './signer.js';

/** OpenSSL's curve names for ECDSA key types. */
const CURVES = { secp256k1: 'secp256k1', 'P-256': 'prime256v1' } as const;

/** JWK `crv` (RFC 7518, RFC 8037, RFC 8812) to key type. */
const TYPE_OF_CRV: Readonly<Record<string, KeyType>> = {
  secp256k1: 'secp256k1',
  'P-256': 'P-256',
  Ed25519: 'Ed25519',
};

/**
 * A software key: PKCS#8 PEM in a file of mode 0600, or in memory only. The private key never leaves
 * node:crypto's KeyObject once it is loaded.
 */
export class DeviceKey implements Signer {
  readonly publicKey: PublicKey;
  readonly did: string;
  readonly #privateKey: KeyObject;

  private constructor(privateKey: KeyObject) {
    this.#privateKey = privateKey;
    this.publicKey = publicKeyOf(privateKey);
    this.did = didFromKey(this.publicKey);
  }

  /** A new key that lives in memory only. */
  static generate(type: KeyType = 'secp256k1'): DeviceKey {
    return new DeviceKey(generatePrivateKey(type));
  }

  /**
   * Creates a key and its file (mode 0600). The file appears whole and on disk, or not at all; an existing
   * file is never replaced.
   *
   * @throws KeyFileError `KEY_FILE_EXISTS`; the file system's error when it cannot be written.
   */
  static async create(path: string, type: KeyType = 'secp256k1'): Promise<DeviceKey> {
    const privateKey = generatePrivateKey(type);
    await createSecretFile(path, privateKey.export({ type: 'pkcs8', format: 'pem' }) as string);
    return new DeviceKey(privateKey);
  }

  /**
   * Loads a PKCS#8 PEM file.
   *
   * @throws KeyFileError `KEY_FILE_MISSING`; `KEY_FILE_EXPOSED` when group or others may access it;
   *   `KEY_FILE_INVALID` when it holds no unencrypted key of a type that Waystone accepts.
   */
  static async load(path: string): Promise<DeviceKey> {
    const pem = await readSecretFile(path);
    try {
      return new DeviceKey(createPrivateKey({ key: pem, format: 'pem' }));
    } catch (cause) {
      throw new KeyFileError(
        'KEY_FILE_INVALID',
        path,
        `${path} holds no unencrypted PKCS#8 PEM key of type secp256k1, P-256 or Ed25519; ` +
          'restore it from your backup, or move it away to let a new device be created',
        { cause },
      );
    }
  }

  /**
   * Loads the key, or creates it when there is no file. `type` counts for a new key only: the file decides.
   *
   * @throws KeyFileError as {@link DeviceKey.load}.
   */
  static async loadOrCreate(path: string, type: KeyType = 'secp256k1'): Promise<DeviceKey> {
    try {
      return await DeviceKey.load(path);
    } catch (error) {
      if (!(error instanceof KeyFileError) || error.code !== 'KEY_FILE_MISSING') throw error;
    }
    try {
      return await DeviceKey.create(path, type);
    } catch (error) {
      // Another process was faster: its key is the device.
      if (error instanceof KeyFileError && error.code === 'KEY_FILE_EXISTS') {
        return DeviceKey.load(path);
      }
      throw error;
    }
  }

  async sign({ message }: SignInput): Promise<Uint8Array> {
    return this.publicKey.type === 'Ed25519'
      ? sign(null, message, this.#privateKey)
      : sign('sha256', message, { key: this.#privateKey, dsaEncoding: 'ieee-p1363' });
  }
}

function generatePrivateKey(type: KeyType): KeyObject {
  switch (type) {
    case 'Ed25519':
      return generateKeyPairSync('ed25519').privateKey;
    case 'secp256k1':
    case 'P-256':
      return generateKeyPairSync('ec', { namedCurve: CURVES[type] }).privateKey;
    default:
      throw new TypeError(`key type must be secp256k1, P-256 or Ed25519, got ${type}`);
  }
}

/** @throws TypeError for any other kind of key. */
function publicKeyOf(privateKey: KeyObject): PublicKey {
  const kind = privateKey.asymmetricKeyType;
  if (kind !== 'ec' && kind !== 'ed25519') throw new TypeError(`it is a key of type ${kind}`);
  const jwk: JsonWebKey = createPublicKey(privateKey).export({ format: 'jwk' });
  const type = TYPE_OF_CRV[jwk.crv ?? ''];
  if (type === undefined || jwk.x === undefined) throw new TypeError(`its curve is ${jwk.crv}`);
  const x = new Uint8Array(Buffer.from(jwk.x, 'base64url'));
  if (type === 'Ed25519') return { type, bytes: x };
  const y = Buffer.from(jwk.y ?? '', 'base64url');
  // SEC 1 §2.3.3: the prefix of a compressed point tells whether y is odd.
  const prefix = ((y.at(-1) ?? 0) & 1) === 0 ? 0x02 : 0x03;
  return { type, bytes: concatBytes(Uint8Array.of(prefix), x) };
}
