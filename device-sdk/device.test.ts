import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer, type Socket } from 'node:net';
import {
  equalBytes,
  LOCAL_REALM,
  leafHash,
  realmOf,
  toHex,
  topicIdFromDid,
  wire,
} from '@waystone/proto';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { Device, type DeviceOptions, type ReceiptEvent } from './device.js';
import { DeviceKey } from './device-key.js';
import { DeviceError, EnvelopeRefusedError, LoginRefusedError } from './errors.js';
import { MemoryOutbox } from './memory-outbox.js';
import { FakeGateway, type FakeGatewayOptions } from './testing/fake-gateway.js';

const ONLINE = wire.Hello.State.STATE_ONLINE;
const OFFLINE = wire.Hello.State.STATE_OFFLINE;

const key = DeviceKey.generate();
const topicId = topicIdFromDid(key.did);
const afterTest: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const undo of afterTest.splice(0).reverse()) await undo();
});

async function startGateway(options: FakeGatewayOptions = {}): Promise<FakeGateway> {
  const gateway = await FakeGateway.start(options);
  afterTest.push(async () => {
    await gateway.stop();
    expect(gateway.violations).toEqual([]);
  });
  return gateway;
}

/** How soon a device asks again in tests where receipts get lost. */
const SOON = { receiptTimeoutMs: 60 };

/** A device with short pauses between connections, that waits a minute for a receipt. */
function makeDevice(gateway: FakeGateway, options: Partial<DeviceOptions> = {}): Device {
  const device = new Device({
    url: gateway.url,
    signer: key,
    gateway: gateway.did,
    reconnectMinMs: 5,
    reconnectMaxMs: 40,
    receiptTimeoutMs: 60_000,
    ...options,
  });
  afterTest.push(() => device.close({ deadlineMs: 0 }));
  return device;
}

const observation = (timeUs: number) => ({ timeUs });

/** Publishes `count` envelopes of one frame each. */
const publishMany = (device: Device, count: number) =>
  Promise.all(Array.from({ length: count }, (_, k) => device.publish('drive', [observation(k)])));

const upTo = (count: number) => Array.from({ length: count }, (_, k) => k);
const sequences = (gateway: FakeGateway) =>
  gateway.stored.map(({ firstSequence }) => firstSequence).sort((a, b) => a - b);

