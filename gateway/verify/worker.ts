import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import { ENVELOPE_HEADER_BYTES, SIGNATURE_BYTES } from '@waystone/proto';
import { compactDevice } from '../core/device-record.js';
import { giveMemoryBackWhenIdle } from '../core/idle-memory.js';
import { verifyNative } from '../core/native-signature.js';
import { type PackedBatch, transferOf, unpackBatch } from '../core/packed.js';
import type { DeviceRecord } from '../core/ports.js';
import type { Refusal } from '../core/refusal.js';
import { checkEnvelope } from './check.js';
import type { VerifierData, VerifierMessage } from './pool.js';

/** A verifier's thread: judges batches of envelopes and passes them straight on to the ledger. */
const { realm, streams, ledger, judged } = workerData as VerifierData;
const devices = new Map<number, DeviceRecord>();

giveMemoryBackWhenIdle();

(parentPort as MessagePort).on('message', (message: VerifierMessage) => {
  if ('device' in message) devices.set(message.device.id, compactDevice(message.device));
  else {
    const verified = judge(message.batch);
    ledger.postMessage(verified satisfies PackedBatch, transferOf(verified));
  }
});

function judge(batch: PackedBatch): PackedBatch {
  const refusals: [number, Refusal][] = [];
  for (const [place, item] of unpackBatch(batch).items.entries()) {
    const device = devices.get(item.device);
    if (device === undefined) throw new Error(`verifier was never told of device ${item.device}`);
    const payload = new Uint8Array(batch.buffer, item.offset, item.length);
    const checked = checkEnvelope(payload, {
      device,
      realm,
      streams,
      receivedAtUs: item.receivedAtUs,
      clockTrusted: item.clockTrusted,
      verifySignature: verifyNative,
    });
    if (checked.refusal === null) {
      payload.set(checked.signature, ENVELOPE_HEADER_BYTES - SIGNATURE_BYTES);
    } else {
      refusals.push([place, checked.refusal]);
    }
    Atomics.add(judged, 0, 1);
  }
  return { buffer: batch.buffer, items: batch.items, refusals };
}

(parentPort as MessagePort).postMessage({ loaded: true });
