import {
  decodeFrame,
  ENVELOPE_BYTES_MAX,
  type Envelope,
  keyId,
  LOCAL_REALM,
  leafHash,
  readEnvelope,
  realmOf,
  statementHash,
  TIME_BASES,
  treeRoot,
  verifySignature,
} from '@waystone/proto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DeviceKey } from './device-key.js';
import { EnvelopeBuilder, type Observation, type SignedEnvelope } from './envelope-builder.js';
import { Session } from './session.js';
import type { Signer } from './signer.js';

const REALM = realmOf(1337, `0x${'ab'.repeat(20)}`);
const options = { realm: REALM, stream: 1 };

function open({ payload }: SignedEnvelope): Envelope {
  const read = readEnvelope(payload);
  if (read.fault !== undefined) throw new Error(JSON.stringify(read.fault));
  return read.envelope;
}

const observations = (...timesUs: number[]): Observation[] => timesUs.map((timeUs) => ({ timeUs }));

const observation: fc.Arbitrary<Observation> = fc.record({
  timeUs: fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }),
  position: fc.oneof(
    fc.constant(null),
    fc.record({
      latitudeE9: fc.integer({ min: -90e9, max: 90e9 }),
      longitudeE9: fc.integer({ min: -180e9, max: 180e9 }),
    }),
  ),
  rawGnss: fc.uint8Array({ maxLength: 600 }),
});

describe.each(['secp256k1', 'P-256', 'Ed25519'] as const)('envelopes of a %s device', (type) => {
  const key = DeviceKey.generate(type);

  it('hold what was observed, commit to it, and verify', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(observation, { minLength: 1, maxLength: 40 }),
        fc.integer({ min: 0, max: 0xffffffff }),
        async (list, stream) => {
          const session = new Session();
          const builder = new EnvelopeBuilder(key, session);
          const [sealed, ...rest] = await builder.seal(list, { realm: REALM, stream });
          expect(rest).toEqual([]);
          const { statement, statementBytes, signature, frames } = open(sealed as SignedEnvelope);
          const times = list.map(({ timeUs }) => timeUs);
          expect(verifySignature(key.publicKey, statementBytes, signature)).toBe(true);
          expect(statement).toMatchObject({
            stream,
            format: 1,
            timeBase: TIME_BASES.utc,
            firstSequence: 0,
            count: list.length,
            minTimeUs: Math.min(...times),
            maxTimeUs: Math.max(...times),
          });
          expect(Buffer.from(statement.realm)).toEqual(Buffer.from(REALM));
          expect(Buffer.from(statement.device)).toEqual(Buffer.from(keyId(key.publicKey)));
          expect(Buffer.from(statement.session)).toEqual(Buffer.from(session.id));
          expect(Buffer.from(statement.previous)).toEqual(Buffer.alloc(32));
          expect(Buffer.from(statement.framesRoot)).toEqual(
            Buffer.from(treeRoot(frames.map((frame) => leafHash(frame)))),
          );
          frames.forEach((bytes, index) => {
            const frame = decodeFrame(bytes);
            expect(frame.timeUs).toBe(list[index]?.timeUs);
            expect(frame.position?.latitudeE9 ?? 0).toBe(list[index]?.position?.latitudeE9 ?? 0);
            expect(frame.position?.longitudeE9 ?? 0).toBe(list[index]?.position?.longitudeE9 ?? 0);
            expect(frame.salt).toHaveLength(16);
          });
        },
      ),
      { numRuns: 30 },
    );
  });
});

