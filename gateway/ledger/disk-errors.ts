import { messageOf, WaystoneError } from '../core/errors.js';

/** SQLite and the file system each say it in their own way. */
export function isDiskFull(error: unknown): boolean {
  return ['SQLITE_FULL', 'ENOSPC', 'EDQUOT'].includes((error as { code?: string }).code ?? '');
}

/** An error of the disk, with what it means; others as they are. */
export function explained(error: unknown): unknown {
  const { code = '' } = error as { code?: string };
  if (!/^(SQLITE_(IOERR|READONLY|CORRUPT|CANTOPEN)|EIO$|EROFS$|ENODEV$|ENXIO$)/.test(code))
    return error;
  return new WaystoneError(
    'DISK_FAILED',
    `the disk failed under the ledger: ${messageOf(error)} (${code}). Nothing that was not on disk was acknowledged, and nothing is until the gateway has started again; look at the disk first`,
    { cause: error },
  );
}
