import {
  type EnrolmentPlace,
  type PublicKey,
  parseDid,
  readLoginToken,
  toHex,
} from '@waystone/proto';
import { verifyNative } from '../core/native-signature.js';
import type { SecretHash } from '../core/relay.js';
import { type CheckedHello, readHello } from './hello.js';
import { RelaySecrets } from './relay-secret.js';

/** A gateway's name and key, as logins and hellos must address them. */
export interface Gateway {
  readonly did: string;
  readonly publicKey: PublicKey;
  /** Where its devices are registered on chain; null where they are not. */
  readonly enrolment: EnrolmentPlace | null;
}

/** What a login or hello costs to check: points on curves and signatures. Runs in the login thread. */
export function loginChecks(gateway: Gateway) {
  const secrets = new RelaySecrets();
  return {
    isDid: (did: string): boolean => parseDid(did) !== null,

    /** Reads a login token of a device. @returns its session in hex and counter, or why it is refused. */
    token: (
      token: string,
      device: PublicKey,
    ): { session: string; counter: number } | { fault: string } => {
      const read = readLoginToken(token, device, gateway.did, verifyNative);
      if ('fault' in read) return read;
      return { session: toHex(read.token.session), counter: read.token.counter };
    },

    /** Reads a hello of a device. @returns it, or why it is refused. */
    hello: (payload: Uint8Array, device: PublicKey): CheckedHello | { fault: string } =>
      readHello(payload, device, gateway.publicKey, gateway.enrolment),

    /** Checks the secret of a relay. @returns null when it cannot be looked at now. */
    secret: (secret: string, kept: SecretHash): Promise<boolean | null> =>
      secrets.isRight(secret, kept),
  };
}

export type LoginChecks = ReturnType<typeof loginChecks>;
