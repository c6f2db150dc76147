/** MQTT topics of a device: `ws/v1/<device>/<channel>`, where <device> is its did:key without `did:key:`. */
export type Channel = 'up' | 'hello' | 'receipt' | 'config';

const PREFIX = 'ws/v1/';
const CHANNELS: ReadonlySet<string> = new Set<Channel>(['up', 'hello', 'receipt', 'config']);

export function topicOf(topicId: string, channel: Channel): string {
  return `${PREFIX}${topicId}/${channel}`;
}

/** Parts of a topic of ours, or null for any other. */
export function parseTopic(topic: string): { topicId: string; channel: Channel } | null {
  if (!topic.startsWith(PREFIX)) return null;
  const [topicId, channel, ...rest] = topic.slice(PREFIX.length).split('/');
  if (!topicId || channel === undefined || rest.length > 0 || !CHANNELS.has(channel)) return null;
  return { topicId, channel: channel as Channel };
}
