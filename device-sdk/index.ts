/** @waystone/device-sdk: sign geospatial frames and publish them to a Waystone gateway. */
export {
  Device,
  type DeviceConfig,
  type DeviceEvents,
  type DeviceOptions,
  type DeviceStream,
  type PublishOptions,
  type Queued,
  type QueuedEnvelope,
  type ReceiptEvent,
} from './device.js';
export { DeviceKey } from './device-key.js';
export {
  EnvelopeBuilder,
  type EnvelopeName,
  type Observation,
  type SealOptions,
  type SignedEnvelope,
} from './envelope-builder.js';
export {
  DeviceClosedError,
  DeviceError,
  type DeviceErrorCode,
  EnvelopeRefusedError,
  FrameError,
  KeyFileError,
  LoginRefusedError,
} from './errors.js';
export { MemoryOutbox, type MemoryOutboxOptions } from './memory-outbox.js';
export type { Outbox, OutboxItem } from './outbox.js';
export type { StoredEnvelope } from './sender.js';
export { Session } from './session.js';
export type { Signer, SignInput } from './signer.js';