describe('publishing', () => {
  it('resolves with the signed receipt of what is stored', async () => {
    const gateway = await startGateway();
    const device = makeDevice(gateway);
    await device.connect();
    const [stored] = await device.publish('drive', [observation(7), observation(8)]);
    expect(stored).toMatchObject({ stream: 1, firstSequence: 0, count: 2 });
    expect(stored?.receipt.body.outcome.kind).toBe('stored');
    expect(gateway.stored[0]?.frames).toHaveLength(2);
    expect(device.unreceipted).toBe(0);
  });

  it('sends in order and lets at most a window go unreceipted', async () => {
    const gateway = await startGateway();
    const device = makeDevice(gateway, { windowMax: 3 });
    await device.connect();
    await publishMany(device, 50);
    expect(gateway.arrivals).toEqual(upTo(50));
  });

  it.each([
    'lose-receipt',
    'lose-puback-and-receipt',
    'drop-before-storing',
    'drop-after-storing',
  ] as const)('stores every envelope exactly once when the gateway does "%s"', async (fault) => {
    // Every third envelope meets the fault twice before it goes through.
    const gateway = await startGateway({
      fate: ({ firstSequence, attempt }) =>
        firstSequence % 3 === 0 && attempt <= 2 ? fault : 'store',
    });
    const device = makeDevice(gateway, { ...SOON, windowMax: 4 });
    await device.connect();
    await publishMany(device, 20);
    expect(sequences(gateway)).toEqual(upTo(20));
    expect(device.unreceipted).toBe(0);
  });

  it('never lets go at a PUBACK alone', async () => {
    let mute = true;
    const gateway = await startGateway({ fate: () => (mute ? 'lose-receipt' : 'store') });
    const device = makeDevice(gateway, SOON);
    await device.connect();
    const published = device.publish(1, [observation(1)]);
    await vi.waitUntil(() => gateway.arrivals.length >= 3, { timeout: 10_000 });
    expect(device.unreceipted).toBe(1);
    mute = false;
    await published;
  });

  it('waits when told to, then sends again', async () => {
    const gateway = await startGateway({
      fate: ({ attempt }) => (attempt <= 2 ? { retryAfterSeconds: 0 } : 'store'),
    });
    const device = makeDevice(gateway, SOON);
    const kinds: string[] = [];
    device.on('receipt', ({ receipt }) => kinds.push(receipt.body.outcome.kind));
    await device.connect();
    await device.publish(1, [observation(1)]);
    await vi.waitUntil(() => kinds.length === 3);
    expect(kinds).toEqual(['retry', 'retry', 'stored']);
  });

  it('does not send before the time that a retry names', async () => {
    const gateway = await startGateway({
      fate: ({ firstSequence }) => (firstSequence === 0 ? { retryAfterSeconds: 3_600 } : 'store'),
    });
    const device = makeDevice(gateway);
    await device.connect();
    const waiting = device.publish(1, [observation(1)]);
    const refusedAtEnd = expect(waiting).rejects.toMatchObject({ code: 'DEVICE_CLOSED' });
    await device.publish(1, [observation(2)]);
    gateway.dropConnections();
    await once(device, 'connected');
    await device.publish(1, [observation(3)]);
    expect(gateway.arrivals).toEqual([0, 1, 2]);
    expect(await device.close({ deadlineMs: 0 })).toEqual({ unreceipted: 1 });
    await refusedAtEnd;
  });

  it('rejects with the code of a refusal, and goes on with the others', async () => {
    const gateway = await startGateway({
      fate: ({ firstSequence }) => (firstSequence === 1 ? { refuse: 'TIME_IN_FUTURE' } : 'store'),
    });
    const device = makeDevice(gateway);
    await device.connect();
    const results = await Promise.allSettled(
      upTo(3).map((k) => device.publish('drive', [observation(k)])),
    );
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    const { reason } = results[1] as PromiseRejectedResult;
    expect(reason).toBeInstanceOf(EnvelopeRefusedError);
    expect(reason).toMatchObject({
      code: 'ENVELOPE_REFUSED',
      refusal: 'TIME_IN_FUTURE',
      envelope: { stream: 1, firstSequence: 1, count: 1 },
    });
    expect(device.unreceipted).toBe(0);
  });

  it('takes observations before there is a connection, and sends them then', async () => {
    const gateway = await startGateway();
    const device = makeDevice(gateway, { realm: LOCAL_REALM });
    const { stored, envelopes } = await device.enqueue(1, [observation(1)]);
    expect(envelopes).toMatchObject([{ firstSequence: 0, count: 1 }]);
    expect(device.unreceipted).toBe(1);
    await device.connect();
    await stored;
  });

  it('holds callers back while the outbox is full', async () => {
    const gateway = await startGateway();
    const outbox = new MemoryOutbox({ envelopesMax: 2 });
    const device = makeDevice(gateway, { realm: LOCAL_REALM, outbox });
    await device.enqueue(1, [observation(0)]);
    await device.enqueue(1, [observation(1)]);
    const third = device.enqueue(1, [observation(2)]);
    expect(outbox.size).toBe(2);
    await device.connect();
    await (await third).stored;
    expect(gateway.arrivals).toEqual([0, 1, 2]);
  });

  it('turns calls away when too many wait', async () => {
    const gateway = await startGateway();
    const device = makeDevice(gateway); // Nothing is known of the realm, so all calls wait.
    const waiting = Promise.allSettled(upTo(1_024).map((k) => device.enqueue(1, [observation(k)])));
    await expect(device.enqueue(1, [observation(0)])).rejects.toMatchObject({
      code: 'OUTBOX_FULL',
    });
    await device.close({ deadlineMs: 0 });
    for (const { status } of await waiting) expect(status).toBe('rejected');
  });

  it('refuses a stream that the settings do not name', async () => {
    const gateway = await startGateway();
    const device = makeDevice(gateway);
    await device.connect();
    for (const stream of ['walk', 2]) {
      await expect(device.publish(stream, [observation(1)])).rejects.toMatchObject({
        code: 'STREAM_UNKNOWN',
        message: expect.stringContaining('1 (drive)'),
      });
    }
  });
});

