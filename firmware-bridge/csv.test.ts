import { expect, it } from 'vitest';
import { parseCsv } from './csv.js';
import { RecordingError } from './recording-error.js';

const parse = (text: string) => parseCsv(text, 'some.csv', ['time_s', 'value']);

it('reads rows with and without a newline at the end, and CRLF', () => {
  for (const text of ['time_s,value\n1.5,-2\n', 'time_s,value\r\n1.5,-2', 'time_s,value\n1.5,-2']) {
    const rows = parse(text);
    expect(rows.map((row) => [row.scaled('time_s', 3), row.number('value')])).toEqual([
      [1_500, -2],
    ]);
  }
  expect(parse('time_s,value\n')).toEqual([]);
});

it.each([
  ['an empty file', '', 1, 'the header must be "time_s,value"'],
  ['another header', 'value,time_s\n', 1, 'the header must be "time_s,value"'],
  ['a short line', 'time_s,value\n1,2\n3\n', 3, 'expected 2 cells, got 1'],
  ['a long line', 'time_s,value\n1,2,3\n', 2, 'expected 2 cells, got 3'],
  ['an empty line', 'time_s,value\n\n1,2\n', 2, 'expected 2 cells, got 1'],
  ['a cell without number', 'time_s,value\n1,2\n1,\n', 3, 'value must be a number, got ""'],
  ['a cell that is infinite', 'time_s,value\n1,1e999\n', 2, 'value must be a number, got "1e999"'],
  ['a time in words', 'time_s,value\nnoon,1\n', 2, 'time_s must be a decimal number, got "noon"'],
])('names file, line and fault of %s', (_what, text, line, message) => {
  const read = () => {
    for (const row of parse(text)) {
      row.scaled('time_s', 3);
      row.number('value');
    }
  };
  expect(read).toThrow(RecordingError);
  expect(read).toThrow(`some.csv, line ${line}: ${message}`);
});
