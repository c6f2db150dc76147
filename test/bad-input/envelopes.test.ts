import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type Code,
  ENVELOPE_BYTES_MAX,
  fromHex,
  normaliseSignature,
  realmOf,
  SALT_BYTES,
} from '@waystone/proto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { frame, TestDevice } from '../harness/device.js';
import {
  makeHome,
  removeHome,
  startInProcess,
  TestClock,
  type TestGateway,
} from '../harness/gateway.js';
import { DeviceClient, nameOf } from '../harness/mqtt.js';
import { waitFor } from '../harness/wait.js';

let home: string;
let clock: TestClock;
let gateway: TestGateway;
/** A device that does everything right, on a connection of its own, all the time. */
let healthy: DeviceClient;

beforeAll(async () => {
  home = await makeHome();
  clock = new TestClock();
  gateway = await startInProcess(home, { clock });
  healthy = await login();
});
afterAll(async () => {
  await gateway?.stop();
  await removeHome(home);
});

async function login(type?: ConstructorParameters<typeof TestDevice>[1]): Promise<DeviceClient> {
  const device = new TestDevice(gateway.did, type);
  await gateway.enrol(device.did);
  return DeviceClient.open(gateway, device);
}

/**
 * The payload is refused for good with this code: PUBACK, signed receipt, counter, row, log line. The
 * connection goes on, and the healthy device's envelope is stored meanwhile.
 */
async function expectRefused(client: DeviceClient, payload: Uint8Array, code: Code): Promise<void> {
  const { did } = client.device;
  const counted = await gateway.refused(code);
  const rows = (await gateway.refusals(did)).length;
  const logged = gateway.logged(code, did).length;

  const besides = healthy.deliver(await healthy.device.envelope());
  const { receipt } = await client.deliver(payload);
  expect(receipt.body.outcome).toEqual({ kind: 'refused', code });
  expect((await besides).receipt.body.outcome.kind).toBe('stored');

  expect(await gateway.refused(code)).toBe(counted + 1);
  const [row, ...others] = await gateway.refusals(did);
  expect(others).toHaveLength(rows);
  expect(row).toMatchObject({
    did,
    code,
    statement: Buffer.from(nameOf(payload)).toString('hex'),
    detail: expect.stringMatching(/\S/),
  });
  const lines = gateway.logged(code, did);
  expect(lines).toHaveLength(logged + 1);
  expect(lines.at(-1)).toMatchObject({ level: 'warn', device: did, code });

  const next = await client.deliver(await client.device.envelope());
  expect(next.receipt.body.outcome.kind).toBe('stored');
}

/** The entries files of all sealed datasets. */
async function allEntries(): Promise<Buffer> {
  const { datasets } = await gateway.ask<{ datasets: { root: string }[] }>('GET', '/v1/datasets');
  const files = datasets.map(({ root }) =>
    readFile(join(home, 'data', 'datasets', root, 'entries')),
  );
  return Buffer.concat(await Promise.all(files));
}

type MakePayload = (client: DeviceClient) => Promise<Uint8Array>;

const minute = 60_000_000;
const now = () => clock.nowUs();

