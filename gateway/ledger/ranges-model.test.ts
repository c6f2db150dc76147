import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { RANGES_MARK, RangeTable, STATEMENT_AT_OR_BEFORE } from './ranges.js';
import { prepareLedger } from './schema.js';

/** Courses: `WAYSTONE_MODEL_ROUNDS=5000 npx vitest run gateway/ledger/ranges-model.test.ts`. */
const ROUNDS = Number(process.env.WAYSTONE_MODEL_ROUNDS ?? 150);

/** Few, so that they meet. */
const SESSIONS = [1, 2, 3];
const STREAMS = [1, 7];
const FIRST_MAX = 40;

/** What a statement is known by here. */
interface Known {
  readonly id: number;
  readonly session: number;
  readonly stream: number;
  readonly first: number;
}

type Change =
  | {
      readonly kind: 'store';
      readonly session: number;
      readonly stream: number;
      readonly first: number;
    }
  | { readonly kind: 'prune'; readonly session: number; readonly rows: number }
  | { readonly kind: 'step'; readonly stored: number };

/** Changes of one transaction, and how it ends. */
interface Transaction {
  readonly changes: readonly Change[];
  readonly end: 'commit' | 'undo' | 'crash before' | 'crash after' | 'stop';
}

const change: fc.Arbitrary<Change> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant('store' as const),
      session: fc.constantFrom(...SESSIONS),
      stream: fc.constantFrom(...STREAMS),
      first: fc.nat({ max: FIRST_MAX }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('prune' as const),
      session: fc.constantFrom(...SESSIONS),
      rows: fc.integer({ min: 1, max: 6 }),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant('step' as const), stored: fc.nat({ max: 2 }) }),
  },
);
const transaction: fc.Arbitrary<Transaction> = fc.record({
  changes: fc.array(change, { minLength: 1, maxLength: 8 }),
  end: fc.constantFrom('commit', 'commit', 'commit', 'undo', 'crash before', 'crash after', 'stop'),
});
const limits = fc.record({
  pendingMax: fc.integer({ min: 1, max: 12 }),
  stepRows: fc.integer({ min: 1, max: 5 }),
  stepStreams: fc.integer({ min: 1, max: 3 }),
});

let folder: string;
let course = 0;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'waystone-ranges-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const counts = { stored: 0, pruned: 0, written: 0, undone: 0, restarts: 0, inTheMiddle: 0 };

it('finds what a list finds, in whatever order things come, are undone and end', () => {
  fc.assert(
    fc.property(limits, fc.array(transaction, { minLength: 1, maxLength: 30 }), (limits, course) =>
      run(limits, course),
    ),
    { numRuns: ROUNDS },
  );
  console.log(JSON.stringify(counts));
  // Each of the things that the courses are about has come about.
  for (const [what, times] of Object.entries(counts)) expect(times, what).toBeGreaterThan(0);
});

