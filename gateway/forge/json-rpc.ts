import { WaystoneError } from '../core/errors.js';

/**
 * One JSON-RPC call over HTTP, for the few of the local chain's own methods that no client library knows.
 *
 * @param timeoutMs gives up after that long
 * @throws WaystoneError CHAIN_UNREACHABLE when nothing answers, CHAIN_REFUSED when the node says no.
 */
export async function jsonRpc(
  url: string,
  method: string,
  params: readonly unknown[] = [],
  timeoutMs = 10_000,
): Promise<unknown> {
  let answer: { result?: unknown; error?: { message?: string } };
  try {
    const response = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }),
      signal: AbortSignal.timeout(timeoutMs),
    });
    answer = (await response.json()) as typeof answer;
  } catch (cause) {
    throw new WaystoneError('CHAIN_UNREACHABLE', `${method} at ${url} got no answer`, { cause });
  }
  if (answer.error !== undefined) {
    const why = answer.error.message ?? 'no reason given';
    throw new WaystoneError('CHAIN_REFUSED', `${method} at ${url} was refused: ${why}`);
  }
  return answer.result;
}
