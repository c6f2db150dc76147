import { type Code, didFromTopicId, parseTopic } from '@waystone/proto';
import type { DeviceRecord } from '../core/ports.js';
import { carries, type RelayRecord } from '../core/relay.js';

/** What is to be done with a relay's message. */
export type RelayRoute =
  | { readonly kind: 'take'; readonly device: DeviceRecord; readonly channel: 'up' | 'hello' }
  /** Nothing: it is how a bridge tells its state. */
  | { readonly kind: 'ignore' }
  | {
      readonly kind: 'refuse';
      readonly code: Extract<Code, 'TOPIC_FORBIDDEN' | 'DEVICE_UNKNOWN' | 'DEVICE_REVOKED'>;
      readonly detail: string;
      /** Whom to tell to come again later; null where nobody waits for an answer. */
      readonly retry: DeviceRecord | null;
    };

/** Where a Mosquitto bridge says whether it is connected, as a message and as its will. */
const BRIDGE_STATE_TOPIC = /^\$SYS\/broker\/connection\/[^/]+\/state$/;

export function isBridgeState(topic: string): boolean {
  return BRIDGE_STATE_TOPIC.test(topic);
}

/** Decides by its topic what becomes of a relay's message. */
export function routeOfRelay(
  relay: RelayRecord,
  name: string,
  find: (did: string) => DeviceRecord | undefined,
): RelayRoute {
  if (isBridgeState(name)) return { kind: 'ignore' };
  const topic = parseTopic(name);
  if (topic === null || (topic.channel !== 'up' && topic.channel !== 'hello')) {
    const detail = `relay ${relay.name} publishes to ${name.slice(0, 200)}`;
    return { kind: 'refuse', code: 'TOPIC_FORBIDDEN', detail, retry: null };
  }
  const { channel } = topic;
  const did = didFromTopicId(topic.topicId.slice(0, 100));
  const device = find(did);
  if (device === undefined) {
    const detail = `relay ${relay.name} publishes for ${did}, which is not enrolled`;
    return { kind: 'refuse', code: 'DEVICE_UNKNOWN', detail, retry: null };
  }
  if (!carries(relay, device.id)) {
    const detail = `relay ${relay.name} publishes for ${did}, which is not on its list`;
    // The device keeps what it has: it may be put on the list.
    const retry = channel === 'up' ? device : null;
    return { kind: 'refuse', code: 'TOPIC_FORBIDDEN', detail, retry };
  }
  if (device.revokedAtUs !== null && channel === 'hello') {
    const detail = `relay ${relay.name} brings a hello of ${did}, which is revoked`;
    return { kind: 'refuse', code: 'DEVICE_REVOKED', detail, retry: null };
  }
  return { kind: 'take', device, channel };
}

/**
 * Whether a relay may subscribe to a filter: receipts and settings of one of its devices, or of all that it
 * carries by `ws/v1/+/receipt` and `ws/v1/+/config`.
 */
export function mayRelaySubscribe(
  relay: RelayRecord,
  filter: string,
  find: (did: string) => DeviceRecord | undefined,
): boolean {
  const topic = parseTopic(filter);
  if (topic === null || (topic.channel !== 'receipt' && topic.channel !== 'config')) return false;
  if (topic.topicId === '+') return true;
  const device = find(didFromTopicId(topic.topicId));
  return device !== undefined && carries(relay, device.id);
}
