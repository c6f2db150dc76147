/** Identifier of WHEEL_SPEEDS on the powertrain bus of Toyota cars of the 2010s. */
export const TOYOTA_WHEEL_SPEEDS_ID = 0x0aa;

/** Speeds in the unit of the bus, 0.01 km/h; exact integers. Negative within the sensor's zero error. */
export interface WheelSpeedsE2KmH {
  readonly frontLeft: number;
  readonly frontRight: number;
  readonly rearLeft: number;
  readonly rearRight: number;
}

/** Raw value at standstill: an offset of -67.67 km/h. */
const ZERO = 6767;

/**
 * Decodes WHEEL_SPEEDS (0x0AA): four wheels in the order front right, front left, rear right, rear left;
 * each in bits 6..0 of byte 2i and all of byte 2i + 1, unit 0.01 km/h, offset -67.67 km/h. The rule comes
 * with the recording (`recordings/drive-comma2k19/SOURCE.md`).
 *
 * @returns null when `data` is shorter than 8 bytes.
 */
export function decodeToyotaWheelSpeeds(data: Uint8Array): WheelSpeedsE2KmH | null {
  if (data.length < 8) return null;
  const wheel = (i: number) => (((data[2 * i] ?? 0) & 0x7f) << 8) + (data[2 * i + 1] ?? 0) - ZERO;
  return { frontRight: wheel(0), frontLeft: wheel(1), rearRight: wheel(2), rearLeft: wheel(3) };
}

/** Nearest millimetre per second: 0.01 km/h is 25/9 mm/s. */
export function mmPerSecondFromE2KmH(speedE2KmH: number): number {
  const mmPerSecond = Math.round((speedE2KmH * 25) / 9);
  return mmPerSecond === 0 ? 0 : mmPerSecond; // No -0 on the wire.
}
