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
import Database from 'better-sqlite3';
import fc from 'fast-check';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { batchFile, batchFileBytes, readBatchFile } from '../core/batch-file.js';
import type { BatchRow } from '../core/ports.js';
import { BatchFiles } from './batch-files.js';
import { UNSYNCED_DDL, UnsyncedTable } from './unsynced.js';

let folder: string;
let db: Database.Database;
let files: BatchFiles;
const open = (): BatchFiles => new BatchFiles(folder, new UnsyncedTable(db));
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'waystone-batch-files-'));
  db = new Database(':memory:');
  db.exec(UNSYNCED_DDL);
  files = open();
});
afterEach(() => {
  files.close();
  db.close();
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
const unsyncedRows = () => new UnsyncedTable(db).all();

/** What a power cut may do to bytes that no sync confirmed: the first half of them zeros, the rest not there. */
function loseUnsynced(): void {
  const [first] = unsyncedRows();
  if (first === undefined) return;
  const file = batchFile(folder, first.batch);
  const bytes = readFileSync(file);
  const kept = first.at + Math.floor((bytes.length - first.at) / 2);
  writeFileSync(file, bytes.fill(0, first.at).subarray(0, kept));
}

const broken = expect.objectContaining({ code: 'LEDGER_BROKEN' });

it('gives back what it took, over groups, restarts and undone groups', () => {
  fc.assert(
    fc.property(
      fc.array(
        fc.record({
          sizes: fc.array(fc.integer({ min: 0, max: 9000 }), { maxLength: 5 }),
          ending: fc.constantFrom(
            'commit',
            'undo',
            'undo on a full disk',
            'undo of a commit that counts',
            'die before the commit',
            'restart',
            'power cut',
            'stop',
          ),
        }),
        { maxLength: 12 },
      ),
      (groups) => {
        let rows: BatchRow[] = [];
        let fill = 0;
        for (const { sizes, ending } of groups) {
          db.exec('BEGIN');
          const all = write(
            7,
            rows,
            sizes.map((size) => row((++fill % 255) + 1, size)),
          );
          if (ending === 'undo of a commit that counts') {
            // Its sync failed; the next start reads it from the system's memory.
            db.exec('COMMIT');
            files.undo(false);
            rows = all;
          } else if (/^undo/.test(ending) || ending === 'die before the commit') {
            db.exec('ROLLBACK');
            if (ending !== 'die before the commit') files.undo(ending === 'undo on a full disk');
          } else {
            db.exec('COMMIT');
            files.committed();
            rows = all;
            if (ending === 'stop') {
              files.sync();
              expect(unsyncedRows()).toEqual([]);
            }
          }
          if (!['commit', 'undo', 'undo on a full disk'].includes(ending)) {
            files.close();
            if (ending === 'power cut') loseUnsynced();
            files = open();
            files.reconcile([{ id: 7, ...extentOf(rows) }]);
          }
          const bytes = (all: BatchRow[]) =>
            Buffer.concat(all.flatMap(({ entry, frames }) => [entry, frames]));
          expect(bytes(read(7, rows)).equals(bytes(rows))).toBe(true);
        }
        files.remove(7);
        files.committed();
        expect(existsSync(batchFile(folder, 7))).toBe(false);
        expect(unsyncedRows()).toEqual([]);
      },
    ),
    { numRuns: 30 },
  );
});

it('syncs a file for a large group, for many bytes of small ones, and when its batch is closed', () => {
  let rows = write(1, [], [row(1, 100)]);
  files.committed();
  expect(unsyncedRows()).toHaveLength(1);
  rows = write(1, rows, [row(2, 20_000)]);
  files.committed();
  expect(unsyncedRows()).toHaveLength(0);
  for (let most = 0, k = 0; k < 60; k++) {
    rows = write(1, rows, [row(3, 10_000)]);
    files.committed();
    const bytes = unsyncedRows().reduce((sum, one) => sum + one.bytes.length, 0);
    most = Math.max(most, bytes);
    expect(bytes).toBeLessThanOrEqual(256 * 1024);
    if (k === 59) expect(most).toBeGreaterThan(128 * 1024);
  }
  write(1, rows, [row(4, 1)]);
  files.committed();
  expect(unsyncedRows().length).toBeGreaterThan(0);
  files.finish(1);
  files.flush();
  files.committed();
  expect(unsyncedRows()).toHaveLength(0);
});

it('is read with what the ledger holds of it, for who finds it after a power cut', () => {
  const rows = write(1, [], [row(1, 300), row(2, 300)]);
  files.committed();
  const patches = unsyncedRows();
  loseUnsynced();
  expect(() => read(1, rows)).toThrow(broken);
  const found = [...readBatchFile(batchFile(folder, 1), extentOf(rows), patches)];
  expect(found.map(({ frames }) => frames[0])).toEqual([1, 2]);
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
  files.sync();
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
