import fc from 'fast-check';
import { expect, it } from 'vitest';
import { Backoff } from './backoff.js';

it('waits between half and all of a doubling time, up to its longest', () => {
  fc.assert(
    fc.property(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), (random) => {
      const backoff = new Backoff(100, 1_500, () => random);
      for (const ceilingMs of [100, 200, 400, 800, 1_500, 1_500]) {
        const waitMs = backoff.nextMs();
        expect(waitMs).toBeGreaterThanOrEqual(ceilingMs / 2);
        expect(waitMs).toBeLessThanOrEqual(ceilingMs);
      }
      backoff.reset();
      expect(backoff.nextMs()).toBeLessThanOrEqual(100);
    }),
  );
});

it('stays finite after any number of attempts', () => {
  const backoff = new Backoff(1, 30_000);
  for (let k = 0; k < 5_000; k++) expect(backoff.nextMs()).toBeLessThanOrEqual(30_000);
});

it.each([
  [0, 10],
  [10, 5],
  [Number.NaN, 5],
])('refuses min %d and max %d', (minMs, maxMs) => {
  expect(() => new Backoff(minMs, maxMs)).toThrow(RangeError);
});
