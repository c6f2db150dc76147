/** Exit codes of every command. `verify` has one more: 3, "consistent, signer not pinned". For `fsck` 1 is "faults". */
export const EXIT = { ok: 0, failed: 1, usage: 2 } as const;

/** Errors that the caller can mend by other arguments, settings or files. */
const USAGE_CODES: ReadonlySet<string> = new Set([
  'USAGE',
  'CONFIG_INVALID',
  'HOME_MISSING',
  'HOME_EXISTS',
  'HOME_UNWRITABLE',
  'KEY_UNREADABLE',
  'KEY_EXPOSED',
  'URL_INVALID',
  'TOKEN_MISSING',
  'TOKEN_WRONG',
  'PATH_UNREADABLE',
  'DID_INVALID',
  'PARAMETER_INVALID',
]);

export function exitCodeOf(errorCode: string): number {
  return USAGE_CODES.has(errorCode) ? EXIT.usage : EXIT.failed;
}
