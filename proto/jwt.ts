import { requireInteger, requireLength, toHex, UINT53_MAX } from './bytes.js';
import { didFromKey, type KeyType, type PublicKey } from './keys.js';
import {
  normaliseSignature,
  SIGNATURE_BYTES,
  type VerifySignature,
  verifySignature,
} from './signature.js';
import { SESSION_BYTES } from './statement.js';

/**
 * Login tokens: a JSON Web Token (RFC 7519) signed by the device key, given as the MQTT password.
 * `aud` is the gateway's did:key, `iss` the device's, `jti` is "<session in hex>:<counter>". The counter rises
 * with each login of a session, so a token needs no clock and cannot be replayed.
 */
export interface LoginToken {
  readonly device: string;
  readonly gateway: string;
  /** 16 bytes. */
  readonly session: Uint8Array;
  /** 1 to 2^53 - 1. */
  readonly counter: number;
}

/** Longest token that is looked at, in characters. */
export const LOGIN_TOKEN_CHARS_MAX = 1024;

/** `alg` of RFC 7518 §3.4, RFC 8812 §3.2 and RFC 8037 §3.1. */
const ALGORITHM: Record<KeyType, string> = {
  secp256k1: 'ES256K',
  'P-256': 'ES256',
  Ed25519: 'EdDSA',
};

/**
 * The bytes that the device signs (ECDSA over their SHA-256, Ed25519 over themselves).
 *
 * @throws RangeError or TypeError naming the field, when a value does not fit.
 */
export function loginTokenInput(type: KeyType, token: LoginToken): Uint8Array {
  requireLength('session', token.session, SESSION_BYTES);
  requireInteger('counter', token.counter, 1, UINT53_MAX);
  const header = { alg: ALGORITHM[type], typ: 'JWT' };
  const claims = {
    aud: token.gateway,
    iss: token.device,
    jti: `${toHex(token.session)}:${token.counter}`,
  };
  return Buffer.from(`${base64url(header)}.${base64url(claims)}`, 'ascii');
}

/** The token to send, from its input and the raw 64-byte signature. */
export function encodeLoginToken(input: Uint8Array, signature: Uint8Array): string {
  requireLength('signature', signature, SIGNATURE_BYTES);
  return `${Buffer.from(input).toString('ascii')}.${Buffer.from(signature).toString('base64url')}`;
}

/**
 * Checks a token against the enrolled key; `alg` follows from the key, never from the header alone.
 *
 * @param verify a faster library for the same signature rule.
 * @returns the token, or one sentence on why it is not valid.
 */
export function readLoginToken(
  text: string,
  device: PublicKey,
  gateway: string,
  verify: VerifySignature = verifySignature,
): { token: LoginToken } | { fault: string } {
  if (text.length > LOGIN_TOKEN_CHARS_MAX) return { fault: 'it is too long' };
  const parts = text.split('.');
  const [head, body, tail] = parts;
  if (parts.length !== 3 || !head || !body || !tail) return { fault: 'it is no JWT' };
  const header = parseObject(head);
  const claims = parseObject(body);
  if (header === null || claims === null) return { fault: 'it is no JWT' };
  if (header.alg !== ALGORITHM[device.type]) {
    return { fault: `its alg must be ${ALGORITHM[device.type]}` };
  }
  const did = didFromKey(device);
  if (claims.iss !== did) return { fault: `its iss must be ${did}` };
  if (claims.aud !== gateway) return { fault: `its aud must be ${gateway}` };
  const jti =
    typeof claims.jti === 'string' ? /^([0-9a-f]{32}):([1-9][0-9]{0,15})$/.exec(claims.jti) : null;
  const counter = Number(jti?.[2]);
  if (jti === null || !Number.isSafeInteger(counter)) {
    return { fault: 'its jti must be "<session as 32 hex digits>:<counter>"' };
  }
  const signature = normaliseSignature(device.type, new Uint8Array(Buffer.from(tail, 'base64url')));
  if (!verify(device, Buffer.from(`${head}.${body}`, 'ascii'), signature)) {
    return { fault: 'its signature does not match the enrolled key' };
  }
  const session = new Uint8Array(Buffer.from(jti[1] as string, 'hex'));
  return { token: { device: did, gateway, session, counter } };
}

function base64url(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}

function parseObject(part: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(Buffer.from(part, 'base64url').toString('utf8'));
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : null;
  } catch {
    return null;
  }
}
