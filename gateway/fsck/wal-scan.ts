import { closeSync, openSync, readSync, statSync } from 'node:fs';

/** Sizes of the WAL format: https://www.sqlite.org/fileformat2.html#the_write_ahead_log */
const HEADER_BYTES = 32;
const FRAME_HEADER_BYTES = 24;
const MAGIC = 0x377f0682;

export interface WalScan {
  /** Frames that SQLite reads. */
  readonly frames: number;
  /**
   * Commits behind the first frame that SQLite does not read, in frames that were written after it. SQLite passes over
   * them in silence. One may be the rest of a commit that a power cut tore; a second one was begun after the first
   * was synced, so what is cut off was on disk.
   */
  readonly commitsCutOff: number;
}

/**
 * Reads a WAL as SQLite's recovery does, and looks at what lies behind the place where that stops. Memory: one page.
 *
 * @returns null when there is no WAL, or an empty one.
 */
export function scanWal(file: string): WalScan | null {
  const bytes = statSync(file, { throwIfNoEntry: false })?.size ?? 0;
  if (bytes === 0) return null;
  const fd = openSync(file, 'r');
  try {
    const header = Buffer.alloc(HEADER_BYTES);
    if (readSync(fd, header, 0, HEADER_BYTES, 0) < HEADER_BYTES) {
      return { frames: 0, commitsCutOff: 0 };
    }
    const magic = header.readUInt32BE(0);
    const pageBytes = header.readUInt32BE(8);
    const isBigEndian = (magic & 1) === 1;
    const sum: [number, number] = [0, 0];
    addWords(sum, header.subarray(0, 24), isBigEndian);
    let isRead =
      (magic | 1) === (MAGIC | 1) &&
      sum[0] === header.readUInt32BE(24) &&
      sum[1] === header.readUInt32BE(28);
    const frame = Buffer.alloc(FRAME_HEADER_BYTES + (pageBytes <= 65_536 ? pageBytes : 4096));
    let frames = 0;
    let commitsCutOff = 0;
    for (let at = HEADER_BYTES; at + frame.length <= bytes; at += frame.length) {
      readSync(fd, frame, 0, frame.length, at);
      // Frames of an earlier round of the file carry another salt.
      const isOfThisRound = frame.compare(header, 16, 24, 8, 16) === 0;
      if (isRead) {
        addWords(sum, frame.subarray(0, 8), isBigEndian);
        addWords(sum, frame.subarray(FRAME_HEADER_BYTES), isBigEndian);
        isRead =
          isOfThisRound && sum[0] === frame.readUInt32BE(16) && sum[1] === frame.readUInt32BE(20);
        if (isRead) frames += 1;
      }
      // The second number is the size of the database after a commit, and 0 in the other frames.
      if (!isRead && isOfThisRound && frame.readUInt32BE(4) > 0) commitsCutOff += 1;
    }
    return { frames, commitsCutOff };
  } finally {
    closeSync(fd);
  }
}

/** SQLite's checksum of the WAL, over pairs of 32-bit words. */
function addWords(sum: [number, number], bytes: Buffer, isBigEndian: boolean): void {
  let [s0, s1] = sum;
  for (let at = 0; at + 8 <= bytes.length; at += 8) {
    const x0 = isBigEndian ? bytes.readUInt32BE(at) : bytes.readUInt32LE(at);
    const x1 = isBigEndian ? bytes.readUInt32BE(at + 4) : bytes.readUInt32LE(at + 4);
    s0 = (s0 + x0 + s1) >>> 0;
    s1 = (s1 + x1 + s0) >>> 0;
  }
  sum[0] = s0;
  sum[1] = s1;
}
