import { randomBytes } from 'node:crypto';
import { Device, EnvelopeRefusedError, LoginRefusedError } from '@waystone/device-sdk';
import { equalBytes, leafHash, rootFromInclusionProof, topicOf } from '@waystone/proto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { frame, TestDevice } from '../harness/device.js';
import { makeHome, removeHome, startInProcess, type TestGateway } from '../harness/gateway.js';
import { DeviceClient } from '../harness/mqtt.js';
import { waitFor } from '../harness/wait.js';

// What looks like bad input and is none: it must never be refused.

let home: string;
let gateway: TestGateway;

beforeAll(async () => {
  home = await makeHome();
  gateway = await startInProcess(home);
});
afterAll(async () => {
  await gateway?.stop();
  await removeHome(home);
});

async function login(): Promise<DeviceClient> {
  const device = new TestDevice(gateway.did);
  await gateway.enrol(device.did);
  return DeviceClient.open(gateway, device);
}

it('stores envelopes in whatever order they come, and shows no gap once all are there', async () => {
  const client = await login();
  const { device } = client;
  for (const firstSequence of [30, 10, 0, 20]) {
    const timeUs = Date.now() * 1000;
    const frames = Array.from({ length: 10 }, () => frame({ timeUs }));
    const payload = await device.envelope({ timeUs, frames, statement: { firstSequence } });
    expect((await client.deliver(payload)).receipt.body.outcome.kind).toBe('stored');
    if (firstSequence === 10) {
      expect((await gateway.device(device.did)).gaps).toMatchObject([
        { first: 0, last: 9 },
        { first: 20, last: 29 },
      ]);
    }
  }
  expect(await gateway.device(device.did)).toMatchObject({ envelopes: 4, frames: 40, gaps: [] });
  await client.end();
});

it('answers every resend with the bytes of the first receipt, and stores it once', async () => {
  const client = await login();
  const payload = await client.device.envelope();
  const first = await client.deliver(payload);
  for (let k = 0; k < 3; k++) {
    const again = await client.deliver(payload);
    expect(equalBytes(again.bytes, first.bytes)).toBe(true);
  }
  expect(await gateway.device(client.device.did)).toMatchObject({ envelopes: 1, frames: 1 });
  await client.end();
});

it('joins equal envelopes that are in flight at once', async () => {
  const client = await login();
  const timeUs = Date.now() * 1000;
  const frames = Array.from({ length: 200 }, () => frame({ timeUs }));
  const payload = await client.device.envelope({ timeUs, frames });
  const sent = Array.from({ length: 8 }, (_, k) => client.publish(payload, { dup: k > 0 }));
  const receipts: Uint8Array[] = [];
  for (const messageId of sent) {
    await client.acknowledged(messageId);
    receipts.push((await client.receipt(payload, 'stored')).bytes);
  }
  for (const bytes of receipts) {
    expect(equalBytes(bytes, receipts[0] as Uint8Array)).toBe(true);
  }
  expect(await gateway.device(client.device.did)).toMatchObject({ envelopes: 1, frames: 200 });
  await client.end();
});

it('gives the same receipt to a resend with another valid signature', async () => {
  const client = await login();
  const { device } = client;
  const payload = await device.envelope();
  const first = await client.deliver(payload);
  const other = Uint8Array.from(payload);
  other.set(await device.sign(payload.subarray(8, 208)), 208); // ECDSA draws a new nonce
  const again = await client.deliver(other);
  expect(equalBytes(again.bytes, first.bytes)).toBe(true);
  await client.end();
});

it('gives the same receipt after the dataset was sealed, and after a restart', async () => {
  const client = await login();
  const { device } = client;
  const payloads = [await device.envelope(), await device.envelope(), await device.envelope()];
  for (const payload of payloads) client.publish(payload);
  const firsts: Uint8Array[] = [];
  for (const payload of payloads) firsts.push((await client.receipt(payload, 'stored')).bytes);

  await gateway.seal();
  for (const payload of payloads) await client.receipt(payload, 'included');
  const expectSame = async (on: DeviceClient): Promise<void> => {
    for (const [at, payload] of payloads.entries()) {
      on.publish(payload);
      const again = await on.receipt(payload, 'stored');
      expect(equalBytes(again.bytes, firsts[at] as Uint8Array)).toBe(true);
    }
  };
  await expectSame(client);

  const { did } = gateway;
  await gateway.stop();
  gateway = await startInProcess(home);
  expect(gateway.did).toBe(did);
  const back = await DeviceClient.open(gateway, device);
  await expectSame(back);
  expect(await gateway.device(device.did)).toMatchObject({ envelopes: 3, frames: 3 });
  await back.end();
});

it('keeps what a device had stored when it was revoked', async () => {
  const client = await login();
  const payload = await client.device.envelope();
  await client.deliver(payload);
  await gateway.revoke(client.device.did);
  await client.raw.closed();
  expect(await gateway.device(client.device.did)).toMatchObject({ envelopes: 1 });
});

