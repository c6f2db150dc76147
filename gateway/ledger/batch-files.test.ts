import {
  appendFileSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ENTRY_BYTES } from '@waystone/proto';
import fc from 'fast-check';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { batchFile, batchFileBytes, readBatchFile } from '../core/batch-file.js';
import type { BatchRow } from '../core/ports.js';
import { BatchFiles } from './batch-files.js';

let folder: string;
let files: BatchFiles;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'waystone-batch-files-'));
  files = new BatchFiles(folder);
});
afterEach(() => {
  files.close();
  rmSync(folder, { recursive: true, force: true });
});

const row = (fill: number, bytes: number): BatchRow => ({
  entry: new Uint8Array(ENTRY_BYTES).fill(fill),
  frames: new Uint8Array(bytes).fill(fill),
});
const extentOf = (rows: readonly BatchRow[]) => ({
  entries: rows.length,
  bytes: rows.reduce((sum, { frames }) => sum + frames.length, 0),
});
/** Adds rows behind `before` in one group. */
function write(batch: number, before: readonly BatchRow[], rows: readonly BatchRow[]): BatchRow[] {
  const all = [...before];
  for (const one of rows) {
    files.append(batch, extentOf(all), one);
    all.push(one);
  }
  files.flush();
  return all;
}
const read = (batch: number, rows: readonly BatchRow[]): BatchRow[] =>
  [...readBatchFile(batchFile(folder, batch), extentOf(rows))].map(({ entry, frames }) => ({
    entry: Uint8Array.from(entry),
    frames: Uint8Array.from(frames),
  }));
const broken = expect.objectContaining({ code: 'LEDGER_BROKEN' });

it('gives back what it took, over groups, restarts and undone groups', () => {
  fc.assert(
    fc.property(
      fc.array(
        fc.record({
          sizes: fc.array(fc.integer({ min: 0, max: 3000 }), { maxLength: 5 }),
          ending: fc.constantFrom('commit', 'undo', 'die before the commit', 'restart'),
        }),
        { maxLength: 12 },
      ),
      (groups) => {
        let rows: BatchRow[] = [];
        let fill = 0;
        for (const { sizes, ending } of groups) {
          const all = write(
            7,
            rows,
            sizes.map((size) => row(++fill % 256, size)),
          );
          if (ending === 'undo') files.undo();
          else if (ending !== 'die before the commit') {
            files.committed();
            rows = all;
          }
          if (ending !== 'commit' && ending !== 'undo') {
            files.close();
            files = new BatchFiles(folder);
            files.reconcile([{ id: 7, ...extentOf(rows) }]);
          }
          const bytes = (all: BatchRow[]) =>
            Buffer.concat(all.flatMap(({ entry, frames }) => [entry, frames]));
          expect(bytes(read(7, rows)).equals(bytes(rows))).toBe(true);
        }
        files.remove(7);
        files.committed();
        expect(existsSync(batchFile(folder, 7))).toBe(false);
      },
    ),
    { numRuns: 30 },
  );
});

it('reads rows larger than its buffer', () => {
  const rows = write(1, [], [row(1, 10), row(2, 9_000_000), row(3, 5_000_000), row(4, 1)]);
  expect(read(1, rows).map(({ frames }) => frames.length)).toEqual([10, 9_000_000, 5_000_000, 1]);
});

it('at start cuts off what no commit confirmed, and removes what nothing names', () => {
  const rows = write(1, [], [row(1, 100)]);
  files.committed();
  files.close();
  appendFileSync(batchFile(folder, 1), 'the commit of these never came');
  writeFileSync(batchFile(folder, 2), 'a batch that was sealed');
  files.reconcile([
    { id: 1, ...extentOf(rows) },
    { id: 3, entries: 0, bytes: 0 },
  ]);
  expect(statSync(batchFile(folder, 1)).size).toBe(batchFileBytes(extentOf(rows)));
  expect(existsSync(batchFile(folder, 2))).toBe(false);
});

it('keeps the files of sealed batches while a backup runs', () => {
  write(1, [], [row(1, 1)]);
  files.committed();
  files.hold();
  files.remove(1);
  files.committed();
  expect(existsSync(batchFile(folder, 1))).toBe(true);
  files.release();
  expect(existsSync(batchFile(folder, 1))).toBe(false);
});

it('says which file is missing, short, or not what the ledger says', () => {
  const rows = write(1, [], [row(1, 100), row(2, 50)]);
  files.committed();
  const file = batchFile(folder, 1);
  const whole = readFileSync(file);
  const extent = extentOf(rows);
  truncateSync(file, whole.length - 1);
  expect(() => files.reconcile([{ id: 1, ...extent }])).toThrow(broken);
  expect(() => read(1, rows)).toThrow(broken);
  rmSync(file);
  expect(() => files.reconcile([{ id: 1, ...extent }])).toThrow(broken);
  const changed = Buffer.from(whole);
  changed.writeUInt32BE(200, 8 + ENTRY_BYTES);
  writeFileSync(file, changed);
  expect(() => read(1, rows)).toThrow(broken);
  writeFileSync(file, Buffer.concat([Buffer.from('NOPE'), whole.subarray(4)]));
  expect(() => read(1, rows)).toThrow(broken);
});