describe('a lost connection', () => {
  it('is opened again with a new token and a risen counter, and all is sent again in order', async () => {
    let isDeaf = true;
    const gateway = await startGateway({
      fate: () => (isDeaf ? 'lose-puback-and-receipt' : 'store'),
    });
    const device = makeDevice(gateway);
    await device.connect();
    const published = publishMany(device, 5);
    for (let round = 1; round <= 3; round++) {
      await vi.waitUntil(() => gateway.arrivals.length === 5 * round, { timeout: 10_000 });
      if (round === 3) isDeaf = false;
      gateway.dropConnections();
      await once(device, 'connected');
    }
    await published;
    expect(gateway.arrivals).toEqual([...upTo(5), ...upTo(5), ...upTo(5), ...upTo(5)]);
    expect(sequences(gateway)).toEqual(upTo(5));
    const counters = gateway.logins.map(({ counter }) => counter);
    expect(counters).toHaveLength(4);
    expect([...counters].sort((a, b) => a - b)).toEqual(counters);
    expect(new Set(counters).size).toBe(4);
    for (const { session } of gateway.logins) expect(toHex(session)).toBe(toHex(device.session));
  });

  it('says hello with the receipts that it misses', async () => {
    let isDeaf = true;
    const gateway = await startGateway({
      fate: () => (isDeaf ? 'lose-puback-and-receipt' : 'store'),
    });
    const device = makeDevice(gateway, { software: 'rover-fw 2.1.0' });
    await device.connect();
    const published = publishMany(device, 3);
    await vi.waitUntil(() => gateway.arrivals.length === 3);
    isDeaf = false;
    gateway.dropConnections();
    await published;
    const births = gateway.hellos.filter(({ hello }) => hello.state === ONLINE);
    expect(births.map(({ hello }) => hello.wantedReceipts?.length)).toEqual([0, 3]);
    expect(births[1]?.hello).toMatchObject({ software: 'rover-fw 2.1.0', queuedSessions: [] });
    expect(
      births[1]?.hello.wantedReceipts?.map(({ stream, firstSequence }) => [stream, firstSequence]),
    ).toEqual([
      [1, 0],
      [1, 1],
      [1, 2],
    ]);
    const [wanted] = births[1]?.hello.wantedReceipts ?? [];
    expect(toHex(wanted?.session ?? new Uint8Array())).toBe(toHex(device.session));
  });

  it('says hello again, with a risen counter, when the gateway told it to wait', async () => {
    const gateway = await startGateway({
      helloRetryAfterSeconds: (attempt) => (attempt <= 2 ? 0 : null),
    });
    const device = makeDevice(gateway);
    await device.connect();
    await vi.waitFor(() => expect(gateway.hellos).toHaveLength(3));
    const counters = gateway.hellos.map(({ hello }) => hello.counter ?? 0);
    expect(counters).toEqual(counters.toSorted((a, b) => a - b));
    expect(new Set(counters).size).toBe(3);
    expect(gateway.hellos.every(({ hello }) => hello.state === ONLINE)).toBe(true);
    // On the connection that it has.
    expect(gateway.logins).toHaveLength(1);
    await device.publish('drive', [observation(1)]);
    expect(gateway.hellos).toHaveLength(3);
  });

  it('leaves a signed will that is newer than the birth and older than the next login', async () => {
    const gateway = await startGateway();
    const device = makeDevice(gateway);
    await device.connect();
    await vi.waitUntil(() => gateway.hellos.length === 1);
    gateway.dropConnections();
    await vi.waitUntil(() => gateway.hellos.some(({ hello }) => hello.state === OFFLINE));
    await vi.waitUntil(() => gateway.logins.length === 2);
    const will = gateway.hellos.find(({ hello }) => hello.state === OFFLINE);
    const birth = gateway.hellos.find(({ hello }) => hello.state === ONLINE);
    expect(will?.isWill).toBe(true);
    expect(toHex(will?.hello.session ?? new Uint8Array())).toBe(toHex(device.session));
    expect(birth?.hello.counter).toBeGreaterThan(gateway.logins[0]?.counter as number);
    expect(will?.hello.counter).toBeGreaterThan(birth?.hello.counter as number);
    expect(gateway.logins[1]?.counter).toBeGreaterThan(will?.hello.counter as number);
  });

  it('is reported, and tried again while the gateway is away', async () => {
    const gateway = await startGateway();
    const device = makeDevice(gateway);
    const reports: string[] = [];
    device.on('disconnected', (reason) => reports.push(reason.code));
    device.on('unreachable', (reason, retryInMs) => {
      expect(retryInMs).toBeGreaterThan(0);
      reports.push(reason.code);
    });
    await device.connect();
    await gateway.stop();
    const published = device.publish(1, [observation(1)]);
    await vi.waitUntil(() => reports.length >= 3, { timeout: 10_000 });
    expect(reports[0]).toBe('CONNECTION_LOST');
    expect(new Set(reports.slice(1))).toEqual(new Set(['GATEWAY_UNREACHABLE']));
    await gateway.listen();
    await published;
  });

  it('is cut by the device when answers stay out', async () => {
    let isDeaf = true;
    const gateway = await startGateway({
      fate: () => (isDeaf ? 'lose-puback-and-receipt' : 'store'),
    });
    const device = makeDevice(gateway, SOON);
    await device.connect();
    const published = device.publish(1, [observation(1)]);
    const [reason] = await once(device, 'disconnected');
    expect(reason).toBeInstanceOf(DeviceError);
    expect(reason.code).toBe('ANSWERS_MISSING');
    isDeaf = false;
    await published;
  });
});

