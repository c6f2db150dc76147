import { WaystoneError } from '../core/errors.js';

/** Whether no node of the chain answered. */
export function isUnreachable(error: unknown): boolean {
  if (error instanceof WaystoneError) {
    return error.code === 'CHAIN_UNREACHABLE' || error.code === 'CHAIN_URL_REFUSED';
  }
  const code = (error as { code?: unknown } | null)?.code;
  return (
    typeof code === 'string' &&
    /^(ECONN|EPIPE|EHOST|ENET|ENOTFOUND|EAI_AGAIN|ETIMEDOUT|TIMEOUT|SERVER_ERROR|NETWORK_ERROR)/.test(
      code,
    )
  );
}
