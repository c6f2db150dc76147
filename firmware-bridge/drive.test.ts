import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DeviceKey, EnvelopeBuilder, Session } from '@waystone/device-sdk';
import { decodeFrame, LOCAL_REALM, readEnvelope, wire } from '@waystone/proto';
import { beforeAll, describe, expect, it } from 'vitest';
import { parseCandump } from './candump.js';
import { parseCsv } from './csv.js';
import { type Drive, loadDrive, utcOfBootUs } from './drive.js';
import { DRIVE_FOLDER } from './replay.js';
import {
  decodeToyotaWheelSpeeds,
  mmPerSecondFromE2KmH,
  TOYOTA_WHEEL_SPEEDS_ID,
} from './toyota-wheel-speeds.js';

const text = (name: string) => readFile(join(DRIVE_FOLDER, name), 'utf8');

describe('wheel speeds', () => {
  it('equal the reference of the recording exactly', async () => {
    const columns = ['t_boot_s', 'fl_mps', 'fr_mps', 'rl_mps', 'rr_mps'] as const;
    const reference = parseCsv(await text('ref_wheel_speed.csv'), 'ref_wheel_speed.csv', columns);
    const frames = [...parseCandump(await text('can0.candump.log'), 'can0.candump.log')];
    const decoded = frames.filter(({ id }) => id === TOYOTA_WHEEL_SPEEDS_ID);
    expect(decoded).toHaveLength(2_484);
    expect(reference).toHaveLength(2_484);
    // Unlike the log, the reference is kept as floats: of (raw · 0.01 - 67.67) km/h over 3.6.
    decoded.forEach((frame, index) => {
      const speeds = decodeToyotaWheelSpeeds(frame.data);
      const row = reference[index];
      if (speeds === null || row === undefined) throw new Error(`nothing at ${index}`);
      expect(Math.abs(frame.timeUs - row.scaled('t_boot_s', 6))).toBeLessThanOrEqual(1);
      for (const [column, speed] of [
        ['fl_mps', speeds.frontLeft],
        ['fr_mps', speeds.frontRight],
        ['rl_mps', speeds.rearLeft],
        ['rr_mps', speeds.rearRight],
      ] as const) {
        const expected = row.number(column);
        expect(Math.round(expected * 360)).toBe(speed);
        expect(Math.abs(expected - speed / 360)).toBeLessThan(1e-12);
        expect(Math.abs(mmPerSecondFromE2KmH(speed) - expected * 1_000)).toBeLessThanOrEqual(
          0.5001,
        );
      }
    });
  });

  it('are zero, not minus zero, at standstill, and negative within the zero error', () => {
    const still = decodeToyotaWheelSpeeds(Buffer.from('1a6f1a6f1a6e1a70', 'hex'));
    expect(still).toEqual({ frontRight: 0, frontLeft: 0, rearRight: -1, rearLeft: 1 });
    expect(mmPerSecondFromE2KmH(-0)).toBe(0);
    expect(mmPerSecondFromE2KmH(-1)).toBe(-3);
    // Bit 7 of the high bytes is no part of the speed.
    expect(decodeToyotaWheelSpeeds(Buffer.from('9a6f9a6f9a6e9a70', 'hex'))).toEqual(still);
    expect(decodeToyotaWheelSpeeds(new Uint8Array(7))).toBeNull();
  });
});