describe('connecting', () => {
  it('waits for a gateway that is not there yet', async () => {
    const gateway = await startGateway();
    await gateway.stop();
    const device = makeDevice(gateway);
    const connected = device.connect();
    const [reason] = await once(device, 'unreachable');
    expect(reason).toMatchObject({ code: 'GATEWAY_UNREACHABLE' });
    expect(reason.message).toContain(gateway.url);
    await gateway.listen();
    await connected;
    expect(device.isConnected).toBe(true);
  });

  it.each([2, 4, 5])(
    'rejects when the first login is refused with %i, and may be repeated',
    async (code) => {
      const gateway = await startGateway({ loginVerdict: (attempt) => (attempt === 1 ? code : 0) });
      const device = makeDevice(gateway);
      const refusal = await device.connect().catch((error: unknown) => error);
      expect(refusal).toBeInstanceOf(LoginRefusedError);
      expect(refusal).toMatchObject({ code: 'LOGIN_REFUSED', returnCode: code });
      await device.connect();
    },
  );

  it('tries again by itself when the gateway is unavailable or refuses later', async () => {
    const verdicts = [3, 0, 5, 5, 0];
    const gateway = await startGateway({
      loginVerdict: (attempt) => verdicts[attempt - 1] as number,
    });
    const device = makeDevice(gateway);
    const codes: string[] = [];
    device.on('unreachable', (reason) => codes.push(reason.code));
    await device.connect();
    gateway.dropConnections();
    await once(device, 'connected');
    await vi.waitUntil(() => gateway.logins.length === 2);
    expect(codes).toEqual(['GATEWAY_UNREACHABLE', 'LOGIN_REFUSED', 'LOGIN_REFUSED']);
  });

  it('goes over TLS, to a gateway whose certificate it trusts and to no other', async () => {
    const { key: tlsKey, cert } = await readCertificate();
    const gateway = await startGateway({ tls: { key: tlsKey, cert } });
    expect(gateway.url).toMatch(/^mqtts:/);
    const distrustful = makeDevice(gateway);
    void distrustful.connect().catch(() => undefined);
    const [reason] = await once(distrustful, 'unreachable');
    expect(reason.code).toBe('GATEWAY_UNREACHABLE');
    expect(reason.message).toContain('self-signed certificate');
    await distrustful.close({ deadlineMs: 0 });
    expect(gateway.logins).toEqual([]);

    const device = makeDevice(gateway, { ca: cert });
    await device.connect();
    await device.publish('drive', [observation(1)]);
  });

  it('gives up an attempt at a server that never answers', async () => {
    const sockets = new Set<Socket>();
    const server = createServer((socket) => sockets.add(socket)).listen(0, '127.0.0.1');
    await once(server, 'listening');
    afterTest.push(async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
    });
    const { port } = server.address() as { port: number };
    const device = new Device({
      url: `mqtt://127.0.0.1:${port}`,
      signer: key,
      gateway: DeviceKey.generate().did,
      connectTimeoutMs: 30,
    });
    void device.connect().catch(() => undefined);
    const [reason] = await once(device, 'unreachable');
    expect(reason.code).toBe('GATEWAY_UNREACHABLE');
    await device.close({ deadlineMs: 0 });
  });

  it.each([
    ['url', { url: 'http://127.0.0.1' }],
    ['url', { url: 'mqtt://user@127.0.0.1' }],
    ['windowMax', { windowMax: 2_000 }],
    ['receiptTimeoutMs', { receiptTimeoutMs: 0 }],
    ['back-off', { reconnectMinMs: 50, reconnectMaxMs: 5 }],
    ['realm', { realm: new Uint8Array(3) }],
    ['did:key', { gateway: 'did:key:z6Mk' }],
  ])('names the wrong option %s', (name, wrong) => {
    const right = { url: 'mqtt://127.0.0.1', signer: key, gateway: DeviceKey.generate().did };
    expect(() => new Device({ ...right, ...wrong })).toThrow(name);
  });
});

