/**
 * An error with a stable code, for everything that goes wrong outside the devices' data (that is a
 * {@link Refusal}). The message says what is wrong, the facts, and what the operator can do.
 */
export class WaystoneError extends Error {
  override readonly name = 'WaystoneError';
  readonly code: string;

  constructor(code: string, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.code = code;
  }
}

/** The message of anything that was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
