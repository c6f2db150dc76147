import fc from 'fast-check';
import protobuf from 'protobufjs/minimal.js';
import { describe, expect, it } from 'vitest';
import { fromHex, toHex, UINT53_MAX } from './bytes.js';
import { decodeFrame, decodeHello, encodeFrame, type Frame, frameFault, wire } from './frame.js';

const SALT = new Uint8Array(16).fill(0xa5);
const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
const sint32 = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 });
const uint32 = fc.integer({ min: 0, max: 0xffffffff });
const float = fc.float({ noNaN: true });
const text = fc.string({ maxLength: 12 });
const uint53 = fc.oneof(
  fc.maxSafeNat(),
  fc.constantFrom(0, 1, 127, 128, 2 ** 28 - 1, 2 ** 28, 2 ** 31, 2 ** 32 - 1, 2 ** 32, UINT53_MAX),
);
const signedE9 = (limit: number) =>
  fc.oneof(
    fc.integer({ min: -limit, max: limit }),
    fc.constantFrom(-limit, -(2 ** 32), -(2 ** 31), -1, 0, 1, 2 ** 31, 2 ** 32, limit),
  );

const frame: fc.Arbitrary<Frame> = fc.record(
  {
    salt: bytes(16),
    timeUs: uint53,
    clock: fc.record({
      source: fc.integer({ min: 0, max: 6 }),
      leapSeconds: sint32,
      accuracyNs: uint32,
    }),
    position: fc.record({
      latitudeE9: signedE9(90e9),
      longitudeE9: signedE9(180e9),
      heightEllipsoidMm: sint32,
      fix: fc.integer({ min: 0, max: 12 }),
      positionCovarianceMm2: fc.oneof(
        fc.constant<number[]>([]),
        fc.array(float, { minLength: 9, maxLength: 9 }),
      ),
      crs: text,
    }),
    motion: fc.record({ groundSpeedMmS: uint32, velocityEastMmS: sint32 }),
    imu: fc.array(
      fc.record({
        offsetUs: sint32,
        accelerationMS2: fc.array(float, { maxLength: 3 }),
        sensorFrame: text,
      }),
      { maxLength: 3 },
    ),
    can: fc.array(
      fc.record({
        offsetUs: sint32,
        id: uint32,
        extended: fc.boolean(),
        data: fc.uint8Array({ maxLength: 64 }),
        bus: uint32,
      }),
      { maxLength: 3 },
    ),
    blobs: fc.array(fc.record({ sha256: bytes(32), sizeBytes: uint53, mediaType: text }), {
      maxLength: 2,
    }),
    rawGnss: fc.uint8Array({ maxLength: 40 }),
    discarded: fc
      .record({ stream: uint32, first: uint53, last: uint53 })
      .map(({ stream, first, last }) => ({
        stream,
        first: Math.min(first, last),
        last: Math.max(first, last),
      })),
  },
  { requiredKeys: ['salt'], noNullPrototype: true },
);

/** Each stated field is found again; zeros and empty lists are defaults and need not be on the wire. */
function expectFields(got: unknown, expected: unknown): void {
  if (expected instanceof Uint8Array) {
    expect(toHex(got as Uint8Array)).toBe(toHex(expected));
  } else if (typeof expected === 'object' && expected !== null) {
    for (const [name, value] of Object.entries(expected)) {
      expectFields((got as Record<string, unknown>)[name], value);
    }
  } else if (typeof expected === 'number') {
    expect(Number(got) === expected).toBe(true); // -0 and 0 are one number on the wire's default
  } else {
    expect(got).toBe(expected);
  }
}

/** Exact where a number can be; beyond, equal but for its last bit and still recognised as too large. */
function expectNearest(got: number | null | undefined, value: bigint): void {
  const nearest = Number(value);
  if (Number.isSafeInteger(nearest)) {
    expect(got).toBe(nearest);
  } else {
    expect(Math.abs((got as number) / nearest - 1)).toBeLessThanOrEqual(2 ** -52);
    expect(Number.isSafeInteger(got)).toBe(false);
  }
}

/** The varint of a 64-bit integer, in its shortest form. */
function varint64(value: bigint): Uint8Array {
  const parts: number[] = [];
  let rest = BigInt.asUintN(64, value);
  do {
    const low = Number(rest & 0x7fn);
    rest >>= 7n;
    parts.push(rest > 0n ? low | 0x80 : low);
  } while (rest > 0n);
  return Uint8Array.from(parts);
}