describe('an envelope is refused for good, and nobody else is harmed, when', () => {
  const cases: [Code, string, MakePayload][] = [
    [
      'SIGNATURE_INVALID',
      'its signature has a flipped bit',
      ({ device }) =>
        device.envelope({
          editSignature: (signature) => signature.map((byte, at) => (at === 5 ? byte ^ 1 : byte)),
        }),
    ],
    [
      'SIGNATURE_INVALID',
      'its signature is all zeros',
      ({ device }) => device.envelope({ editSignature: () => new Uint8Array(64) }),
    ],
    [
      'SIGNATURE_INVALID',
      'its signature is all ones',
      ({ device }) => device.envelope({ editSignature: () => new Uint8Array(64).fill(255) }),
    ],
    [
      'SIGNATURE_INVALID',
      'another key has signed it',
      async ({ device }) => {
        const other = new TestDevice(gateway.did);
        let statement: Uint8Array = new Uint8Array();
        const payload = await device.envelope({
          editStatement: (bytes) => {
            statement = bytes;
          },
        });
        payload.set(await other.sign(statement), 208);
        return payload;
      },
    ],
    [
      'SIGNATURE_INVALID',
      'the statement was changed after signing',
      async ({ device }) => {
        const payload = await device.envelope();
        payload[8 + 199] = (payload[8 + 199] as number) ^ 1; // in `previous`, which nothing else checks
        return payload;
      },
    ],
    [
      'FRAMES_ROOT_MISMATCH',
      'a frame was changed',
      async ({ device }) => {
        const timeUs = now();
        return device.envelope({ timeUs, sentFrames: [frame({ timeUs })] });
      },
    ],
    [
      'FRAMES_ROOT_MISMATCH',
      'frames were swapped',
      async ({ device }) => {
        const timeUs = now();
        const frames = [frame({ timeUs }), frame({ timeUs })];
        return device.envelope({ timeUs, frames, sentFrames: frames.toReversed() });
      },
    ],
    [
      'FRAMES_ROOT_MISMATCH',
      'a field was added to a frame',
      async ({ device }) => {
        const timeUs = now();
        const frames = [frame({ timeUs })];
        const longer = Buffer.concat([frames[0] as Uint8Array, Uint8Array.of(0xf8, 0x7f, 1)]);
        return device.envelope({ timeUs, frames, sentFrames: [longer] });
      },
    ],
    [
      'STATEMENT_CONTRADICTED',
      'its frames are later than its minimal time',
      async ({ device }) => device.envelope({ statement: { minTimeUs: now() - minute } }),
    ],
    [
      'STATEMENT_CONTRADICTED',
      'its frames are earlier than its maximal time',
      async ({ device }) => device.envelope({ statement: { maxTimeUs: now() + minute / 2 } }),
    ],
    [
      'STATEMENT_CONTRADICTED',
      'a frame in the middle is outside its times',
      async ({ device }) => {
        const timeUs = now();
        const frames = [0, 1, 0].map((late) => frame({ timeUs: timeUs + late }));
        return device.envelope({ timeUs, frames });
      },
    ],
    [
      'REALM_FOREIGN',
      'it is meant for another iDAO',
      ({ device }) =>
        device.envelope({ statement: { realm: realmOf(31337, `0x${'ab'.repeat(20)}`) } }),
    ],
    [
      'SESSION_UNKNOWN',
      'no login or hello ever named its session',
      ({ device }) => device.envelope({ statement: { session: randomBytes(16) } }),
    ],
    [
      'SESSION_UNKNOWN',
      'its session is another device\u2019s',
      ({ device }) => device.envelope({ statement: { session: healthy.device.session } }),
    ],
    [
      'SESSION_CLOSED',
      'a later hello did not list its session',
      async (client) => {
        const { device } = client;
        const earlier = device.session;
        device.session = randomBytes(16);
        client.publish(await device.hello(), { topic: `ws/v1/${device.topicId}/hello` });
        await client.raw.next('puback').catch((e) => {
          throw e;
        });
        device.sequence = 0;
        return device.envelope({ statement: { session: earlier } });
      },
    ],
    [
      'STREAM_UNKNOWN',
      'its stream is not configured',
      ({ device }) => device.envelope({ statement: { stream: 4_000_000_000 } }),
    ],
    [
      'FORMAT_UNSUPPORTED',
      'its frames have a format that is not known',
      ({ device }) => device.envelope({ statement: { format: 2 } }),
    ],
    [
      'ENVELOPE_TOO_LARGE',
      'it is one byte over 256 KiB',
      async ({ device }) => {
        const payload = await device.envelope();
        return Buffer.concat([payload, new Uint8Array(ENVELOPE_BYTES_MAX + 1 - payload.length)]);
      },
    ],
    [
      'ENVELOPE_MALFORMED',
      'there is a byte after its last frame',
      async ({ device }) => Buffer.concat([await device.envelope(), Uint8Array.of(0)]),
    ],
    [
      'ENVELOPE_MALFORMED',
      'a frame claims four gigabytes',
      async ({ device }) => {
        const payload = await device.envelope();
        payload.fill(0xff, 272, 276);
        return payload;
      },
    ],
    [
      'ENVELOPE_MALFORMED',
      'its statement counts more frames than there are',
      ({ device }) => device.envelope({ statement: { count: 1024 } }),
    ],
    [
      'ENVELOPE_MALFORMED',
      'it is JSON',
      async () => Buffer.from(JSON.stringify({ latitude: 52.5, longitude: 13.4 })),
    ],
    [
      'ENVELOPE_MALFORMED',
      'its reserved bytes are set',
      async ({ device }) => {
        const payload = await device.envelope();
        payload[7] = 1;
        return payload;
      },
    ],
    [
      'VERSION_UNSUPPORTED',
      'its envelope version is 2',
      async ({ device }) => {
        const payload = await device.envelope();
        payload[5] = 2;
        return payload;
      },
    ],
    [
      'VERSION_UNSUPPORTED',
      'its statement has the tag of version 2',
      ({ device }) =>
        device.envelope({ editStatement: (bytes) => bytes.set(Buffer.from('waystone/stmt/2')) }),
    ],
    [
      'STATEMENT_INVALID',
      'its statement counts no frame',
      ({ device }) => device.envelope({ editStatement: (bytes) => bytes.fill(0, 112, 116) }),
    ],
    [
      'STATEMENT_INVALID',
      'its statement has a flag that is not defined',
      ({ device }) =>
        device.envelope({
          editStatement: (bytes) => {
            bytes[103] = 1;
          },
        }),
    ],
    [
      'STATEMENT_INVALID',
      'its sequences end beyond 2^53',
      ({ device }) => device.envelope({ editStatement: (bytes) => bytes.fill(0xff, 104, 112) }),
    ],
    [
      'STATEMENT_INVALID',
      'it ends before it begins',
      ({ device }) => device.envelope({ editStatement: (bytes) => bytes.fill(0, 128, 136) }),
    ],
    [
      'DEVICE_MISMATCH',
      'it is the statement of another enrolled device',
      async () => healthy.device.envelope(),
    ],
    [
      'TIME_IN_FUTURE',
      'its frame is more than a minute ahead of the gateway',
      ({ device }) => device.envelope({ timeUs: now() + 10 * minute }),
    ],
    [
      'TIME_TOO_OLD',
      'its frame is from before 2015',
      ({ device }) => device.envelope({ timeUs: Date.UTC(2014, 11, 31, 23, 59, 59) * 1000 }),
    ],
    [
      'RANGE_CONFLICT',
      'another statement over the same sequences is stored',
      async (client) => {
        await client.deliver(await client.device.envelope({ statement: { firstSequence: 10 } }));
        return client.device.envelope({ statement: { firstSequence: 10 } });
      },
    ],
    [
      'RANGE_CONFLICT',
      'its last sequence is stored under another statement',
      async (client) => {
        await client.deliver(await client.device.envelope({ statement: { firstSequence: 11 } }));
        const timeUs = now();
        const frames = [frame({ timeUs }), frame({ timeUs })];
        return client.device.envelope({ timeUs, frames, statement: { firstSequence: 10 } });
      },
    ],
    [
      'RANGE_CONFLICT',
      'its sequences lie inside those of another statement',
      async (client) => {
        const timeUs = now();
        const frames = Array.from({ length: 9 }, () => frame({ timeUs }));
        await client.deliver(await client.device.envelope({ timeUs, frames }));
        return client.device.envelope({ statement: { firstSequence: 4 } });
      },
    ],
  ];
  it.each(cases)('%s: %s', async (code, _why, make) => {
    const client = await login();
    await expectRefused(client, await make(client), code);
    await client.end();
  });
});

