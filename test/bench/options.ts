import { parseArgs } from 'node:util';

export const BENCHES = [
  'ingest',
  'latency',
  'idle',
  'seal',
  'restart',
  'disk',
  'overload',
  'starve',
  'growth',
  'gas',
] as const;

export interface BenchOptions {
  readonly what: (typeof BENCHES)[number];
  /** A shorter look, whose result is not kept. */
  readonly quick: boolean;
  /** The result as JSON on stdout. */
  readonly json: boolean;
  readonly rounds: number | null;
  readonly devices: number | null;
  readonly seconds: number | null;
  readonly frames: number | null;
}

export const USAGE = `usage: npm run bench -- <${BENCHES.join('|')}> [--quick] [--json] [--rounds n] [--devices n] [--seconds n] [--frames n]`;

export function readOptions(argv: readonly string[]): BenchOptions | { readonly fault: string } {
  try {
    const { values, positionals } = parseArgs({
      args: [...argv],
      allowPositionals: true,
      options: {
        quick: { type: 'boolean', default: false },
        json: { type: 'boolean', default: false },
        rounds: { type: 'string' },
        devices: { type: 'string' },
        seconds: { type: 'string' },
        frames: { type: 'string' },
      },
    });
    const what = BENCHES.find((name) => name === positionals[0]);
    if (what === undefined || positionals.length > 1) {
      return { fault: `no benchmark ${JSON.stringify(positionals.join(' '))}` };
    }
    const number = (name: 'rounds' | 'devices' | 'seconds' | 'frames'): number | null => {
      const text = values[name];
      if (text === undefined) return null;
      if (!/^[1-9]\d{0,7}$/.test(text)) throw new TypeError(`--${name} must be a whole number`);
      return Number(text);
    };
    return {
      what,
      quick: values.quick,
      json: values.json,
      rounds: number('rounds'),
      devices: number('devices'),
      seconds: number('seconds'),
      frames: number('frames'),
    };
  } catch (error) {
    return { fault: (error as Error).message };
  }
}
