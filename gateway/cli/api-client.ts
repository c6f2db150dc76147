import { messageOf, WaystoneError } from '../core/errors.js';
import type { Endpoint } from './endpoint.js';

/** Longest wait for an answer; a backup of a large gateway takes minutes. */
const TIMEOUT_MS = 30_000;
export const LONG_TIMEOUT_MS = 3_600_000;

/** Talks to a running gateway through its HTTP API. */
export class ApiClient {
  readonly #endpoint: Endpoint;

  constructor(endpoint: Endpoint) {
    this.#endpoint = endpoint;
  }

  /**
   * @param path Already escaped, from `/v1`.
   * @returns Status and body of an answer below 400.
   * @throws WaystoneError with the code and message of the gateway's refusal; GATEWAY_UNREACHABLE when
   *   nothing answers; ANSWER_INVALID when what answers is no gateway.
   */
  async ask<T>(
    method: 'GET' | 'POST' | 'PUT' | 'DELETE',
    path: string,
    { body, timeoutMs = TIMEOUT_MS }: { body?: object; timeoutMs?: number } = {},
  ): Promise<{ status: number; body: T }> {
    const { url, token } = this.#endpoint;
    let response: Response;
    let text: string;
    try {
      response = await fetch(`${url}${path}`, {
        method,
        headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
        ...(body && { body: JSON.stringify(body) }),
        redirect: 'error',
        signal: AbortSignal.timeout(timeoutMs),
      });
      text = await response.text();
    } catch (error) {
      throw new WaystoneError(
        'GATEWAY_UNREACHABLE',
        `no gateway answers at ${url} (${reasonOf(error)}); start it with waystone start, or name another with --url or --home`,
        { cause: error },
      );
    }
    const answer = parse(text);
    if (response.ok && answer !== undefined) return { status: response.status, body: answer as T };
    const { error } = (answer ?? {}) as { error?: { code?: unknown; message?: unknown } };
    if (typeof error?.code === 'string' && typeof error.message === 'string') {
      throw new WaystoneError(error.code, error.message);
    }
    throw new WaystoneError(
      'ANSWER_INVALID',
      `what answers at ${url} is no Waystone gateway (HTTP ${response.status}); name the right one with --url`,
    );
  }

  async get<T>(path: string): Promise<T> {
    return (await this.ask<T>('GET', path)).body;
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** The cause of "fetch failed" is what people need. */
function reasonOf(error: unknown): string {
  const cause = error instanceof Error ? error.cause : undefined;
  const code = (cause as NodeJS.ErrnoException | undefined)?.code;
  return code ?? messageOf(cause ?? error);
}
