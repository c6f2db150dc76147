import { isAbsolute } from 'node:path';
import { didFromTopicId, parseDid } from '@waystone/proto';
import { WaystoneError } from '../core/errors.js';
import { RELAY_NAME } from '../core/relay.js';

/** Sequences are below 2^53 on the wire, so a number holds them exactly. */
const SEQUENCE_MAX = Number.MAX_SAFE_INTEGER;

/** Characters of a device's label and of a revocation's reason. */
const NOTE_CHARS_MAX = 200;

/** A did:key, or the same without `did:key:` as in topics. @throws WaystoneError DID_INVALID. */
export function didParameter(text: unknown): string {
  const did =
    typeof text === 'string' && text.startsWith('z') ? didFromTopicId(text) : String(text ?? '');
  if (parseDid(did) !== null) return did;
  throw new WaystoneError(
    'DID_INVALID',
    `device must be the did:key of a secp256k1, P-256 or Ed25519 key, got ${shown(text)}`,
  );
}

/** Devices that one relay may be given by name; a larger fleet is "all". */
const CARRIED_MAX = 1000;

/** A relay's name, which is its MQTT user name. */
export function relayParameter(value: unknown): string {
  if (typeof value === 'string' && RELAY_NAME.test(value)) return value;
  throw parameterError('relay', value, 'a name of a-z, 0-9 and "-", at most 32 characters');
}

/** The devices that a relay carries: a list of did:key, or "all", which is null. */
export function carriedParameter(value: unknown): string[] | null {
  if (value === 'all') return null;
  if (Array.isArray(value) && value.length >= 1 && value.length <= CARRIED_MAX) {
    return value.map(didParameter);
  }
  throw parameterError('devices', value, `"all" or a list of 1 to ${CARRIED_MAX} did:key`);
}

/** A dataset's root: 64 hex digits; given back in lower case. */
export function rootParameter(text: string): string {
  return hexParameter('root', text, 32);
}

/** Name of a metadata file: a token id, up to 78 decimal digits, and ".json". @returns the id. */
export function metadataParameter(text: string): string {
  const [, tokenId] = /^([0-9]{1,78})\.json$/.exec(text) ?? [];
  if (tokenId !== undefined) return tokenId;
  throw parameterError('file', text, 'a token id in decimal, and ".json"');
}

/** A session: 32 hex digits; given back in lower case. */
export function sessionParameter(text: string): string {
  return hexParameter('session', text, 16);
}

export function streamParameter(text: string): number {
  return integerParameter('stream', text, 0, 0xffff_ffff);
}

export function sequenceParameter(text: string): number {
  return integerParameter('sequence', text, 0, SEQUENCE_MAX);
}

export function batchParameter(text: string): number {
  return integerParameter('batch', text, 0, Number.MAX_SAFE_INTEGER);
}

/** Items of a list that are given at once. */
export const LIMIT_MAX = 1000;

/** `?limit=`: how many are wanted. */
export function limitParameter(text: string | undefined, fallback: number): number {
  return text === undefined ? fallback : integerParameter('limit', text, 1, LIMIT_MAX);
}

/** A short text of a person: label or reason. */
export function noteParameter(name: string, value: unknown): string {
  if (value === undefined) return '';
  if (typeof value === 'string' && value.length <= NOTE_CHARS_MAX && !hasControl(value)) {
    return value.trim();
  }
  throw parameterError(
    name,
    value,
    `text of at most ${NOTE_CHARS_MAX} characters without control characters`,
  );
}

/** A folder on the gateway's machine. */
export function folderParameter(value: unknown): string {
  if (
    typeof value === 'string' &&
    isAbsolute(value) &&
    value.length <= 4096 &&
    !hasControl(value)
  ) {
    return value;
  }
  throw parameterError('folder', value, "an absolute path on the gateway's machine");
}

/** Refuses fields that nobody reads, so that a misspelt one does not pass in silence. */
export function requireFields(body: Record<string, unknown>, known: readonly string[]): void {
  const unknown = Object.keys(body).find((field) => !known.includes(field));
  if (unknown === undefined) return;
  throw new WaystoneError(
    'BODY_INVALID',
    `request body has the unknown field ${shown(unknown)}; known are ${known.join(', ')}`,
  );
}

function hexParameter(name: string, text: string, bytes: number): string {
  if (new RegExp(`^[0-9a-fA-F]{${2 * bytes}}$`).test(text)) return text.toLowerCase();
  throw parameterError(name, text, `${2 * bytes} hex digits`);
}

function integerParameter(name: string, text: string, min: number, max: number): number {
  const value = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
  if (value >= min && value <= max) return value;
  throw parameterError(name, text, `an integer from ${min} to ${max}`);
}

function parameterError(name: string, value: unknown, allowed: string): WaystoneError {
  return new WaystoneError('PARAMETER_INVALID', `${name} must be ${allowed}, got ${shown(value)}`);
}

function hasControl(text: string): boolean {
  return /\p{Cc}/u.test(text);
}

function shown(value: unknown): string {
  const json = JSON.stringify(value) ?? 'nothing';
  return json.length > 90 ? `${json.slice(0, 90)}…` : json;
}
