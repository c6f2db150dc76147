import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { toHex, topicOf } from '@waystone/proto';
import Database from 'better-sqlite3';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { verifyPath } from '../../gateway/audit/verify.js';
import { TestDevice } from '../harness/device.js';
import { makeHome, removeHome, startInProcess, type TestGateway } from '../harness/gateway.js';
import { connectPacket, DeviceClient, RawClient, type ReceiptMessage } from '../harness/mqtt.js';
import { waitFor } from '../harness/wait.js';

let home: string;
let gateway: TestGateway;

async function start(set: readonly string[]): Promise<void> {
  gateway = await startInProcess(home, { set: ['mqtt.loginDelaySecondsMax=0', ...set] });
}

async function enrolled(): Promise<TestDevice> {
  const device = new TestDevice(gateway.did);
  await gateway.enrol(device.did);
  return device;
}

/** A CONNECT with this password is answered with this return code, and counted. */
async function expectLoginRefused(
  device: TestDevice,
  password: Buffer,
  { code, returnCode }: { code: string; returnCode: number },
): Promise<void> {
  const counted = await gateway.refused(code);
  const raw = await RawClient.open(gateway.mqttPort);
  raw.send(await connectPacket(device, { password }));
  expect(await raw.next('connack')).toMatchObject({ returnCode });
  await raw.closed();
  expect(await gateway.refused(code)).toBe(counted + 1);
  expect(gateway.logged(code, device.did).length).toBeGreaterThan(0);
}

const sayHello = async (client: DeviceClient, hello: Uint8Array): Promise<void> =>
  client.acknowledged(client.publish(hello, { topic: topicOf(client.device.topicId, 'hello') }));

describe('a session that was pruned', () => {
  /** The fewest that can be set. */
  const KEPT = ['sessions.closedKept=4'];
  /** What was sent in one session of the device. */
  interface Recorded {
    readonly session: Uint8Array;
    readonly password: Buffer;
    readonly hello: Uint8Array;
    readonly envelope: Uint8Array;
    readonly receipt: ReceiptMessage;
  }
  let device: TestDevice;
  const recorded: Recorded[] = [];

  const startOfDevice = async (): Promise<DeviceClient> => {
    device.session = randomBytes(16);
    device.counter = 0;
    device.sequence = 0;
    const password = Buffer.from(await device.loginToken());
    const client = await DeviceClient.open(gateway, device, { password });
    const hello = await device.hello();
    await sayHello(client, hello);
    const envelope = await device.envelope();
    const receipt = await client.deliver(envelope);
    expect(receipt.receipt.body.outcome.kind).toBe('stored');
    recorded.push({ session: device.session, password, hello, envelope, receipt });
    return client;
  };
  const marks = (): number => {
    const db = new Database(join(home, 'data', 'ledger.sqlite'), { readonly: true });
    try {
      return db.prepare('SELECT COUNT(*) FROM pruned_sessions').pluck().get() as number;
    } finally {
      db.close();
    }
  };

  beforeAll(async () => {
    home = await makeHome();
    await start(KEPT);
    device = await enrolled();
    for (let k = 0; k < 7; k++) await (await startOfDevice()).end();
    await gateway.seal();
    await waitFor('two sessions to be pruned', async () => {
      // Which writes the counts without which nothing is pruned.
      expect((await gateway.device(device.did)).sessions).toBe(7);
      return marks() === 2;
    });
  });
  afterAll(async () => {
    await gateway?.stop();
    await removeHome(home);
  });

  const again = async (): Promise<void> => {
    await gateway.stop();
    await start(KEPT);
  };
  it.each([
    ['at once', async () => undefined],
    ['after a restart', again],
  ])('stays refused %s: login, hello and envelope', async (_when, prepare) => {
    await prepare();
    const { session, password, hello, envelope } = recorded[0] as Recorded;
    await expectLoginRefused(device, password, { code: 'SESSION_CLOSED', returnCode: 4 });
    // A token that nobody has seen yet is refused alike.
    const token = await device.loginToken({ session, counter: 1_000_000 });
    await expectLoginRefused(device, Buffer.from(token), { code: 'SESSION_CLOSED', returnCode: 4 });

    let client = await DeviceClient.open(gateway, device);
    const { receipt } = await client.deliver(envelope);
    expect(receipt.body.outcome).toEqual({ kind: 'refused', code: 'SESSION_CLOSED' });
    const [row] = await gateway.refusals(device.did);
    expect(row?.detail).toMatch(/closed long ago/);

    for (const payload of [hello, await device.hello({ session, counter: 1_000_000 })]) {
      client.publish(payload, { topic: topicOf(device.topicId, 'hello') });
      const answer = await client.receipt(payload);
      expect(answer.receipt.body.outcome).toEqual({ kind: 'refused', code: 'HELLO_INVALID' });
      expect(gateway.logged('HELLO_INVALID', device.did).at(-1)?.detail).toBe('SESSION_CLOSED');
      await client.raw.closed();
      client = await DeviceClient.open(gateway, device);
    }

    // A hello of the present session may name it, and it stays closed.
    await sayHello(client, await device.hello({ queuedSessions: [session] }));
    const fresh = await device.envelope({ statement: { session, firstSequence: 50 } });
    for (const payload of [envelope, fresh]) {
      expect((await client.deliver(payload)).receipt.body.outcome).toEqual({
        kind: 'refused',
        code: 'SESSION_CLOSED',
      });
    }
    // Those that are kept answer as ever, byte for byte.
    for (const { envelope, receipt } of recorded.slice(2)) {
      expect((await client.deliver(envelope)).bytes).toEqual(receipt.bytes);
    }
    await client.end();
    expect((await gateway.device(device.did)).envelopes).toBe(7);
  });

  it('still has proofs, found in the datasets of its device', async () => {
    const { session } = recorded[1] as Recorded;
    const place = `/v1/proofs/${device.did}/${toHex(session)}/1`;
    const proof = await gateway.ask('GET', `${place}/0`);
    const file = join(home, 'proof.json');
    await writeFile(file, JSON.stringify(proof));
    expect((await verifyPath(file, { gatewayDid: gateway.did })).result).toBe('verified');
    await expect(gateway.ask('GET', `${place}/7`)).rejects.toThrow(/404.*FRAME_FORGOTTEN/);
    const unknown = `/v1/proofs/${device.did}/${'ab'.repeat(16)}/1/0`;
    await expect(gateway.ask('GET', unknown)).rejects.toThrow(/404.*FRAME_UNKNOWN/);
  });
});

