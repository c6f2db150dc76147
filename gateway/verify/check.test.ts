import {
  CODES,
  type Code,
  ENVELOPE_BYTES_MAX,
  encodeEnvelope,
  encodeFrame,
  encodeStatement,
  equalBytes,
  FRAME_FORMAT,
  type KeyType,
  keyId,
  leafHash,
  type PublicKey,
  type Statement,
  treeRoot,
  verifySignature,
} from '@waystone/proto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { flipS, testKeyNamed } from '../../proto/test-data/test-signer.js';
import { verifyNative } from '../core/native-signature.js';
import { describeRefusal, type Refusal, type RefusalCode } from '../core/refusal.js';
import { type CheckContext, checkEnvelope, TIME_AHEAD_MAX_US, TIME_MIN_US } from './check.js';

const NOW_US = 1_800_000_000_000_000;
const REALM = new Uint8Array(32).fill(7);

const signer = testKeyNamed('secp256k1', 'check');

function contextOf(publicKey: PublicKey, changes: Partial<CheckContext> = {}): CheckContext {
  return {
    device: { keyId: keyId(publicKey), publicKey, revokedAtUs: null },
    realm: REALM,
    streams: [1, 2],
    receivedAtUs: NOW_US,
    clockTrusted: true,
    verifySignature: verifyNative,
    ...changes,
  };
}

const frameAt = (timeUs: number, saltBytes = 16) =>
  encodeFrame({ salt: new Uint8Array(saltBytes).fill(1), timeUs });

/** A right envelope, with fields of its statement replaced before it is signed. */
function envelope(
  statement: Partial<Statement> = {},
  frames: readonly Uint8Array[] = [frameAt(NOW_US)],
  by = signer,
): Uint8Array {
  const bytes = encodeStatement({
    realm: REALM,
    device: keyId(by.publicKey),
    session: new Uint8Array(16).fill(3),
    stream: 1,
    format: FRAME_FORMAT,
    timeBase: 1,
    flags: 0,
    firstSequence: 0,
    count: frames.length,
    minTimeUs: NOW_US,
    maxTimeUs: NOW_US,
    framesRoot: treeRoot(frames.map(leafHash)),
    previous: new Uint8Array(32),
    ...statement,
  });
  return encodeEnvelope(bytes, by.sign(bytes), frames);
}

/** The envelope with bytes replaced after it was signed. */
function edited(at: number, ...bytes: number[]): Uint8Array {
  const payload = envelope();
  payload.set(bytes, at);
  return payload;
}

const check = (payload: Uint8Array, changes: Partial<CheckContext> = {}) =>
  checkEnvelope(payload, contextOf(signer.publicKey, changes));