describe('settings', () => {
  it('give realm and streams, once their signature was checked', async () => {
    const realm = realmOf(133717, `0x${'12'.repeat(20)}`);
    const gateway = await startGateway({ realm, streams: [{ id: 40, name: 'drive' }] });
    const device = makeDevice(gateway);
    await device.connect();
    const [stored] = await device.publish('drive', [observation(1)]);
    expect(stored?.stream).toBe(40);
    expect(device.config).toMatchObject({
      streams: [{ id: 40, name: 'drive' }],
      envelopeBytesMax: 256 * 1024,
      nextKeyHash: new Uint8Array(32).fill(7),
    });
    expect(equalBytes(device.config?.realm as Uint8Array, realm)).toBe(true);
  });

  it('of another key, another gateway or another realm than pinned have no effect', async () => {
    const gateway = await startGateway({ sendsConfig: false });
    const device = makeDevice(gateway, { realm: LOCAL_REALM });
    const reasons: string[] = [];
    device.on('ignored', ({ reason }) => reasons.push(reason));
    await device.connect();
    await gateway.sendConfig(topicId, { gateway: DeviceKey.generate().did });
    await gateway.sendConfig(topicId, { realm: new Uint8Array(32).fill(1) });
    gateway.send(topicId, 'config', Buffer.from('nonsense'));
    await vi.waitUntil(() => reasons.length === 3);
    expect(reasons[0]).toContain('names the gateway');
    expect(reasons[1]).toContain('another realm');
    expect(device.config).toBeNull();
  });

  it('signed by a stranger leave the device waiting', async () => {
    const gateway = await startGateway({ signWith: DeviceKey.generate() });
    const device = makeDevice(gateway);
    const ignored = once(device, 'ignored');
    await device.connect();
    const waiting = device.publish(1, [observation(1)]);
    const [{ reason }] = await ignored;
    expect(reason).toContain('signature');
    const rejected = expect(waiting).rejects.toMatchObject({ code: 'DEVICE_CLOSED' });
    await device.close({ deadlineMs: 0 });
    await rejected;
    expect(gateway.arrivals).toEqual([]);
  });
});

