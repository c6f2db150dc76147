/** One system call of a traced process. Places are lines of the trace, so they tell which came first. */
export interface SystemCall {
  readonly name: string;
  /** Line on which it was entered. */
  readonly start: number;
  /** Line on which it had returned; calls of other threads may stand between. */
  readonly end: number;
  /** Path or socket of its first argument, as `strace -yy` names it; "" without one. */
  readonly target: string;
  /** Its strings in order, decoded: data that was written, or paths. */
  readonly strings: readonly Buffer[];
  /** Where in its file it wrote, as `pwrite64` says it; -1 for other calls. */
  readonly position: number;
  /** What it returned; -1 for a failure. */
  readonly result: number;
}

/** How a process is traced so that {@link parseTrace} can read it: all strings whole, binary ones in hex. */
export function traceCommand(file: string): string[] {
  const calls = [
    ...['write', 'writev', 'pwrite64', 'pwritev', 'sendto', 'sendmsg'],
    ...['fdatasync', 'fsync', 'rename', 'renameat', 'renameat2', 'openat'],
  ];
  return [
    'strace',
    // The traced process is our own child, and gets our signals.
    '-D',
    '-f',
    '--seccomp-bpf',
    '-yy',
    '-x',
    ...['-s', '200000'],
    ...['-e', `trace=${calls.join(',')}`],
    ...['-e', 'signal=none'],
    ...['-o', file],
  ];
}

/**
 * Reads what `strace -f -o` wrote. A call that another thread interrupted stands on two lines:
 * `<unfinished ...>` where it was entered and `<... resumed>` where it returned.
 */
export function parseTrace(text: string): SystemCall[] {
  const calls: SystemCall[] = [];
  const open = new Map<string, { start: number; text: string }>();
  text.split('\n').forEach((line, at) => {
    const [, thread = '', rest = ''] = /^(\d+) +(.*)$/s.exec(line) ?? [];
    const unfinished = /^(.*) <unfinished \.\.\.>$/s.exec(rest);
    if (unfinished !== null) {
      open.set(thread, { start: at, text: unfinished[1] ?? '' });
      return;
    }
    const resumed = /^<\.\.\. \w+ resumed>(.*)$/s.exec(rest);
    const before = resumed === null ? undefined : open.get(thread);
    if (resumed !== null && before === undefined) return;
    if (before !== undefined) open.delete(thread);
    const call = parseCall(`${before?.text ?? ''}${resumed?.[1] ?? rest}`);
    if (call !== null) calls.push({ ...call, start: before?.start ?? at, end: at });
  });
  return calls.sort((a, b) => a.start - b.start);
}

function parseCall(text: string): Omit<SystemCall, 'start' | 'end'> | null {
  const [, name, args, result] = /^(\w+)\((.*)\) += (-?\d+)/s.exec(text) ?? [];
  if (name === undefined || args === undefined) return null;
  const target = /^\d+<([^>]*(?:->[^>]*)?)>/.exec(args)?.[1] ?? '';
  const strings = [...args.matchAll(/"((?:[^"\\]|\\.)*)"/gs)].map(([, quoted = '']) =>
    unquote(quoted),
  );
  const [, position = '-1'] = name === 'pwrite64' ? (/, (\d+)$/.exec(args) ?? []) : [];
  return { name, target, strings, position: Number(position), result: Number(result) };
}

const ESCAPES: Readonly<Record<string, string>> = { n: '\n', t: '\t', r: '\r', v: '\v', f: '\f' };

function unquote(quoted: string): Buffer {
  if (/^(\\x[0-9a-f]{2})*$/.test(quoted)) return Buffer.from(quoted.replaceAll('\\x', ''), 'hex');
  return Buffer.from(
    quoted.replace(/\\(x([0-9a-f]{2})|.)/g, (_, short: string, hex: string | undefined) =>
      hex === undefined ? (ESCAPES[short] ?? short) : String.fromCharCode(Number.parseInt(hex, 16)),
    ),
    'latin1',
  );
}