describe('a frame is refused when', () => {
  const field = (number: number, wire: number) => (number << 3) | wire;
  const salt = Buffer.concat([Uint8Array.of(field(1, 2), SALT_BYTES), randomBytes(SALT_BYTES)]);
  const nested = (depth: number): Buffer => {
    // Groups of field 100, opened and never closed, deeper than any stack should go.
    return Buffer.alloc(depth * 2, Buffer.from([0xa3, 0x06]));
  };
  const cases: [string, Uint8Array][] = [
    ['it is empty, so it has no salt', new Uint8Array()],
    ['its salt has 15 bytes', frame({ salt: randomBytes(15) })],
    ['its salt has 17 bytes', frame({ salt: randomBytes(17) })],
    ['its latitude is beyond the pole', frame({ position: { latitudeE9: 90e9 + 1 } })],
    ['its longitude is beyond 180 degrees', frame({ position: { longitudeE9: -180e9 - 1 } })],
    [
      'its covariance has eight values',
      frame({ position: { positionCovarianceMm2: Array(8).fill(1) } }),
    ],
    ['its blob has a short hash', frame({ blobs: [{ sha256: randomBytes(31) }] })],
    ['its loss ends before it begins', frame({ discarded: { first: 2, last: 1 } })],
    ['a length reaches two gigabytes beyond it', Buffer.concat([salt, fromHex('22ffffffff07')])],
    ['a length is negative', Buffer.concat([salt, fromHex('22ffffffffffffffffff01')])],
    ['a varint ends inside', Buffer.concat([salt, fromHex('10ffff')])],
    ['a varint never ends', Buffer.concat([salt, fromHex(`10${'ff'.repeat(64)}`)])],
    ['a time has 64 bits', Buffer.concat([salt, fromHex('10ffffffffffffffffff01')])],
    ['it has a tag of field 0', Buffer.concat([salt, fromHex('0000')])],
    ['it has a wire type that does not exist', Buffer.concat([salt, fromHex('2f00')])],
    ['a group is closed that was never opened', Buffer.concat([salt, fromHex('a406')])],
    ['100,000 groups are nested', Buffer.concat([salt, nested(100_000)])],
    [
      'it is text',
      Buffer.from('$GPGGA,123519,4807.038,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,*47'),
    ],
    ['it is random', Buffer.concat([Uint8Array.of(0xff), randomBytes(4096)])],
  ];
  it.each(cases)('%s', async (_why, bytes) => {
    const client = await login();
    const payload = await client.device.envelope({ frames: [bytes] });
    await expectRefused(client, payload, 'FRAME_MALFORMED');
    await client.end();
  });
});

