import { fileURLToPath } from 'node:url';
import type { Observation } from '@waystone/device-sdk';
import { loadDrive } from './drive.js';
import { type Clock, pace, requireSpeed, SYSTEM_CLOCK } from './pace.js';

export interface ReplayOptions {
  /** 1 (the default) is the drive's own pace, 10 ten times faster, Infinity without waiting. */
  readonly speed?: number;
  /** Ends the replay at once; the iteration throws its reason. */
  readonly signal?: AbortSignal;
  /** Folder of a recording. Default: {@link DRIVE_FOLDER}. */
  readonly folder?: string;
}

/**
 * Half a minute of a real drive in San Francisco in August 2018, from comma2k19.
 * This module is loaded from the workspace or, compiled, from its dist folder.
 */
export const DRIVE_FOLDER: string = fileURLToPath(
  new URL(
    import.meta.url.endsWith('/dist/replay.js') ? '../recordings/' : 'recordings/',
    import.meta.url,
  ),
).concat('drive-comma2k19');

/**
 * Replays a recorded drive: one frame for each GNSS fix (10 Hz) with the inertial samples (104 Hz) and wheel
 * speeds (83 Hz) since the fix before. Frames keep the times at which they were recorded, in UTC.
 *
 * @throws RangeError for a wrong speed (at once); RecordingError, a file system error or the signal's reason
 *   from the iteration.
 */
export function replayDrive(
  options: ReplayOptions = {},
  clock: Clock = SYSTEM_CLOCK,
): AsyncIterable<Observation> {
  const { speed = 1, signal, folder = DRIVE_FOLDER } = options;
  requireSpeed(speed);
  return {
    async *[Symbol.asyncIterator]() {
      signal?.throwIfAborted();
      const { frames } = await loadDrive(folder);
      yield* pace(frames, signal === undefined ? { speed } : { speed, signal }, clock);
    },
  };
}
