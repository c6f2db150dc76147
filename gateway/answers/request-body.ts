import { WaystoneError } from '../core/errors.js';

/** Bytes of a request's body; the largest that makes sense is a path of 4 KiB. */
const BODY_BYTES_MAX = 64 * 1024;

/**
 * Reads a request's JSON object, and never more than 64 KiB of it.
 *
 * @throws WaystoneError BODY_TOO_LARGE or BODY_INVALID.
 */
export async function readJsonObject(request: Request): Promise<Record<string, unknown>> {
  return parseJsonObject(await readText(request));
}

// Not hono's bodyLimit: it builds a new Request from the adapter's, which Node's own Request refuses.
async function readText(request: Request): Promise<string> {
  // The stated length saves reading; a length that is not stated, or a lie, is found while reading.
  if (Number(request.headers.get('content-length')) > BODY_BYTES_MAX) throw tooLarge();
  if (request.body === null) return '';
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  const reader: ReadableStreamDefaultReader<Uint8Array> = request.body.getReader();
  for (let read = await reader.read(); !read.done; read = await reader.read()) {
    bytes += read.value.length;
    if (bytes > BODY_BYTES_MAX) {
      await reader.cancel();
      throw tooLarge();
    }
    chunks.push(read.value);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function parseJsonObject(text: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new WaystoneError('BODY_INVALID', 'request body is not JSON', { cause });
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
    return value as Record<string, unknown>;
  }
  throw new WaystoneError('BODY_INVALID', 'request body must be a JSON object');
}

function tooLarge(): WaystoneError {
  return new WaystoneError('BODY_TOO_LARGE', `request body is over ${BODY_BYTES_MAX} bytes`);
}