it('refuses a truncated envelope of every interesting length', async () => {
  const client = await login();
  const whole = await client.device.envelope();
  const lengths = [0, 1, 4, 7, 8, 100, 207, 208, 271, 272, 275, 276, whole.length - 1];
  for (const length of lengths) {
    const payload = whole.slice(0, length);
    const { receipt } = await client.deliver(payload);
    expect(receipt.body.outcome).toEqual({ kind: 'refused', code: 'ENVELOPE_MALFORMED' });
  }
  expect(await gateway.refusals(client.device.did)).toHaveLength(lengths.length);
  const { receipt } = await client.deliver(whole);
  expect(receipt.body.outcome.kind).toBe('stored');
  await client.end();
});

it('judges a refused statement anew when it comes again', async () => {
  const client = await login();
  const { device } = client;
  const session = randomBytes(16);
  const payload = await device.envelope({ statement: { session } });
  expect((await client.deliver(payload)).receipt.body.outcome.kind).toBe('refused');
  const hello = await device.hello({ queuedSessions: [session] });
  await client.acknowledged(client.publish(hello, { topic: `ws/v1/${device.topicId}/hello` }));
  expect((await client.deliver(payload)).receipt.body.outcome.kind).toBe('stored');
  await client.end();
});

it('counts what it refuses to a device', async () => {
  const client = await login();
  for (let k = 0; k < 3; k++) await client.deliver(Buffer.from([k]));
  await client.deliver(await client.device.envelope());
  const status = await gateway.device(client.device.did);
  expect(status).toMatchObject({ refused: 3, envelopes: 1, frames: 1 });
  await client.end();
});

it('acknowledges in order of arrival, whatever becomes of each envelope', async () => {
  const client = await login();
  const { device } = client;
  const payloads: Uint8Array[] = [];
  for (let k = 0; k < 40; k++) {
    const timeUs = now();
    const large = Array.from({ length: 600 }, () => frame({ timeUs }));
    payloads.push(
      k % 4 === 0
        ? await device.envelope({ timeUs, frames: large })
        : k % 4 === 1
          ? Buffer.from('nothing')
          : k % 4 === 2
            ? await device.envelope({ editSignature: () => new Uint8Array(64) })
            : await device.envelope(),
    );
  }
  const sent = payloads.map((payload) => client.publish(payload));
  const seen: number[] = [];
  for (const _ of sent) seen.push((await client.raw.next('puback')).messageId ?? 0);
  expect(seen).toEqual(sent);
  await client.end();
});

