import { scaledInteger } from './decimal.js';
import { RecordingError } from './recording-error.js';

/** A CAN frame of a candump log. */
export interface CandumpFrame {
  /** Time stamp of the log in microseconds; what it counts from is the recorder's choice. */
  readonly timeUs: number;
  /** For example "can0". */
  readonly bus: string;
  /** 11 bits, or 29 bits when `extended`. */
  readonly id: number;
  readonly extended: boolean;
  readonly remote: boolean;
  /** 0 to 8 bytes, up to 64 for CAN FD. */
  readonly data: Uint8Array;
}

/** `(seconds.microseconds) bus ID#DATA`, CAN FD `ID##<flags>DATA`, remote `ID#R[length]`. */
const LINE =
  /^\(([0-9]{1,12}\.[0-9]{6})\) ([^\s]{1,15}) ([0-9A-Fa-f]{3}|[0-9A-Fa-f]{8})#(?:#[0-9A-Fa-f]((?:[0-9A-Fa-f]{2}){0,64})|R[0-8]?|((?:[0-9A-Fa-f]{2}){0,8}))$/;

/** CAN error frames are logged with this bit (linux/can.h CAN_ERR_FLAG); they are no frames of a sender. */
const ERROR_FLAG = 0x20000000;

/**
 * Reads the log format of can-utils' `candump -l`; error frames are left out.
 *
 * @param file named in errors.
 * @throws RecordingError for any other line.
 */
export function* parseCandump(text: string, file: string): Generator<CandumpFrame> {
  let line = 0;
  for (const textLine of text.split(/\r?\n/)) {
    line += 1;
    if (textLine === '') continue;
    const match = LINE.exec(textLine);
    if (match === null) {
      throw new RecordingError(
        file,
        line,
        `expected "(seconds.microseconds) bus ID#DATA", got ${JSON.stringify(textLine.slice(0, 200))}`,
      );
    }
    const [whole, time = '', bus = '', digits = '', fdData, data] = match;
    const id = Number.parseInt(digits, 16);
    const extended = digits.length === 8;
    if (extended && (id & ERROR_FLAG) !== 0) continue;
    if (id > (extended ? 0x1fffffff : 0x7ff)) {
      throw new RecordingError(file, line, `identifier ${digits} is out of range in "${whole}"`);
    }
    yield {
      timeUs: scaledInteger(time, 6) ?? 0,
      bus,
      id,
      extended,
      remote: fdData === undefined && data === undefined,
      data: new Uint8Array(Buffer.from(fdData ?? data ?? '', 'hex')),
    };
  }
}
