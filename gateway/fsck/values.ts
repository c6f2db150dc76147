import { equalBytes, toHex } from '@waystone/proto';

/** Values of a ledger that is not trusted: a column may hold anything. */

export function isBlob(value: unknown, bytes?: number): value is Buffer {
  return value instanceof Uint8Array && (bytes === undefined || value.length === bytes);
}

export function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

export function isSame(value: unknown, bytes: Uint8Array): boolean {
  return isBlob(value) && equalBytes(value, bytes);
}

/** So many bytes in lower-case hex. */
export function isHex(value: unknown, bytes: number): value is string {
  return typeof value === 'string' && new RegExp(`^[0-9a-f]{${2 * bytes}}$`).test(value);
}

/** A value as a sentence shows it: blobs in hex, text quoted, and never long. */
export function shown(value: unknown): string {
  const text = isBlob(value)
    ? toHex(value)
    : typeof value === 'string'
      ? JSON.stringify(value)
      : String(value);
  return text.length > 80 ? `${text.slice(0, 80)}…` : text;
}
