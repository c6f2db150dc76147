import { UINT53_MAX } from './bytes.js';
import { SALT_BYTES } from './frame.js';

/** How the bytes of a field are read; a message's kind is its place in {@link SCANNED_MESSAGES}. */
export const SCAN = { none: 0, varint: -1, varint64: -2, bytes: -3, text: -4, floats: -5 } as const;
const { none, varint, varint64, bytes, text, floats } = SCAN;

/**
 * The messages of `waystone/v1/frame.proto` and how their fields 1, 2, 3 … are scanned. `none`: fields whose
 * content is judged further, or that are rare; frames with them are left to the decoder.
 */
export const SCANNED_MESSAGES: readonly {
  readonly name: string;
  readonly fields: readonly number[];
  /** Numbers of repeated messages. */
  readonly repeated?: readonly number[];
}[] = [
  {
    name: 'Frame',
    fields: [bytes, varint64, 1, 2, 3, 4, 5, 6, none, 7, bytes, none],
    repeated: [6, 7, 8],
  },
  { name: 'Clock', fields: [varint, varint, varint] },
  {
    name: 'Position',
    fields: [
      ...[varint64, varint64, varint, varint, varint, varint, floats],
      ...[varint, varint, varint, varint, text, varint, text],
    ],
  },
  {
    name: 'Motion',
    fields: [varint, varint, varint, varint, varint, varint, varint, varint],
  },
  { name: 'ImuSample', fields: [varint, floats, floats, floats, text] },
  { name: 'WheelSpeeds', fields: [varint, varint, varint, varint, varint] },
  { name: 'CanFrame', fields: [varint, varint, varint, bytes, varint] },
  { name: 'Integrity', fields: [varint, varint] },
];

const FRAME = 0;
const POSITION = 2;
/** Number of a position's `fix`. */
const FIX = 6;

/** Kinds by message and field number; numbers above 15 do not fit into the one-byte tags that are scanned. */
const KINDS = SCANNED_MESSAGES.map(({ fields }) => {
  const kinds = new Int8Array(16);
  kinds.set(fields, 1);
  return kinds;
});

/** Bit n: field n may come more than once. */
const REPEATED = SCANNED_MESSAGES.map(({ repeated = [] }) =>
  repeated.reduce((bits, number) => bits | (1 << number), 0),
);

const WIRE_VARINT = 0;
const WIRE_LENGTH = 2;

/** |latitude| ≤ 90°, |longitude| ≤ 180° in 1e-9 degree, as zigzag integers. */
const LATITUDE_ZIGZAG_MAX = 180e9;
const LONGITUDE_ZIGZAG_MAX = 360e9;

/** Bytes of a position's covariance: nine floats. */
const COVARIANCE_BYTES = 36;

/** What the frame holds that {@link scanFrame} looked at last, if it accepted it. */
export const scanned = {
  timeUs: 0,
  hasPosition: false,
  latitudeE9: 0,
  longitudeE9: 0,
  fix: 0,
  imuSamples: 0,
  wheelSpeeds: 0,
  canFrames: 0,
};

/**
 * A quick look at a frame's bytes, without building objects. It answers only where decoding the frame and
 * judging it by `frameFault` would certainly accept it. What is unusual or wrong is left to those two: unknown
 * fields, fields given twice or not packed, groups, integers of more than eight bytes, text beyond ASCII.
 *
 * @returns the frame's time in µs, or -1 when it must be decoded to be judged.
 */
export function scanFrame(frame: Uint8Array): number {
  scanned.timeUs = 0;
  scanned.hasPosition = false;
  scanned.latitudeE9 = 0;
  scanned.longitudeE9 = 0;
  scanned.fix = 0;
  scanned.imuSamples = 0;
  scanned.wheelSpeeds = 0;
  scanned.canFrames = 0;
  return scanMessage(frame, 0, frame.length, FRAME) ? scanned.timeUs : -1;
}

function scanMessage(buf: Uint8Array, from: number, end: number, message: number): boolean {
  const kinds = KINDS[message] as Int8Array;
  const repeated = REPEATED[message] as number;
  let seen = 0;
  let at = from;
  while (at < end) {
    const tag = buf[at++] as number;
    const number = tag >> 3;
    const bit = 1 << number;
    if (tag >= 0x80 || (seen & bit & ~repeated) !== 0) return false;
    seen |= bit;
    const kind = kinds[number] as number;
    const wireType = tag & 7;
    if (kind === varint || kind === varint64) {
      if (wireType !== WIRE_VARINT) return false;
      const bytesMax = kind === varint ? 5 : 8;
      const start = at;
      while (at < end && (buf[at] as number) >= 0x80) at += 1;
      at += 1;
      if (at > end || at - start > bytesMax) return false;
      if (kind === varint64) {
        if (!takeInteger(message, number, integerAt(buf, start, at))) return false;
      } else if (message === POSITION && number === FIX) {
        // A fifth byte may make it negative.
        if (at - start > 4) return false;
        scanned.fix = integerAt(buf, start, at);
      }
      continue;
    }
    if (kind === none || wireType !== WIRE_LENGTH || at >= end) return false;
    let length = buf[at++] as number;
    if (length >= 0x80) {
      if (at >= end || (buf[at] as number) >= 0x80) return false;
      length = (length & 0x7f) | ((buf[at++] as number) << 7);
    }
    const stop = at + length;
    if (stop > end) return false;
    if (kind > FRAME) {
      if (message === FRAME) countMessage(number);
      if (!scanMessage(buf, at, stop, kind)) return false;
    } else if (kind === floats) {
      if (length % 4 !== 0 || (message === POSITION && length !== COVARIANCE_BYTES)) return false;
    } else if (kind === text) {
      for (let k = at; k < stop; k++) if ((buf[k] as number) >= 0x80) return false;
    } else if (message === FRAME && number === 1 && length !== SALT_BYTES) return false;
    at = stop;
  }
  return message !== FRAME || (seen & 2) !== 0;
}

/** The varint in `from..end`, of at most eight bytes; exact below 2^53. */
function integerAt(buf: Uint8Array, from: number, end: number): number {
  let value = 0;
  for (let at = end - 1; at >= from; at--) value = value * 128 + ((buf[at] as number) & 0x7f);
  return value;
}

/** Takes a 64-bit field. @returns whether it is within its range. */
function takeInteger(message: number, number: number, value: number): boolean {
  if (message === POSITION) {
    const signed = value % 2 === 0 ? value / 2 : -(value + 1) / 2;
    if (number === 1) scanned.latitudeE9 = signed;
    else scanned.longitudeE9 = signed;
    return value <= (number === 1 ? LATITUDE_ZIGZAG_MAX : LONGITUDE_ZIGZAG_MAX);
  }
  scanned.timeUs = value;
  return value <= UINT53_MAX;
}

/** Counts a message in the frame by the number of its field. */
function countMessage(number: number): void {
  if (number === 4) scanned.hasPosition = true;
  else if (number === 6) scanned.imuSamples += 1;
  else if (number === 7) scanned.wheelSpeeds += 1;
  else if (number === 8) scanned.canFrames += 1;
}
