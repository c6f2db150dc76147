/** A line of a recording that is not what its format says. */
export class RecordingError extends Error {
  override readonly name = 'RecordingError';
  readonly code = 'RECORDING_MALFORMED';
  readonly file: string;
  /** From 1. */
  readonly line: number;

  constructor(file: string, line: number, what: string) {
    super(`${file}, line ${line}: ${what}`);
    this.file = file;
    this.line = line;
  }
}
