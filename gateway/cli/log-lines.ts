import { type Logger as PinoLogger, pino } from 'pino';
import type { Config } from '../core/config.js';
import { plain } from './format.js';
import type { Terminal } from './terminal.js';

/** A logger that writes JSON lines, or on a terminal lines for people. */
export function createLogger(level: Config['log']['level'], terminal: Terminal): PinoLogger {
  const useColour = terminal.isTty && !terminal.environment.NO_COLOR;
  return pino(
    {
      level,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    { write: (line) => terminal.out(terminal.isTty ? readableLine(line, useColour) : line) },
  );
}

const COLOURS: Readonly<Record<string, string>> = {
  warn: '\u001b[33m',
  error: '\u001b[31m',
  fatal: '\u001b[31m',
};
const DIM = '\u001b[2m';
const RESET = '\u001b[0m';

/** `12:00:01.250 INFO  batch sealed  batch=3 frames=1280`, from one line of pino's JSON. */
export function readableLine(json: string, useColour: boolean): string {
  let record: Record<string, unknown>;
  try {
    record = JSON.parse(json);
  } catch {
    return json;
  }
  const { time, level, msg, pid: _pid, hostname: _hostname, ...fields } = record;
  const paint = (colour: string, text: string) => (useColour ? `${colour}${text}${RESET}` : text);
  const name = String(level).toUpperCase().padEnd(5);
  const rest = Object.entries(fields).map(([key, value]) => `${key}=${shown(value)}`);
  const parts = [
    paint(DIM, String(time).slice(11, 23)),
    paint(COLOURS[String(level)] ?? '', name),
    plain(String(msg ?? '')),
  ];
  return `${parts.join(' ')}${rest.length > 0 ? `  ${paint(DIM, plain(rest.join(' ')))}` : ''}\n`;
}

function shown(value: unknown): string {
  if (typeof value === 'string') return /^[^\s"]+$/.test(value) ? value : JSON.stringify(value);
  // A logged error has type, message and stack; people read the message, JSON lines keep the stack.
  const message = (value as { message?: unknown } | null)?.message;
  return JSON.stringify(typeof message === 'string' ? message : value);
}
