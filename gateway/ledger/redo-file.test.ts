import { randomBytes } from 'node:crypto';
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { toHex } from '@waystone/proto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { pendingRecords, REDO_FILE, RedoFile } from './redo-file.js';
import { randomFrom } from './testing.js';

const ROUNDS = Number(process.env.WAYSTONE_MODEL_ROUNDS ?? 20);
const SEED = Number(process.env.WAYSTONE_MODEL_SEED ?? Date.now() % 1_000_000);

const LOG_ID = Buffer.from('5a'.repeat(16), 'hex');
const OTHER_LOG_ID = Buffer.from('c3'.repeat(16), 'hex');
const FILE_BYTES = 1024 * 1024;
/** Magic, log id, key and their hash. */
const HEAD_BYTES = 8 + 16 + 32 + 32;
/** Length, epoch and index before a record, its code after it. */
const FRAME_BYTES = 4 + 6 + 4 + 32;

let folder: string;
let file: string;
const opened: RedoFile[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'waystone-redo-'));
  file = join(folder, REDO_FILE);
});
afterEach(() => {
  for (const redo of opened.splice(0)) redo.close();
  rmSync(folder, { recursive: true, force: true });
});

/** As a start does, with tables that hold this epoch. */
function open(committed = 0, logId: Uint8Array = LOG_ID): { redo: RedoFile; pending: string[] } {
  const { file: redo, pending } = RedoFile.open(folder, { logId, committed });
  opened.push(redo);
  return { redo, pending: pending.map((record) => record.toString('hex')) };
}

const count = (committed = 0, logId: Uint8Array = LOG_ID): number =>
  pendingRecords(folder, { logId, committed });

/** Changes the file behind the back of whoever has it open. */
function change(edit: (bytes: Buffer) => Buffer | undefined): void {
  const bytes = readFileSync(file);
  writeFileSync(file, edit(bytes) ?? bytes);
}

function flip(place: number): void {
  change((bytes) => {
    bytes[place] = (bytes[place] as number) ^ (1 << (place % 8));
    return undefined;
  });
}

/** A record as it lies in the file, if it is the first one. */
const framedFirst = (record: Uint8Array): Buffer =>
  readFileSync(file).subarray(HEAD_BYTES, HEAD_BYTES + FRAME_BYTES + record.length);

const hex = (...records: Uint8Array[]): string[] => records.map(toHex);

describe('records', () => {
  const [one, two, three] = [randomBytes(40), randomBytes(1), randomBytes(70_000)];

  it('come back as they were, in order, also empty ones', () => {
    const { redo, pending } = open();
    expect(pending).toEqual([]);
    for (const record of [one, Buffer.alloc(0), two, three]) redo.append(record);
    expect(hex(...redo.records())).toEqual(hex(one, Buffer.alloc(0), two, three));
    expect(count()).toBe(4);
    expect(open().pending).toEqual(hex(one, Buffer.alloc(0), two, three));
  });

  it('count for the epoch after the committed one alone', () => {
    const { redo } = open();
    expect([redo.epoch, redo.isEmpty]).toEqual([1, true]);
    redo.append(one);
    redo.append(two);
    redo.append(three);
    expect([redo.epoch, redo.isEmpty]).toEqual([1, false]);
    redo.committed();
    expect([redo.epoch, redo.isEmpty]).toEqual([2, true]);
    // The tables hold them now, and the file does so still.
    expect([count(0), count(1), count(2)]).toEqual([3, 0, 0]);
    redo.append(two);
    expect([count(1), count(2), count(3)]).toEqual([1, 0, 0]);
    expect(open(1).pending).toEqual(hex(two));
    expect(open(2).pending).toEqual([]);
  });

  it('of an epoch that goes on after a start come behind nothing', () => {
    open().redo.append(one);
    const { redo, pending } = open();
    expect(pending).toEqual(hex(one));
    expect(redo.isEmpty).toBe(false);
    redo.committed();
    redo.append(three);
    expect(open(1).pending).toEqual(hex(three));
  });

  it('are read from the disk, not from memory, and missed when the disk lost one', () => {
    const { redo } = open();
    redo.append(one);
    redo.append(two);
    change((bytes) => {
      bytes.fill(0, HEAD_BYTES + FRAME_BYTES + one.length);
      return undefined;
    });
    expect(() => redo.records()).toThrow(
      expect.objectContaining({
        code: 'LEDGER_BROKEN',
        message: expect.stringContaining(`${file} has 1 of 2 records`),
      }),
    );
    rmSync(file);
    expect(() => redo.records()).toThrow(/has 0 of 2 records/);
  });
});