describe('a device that opens sessions too fast', () => {
  const LIMITS = ['sessions.newPerDayMax=1', 'sessions.newBurstMax=65'];
  beforeAll(async () => {
    home = await makeHome();
    await start(LIMITS);
  });
  afterAll(async () => {
    await gateway?.stop();
    await removeHome(home);
  });

  it('is told to come again, by login and hello, keeps what it has, and no restart changes that', async () => {
    const device = await enrolled();
    const { session } = device;
    const queued = Array.from({ length: 64 }, () => randomBytes(16));
    let client = await DeviceClient.open(gateway, device);
    await sayHello(client, await device.hello({ queuedSessions: queued }));
    const refused = { code: 'SESSIONS_TOO_MANY', returnCode: 3 };
    for (let k = 0; k < 2; k++) {
      const token = await device.loginToken({ session: randomBytes(16) });
      await expectLoginRefused(device, Buffer.from(token), refused);
      // Its connection was not pushed off.
      const { receipt } = await client.deliver(await device.envelope());
      expect(receipt.body.outcome.kind).toBe('stored');

      const counted = await gateway.refused('SESSIONS_TOO_MANY');
      const hello = await device.hello({ session: randomBytes(16) });
      const id = client.publish(hello, { topic: topicOf(device.topicId, 'hello') });
      const answer = await client.receipt(hello);
      expect(answer.receipt.body.outcome).toEqual({
        kind: 'retry',
        code: 'SESSIONS_TOO_MANY',
        afterSeconds: 300,
      });
      expect(await gateway.refused('SESSIONS_TOO_MANY')).toBe(counted + 1);
      await client.raw.closed();
      expect(client.raw.packets.some((one) => one.cmd === 'puback' && one.messageId === id)).toBe(
        false,
      );
      // Nothing was closed by it: its session and all that it queued are taken.
      client = await DeviceClient.open(gateway, device);
      for (const one of [session, queued[k] as Uint8Array, queued[63 - k] as Uint8Array]) {
        const payload = await device.envelope({ statement: { session: one } });
        expect((await client.deliver(payload)).receipt.body.outcome.kind).toBe('stored');
      }
      if (k > 0) break;
      await client.end();
      await gateway.stop();
      await start(LIMITS);
      client = await DeviceClient.open(gateway, device);
    }
    await client.end();
  });
});
