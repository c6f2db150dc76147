import { readFileSync } from 'node:fs';
import protobuf from 'protobufjs';
import { describe, expect, it } from 'vitest';
import { decodeFrame, encodeFrame, type Frame, frameFault, wire } from './frame.js';
import { SCAN, SCANNED_MESSAGES, scanFrame, scanned } from './frame-scan.js';

const FRAME: Frame = {
  salt: new Uint8Array(16).fill(7),
  timeUs: 1_700_000_000_000_000,
  clock: { source: wire.TimeSource.TIME_SOURCE_GNSS, leapSeconds: 18, accuracyNs: 40 },
  position: {
    latitudeE9: -47_123_456_789,
    longitudeE9: 179_999_999_999,
    heightEllipsoidMm: -412_345,
    fix: wire.FixType.FIX_TYPE_RTK_FIXED,
    positionCovarianceMm2: [100, 0, 0, 0, 100, 0, 0, 0, 400],
    covarianceType: wire.CovarianceType.COVARIANCE_TYPE_KNOWN,
    hdopE2: 70,
    satellitesUsed: 24,
    crs: 'EPSG:4979',
    sensorFrame: 'antenna',
  },
  motion: { groundSpeedMmS: 13_900, courseE5: 8_400_000, velocityEastMmS: -13_000 },
  imu: [
    { offsetUs: -500, accelerationMS2: [0.1, -0.2, 9.81], angularRateRadS: [0, 0, 0.01] },
    { offsetUs: 4500, accelerationMS2: [0.1, -0.2, 9.8], sensorFrame: 'imu' },
  ],
  wheelSpeeds: [{ offsetUs: 10, frontLeftMmS: 13_888, rearRightMmS: 13_901 }],
  can: [{ offsetUs: 3, id: 0x1ff, extended: true, data: Uint8Array.of(1, 2, 255), bus: 1 }],
  integrity: { jammingIndicator: 3, spoofing: wire.Integrity.SpoofingState.SPOOFING_STATE_NONE },
  rawGnss: Uint8Array.of(0xb5, 0x62, 1, 7),
};

/** What decoding says of the bytes: the frame's time, or null when it is refused. */
function judge(bytes: Uint8Array): number | null {
  try {
    const frame = decodeFrame(bytes);
    return frameFault(frame) === null ? (frame.timeUs ?? 0) : null;
  } catch {
    return null;
  }
}

/** What a scan finds in a frame, by decoding. */
function tally(frame: Frame): typeof scanned {
  return {
    timeUs: frame.timeUs ?? 0,
    hasPosition: frame.position != null,
    latitudeE9: frame.position?.latitudeE9 ?? 0,
    longitudeE9: frame.position?.longitudeE9 ?? 0,
    fix: frame.position?.fix ?? 0,
    imuSamples: frame.imu?.length ?? 0,
    wheelSpeeds: frame.wheelSpeeds?.length ?? 0,
    canFrames: frame.can?.length ?? 0,
  };
}

function mulberry32(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

describe('scanFrame', () => {
  it('reads the time of a full frame and of one with salt alone', () => {
    expect(scanFrame(encodeFrame(FRAME))).toBe(FRAME.timeUs);
    expect(scanFrame(encodeFrame({ salt: new Uint8Array(16) }))).toBe(0);
  });

  it.each<[string, Frame]>([
    ['no salt', { timeUs: 5 }],
    ['a short salt', { ...FRAME, salt: new Uint8Array(15) }],
    ['a latitude beyond the pole', { ...FRAME, position: { latitudeE9: 90_000_000_001 } }],
    ['a longitude beyond 180°', { ...FRAME, position: { longitudeE9: -180_000_000_001 } }],
    [
      'eight values of covariance',
      { ...FRAME, position: { positionCovarianceMm2: Array(8).fill(1) } },
    ],
    ['a discarded range', { ...FRAME, discarded: { first: 1, last: 2 } }],
    ['a blob', { ...FRAME, blobs: [{ sha256: new Uint8Array(32) }] }],
    ['text beyond ASCII', { ...FRAME, position: { crs: 'Zürich' } }],
  ])('leaves %s to the decoder', (_what, frame) => {
    expect(scanFrame(encodeFrame(frame))).toBe(-1);
  });

  it('leaves an unknown field and a second position to the decoder', () => {
    const bytes = encodeFrame(FRAME);
    expect(scanFrame(Uint8Array.of(...bytes, 15 << 3, 1))).toBe(-1);
    expect(scanFrame(Uint8Array.of(...bytes, (4 << 3) | 2, 0))).toBe(-1);
  });

  it('accepts nothing that decoding refuses, and reads the same time, over mutated frames', () => {
    const random = mulberry32(20_261_123);
    const frame = encodeFrame(FRAME);
    let accepted = 0;
    let refused = 0;
    for (let round = 0; round < 60_000; round++) {
      let bytes = new Uint8Array(frame);
      const changes = 1 + Math.floor(random() * 3);
      for (let k = 0; k < changes; k++) {
        const at = Math.floor(random() * bytes.length);
        const kind = random();
        if (kind < 0.6) bytes[at] = Math.floor(random() * 256);
        else if (kind < 0.8)
          bytes = Uint8Array.of(...bytes.subarray(0, at), ...bytes.subarray(at + 1));
        else
          bytes = new Uint8Array([
            ...bytes.slice(0, at),
            Math.floor(random() * 256),
            ...bytes.slice(at),
          ]);
      }
      const timeUs = scanFrame(bytes);
      if (timeUs === -1) refused += 1;
      else {
        accepted += 1;
        expect(judge(bytes), Buffer.from(bytes).toString('hex')).toBe(timeUs);
        expect(scanned, Buffer.from(bytes).toString('hex')).toEqual(tally(decodeFrame(bytes)));
      }
    }
    expect(Math.min(accepted, refused)).toBeGreaterThan(5_000);
  });

  it('knows the fields of frame.proto', () => {
    const source = readFileSync(new URL('./waystone/v1/frame.proto', import.meta.url), 'utf8');
    const { root } = protobuf.parse(source, { keepCase: true });
    const kindOf = (field: protobuf.Field): number => {
      field.resolve();
      const type = field.resolvedType;
      if (type instanceof protobuf.Type) {
        return SCANNED_MESSAGES.findIndex(({ name }) => name === type.name);
      }
      if (field.repeated) return field.type === 'float' ? SCAN.floats : SCAN.none;
      if (field.type === 'bytes') return SCAN.bytes;
      if (field.type === 'string') return SCAN.text;
      return field.type.endsWith('64') ? SCAN.varint64 : SCAN.varint;
    };
    for (const [place, { name, fields, repeated = [] }] of SCANNED_MESSAGES.entries()) {
      const type = root.lookupType(`waystone.v1.${name}`);
      expect(type.fieldsArray.map(({ id }) => id).sort((a, b) => a - b)).toEqual(
        fields.map((_kind, index) => index + 1),
      );
      for (const field of type.fieldsArray) {
        const kind = fields[field.id - 1];
        if (kind === SCAN.none) continue;
        expect(kindOf(field), `${name}.${field.name}`).toBe(kind);
        const mayRepeat = field.repeated && kind !== SCAN.floats;
        expect(repeated.includes(field.id), `${name}.${field.name}`).toBe(mayRepeat);
      }
      expect(place).toBe(SCANNED_MESSAGES.findIndex((one) => one.name === name));
    }
  });
});
