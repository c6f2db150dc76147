import { expect, it } from 'vitest';
import { parseCandump } from './candump.js';
import { RecordingError } from './recording-error.js';

const parse = (text: string) => [...parseCandump(text, 'some.log')];
const bytes = (hex: string) => new Uint8Array(Buffer.from(hex, 'hex'));

it('reads classic, extended, FD and remote frames, and leaves out error frames', () => {
  const log = [
    '(46408.589503) can0 0AA#25B525B525A0258D',
    '(1436509052.249713) vcan0 12345678#DEAD',
    '(1.000001) can1 7FF#',
    '(1.000002) can1 123##3001122',
    '(1.000003) can1 123#R',
    '(1.000004) can1 123#R8',
    '(1.000005) can1 20000004#0001000000000000',
    '',
  ].join('\n');
  const plain = { extended: false, remote: false };
  expect(parse(log)).toEqual([
    { timeUs: 46_408_589_503, bus: 'can0', id: 0xaa, ...plain, data: bytes('25b525b525a0258d') },
    {
      timeUs: 1_436_509_052_249_713,
      bus: 'vcan0',
      id: 0x12345678,
      extended: true,
      remote: false,
      data: bytes('dead'),
    },
    { timeUs: 1_000_001, bus: 'can1', id: 0x7ff, ...plain, data: bytes('') },
    { timeUs: 1_000_002, bus: 'can1', id: 0x123, ...plain, data: bytes('001122') },
    { timeUs: 1_000_003, bus: 'can1', id: 0x123, extended: false, remote: true, data: bytes('') },
    { timeUs: 1_000_004, bus: 'can1', id: 0x123, extended: false, remote: true, data: bytes('') },
  ]);
});

it.each([
  ['no time', 'can0 0AA#00'],
  ['a short time', '(1.5) can0 0AA#00'],
  ['an odd number of digits', '(1.000000) can0 0AA#0'],
  ['nine bytes', `(1.000000) can0 0AA#${'00'.repeat(9)}`],
  ['an identifier of four digits', '(1.000000) can0 00AA#00'],
  ['an identifier beyond 11 bits', '(1.000000) can0 8AA#00'],
  ['an identifier beyond 29 bits', '(1.000000) can0 40000000#00'],
  ['no data mark', '(1.000000) can0 0AA'],
  ['something behind', '(1.000000) can0 0AA#00 x'],
])('names file and line of a line with %s', (_what, line) => {
  const log = `(1.000000) can0 0AA#00\n${line}\n`;
  expect(() => parse(log)).toThrow(RecordingError);
  expect(() => parse(log)).toThrow('some.log, line 2: ');
});
