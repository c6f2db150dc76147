import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Observation } from '@waystone/device-sdk';
import { type Frame, wire } from '@waystone/proto';
import { parseCandump } from './candump.js';
import { type CsvRow, parseCsv } from './csv.js';
import { RecordingError } from './recording-error.js';
import {
  decodeToyotaWheelSpeeds,
  mmPerSecondFromE2KmH,
  TOYOTA_WHEEL_SPEEDS_ID,
} from './toyota-wheel-speeds.js';

/** A recorded drive: one frame for each GNSS fix, with what was sensed since the fix before. */
export interface Drive {
  /** In order of time, with UTC times. */
  readonly frames: readonly Observation[];
  /** Samples after the last fix, which have no frame to be in. */
  readonly leftOut: { readonly imuSamples: number; readonly wheelSpeeds: number };
}

type ImuSample = NonNullable<Frame['imu']>[number];
type WheelSpeeds = NonNullable<Frame['wheelSpeeds']>[number];

interface Timed<Sample> {
  /** µs UTC. */
  readonly timeUs: number;
  readonly sample: Sample;
}

/** GPS time minus UTC in 2018, in seconds. */
const LEAP_SECONDS = 18;

/**
 * How late this recording's quickest fix reached the recorder, in µs. Measured once against the drive's own
 * reference: `ref_camera_pose.csv` gives boot time and GPS time of each camera frame, 182,550 µs apart from
 * what the quickest fix says (the same for all its rows within 1 µs). A test holds this.
 */
const RECEIVER_DELAY_US = 182_550;

/** 360 degrees in units of 1e-5 degree. */
const FULL_TURN_E5 = 36_000_000;

const IMU_SENSOR_FRAME = 'imu_forward_right_down';
const GNSS_SENSOR_FRAME = 'gnss_antenna';

const GNSS_COLUMNS = [
  't_boot_s',
  'lat_deg',
  'lon_deg',
  'speed_mps',
  'utc_ms',
  'alt_m',
  'bearing_deg',
] as const;
const ACCELERATION_COLUMNS = ['t_boot_s', 'forward_mps2', 'right_mps2', 'down_mps2'] as const;
const ANGULAR_RATE_COLUMNS = ['t_boot_s', 'forward_radps', 'right_radps', 'down_radps'] as const;

/**
 * Loads a drive in the layout of `recordings/drive-comma2k19`.
 *
 * @throws RecordingError for a malformed line; the file system's error for a missing file.
 */
export async function loadDrive(folder: string): Promise<Drive> {
  const text = (name: string) => readFile(join(folder, name), 'utf8');
  const [gnss, acceleration, angularRate, can] = await Promise.all([
    text('gnss_ublox.csv'),
    text('imu_accel.csv'),
    text('imu_gyro.csv'),
    text('can0.candump.log'),
  ]);
  const fixes = parseCsv(gnss, 'gnss_ublox.csv', GNSS_COLUMNS);
  const bootUs = utcOfBootUs(
    fixes.map((fix) => ({ bootUs: fix.scaled('t_boot_s', 6), utcUs: fix.scaled('utc_ms', 3) })),
  );
  const imu = new Cursor(readImu(acceleration, angularRate, bootUs));
  const wheels = new Cursor(readWheelSpeeds(can, bootUs));
  let lastUs = Number.NEGATIVE_INFINITY;
  const frames = fixes.map((fix, index): Observation => {
    const timeUs = fix.scaled('utc_ms', 3);
    if (timeUs <= lastUs) {
      throw new RecordingError('gnss_ublox.csv', index + 2, 'utc_ms must rise from line to line');
    }
    lastUs = timeUs;
    const since = <Sample extends object>(cursor: Cursor<Sample>) =>
      cursor.takeUntil(timeUs).map((timed) => ({
        offsetUs: timed.timeUs - timeUs,
        ...timed.sample,
      }));
    return { ...observationOf(fix, timeUs), imu: since(imu), wheelSpeeds: since(wheels) };
  });
  return { frames, leftOut: { imuSamples: imu.left, wheelSpeeds: wheels.left } };
}

/**
 * UTC of the recorder's boot in µs, from when fixes arrived (boot time) and what they were measured for (UTC).
 *
 * Fixes arrive late by a varying time, never early, so the quickest of them ties the clocks best; the delay
 * that it still had is {@link RECEIVER_DELAY_US}.
 */