describe('the recorded drive', () => {
  let drive: Drive;
  beforeAll(async () => {
    drive = await loadDrive(DRIVE_FOLDER);
  });

  it('has a frame for each fix, with the numbers of the recording', () => {
    expect(drive.frames).toHaveLength(286);
    expect(drive.frames[0]).toMatchObject({
      timeUs: 1_533_226_488_299_000,
      clock: { source: wire.TimeSource.TIME_SOURCE_GNSS, leapSeconds: 18 },
      position: {
        latitudeE9: 37_720_997_700,
        longitudeE9: -122_472_305_300,
        heightEllipsoidMm: 33_370,
        fix: wire.FixType.FIX_TYPE_UNKNOWN,
        sensorFrame: 'gnss_antenna',
      },
      motion: { groundSpeedMmS: 7_823, courseE5: 213_561 },
    });
    expect(drive.frames.at(-1)).toMatchObject({
      timeUs: 1_533_226_518_099_000,
      position: { latitudeE9: 37_725_670_900, longitudeE9: -122_472_054_800 },
    });
  });

  it('carries each sample once, in the frame that ends its interval', () => {
    let imuSamples = 0;
    let wheelSpeeds = 0;
    let beforeUs = 0;
    let lastImuUs = 0;
    for (const { timeUs, imu, wheelSpeeds: wheels } of drive.frames) {
      for (const { offsetUs } of [...(imu ?? []), ...(wheels ?? [])]) {
        expect(timeUs + (offsetUs as number)).toBeGreaterThan(beforeUs);
        expect(offsetUs).toBeLessThanOrEqual(0);
      }
      for (const { offsetUs, accelerationMS2, angularRateRadS, sensorFrame } of imu ?? []) {
        expect(timeUs + (offsetUs as number)).toBeGreaterThan(lastImuUs);
        lastImuUs = timeUs + (offsetUs as number);
        expect([accelerationMS2?.length, angularRateRadS?.length]).toEqual([3, 3]);
        expect(sensorFrame).toBe('imu_forward_right_down');
      }
      imuSamples += imu?.length ?? 0;
      wheelSpeeds += wheels?.length ?? 0;
      beforeUs = timeUs;
    }
    expect(imuSamples + drive.leftOut.imuSamples).toBe(3_125);
    expect(wheelSpeeds + drive.leftOut.wheelSpeeds).toBe(2_484);
    // 0.3 s of 30 s: what was sensed after the last fix.
    expect(drive.leftOut.imuSamples).toBeLessThan(35);
    expect(drive.leftOut.wheelSpeeds).toBeLessThan(30);
    const perFrame = drive.frames.slice(5, 15).map(({ imu }) => imu?.length ?? 0);
    for (const count of perFrame) expect([10, 11]).toContain(count);
  });

  it('shows gravity along the down axis and a wheel speed like the ground speed', () => {
    const frames = drive.frames.slice(5);
    const down = frames.flatMap(({ imu }) => (imu ?? []).map((s) => s.accelerationMS2?.[2] ?? 0));
    const mean = down.reduce((sum, value) => sum + value, 0) / down.length;
    expect(mean).toBeGreaterThan(-10.3);
    expect(mean).toBeLessThan(-9.3);
    for (const { motion, wheelSpeeds } of frames) {
      const wheel = wheelSpeeds?.at(-1)?.rearLeftMmS ?? Number.NaN;
      expect(Math.abs(wheel - (motion?.groundSpeedMmS ?? 0))).toBeLessThan(600);
    }
  });

  it('ties boot time to UTC as the reference poses do, within a millisecond', async () => {
    const columns = [
      ...['t_boot_s', 'gps_week', 'gps_tow_s', 'ecef_x_m', 'ecef_y_m', 'ecef_z_m'],
      ...['ecef_vx_mps', 'ecef_vy_mps', 'ecef_vz_mps', 'q_w', 'q_x', 'q_y', 'q_z'],
    ];
    const poses = parseCsv(await text('ref_camera_pose.csv'), 'ref_camera_pose.csv', columns);
    const fixes = parseCsv(await text('gnss_ublox.csv'), 'gnss_ublox.csv', [
      ...['t_boot_s', 'lat_deg', 'lon_deg', 'speed_mps', 'utc_ms', 'alt_m', 'bearing_deg'],
    ]);
    const bootUs = utcOfBootUs(
      fixes.map((fix) => ({ bootUs: fix.scaled('t_boot_s', 6), utcUs: fix.scaled('utc_ms', 3) })),
    );
    const gpsEpochUs = 315_964_800e6; // 1980-01-06
    for (const pose of poses) {
      const week = pose.number('gps_week') * 604_800e6;
      const utcUs = gpsEpochUs + week + pose.scaled('gps_tow_s', 6) - 18e6;
      expect(Math.abs(bootUs + pose.scaled('t_boot_s', 6) - utcUs)).toBeLessThan(1_000);
    }
  });

  it('has heights above the ellipsoid, as the reference poses show', async () => {
    const [pose] = (await text('ref_camera_pose.csv')).split('\n').slice(1);
    const [x, y, z] = (pose ?? '').split(',').slice(3, 6).map(Number) as [number, number, number];
    const heightM = ellipsoidalHeightM(x, y, z);
    const first = drive.frames[0]?.position?.heightEllipsoidMm ?? 0;
    expect(Math.abs(first / 1_000 - heightM)).toBeLessThan(2.5);
  });

  it('fits into signed envelopes and reads back the same', async () => {
    const builder = new EnvelopeBuilder(DeviceKey.generate(), new Session());
    const sealed = await builder.seal(drive.frames, { realm: LOCAL_REALM, stream: 1 });
    const frames = sealed.flatMap(({ payload }) => readEnvelope(payload).envelope?.frames ?? []);
    expect(frames).toHaveLength(286);
    frames.forEach((bytes, index) => {
      const frame = decodeFrame(bytes);
      const made = drive.frames[index];
      expect(frame.timeUs).toBe(made?.timeUs);
      expect(frame.position?.latitudeE9).toBe(made?.position?.latitudeE9);
      expect(frame.position?.longitudeE9).toBe(made?.position?.longitudeE9);
      expect(frame.imu?.map((s) => s.offsetUs)).toEqual(made?.imu?.map((s) => s.offsetUs));
      // The recording's inertial values come from 16-bit samples, which 32-bit floats hold exactly.
      expect(frame.imu?.map((s) => s.accelerationMS2)).toEqual(
        made?.imu?.map((s) => s.accelerationMS2),
      );
      expect(frame.wheelSpeeds?.map((s) => s.rearLeftMmS)).toEqual(
        made?.wheelSpeeds?.map((s) => s.rearLeftMmS),
      );
    });
  });
});

