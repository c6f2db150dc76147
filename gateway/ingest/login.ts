import { type Code, didFromTopicId, LOGIN_TOKEN_CHARS_MAX } from '@waystone/proto';
import type { DeviceRecord } from '../core/ports.js';
import type { Remote } from '../core/rpc.js';
import type { LoginChecks } from './login-checks.js';

/** What a login needs from the rest of the gateway. */
export interface LoginDeps {
  /** Checks what needs a signature, off the broker's thread. */
  readonly checks: Remote<LoginChecks>;
  find(did: string): DeviceRecord | undefined;
  /** Opens or re-enters a session; durable when it resolves. */
  enter(
    device: number,
    session: string,
    counter: number,
  ): Promise<'LOGIN_REPLAYED' | 'SESSION_CLOSED' | null>;
}

export type LoginResult =
  | { readonly device: DeviceRecord }
  | {
      readonly code: Code;
      readonly detail: string;
      /** CONNACK return code of MQTT 3.1.1 §3.2.2.3. */
      readonly returnCode: 2 | 4 | 5;
    };

/**
 * Decides a CONNECT: client id = the device's did:key without `did:key:`, password = a login token signed by
 * the device key. Whoever is not enrolled stays out.
 */
export async function login(
  clientId: string,
  password: Uint8Array | undefined,
  deps: LoginDeps,
): Promise<LoginResult> {
  const did = didFromTopicId(clientId);
  const device = deps.find(did);
  if (device === undefined) {
    return (await deps.checks.isDid(did))
      ? {
          code: 'DEVICE_UNKNOWN',
          detail: `device ${did} is not enrolled; run waystone devices add`,
          returnCode: 5,
        }
      : {
          code: 'CLIENT_ID_INVALID',
          detail: 'the client id must be a did:key without "did:key:"',
          returnCode: 2,
        };
  }
  if (device.revokedAtUs !== null) return revoked(did);
  if (password === undefined) {
    return { code: 'LOGIN_INVALID', detail: 'the login has no password', returnCode: 4 };
  }
  // A token over the limit stays one that is over it, and is not copied from thread to thread.
  const token = Buffer.from(password.subarray(0, LOGIN_TOKEN_CHARS_MAX + 1)).toString('latin1');
  const read = await deps.checks.token(token, device.publicKey);
  if ('fault' in read) {
    return { code: 'LOGIN_INVALID', detail: `the login token: ${read.fault}`, returnCode: 4 };
  }
  const { session, counter } = read;
  const fault = await deps.enter(device.id, session, counter);
  if (fault !== null) {
    return {
      code: fault,
      detail:
        fault === 'LOGIN_REPLAYED'
          ? `counter ${counter} was used before in this session; each login needs a larger one`
          : 'the session was closed by a later hello; begin a new one',
      returnCode: 4,
    };
  }
  // The device may have been revoked while the ledger opened its session.
  return deps.find(did)?.revokedAtUs === null ? { device } : revoked(did);
}

function revoked(did: string): LoginResult {
  return { code: 'DEVICE_REVOKED', detail: `device ${did} is revoked`, returnCode: 5 };
}
