import { randomBytes } from 'node:crypto';
import {
  type Code,
  encodeLoginToken,
  loginTokenInput,
  topicIdFromDid,
  topicOf,
} from '@waystone/proto';
import type { IConnectPacket } from 'mqtt-packet';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TestDevice } from '../harness/device.js';
import { makeHome, removeHome, startInProcess, type TestGateway } from '../harness/gateway.js';
import { connectPacket, DeviceClient, RawClient } from '../harness/mqtt.js';

let home: string;
let gateway: TestGateway;
let healthy: DeviceClient;

beforeAll(async () => {
  home = await makeHome();
  // Each case fails on purpose, all of them from one address.
  gateway = await startInProcess(home, { set: ['mqtt.loginDelaySecondsMax=0'] });
  healthy = await DeviceClient.open(gateway, await enrolled());
});
afterAll(async () => {
  await gateway?.stop();
  await removeHome(home);
});

async function enrolled(type?: ConstructorParameters<typeof TestDevice>[1]): Promise<TestDevice> {
  const device = new TestDevice(gateway.did, type);
  await gateway.enrol(device.did);
  return device;
}

/** The CONNECT is answered with this return code, counted and logged, and the connection closed. */
async function expectLoginRefused(
  packet: IConnectPacket,
  code: Code,
  returnCode: number,
  did?: string,
): Promise<void> {
  const counted = await gateway.refused(code);
  const logged = gateway.logged(code, did).length;
  const raw = await RawClient.open(gateway.mqttPort);
  raw.send(packet);
  const connack = await raw.next('connack');
  expect(connack).toMatchObject({ returnCode, sessionPresent: false });
  await raw.closed();
  expect(await gateway.refused(code)).toBe(counted + 1);
  expect(gateway.logged(code, did)).toHaveLength(logged + 1);
  const { receipt } = await healthy.deliver(await healthy.device.envelope());
  expect(receipt.body.outcome.kind).toBe('stored');
}

it('refuses a device that is not enrolled, and knows it once it is', async () => {
  const device = new TestDevice(gateway.did);
  await expectLoginRefused(await connectPacket(device), 'DEVICE_UNKNOWN', 5, device.did);
  await gateway.enrol(device.did);
  const client = await DeviceClient.open(gateway, device);
  await client.end();
});

it('refuses a revoked device', async () => {
  const device = await enrolled();
  await gateway.revoke(device.did);
  await expectLoginRefused(await connectPacket(device), 'DEVICE_REVOKED', 5, device.did);
});

describe('a client id that is no did:key is refused:', () => {
  const ids: [string, string][] = [
    ['a name', 'rover-7'],
    ['a whole did', 'did:key:zQ3shokFTS3brHcDQrn82RUDfCZESWL1ZdCEJwekUDPQiYBme'],
    ['nothing', ''],
    ['200 characters', 'z'.repeat(200)],
    ['a key that is on no curve', `z${'1'.repeat(40)}`],
    ['a prototype\u2019s name', '__proto__'],
    ['a wildcard', '+'],
  ];
  it.each(ids)('%s', async (_what, clientId) => {
    const packet = await connectPacket(new TestDevice(gateway.did), { clientId });
    await expectLoginRefused(packet, 'CLIENT_ID_INVALID', 2);
  });

  it('200 characters, from an MQTT 3.1 client', async () => {
    const packet = await connectPacket(new TestDevice(gateway.did), {
      clientId: 'z'.repeat(200),
      protocolId: 'MQIsdp',
      protocolVersion: 3,
    });
    await expectLoginRefused(packet, 'CLIENT_ID_INVALID', 2);
  });
});