function run(
  limits: { pendingMax: number; stepRows: number; stepStreams: number },
  transactions: readonly Transaction[],
): void {
  const file = join(folder, `${course++}.sqlite`);
  const open = (): Database.Database => {
    const db = new Database(file);
    prepareLedger(db, folder);
    db.pragma('synchronous = OFF');
    return db;
  };
  let db = open();
  db.exec(
    `INSERT INTO devices (id, did, key_id, label, enrolled_at_us) VALUES (1, 'did', x'01', '', 0)`,
  );
  for (const session of SESSIONS) {
    db.prepare('INSERT INTO sessions VALUES (?, 1, ?, 0, NULL, 0, NULL)').run(
      session,
      Buffer.of(session),
    );
  }
  let ranges = new RangeTable(db, limits);
  let known: Known[] = [];

  const store = (session: number, stream: number, first: number): void => {
    if (known.some((one) => isAt(one, session, stream) && one.first === first)) return;
    const { lastInsertRowid } = db
      .prepare(
        `INSERT INTO statements (session, stream, first, last, hash, entry_leaf, grp, grp_index, batch, batch_index)
         VALUES (?, ?, ?, ?, x'', x'', 1, 1, 1, 1)`,
      )
      .run(session, stream, first, first);
    const id = Number(lastInsertRowid);
    ranges.add(session, stream, first, id);
    known.push({ id, session, stream, first });
    counts.stored += 1;
  };

  /** As the pruner does it: never the newest statement. */
  const prune = (session: number, rows: number): void => {
    const newest = Math.max(0, ...known.map(({ id }) => id));
    const found = ranges.ofSession(session, newest - 1, rows);
    const candidates = known.filter((one) => one.session === session && one.id < newest);
    expect(found.length).toBe(Math.min(rows, candidates.length));
    expect(new Set(found.map(({ id }) => id)).size).toBe(found.length);
    for (const one of found) {
      expect(candidates).toContainEqual({ ...one, session });
      db.prepare('DELETE FROM statements WHERE id = ?').run(one.id);
      ranges.remove(session, one);
      known = known.filter(({ id }) => id !== one.id);
      counts.pruned += 1;
    }
  };

  const apply = (one: Change): void => {
    if (one.kind === 'store') store(one.session, one.stream, one.first);
    else if (one.kind === 'prune') prune(one.session, one.rows);
    else {
      const written = ranges.step(one.stored);
      expect(written).toBeLessThanOrEqual(Math.max(limits.stepRows, 2 * one.stored));
      counts.written += written;
    }
  };

  const check = (): void => {
    for (const session of SESSIONS) {
      expect(ranges.has(session)).toBe(known.some((one) => one.session === session));
      for (const stream of STREAMS) {
        const mine = known
          .filter((one) => isAt(one, session, stream))
          .sort((one, other) => one.first - other.first);
        const wanted: (number | null)[][] = [];
        const found: (number | null)[][] = [];
        for (let sequence = 0; sequence <= FIRST_MAX + 1; sequence++) {
          const before = mine.findLast(({ first }) => first <= sequence);
          const id = before?.id ?? null;
          wanted.push([sequence, id, before?.first === sequence ? id : null]);
          found.push([
            sequence,
            ranges.atOrBefore(session, stream, sequence),
            ranges.at(session, stream, sequence),
          ]);
        }
        expect(found).toEqual(wanted);
        // Another thread sees only what is committed.
        const sequence = Math.floor(FIRST_MAX / 2);
        const read = db
          .prepare(`SELECT ${STATEMENT_AT_OR_BEFORE} FROM sessions WHERE id = @session`)
          .pluck()
          .get({ session, stream, sequence });
        expect(read).toBe(ranges.atOrBefore(session, stream, sequence));
      }
    }
    expect(misled(db)).toEqual([]);
  };

  const restart = (): void => {
    if (inTheMiddle(db)) counts.inTheMiddle += 1;
    db.close();
    db = open();
    ranges = new RangeTable(db, limits);
    counts.restarts += 1;
  };

  for (const { changes, end } of transactions) {
    const before = known;
    known = [...known];
    db.exec('BEGIN');
    for (const one of changes) apply(one);
    if (end === 'undo' || end === 'crash before') {
      db.exec('ROLLBACK');
      known = before;
      if (end === 'undo') {
        ranges.reload();
        counts.undone += 1;
      } else restart();
    } else {
      if (end === 'stop') ranges.writeAll();
      db.exec('COMMIT');
      if (end === 'stop') expect(ranges.pending).toBe(0);
      if (end !== 'commit') restart();
      if (end === 'stop') expect(ranges.pending).toBe(0);
    }
    check();
  }
  db.close();
}

function isAt(one: Known, session: number, stream: number): boolean {
  return one.session === session && one.stream === stream;
}

/** Rows that lead elsewhere, and statements up to the mark that no row leads to. */
function misled(db: Database.Database): unknown[] {
  return db
    .prepare(
      `SELECT r.statement FROM ranges r
       WHERE NOT EXISTS (SELECT 1 FROM statements s WHERE s.id = r.statement
         AND s.session = r.session AND s.stream = r.stream AND s.first = r.first)
       UNION ALL
       SELECT id FROM statements WHERE id <= (SELECT value FROM meta WHERE key = '${RANGES_MARK}')
         AND id NOT IN (SELECT statement FROM ranges)`,
    )
    .all();
}

/** Whether a writing is under way: rows are in the table that the mark does not cover. */
function inTheMiddle(db: Database.Database): boolean {
  const sql = `SELECT EXISTS (SELECT 1 FROM ranges
    WHERE statement > (SELECT value FROM meta WHERE key = '${RANGES_MARK}'))`;
  return db.prepare(sql).pluck().get() === 1;
}
