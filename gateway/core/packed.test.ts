import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  DecisionPacker,
  packDecisions,
  packEnvelopes,
  transferOf,
  unpackBatch,
  unpackDecisions,
} from './packed.js';
import type { Decision } from './ports.js';

const number = fc.oneof(fc.maxSafeNat(), fc.constantFrom(0, 1, 2 ** 32, Number.MAX_SAFE_INTEGER));
const refusal = fc.constantFrom(
  { code: 'FRAMES_ROOT_MISMATCH' as const },
  { code: 'SIGNATURE_INVALID' as const, did: 'did:key:zOne' },
);
const shared = {
  ticket: number,
  device: number,
  frames: fc.nat(1024),
  receipt: fc.uint8Array({ maxLength: 700 }),
};
const decision: fc.Arbitrary<Decision> = fc.oneof(
  fc.record({
    ...shared,
    kind: fc.constantFrom('stored' as const, 'duplicate' as const),
    refusal: fc.constant(null),
    retryCode: fc.constant(null),
  }),
  fc.record({
    ...shared,
    kind: fc.constant('refused' as const),
    refusal,
    retryCode: fc.constant(null),
  }),
  fc.record({
    ...shared,
    kind: fc.constant('retry' as const),
    refusal: fc.constant(null),
    retryCode: fc.constantFrom('OVERLOADED' as const, 'DISK_FULL' as const),
  }),
);

describe('packed decisions', () => {
  it('are those that were packed, their receipts included, after the way to another thread', () => {
    fc.assert(
      fc.property(fc.array(decision, { maxLength: 30 }), (decisions) => {
        const packed = packDecisions(decisions);
        const arrived = structuredClone(packed, {
          transfer: [packed.numbers.buffer, packed.receipts.buffer],
        });
        expect(unpackDecisions(arrived)).toEqual(decisions);
      }),
    );
  });

  it('are the same when each receipt is written where it goes', () => {
    fc.assert(
      fc.property(fc.array(decision, { maxLength: 30 }), (decisions) => {
        const size = decisions.reduce((sum, { receipt }) => sum + receipt.length, 0);
        const packer = new DecisionPacker(decisions.length, size);
        for (const { receipt, ...what } of decisions) {
          const at = packer.receiptAt;
          for (let k = 0; k < receipt.length; k++) packer.receipts[at + k] = receipt[k] as number;
          packer.add(what, receipt.length);
          expect(packer.receiptAt).toBe(at + receipt.length);
        }
        expect(packer.receiptAt).toBe(size);
        expect(packer.packed()).toEqual(packDecisions(decisions));
        expect(unpackDecisions(packer.packed())).toEqual(decisions);
      }),
    );
  });
});

describe('a packed batch', () => {
  const envelope = fc.record({
    ticket: number,
    device: number,
    receivedAtUs: number,
    clockTrusted: fc.boolean(),
    payload: fc.uint8Array({ maxLength: 400 }),
    refusal: fc.option(refusal, { nil: null }),
  });

  it('is what was packed, with each refusal at its place, after the way to another thread', () => {
    fc.assert(
      fc.property(fc.array(envelope, { maxLength: 20 }), (envelopes) => {
        const refusals = envelopes.flatMap(({ refusal }, place) =>
          refusal === null ? [] : [[place, refusal] as const],
        );
        const packed = packEnvelopes(envelopes);
        expect(packed.refusals).toEqual([]);
        const judged = { ...packed, refusals };
        const arrived = structuredClone(judged, { transfer: transferOf(judged) });
        const { buffer, items } = unpackBatch(arrived);
        const unpacked = items.map(({ offset, length, ...item }) => ({
          ...item,
          payload: new Uint8Array(buffer, offset, length),
        }));
        expect(unpacked).toEqual(envelopes);
      }),
    );
  });
});
