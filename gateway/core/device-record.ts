import { KEY_TYPES, type KeyType } from '@waystone/proto';
import type { DeviceRecord } from './ports.js';

const TYPES = Object.keys(KEY_TYPES) as KeyType[];

/**
 * A device in a third of the memory that it has as it comes from another thread or a parser: there its byte arrays
 * have a buffer of their own each, and even the name of the key type is a copy. A fleet is held by three threads.
 */
export function compactDevice(device: DeviceRecord): DeviceRecord {
  const { type, bytes } = device.publicKey;
  return {
    ...device,
    keyId: new Uint8Array(device.keyId),
    publicKey: { type: TYPES.find((one) => one === type) ?? type, bytes: new Uint8Array(bytes) },
  };
}