describe('an envelope is refused with', () => {
  const at = (timeUs: number) => ({ minTimeUs: timeUs, maxTimeUs: timeUs });
  const aheadUs = NOW_US + TIME_AHEAD_MAX_US + 1;
  const cases: [RefusalCode, string, Uint8Array, Partial<CheckContext>?][] = [
    ['ENVELOPE_TOO_LARGE', 'a byte too many', new Uint8Array(ENVELOPE_BYTES_MAX + 1)],
    ['ENVELOPE_MALFORMED', 'no bytes', new Uint8Array()],
    ['ENVELOPE_MALFORMED', 'another magic', edited(0, 0x58)],
    ['ENVELOPE_MALFORMED', 'reserved bytes set', edited(6, 1)],
    ['ENVELOPE_MALFORMED', 'its end missing', envelope().slice(0, -1)],
    ['VERSION_UNSUPPORTED', 'another version', edited(5, 2)],
    ['VERSION_UNSUPPORTED', 'another tag', edited(8, 0x57)],
    ['STATEMENT_INVALID', 'an unknown time base', edited(8 + 102, 2)],
    ['STATEMENT_INVALID', 'a flag', edited(8 + 103, 0x80)],
    ['STATEMENT_INVALID', 'count 0', edited(8 + 112, 0, 0, 0, 0)],
    ['STATEMENT_INVALID', 'count 1,025', edited(8 + 112, 0, 0, 4, 1)],
    ['STATEMENT_INVALID', 'reserved bytes set', edited(8 + 119, 1)],
    ['STATEMENT_INVALID', 'a sequence of 2^53', edited(8 + 104, 0, 0x20)],
    ['DEVICE_MISMATCH', 'another device', envelope({ device: new Uint8Array(32) })],
    [
      'DEVICE_REVOKED',
      'a revoked key',
      envelope(),
      { device: { ...contextOf(signer.publicKey).device, revokedAtUs: 5 } },
    ],
    ['REALM_FOREIGN', 'another realm', envelope({ realm: new Uint8Array(32) })],
    ['STREAM_UNKNOWN', 'another stream', envelope({ stream: 3 })],
    ['FORMAT_UNSUPPORTED', 'another format', envelope({ format: 0 })],
    ['TIME_IN_FUTURE', 'a time ahead', envelope(at(aheadUs), [frameAt(aheadUs)])],
    [
      'TIME_TOO_OLD',
      'a time before 2015',
      envelope(at(TIME_MIN_US - 1), [frameAt(TIME_MIN_US - 1)]),
    ],
    ['FRAME_MALFORMED', 'bytes that are no frame', envelope({}, [Uint8Array.of(0xff)])],
    ['FRAME_MALFORMED', 'a short salt', envelope({}, [frameAt(NOW_US, 15)])],
    ['FRAMES_ROOT_MISMATCH', 'another root', envelope({ framesRoot: new Uint8Array(32) })],
    ['STATEMENT_CONTRADICTED', 'an earlier minimum', envelope({ minTimeUs: NOW_US - 1 })],
    ['STATEMENT_CONTRADICTED', 'a later maximum', envelope({ maxTimeUs: NOW_US + 1 })],
    ['SIGNATURE_INVALID', 'a changed signature', edited(208 + 10, 0xaa, 0xbb)],
    ['SIGNATURE_INVALID', 'a changed statement', edited(8 + 199, 1)],
  ];
  it.each(cases)('%s: %s', (code, _what, payload, changes = {}) => {
    const { refusal } = check(payload, changes);
    expect(refusal?.code).toBe(code);
    expect(describeRefusal(refusal as Refusal)).toMatch(/\S \S/);
  });

  it('the fact that names the wrong frame', () => {
    const frames = [frameAt(NOW_US), frameAt(NOW_US, 17), frameAt(NOW_US, 18)];
    expect(check(envelope({}, frames)).refusal).toMatchObject({
      code: 'FRAME_MALFORMED',
      index: 1,
    });
  });

  it('the cheapest reason when there are several, and its signature unchecked', () => {
    const payload = envelope({ stream: 9, realm: new Uint8Array(32) }, [Uint8Array.of(0xff)]);
    const verifySignature = () => {
      throw new Error('a bad envelope must not cost a signature check');
    };
    expect(check(payload, { verifySignature }).refusal?.code).toBe('REALM_FOREIGN');
  });
});

describe('an envelope is passed', () => {
  it.each(['secp256k1', 'P-256', 'Ed25519'] as const)('when a %s key signed it', (type) => {
    const by = testKeyNamed(type, 'check');
    const checked = checkEnvelope(envelope({}, undefined, by), contextOf(by.publicKey));
    expect(checked.refusal).toBeNull();
  });

  it.each(['secp256k1', 'P-256'] as const satisfies readonly KeyType[])(
    'with low S, when a %s key signed it with high S',
    (type) => {
      const by = testKeyNamed(type, 'check');
      const payload = envelope({}, undefined, by);
      const low = payload.slice(208, 272);
      payload.set(flipS(type, low), 208);
      const checked = checkEnvelope(payload, contextOf(by.publicKey));
      if (checked.refusal !== null) throw new Error(checked.refusal.code);
      expect(equalBytes(checked.signature, low)).toBe(true);
      const { statementBytes } = checked.envelope;
      expect(verifySignature(by.publicKey, statementBytes, checked.signature)).toBe(true);
    },
  );

  it.each([
    ['a minute ahead', NOW_US + TIME_AHEAD_MAX_US],
    ['from the first day of 2015', TIME_MIN_US],
  ])('when it is %s', (_what, timeUs) => {
    const payload = envelope({ minTimeUs: timeUs, maxTimeUs: timeUs }, [frameAt(timeUs)]);
    expect(check(payload).refusal).toBeNull();
  });

  it('whatever its time, while the clock is not trusted or the time counts from the session', () => {
    const old = { minTimeUs: 5, maxTimeUs: 5 };
    expect(check(envelope(old, [frameAt(5)]), { clockTrusted: false }).refusal).toBeNull();
    expect(check(envelope({ ...old, timeBase: 0 }, [frameAt(5)])).refusal).toBeNull();
  });

  it('with fields that nobody knows yet', () => {
    const unknown = Uint8Array.of(0xf8, 0x7f, 1); // field 2047, varint
    const payload = envelope({}, [Buffer.concat([frameAt(NOW_US), unknown])]);
    expect(check(payload).refusal).toBeNull();
  });
});

