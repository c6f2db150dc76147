import { didFromKey, topicIdFromDid } from '@waystone/proto';
import { describe, expect, it } from 'vitest';
import { testKeyNamed } from '../../proto/test-data/test-signer.js';
import type { DeviceRecord } from '../core/ports.js';
import type { RelayRecord } from '../core/relay.js';
import { isBridgeState, mayRelaySubscribe, routeOfRelay } from './relay-topics.js';

function device(id: number, revokedAtUs: number | null = null): DeviceRecord {
  const { publicKey } = testKeyNamed('secp256k1', `relay device ${id}`);
  return { id, did: didFromKey(publicKey), keyId: new Uint8Array(32), publicKey, revokedAtUs };
}

const [listed, unlisted, revoked] = [device(1), device(2), device(3, 5)];
const known = new Map([listed, unlisted, revoked].map((one) => [one.did, one]));
const find = (did: string) => known.get(did);
const topic = (one: DeviceRecord, channel: string) => `ws/v1/${topicIdFromDid(one.did)}/${channel}`;

const relay: RelayRecord = {
  id: 1,
  name: 'depot',
  login: { salt: new Uint8Array(16), hash: new Uint8Array(32) },
  devices: new Set([1, 3]),
  addedAtUs: 0,
};
const relayOfAll: RelayRecord = { ...relay, devices: null };

describe('a message of a relay', () => {
  it.each(['up', 'hello'] as const)('on %s of a device on its list is taken', (channel) => {
    const route = routeOfRelay(relay, topic(listed, channel), find);
    expect(route).toEqual({ kind: 'take', device: listed, channel });
  });

  it('for a device that is not on its list is refused, and an envelope comes again later', () => {
    const refusal = { kind: 'refuse', code: 'TOPIC_FORBIDDEN' };
    expect(routeOfRelay(relay, topic(unlisted, 'up'), find)).toMatchObject({
      ...refusal,
      retry: unlisted,
      detail: expect.stringContaining(unlisted.did),
    });
    expect(routeOfRelay(relay, topic(unlisted, 'hello'), find)).toMatchObject({
      ...refusal,
      retry: null,
    });
    expect(routeOfRelay(relayOfAll, topic(unlisted, 'up'), find)).toMatchObject({ kind: 'take' });
  });

  it('for a device that nobody knows is refused, also when it carries all', () => {
    const refusal = { kind: 'refuse', code: 'DEVICE_UNKNOWN', retry: null };
    const stranger = topic(device(9), 'up');
    expect(routeOfRelay(relayOfAll, stranger, find)).toMatchObject(refusal);
    const long = routeOfRelay(relayOfAll, `ws/v1/${'z'.repeat(60_000)}/up`, find);
    expect(long).toMatchObject(refusal);
    expect('detail' in long ? long.detail.length : 0).toBeLessThan(300);
  });

  it('of a revoked device goes to the verifiers, which refuse it, but a hello of it to nobody', () => {
    expect(routeOfRelay(relay, topic(revoked, 'up'), find)).toMatchObject({ kind: 'take' });
    const hello = routeOfRelay(relay, topic(revoked, 'hello'), find);
    expect(hello).toMatchObject({ kind: 'refuse', code: 'DEVICE_REVOKED' });
  });

  it.each([
    topic(listed, 'receipt'),
    topic(listed, 'config'),
    topic(listed, 'up/more'),
    'ws/v1/+/up',
    'ws/v2/x/up',
    'depot/door',
    '$SYS/broker/uptime',
    '$SYS/broker/connection/depot/state/x',
    '',
  ])('on %s is refused and nobody told', (name) => {
    const route = routeOfRelay(relay, name, find);
    expect(route).toMatchObject({ kind: 'refuse', retry: null });
  });

  it('that says how its bridge is doing is ignored', () => {
    const name = '$SYS/broker/connection/host.waystone/state';
    expect(routeOfRelay(relay, name, find)).toEqual({ kind: 'ignore' });
    expect(isBridgeState(name)).toBe(true);
    expect(isBridgeState(`x${name}`)).toBe(false);
    expect(isBridgeState('$SYS/broker/connection//state')).toBe(false);
  });
});

describe('a relay may subscribe to', () => {
  it.each(['ws/v1/+/receipt', 'ws/v1/+/config', topic(listed, 'receipt'), topic(listed, 'config')])(
    '%s',
    (filter) => {
      expect(mayRelaySubscribe(relay, filter, find)).toBe(true);
    },
  );

  it.each([
    '#',
    '+/+/+/receipt',
    'ws/v1/#',
    'ws/v1/+/#',
    'ws/v1/+/+',
    'ws/v1/+/up',
    'ws/v1/+/hello',
    topic(unlisted, 'receipt'),
    topic(listed, 'up'),
    '$SYS/#',
  ])('not %s', (filter) => {
    expect(mayRelaySubscribe(relay, filter, find)).toBe(false);
  });
});