/** What protobufjs' own reader makes of a varint, as a bigint. */
function longOf(method: 'uint64' | 'sint64', encoded: Uint8Array): bigint {
  const reader = protobuf.Reader.create(encoded);
  const value: unknown = reader[method]();
  return BigInt(String(value));
}

describe('frame', () => {
  it('is read as it was written, and encodes to the same bytes again', () => {
    fc.assert(
      fc.property(frame, (fields) => {
        const encoded = encodeFrame(fields);
        const decoded = decodeFrame(encoded);
        expectFields(decoded, fields);
        expect(frameFault(decoded)).toBeNull();
        expect(toHex(encodeFrame(decoded))).toBe(toHex(encoded));
      }),
    );
  });

  it('reads 64-bit integers as protobufjs does: exactly below 2^53, beyond that never as less', () => {
    const uint64 = fc.oneof(
      fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
      fc.maxSafeNat().map(BigInt),
      fc.integer({ min: 0, max: 64 }).map((bit) => 2n ** BigInt(bit) - 1n),
      fc.integer({ min: 0, max: 63 }).map((bit) => 2n ** BigInt(bit)),
    );
    fc.assert(
      fc.property(uint64, (value) => {
        const encoded = varint64(value);
        const time = decodeFrame(Uint8Array.of(0x10, ...encoded)).timeUs;
        expectNearest(time, value);
        expect(longOf('uint64', encoded)).toBe(value);
        const position = decodeFrame(Uint8Array.of(0x22, 1 + encoded.length, 0x08, ...encoded));
        const signed = (value >> 1n) ^ -(value & 1n);
        expect(longOf('sint64', encoded)).toBe(signed);
        expectNearest(position.position?.latitudeE9, signed);
        expectNearest(decodeHello(Uint8Array.of(0x18, ...encoded)).counter, value);
      }),
      { numRuns: 300 },
    );
  });

  it('gives numbers, never Long objects', () => {
    const { timeUs, position } = decodeFrame(
      encodeFrame({ timeUs: UINT53_MAX, position: { latitudeE9: -90e9, longitudeE9: 180e9 } }),
    );
    expect(timeUs).toBe(UINT53_MAX);
    expect(decodeFrame(new Uint8Array(0)).timeUs).toBe(0);
    expect(decodeFrame(Uint8Array.of(0x22, 0)).position?.latitudeE9).toBe(0);
    expect(position).toMatchObject({ latitudeE9: -90e9, longitudeE9: 180e9 });
  });

  it('refuses varints of more than ten bytes and those that end early', () => {
    const ten = 'ffffffffffffffffff01';
    expect(decodeFrame(fromHex(`10${ten}`)).timeUs).toBe(2 ** 64);
    expect(() => decodeFrame(fromHex(`10ffffffffffffffffffff01`))).toThrow(RangeError);
    expect(() => decodeFrame(fromHex(`10${'80'.repeat(11)}00`))).toThrow(RangeError);
    for (let length = 2; length < 22; length += 2) {
      expect(() => decodeFrame(fromHex(`10${ten}`.slice(0, length)))).toThrow(RangeError);
    }
  });

  it.each<[string, Frame]>([
    ['salt', {}],
    ['salt', { salt: new Uint8Array(15) }],
    ['salt', { salt: new Uint8Array(17) }],
    ['time_us', { salt: SALT, timeUs: 2 ** 53 }],
    ['time_us', { salt: SALT, timeUs: 2 ** 63 }],
    ['latitude_e9', { salt: SALT, position: { latitudeE9: 90_000_000_001 } }],
    ['latitude_e9', { salt: SALT, position: { latitudeE9: -90_000_000_001 } }],
    ['longitude_e9', { salt: SALT, position: { longitudeE9: 180_000_000_001 } }],
    ['longitude_e9', { salt: SALT, position: { longitudeE9: -(2 ** 60) } }],
    ['covariance', { salt: SALT, position: { positionCovarianceMm2: [1, 2, 3] } }],
    ['covariance', { salt: SALT, position: { positionCovarianceMm2: Array(10).fill(0) } }],
    ['sha256', { salt: SALT, blobs: [{ sizeBytes: 1 }] }],
    ['sha256', { salt: SALT, blobs: [{ sha256: new Uint8Array(31) }] }],
    ['size_bytes', { salt: SALT, blobs: [{ sha256: new Uint8Array(32), sizeBytes: 2 ** 53 }] }],
    ['discarded', { salt: SALT, discarded: { first: 2, last: 1 } }],
    ['discarded', { salt: SALT, discarded: { first: 0, last: 2 ** 53 } }],
  ])('names %s in a frame that breaks its range', (name, fields) => {
    expect(frameFault(decodeFrame(encodeFrame(fields)))).toContain(name);
  });

  it('allows fields that it does not know', () => {
    const known = encodeFrame({ salt: SALT, timeUs: 1 });
    // Field 500 as varint, fixed64, bytes and fixed32; 1000 as a group with a field inside.
    for (const extra of [
      'a01f2a',
      'a11f0102030405060708',
      'a21f03616263',
      'a51f01020304',
      'c33e082ac43e',
    ]) {
      const decoded = decodeFrame(Buffer.concat([known, fromHex(extra)]));
      expect(decoded.timeUs).toBe(1);
      expect(frameFault(decoded)).toBeNull();
    }
  });
});

