import { describe, expect, it } from 'vitest';
import { AddressLimits } from './address-limits.js';
import { DeviceRates } from './device-rates.js';
import { TokenBucket } from './token-bucket.js';

describe('a token bucket', () => {
  it('gives its burst at once and its rate from then on', () => {
    const bucket = new TokenBucket(10, 5, 0);
    expect([1, 1, 1, 1, 1].map((count) => bucket.take(count, 0))).toEqual([0, 0, 0, 0, 0]);
    expect(bucket.take(1, 0)).toBe(100);
    expect(bucket.take(1, 0)).toBe(200);
    expect(bucket.take(1, 300)).toBe(0);
    expect(bucket.isFull(799)).toBe(false);
    expect(bucket.isFull(800)).toBe(true);
  });

  it('never holds more than its burst', () => {
    const bucket = new TokenBucket(10, 5, 0);
    bucket.giveBack(100);
    expect(bucket.take(6, 1e9)).toBe(100);
  });
});

describe('connections from one address', () => {
  const OPTIONS = {
    connectionsPerAddressMax: 3,
    connectsPerSecondMax: 10,
    connectBurstMax: 5,
    connectTimeoutSeconds: 1,
  };

  it('are so many at once, and others are not taken in until one has left', () => {
    const limits = new AddressLimits(OPTIONS);
    const enter = () => limits.enter('10.0.0.1', 0);
    expect([enter(), enter(), enter(), enter()]).toEqual([0, 0, 0, null]);
    expect(limits.enter('10.0.0.2', 0)).toBe(0);
    limits.leave('10.0.0.1', 0);
    expect([enter(), enter()]).toEqual([0, null]);
  });

  it('wait beyond their rate, and are not taken in when the wait is too long', () => {
    const limits = new AddressLimits(OPTIONS);
    const comeAndGo = (nowMs: number) => {
      const waitMs = limits.enter('10.0.0.1', nowMs);
      if (waitMs !== null) limits.leave('10.0.0.1', nowMs);
      return waitMs;
    };
    const waits = Array.from({ length: 17 }, () => comeAndGo(0));
    expect(waits.slice(0, 7)).toEqual([0, 0, 0, 0, 0, 100, 200]);
    expect(waits.slice(14)).toEqual([1000, null, null]);
    expect(comeAndGo(1_100)).toBe(0);
  });

  it('count a whole /64 of IPv6 as one', () => {
    const limits = new AddressLimits(OPTIONS);
    const hosts = ['::1', '::2', '::3', '::4'].map((host) => `2001:db8:0:7${host}`);
    expect(hosts.map((host) => limits.enter(host, 0))).toEqual([0, 0, 0, null]);
    expect(limits.enter('2001:db8:0:8::1', 0)).toBe(0);
  });

  it('leave nothing behind once they are forgotten, and a bounded amount before', () => {
    const limits = new AddressLimits(OPTIONS);
    for (let k = 0; k < 50_000; k++) {
      const address = `10.${k >> 16}.${(k >> 8) & 255}.${k & 255}`;
      limits.enter(address, k / 1000);
      limits.leave(address, k / 1000);
    }
    expect(limits.size).toBe(10_000);
    const calm = new AddressLimits(OPTIONS);
    calm.enter('10.0.0.1', 0);
    calm.leave('10.0.0.1', 1_000);
    expect(calm.size).toBe(0);
  });
});

describe('a device', () => {
  const OPTIONS = {
    messagesPerSecondMax: 100,
    bytesPerSecondMax: 10_000,
    burstSeconds: 2,
    loginsPerMinuteMax: 6,
  };

  it('is slowed by its messages or its bytes, whichever takes longer', () => {
    const rates = new DeviceRates(OPTIONS);
    for (let k = 0; k < 200; k++) expect(rates.envelope(1, 10, 0)).toBe(0);
    expect(rates.envelope(1, 10, 0)).toBe(10);
    expect(rates.envelope(1, 20_000, 0)).toBe(201);
    expect(rates.envelope(2, 20_000, 0)).toBe(0);
    expect(rates.envelope(2, 5_000, 0)).toBe(500);
  });

  it('is not slowed without a limit', () => {
    const rates = new DeviceRates({ ...OPTIONS, messagesPerSecondMax: 0, bytesPerSecondMax: 0 });
    for (let k = 0; k < 10_000; k++) expect(rates.envelope(1, 1e9, 0)).toBe(0);
  });

  it('logs in so often a minute, and a login too many costs nothing', () => {
    const rates = new DeviceRates(OPTIONS);
    const logins = Array.from({ length: 100 }, () => rates.login(1, 0));
    expect(logins.filter(Boolean)).toHaveLength(6);
    expect([rates.login(1, 9_999), rates.login(1, 10_000), rates.login(2, 0)]).toEqual([
      false,
      true,
      true,
    ]);
  });

  it('says hello three times for each login that it may make, and waits for more', () => {
    const rates = new DeviceRates(OPTIONS);
    for (let k = 0; k < 18; k++) expect(rates.hello(1, 0)).toBe(0);
    expect([rates.hello(1, 0), rates.hello(1, 0), rates.hello(2, 0)]).toEqual([3_334, 6_667, 0]);
    expect(rates.login(1, 0)).toBe(true);
  });

  it('is forgotten once its past no longer matters', () => {
    const rates = new DeviceRates(OPTIONS);
    for (let device = 0; device < 1_000; device++) rates.login(device, 0);
    rates.sweep(9_000);
    expect(rates.size).toBe(1_000);
    rates.envelope(7, 1, 9_995);
    rates.sweep(10_000);
    expect(rates.size).toBe(1);
    rates.sweep(11_000);
    expect(rates.size).toBe(0);
  });
});