describe('receipts', () => {
  it('signed by another key than the pinned one settle nothing', async () => {
    const gateway = await startGateway({ signWith: DeviceKey.generate() });
    const device = makeDevice(gateway, {
      ...SOON,
      realm: LOCAL_REALM,
      streams: [{ id: 1, name: 'drive' }],
    });
    const reasons: string[] = [];
    device.on('ignored', ({ topic, reason }) => {
      if (topic.endsWith('/receipt')) reasons.push(reason);
    });
    await device.connect();
    const { stored } = await device.enqueue(1, [observation(1)]);
    await vi.waitUntil(() => reasons.length >= 2, { timeout: 10_000 });
    expect(reasons[0]).toContain('signature does not match the gateway key');
    expect(await device.close({ deadlineMs: 0 })).toEqual({ unreceipted: 1 });
    await expect(stored).rejects.toMatchObject({ code: 'DEVICE_CLOSED' });
  });

  it('for another device, or cut short, are ignored', async () => {
    const gateway = await startGateway({ fate: () => 'lose-receipt' });
    const device = makeDevice(gateway);
    const reasons: string[] = [];
    device.on('ignored', ({ reason }) => reasons.push(reason));
    await device.connect();
    const { envelopes } = await device.enqueue('drive', [observation(1)]);
    const statement = envelopes[0]?.statementHash as Uint8Array;
    const outcome = { kind: 'stored', entryLeaf: new Uint8Array(32) } as const;
    const stranger = DeviceKey.generate().publicKey;
    gateway.send(topicId, 'receipt', await gateway.receipt(stranger, statement, outcome));
    const good = await gateway.receipt(key.publicKey, statement, outcome);
    gateway.send(topicId, 'receipt', good.subarray(0, 200));
    await vi.waitUntil(() => reasons.length === 2);
    expect(reasons[0]).toContain('another device');
    expect(device.unreceipted).toBe(1);
  });

  it('that come later are told as events, with their bytes', async () => {
    const gateway = await startGateway();
    const device = makeDevice(gateway);
    await device.connect();
    const [stored] = await device.publish('drive', [observation(1)]);
    const statement = stored?.statementHash as Uint8Array;
    const entryLeaf = leafHash(Buffer.from('entry'));
    const events: ReceiptEvent[] = [];
    device.on('receipt', (event) => events.push(event));
    const included = await gateway.receipt(key.publicKey, statement, {
      kind: 'included',
      entryLeaf,
      root: entryLeaf,
      index: 0,
      count: 1,
    });
    gateway.send(topicId, 'receipt', included);
    const final = { kind: 'final', root: entryLeaf, tokenId: 12n, chainId: 31337 } as const;
    gateway.send(topicId, 'receipt', await gateway.receipt(key.publicKey, statement, final));
    await vi.waitUntil(() => events.length >= 2);
    const later = events.filter(({ receipt }) => receipt.body.outcome.kind !== 'stored');
    expect(later.map(({ receipt }) => receipt.body.outcome.kind)).toEqual(['included', 'final']);
    expect(later[0]?.envelope).toBeNull();
    expect(Buffer.from(later[0]?.bytes as Uint8Array)).toEqual(Buffer.from(included));
    expect(later[1]?.receipt.body.outcome).toMatchObject({ tokenId: 12n });
  });
});

describe('closing', () => {
  it('drains, says goodbye in a signed hello and leaves no will', async () => {
    const gateway = await startGateway({
      fate: ({ attempt }) => (attempt === 1 ? 'lose-receipt' : 'store'),
    });
    const device = makeDevice(gateway, { receiptTimeoutMs: 600 });
    await device.connect();
    const published = publishMany(device, 10);
    expect(await device.close()).toEqual({ unreceipted: 0 });
    expect(await published).toHaveLength(10);
    expect(gateway.hellos.map(({ hello }) => hello.state)).toEqual([ONLINE, OFFLINE]);
    expect(device.isConnected).toBe(false);
    await expect(device.publish(1, [observation(1)])).rejects.toMatchObject({
      code: 'DEVICE_CLOSED',
    });
    await expect(device.connect()).rejects.toMatchObject({ code: 'DEVICE_CLOSED' });
  });

  it('stops at its deadline and says what is left', async () => {
    const gateway = await startGateway({ fate: () => 'lose-puback-and-receipt' });
    const device = makeDevice(gateway);
    await device.connect();
    const published = publishMany(device, 2);
    const rejected = expect(published).rejects.toMatchObject({ code: 'DEVICE_CLOSED' });
    expect(await device.close({ deadlineMs: 30 })).toEqual({ unreceipted: 2 });
    await rejected;
    expect(gateway.hellos.at(-1)).toMatchObject({ hello: { state: OFFLINE } });
  });

  it('ends an attempt to connect', async () => {
    const gateway = await startGateway();
    await gateway.stop();
    const device = makeDevice(gateway);
    const rejected = expect(device.connect()).rejects.toMatchObject({ code: 'DEVICE_CLOSED' });
    await once(device, 'unreachable');
    await device.close({ deadlineMs: 0 });
    await rejected;
    await gateway.listen();
  });

  it('needs no connection, and may be asked for twice', async () => {
    const device = makeDevice(await startGateway());
    const closing = device.close();
    expect(device.close()).toBe(closing);
    expect(await closing).toEqual({ unreceipted: 0 });
  });
});

/** A certificate for localhost that signs itself, for tests only. */
async function readCertificate(): Promise<{ key: string; cert: string }> {
  const read = (name: string) =>
    readFile(new URL(`testing/tls/test-only.${name}`, import.meta.url), 'utf8');
  return { key: await read('key'), cert: await read('crt') };
}
