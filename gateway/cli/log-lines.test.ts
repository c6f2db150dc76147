import { describe, expect, it } from 'vitest';
import { createLogger, readableLine } from './log-lines.js';
import type { Terminal } from './terminal.js';

describe('log lines', () => {
  function terminal(isTty: boolean, environment = {}): Terminal & { lines: string[] } {
    const lines: string[] = [];
    return {
      lines,
      isTty,
      environment,
      out: (text) => lines.push(text),
      err: () => undefined,
      nowMs: () => 0,
    };
  }

  it('are JSON with a named level and an ISO time where nobody looks', () => {
    const sink = terminal(false);
    createLogger('info', sink).warn({ device: 'z1', err: new Error('no route') }, 'uplink lost');
    const [line = ''] = sink.lines;
    expect(line.endsWith('\n')).toBe(true);
    expect(JSON.parse(line)).toMatchObject({
      level: 'warn',
      device: 'z1',
      msg: 'uplink lost',
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/),
      err: { message: 'no route', stack: expect.stringContaining('Error: no route') },
    });
  });

  it('are for people on a terminal, without a stack', () => {
    const sink = terminal(true, { NO_COLOR: '1' });
    createLogger('info', sink).error({ err: new Error('no route'), tries: 3 }, 'uplink lost');
    expect(sink.lines.join('')).toMatch(
      /^\d\d:\d\d:\d\d\.\d{3} ERROR uplink lost {2}err="no route" tries=3\n$/,
    );
  });

  it('have colours on a terminal that wants them', () => {
    const sink = terminal(true);
    createLogger('info', sink).warn({}, 'x');
    expect(sink.lines.join('')).toContain('\u001b[33mWARN ');
  });

  it('below the level are not written', () => {
    const sink = terminal(false);
    const logger = createLogger('warn', sink);
    logger.info({}, 'hidden');
    createLogger('silent', sink).error({}, 'hidden');
    logger.warn({}, 'shown');
    expect(sink.lines).toHaveLength(1);
  });

  it('cannot be forged by what a device says', () => {
    const json = JSON.stringify({ time: '', level: 'info', msg: 'a\nb', label: '\u001b[2J x' });
    const line = readableLine(json, false);
    expect(line.match(/\n/g)).toHaveLength(1);
    expect(line).not.toContain('\u001b');
  });

  it('that are no JSON pass as they are', () => {
    expect(readableLine('plain\n', true)).toBe('plain\n');
  });
});
