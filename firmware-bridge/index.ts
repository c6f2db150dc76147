/** @waystone/firmware-bridge: receivers, sensors and recordings become Waystone frames. */
export { type CandumpFrame, parseCandump } from './candump.js';
export { type Drive, loadDrive } from './drive.js';
export { type Clock, type PaceOptions, pace } from './pace.js';
export {
  type PublishFramesOptions,
  type PublishFramesResult,
  publishFrames,
} from './publish-frames.js';
export { RecordingError } from './recording-error.js';
export { DRIVE_FOLDER, type ReplayOptions, replayDrive } from './replay.js';
export {
  decodeToyotaWheelSpeeds,
  mmPerSecondFromE2KmH,
  TOYOTA_WHEEL_SPEEDS_ID,
  type WheelSpeedsE2KmH,
} from './toyota-wheel-speeds.js';