describe('a damaged recording', () => {
  it.each([
    ['gnss_ublox.csv', 3, '37.721005', 'north', 'lat_deg must be a decimal number'],
    ['gnss_ublox.csv', 3, '1533226488399', '1533226488299', 'utc_ms must rise'],
    ['imu_gyro.csv', 2, '46408.580034294', '46408.570034294', 't_boot_s differs'],
    ['can0.candump.log', 1, '260#', '260', 'expected "(seconds.microseconds)'],
  ])('of %s is refused with its line %i', async (name, line, from, to, message) => {
    const folder = await mkdtemp(join(tmpdir(), 'waystone-drive-'));
    try {
      await cp(DRIVE_FOLDER, folder, { recursive: true });
      await writeFile(join(folder, name), (await text(name)).replace(from, to));
      await expect(loadDrive(folder)).rejects.toMatchObject({
        code: 'RECORDING_MALFORMED',
        file: name,
        line,
        message: expect.stringContaining(message),
      });
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});

/** Height above WGS 84 of a point in ECEF, by Bowring's iteration. */
function ellipsoidalHeightM(x: number, y: number, z: number): number {
  const a = 6_378_137;
  const f = 1 / 298.257223563;
  const e2 = f * (2 - f);
  const r = Math.hypot(x, y);
  let latitude = Math.atan2(z, r * (1 - e2));
  let height = 0;
  for (let k = 0; k < 6; k++) {
    const n = a / Math.sqrt(1 - e2 * Math.sin(latitude) ** 2);
    height = r / Math.cos(latitude) - n;
    latitude = Math.atan2(z, r * (1 - (e2 * n) / (n + height)));
  }
  return height;
}