describe('a record that is torn', () => {
  const records = [randomBytes(30), randomBytes(5), randomBytes(44)] as const;
  const at = HEAD_BYTES + 2 * FRAME_BYTES + 35;
  const end = at + FRAME_BYTES + 44;

  /** What the file holds when the last record was written as far as `cut`, over zeros or an earlier epoch. */
  it.each([
    ['over nothing', 0],
    ['over an earlier epoch', 1],
  ])('ends what counts, wherever it is cut, %s', (_what, committed) => {
    const { redo } = open();
    if (committed === 1) {
      // Also one that begins at the very place where the torn one does.
      for (const record of records) redo.append(record.map((byte) => byte ^ 0xff));
      redo.committed();
    }
    redo.append(records[0]);
    redo.append(records[1]);
    const before = readFileSync(file);
    redo.append(records[2]);
    const after = readFileSync(file);
    expect(count(committed)).toBe(3);
    for (let cut = at; cut < end; cut++) {
      after.copy(before, at, at, cut);
      // A byte that was there by chance is not missing.
      if (before.equals(after)) continue;
      writeFileSync(file, before);
      expect([cut, count(committed)]).toEqual([cut, 2]);
    }
  });

  it('ends what counts, whichever byte of it is another', () => {
    const { redo } = open();
    for (const record of records) redo.append(record);
    const whole = readFileSync(file);
    for (let place = HEAD_BYTES; place < end; place++) {
      writeFileSync(file, whole);
      flip(place);
      const wanted = place < HEAD_BYTES + FRAME_BYTES + 30 ? 0 : place < at ? 1 : 2;
      expect([place, count()]).toEqual([place, wanted]);
    }
    writeFileSync(file, whole);
    expect(count()).toBe(3);
  });

  it('is written over by the next one, and the start after that does not see it', () => {
    const { redo } = open();
    redo.append(records[0]);
    redo.append(records[2]);
    flip(HEAD_BYTES + FRAME_BYTES + 30 + 20);
    const { redo: next, pending } = open();
    expect(pending).toEqual(hex(records[0]));
    next.committed();
    next.append(records[1]);
    expect(open(1).pending).toEqual(hex(records[1]));
  });
});

describe('bytes that a device sent', () => {
  /** What counts behind the one record of an epoch, where an earlier one left these bytes at the next one's place. */
  function behind(planted: Uint8Array, epoch: number): string[] {
    const { redo } = open(epoch - 2);
    const short = randomBytes(20);
    const padding = Buffer.alloc(short.length + FRAME_BYTES - 14);
    redo.append(Buffer.concat([padding, planted]));
    redo.committed();
    redo.append(short);
    const at = HEAD_BYTES + FRAME_BYTES + short.length;
    expect(readFileSync(file).subarray(at, at + planted.length)).toEqual(Buffer.from(planted));
    const { pending } = open(epoch - 1);
    expect(pending[0]).toBe(toHex(short));
    return pending.slice(1);
  }

  /** A record in a file that has a key of its own. */
  function framedElsewhere(epoch: number, index: number, record: Uint8Array): Buffer {
    const elsewhere = mkdtempSync(join(tmpdir(), 'waystone-redo-'));
    try {
      const { file: redo } = RedoFile.open(elsewhere, { logId: LOG_ID, committed: epoch - 1 });
      for (let k = 0; k < index; k++) redo.append(Buffer.alloc(0));
      redo.append(record);
      redo.close();
      const at = HEAD_BYTES + index * FRAME_BYTES;
      const bytes = readFileSync(join(elsewhere, REDO_FILE));
      return bytes.subarray(at, at + FRAME_BYTES + record.length);
    } finally {
      rmSync(elsewhere, { recursive: true });
    }
  }

  it('are no record under another key, though epoch and index are right', () => {
    expect(behind(framedElsewhere(2, 1, randomBytes(50)), 2)).toEqual([]);
  });

  it('are no record under the right key, of another epoch', () => {
    const { redo } = open();
    const record = randomBytes(50);
    redo.append(Buffer.alloc(0));
    redo.append(record);
    const at = HEAD_BYTES + FRAME_BYTES;
    const framed = Buffer.from(readFileSync(file).subarray(at, at + FRAME_BYTES + record.length));
    expect(behind(framed, 2)).toEqual([]);
    // Neither with the right epoch written into it.
    framed.writeUIntBE(4, 4, 6);
    expect(behind(framed, 4)).toEqual([]);
  });

  it('are no record under the right key, of another index', () => {
    const { redo } = open();
    const record = randomBytes(50);
    redo.append(record);
    const framed = Buffer.from(framedFirst(record));
    change((bytes) => {
      framed.copy(bytes, HEAD_BYTES + framed.length);
      return undefined;
    });
    expect(open().pending).toEqual(hex(record));
    // Neither with the right index written into it.
    framed.writeUInt32BE(1, 10);
    change((bytes) => {
      framed.copy(bytes, HEAD_BYTES + framed.length);
      return undefined;
    });
    expect(open().pending).toEqual(hex(record));
  });

  it('are no record when a length leads behind the end, or to it', () => {
    const { redo } = open();
    const record = randomBytes(50);
    redo.append(record);
    const at = HEAD_BYTES + FRAME_BYTES + record.length;
    for (const length of [0, FILE_BYTES - at - FRAME_BYTES, FILE_BYTES - at, 2 ** 32 - 1]) {
      change((bytes) => {
        bytes.writeUInt32BE(length, at);
        bytes.writeUIntBE(1, at + 4, 6);
        bytes.writeUInt32BE(1, at + 10);
        return undefined;
      });
      expect(open().pending).toEqual(hex(record));
    }
  });
});