describe('hostile protobuf', () => {
  const decode = (encoded: Uint8Array): string => {
    try {
      return frameFault(decodeFrame(encoded)) ?? 'accepted';
    } catch (error) {
      // Anything that is no Error, or a TypeError, would be a bug of the reader and not of the bytes.
      expect(error).toBeInstanceOf(Error);
      expect(error).not.toBeInstanceOf(TypeError);
      return 'refused';
    }
  };

  it('is refused or read, never another exception', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), (noise) => {
        // `decode` fails on anything but an Error. Without a salt of 16 bytes nothing is accepted.
        const verdict = decode(noise);
        if (!toHex(noise).includes('0a10')) expect(verdict).not.toBe('accepted');
      }),
      { numRuns: 1_000 },
    );
    const valid = encodeFrame({ salt: SALT, position: { latitudeE9: 1 }, imu: [{ offsetUs: 1 }] });
    fc.assert(
      fc.property(fc.nat(valid.length - 1), fc.nat(255), (at, value) => {
        const changed = Uint8Array.from(valid);
        changed[at] = value;
        const isSame = toHex(changed) === toHex(valid);
        // The tag and the length of the salt are what makes a frame one.
        if (isSame || at < 2) expect(decode(changed) === 'accepted').toBe(isSame);
        else decode(changed);
      }),
      { numRuns: 1_000 },
    );
  });

  it('cut at any length is refused or lacks what was cut off', () => {
    const valid = Uint8Array.from(
      encodeFrame({
        timeUs: 1,
        position: { latitudeE9: -5, crs: 'EPSG:4979' },
        rawGnss: SALT,
        salt: SALT,
      }),
    );
    expect(decode(valid)).toBe('accepted');
    for (let length = 0; length < valid.length; length++) {
      const cut = valid.slice(0, length);
      const verdict = decode(cut);
      if (verdict === 'accepted') {
        expect(toHex(encodeFrame(decodeFrame(cut)))).not.toBe(toHex(valid));
      } else {
        expect(verdict === 'refused' || verdict.startsWith('salt')).toBe(true);
      }
    }
  });

  it('with lengths beyond its end is refused', () => {
    for (const length of ['7f', 'ff7f', 'ffffffff07', 'ffffffff0f', 'ffffffffffffffffff01']) {
      for (const tag of ['0a', '1a', '22', '32', '5a', 'a21f']) {
        expect(decode(fromHex(`${tag}${length}`))).toBe('refused');
      }
    }
  });

  it('nested deep in unknown groups is refused and does not exhaust the stack', () => {
    const depth = 100_000;
    const nested = new Uint8Array(2 * depth).fill(0xa3);
    for (let at = 1; at < nested.length; at += 2) nested[at] = 0x1f;
    expect(decode(nested)).toBe('refused');
    const closed = new Uint8Array(4 * depth);
    closed.set(nested);
    for (let at = 2 * depth; at < closed.length; at += 2) closed.set([0xa4, 0x1f], at);
    expect(decode(closed)).toBe('refused');
  });

  it('of 131,072 empty samples is read, as large as an envelope can be', () => {
    // 256 KiB, the largest envelope, of nothing but empty ImuSample messages.
    const many = new Uint8Array(256 * 1024).fill(0x32);
    for (let at = 1; at < many.length; at += 2) many[at] = 0;
    expect(decodeFrame(many).imu).toHaveLength(128 * 1024);
  });
});

it('names every fix type, so that a manifest can count them', () => {
  expect(wire.FixType[6]).toBe('FIX_TYPE_RTK_FIXED');
  expect(Object.keys(wire.FixType).filter((name) => name.startsWith('FIX_TYPE_'))).toHaveLength(13);
});
