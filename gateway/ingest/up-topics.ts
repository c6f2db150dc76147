import { topicOf } from '@waystone/proto';
import type { DeviceRecord } from '../core/ports.js';
import type { RelayRecord } from '../core/relay.js';
import { routeOfRelay } from './relay-topics.js';

/**
 * Which device an `up` PUBLISH is of: the device whose `up` topic the bytes from `start` to `end` are, or null
 * when the client may not publish there. It is asked for every envelope, so it makes no string of the bytes.
 */
export type UpTopics = (bytes: Uint8Array, start: number, end: number) => DeviceRecord | null;

/** Nobody may publish anything before the login. */
export const NO_UP_TOPICS: UpTopics = () => null;

/** A device may publish to its own `up` topic. */
export function ownUpTopic(device: DeviceRecord, topicId: string): UpTopics {
  const topic = Buffer.from(topicOf(topicId, 'up'));
  return (bytes, start, end) => (isAt(topic, bytes, start, end) ? device : null);
}

/** A relay may publish to the `up` topics of the devices that it carries, and to its own when it is a device. */
export function relayUpTopics(
  relay: RelayRecord,
  own: UpTopics,
  find: (did: string) => DeviceRecord | undefined,
): UpTopics {
  return (bytes, start, end) => {
    const device = own(bytes, start, end);
    if (device !== null) return device;
    const topic = Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start);
    const route = routeOfRelay(relay, topic.toString('latin1'), find);
    return route.kind === 'take' && route.channel === 'up' ? route.device : null;
  };
}

function isAt(topic: Uint8Array, bytes: Uint8Array, start: number, end: number): boolean {
  if (end - start !== topic.length) return false;
  // From the end, where the topics of two devices differ soonest.
  for (let k = topic.length - 1; k >= 0; k--) {
    if (bytes[start + k] !== topic[k]) return false;
  }
  return true;
}