describe('the file', () => {
  it('has mode 0600 and one size, whatever is written into it', () => {
    expect(count()).toBe(0);
    // Whoever only looks does not make it.
    expect(existsSync(file)).toBe(false);
    const { redo } = open();
    const all = () => [statSync(file).mode & 0o777, statSync(file).size, readdirSync(folder)];
    expect(all()).toEqual([0o600, FILE_BYTES, [REDO_FILE]]);
    // Whose blocks are all there: a record must not need one that a full disk does not have.
    expect(statSync(file).blocks * 512).toBeGreaterThanOrEqual(FILE_BYTES);
    for (let epoch = 1; epoch <= 40; epoch++) {
      expect(redo.epoch).toBe(epoch);
      for (let k = 0; k < 3; k++) redo.append(randomBytes(100_000));
      redo.committed();
    }
    expect(all()).toEqual([0o600, FILE_BYTES, [REDO_FILE]]);
    expect(open(40).redo.epoch).toBe(41);
    expect(all()).toEqual([0o600, FILE_BYTES, [REDO_FILE]]);
  });

  it('says how much room there is, and a record may take all of it', () => {
    const { redo } = open();
    const whole = FILE_BYTES - HEAD_BYTES - FRAME_BYTES;
    expect(redo.room).toBe(whole);
    redo.append(Buffer.alloc(1000));
    expect(redo.room).toBe(whole - 1000 - FRAME_BYTES);
    const last = randomBytes(redo.room);
    redo.append(last);
    expect(redo.room).toBeLessThan(0);
    expect(statSync(file).size).toBe(FILE_BYTES);
    expect(open().pending[1]).toBe(toHex(last));
    redo.committed();
    expect(redo.room).toBe(whole);
  });

  it('has a key of its own', () => {
    open();
    const first = readFileSync(file);
    rmSync(file);
    open();
    expect(readFileSync(file).equals(first)).toBe(false);
  });
});

