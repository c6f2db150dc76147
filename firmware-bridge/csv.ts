import { scaledInteger } from './decimal.js';
import { RecordingError } from './recording-error.js';

/** One line of a CSV file, with errors that say where it stands. */
export class CsvRow<Column extends string> {
  readonly #file: string;
  readonly #line: number;
  readonly #cells: Readonly<Record<Column, string>>;

  constructor(file: string, line: number, cells: Readonly<Record<Column, string>>) {
    this.#file = file;
    this.#line = line;
    this.#cells = cells;
  }

  /** The cell as an integer of 10^-`digits`, rounded to nearest. @throws RecordingError. */
  scaled(column: Column, digits: number): number {
    const text = this.#cells[column];
    return scaledInteger(text, digits) ?? this.#fail(column, 'a decimal number');
  }

  /** The cell as a finite number. @throws RecordingError. */
  number(column: Column): number {
    const text = this.#cells[column];
    const value = text.trim() === '' ? Number.NaN : Number(text);
    return Number.isFinite(value) ? value : this.#fail(column, 'a number');
  }

  #fail(column: Column, expected: string): never {
    throw new RecordingError(
      this.#file,
      this.#line,
      `${column} must be ${expected}, got ${JSON.stringify(this.#cells[column])}`,
    );
  }
}

/**
 * Reads comma-separated values without quoting, as recordings have them: a header line with exactly these
 * columns, then one row a line.
 *
 * @param file named in errors.
 * @throws RecordingError when the header or the number of cells of a line is another.
 */
export function parseCsv<Column extends string>(
  text: string,
  file: string,
  columns: readonly Column[],
): CsvRow<Column>[] {
  const lines = text.split(/\r?\n/);
  if (lines.at(-1) === '') lines.pop();
  const [header = '', ...body] = lines;
  if (header !== columns.join(',')) {
    throw new RecordingError(
      file,
      1,
      `the header must be "${columns.join(',')}", got ${JSON.stringify(header.slice(0, 200))}`,
    );
  }
  return body.map((textLine, index) => {
    const line = index + 2;
    const cells = textLine.split(',');
    if (cells.length !== columns.length) {
      throw new RecordingError(file, line, `expected ${columns.length} cells, got ${cells.length}`);
    }
    const record = Object.fromEntries(columns.map((column, k) => [column, cells[k]]));
    return new CsvRow(file, line, record as Record<Column, string>);
  });
}
