import { constants } from 'node:fs';
import { type FileHandle, open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DATASET_FILES } from '@waystone/proto';
import { WaystoneError } from '../core/errors.js';

/** Bytes that are read from disk at once. */
const CHUNK_BYTES = 64 * 1024;

const NAMES: readonly string[] = Object.values(DATASET_FILES);

/**
 * One file of a dataset folder, as an HTTP answer that reads it only as fast as the client takes it.
 *
 * @throws WaystoneError FILE_UNKNOWN for any name but those of the folder's files, and for a file that is
 *   not there. Links are not followed.
 */
export async function datasetFileResponse(
  folder: string,
  name: string,
  isHead: boolean,
): Promise<Response> {
  if (!NAMES.includes(name)) {
    throw new WaystoneError(
      'FILE_UNKNOWN',
      `a dataset has the files ${NAMES.join(', ')}, not ${JSON.stringify(name.slice(0, 80))}`,
    );
  }
  const file = await open(join(folder, name), constants.O_RDONLY | constants.O_NOFOLLOW).catch(
    (cause: unknown) => {
      throw new WaystoneError('FILE_UNKNOWN', `this dataset has no file ${name}`, { cause });
    },
  );
  try {
    const { size } = await file.stat();
    const headers = {
      'Content-Type': name.endsWith('.json') ? 'application/json' : 'application/octet-stream',
      'Content-Length': String(size),
      'Content-Disposition': `attachment; filename="${name}"`,
    };
    if (isHead || size === 0) {
      await file.close();
      return new Response(null, { headers });
    }
    return new Response(streamOf(file, size), { headers });
  } catch (error) {
    await file.close().catch(() => undefined);
    throw error;
  }
}

/** Metadata of a token, small enough for memory. @throws WaystoneError FILE_UNKNOWN. */
export async function metadataResponse(file: string, tokenId: string): Promise<Response> {
  const json = await readFile(file, 'utf8').catch((cause: unknown) => {
    throw new WaystoneError(
      'FILE_UNKNOWN',
      `this gateway has forged no token ${tokenId}, or its metadata was written by another`,
      { cause },
    );
  });
  return new Response(json, { headers: { 'Content-Type': 'application/json' } });
}

function streamOf(file: FileHandle, size: number): ReadableStream<Uint8Array> {
  let position = 0;
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const chunk = new Uint8Array(Math.min(CHUNK_BYTES, size - position));
          const { bytesRead } = await file.read(chunk, 0, chunk.length, position);
          if (bytesRead === 0) throw new Error(`file ended at ${position} of ${size} bytes`);
          position += bytesRead;
          controller.enqueue(chunk.subarray(0, bytesRead));
          if (position === size) {
            await file.close();
            controller.close();
          }
        } catch (error) {
          await file.close().catch(() => undefined);
          controller.error(error);
        }
      },
      async cancel() {
        await file.close().catch(() => undefined);
      },
    },
    // Nothing is read before the client asks.
    { highWaterMark: 0 },
  );
}
