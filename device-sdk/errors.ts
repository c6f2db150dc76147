import type { Code } from '@waystone/proto';
import type { EnvelopeName } from './envelope-builder.js';

/**
 * What can go wrong in a device, by stable code. Messages are for people; programs switch on `code`.
 *
 * Mistakes of a caller (a wrong option, a malformed frame field type) are plain TypeError or RangeError.
 */
export type DeviceErrorCode =
  | 'KEY_FILE_MISSING'
  | 'KEY_FILE_EXISTS'
  | 'KEY_FILE_EXPOSED'
  | 'KEY_FILE_INVALID'
  | 'FRAME_INVALID'
  | 'FRAME_TOO_LARGE'
  | 'SIGNER_FAILED'
  | 'STREAM_UNKNOWN'
  | 'OUTBOX_FULL'
  | 'ENVELOPE_REFUSED'
  | 'LOGIN_REFUSED'
  | 'GATEWAY_UNREACHABLE'
  | 'SUBSCRIBE_REFUSED'
  | 'CONNECTION_LOST'
  | 'ANSWERS_MISSING'
  | 'DEVICE_CLOSED';

/** Base of every error that this package throws on purpose. */
export class DeviceError extends Error {
  override readonly name: string = 'DeviceError';
  readonly code: DeviceErrorCode;

  constructor(code: DeviceErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** A key file that is missing, already there, readable by others, or no key. */
export class KeyFileError extends DeviceError {
  override readonly name = 'KeyFileError';
  readonly path: string;

  constructor(
    code: Extract<DeviceErrorCode, `KEY_FILE_${string}`>,
    path: string,
    message: string,
    options?: ErrorOptions,
  ) {
    super(code, message, options);
    this.path = path;
  }
}

/** A frame that cannot be sealed; nothing of its call was. */
export class FrameError extends DeviceError {
  override readonly name = 'FrameError';
  /** Place of the frame in the call, from 0. */
  readonly index: number;

  constructor(
    code: Extract<DeviceErrorCode, `FRAME_${string}`>,
    index: number,
    message: string,
    options?: ErrorOptions,
  ) {
    super(code, message, options);
    this.index = index;
  }
}

/** The gateway refused an envelope for good, by a signed receipt. */
export class EnvelopeRefusedError extends DeviceError {
  override readonly name = 'EnvelopeRefusedError';
  /** Why, in the gateway's words. */
  readonly refusal: Code;
  readonly envelope: EnvelopeName;

  constructor(refusal: Code, envelope: EnvelopeName) {
    const { stream, firstSequence, count } = envelope;
    super(
      'ENVELOPE_REFUSED',
      `the gateway refused frames ${firstSequence}..${firstSequence + count - 1} of stream ${stream} ` +
        `for good: ${refusal}; they will not be sent again`,
    );
    this.refusal = refusal;
    this.envelope = envelope;
  }
}

/** CONNACK with a return code other than 0. */
export class LoginRefusedError extends DeviceError {
  override readonly name = 'LoginRefusedError';
  /** MQTT 3.1.1 §3.2.2.3: 1 protocol, 2 client id, 3 unavailable, 4 password, 5 not authorised. */
  readonly returnCode: number;

  constructor(returnCode: number, did: string, url: string) {
    super(
      'LOGIN_REFUSED',
      `the gateway at ${url} refused the login of ${did} (CONNACK ${returnCode}); ` +
        'check that the device is enrolled there and not revoked, and that the pinned gateway key is this one',
    );
    this.returnCode = returnCode;
  }
}

/** The device was closed while something was still going on. */
export class DeviceClosedError extends DeviceError {
  override readonly name = 'DeviceClosedError';

  constructor(what: string) {
    super('DEVICE_CLOSED', `the device was closed; ${what}`);
  }
}
