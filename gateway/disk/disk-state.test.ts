import { describe, expect, it } from 'vitest';
import { type DiskLimits, type DiskUse, judgeDisk } from './disk-state.js';
import { StoredRate } from './stored-rate.js';

const MIB = 2 ** 20;
const NOW_US = 1_800_000_000_000_000;
const LIMITS: DiskLimits = {
  reservedBytes: 100 * MIB,
  unsealedBytesMax: 0,
  unforgedBytesMax: 0,
  unforgedHoursMax: 0,
  forgedBytesMax: 0,
  forgedDaysKept: 0,
};
const USE: DiskUse = {
  unsealedBytes: 20 * MIB,
  unforgedBytes: 30 * MIB,
  oldestUnforgedUs: NOW_US - 5 * 3_600_000_000,
  forgedBytes: 40 * MIB,
  ledgerBytes: MIB,
  walRoomBytes: 0,
  everBytes: 90 * MIB,
};

const judge = (
  freeMib: number,
  limits: Partial<DiskLimits> = {},
  use: Partial<DiskUse> = {},
  doubt = '',
) => {
  const time = { nowUs: NOW_US, doubt };
  return judgeDisk(freeMib * MIB, { ...USE, ...use }, { ...LIMITS, ...limits }, time);
};

describe('judgeDisk', () => {
  it('keeps the reserve free, and as much again as waits to be sealed', () => {
    expect(judge(500)).toMatchObject({ roomBytes: 380 * MIB, refusal: null });
    expect(judge(121).refusal).toBeNull();
    expect(judge(120)).toMatchObject({ roomBytes: 0, refusal: { code: 'DISK_FULL' } });
  });

  it('keeps what the WAL may still grow by out of the reserve, if there is one', () => {
    const walRoomBytes = 4 * MIB;
    expect(judge(500, {}, { walRoomBytes }).roomBytes).toBe(376 * MIB);
    expect(judge(124, {}, { walRoomBytes }).refusal?.why).toMatch(/104 MiB of them kept/);
    expect(judge(500, { reservedBytes: 0 }, { walRoomBytes }).roomBytes).toBe(480 * MIB);
  });

  it('lets no more be stored before the next look than can be sealed, and refuses when that is not an envelope', () => {
    expect(judge(500).takeBytes).toBe(190 * MIB);
    expect(judge(5000, { unforgedBytesMax: 60 * MIB }).takeBytes).toBe(10 * MIB);
    expect(judge(120.5)).toMatchObject({ takeBytes: 0.25 * MIB, refusal: null });
    expect(judge(120.25)).toMatchObject({ takeBytes: 0, refusal: { code: 'DISK_FULL' } });
    expect(judge(5000, { unforgedBytesMax: 50.125 * MIB }).refusal?.code).toBe('DISK_FULL');
    expect(judge(5000, { unsealedBytesMax: MIB }).takeBytes).toBe(0);
  });

  it('counts the hours until data is too old', () => {
    expect(judge(500).roomHours).toBe(Number.POSITIVE_INFINITY);
    expect(judge(500, { unforgedHoursMax: 8 }).roomHours).toBe(3);
    expect(judge(500, { unforgedHoursMax: 4 }).roomHours).toBe(0);
  });

  it('bounds data without a DAT in bytes and in hours', () => {
    expect(judge(5000, { unforgedBytesMax: 60 * MIB })).toMatchObject({
      roomBytes: 10 * MIB,
      refusal: null,
    });
    expect(judge(5000, { unforgedBytesMax: 50 * MIB }).refusal?.why).toMatch(
      /50 MiB are not forged yet and disk\.unforgedBytesMax is 50 MiB/,
    );
    expect(judge(5000, { unforgedHoursMax: 5 }).refusal).toBeNull();
    expect(judge(5000, { unforgedHoursMax: 4 }).refusal?.code).toBe('DISK_FULL');
    expect(judge(5000, { unforgedHoursMax: 4 }, { oldestUnforgedUs: null }).refusal).toBeNull();
  });

  it('counts no hours while ages cannot be told from the clock', () => {
    const age = { oldestUnforgedUs: 0 };
    expect(judge(5000, { unforgedHoursMax: 4 }, age).refusal?.code).toBe('DISK_FULL');
    expect(judge(5000, { unforgedHoursMax: 4 }, age, 'it was set').refusal).toBeNull();
  });

  it('says OVERLOADED when sealing is behind', () => {
    expect(judge(5000, { unsealedBytesMax: 20 * MIB }).refusal).toBeNull();
    expect(judge(5000, { unsealedBytesMax: 19 * MIB }).refusal?.code).toBe('OVERLOADED');
  });
});

describe('StoredRate', () => {
  it('is 0 while nothing is known, then the mean, then follows the last minutes', () => {
    const rate = new StoredRate();
    expect(rate.bytesPerSecond).toBe(0);
    rate.update(1000, 0);
    expect(rate.bytesPerSecond).toBe(0);
    rate.update(3000, 2000);
    rate.update(3000, 4000);
    expect(rate.bytesPerSecond).toBeCloseTo(500, -1);
    for (let s = 6; s < 7200; s += 2) rate.update(3000 + (s - 4) * 100, s * 1000);
    expect(rate.bytesPerSecond).toBeCloseTo(100, 0);
    const bytes = 3000 + 7194 * 100;
    for (let s = 7200; s < 14_400; s += 2) rate.update(bytes, s * 1000);
    expect(rate.bytesPerSecond).toBeLessThan(1);
  });

  it('takes no clock that stands still for an instant as a flood', () => {
    const rate = new StoredRate();
    rate.update(0, 10);
    rate.update(1e9, 10);
    expect(rate.bytesPerSecond).toBe(0);
  });
});
