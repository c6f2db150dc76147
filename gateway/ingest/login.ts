import { type Code, didFromTopicId, LOGIN_TOKEN_CHARS_MAX } from '@waystone/proto';
import type { DeviceRecord } from '../core/ports.js';
import { RELAY_NAME, type RelayRecord } from '../core/relay.js';
import type { Remote } from '../core/rpc.js';
import type { LoginChecks } from './login-checks.js';

/** What a login needs from the rest of the gateway. */
export interface LoginDeps {
  /** Checks what is dear to check, off the broker's thread. */
  readonly checks: Remote<LoginChecks>;
  find(did: string): DeviceRecord | undefined;
  /** A relay by its name. */
  findRelay(name: string): RelayRecord | undefined;
  /** The relay that logs in as this device. */
  relayOf(device: number): RelayRecord | undefined;
  /** Opens or re-enters a session; durable when it resolves. */
  enter(
    device: number,
    session: string,
    counter: number,
  ): Promise<'LOGIN_REPLAYED' | 'SESSION_CLOSED' | 'SESSIONS_TOO_MANY' | null>;
}

/** What a CONNECT says. */
export interface Credentials {
  readonly clientId: string;
  /** The user name, where {@link isRelayLogin} says so. */
  readonly relayName: string | null;
  readonly password: Uint8Array | undefined;
}

/** Who logged in: a device, a relay, or a device that is a relay. */
export interface Principal {
  readonly device: DeviceRecord | null;
  readonly relay: RelayRecord | null;
}

export type LoginResult =
  | Principal
  | {
      readonly code: Code;
      readonly detail: string;
      /** CONNACK return code of MQTT 3.1.1 §3.2.2.3. */
      readonly returnCode: 2 | 3 | 4 | 5;
    };

/**
 * Whether a CONNECT is a relay's: its user name is that of a relay with a secret. Its client id says nothing,
 * since a Mosquitto bridge makes one up from its host's name.
 */
export function isRelayLogin(
  username: string | undefined,
  deps: Pick<LoginDeps, 'findRelay'>,
): username is string {
  if (username === undefined || !RELAY_NAME.test(username)) return false;
  const relay = deps.findRelay(username);
  return relay !== undefined && 'salt' in relay.login;
}

/**
 * Decides a CONNECT. A device has client id = its did:key without `did:key:` and password = a login token
 * signed by its key; a relay has user name = its name and password = its secret. Whoever is not enrolled stays
 * out.
 */
export async function login(credentials: Credentials, deps: LoginDeps): Promise<LoginResult> {
  const { clientId, relayName, password } = credentials;
  if (relayName !== null) return loginRelay(relayName, password, deps);
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
          detail:
            'the client id must be a did:key without "did:key:", or the user name a relay\u2019s',
          returnCode: 2,
        };
  }
  if (device.revokedAtUs !== null) return revoked(did);
  if (password === undefined) return withoutPassword();
  // A token over the limit stays one that is over it, and is not copied from thread to thread.
  const token = Buffer.from(password.subarray(0, LOGIN_TOKEN_CHARS_MAX + 1)).toString('latin1');
  const read = await deps.checks.token(token, device.publicKey);
  if ('fault' in read) {
    return { code: 'LOGIN_INVALID', detail: `the login token: ${read.fault}`, returnCode: 4 };
  }
  const { session, counter } = read;
  const fault = await deps.enter(device.id, session, counter);
  if (fault === 'SESSIONS_TOO_MANY') {
    // No verdict on the login, so the device keeps its session and what it has queued.
    return {
      code: fault,
      detail:
        'the device opens new sessions faster than it may (sessions.newPerDayMax): does it restart all the time?',
      returnCode: 3,
    };
  }
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
  if (deps.find(did)?.revokedAtUs !== null) return revoked(did);
  return { device, relay: deps.relayOf(device.id) ?? null };
}

async function loginRelay(
  name: string,
  password: Uint8Array | undefined,
  deps: LoginDeps,
): Promise<LoginResult> {
  const kept = deps.findRelay(name)?.login;
  if (password === undefined) return withoutPassword();
  if (kept === undefined || !('salt' in kept)) return relayRemoved(name);
  const secret = Buffer.from(password.subarray(0, LOGIN_TOKEN_CHARS_MAX)).toString('latin1');
  const isRight = await deps.checks.secret(secret, kept);
  if (isRight === null) {
    return {
      code: 'OVERLOADED',
      detail: 'too many secrets of relays are being checked; it may try again at once',
      returnCode: 3,
    };
  }
  if (!isRight) {
    return {
      code: 'LOGIN_INVALID',
      detail: `the password is not the secret of relay ${name}; waystone relays add makes a new one`,
      returnCode: 4,
    };
  }
  // It may have been removed, or added anew with another secret, meanwhile.
  const relay = deps.findRelay(name);
  return relay?.login === kept ? { device: null, relay } : relayRemoved(name);
}

function withoutPassword(): LoginResult {
  return { code: 'LOGIN_INVALID', detail: 'the login has no password', returnCode: 4 };
}

function relayRemoved(name: string): LoginResult {
  return { code: 'LOGIN_INVALID', detail: `relay ${name} was removed`, returnCode: 5 };
}

function revoked(did: string): LoginResult {
  return { code: 'DEVICE_REVOKED', detail: `device ${did} is revoked`, returnCode: 5 };
}
