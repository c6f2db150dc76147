import { setImmediate as turn } from 'node:timers/promises';
import { decodeReceipt, toHex } from '@waystone/proto';
import { pino } from 'pino';
import { describe, expect, it } from 'vitest';
import { testKeyNamed } from '../../proto/test-data/test-signer.js';
import { GatewayKey } from '../core/gateway-key.js';
import type { DeviceRecord } from '../core/ports.js';
import { ReceiptMaker } from '../core/receipt-maker.js';
import { ReceiptSender } from './receipt-sender.js';

const ROOT = 'ab'.repeat(32);

function deviceOf(id: number): DeviceRecord {
  const { publicKey } = testKeyNamed('Ed25519', `receipts ${id}`);
  const keyId = new Uint8Array(32).fill(id);
  return { id, did: `did:key:${id}`, keyId, publicKey, revokedAtUs: null };
}

/** What a statement of a batch is owed. */
function rowOf(batch: number, batchIndex: number, offence: 'DEVICE_REVOKED' | null = null) {
  const statement = new Uint8Array(32).fill(batchIndex);
  return {
    statement,
    stored: Uint8Array.of(batch, batchIndex),
    batch,
    batchIndex,
    offence,
  } as const;
}

/** A sender whose datasets answer each walk when they are told to. */
function setUp() {
  const sent: { device: number; bytes: Uint8Array }[] = [];
  const walks: { device: string; indexes: number[] | null; end: () => void }[] = [];
  let under = 0;
  let most = 0;
  const sender = new ReceiptSender({
    logger: pino({ level: 'silent' }),
    receiptMaker: new ReceiptMaker(new GatewayKey(new Uint8Array(32).fill(7)), new Uint8Array(16)),
    send: (device, bytes) => {
      sent.push({ device, bytes });
      return true;
    },
    connected: () => [],
    included: async function* (_root, ids, indexes) {
      under += 1;
      most = Math.max(most, under);
      await new Promise<void>((end) => walks.push({ device: toHex(ids), indexes, end }));
      under -= 1;
      yield { places: [0], lengths: [3], receipts: Uint8Array.of(1, 2, 3) };
    },
    withdrawn: async function* () {},
    chainId: 5,
    batch: async (id) =>
      id === 9
        ? { root: null, entries: 1, isSealed: false, dat: null }
        : { root: ROOT, entries: 100, isSealed: true, dat: null },
  });
  return { sender, sent, walks, mostAtOnce: () => most };
}

/** Ends walks until there are none. @returns how many there were. */
async function endAll(walks: { end: () => void }[]): Promise<number> {
  let ended = 0;
  for (let quiet = 0; quiet < 5; quiet++) {
    await turn();
    for (; ended < walks.length; quiet = 0) walks[ended++]?.end();
  }
  return ended;
}

describe('what a hello asked for', () => {
  it('is answered from the ledger at once, and from datasets in turn, two devices at a time', async () => {
    const { sender, sent, walks, mostAtOnce } = setUp();
    const devices = Array.from({ length: 40 }, (_, k) => deviceOf(k + 1));
    const all = devices.map((device) => sender.owed(device, [rowOf(1, 3), rowOf(1, 4)]));
    expect(sent.map(({ device }) => device)).toEqual(devices.flatMap(({ id }) => [id, id]));
    await turn();
    expect(walks).toHaveLength(2);
    expect(await endAll(walks)).toBe(40);
    await Promise.all(all);
    expect(mostAtOnce()).toBe(2);
    expect(walks.map(({ device }) => device)).toEqual(devices.map(({ keyId }) => toHex(keyId)));
    expect(walks.every(({ indexes }) => `${indexes}` === '3,4')).toBe(true);
    expect(sent.slice(80).map(({ device }) => device)).toEqual(devices.map(({ id }) => id));
  });

  it('makes no device wait for one that asks again and again', async () => {
    const { sender, sent, walks } = setUp();
    const [restless, other] = [deviceOf(1), deviceOf(2)];
    const all = Array.from({ length: 100 }, (_, k) => sender.owed(restless, [rowOf(1, k)]));
    all.push(sender.owed(other, [rowOf(1, 0)]));
    expect(sent).toHaveLength(101);
    expect(await endAll(walks)).toBe(5);
    await Promise.all(all);
    expect(walks.map(({ indexes }) => indexes)).toEqual([[0], [1], [2], [3], [0]]);
    // Its share is free again.
    const later = sender.owed(restless, [rowOf(1, 50)]);
    expect(await endAll(walks)).toBe(6);
    await later;
  });

  it('is told of offences, and nothing of batches that are not sealed', async () => {
    const { sender, sent, walks } = setUp();
    const rows = [rowOf(9, 1), rowOf(2, 5, 'DEVICE_REVOKED')];
    const done = sender.owed(deviceOf(1), rows);
    expect(await endAll(walks)).toBe(1);
    await done;
    expect(sent).toHaveLength(4);
    const { body } = decodeReceipt(sent.at(-1)?.bytes ?? new Uint8Array());
    expect(body.outcome).toMatchObject({ kind: 'final', code: 'DEVICE_REVOKED', tokenId: 0n });
    expect(toHex(body.statement)).toBe('05'.repeat(32));
  });
});
