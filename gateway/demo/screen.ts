/** Where the demo tells what it does; standard error, so that `--json` owns standard output. */
export interface DemoScreen {
  /** A step that is done. */
  step(name: string, what: string): void;
  /** How far the present step is, 0 to 1. */
  progress(share: number, what: string): void;
  fail(what: string): void;
}

const BAR_CELLS = 24;
const NAME_CHARS = 9;

/**
 * Plain lines, with a progress bar where a person looks on.
 *
 * @param out takes text; the screen ends its lines.
 * @param columns width of the terminal, or 0 where there is none.
 */
export function demoScreen(out: (text: string) => void, columns: number): DemoScreen {
  let hasBar = false;
  const clearBar = (): void => {
    if (hasBar) out('\r\x1b[2K');
    hasBar = false;
  };
  return {
    step(name, what) {
      clearBar();
      out(`  ${name.padEnd(NAME_CHARS)} ${what}\n`);
    },
    progress(share, what) {
      if (columns === 0) return;
      const filled = Math.round(Math.min(1, Math.max(0, share)) * BAR_CELLS);
      const bar = `${'█'.repeat(filled)}${'░'.repeat(BAR_CELLS - filled)}`;
      out(`\r\x1b[2K${`  ${''.padEnd(NAME_CHARS)} ${bar} ${what}`.slice(0, columns - 1)}`);
      hasBar = true;
    },
    fail(what) {
      clearBar();
      out(`  ${'✗'.padEnd(NAME_CHARS)} ${what}\n`);
    },
  };
}