describe('a file that cannot be trusted', () => {
  const broken = (what: RegExp) =>
    expect.objectContaining({
      code: 'LEDGER_BROKEN',
      message: expect.stringMatching(
        new RegExp(
          `^${file} ${what.source}.*acknowledged.*put the right file back, or restore a backup$`,
        ),
      ),
    });

  function expectBroken(what: RegExp, logId: Uint8Array = LOG_ID): void {
    const before = readFileSync(file);
    expect(() => open(0, logId)).toThrow(broken(what));
    expect(() => count(0, logId)).toThrow(broken(what));
    // It may hold what was acknowledged.
    expect(readFileSync(file).equals(before)).toBe(true);
  }

  it('is one whose head is damaged, whichever byte it is', () => {
    open().redo.append(randomBytes(10));
    const whole = readFileSync(file);
    for (let place = 0; place < HEAD_BYTES; place++) {
      writeFileSync(file, whole);
      flip(place);
      const what = place < 8 ? /is no redo file/ : /is damaged/;
      expect(() => count()).toThrow(broken(what));
      if (place % 11 === 0) expectBroken(what);
    }
    writeFileSync(file, whole);
    expect(count()).toBe(1);
  });

  it.each([
    ['is empty', () => Buffer.alloc(0)],
    ['is shorter than its head', (bytes: Buffer) => bytes.subarray(0, HEAD_BYTES - 1)],
    ['was cut', (bytes: Buffer) => bytes.subarray(0, FILE_BYTES - 1)],
    ['grew', (bytes: Buffer) => Buffer.concat([bytes, Buffer.alloc(1)])],
    ['holds nothing', () => Buffer.alloc(FILE_BYTES)],
  ])('is one that %s', (_what, edit) => {
    open().redo.append(randomBytes(10));
    change(edit);
    expectBroken(/is no redo file/);
  });

  it('is one that is ahead of the tables: they have lost commits', () => {
    const { redo } = open();
    redo.append(randomBytes(10));
    redo.committed();
    redo.append(randomBytes(20));
    expectBroken(/is of epoch 2, and the ledger holds 0 of them/);
    expect(count(1)).toBe(1);
    // What only looks like a record of a later epoch is none.
    change((bytes) => {
      bytes.writeUIntBE(7, HEAD_BYTES + 4, 6);
      return undefined;
    });
    expect([count(0), count(1)]).toEqual([0, 0]);
  });

  it('is one of another log', () => {
    open();
    expectBroken(new RegExp(`is of log ${toHex(LOG_ID)}`), OTHER_LOG_ID);
  });
});

it('holds what was appended since the last commit, whatever lay there before', () => {
  console.log(`seed ${SEED}: WAYSTONE_MODEL_SEED=${SEED} repeats it`);
  const counts = { appended: 0, committed: 0, starts: 0, torn: 0, copies: 0, found: 0 };
  for (let round = 0; round < ROUNDS; round++) course(SEED + round, counts);
  console.log(JSON.stringify(counts));
  for (const [what, times] of Object.entries(counts)) expect(times, what).toBeGreaterThan(0);
});

function course(
  seed: number,
  counts: Record<'appended' | 'committed' | 'starts' | 'torn' | 'copies' | 'found', number>,
): void {
  const random = randomFrom(seed);
  const below = (end: number): number => Math.floor(random() * end);
  rmSync(file, { force: true });
  let committed = 0;
  let { redo } = open(committed);
  let held: Buffer[] = [];

  /** Few lengths, so that records of different epochs begin at the same places; some are copies of what lies there. */
  const make = (): Buffer => {
    const length = 10 * (1 + below(8));
    if (below(3) > 0) return Buffer.from(Array.from({ length }, () => below(256)));
    counts.copies += 1;
    const at = HEAD_BYTES + below(2000);
    return Buffer.from(readFileSync(file).subarray(at, at + FRAME_BYTES + 10 * below(20)));
  };
  const append = (): void => {
    const record = make();
    redo.append(record);
    held.push(record);
    counts.appended += 1;
  };
  const commit = (): void => {
    if (held.length === 0) return;
    redo.committed();
    committed += 1;
    held = [];
    counts.committed += 1;
  };
  const start = (): void => {
    opened.splice(opened.indexOf(redo), 1);
    redo.close();
    const again = open(committed);
    expect(again.pending).toEqual(hex(...held));
    expect(count(committed)).toBe(held.length);
    redo = again.redo;
    counts.starts += 1;
    counts.found += held.length;
    commit();
  };
  /** As a power cut does: of the last record some bytes are those of before. */
  const tear = (): void => {
    const before = readFileSync(file);
    const at = FILE_BYTES - FRAME_BYTES - redo.room;
    append();
    const after = readFileSync(file);
    const end = FILE_BYTES - FRAME_BYTES - redo.room;
    const from = at + below(end - at);
    const to = from + 1 + below(end - from);
    before.copy(after, from, from, to);
    const isTorn = !after.equals(readFileSync(file));
    writeFileSync(file, after);
    if (isTorn) {
      held.pop();
      counts.torn += 1;
    }
    start();
  };
  for (let step = 0; step < 60; step++) {
    ([append, append, append, append, commit, start, tear][below(7)] as () => void)();
  }
  start();
}
