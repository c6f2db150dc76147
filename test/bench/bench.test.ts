import { describe, expect, it } from 'vitest';
import { readOptions } from './options.js';
import { niceAbove, plotLines } from './plot.js';
import { median, quantile, short, spread } from './statistics.js';
import { tableOf } from './table.js';

describe('options', () => {
  it('are read', () => {
    expect(readOptions(['ingest', '--quick', '--json', '--rounds', '3'])).toEqual({
      what: 'ingest',
      quick: true,
      json: true,
      rounds: 3,
      devices: null,
      seconds: null,
      frames: null,
    });
  });

  it.each([
    [[]],
    [['fast']],
    [['ingest', 'idle']],
    [['ingest', '--rounds', '0']],
    [['idle', '--x']],
  ])('of %j are refused', (argv) => {
    expect(readOptions(argv)).toEqual({ fault: expect.stringMatching(/\S/) });
  });
});

describe('statistics', () => {
  it('take quantiles by the nearest rank, and medians between two', () => {
    const values = [5, 1, 4, 2, 3];
    expect([0, 0.5, 0.99, 1].map((part) => quantile(values, part))).toEqual([1, 3, 5, 5]);
    expect(quantile([], 0.5)).toBeNaN();
    expect([median(values), median([1, 2, 3, 10])]).toEqual([3, 2.5]);
    expect(spread([3, 1, 2])).toEqual({ median: 2, least: 1, most: 3, runs: 3 });
  });

  it('show three digits', () => {
    expect([0.012_34, 1.234, 12.34, 1234.5, 123_456].map(short)).toEqual([
      '0.0123',
      '1.23',
      '12.3',
      '1,235',
      '123,456',
    ]);
  });
});

describe('tables', () => {
  it('have a row for each item, with nested values by their path', () => {
    expect(tableOf([{ a: 1, b: { c: 2.345 } }, { a: 'x' }])).toBe(
      '| a | b.c |\n| --- | --- |\n| 1 | 2.35 |\n| x |  |',
    );
  });

  it('have a row for each value of a single item', () => {
    expect(tableOf({ a: 1000, b: [0.5, 2], c: [{ d: true }] })).toBe(
      '| what | value |\n| --- | --- |\n| a | 1,000 |\n| b | 0.5, 2 |\n| c[0].d | true |',
    );
  });
});

describe('plots', () => {
  it('are SVG with every series, title and unit, and names escaped', () => {
    const svg = plotLines({
      title: 'a < b',
      x: 'devices',
      y: 'µs',
      isLogX: true,
      series: [
        {
          name: 'one',
          points: [
            [10, 5],
            [1000, 20],
          ],
        },
        {
          name: 'two',
          points: [
            [10, 1],
            [1000, 2],
          ],
        },
      ],
    });
    expect(svg).toContain('a &lt; b');
    expect(svg.match(/<polyline/g)).toHaveLength(2);
    // The highest value lies at the top of its scale, the first at the left edge.
    expect(svg).toContain('points="80.0,265.0 700.0,40.0"');
    for (const text of ['devices', 'µs', 'one', 'two', '1,000']) expect(svg).toContain(text);
  });

  it('have scales that end at round numbers', () => {
    expect([0, 0.3, 1, 1.1, 4, 51, 1000].map(niceAbove)).toEqual([1, 0.5, 1, 2, 5, 100, 1000]);
  });
});
