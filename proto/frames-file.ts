import { concatBytes } from './bytes.js';
import { ByteReader, u16, u32, u64 } from './reader.js';

/**
 * The `frames` file of a dataset folder: "WSFR" ‖ version u16 = 1 ‖ reserved u16 = 0 ‖ entries u32 ‖
 * (entries + 1) offsets u64 from the file's start ‖ for each entry its frames, length u32 ‖ bytes each.
 * Offset k is where entry k's frames begin; the last offset is the file's size.
 */
const MAGIC = Uint8Array.of(0x57, 0x53, 0x46, 0x52);

/** Size of everything before the first entry's frames. */
export function framesHeaderBytes(entries: number): number {
  return 12 + 8 * (entries + 1);
}

/** The header, from the size in bytes of each entry's frames. */
export function encodeFramesHeader(sizes: readonly number[]): Uint8Array {
  let at = framesHeaderBytes(sizes.length);
  const offsets = [u64(at)];
  for (const size of sizes) {
    at += size;
    offsets.push(u64(at));
  }
  return concatBytes(MAGIC, u16(1), u16(0), u32(sizes.length), ...offsets);
}

/**
 * Offsets of a `frames` file, entries + 1 of them, from its first bytes.
 *
 * @param header at least the header's bytes.
 * @throws RangeError when the header is none of version 1, names another number of entries, or its offsets
 *   do not rise from the header's end to `fileBytes`.
 */
export function decodeFramesHeader(
  header: Uint8Array,
  entries: number,
  fileBytes: number,
): number[] {
  const reader = new ByteReader(header, 'frames file');
  reader.expect(concatBytes(MAGIC, u16(1), u16(0)), 'magic and version');
  const count = reader.u32();
  if (count !== entries) {
    throw new RangeError(`frames file has frames of ${count} entries, expected ${entries}`);
  }
  const offsets = Array.from({ length: entries + 1 }, () => reader.u53());
  let before = framesHeaderBytes(entries);
  if (offsets[0] !== before || offsets[entries] !== fileBytes) {
    throw new RangeError('frames file has offsets that do not span the file');
  }
  for (const [k, offset] of offsets.entries()) {
    if (offset < before) throw new RangeError(`frames file has a falling offset at entry ${k}`);
    before = offset;
  }
  return offsets;
}
