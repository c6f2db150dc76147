import {
  type Device,
  EnvelopeRefusedError,
  type Observation,
  type QueuedEnvelope,
  type StoredEnvelope,
} from '@waystone/device-sdk';
import { FRAMES_PER_STATEMENT_MAX, requireInteger } from '@waystone/proto';

export interface PublishFramesOptions {
  /** Frames that share a signature, 1 to 1,024. Default 64, where the signature's share is small. */
  readonly framesPerEnvelope?: number;
  /** Longest wait of a frame for others to fill its envelope, in ms. Default 1,000. */
  readonly maxDelayMs?: number;
  /** Called with the receipt of each stored envelope. */
  readonly onStored?: (stored: StoredEnvelope) => void;
  /** Called for each envelope that the gateway refused for good; the others go on. */
  readonly onRefused?: (refusal: EnvelopeRefusedError) => void;
}

export interface PublishFramesResult {
  readonly storedEnvelopes: number;
  readonly storedFrames: number;
  readonly refusedEnvelopes: number;
  readonly refusedFrames: number;
}

/**
 * Publishes frames as they come: batches them into envelopes, hands these to the device in order, and waits
 * while its outbox is full. Resolves when the source has ended and every envelope is decided by a receipt.
 *
 * @throws what the source throws (after handing over the frames that came before it), and the device's
 *   errors other than refusals, as `DeviceClosedError`.
 */
export async function publishFrames(
  device: Pick<Device, 'enqueue'>,
  stream: number | string,
  frames: AsyncIterable<Observation>,
  options: PublishFramesOptions = {},
): Promise<PublishFramesResult> {
  const { framesPerEnvelope = 64, maxDelayMs = 1_000, onStored, onRefused } = options;
  requireInteger('framesPerEnvelope', framesPerEnvelope, 1, FRAMES_PER_STATEMENT_MAX);
  requireInteger('maxDelayMs', maxDelayMs, 0, 3_600_000);
  const result = { storedEnvelopes: 0, storedFrames: 0, refusedEnvelopes: 0, refusedFrames: 0 };
  const undecided = new Set<Promise<void>>();
  let failure: { readonly error: unknown } | undefined;

  const settle = async ({ stored, count }: QueuedEnvelope): Promise<void> => {
    try {
      const envelope = await stored;
      result.storedEnvelopes += 1;
      result.storedFrames += count;
      onStored?.(envelope);
    } catch (error) {
      if (!(error instanceof EnvelopeRefusedError)) throw error;
      result.refusedEnvelopes += 1;
      result.refusedFrames += count;
      onRefused?.(error);
    }
  };
  const send = async (batch: readonly Observation[]): Promise<void> => {
    for (const envelope of (await device.enqueue(stream, batch)).envelopes) {
      const decided: Promise<void> = settle(envelope)
        .catch((error: unknown) => {
          failure ??= { error };
        })
        .finally(() => undecided.delete(decided));
      undecided.add(decided);
    }
  };

  for await (const batch of batches(frames, framesPerEnvelope, maxDelayMs)) {
    if (failure !== undefined) break;
    await send(batch);
  }
  await Promise.all(undecided);
  if (failure !== undefined) throw failure.error;
  return result;
}

/**
 * Collects items into lists of `size`, or fewer once the first of them has waited for `maxDelayMs`. What was
 * collected when the source throws is given before the error.
 */
export async function* batches<Item>(
  source: AsyncIterable<Item>,
  size: number,
  maxDelayMs: number,
): AsyncGenerator<Item[], void, undefined> {
  const iterator = source[Symbol.asyncIterator]();
  let batch: Item[] = [];
  let dueMs = 0;
  let coming: Promise<IteratorResult<Item>> | undefined;
  try {
    for (;;) {
      coming ??= iterator.next();
      coming.catch(() => undefined); // Seen below; a due batch may go out before.
      const came =
        batch.length === 0 ? await coming : await within(coming, dueMs - performance.now());
      if (came === 'due') {
        yield batch;
        batch = [];
        continue;
      }
      coming = undefined;
      if (came.done === true) break;
      if (batch.length === 0) dueMs = performance.now() + maxDelayMs;
      batch.push(came.value);
      if (batch.length < size) continue;
      yield batch;
      batch = [];
    }
    if (batch.length > 0) yield batch;
  } catch (error) {
    if (batch.length > 0) yield batch;
    throw error;
  } finally {
    // Not awaited: a source that waits for its next item would hold us up.
    void iterator.return?.().catch(() => undefined);
  }
}

async function within<Result>(promise: Promise<Result>, ms: number): Promise<Result | 'due'> {
  let timer: NodeJS.Timeout | undefined;
  const due = new Promise<'due'>((resolve) => {
    timer = setTimeout(() => resolve('due'), Math.max(ms, 0));
  });
  try {
    return await Promise.race([promise, due]);
  } finally {
    clearTimeout(timer);
  }
}