describe('keys', () => {
  it.each(['secp256k1', 'P-256', 'Ed25519'] as const)(
    'takes envelopes of a %s device and refuses its bad signatures',
    async (type) => {
      const client = await login(type);
      const [sealed] = await client.device
        .builder()
        .seal([{ timeUs: now() }], { realm: new Uint8Array(32), stream: 1 });
      expect(sealed).toBeDefined();
      const { receipt } = await client.deliver(await client.device.envelope());
      expect(receipt.body.outcome.kind).toBe('stored');
      const bad = await client.device.envelope({
        editSignature: (signature) => signature.map((byte, at) => (at === 40 ? byte ^ 4 : byte)),
      });
      await expectRefused(client, bad, 'SIGNATURE_INVALID');
      await client.end();
    },
  );

  it.each(['secp256k1', 'P-256'] as const)(
    'takes high S of a %s device, and its entry has low S',
    async (type) => {
      const order = {
        secp256k1: 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n,
        'P-256': 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n,
      }[type];
      const client = await login(type);
      const signatures: { low: Uint8Array; high: Uint8Array }[] = [];
      const payload = await client.device.envelope({
        editSignature: (signature) => {
          const low = normaliseSignature(type, signature);
          const s = BigInt(`0x${Buffer.from(low.subarray(32)).toString('hex')}`);
          const high = Buffer.concat([
            low.subarray(0, 32),
            fromHex((order - s).toString(16).padStart(64, '0')),
          ]);
          signatures.push({ low, high });
          return high;
        },
      });
      const { receipt } = await client.deliver(payload);
      expect(receipt.body.outcome.kind).toBe('stored');
      await gateway.seal();
      const { low, high } = signatures[0] as (typeof signatures)[number];
      const entries = await allEntries();
      expect(entries.includes(Buffer.from(low))).toBe(true);
      expect(entries.includes(Buffer.from(high))).toBe(false);
      await client.end();
    },
  );
});

describe('the clock', () => {
  it('lets a frame be up to a minute ahead', async () => {
    const client = await login();
    const { receipt } = await client.deliver(
      await client.device.envelope({ timeUs: now() + 55e6 }),
    );
    expect(receipt.body.outcome.kind).toBe('stored');
    await client.end();
  });

  it('takes data from 2015 on, however old', async () => {
    const client = await login();
    const payload = await client.device.envelope({ timeUs: Date.UTC(2015, 0, 1) * 1000 });
    expect((await client.deliver(payload)).receipt.body.outcome.kind).toBe('stored');
    await client.end();
  });

  it('judges no time while the gateway does not trust its own clock', async () => {
    const client = await login();
    clock.trusted = false;
    try {
      const future = await client.device.envelope({ timeUs: now() + 10_000 * minute });
      expect((await client.deliver(future)).receipt.body.outcome.kind).toBe('stored');
      const old = await client.device.envelope({ timeUs: 5 });
      expect((await client.deliver(old)).receipt.body.outcome.kind).toBe('stored');
    } finally {
      clock.trusted = true;
    }
    await client.end();
  });

  it('judges no time that counts from the start of the session', async () => {
    const client = await login();
    const payload = await client.device.envelope({ timeUs: 5, statement: { timeBase: 0 } });
    expect((await client.deliver(payload)).receipt.body.outcome.kind).toBe('stored');
    await client.end();
  });
});

it('ends a revoked device\u2019s connection and stores nothing of it from then on', async () => {
  const client = await login();
  const { device } = client;
  const payloads: Uint8Array[] = [];
  for (let k = 0; k < 60; k++) {
    const timeUs = now();
    const frames = Array.from({ length: 1000 }, () => frame({ timeUs }));
    payloads.push(await device.envelope({ timeUs, frames }));
  }
  for (const payload of payloads) client.publish(payload);
  await client.receipt(payloads[0] as Uint8Array, 'stored');
  const besides = healthy.deliver(await healthy.device.envelope());
  await gateway.revoke(device.did);
  await client.raw.closed();
  expect((await besides).receipt.body.outcome.kind).toBe('stored');

  await waitFor('envelopes in flight to be refused', async () =>
    (await gateway.refusals(device.did)).some(({ code }) => code === 'DEVICE_REVOKED'),
  );
  await waitFor(
    'all envelopes to be decided',
    async () => (await gateway.metric('waystone_envelopes_waiting')) === 0,
  );
  const { envelopes, refused, revokedAtUs, connected } = await gateway.device(device.did);
  expect(envelopes).toBeGreaterThan(0);
  expect(envelopes).toBeLessThan(payloads.length);
  expect(refused).toBe((await gateway.refusals(device.did)).length);
  expect(revokedAtUs).not.toBeNull();
  expect(connected).toBe(false);
  expect(gateway.logged('DEVICE_REVOKED', device.did)).not.toHaveLength(0);
});
