import { realpathSync } from 'node:fs';
import { mkdtemp, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { statementHash } from '@waystone/proto';
import { afterEach, expect, it } from 'vitest';
import { expectKept } from '../faults/kept.js';
import { PublishingRecord } from '../faults/publishing-record.js';
import { BULK_BYTES, BulkPublisher } from '../harness/bulk-publisher.js';
import { TestDevice } from '../harness/device.js';
import { GatewayProcess, makeHome, removeHome } from '../harness/gateway.js';
import { connectPacket, RawClient } from '../harness/mqtt.js';
import { waitFor } from '../harness/wait.js';
import { acknowledgementFaults, type TracedEnvelope } from './durability.js';
import { FaultyDisk } from './faulty-disk/faulty-disk.js';
import { parseTrace, traceCommand } from './trace.js';

/** Longer than a good disk needs for a sync, by 50 ms. */
const SLOW = { syncMs: 50, writeUs: 200 };

/** Where the device's signature begins in an envelope: header 8, statement 200. Its first half is kept as it is. */
const SIGNATURE_AT = 208;

let home: string | undefined;
let scratch: string | undefined;
let gateway: GatewayProcess | undefined;
let disk: FaultyDisk | undefined;

afterEach(async () => {
  await gateway?.kill();
  await disk?.remove();
  for (const folder of [home, scratch]) if (folder !== undefined) await removeHome(folder);
  home = scratch = gateway = disk = undefined;
});

it('acknowledges each envelope after the slow syncs that make it durable, and many with the same', async () => {
  const DEVICES = 8;
  const ENVELOPES = 50;
  home = realpathSync(await makeHome());
  scratch = await mkdtemp(join(tmpdir(), 'waystone-test-'));
  disk = await FaultyDisk.under(home);
  const file = join(scratch, 'trace');
  const environment = Object.entries(disk.environment(SLOW)).flatMap(([name, value]) => [
    '-E',
    `${name}=${value}`,
  ]);
  const running = await GatewayProcess.start(home, {
    set: ['batch.ageSecondsMax=3600'],
    under: [...traceCommand(file), ...environment],
  });
  gateway = running;
  const record = new PublishingRecord();
  const envelopes: TracedEnvelope[] = [];
  const publishing: Promise<void>[] = [];
  for (let d = 0; d < DEVICES; d++) {
    const device = new TestDevice(running.did);
    await running.enrol(device.did);
    const client = await RawClient.open(running.mqttPort);
    client.send(await connectPacket(device));
    await client.next('connack', ({ returnCode }) => returnCode === 0);
    const ids: number[] = [];
    const payloads: Uint8Array[] = [];
    for (let k = 0; k < ENVELOPES; k++) {
      const payload = await device.envelope();
      const messageId = d * ENVELOPES + k + 1;
      const statement = statementHash(payload.subarray(8, SIGNATURE_AT));
      const marker = payload.slice(SIGNATURE_AT, SIGNATURE_AT + 32);
      envelopes.push({ messageId, marker, row: statement });
      const { session, keyId } = device;
      record.publish(keyId, {
        statementHash: statement,
        session,
        stream: 1,
        firstSequence: k,
        count: 1,
      });
      ids.push(messageId);
      payloads.push(payload);
    }
    publishing.push(
      (async () => {
        const topic = `ws/v1/${device.topicId}/up`;
        for (const [k, messageId] of ids.entries()) {
          const packet = { cmd: 'publish', topic, qos: 1, retain: false, dup: false } as const;
          client.send({ ...packet, messageId, payload: Buffer.from(payloads[k] as Uint8Array) });
        }
        for (const messageId of ids) {
          await client.next('puback', (packet) => packet.messageId === messageId);
        }
      })(),
    );
  }
  await Promise.all(publishing);
  for (const { row } of envelopes) record.acknowledged.add(Buffer.from(row).toString('hex'));
  await running.seal();
  await expectKept(running, record);

  const pid = running.process.pid;
  await running.stop();
  gateway = undefined;
  const text = await waitFor('the trace to end', async () => {
    const written = await readFile(file, 'latin1');
    return new RegExp(`^${pid} +\\+\\+\\+ `, 'm').test(written) ? written : null;
  });
  const calls = parseTrace(text);
  expect(acknowledgementFaults(calls, envelopes)).toEqual([]);
  const syncs = calls.filter(
    ({ name, target }) => /sync$/.test(name) && target.endsWith('-wal'),
  ).length;
  console.log(`${envelopes.length} envelopes acknowledged after ${syncs} syncs of the WAL`);
  expect(syncs).toBeGreaterThan(0);
  expect(syncs).toBeLessThan(envelopes.length / 2);
});

it('keeps its memory bounded while devices send far more than a slow disk takes', async () => {
  const DEVICES = 2;
  const [FEW, MANY] = [120, 480];
  const IN_FLIGHT_BYTES = 2 * 2 ** 20;
  home = realpathSync(await makeHome());
  disk = await FaultyDisk.under(home);
  const running = await GatewayProcess.start(home, {
    set: ['batch.ageSecondsMax=3600', `mqtt.inFlightBytesMax=${IN_FLIGHT_BYTES}`],
    environment: disk.environment(SLOW),
  });
  gateway = running;
  const peakMib = async () => {
    const text = await readFile(`/proc/${running.process.pid}/status`, 'utf8');
    return Number(/^VmHWM:\s+(\d+) kB$/m.exec(text)?.[1]) / 1024;
  };
  const record = new PublishingRecord();
  const publishers: BulkPublisher[] = [];
  for (let d = 0; d < DEVICES; d++) publishers.push(await BulkPublisher.of(running, { record }));
  const sendAll = async (count: number): Promise<number> => {
    const numbers = await Promise.all(publishers.map((publisher) => publisher.makeMany(count)));
    await Promise.all(publishers.map((publisher, d) => publisher.sendMany(numbers[d] ?? [])));
    return peakMib();
  };
  const few = await sendAll(FEW);
  const many = await sendAll(MANY);
  const mib = (count: number) => Math.round((DEVICES * count * BULK_BYTES) / 2 ** 20);
  console.log(
    `${mib(FEW)} MiB sent at once: ${Math.round(few)} MiB of memory; ${mib(MANY)} MiB: ${Math.round(many)} MiB`,
  );
  // What the first few made it grow to is enough for all that follows.
  expect(many - few).toBeLessThan(mib(MANY) / 2);
  await running.seal();
  await expectKept(running, record);
});
