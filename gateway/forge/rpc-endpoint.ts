import { messageOf } from '../core/errors.js';

/** Bytes of an answer that are read; the logs of a long search have a few megabytes. */
const ANSWER_BYTES_MAX = 32 * 1024 * 1024;

/** A node that asks for more patience than this is asked again all the same, ms. */
const RETRY_AFTER_MAX_MS = 600_000;

/** A node's own answer: what was asked for, or its refusal. */
export type RpcAnswer =
  | { readonly result: unknown }
  | {
      readonly error: { readonly code: number; readonly message: string; readonly data?: unknown };
    };

/**
 * Why a node gave no answer that says anything about the chain: unreachable: no answer, or a broken one · busy: it asks
 * to come later · refused: it does not serve us (a missing key, a wrong path).
 */
export type FaultKind = 'unreachable' | 'busy' | 'refused';

export class EndpointFault extends Error {
  readonly kind: FaultKind;
  /** How long the node asks to wait; 0 when it does not say. */
  readonly retryAfterMs: number;

  constructor(kind: FaultKind, message: string, retryAfterMs = 0, cause?: unknown) {
    super(message, { cause });
    this.kind = kind;
    this.retryAfterMs = retryAfterMs;
  }
}

export interface EndpointOptions {
  readonly timeoutMs: number;
  /** First and longest rest after a fault; each further fault in a row doubles it. */
  readonly restMinMs: number;
  readonly restMaxMs: number;
}

/** One URL of a chain, with its health. A node in trouble rests, so that it neither delays us nor is hammered. */
export class RpcEndpoint {
  readonly url: string;
  /** Where the node is, without path and query: they may hold a key. */
  readonly name: string;
  readonly #options: EndpointOptions;
  #nextId = 1;
  #faults = 0;
  #restsUntilMs = 0;
  #lastFault: EndpointFault | null = null;

  constructor(url: string, options: EndpointOptions) {
    this.url = url;
    this.name = new URL(url).host;
    this.#options = options;
  }

  /** For how long it rests, ms; 0 when it does not. */
  get restMs(): number {
    return Math.max(0, this.#restsUntilMs - performance.now());
  }

  /** The last fault, if nothing was right since. */
  get fault(): EndpointFault | null {
    return this.#lastFault;
  }

  /** @throws EndpointFault; after it the node rests. */
  async call(method: string, params: unknown): Promise<RpcAnswer> {
    try {
      const answer = await this.#post(method, params);
      this.#faults = 0;
      this.#lastFault = null;
      return answer;
    } catch (error) {
      const fault =
        error instanceof EndpointFault
          ? error
          : new EndpointFault('unreachable', `${this.name}: ${reasonOf(error)}`, 0, error);
      this.rest(fault);
      throw fault;
    }
  }

  /** Sets the node aside for a while. */
  rest(fault: EndpointFault): void {
    const { restMinMs, restMaxMs } = this.#options;
    const backoffMs = Math.min(restMinMs * 2 ** this.#faults++, restMaxMs);
    // Jitter, so that many gateways do not come back in step.
    const restMs = Math.max(backoffMs * (0.5 + Math.random() / 2), fault.retryAfterMs);
    this.#restsUntilMs = performance.now() + restMs;
    this.#lastFault = fault;
  }

  async #post(method: string, params: unknown): Promise<RpcAnswer> {
    const id = this.#nextId++;
    const response = await fetch(this.url, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ jsonrpc: '2.0', id, method, params }),
      // A redirect turns a call into a visit of some page.
      redirect: 'error',
      signal: AbortSignal.timeout(this.#options.timeoutMs),
    });
    const { status } = response;
    const text = await readText(response);
    if (status === 429 || status === 503) {
      const retryAfterMs = readRetryAfter(response.headers.get('retry-after'));
      throw new EndpointFault(
        'busy',
        `${this.name} asks to come later (HTTP ${status})`,
        retryAfterMs,
      );
    }
    if (status === 401 || status === 403) {
      throw new EndpointFault('refused', `${this.name} refuses to serve us (HTTP ${status})`);
    }
    // Some nodes put their refusals under an HTTP error, so the body is looked at first.
    const answer = readAnswer(text, id);
    if (answer !== null) {
      const fault = faultIn(answer, method);
      if (fault !== null) throw new EndpointFault('busy', `${this.name}: ${fault}`);
      return answer;
    }
    if (status === 404 || status === 405 || status === 410) {
      throw new EndpointFault('refused', `${this.name} has no node at this path (HTTP ${status})`);
    }
    const what = /^\s*</.test(text) ? 'a web page' : 'something that is no JSON-RPC answer';
    throw new EndpointFault('unreachable', `${this.name} answers with ${what} (HTTP ${status})`);
  }
}

