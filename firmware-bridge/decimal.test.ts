import fc from 'fast-check';
import { expect, it } from 'vitest';
import { scaledInteger } from './decimal.js';

it.each([
  ['37.7209977', 9, 37_720_997_700],
  ['-122.47230529999999', 9, -122_472_305_300],
  ['-122.4723046', 9, -122_472_304_600],
  ['37.721095399999996', 9, 37_721_095_400],
  ['0.0000000004', 9, 0],
  ['-0.0000000004', 9, 0],
  ['0.0000000005', 9, 1],
  ['-0.0000000005', 9, -1],
  ['179.9999999995', 9, 180_000_000_000],
  ['7', 3, 7_000],
  ['+7.25', 1, 73],
])('reads %s with %i digits as %i', (text, digits, expected) => {
  expect(scaledInteger(text, digits)).toBe(expected);
});

it.each(['', '-', '.5', '5.', '1e3', 'NaN', 'Infinity', '0x10', ' 1', '1,5', '12345678901234567'])(
  'does not read %j',
  (text) => {
    expect(scaledInteger(text, 3)).toBeNull();
  },
);

it('does not read what no number holds exactly', () => {
  expect(scaledInteger('999999999999', 9)).toBeNull();
});

it('gives back every integer that was written with a decimal point', () => {
  const digits = 9;
  fc.assert(
    fc.property(
      fc.integer({ min: -180e9, max: 180e9 }),
      fc.string({ unit: fc.constantFrom('0', '1', '2', '3', '4'), maxLength: 6 }),
      (value, tail) => {
        const text = String(Math.abs(value)).padStart(digits + 1, '0');
        const decimal = `${value < 0 ? '-' : ''}${text.slice(0, -digits)}.${text.slice(-digits)}${tail}`;
        expect(scaledInteger(decimal, digits)).toBe(value);
      },
    ),
  );
});
