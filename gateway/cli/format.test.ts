import { describe, expect, it } from 'vitest';
import { ago, count, date, pairs, plain, size, span, table } from './format.js';

describe('text for people', () => {
  it.each([
    [0, '0 B'],
    [999, '999 B'],
    [1000, '1.0 kB'],
    [1_250_000, '1.3 MB'],
    [52_000_000_000, '52 GB'],
    [5e15, '5000 TB'],
  ])('writes %d bytes as %s', (bytes, text) => {
    expect(size(bytes)).toBe(text);
  });

  it.each([
    [-5, '0 s'],
    [59.9, '59 s'],
    [60, '1 min 0 s'],
    [7500, '2 h 5 min'],
    [90_000, '1 d 1 h'],
  ])('writes %d seconds as %s', (seconds, text) => {
    expect(span(seconds)).toBe(text);
  });

  it('writes numbers, ages and dates', () => {
    expect(count(1_048_576)).toBe('1,048,576');
    expect(ago(1_000_000, 62_000_000)).toBe('1 min 1 s ago');
    expect(date(1_795_348_800_000_000)).toBe('2026-11-22T12:00:00.000Z');
    expect(date(Number.MAX_SAFE_INTEGER)).toBe('2255-06-05T23:47:34.740Z');
    expect(date(1e20)).toBe('100000000000000000000 µs');
  });

  it('aligns columns and leaves no space at the end of a line', () => {
    expect(
      table(
        ['>N', 'NAME'],
        [
          ['1', 'a'],
          ['20', ''],
        ],
        'none',
      ),
    ).toBe(' N  NAME\n 1  a\n20\n');
    expect(table(['>N'], [], 'none yet')).toBe('none yet\n');
    expect(
      pairs([
        ['a', '1'],
        ['long', ''],
      ]),
    ).toBe('a     1\nlong\n');
  });

  it('shows control and direction characters instead of obeying them', () => {
    expect(plain('a\n\u001b[0m\u202e\u2028é漢')).toBe('a\\u{a}\\u{1b}[0m\\u{202e}\\u{2028}é漢');
  });
});
