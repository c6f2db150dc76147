import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';

/** One record of the journal that faulty-disk.c keeps; `at` is its place there, and grows. */
export interface DiskRecord {
  readonly at: number;
  /**
   * W: bytes `a` to `b` of an inode, whose size was `c`, were to be written; `data` is what stood there. C, U: a name in
   * a folder was made, was removed. R: a rename in or into a folder, of `from/to`; `b` is the inode of the folder of the
   * first, and `c` whether something was replaced. S, F: an inode, up to the record at `a`, was synced, failed to be.
   */
  readonly kind: 'W' | 'C' | 'U' | 'R' | 'S' | 'F';
  readonly inode: number;
  readonly a: number;
  readonly b: number;
  readonly c: number;
  readonly name: string;
  readonly data: Buffer;
}

const HEAD_BYTES = 48;

/**
 * All whole records; the kill may have cut the last one short, and then nothing was done yet of what it describes. None
 * when the process died before it began.
 */
export async function readJournal(file: string): Promise<DiskRecord[]> {
  const bytes = existsSync(file) ? await readFile(file) : Buffer.alloc(0);
  const records: DiskRecord[] = [];
  for (let at = 0; at + HEAD_BYTES <= bytes.length; ) {
    const number = (offset: number) => Number(bytes.readBigUInt64LE(at + offset));
    const nameAt = at + HEAD_BYTES;
    const dataAt = nameAt + bytes.readUInt32LE(at + 4);
    const end = dataAt + bytes.readUInt32LE(at + 8);
    if (end > bytes.length) break;
    records.push({
      at,
      kind: String.fromCharCode(bytes.readUInt32LE(at)) as DiskRecord['kind'],
      inode: number(16),
      a: number(24),
      b: number(32),
      c: number(40),
      name: bytes.toString('utf8', nameAt, dataAt),
      data: bytes.subarray(dataAt, end),
    });
    at = end;
  }
  return records;
}
