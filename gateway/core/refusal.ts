import type { Code } from '@waystone/proto';

/**
 * Why an envelope was refused for good. Refusals are everyday input: they are returned, never thrown.
 * `code` is stable: receipts, metrics, logs and the HTTP API all use it.
 */
export type Refusal =
  | { code: 'ENVELOPE_TOO_LARGE'; sizeBytes: number; limitBytes: number }
  | { code: 'ENVELOPE_MALFORMED'; what: string }
  | { code: 'VERSION_UNSUPPORTED'; got: string }
  | { code: 'STATEMENT_INVALID'; field: string; got: string; allowed: string }
  | { code: 'DEVICE_MISMATCH'; named: string; topic: string }
  | { code: 'DEVICE_REVOKED'; did: string }
  | { code: 'REALM_FOREIGN'; got: string; expected: string }
  | { code: 'STREAM_UNKNOWN'; stream: number; known: readonly number[] }
  | { code: 'FORMAT_UNSUPPORTED'; format: number }
  | { code: 'SESSION_UNKNOWN'; session: string }
  | { code: 'SESSION_CLOSED'; session: string; pruned?: true }
  | { code: 'TIME_IN_FUTURE'; maxTimeUs: number; receivedAtUs: number }
  | { code: 'TIME_TOO_OLD'; minTimeUs: number }
  | { code: 'FRAME_MALFORMED'; index: number; what: string }
  | { code: 'STATEMENT_CONTRADICTED'; field: string; stated: number; found: number }
  | { code: 'FRAMES_ROOT_MISMATCH' }
  | { code: 'SIGNATURE_INVALID'; did: string }
  | { code: 'RANGE_CONFLICT'; first: number; last: number; storedStatement: string };

/** One sentence for people; nothing parses it. */
export function describeRefusal(refusal: Refusal): string {
  switch (refusal.code) {
    case 'ENVELOPE_TOO_LARGE':
      return `envelope is ${refusal.sizeBytes} bytes, limit is ${refusal.limitBytes}; put fewer frames in it`;
    case 'ENVELOPE_MALFORMED':
      return `envelope cannot be read: ${refusal.what}`;
    case 'VERSION_UNSUPPORTED':
      return `this gateway reads envelope and statement version 1, got ${refusal.got}`;
    case 'STATEMENT_INVALID':
      return `statement has ${refusal.field} ${refusal.got}, allowed is ${refusal.allowed}`;
    case 'DEVICE_MISMATCH':
      return `statement names device ${refusal.named}, but came on the topic of ${refusal.topic}`;
    case 'DEVICE_REVOKED':
      return `device ${refusal.did} is revoked; enrol a new key to go on`;
    case 'REALM_FOREIGN':
      return `statement is for realm ${refusal.got}, this device's realm is ${refusal.expected}`;
    case 'STREAM_UNKNOWN':
      return `stream ${refusal.stream} is not configured, known are ${refusal.known.join(', ')}`;
    case 'FORMAT_UNSUPPORTED':
      return `frame format ${refusal.format} is not known, this gateway reads format 1`;
    case 'SESSION_UNKNOWN':
      return `session ${refusal.session} was never opened by a login or a signed hello`;
    case 'SESSION_CLOSED':
      return refusal.pruned
        ? `session ${refusal.session} was closed long ago: what was stored of it is in datasets of the device, with no receipts for resends`
        : `session ${refusal.session} was closed: a later hello did not list it as queued`;
    case 'TIME_IN_FUTURE':
      return `frame time ${refusal.maxTimeUs} µs is more than 60 s after the receive time ${refusal.receivedAtUs} µs`;
    case 'TIME_TOO_OLD':
      return `frame time ${refusal.minTimeUs} µs is before 2015-01-01`;
    case 'FRAME_MALFORMED':
      return `frame ${refusal.index} cannot be read: ${refusal.what}`;
    case 'STATEMENT_CONTRADICTED':
      return `statement says ${refusal.field} ${refusal.stated}, its frames say ${refusal.found}`;
    case 'FRAMES_ROOT_MISMATCH':
      return 'the frames are not those that the statement commits to';
    case 'SIGNATURE_INVALID':
      return `signature does not match the key of ${refusal.did}`;
    case 'RANGE_CONFLICT':
      return `sequences ${refusal.first}..${refusal.last} are already stored under statement ${refusal.storedStatement}`;
  }
}

/** Every code that an envelope can be refused with. */
export type RefusalCode = Refusal['code'] & Code;