describe('a login token is refused with return code 4 when', () => {
  type MakePassword = (device: TestDevice) => Promise<string>;
  const stranger = () => new TestDevice(gateway.did);
  const editPart = (token: string, part: 0 | 1 | 2, edit: (text: string) => string): string => {
    const parts = token.split('.');
    const text = Buffer.from(parts[part] as string, 'base64url').toString('latin1');
    parts[part] = Buffer.from(edit(text), 'latin1').toString('base64url');
    return parts.join('.');
  };
  const cases: [string, MakePassword][] = [
    ['it is for another gateway', (device) => device.loginToken({ gateway: stranger().did })],
    ['it names another device', (device) => device.loginToken({ device: stranger().did })],
    [
      'another key has signed it',
      async (device) => {
        const input = loginTokenInput('secp256k1', {
          device: device.did,
          gateway: gateway.did,
          session: device.session,
          counter: 1,
        });
        return encodeLoginToken(input, await stranger().sign(input));
      },
    ],
    [
      'its claims were changed after signing',
      async (device) =>
        editPart(await device.loginToken(), 1, (text) => text.replace(/:1"}$/, ':9"}')),
    ],
    [
      'its alg is none',
      async (device) =>
        editPart(await device.loginToken(), 0, (text) => text.replace('ES256K', 'none')),
    ],
    [
      'its alg is another key type\u2019s',
      async (device) =>
        editPart(await device.loginToken(), 0, (text) => text.replace('ES256K', 'ES256')),
    ],
    [
      'its signature is empty',
      async (device) => (await device.loginToken()).replace(/\.[^.]*$/, '.'),
    ],
    [
      'its signature is zeros',
      async (device) => editPart(await device.loginToken(), 2, () => '\0'.repeat(64)),
    ],
    ['it has four parts', async (device) => `${await device.loginToken()}.AA`],
    ['it is no JWT', async () => 'hunter2'],
    ['it is empty', async () => ''],
    ['it is 2 kB long', async () => 'a'.repeat(2048)],
    ['its claims are null', async () => `${Buffer.from('{}').toString('base64url')}.bnVsbA.AA`],
  ];
  it.each(cases)('%s', async (_why, make) => {
    const device = await enrolled();
    const packet = await connectPacket(device, { password: Buffer.from(await make(device)) });
    await expectLoginRefused(packet, 'LOGIN_INVALID', 4, device.did);
    // Nothing of it was remembered: the right token of the same session gets in.
    await (await DeviceClient.open(gateway, device)).end();
  });

  it('there is none', async () => {
    const device = await enrolled();
    const { password: _, username: __, ...packet } = await connectPacket(device);
    await expectLoginRefused(packet, 'LOGIN_INVALID', 4, device.did);
  });
});

describe('a login cannot be replayed:', () => {
  it('the same token again', async () => {
    const device = await enrolled();
    const password = Buffer.from(await device.loginToken());
    const client = await DeviceClient.open(gateway, device, { password });
    await client.end();
    const again = await connectPacket(device, { password });
    await expectLoginRefused(again, 'LOGIN_REPLAYED', 4, device.did);
  });

  it('an earlier counter of the session', async () => {
    const device = await enrolled();
    const early = Buffer.from(await device.loginToken());
    await (await DeviceClient.open(gateway, device)).end();
    const packet = await connectPacket(device, { password: early });
    await expectLoginRefused(packet, 'LOGIN_REPLAYED', 4, device.did);
  });

  it('a counter that a hello has used', async () => {
    const device = await enrolled();
    const client = await DeviceClient.open(gateway, device);
    const hello = await device.hello();
    await client.acknowledged(client.publish(hello, { topic: topicOf(device.topicId, 'hello') }));
    await client.end();
    const token = await device.loginToken({ counter: device.counter });
    const packet = await connectPacket(device, { password: Buffer.from(token) });
    await expectLoginRefused(packet, 'LOGIN_REPLAYED', 4, device.did);
  });

  it('a replay does not push the device off its connection', async () => {
    const device = await enrolled();
    const password = Buffer.from(await device.loginToken());
    const client = await DeviceClient.open(gateway, device, { password });
    const again = await connectPacket(device, { password });
    await expectLoginRefused(again, 'LOGIN_REPLAYED', 4, device.did);
    const { receipt } = await client.deliver(await device.envelope());
    expect(receipt.body.outcome.kind).toBe('stored');
    await client.end();
  });
});

it('refuses a login in a session that a later hello closed', async () => {
  const device = await enrolled();
  const closed = device.session;
  await (await DeviceClient.open(gateway, device)).end();
  device.session = randomBytes(16);
  const client = await DeviceClient.open(gateway, device);
  const hello = await device.hello();
  await client.acknowledged(client.publish(hello, { topic: topicOf(device.topicId, 'hello') }));
  await client.end();
  const token = await device.loginToken({ session: closed });
  const packet = await connectPacket(device, { password: Buffer.from(token) });
  await expectLoginRefused(packet, 'SESSION_CLOSED', 4, device.did);
});

describe('a will is refused with return code 5', () => {
  const wills: [string, (own: string) => string, 0 | 1 | 2][] = [
    ['on the device\u2019s up: an envelope is no will', (own) => topicOf(own, 'up'), 1],
    [
      'on another device\u2019s hello',
      () => topicOf(topicIdFromDid(healthy.device.did), 'hello'),
      1,
    ],
    ['on its receipts', (own) => topicOf(own, 'receipt'), 1],
    ['on $SYS', () => '$SYS/x', 0],
    ['at QoS 2', (own) => topicOf(own, 'hello'), 2],
  ];
  it.each(wills)('%s', async (_what, topicFor, qos) => {
    const device = await enrolled();
    const will = {
      topic: topicFor(device.topicId),
      payload: Buffer.from(await device.envelope()),
      qos,
      retain: true,
    };
    const packet = await connectPacket(device, { will });
    await expectLoginRefused(packet, 'WILL_FORBIDDEN', 5, device.did);
    expect((await gateway.device(device.did)).envelopes).toBe(0);
  });
});

describe('a hello is refused, with a receipt, and the connection closed when', () => {
  type MakeHello = (device: TestDevice) => Promise<Uint8Array>;
  const cases: [string, MakeHello][] = [
    [
      'its signature does not match',
      async (device) => {
        const hello = await device.hello();
        hello[hello.length - 1] = (hello[hello.length - 1] as number) ^ 1;
        return hello;
      },
    ],
    [
      'its body was changed',
      async (device) => {
        const hello = await device.hello();
        hello[20] = (hello[20] as number) ^ 1;
        return hello;
      },
    ],
    ['its counter was used', (device) => device.hello({ counter: 1 })],
    ['its counter is zero', (device) => device.hello({ counter: 0 })],
    ['its counter is 2^53', (device) => device.hello({ counter: 2 ** 53 })],
    ['its session is short', (device) => device.hello({ session: randomBytes(15) })],
    ['it has no session', (device) => device.hello({ session: new Uint8Array() })],
    ['a queued session is short', (device) => device.hello({ queuedSessions: [randomBytes(8)] })],
    [
      'it names 65 queued sessions',
      (device) =>
        device.hello({ queuedSessions: Array.from({ length: 65 }, () => randomBytes(16)) }),
    ],
    [
      'it wants 1,025 receipts',
      (device) =>
        device.hello({
          wantedReceipts: Array.from({ length: 1025 }, () => ({ session: device.session })),
        }),
    ],
    ['it is cut off', async (device) => (await device.hello()).slice(0, 40)],
    ['it is an envelope', (device) => device.envelope()],
    ['it is empty', async () => new Uint8Array()],
  ];
  it.each(cases)('%s', async (_why, make) => {
    const device = await enrolled();
    const client = await DeviceClient.open(gateway, device);
    const counted = await gateway.refused('HELLO_INVALID');
    const hello = await make(device);
    client.publish(hello, { topic: topicOf(device.topicId, 'hello') });
    const { receipt } = await client.receipt(hello);
    expect(receipt.body.outcome).toEqual({ kind: 'refused', code: 'HELLO_INVALID' });
    await client.raw.closed();
    expect(await gateway.refused('HELLO_INVALID')).toBe(counted + 1);
    expect(gateway.logged('HELLO_INVALID', device.did)).toHaveLength(1);
    await (await DeviceClient.open(gateway, device)).end();
  });
});

it('lets a hello name 64 queued sessions and keeps its own', async () => {
  const device = await enrolled();
  const client = await DeviceClient.open(gateway, device);
  const queued = Array.from({ length: 64 }, () => randomBytes(16));
  const hello = await device.hello({ queuedSessions: queued });
  await client.acknowledged(client.publish(hello, { topic: topicOf(device.topicId, 'hello') }));
  for (const session of [...queued, device.session]) {
    const payload = await device.envelope({ statement: { session } });
    const { receipt } = await client.deliver(payload);
    expect(receipt.body.outcome.kind).toBe('stored');
  }
  await client.end();
});

it('gives the connection to the later of two logins', async () => {
  const device = await enrolled();
  const first = await DeviceClient.open(gateway, device);
  const second = await DeviceClient.open(gateway, device);
  await first.raw.closed();
  const { receipt } = await second.deliver(await device.envelope());
  expect(receipt.body.outcome.kind).toBe('stored');
  await second.end();
});