export function utcOfBootUs(
  fixes: readonly { readonly bootUs: number; readonly utcUs: number }[],
): number {
  let quickestUs = Number.NEGATIVE_INFINITY;
  for (const { bootUs, utcUs } of fixes) quickestUs = Math.max(quickestUs, utcUs - bootUs);
  return quickestUs + RECEIVER_DELAY_US;
}

function observationOf(fix: CsvRow<(typeof GNSS_COLUMNS)[number]>, timeUs: number): Observation {
  return {
    timeUs,
    clock: { source: wire.TimeSource.TIME_SOURCE_GNSS, leapSeconds: LEAP_SECONDS },
    position: {
      latitudeE9: fix.scaled('lat_deg', 9),
      longitudeE9: fix.scaled('lon_deg', 9),
      // SOURCE.md does not name the datum of alt_m. It is the ellipsoid: the values lie within 2 m of the
      // ellipsoidal heights of ref_camera_pose.csv, while mean sea level is 32 m away from it there.
      heightEllipsoidMm: fix.scaled('alt_m', 3),
      // The recording does not tell 2D from 3D fixes, nor how good they are.
      fix: wire.FixType.FIX_TYPE_UNKNOWN,
      sensorFrame: GNSS_SENSOR_FRAME,
    },
    motion: {
      groundSpeedMmS: fix.scaled('speed_mps', 3),
      courseE5: (fix.scaled('bearing_deg', 5) + FULL_TURN_E5) % FULL_TURN_E5,
    },
  };
}

function readImu(
  accelerationText: string,
  angularRateText: string,
  bootUs: number,
): Timed<ImuSample>[] {
  const accelerations = parseCsv(accelerationText, 'imu_accel.csv', ACCELERATION_COLUMNS);
  const rates = parseCsv(angularRateText, 'imu_gyro.csv', ANGULAR_RATE_COLUMNS);
  if (accelerations.length !== rates.length) {
    throw new RecordingError(
      'imu_gyro.csv',
      Math.min(accelerations.length, rates.length) + 2,
      `it has ${rates.length} samples, imu_accel.csv has ${accelerations.length}`,
    );
  }
  return accelerations.map((acceleration, index) => {
    const rate = rates[index] as (typeof rates)[number];
    const sampleUs = acceleration.scaled('t_boot_s', 6);
    if (rate.scaled('t_boot_s', 6) !== sampleUs) {
      throw new RecordingError(
        'imu_gyro.csv',
        index + 2,
        't_boot_s differs from that of the same line in imu_accel.csv',
      );
    }
    return {
      timeUs: bootUs + sampleUs,
      sample: {
        accelerationMS2: [
          acceleration.number('forward_mps2'),
          acceleration.number('right_mps2'),
          acceleration.number('down_mps2'),
        ],
        angularRateRadS: [
          rate.number('forward_radps'),
          rate.number('right_radps'),
          rate.number('down_radps'),
        ],
        sensorFrame: IMU_SENSOR_FRAME,
      },
    };
  });
}

function readWheelSpeeds(canText: string, bootUs: number): Timed<WheelSpeeds>[] {
  const samples: Timed<WheelSpeeds>[] = [];
  for (const { timeUs, id, extended, data } of parseCandump(canText, 'can0.candump.log')) {
    if (id !== TOYOTA_WHEEL_SPEEDS_ID || extended) continue;
    const speeds = decodeToyotaWheelSpeeds(data);
    if (speeds === null) continue; // A remote frame asks for the message, it is not one.
    samples.push({
      timeUs: bootUs + timeUs,
      sample: {
        frontLeftMmS: mmPerSecondFromE2KmH(speeds.frontLeft),
        frontRightMmS: mmPerSecondFromE2KmH(speeds.frontRight),
        rearLeftMmS: mmPerSecondFromE2KmH(speeds.rearLeft),
        rearRightMmS: mmPerSecondFromE2KmH(speeds.rearRight),
      },
    });
  }
  return samples;
}

/** Hands out samples in order of time. */
class Cursor<Sample> {
  readonly #samples: readonly Timed<Sample>[];
  #next = 0;

  constructor(samples: Timed<Sample>[]) {
    this.#samples = samples.sort((a, b) => a.timeUs - b.timeUs);
  }

  /** Those up to and including `timeUs` that were not handed out before. */
  takeUntil(timeUs: number): readonly Timed<Sample>[] {
    const from = this.#next;
    while ((this.#samples[this.#next]?.timeUs ?? Number.POSITIVE_INFINITY) <= timeUs) {
      this.#next += 1;
    }
    return this.#samples.slice(from, this.#next);
  }

  get left(): number {
    return this.#samples.length - this.#next;
  }
}