async function readText(response: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of response.body ?? []) {
    bytes += chunk.length;
    if (bytes > ANSWER_BYTES_MAX) throw new RangeError(`an answer of more than ${bytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** Seconds or an HTTP date (RFC 9110, 10.2.3), in ms from now. */
function readRetryAfter(value: string | null): number {
  if (value === null) return 0;
  const ms = /^\d+$/.test(value.trim()) ? Number(value) * 1000 : Date.parse(value) - Date.now();
  return Number.isFinite(ms) ? Math.min(Math.max(ms, 0), RETRY_AFTER_MAX_MS) : 0;
}

/** The answer to call `id`; null when it is none. */
function readAnswer(text: string, id: number): RpcAnswer | null {
  let body: { id?: unknown; result?: unknown; error?: unknown } | null;
  try {
    body = JSON.parse(text) as typeof body;
  } catch {
    return null;
  }
  if (typeof body !== 'object' || body === null) return null;
  if (typeof body.error === 'object' && body.error !== null) {
    const { code, message, data } = body.error as {
      code?: unknown;
      message?: unknown;
      data?: unknown;
    };
    return {
      error: {
        code: typeof code === 'number' ? code : 0,
        message: typeof message === 'string' ? message : 'no reason given',
        ...(data === undefined ? {} : { data }),
      },
    };
  }
  if (body.id !== id || !('result' in body)) return null;
  return { result: body.result };
}

/** Methods whose refusals say something about the chain, the transaction or the question, whatever they are. */
const REFUSALS_COUNT = new Set(['eth_sendRawTransaction', 'eth_getLogs']);

/** What an execution that failed looks like; nothing else may pass for a contract's refusal. */
const EXECUTION_FAILED =
  /revert|out of gas|gas required exceeds|invalid opcode|opcode not found|not activated|stack (under|over)flow|bad jump|invalid jump|insufficient (funds|balance)|OutOfGas|InvalidFEOpcode|allowance/i;

/** What a node says that cannot answer now, though the question is right. */
const CANNOT_NOW =
  /header not found|missing trie node|unknown block|block not found|rate.?limit|limit exceeded|too many requests|capacity|timed? ?out|timeout|try again|temporar|unavailable|overload|internal error|upstream|not (yet )?synced|syncing/i;

/**
 * Why a refusal is no answer about the chain: the library takes every refusal of `eth_call` and `eth_estimateGas` for a
 * contract's, and a node that is merely busy would then be believed. Null when it is one.
 */
function faultIn(answer: RpcAnswer, method: string): string | null {
  if (!('error' in answer) || REFUSALS_COUNT.has(method)) return null;
  const { code, message, data } = answer.error;
  // No such method: that will not change.
  if (code === -32_601) return null;
  if (method === 'eth_call' || method === 'eth_estimateGas') {
    const hasData = typeof data === 'string' && data.startsWith('0x') && data.length > 2;
    return code === 3 || hasData || EXECUTION_FAILED.test(message) ? null : message;
  }
  return code === -32_005 || code === -32_603 || CANNOT_NOW.test(message) ? message : null;
}

function reasonOf(error: unknown): string {
  if ((error as { name?: unknown } | null)?.name === 'TimeoutError') return 'no answer in time';
  const cause = (error as { cause?: unknown } | null)?.cause;
  return cause === undefined ? messageOf(error) : `${messageOf(error)} (${messageOf(cause)})`;
}
