import { describe, expect, it } from 'vitest';
import {
  DOUBT_MAX_MS,
  RELEASE_AGE_MAX_US,
  RELEASE_TIME_US,
  STEP_BACK_MAX_US,
  SystemClock,
} from './clock.js';
import { ClockWatch, STEADY_AFTER_MS } from './clock-watch.js';

const SECOND_US = 1_000_000;
const HOUR_US = 3_600 * SECOND_US;
const DAY_US = 24 * HOUR_US;
const NOW_US = RELEASE_TIME_US + 100 * DAY_US;

/** A machine whose clock can be set, and whose time passes. */
class Machine {
  wallUs = NOW_US;
  passedMs = 5_000;
  readonly clock = new SystemClock({
    wallMs: () => this.wallUs / 1000,
    monotonicMs: () => this.passedMs,
  });

  pass(us: number): void {
    this.wallUs += us;
    this.passedMs += us / 1000;
  }

  /** Sets the clock and asks whether it is trusted. */
  isTrustedAt(us: number): boolean {
    this.wallUs = us;
    return this.isTrusted;
  }

  get isTrusted(): boolean {
    return this.clock.isTrusted(this.clock.nowUs());
  }
}

describe('the system clock', () => {
  it('is not trusted before its release was made, nor ten years after', () => {
    const machine = new Machine();
    const isTrustedAt = (us: number): boolean => machine.isTrustedAt(us);
    expect(isTrustedAt(30 * SECOND_US)).toBe(false);
    expect(isTrustedAt(RELEASE_TIME_US - 1000)).toBe(false);
    expect(isTrustedAt(RELEASE_TIME_US)).toBe(true);
    expect(isTrustedAt(NOW_US)).toBe(true);
    expect(isTrustedAt(RELEASE_TIME_US + RELEASE_AGE_MAX_US + 1000)).toBe(false);
    expect(isTrustedAt(NOW_US)).toBe(true);
  });

  it('says a time that can be written down, whatever it is set to', () => {
    const machine = new Machine();
    for (const us of [-DAY_US, -1, 2 ** 53, 1e18]) {
      machine.wallUs = us;
      expect(machine.clock.nowUs()).toBeGreaterThanOrEqual(0);
      expect(Number.isSafeInteger(machine.clock.nowUs())).toBe(true);
      expect(machine.isTrusted).toBe(false);
    }
  });

  it('that went back is doubted until it has caught up', () => {
    const machine = new Machine();
    expect(machine.isTrusted).toBe(true);
    machine.wallUs -= HOUR_US;
    expect(machine.isTrusted).toBe(false);
    machine.pass(HOUR_US - STEP_BACK_MAX_US - SECOND_US);
    expect(machine.isTrusted).toBe(false);
    machine.pass(2 * SECOND_US);
    expect(machine.isTrusted).toBe(true);
  });

  it('that is corrected by seconds is not doubted', () => {
    const machine = new Machine();
    expect(machine.isTrusted).toBe(true);
    machine.wallUs -= STEP_BACK_MAX_US;
    expect(machine.isTrusted).toBe(true);
  });

  it('that stays back is believed after a day: what it said before may have been wrong', () => {
    const machine = new Machine();
    expect(machine.isTrustedAt(NOW_US + 1000 * DAY_US)).toBe(true);
    expect(machine.isTrustedAt(NOW_US)).toBe(false);
    machine.pass(DOUBT_MAX_MS * 1000 - SECOND_US);
    expect(machine.isTrusted).toBe(false);
    expect(machine.clock.doubtedMs).toBe(DOUBT_MAX_MS - 1000);
    machine.pass(SECOND_US);
    expect(machine.isTrusted).toBe(true);
    machine.wallUs -= HOUR_US;
    expect(machine.isTrusted).toBe(false);
  });

  it('counts the doubt of an earlier run', () => {
    const machine = new Machine();
    machine.clock.remember(NOW_US + DAY_US * 30, DOUBT_MAX_MS - 60_000);
    expect(machine.isTrusted).toBe(false);
    machine.pass(61 * SECOND_US);
    expect(machine.isTrusted).toBe(true);
    const other = new Machine();
    other.clock.remember(NOW_US - DAY_US, 0);
    expect(other.isTrusted).toBe(true);
  });

  it('forgets its doubt once it has caught up', () => {
    const machine = new Machine();
    expect(machine.isTrusted).toBe(true);
    for (let hour = 0; hour < 30; hour++) {
      machine.wallUs -= HOUR_US;
      expect(machine.isTrusted).toBe(false);
      machine.pass(HOUR_US);
      expect(machine.isTrusted).toBe(true);
      expect(machine.clock.doubtedMs).toBe(0);
    }
  });
});

describe('the watch on the clock', () => {
  const logs: string[] = [];
  const note = (_: object, message: string): void => void logs.push(message);
  const logger = { trace: note, debug: note, info: note, warn: note, error: note };
  const watchOf = (machine: Machine, newestUs: number | null): ClockWatch => {
    logs.length = 0;
    return new ClockWatch(machine.clock, logger, newestUs);
  };

  it('has no doubt while the clock and the time go together', () => {
    const machine = new Machine();
    const watch = watchOf(machine, NOW_US - 6 * DAY_US);
    for (let hour = 0; hour < 100; hour++) {
      expect(watch.look()).toEqual({ nowUs: machine.wallUs, doubt: '' });
      machine.pass(HOUR_US);
      // As NTP does it.
      machine.wallUs += hour % 2 === 0 ? 900_000 : -900_000;
    }
    expect(logs).toEqual([]);
  });

  it.each([HOUR_US, 300 * DAY_US, -2 * 60 * SECOND_US])(
    'doubts for a day after a step of %s µs',
    (stepUs) => {
      const machine = new Machine();
      const watch = watchOf(machine, null);
      watch.look();
      machine.pass(2 * SECOND_US);
      machine.wallUs += stepUs;
      expect(watch.look().doubt).not.toBe('');
      expect(logs).toContain('the clock was set');
      machine.pass(STEADY_AFTER_MS * 1000 - SECOND_US);
      expect(watch.look().doubt).toMatch(/^the system clock was set by -?\d+ s$/);
      machine.pass(SECOND_US);
      expect(watch.look().doubt).toBe('');
    },
  );

  it('doubts while the clock is not trusted, and says when that changes', () => {
    const machine = new Machine();
    machine.wallUs = 0;
    const watch = watchOf(machine, null);
    expect(watch.look().doubt).toBe('the clock is not trusted');
    machine.wallUs = NOW_US;
    expect(watch.look().doubt).toMatch(/was set/);
    expect(logs.at(-1)).toBe('the clock is trusted again');
  });

  it('doubts a start that is long after the newest data', () => {
    const machine = new Machine();
    const watch = watchOf(machine, NOW_US - 8 * DAY_US);
    expect(watch.look().doubt).toMatch(/started 8 days after its newest data/);
    machine.pass(DAY_US);
    expect(watch.look().doubt).toBe('');
  });
});