it('stores at QoS 0 too, and answers with a receipt', async () => {
  const client = await login();
  const payload = await client.device.envelope();
  client.publish(payload, { qos: 0 });
  expect((await client.receipt(payload)).receipt.body.outcome.kind).toBe('stored');
  await client.end();
});

it('keeps nothing that is published with retain', async () => {
  const client = await login();
  const { device } = client;
  const envelope = await device.envelope();
  await client.acknowledged(client.publish(envelope, { retain: true }));
  await client.receipt(envelope, 'stored');
  const hello = topicOf(device.topicId, 'hello');
  await client.acknowledged(client.publish(await device.hello(), { topic: hello, retain: true }));
  await client.end();

  const back = await DeviceClient.open(gateway, device);
  await back.subscribe(topicOf(device.topicId, 'config'));
  await back.deliver(await device.envelope());
  const config = await back.raw.next('publish');
  expect(config).toMatchObject({ topic: topicOf(device.topicId, 'config'), retain: false });
  expect(back.raw.packets).toEqual([]);
  await back.end();
});

it('never says that an MQTT session is present', async () => {
  const device = new TestDevice(gateway.did);
  await gateway.enrol(device.did);
  const first = await DeviceClient.open(gateway, device, { clean: false });
  await first.end();
  const back = await DeviceClient.open(gateway, device, { clean: false });
  expect(back.raw.received.subarray(0, 4)).toEqual(Buffer.from([0x20, 0x02, 0x00, 0x00]));
  await back.end();
});

describe('a hello that wants receipts', () => {
  const ask = async (client: DeviceClient, firstSequence: number): Promise<void> => {
    const { device } = client;
    const wanted = { session: device.session, stream: 1, firstSequence };
    const unknown = { session: randomBytes(16), stream: 1, firstSequence: 0 };
    const never = { session: device.session, stream: 9, firstSequence };
    const hello = await device.hello({ wantedReceipts: [unknown, wanted, never] });
    await client.acknowledged(client.publish(hello, { topic: topicOf(device.topicId, 'hello') }));
  };

  it('gets "stored" while the batch is open', async () => {
    const client = await login();
    const payload = await client.device.envelope();
    const first = await client.deliver(payload);
    await ask(client, 0);
    const again = await client.receipt(payload);
    expect(equalBytes(again.bytes, first.bytes)).toBe(true);
    await client.end();
  });

  it('gets "stored" and "included" once it is sealed', async () => {
    const client = await login();
    const { device } = client;
    const payload = await device.envelope();
    const first = await client.deliver(payload);
    await client.end();
    await gateway.seal();

    const back = await DeviceClient.open(gateway, device);
    await ask(back, 0);
    const again = await back.receipt(payload, 'stored');
    expect(equalBytes(again.bytes, first.bytes)).toBe(true);
    const included = (await back.receipt(payload, 'included')).receipt;
    const stored = again.receipt.body.outcome;
    if (included.body.outcome.kind !== 'included' || stored.kind !== 'stored') throw new Error();
    const { entryLeaf, index, count, root } = included.body.outcome;
    expect(equalBytes(entryLeaf, stored.entryLeaf)).toBe(true);
    const found = rootFromInclusionProof(entryLeaf, index, count, included.entryPath);
    expect(found !== null && equalBytes(found, root)).toBe(true);
    const other = leafHash(new Uint8Array());
    const wrong = rootFromInclusionProof(other, index, count, included.entryPath);
    expect(wrong !== null && equalBytes(wrong, root)).toBe(false);
    await back.end();
  });
});

describe('the SDK', () => {
  it.each(['secp256k1', 'P-256', 'Ed25519'] as const)(
    'publishes with a %s key and gets its receipts',
    async (type) => {
      const { key } = new TestDevice(gateway.did, type);
      await gateway.enrol(key.did);
      const device = new Device({ url: gateway.mqttUrl, signer: key, gateway: gateway.did });
      await device.connect();
      const timeUs = Date.now() * 1000;
      const stored = await device.publish(1, [{ timeUs }, { timeUs: timeUs + 1 }]);
      expect(stored.map(({ receipt }) => receipt.body.outcome.kind)).toEqual(['stored']);
      await device.close();
      await waitFor('the device to be gone', async () => {
        return !(await gateway.device(key.did)).connected;
      });
    },
  );

  it('is told why it is refused', async () => {
    const { key } = new TestDevice(gateway.did);
    await gateway.enrol(key.did);
    const device = new Device({ url: gateway.mqttUrl, signer: key, gateway: gateway.did });
    await device.connect();
    const refused = device.publish(1, [{ timeUs: Date.UTC(2001, 0, 1) * 1000 }]);
    await expect(refused).rejects.toThrow(EnvelopeRefusedError);
    await expect(refused).rejects.toThrow(/TIME_TOO_OLD/);
    await device.close();
  });

  it('is told when it is not enrolled', async () => {
    const { key } = new TestDevice(gateway.did);
    const device = new Device({ url: gateway.mqttUrl, signer: key, gateway: gateway.did });
    await expect(device.connect()).rejects.toThrow(LoginRefusedError);
    await device.close();
  });
});