it('never throws and never passes, whatever bytes of a right envelope are changed', () => {
  const right = envelope();
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat({ max: right.length - 1 }), fc.integer({ min: 1, max: 255 })), {
        minLength: 1,
        maxLength: 4,
      }),
      fc.nat({ max: right.length }),
      (changes, length) => {
        const payload = right.slice();
        for (const [at, by] of changes) payload[at] = (payload[at] as number) ^ by;
        if (!equalBytes(payload, right)) expect(check(payload).refusal).not.toBeNull();
        if (length < right.length) expect(check(right.slice(0, length)).refusal).not.toBeNull();
      },
    ),
    { numRuns: 500 },
  );
});

it('never throws on random bytes behind a right header', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 600 }), (bytes) => {
      const payload = Buffer.concat([Buffer.from('WSEN\0\x01\0\0', 'latin1'), bytes]);
      const { refusal } = check(payload);
      expect(describeRefusal(refusal as Refusal)).not.toBe('');
    }),
    { numRuns: 200 },
  );
});

it('has a sentence for every code that an envelope can be refused with', () => {
  const facts: { [C in RefusalCode]: Extract<Refusal, { code: C }> } = {
    ENVELOPE_TOO_LARGE: { code: 'ENVELOPE_TOO_LARGE', sizeBytes: 9, limitBytes: 8 },
    ENVELOPE_MALFORMED: { code: 'ENVELOPE_MALFORMED', what: 'it is short' },
    VERSION_UNSUPPORTED: { code: 'VERSION_UNSUPPORTED', got: '2' },
    STATEMENT_INVALID: { code: 'STATEMENT_INVALID', field: 'count', got: '0', allowed: '1..' },
    DEVICE_MISMATCH: { code: 'DEVICE_MISMATCH', named: 'aa', topic: 'bb' },
    DEVICE_REVOKED: { code: 'DEVICE_REVOKED', did: 'did:key:z' },
    REALM_FOREIGN: { code: 'REALM_FOREIGN', got: 'aa', expected: 'bb' },
    STREAM_UNKNOWN: { code: 'STREAM_UNKNOWN', stream: 3, known: [1, 2] },
    FORMAT_UNSUPPORTED: { code: 'FORMAT_UNSUPPORTED', format: 9 },
    SESSION_UNKNOWN: { code: 'SESSION_UNKNOWN', session: 'aa' },
    SESSION_CLOSED: { code: 'SESSION_CLOSED', session: 'aa' },
    TIME_IN_FUTURE: { code: 'TIME_IN_FUTURE', maxTimeUs: 2, receivedAtUs: 1 },
    TIME_TOO_OLD: { code: 'TIME_TOO_OLD', minTimeUs: 2 },
    FRAME_MALFORMED: { code: 'FRAME_MALFORMED', index: 0, what: 'no salt' },
    STATEMENT_CONTRADICTED: { code: 'STATEMENT_CONTRADICTED', field: 'x', stated: 1, found: 2 },
    FRAMES_ROOT_MISMATCH: { code: 'FRAMES_ROOT_MISMATCH' },
    SIGNATURE_INVALID: { code: 'SIGNATURE_INVALID', did: 'did:key:z' },
    RANGE_CONFLICT: { code: 'RANGE_CONFLICT', first: 1, last: 2, storedStatement: 'aa' },
  };
  const sentences = Object.values(facts).map(describeRefusal);
  expect(new Set(sentences).size).toBe(sentences.length);
  for (const sentence of sentences) expect(sentence).not.toMatch(/undefined|NaN|object/);
  // Codes of envelopes are those below 32; a device that is not enrolled is refused at its login.
  const codes = (Object.keys(CODES) as Code[]).filter((code) => CODES[code] < 32);
  expect(Object.keys(facts).sort()).toEqual(codes.filter((c) => c !== 'DEVICE_UNKNOWN').sort());
});
