import { describe, expect, it } from 'vitest';
import { overdue, silenceMaxMs, type Watched } from './silence.js';

const LIMITS = { connectTimeoutSeconds: 5, slowReaderSeconds: 20, keepAliveSecondsMax: 100 };

function watched(guard: Partial<Watched['guard']> = {}): Watched & { guard: typeof guard } {
  return {
    guard: {
      isHeld: false,
      hasConnect: true,
      lastPacketAtMs: 0,
      unsentBytes: 0,
      sentBytes: 0,
      ...guard,
    },
    silenceMaxMs: 60_000,
    sentBytes: 0,
    sentAtMs: 0,
  };
}

it('gives a client one and a half times what it asked for, and never more than ours', () => {
  const asked = [1, 60, 100, 101, 65_535, 0].map((seconds) => silenceMaxMs(seconds, LIMITS));
  expect(asked).toEqual([1_500, 90_000, 150_000, 150_000, 150_000, 150_000]);
});

describe('a connection ends', () => {
  it('without a CONNECT in time', () => {
    const connection = watched({ hasConnect: false });
    expect(overdue(connection, 5_000, LIMITS)).toBeNull();
    expect(overdue(connection, 5_001, LIMITS)).toBe('connect timeout');
  });

  it('after its silence, from its last packet on', () => {
    expect(overdue(watched(), 60_000, LIMITS)).toBeNull();
    expect(overdue(watched(), 60_001, LIMITS)).toBe('keep-alive');
    expect(overdue(watched({ lastPacketAtMs: 1 }), 60_001, LIMITS)).toBeNull();
  });

  it('not for a silence while we do not read it', () => {
    expect(overdue(watched({ isHeld: true }), 1e9, LIMITS)).toBeNull();
    expect(overdue(watched({ isHeld: true, hasConnect: false }), 1e9, LIMITS)).toBeNull();
  });

  it('when it takes nothing of what is sent, held or not', () => {
    for (const isHeld of [false, true]) {
      const connection = watched({ isHeld, unsentBytes: 10, sentBytes: 100, lastPacketAtMs: 1e6 });
      expect(overdue(connection, 1e6, LIMITS)).toBeNull();
      expect(overdue(connection, 1e6 + 20_000, LIMITS)).toBeNull();
      expect(overdue(connection, 1e6 + 20_001, LIMITS)).toBe('slow reader');
    }
  });

  it('not while it takes some of it, nor once it has taken all', () => {
    const connection = watched({ unsentBytes: 10, sentBytes: 1 });
    for (let k = 0; k < 10; k++) {
      const guard = { ...connection.guard, sentBytes: k, lastPacketAtMs: k * 15_000 };
      Object.assign(connection.guard, guard);
      expect(overdue(connection, k * 15_000, LIMITS)).toBeNull();
    }
    Object.assign(connection.guard, { unsentBytes: 0, lastPacketAtMs: 1e6 });
    expect(overdue(connection, 1e6, LIMITS)).toBeNull();
    Object.assign(connection.guard, { unsentBytes: 10 });
    expect(overdue(connection, 1e6 + 20_000, LIMITS)).toBeNull();
  });
});
