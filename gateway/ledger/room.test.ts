import { expect, it } from 'vitest';
import type { VerifiedBatch } from '../core/ports.js';
import { Room } from './room.js';

/** Batches of envelopes of so many bytes. */
function batches(...lengths: number[][]): VerifiedBatch[] {
  return lengths.map((items) => ({
    buffer: new ArrayBuffer(0),
    items: items.map((length, ticket) => ({
      ticket,
      device: 1,
      offset: 0,
      length,
      receivedAtUs: 0,
      clockTrusted: true,
      refusal: null,
    })),
  }));
}

const lengthsOf = (parts: readonly VerifiedBatch[]) =>
  parts.map(({ items }) => items.map(({ length }) => length));

it('takes everything until it is told how much fits', () => {
  const all = batches([1e12], [1e12, 1e12]);
  expect(new Room().take(all)).toEqual({ fitting: all, tooMuch: [] });
});

it('parts what came at the first envelope that does not fit, until it is told anew', () => {
  const room = new Room();
  room.set(10_000, 'DISK_FULL');
  const { fitting, tooMuch } = room.take(batches([3_000], [3_000, 3_000, 10], [10]));
  expect(lengthsOf(fitting)).toEqual([[3_000], [3_000]]);
  expect(lengthsOf(tooMuch)).toEqual([[3_000, 10], [10]]);
  expect(room.take(batches([1])).fitting).toEqual([]);
  room.set(0, 'OVERLOADED');
  expect(room.code).toBe('OVERLOADED');
  expect(lengthsOf(room.take(batches([1])).tooMuch)).toEqual([[1]]);
  room.set(1_000, 'DISK_FULL');
  expect(lengthsOf(room.take(batches([1])).fitting)).toEqual([[1]]);
});