describe('a session of envelopes', () => {
  const key = DeviceKey.generate('Ed25519');

  it('numbers and chains each stream by itself, also when calls overlap', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.record({ stream: fc.nat(2), count: fc.integer({ min: 1, max: 9 }) }), {
          maxLength: 20,
        }),
        async (calls) => {
          const builder = new EnvelopeBuilder(key, new Session());
          const sealed = await Promise.all(
            calls.map(({ stream, count }) =>
              builder.seal(observations(...Array(count).fill(5)), { realm: REALM, stream }),
            ),
          );
          const heads = new Map<number, { next: number; previous: Uint8Array }>();
          for (const envelope of sealed.flat()) {
            const { statement, statementBytes } = open(envelope);
            const head = heads.get(statement.stream) ?? { next: 0, previous: new Uint8Array(32) };
            expect(statement.firstSequence).toBe(head.next);
            expect(envelope.firstSequence).toBe(head.next);
            expect(Buffer.from(statement.previous)).toEqual(Buffer.from(head.previous));
            const hash = statementHash(statementBytes);
            expect(Buffer.from(envelope.statementHash)).toEqual(Buffer.from(hash));
            heads.set(statement.stream, { next: head.next + statement.count, previous: hash });
          }
        },
      ),
      { numRuns: 40 },
    );
  });

  it('begins with new random bytes, and salts each frame anew', async () => {
    expect(new Session().id).not.toEqual(new Session().id);
    const builder = new EnvelopeBuilder(key, new Session());
    const [sealed] = await builder.seal(observations(...Array(100).fill(7)), options);
    const { frames } = open(sealed as SignedEnvelope);
    expect(new Set(frames.map((frame) => Buffer.from(frame).toString('hex'))).size).toBe(100);
  });

  it('states times since session start when asked', async () => {
    const builder = new EnvelopeBuilder(key, new Session());
    const timeBase = TIME_BASES.sessionStart;
    const [sealed] = await builder.seal(observations(9, 3, 6), { ...options, timeBase });
    expect(open(sealed as SignedEnvelope).statement).toMatchObject({
      timeBase,
      minTimeUs: 3,
      maxTimeUs: 9,
    });
  });

  it('splits what is larger than an envelope, without gaps and in order', async () => {
    const builder = new EnvelopeBuilder(key, new Session());
    const list = Array.from({ length: 200 }, (_, timeUs) => ({
      timeUs,
      rawGnss: new Uint8Array(4_000),
    }));
    const sealed = await builder.seal(list, { realm: LOCAL_REALM, stream: 3 });
    expect(sealed.length).toBe(4);
    let next = 0;
    for (const envelope of sealed) {
      expect(envelope.payload.length).toBeLessThanOrEqual(ENVELOPE_BYTES_MAX);
      const { statement, frames } = open(envelope);
      expect(statement.firstSequence).toBe(next);
      expect(statement.minTimeUs).toBe(next);
      for (const frame of frames) expect(decodeFrame(frame).timeUs).toBe(next++);
    }
    expect(next).toBe(200);
  });

  it('fills envelopes up to exactly the limit', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.nat(900), { minLength: 1, maxLength: 60 }),
        fc.integer({ min: 1_300, max: 8_000 }),
        async (sizes, payloadBytesMax) => {
          const builder = new EnvelopeBuilder(key, new Session());
          const list = sizes.map((size) => ({ timeUs: 1, rawGnss: new Uint8Array(size) }));
          const sealed = await builder.seal(list, { ...options, payloadBytesMax });
          const opened = sealed.map(open);
          expect(opened.flatMap(({ frames }) => frames)).toHaveLength(sizes.length);
          sealed.forEach(({ payload }, index) => {
            expect(payload.length).toBeLessThanOrEqual(payloadBytesMax);
            const following = opened[index + 1]?.frames[0];
            if (following !== undefined) {
              expect(payload.length + 4 + following.length).toBeGreaterThan(payloadBytesMax);
            }
          });
        },
      ),
      { numRuns: 40 },
    );
  });

  it.each([
    ['a fractional time', { timeUs: 1.5 }],
    ['a negative time', { timeUs: -1 }],
    ['a time of 2^53', { timeUs: 2 ** 53 }],
    ['a latitude beyond the pole', { timeUs: 1, position: { latitudeE9: 90e9 + 1 } }],
    ['a latitude in degrees', { timeUs: 1, position: { latitudeE9: 37.7 } }],
    ['a covariance of six', { timeUs: 1, position: { positionCovarianceMm2: [1, 2, 3, 4, 5, 6] } }],
    ['what cannot be encoded', { timeUs: 1, imu: [null] as unknown as [] }],
  ])('refuses %s and uses no sequence', async (_what, bad) => {
    const builder = new EnvelopeBuilder(key, new Session());
    await expect(builder.seal([{ timeUs: 1 }, bad], options)).rejects.toMatchObject({
      code: 'FRAME_INVALID',
      index: 1,
    });
    const [sealed] = await builder.seal(observations(1), options);
    expect(open(sealed as SignedEnvelope).statement.firstSequence).toBe(0);
  });

  it('refuses a frame that no envelope can hold, and says which', async () => {
    const builder = new EnvelopeBuilder(key, new Session());
    const list = [{ timeUs: 1 }, { timeUs: 2, rawGnss: new Uint8Array(ENVELOPE_BYTES_MAX) }];
    await expect(builder.seal(list, options)).rejects.toMatchObject({
      code: 'FRAME_TOO_LARGE',
      index: 1,
    });
  });

  it.each([0, 1025])('refuses %i observations at a time', async (count) => {
    const builder = new EnvelopeBuilder(key, new Session());
    await expect(builder.seal(observations(...Array(count).fill(1)), options)).rejects.toThrow(
      RangeError,
    );
  });

  it('uses no sequence when the signer fails on the way', async () => {
    let calls = 0;
    const flaky: Signer = {
      publicKey: key.publicKey,
      did: key.did,
      sign: (input) => (++calls === 2 ? Promise.reject(new Error('bus error')) : key.sign(input)),
    };
    const builder = new EnvelopeBuilder(flaky, new Session());
    const list = Array.from({ length: 100 }, () => ({ timeUs: 1, rawGnss: new Uint8Array(4_000) }));
    await expect(builder.seal(list, options)).rejects.toMatchObject({ code: 'SIGNER_FAILED' });
    const sealed = await builder.seal(list, options);
    expect(sealed.map(({ firstSequence }) => firstSequence)).toEqual([0, 65]);
    const [first] = sealed;
    expect(Buffer.from(open(first as SignedEnvelope).statement.previous)).toEqual(Buffer.alloc(32));
  });
});
